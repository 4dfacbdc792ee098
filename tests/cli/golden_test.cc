// Golden screens: what a person sees, kept as files in golden/ and compared to the letter, at 20, 40, 80 and 200 columns, in a
// UTF-8 and in the C locale, and at 80 columns with NO_COLOR, with CLICOLOR_FORCE and on a dumb terminal.
//
// SWARM_GOLDEN=write cli_tests -tc="golden*" writes them anew; the difference is then read by a person, in git diff. In the files
// the escape character stands as "\e", and a "|" marks the end of what the columns allow.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include "base/text.hh"
#include "cli/console.hh"
#include "cli/piece_log.hh"
#include "cli/report.hh"
#include "cli/simulation.hh"
#include "cli/tables.hh"
#include "cli/terminal.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

using Lines = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

constexpr std::uint64_t mib = 1u << 20, gib = 1u << 30;
constexpr std::string_view clock_text = "12:04:11";

Environment environment(Variables variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  };
}

/// What one person's terminal is like.
struct Seat {
  std::string title;
  std::size_t width = 80;
  Variables variables;
  bool terminal = true;

  Terminal judged() const { return judge_terminal(terminal, terminal, Colour::automatic, environment(variables)); }
  Look look() const { return {width, judged().utf8, judged().err_colour}; }
};

std::vector<Seat> seats() {
  const Variables utf8 = {{"LANG", "de_DE.UTF-8"}, {"TERM", "xterm-256color"}, {"NO_COLOR", "1"}};
  const Variables plain = {{"LC_ALL", "C"}, {"LANG", "de_DE.UTF-8"}, {"TERM", "xterm-256color"}, {"NO_COLOR", "1"}};
  std::vector<Seat> out;
  for (const std::size_t width : {20, 40, 80, 200})
    out.push_back({fmt::format("{} columns, UTF-8", width), width, utf8});
  for (const std::size_t width : {20, 40, 80, 200}) out.push_back({fmt::format("{} columns, C", width), width, plain});
  out.push_back({"80 columns, in colour", 80, {{"LANG", "C.UTF-8"}, {"TERM", "xterm"}}});
  out.push_back({"80 columns, TERM=dumb", 80, {{"LANG", "C.UTF-8"}, {"TERM", "dumb"}}});
  out.push_back({"not a terminal", 80, {{"LANG", "C.UTF-8"}, {"TERM", "xterm"}}, false});
  out.push_back({"not a terminal, CLICOLOR_FORCE=1", 80, {{"LANG", "C.UTF-8"}, {"CLICOLOR_FORCE", "1"}}, false});
  return out;
}

/// A scene gives the lines of one person's screen; `bounded` are those that must keep to the width.
struct Screenful {
  Lines scrolled;  ///< said once; a terminal may wrap them
  Lines bounded;
};
using Scene = std::function<Screenful(const Seat&)>;

std::string visible(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\x1b') {
      out += "\\e";
    } else {
      out += c;
    }
  }
  return out;
}

std::string drawn(const Scene& scene) {
  std::string out;
  for (const auto& seat : seats()) {
    out += fmt::format("{}== {} {}\n", out.empty() ? "" : "\n", seat.title, std::string(60 - seat.title.size(), '='));
    const auto screen = scene(seat);
    for (const auto& line : screen.scrolled) out += visible(line) + '\n';
    for (const auto& line : screen.bounded) {
      const auto width = painted_columns(line);
      CAPTURE(seat.title);
      CAPTURE(line);
      CHECK((!seat.judged().sticky || width <= seat.width));
      out += visible(line);
      if (seat.judged().sticky && width <= seat.width) out += std::string(seat.width - width, ' ') + '|';
      out += '\n';
    }
  }
  return out;
}

void compare(const std::string& name, const Scene& scene) {
  const auto path = std::filesystem::path(SWARM_SOURCE_ROOT) / "tests" / "cli" / "golden" / (name + ".txt");
  const auto now = drawn(scene);
  const char* mode = std::getenv("SWARM_GOLDEN");
  if (mode != nullptr && std::string_view(mode) == "write") {
    std::ofstream(path, std::ios::binary) << now;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  const std::string kept{std::istreambuf_iterator<char>(file), {}};
  REQUIRE_MESSAGE(!kept.empty(), path.string() << " is missing");
  const auto was = split(kept, '\n'), is = split(now, '\n');
  for (std::size_t i = 0; i < std::max(was.size(), is.size()); ++i) {
    const std::string before(i < was.size() ? was[i] : "(nothing)"), after(i < is.size() ? is[i] : "(nothing)");
    CHECK_MESSAGE(before == after, path.filename().string()
                                       << ":" << i + 1 << "\n  kept: " << before << "\n  now:  " << after);
  }
}

/// The footer on a terminal that can redraw, else the lines that are printed now and then.
Lines shown(const Snapshot& now, const Seat& seat) {
  if (seat.judged().sticky) return footer(now, seat.look());
  Lines out;
  for (const auto& t : now.transfers) out.push_back(plain_line(t));
  if (now.preparing) out.push_back(plain_line(*now.preparing));
  return out;
}

Transfer download(std::string name, std::uint64_t total, double fraction, double rate) {
  Transfer t{std::move(name), false, {}};
  auto& s = t.stats;
  s.phase = core::Phase::downloading;
  s.bytes_total = total;
  s.bytes_done = static_cast<std::uint64_t>(static_cast<double>(total) * fraction);
  s.pieces = static_cast<std::uint32_t>((total + mib - 1) / mib);
  s.pieces_verified = static_cast<std::uint32_t>(static_cast<double>(s.pieces) * fraction);
  s.rate_down = rate;
  s.peers = s.peers_known = 2;
  return t;
}

Transfer seed(std::string name) {
  Transfer t{std::move(name), true, {}};
  t.stats.phase = core::Phase::whole;
  t.stats.bytes_total = 661'651'456;
  t.stats.bytes_up = 851'863'142;
  t.stats.rate_up = 40'265'318;
  t.stats.peers = 2;
  t.stats.copies_elsewhere = 1;
  return t;
}

wire::Status view() {
  wire::Status s;
  const auto node = [&s](const char* name, const char* role, const char* address, double percent, double down,
                         double up, double seen) {
    wire::StatusNode n{name, name, role, address, {}, seen, false};
    n.files.push_back({{}, "debian.iso", percent, 0, down, up, 2});
    s.nodes.push_back(std::move(n));
  };
  node("laptop", "seeder", "100.64.0.3:6881", 100, 0, 40'265'318, 0.4);
  node("pi", "leecher", "100.64.0.9:6881", 32.3, 10'171'187, 1'153'433, 14.6);
  node("日本のノート", "leecher", "[fd7a:115c:a1e0::1234:5678]:51413", 0, 0, 0, 300);
  s.nodes.push_back({"x", "idle", "leecher", "100.64.0.12:6881", {}, 2, false});
  s.files.push_back({{}, "debian.iso", 661'651'456, 1262, 512 << 10, 1.32, 1, 1, {}, {}, true});
  s.files.push_back({{}, "写真 2024.tar.zst", 40 * gib, 4096, 10 << 20, 0.99, 0, 12, {}, {}, true});
  return s;
}

}  // namespace

TEST_CASE("golden: a download that resumes") {
  compare("resuming", [](const Seat& seat) {
    auto t = download("debian.iso", gib, 0.0417, 43'830'476);
    t.stats.peers = 3;
    return Screenful{{resuming_line(t.name, 42, 1024, 0.0417)}, shown({{t}, {}}, seat)};
  });
}

TEST_CASE("golden: a download that stands still, and why") {
  compare("stalled", [](const Seat& seat) {
    auto t = download("debian.iso", 661'651'456, 0.624, 0);
    Screenful out;
    const auto add = [&] {
      for (auto& line : shown({{t}, {}}, seat)) out.bounded.push_back(std::move(line));
    };
    t.stats.peers = t.stats.peers_known = 0;
    add();
    t.stats.peers_known = 2;
    add();
    t.stats.connect_failures = 2;
    t.stats.last_unreachable = Endpoint::from("100.64.0.3:6881");
    add();
    t.stats.peers = 1;
    t.stats.best_peer = 0.921;
    t.stats.copies = 0.92;
    add();
    t.stats.seeds = 1;
    add();
    return out;
  });
}

TEST_CASE("golden: several downloads, and more than are shown") {
  compare("several", [](const Seat& seat) {
    Snapshot now;
    now.transfers = {download("debian.iso", 661'651'456, 0.624, 43'830'476),
                     download("backup.tar.zst", 128 * gib, 0.0713, 112'000'000), download("notes.txt", 1311, 0, 0)};
    now.transfers[2].stats.phase = core::Phase::finishing;
    for (int i = 1; i <= 7; ++i)
      now.transfers.push_back(download(fmt::format("part-{}.bin", i), 64 * mib, 0.1 * i, 1e6 * i));
    return Screenful{{}, shown(now, seat)};
  });
}

TEST_CASE("golden: seeding one thing, and several") {
  compare("seeding", [](const Seat& seat) {
    Screenful out;
    out.scrolled = sharing_lines(
        {"debian.iso", 661'651'456, 1262, 512 << 10, "nas", "nas:6969", "http://nas:6969/t/debian.iso.torrent", 6881},
        seat.look());
    out.bounded = shown({{seed("debian.iso")}, {}}, seat);
    auto idle = seed("photos");
    idle.stats.rate_up = 0;
    idle.stats.peers = idle.stats.copies_elsewhere = 0;
    for (auto& line : shown({{seed("debian.iso"), idle}, {}}, seat)) out.bounded.push_back(std::move(line));
    return out;
  });
}

TEST_CASE("golden: what is known by its magnet link only") {
  compare("metadata", [](const Seat& seat) {
    Transfer t{"debian.iso", false, {}};
    Screenful out;
    const auto add = [&] {
      for (auto& line : shown({{t}, {}}, seat)) out.bounded.push_back(std::move(line));
    };
    t.stats.phase = core::Phase::metadata;
    add();
    t.stats.peers = 2;
    t.stats.metadata_bytes = 51'234;
    t.stats.metadata_done = 32'768;
    add();
    return out;
  });
}

TEST_CASE("golden: hashing what is to be shared") {
  compare("hashing", [](const Seat& seat) {
    Preparing p{"hashing", "backup-of-everything.tar.zst", 40 * gib, 128 * gib, 1.7e9};
    Screenful out{{}, shown({{seed("debian.iso")}, p}, seat)};
    if (seat.judged().sticky) out.bounded.push_back(hashed_line(p, 80.8, seat.look()));
    return out;
  });
}

TEST_CASE("golden: checking what is on the disk") {
  compare("checking", [](const Seat& seat) {
    auto t = download("debian.iso", 661'651'456, 0.624, 0);
    t.stats.phase = core::Phase::checking;
    return Screenful{{}, shown({{t}, Preparing{"verifying", "photos", 3 * gib, 7 * gib, 9e8}}, seat)};
  });
}

TEST_CASE("golden: names from the network are clean, and stay within the width") {
  compare("names", [](const Seat& seat) {
    Snapshot now;
    for (const auto* name : {"日本語の名前のとても長いファイル.mkv", "e\u0301te\u0301 a\u0300 Paris.mov", "क्षत्रिय.pdf",
                             "👩\u200d👩\u200d👧 family.jpg", "evil\x1b[2J\x1b]0;owned\x07name", "bidi\u202egpj.exe",
                             "two\nlines\tand\rmore", "broken\xff\xfe utf8", "  "}) {
      now.transfers.push_back(download(name, 661'651'456, 0.624, 43'830'476));
    }
    now.transfers.erase(now.transfers.begin());  // the ninth would be counted, not named: two frames show all
    auto lines = shown(now, seat);
    now.transfers = {download("日本語の名前のとても長いファイル.mkv", 661'651'456, 0.624, 43'830'476)};
    for (auto& line : shown(now, seat)) lines.push_back(std::move(line));
    for (const auto& line : lines) {
      const auto bare = visible(line);
      CHECK(line.find("\x1b]") == line.npos);
      CHECK(line.find("\x1b[2J") == line.npos);
      CHECK(line.find("\u202e") == line.npos);
      CHECK(is_utf8(line));
    }
    return Screenful{{}, std::move(lines)};
  });
}

TEST_CASE("golden: swarm status") {
  compare("status", [](const Seat& seat) {
    const StatusWanted wanted{true, true, "nas"};
    if (!seat.terminal) return Screenful{status_rows(view(), wanted), {}};
    return Screenful{{}, status_tables(view(), wanted, seat.look())};
  });
}

TEST_CASE("golden: the tracker's console") {
  const Endpoint liar = *Endpoint::from("100.64.0.66:6881");
  const std::string laptop = "100.64.0.3:6881", pi = "100.64.0.9:6881";
  const std::vector<core::TrackerNotice> events = {
      core::FileAdded{"debian.iso", 661'651'456, 1262, 512 << 10},
      core::NodeJoined{"laptop", laptop, "seeder", false},
      core::NodeShares{"laptop", laptop, "debian.iso"},
      core::NodeJoined{"pi\x1b[2J", pi, "leecher", false},
      core::NodeGets{"pi\x1b[2J", pi, "debian.iso"},
      core::NodeJoined{"aria2", "100.64.0.20:51413", "leecher", true},
      core::NodeCompleted{"pi\x1b[2J", pi, "debian.iso"},
      core::NodeLeft{"aria2", "100.64.0.20:51413", true},
      core::NodeLeft{"pi\x1b[2J", pi, false},
      core::FileRemoved{"debian.iso"},
  };
  compare("tracker", [&](const Seat& seat) {
    Screenful out;
    PieceLog pieces(Pieces::ranges);
    pieces.add({"pi", "debian.iso", 785, 5, true, false, {}, false});
    pieces.add({"pi", "debian.iso", 406, 1, false, false, {liar}, false});
    for (const auto& e : events) {
      out.scrolled.push_back(seat.judged().err ? event_line(e, clock_text, seat.look())
                                               : event_logfmt(e, "2026-11-22T12:04:11.000Z"));
    }
    for (auto& line : pieces.rest(clock_text, seat.look())) out.scrolled.push_back(std::move(line));
    if (seat.judged().sticky) out.bounded = status_tables(view(), {true, true, "nas"}, seat.look());
    return out;
  });
}

TEST_CASE("golden: a simulated swarm, its table and its end, with another policy beside it") {
  sim::Plan plan;
  plan.downloaders = 6;
  plan.liars = 2;
  plan.free_riders = 1;
  plan.churn = 10;
  plan.line.loss = 0.005;
  SimulationNow now;
  now.status = view();
  now.seconds = 3.25;
  now.real_seconds = 0.4;
  now.sample = {3.25, 0.1, 0.441, 1, 0.25};
  now.policy = "spread";
  sim::Report report;
  report.ending = sim::Ending::all_whole;
  report.downloaders = report.finished = 5;
  report.first_seconds = 5.5, report.median_seconds = 5.75, report.last_seconds = 6.125;
  report.bound = {5.432, "T (1 + ceil(log2 6) / 256 pieces), T = 5.369 s for one transfer"};
  report.bound_seconds = 5.432;
  report.seed_copies = 1.04;
  report.payload_received = 64 * mib * 5, report.payload_wasted = 2'306'867;
  report.free_riders = 1;
  report.event_hash = 0xb779f7e7e966f7f2;
  for (int i = 0; i <= 49; ++i) report.curve.push_back({i / 8.0, i / 60.0, i / 49.0, 1, i < 44 ? 0.0 : (i - 44) / 5.0});
  sim::Report other = report;
  other.last_seconds = 9.528;
  for (auto& sample : other.curve) sample.seconds *= 9.528 / 6.125;
  compare("simulate", [&](const Seat& seat) {
    Screenful out;
    out.scrolled = plan_lines(plan, seat.look());
    out.bounded = seat.judged().sticky ? simulation_lines(now, 24, seat.look()) : Lines{plain_simulation_line(now)};
    if (seat.judged().sticky) {
      for (auto& line : simulation_lines(now, 5, seat.look())) out.bounded.push_back(std::move(line));
    }
    for (auto& line : summary_lines({{"spread", report}, {"rarest", other}}, seat.look())) {
      out.bounded.push_back(std::move(line));
    }
    return out;
  });
}

TEST_CASE("what takes a footer away, also where the terminal became narrower in the meantime") {
  CHECK(erase_text({}, 80).empty());
  CHECK(erase_text({79}, 80) == "\r\x1b[J");
  CHECK(erase_text({79, 0, 40}, 80) == "\r\x1b[2A\x1b[J");
  CHECK(erase_text({79, 79}, 40) == "\r\x1b[2A\x1b[J");  // the cursor is at the start of the last line, wrapped or not
  CHECK(erase_text({79, 80, 10}, 20) == "\r\x1b[8A\x1b[J");
  CHECK(erase_text({79, 10}, 0) == "\r\x1b[1A\x1b[J");
}

TEST_CASE("a footer higher than the screen keeps its first lines and the sum") {
  const Lines all = {"a", "b", "c", "sum"};
  CHECK(fit_rows(all, 24) == all);
  CHECK(fit_rows(all, 5) == all);
  CHECK(fit_rows(all, 4) == Lines{"a", "b", "sum"});
  CHECK(fit_rows(all, 3) == Lines{"a", "sum"});
  CHECK(fit_rows(all, 2) == Lines{"sum"});
  CHECK(fit_rows(all, 1) == Lines{"sum"});
  CHECK(fit_rows({}, 1).empty());
}
