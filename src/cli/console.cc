#include "cli/console.hh"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/text.hh"
#include "cli/options.hh"

namespace swarm::cli {

namespace {

constexpr std::size_t downloads_shown = 8;
constexpr std::size_t bar_min = 8, bar_max = 24;
constexpr std::size_t reason_min = 16;  // columns in which the reason of a standstill still says something

double eta_s(const core::TorrentStats& s) {
  return s.rate_down > 0 ? static_cast<double>(s.bytes_total - std::min(s.bytes_total, s.bytes_done)) / s.rate_down
                         : -1;
}

bool moves(const core::TorrentStats& s) { return s.rate_down >= 0.5; }

/// A name leaves room for what is said about it.
std::string short_name(const std::string& name, const Look& look) {
  return fit(printable(name), std::max<std::size_t>(look.width / 3, 12), look.utf8);
}

/// Gives the bar, the part at `at`, what the line leaves free, and draws it.
std::string with_bar(std::vector<Part> parts, std::size_t at, double fraction, const Look& look) {
  std::size_t rest = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != at) rest += columns(parts[i].text);
    if (i != 0) rest += parts[i].gap.size();
  }
  const auto room = look.width > rest ? look.width - rest : 0;
  parts[at].text = bar(fraction, std::clamp(room, bar_min, bar_max), look);
  // When something has to go, the bar is measured again against what stays.
  if (room < bar_min) {
    const auto first = std::ranges::max_element(parts, {}, &Part::drop);
    if (first - parts.begin() != static_cast<std::ptrdiff_t>(at) && first->drop > 0) {
      const auto gone = static_cast<std::size_t>(first - parts.begin());
      parts.erase(first);
      return with_bar(std::move(parts), gone < at ? at - 1 : at, fraction, look);
    }
  }
  return line_of(std::move(parts), look);
}

std::string eta_short(double seconds) {
  if (!(seconds >= 0) || !std::isfinite(seconds)) return "-";
  const auto s = static_cast<std::uint64_t>(std::ceil(seconds));
  if (s < 100) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86'400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{}h", s / 86'400, s / 3600 % 24);
}

enum class Side : std::uint8_t { left, right };

/// Blanks up to `width` columns, with the text at one side of them.
std::string padded(std::string text, std::size_t width, Side side) {
  const auto own = columns(text);
  if (own < width) text.insert(side == Side::left ? text.size() : 0, width - own, ' ');
  return text;
}

/// What is said about a download that moves, before it is fitted into columns.
struct Cells {
  std::string name, percent, sizes, rate, eta, peers;
};

/// Who it comes from: "2 peers", "1 web seed", "2 peers, 1 web seed".
std::string sources_text(const core::TorrentStats& s) {
  const auto peers = counted(s.peers, "peer", "peers");
  if (s.web_seeds == 0) return peers;
  const auto web_seeds = counted(s.web_seeds, "web seed", "web seeds");
  return s.peers == 0 ? web_seeds : fmt::format("{}, {}", peers, web_seeds);
}

Cells cells_of(const Transfer& t, const Look& look) {
  const auto& s = t.stats;
  return {short_name(t.name, look),
          percent_text(share(s.bytes_done, s.bytes_total)),
          sizes_text(s.bytes_done, s.bytes_total),
          rate_or_zero(s.rate_down),
          fmt::format("ETA {}", eta_text(eta_s(s))),
          sources_text(s)};
}

std::string moving_line(Cells c, double fraction, const Look& look, const Columns& w) {
  return with_bar({{padded(std::move(c.name), w.name, Side::left), 0, Paint::bold},
                   {padded(std::move(c.percent), w.percent, Side::right)},
                   {{}, 2, Paint::good, " "},
                   {padded(std::move(c.sizes), w.sizes, Side::right), 3, Paint::none, " "},
                   {padded(std::move(c.rate), w.rate, Side::right), 1},
                   {padded(std::move(c.eta), w.eta, Side::left), 4},
                   {padded(std::move(c.peers), w.peers, Side::left), 5}},
                  2, fraction, look);
}

/// All downloads as one; its peers are theirs and are not counted again.
Transfer sum_of(const std::vector<Transfer>& downloads) {
  Transfer all;
  all.name = counted(downloads.size(), "download", "downloads");
  for (const auto& t : downloads) {
    all.stats.bytes_done += t.stats.bytes_done;
    all.stats.bytes_total += t.stats.bytes_total;
    all.stats.rate_down += t.stats.rate_down;
  }
  return all;
}

/// As wide as the widest of those that are shown, and of their sum.
Columns common_columns(std::span<const Transfer> shown, const Transfer& sum, const Look& look) {
  Columns w;
  const auto widen = [&](const Cells& c) {
    w.name = std::max(w.name, columns(c.name));
    w.percent = std::max(w.percent, columns(c.percent));
    w.sizes = std::max(w.sizes, columns(c.sizes));
    w.rate = std::max(w.rate, columns(c.rate));
    w.eta = std::max(w.eta, columns(c.eta));
    w.peers = std::max(w.peers, columns(c.peers));
  };
  for (const auto& t : shown) widen(cells_of(t, look));
  auto sums = cells_of(sum, look);
  sums.peers.clear();
  widen(sums);
  return w;
}

std::string sum_line(const Transfer& sum, const Look& look, const Columns& w) {
  auto cells = cells_of(sum, look);
  cells.peers.clear();
  auto line = moving_line(std::move(cells), share(sum.stats.bytes_done, sum.stats.bytes_total), look, w);
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

}  // namespace

std::vector<std::string> footer(const Snapshot& now, const Look& look) {
  std::vector<std::string> lines;
  std::vector<Transfer> downloads, seeds;
  for (const auto& t : now.transfers) {
    if (t.seed) {
      seeds.push_back(t);
    } else if (t.stats.phase != core::Phase::whole && t.stats.phase != core::Phase::failed) {
      downloads.push_back(t);
    }
  }
  if (now.preparing) lines.push_back(preparing_line(*now.preparing, look));
  const auto shown = std::span(downloads).first(std::min(downloads.size(), downloads_shown));
  const auto sum = sum_of(downloads);
  const auto common = downloads.size() > 1 ? common_columns(shown, sum, look) : Columns{};
  for (const auto& t : shown) lines.push_back(download_line(t, look, common));
  if (downloads.size() > downloads_shown) {
    lines.push_back(fit(fmt::format("and {} more", downloads.size() - downloads_shown), look.width, look.utf8));
  }
  if (downloads.size() > 1) lines.push_back(sum_line(sum, look, common));
  if (!seeds.empty()) lines.push_back(seeding_line(seeds, look));
  return lines;
}

std::string preparing_line(const Preparing& p, const Look& look) {
  const auto fraction = share(p.bytes_done, p.bytes_total);
  return with_bar({{fmt::format("{} {}", p.verb, short_name(p.name, look))},
                   {{}, 2, Paint::good},
                   {fmt::format("{:.0f}%", std::floor(fraction * 100)), 0, Paint::none, " "},
                   {size_text(p.bytes_total), 4},
                   {rate_or_zero(p.rate), 3}},
                  1, fraction, look);
}

std::string download_line(const Transfer& t, const Look& look, const Columns& common) {
  const auto& s = t.stats;
  const Part name{padded(short_name(t.name, look), common.name, Side::left), 0, Paint::bold};
  const auto fraction = share(s.bytes_done, s.bytes_total);
  const Part percent{padded(percent_text(fraction), common.percent, Side::right)};
  if (s.phase == core::Phase::metadata) {
    std::vector<Part> parts = {name, {"asking peers what it is", 1}};
    if (s.metadata_bytes != 0) parts.push_back({sizes_text(s.metadata_done, s.metadata_bytes), 2, Paint::none, ": "});
    parts.push_back({counted(s.peers, "peer", "peers"), 3});
    return line_of(parts, look);
  }
  if (s.phase == core::Phase::checking) return line_of({name, percent, {"checking what is on the disk", 1}}, look);
  if (s.phase == core::Phase::finishing) return line_of({name, percent, {"writing to the disk", 1}}, look);
  if (auto why = why_waiting(t); !why.empty()) {
    const auto before = columns(name.text) + columns(percent.text) + std::string_view("    waiting: ").size();
    if (look.width >= before + reason_min) why = fit(why, look.width - before, look.utf8);  // its start says most
    return line_of({name, percent, {"waiting", 1, Paint::hint}, {why, 2, Paint::hint, ": "}}, look);
  }
  return moving_line(cells_of(t, look), fraction, look, common);
}

std::string seeding_line(const std::vector<Transfer>& seeds, const Look& look) {
  std::uint64_t sent = 0;
  std::uint32_t peers = 0, copies = UINT32_MAX;
  double rate = 0;
  for (const auto& t : seeds) {
    sent += t.stats.bytes_up;
    peers += t.stats.peers;
    rate += t.stats.rate_up;
    copies = std::min(copies, t.stats.copies_elsewhere);
  }
  const auto what = seeds.size() == 1 ? std::string("seeding") : fmt::format("seeding {} torrents", seeds.size());
  const auto elsewhere = seeds.size() == 1
                             ? counted(copies, "whole copy elsewhere", "whole copies elsewhere")
                             : counted(copies, "whole copy of each elsewhere", "whole copies of each elsewhere");
  return line_of({{what, 0, Paint::bold},
                  {counted(peers, "peer", "peers"), 2},
                  {fmt::format("{} up", rate_or_zero(rate)), 1},
                  {fmt::format("{} sent", size_text(sent)), 3},
                  {elsewhere, 4},
                  {"(Ctrl-C stops sharing)", 5, Paint::dim, "   "}},
                 look);
}

std::string plain_line(const Transfer& t) {
  const auto& s = t.stats;
  const auto name = printable(t.name);
  if (t.seed) {
    return fmt::format("{}: seeding {} {} up {} sent {}", name, counted(s.peers, "peer", "peers"),
                       rate_or_zero(s.rate_up), size_text(s.bytes_up),
                       counted(s.copies_elsewhere, "whole copy elsewhere", "whole copies elsewhere"));
  }
  if (s.phase == core::Phase::metadata) {
    const auto sizes = s.metadata_bytes == 0 ? std::string() : ' ' + sizes_text(s.metadata_done, s.metadata_bytes);
    return fmt::format("{}: asking peers what it is{} {}", name, sizes, counted(s.peers, "peer", "peers"));
  }
  auto line = fmt::format("{}: {:.0f}% {} {} eta {} pieces {}/{} sha1 ok, {} bad", name,
                          std::floor(share(s.bytes_done, s.bytes_total) * 100), sizes_text(s.bytes_done, s.bytes_total),
                          rate_or_zero(s.rate_down), eta_short(eta_s(s)), s.pieces_verified, s.pieces, s.hash_failures);
  if (s.phase == core::Phase::checking) line += " (checking what is on the disk)";
  if (s.phase == core::Phase::finishing) line += " (writing to the disk)";
  const auto waiting = why_waiting(t);
  if (!waiting.empty()) line += fmt::format(" (waiting: {})", waiting);
  return line;
}

std::string plain_line(const Preparing& p) {
  return fmt::format("{}: {} {:.0f}% {} {}", printable(p.name), p.verb,
                     std::floor(share(p.bytes_done, p.bytes_total) * 100), sizes_text(p.bytes_done, p.bytes_total),
                     rate_or_zero(p.rate));
}

std::string why_waiting(const Transfer& t) {
  const auto& s = t.stats;
  if (t.seed || s.phase != core::Phase::downloading || moves(s)) return {};
  if (s.peers == 0 && !t.web_seed_error.empty() && (s.web_seeds > 0 || s.peers_known == 0)) {
    return printable(t.web_seed_error);
  }
  if (s.peers == 0 && s.peers_known == 0 && s.web_seeds > 0) {
    return fmt::format("nothing comes from {} yet", counted(s.web_seeds, "web seed", "web seeds"));
  }
  if (s.peers == 0 && s.peers_known == 0) return fmt::format("no peer has {}", printable(t.name));
  if (s.peers == 0 && s.connect_failures > 0) {
    return fmt::format("{} known, none reachable{}", counted(s.peers_known, "peer", "peers"),
                       s.last_unreachable ? fmt::format(" (last tried {})", s.last_unreachable->text()) : "");
  }
  if (s.peers == 0) return fmt::format("connecting to {}", counted(s.peers_known, "peer", "peers"));
  if (s.seeds == 0 && s.copies < 1) {
    return fmt::format("no peer has all of {} (best copy {})", printable(t.name), percent_text(s.best_peer));
  }
  return fmt::format("{} connected, nothing comes", counted(s.peers, "peer", "peers"));
}

Error no_peers_error(const Transfer& t, double waited_s) {
  Transfer still = t;
  still.stats.rate_down = 0;  // the last bytes may still count in the average
  still.stats.phase = core::Phase::downloading;
  const auto quoted = printable(shell_quoted({t.name}));
  auto hint = t.stats.peers > 0 || t.stats.peers_known > 0 || t.stats.web_seeds > 0
                  ? fmt::format("Nothing came for {}; the same command resumes", eta_short(waited_s))
                  : fmt::format("Start 'swarm seed {}' on a machine that has it; the same command resumes", quoted);
  return {Exit::no_peers, "no_peers", why_waiting(still), std::move(hint)};
}

std::string resuming_line(const std::string& name, std::uint32_t pieces_have, std::uint32_t pieces, double fraction) {
  return fmt::format("resuming {} at {} ({} of {} pieces already here)", printable(name), percent_text(fraction),
                     pieces_have, pieces);
}

std::string whole_line(const Transfer& t, double seconds, const std::string& path, const Look& look) {
  const auto& s = t.stats;
  const auto rate = seconds > 0 ? static_cast<double>(s.bytes_down) / seconds : 0;
  return fmt::format("{}  {}  {} in {}  {}  -> {}", painted(printable(t.name), Paint::bold, look),
                     painted(fmt::format("100% verified (sha1 {}/{})", s.pieces_verified, s.pieces), Paint::good, look),
                     size_text(s.bytes_total), seconds_text(seconds), rate_or_zero(rate), printable(path));
}

std::string plain_whole_line(const Transfer& t, double seconds, const std::string& path) {
  const auto& s = t.stats;
  const auto rate = seconds > 0 ? static_cast<double>(s.bytes_down) / seconds : 0;
  return fmt::format("{}: done {} in {:.1f}s {} sha1 {}/{} ok -> {}", printable(t.name), size_text(s.bytes_total),
                     seconds, rate_or_zero(rate), s.pieces_verified, s.pieces, printable(path));
}

std::string hashed_line(const Preparing& p, double seconds, const Look& look) {
  Preparing done = p;
  done.bytes_done = done.bytes_total;
  done.rate = seconds > 0 ? static_cast<double>(p.bytes_total) / seconds : 0;
  return preparing_line(done, look);
}

std::vector<std::string> sharing_lines(const Sharing& s, const Look& look) {
  std::vector<std::string> lines;
  lines.push_back(
      fmt::format("sharing {}  {}  {} x {}{}", painted(printable(s.name), Paint::bold, look), size_text(s.bytes_total),
                  counted(s.pieces, "piece", "pieces"), piece_bytes_text(s.piece_bytes),
                  s.label.empty() ? fmt::format("   port {}", s.port) : fmt::format("   tracker {}", s.label)));
  if (s.torrent_url.empty()) return lines;
  lines.emplace_back();
  lines.push_back(fmt::format(
      "  any other machine        {}",
      painted(fmt::format("swarm get {} -t {}", printable(shell_quoted({s.name})), s.tracker), Paint::hint, look)));
  lines.push_back(fmt::format("  any BitTorrent client    {}", s.torrent_url));
  lines.emplace_back();
  return lines;
}

}  // namespace swarm::cli
