#include "cli/simulation.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "base/random.hh"
#include "base/text.hh"
#include "cli/chart.hh"
#include "cli/options.hh"
#include "cli/report.hh"
#include "sim/suite.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

std::vector<std::string> words_of(const std::string& command) {
  std::vector<std::string> out;
  for (const auto word : split(command, ' ')) out.emplace_back(word);
  out.erase(out.begin());  // "swarm"
  return out;
}

Options options(std::vector<std::string> words, std::map<std::string, std::string> variables = {}) {
  const auto parsed = parse(words, [variables](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  });
  REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().message));
  return parsed->options;
}

std::string complaint(std::vector<std::string> words) {
  words.insert(words.begin(), "simulate");
  const auto parsed = parse(words, [](const std::string&) { return std::nullopt; });
  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().exit == Exit::usage);
  return parsed.error().message + ". " + parsed.error().hint;
}

std::vector<sim::Curve::Sample> straight() {
  std::vector<sim::Curve::Sample> out;
  for (int i = 0; i <= 100; ++i) out.push_back({i / 10.0, i / 120.0, i / 100.0, 1, i < 90 ? 0.0 : (i - 90) / 10.0});
  return out;
}

}  // namespace

TEST_CASE("simulate: what the issue's example says is what the plan holds") {
  const auto o = options({"simulate", "--nodes", "256", "--size", "64MiB", "--piece-size", "256KiB", "--up", "100Mbit",
                          "--down", "1Gbit", "--rtt", "1ms", "--random-seed", "9", "--speed", "2x"});
  CHECK(o.command == Command::simulate);
  CHECK(o.plan.downloaders == 256);
  CHECK((o.plan.bytes_total == 64u << 20 && o.plan.piece_bytes == 256u << 10));
  CHECK((o.plan.line.up_rate == 12'500'000 && o.plan.line.down_rate == 125'000'000));
  CHECK(o.plan.line.delay == 250us);
  CHECK((o.plan.random_seed == 9 && o.speed == 2));
  const auto more = options({"simulate", "--nodes", "10", "--liars", "20%", "--free-riders", "0.25", "--slow", "1",
                             "--partition", "2@1s+2s", "--partition", "3@5s+1s", "--join", "poisson:2/s", "--profile",
                             "wan", "--compare", "rarest"});
  CHECK((more.plan.liars == 2 && more.plan.downloaders == 8 && more.plan.free_riders == 2 && more.plan.slow == 1));
  CHECK(more.plan.partitions.size() == 2);
  CHECK(more.plan.profile->name == "wan");
  CHECK(more.compare == core::Policy::rarest);
}

TEST_CASE("simulate: a named scenario is changed by the other options, wherever they stand") {
  const auto o = options({"simulate", "--nodes", "100", "--scenario", "liars", "--random-seed", "3"});
  CHECK((o.plan.scenario == "liars" && o.plan.random_seed == 3));
  CHECK((o.plan.liars == 20 && o.plan.downloaders == 80));
  for (const auto& known : sim::known_scenarios()) {
    const auto* row = &*std::ranges::find(option_table(), "scenario", &OptionSpec::name);
    CHECK_MESSAGE(row->kind.use.find(known.name) != std::string_view::npos, known.name);
    CHECK_MESSAGE(
        ("|" + std::string(row->kind.choices) + "|").find("|" + std::string(known.name) + "|") != std::string::npos,
        known.name);
  }
}

TEST_CASE("simulate: what get and seed are told by the environment is not for simulated lines") {
  const auto o = options({"simulate"}, {{"SWARM_UP", "1M"}, {"SWARM_PIECE_SIZE", "1M"}, {"SWARM_RANDOM_SEED", "3"}});
  CHECK(o.plan.line.up_rate == 12'500'000);
  CHECK(o.plan.piece_bytes == 256u << 10);
  CHECK(o.plan.random_seed == 3);
}

TEST_CASE("simulate: the command of a plan makes the same plan") {
  Random random(5);
  const auto one_in = [&random](std::uint64_t n) { return random.below(n) == 0; };
  for (int round = 0; round < 2'000; ++round) {
    sim::Plan plan;
    plan.random_seed = random.next();
    if (one_in(2)) {
      const auto known = sim::known_scenarios();
      plan = *sim::find_plan(known[random.below(known.size())].name, plan.random_seed);
    }
    if (one_in(2)) sim::set_nodes(plan, static_cast<std::uint32_t>(4 + random.below(500)));
    if (one_in(3)) sim::set_liars(plan, static_cast<std::uint32_t>(random.below(3)));
    if (one_in(3)) plan.free_riders = static_cast<std::uint32_t>(random.below(plan.downloaders));
    if (one_in(3)) plan.slow = static_cast<std::uint32_t>(random.below(plan.downloaders));
    if (one_in(3)) plan.seeds = static_cast<std::uint32_t>(1 + random.below(9));
    if (one_in(3)) plan.bytes_total = 1 + random.below(1u << 30);
    if (one_in(3) && plan.bytes_total < 1u << 30) plan.piece_bytes = 16'384u << random.below(10);
    if (one_in(3)) plan.have = random.unit();
    if (!plan.profile) {
      if (one_in(3)) plan.line.up_rate = one_in(2) ? 125'000 * random.below(1000) : random.below(1'000'000'000);
      if (one_in(3)) plan.line.down_rate = random.below(1'000'000'000);
      if (one_in(3)) plan.line.delay = 250us * random.below(1000);
      if (one_in(3)) plan.line.jitter = 1ms * random.below(100);
      if (one_in(3)) plan.line.loss = random.unit() / 2;
    }
    if (one_in(3)) plan.neighbours = static_cast<std::uint32_t>(1 + random.below(300));
    if (one_in(3)) plan.join = sim::Join::staggered, plan.join_within = 1ms * random.below(100'000);
    if (one_in(3)) plan.join = sim::Join::poisson, plan.join_rate = 0.001 + random.unit();
    if (one_in(3)) plan.leave_when_whole = true;
    if (one_in(3)) plan.seed_leaves_after = 0.1 + 3 * random.unit();
    if (one_in(3)) plan.until_copies = static_cast<std::uint32_t>(1 + random.below(9));
    if (one_in(3)) plan.churn = 200 * random.unit();
    if (one_in(3)) plan.crash = 200 * random.unit();
    if (one_in(3)) plan.partitions = {{2, 1ms * random.below(9'999), 1s}, {5, 1min, 1ms * random.below(9'999)}};
    if (one_in(3)) plan.tracker_dies_at = 1ms * random.below(100'000);
    if (one_in(3)) plan.limit = 1ms * (1 + random.below(100'000'000));
    const auto command = sim::command_of(plan);
    CAPTURE(command);
    const auto again = options(words_of(command)).plan;
    CHECK(sim::command_of(again) == command);
    CHECK(again.random_seed == plan.random_seed);
    CHECK((again.downloaders == plan.downloaders && again.liars == plan.liars && again.seeds == plan.seeds));
    CHECK((again.free_riders == plan.free_riders && again.slow == plan.slow));
    CHECK((again.bytes_total == plan.bytes_total && again.piece_bytes == plan.piece_bytes && again.have == plan.have));
    CHECK((again.line.up_rate == plan.line.up_rate && again.line.down_rate == plan.line.down_rate));
    CHECK((again.line.delay == plan.line.delay && again.line.jitter == plan.line.jitter));
    CHECK(again.line.loss == plan.line.loss);
    CHECK((again.neighbours == plan.neighbours && again.join == plan.join));
    CHECK((again.join_rate == plan.join_rate || plan.join != sim::Join::poisson));
    CHECK((again.leave_when_whole == plan.leave_when_whole && again.seed_leaves_after == plan.seed_leaves_after));
    CHECK((again.until_copies == plan.until_copies && again.churn == plan.churn && again.crash == plan.crash));
    CHECK((again.partitions == plan.partitions && again.faults == plan.faults));
    CHECK((again.tracker_dies_at == plan.tracker_dies_at && again.limit == plan.limit));
    CHECK(again.profile == plan.profile);
  }
}

TEST_CASE("simulate: values that cannot be meant are named") {
  CHECK(complaint({"--nodes", "0"}) == "--nodes: '0' is not a number of nodes. Use 1 to 100000");
  CHECK(complaint({"--nodes"}) == "--nodes needs a value. Use --nodes N");
  CHECK(complaint({"--up", "fast"}) == "--up: 'fast' is not a size. Use e.g. 500K, 10M, 10MB/s");
  CHECK(complaint({"--liars", "120%"}) == "--liars: '120%' is not a share or a number of the nodes. Use e.g. 20% or 3");
  CHECK(complaint({"--churn", "10%"}) ==
        "--churn: '10%' is not a share of the nodes in a time. Use e.g. 10%/min, 1%/s, 50%/h");
  CHECK(complaint({"--partition", "half"}) == "--partition: 'half' is not a partition. Use N@START+DUR, e.g. 2@3s+10s");
  CHECK(complaint({"--join", "later"}) ==
        "--join: 'later' is not a way to join. Use all, staggered:30s, random:30s or poisson:2/s");
  CHECK(complaint({"--scenario", "chrun"}) == "--scenario: 'chrun' is not a scenario. Did you mean 'churn'?");
  CHECK(complaint({"--compare", "rarset"}) == "--compare: 'rarset' is not a policy. Did you mean 'rarest'?");
  CHECK(complaint({"--loss", "60%"}) == "--loss: '60%' is not a share up to 50%. Use e.g. 0.5%");
  CHECK(complaint({"--profile", "wan", "--up", "1M"}) ==
        "--profile excludes --up, --down, --rtt, --jitter and --loss. Put them into a profile of your own");
  CHECK(complaint({"--size", "16TiB", "--piece-size", "16K"}) ==
        "1073741824 pieces are too many. Use a larger --piece-size");
  CHECK(complaint({"--liars", "100%"}) == "all nodes lie: nobody downloads. Use a smaller --liars");
  CHECK(complaint({"--free-riders", "100%"}) == "all nodes are free riders. Use a smaller --free-riders");
  CHECK(complaint({"debian.iso"}) ==
        "'debian.iso' is one word too many for 'swarm simulate'. See 'swarm simulate --help'");
}

TEST_CASE("chart: within the width, from the bottom to the top, in any locale") {
  for (const bool utf8 : {true, false}) {
    for (const std::size_t width : {20, 40, 80, 200}) {
      const Look look{width, utf8, false};
      const auto lines = chart(straight(), 10, look);
      REQUIRE(lines.size() == 10);
      for (const auto& line : lines) {
        CHECK(columns(line) <= width);
        CHECK(is_utf8(line));
        if (!utf8) CHECK(std::ranges::all_of(line, [](unsigned char c) { return c >= 0x20 && c < 0x7f; }));
      }
      CHECK(lines[0].starts_with("100% "));
      CHECK(lines[7].starts_with("  0% "));
    }
  }
  const auto lines = chart(straight(), 10, {46, false, false});
  CHECK(lines[0].ends_with(":"));  // both reach the top, at the right
  CHECK(lines[8] == "      0 s                               10.0 s");
  CHECK(chart({}, 10, {}).empty());
}

TEST_CASE("simulation: few nodes get a row each, many one for each kind") {
  SimulationNow now;
  now.seconds = 3.25;
  now.real_seconds = 0.5;
  now.sample = {3.25, 0.1, 0.5, 0.9, 0.25};
  now.status.files.push_back({});
  now.status.files.back().copies = 1.32;
  for (int i = 0; i < 100; ++i) {
    auto& node = now.status.nodes.emplace_back();
    node.name = "node" + std::to_string(i + 1);
    node.role = i == 0 ? "seeder" : "leecher";
    node.files.push_back({{}, "content.bin", i == 0 ? 100.0 : i / 2.0, 0, 1048576, 524288, 8});
  }
  const Look look{80, true, false};
  const auto many = simulation_lines(now, 24, look);
  REQUIRE(many.size() == 4);
  CHECK(many[0] == "NODES        COUNT  LEAST   MEDIAN  MOST    DOWN EACH    UP EACH      PEERS");
  CHECK(many[1] == "whole        1      100.0%  100.0%  100.0%  1.0 MiB/s    512.0 KiB/s  8.0");
  CHECK(many[2] == "downloading  99     0.5%    25.0%   49.5%   1.0 MiB/s    512.0 KiB/s  8.0");
  CHECK(many[3] == "simulated 3.25 s  50.0%  25% of the nodes whole  1.32 copies  6.5 x real time");
  CHECK(simulation_lines(now, 200, look).size() == 102);
  for (const auto& line : simulation_lines(now, 24, {30, true, false})) CHECK(columns(line) <= 30);
}

TEST_CASE("simulation: the end in figures, the error with its replay, the last JSON line") {
  sim::Report r;
  r.ending = sim::Ending::all_whole;
  r.downloaders = r.finished = 8;
  r.first_seconds = 5.5, r.median_seconds = 5.75, r.last_seconds = 6;
  r.bound = {5, "T"};
  r.bound_seconds = 5;
  r.ratio = 1.2;
  r.seed_copies = 1.05;
  r.payload_received = 1000, r.payload_wasted = 10;
  r.event_hash = 0xabc;
  r.curve = straight();
  const auto lines = summary_lines({{"", r}}, {80, true, false});
  const auto has = [&](const std::string& text) {
    return std::ranges::any_of(lines, [&](const auto& l) { return l.starts_with(text); });
  };
  CHECK(has("last whole   6.000 s      1.200"));
  CHECK(has("whole        8 of 8"));
  CHECK(has("seeds sent   1.05 copies"));
  CHECK(has("wasted       10 B         1.00%"));
  CHECK(has("event hash: 0000000000000abc"));
  CHECK(simulation_error(r, "swarm simulate").exit == Exit::done);
  CHECK(simulation_done_json({{"", r}}, "all_whole")
            .starts_with(
                R"({"v":1,"event":"done","nodes":8,"finished":8,"first_seconds":5.500000,"median_seconds":5.750000,)"
                R"("last_seconds":6.000000,"bound_seconds":5.000000,"ratio":1.2000,"seed_copies":1.0500,)"
                R"("wasted_bytes":10,"event_hash":"0000000000000abc")"));

  r.finished = 5;
  r.ending = sim::Ending::lost;
  r.pieces_lost = 3;
  auto error = simulation_error(r, "swarm simulate --random-seed 4");
  CHECK(error.exit == Exit::no_peers);
  CHECK(error.message == "3 of 8 nodes cannot finish: 3 pieces left with the nodes that had them");
  CHECK(error.hint == "Replay it with: swarm simulate --random-seed 4");
  r.ending = sim::Ending::time_up;
  r.virtual_seconds = 3600;
  CHECK(simulation_error(r, "").message == "3 of 8 nodes are not whole after 1h 00m");
  CHECK(simulation_error(r, "").exit == Exit::other);
  r.violations = {"S2: \x1b[2J"};
  CHECK(simulation_error(r, "").exit == Exit::integrity);
  CHECK(simulation_error(r, "").message.find('\x1b') == std::string::npos);
}
