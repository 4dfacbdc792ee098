// The named scenarios, each over many random seeds: safety always, then, once the faults have stopped, that everybody finishes. A
// failure names the command that replays it.
//
// SWARM_BIG=1 runs ten times as many and the long ones; SWARM_SEEDS=FIRST-LAST chooses the random seeds of all.
#include "sim/suite.hh"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "sim/scenario.hh"

using namespace swarm;
using namespace swarm::sim;

namespace {

bool big() {
  const char* wanted = std::getenv("SWARM_BIG");
  return wanted != nullptr && std::string(wanted) == "1";
}

struct Seeds {
  std::uint64_t first = 1, last = 1;
};
Seeds seeds(std::uint64_t usual) {
  Seeds out{1, big() ? 10 * usual : usual};
  if (const char* chosen = std::getenv("SWARM_SEEDS")) {
    REQUIRE(std::sscanf(chosen, "%" SCNu64 "-%" SCNu64, &out.first, &out.last) == 2);
  }
  return out;
}

Plan plan_of(std::string_view name, std::uint64_t random_seed) {
  auto plan = find_plan(name, random_seed);
  REQUIRE(plan.has_value());
  return std::move(*plan);
}

/// The honest ones that banned somebody honest; who lies is known here.
std::uint32_t wrongly_banned(Scenario& scenario) {
  std::set<IpAddress> liars;
  for (std::uint32_t i = scenario.first_liar(); i < scenario.nodes(); ++i) liars.insert(scenario.endpoint(i).address);
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < scenario.first_liar(); ++i) {
    for (const Endpoint& banned : scenario.ledger(i).banned) count += liars.contains(banned.address) ? 0 : 1;
  }
  return count;
}

/// What must hold in every run, whatever befalls it: no rule is broken, nobody honest is banned, everybody finishes who can.
Report judged(const Plan& plan) {
  INFO("replay: " << command_of(plan));
  Scenario scenario(plan);
  const Report report = scenario.run();
  CHECK_MESSAGE(report.violations.empty(), report.text());
  CHECK(report.checks_asked > 0);
  CHECK_MESSAGE(wrongly_banned(scenario) == 0, "an honest node was banned");
  const bool could = report.ending != Ending::lost;
  CHECK_MESSAGE((report.all_finished() || !could), report.text());
  return report;
}

struct Tally {
  std::vector<double> ratios;
  std::uint64_t runs = 0, lost = 0, lives = 0, wrong = 0, events = 0;
  double copies = 0, wasted = 0, received = 0;

  void add(const Report& r) {
    ++runs;
    lost += r.ending == Ending::lost;
    if (r.all_finished()) ratios.push_back(r.ratio);
    lives += r.lives;
    wrong += r.pieces_wrong;
    events += r.events;
    copies = std::max(copies, r.seed_copies);
    wasted += static_cast<double>(r.payload_wasted);
    received += static_cast<double>(r.payload_received);
  }
  std::string text() {
    std::ranges::sort(ratios);
    if (ratios.empty()) ratios.push_back(0);
    return fmt::format(
        "{} runs: ratio {:.2f} … {:.2f} … {:.2f}; at most {:.2f} copies from the seeds, {:.2f} % wasted, {} lives, "
        "{} wrong pieces, {} lost, {} events",
        runs, ratios.front(), ratios[ratios.size() / 2], ratios.back(), copies,
        received > 0 ? 100 * wasted / received : 0, lives, wrong, lost, events);
  }
};

}  // namespace

TEST_CASE("suite: each scenario over many random seeds") {
  for (const KnownScenario& known : known_scenarios()) {
    if (known.name == "mixed" || (known.long_one && !big())) continue;
    const auto [first, last] = known.long_one ? Seeds{1, 1} : seeds(10);
    Tally tally;
    for (std::uint64_t seed = first; seed <= last; ++seed) tally.add(judged(plan_of(known.name, seed)));
    MESSAGE(std::string(known.name) << ", " << tally.text());
    CHECK(tally.lost == 0);
    // Slow lines, where a block takes long: what is on its way from one is not asked of another.
    if (known.name == "churn" || known.name == "crashes") CHECK(tally.wasted < 0.05 * tally.received);
  }
}

TEST_CASE("suite: mixed faults over hundreds of random seeds") {
  const auto [first, last] = seeds(500);
  Tally tally;
  std::uint64_t nodes = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const Plan plan = plan_of("mixed", seed);
    nodes += plan.seeds + plan.downloaders;
    tally.add(judged(plan));
  }
  MESSAGE("mixed, " << tally.text());
  if (std::getenv("SWARM_SEEDS") != nullptr) return;
  CHECK(tally.lives > nodes + tally.runs / 2);  // nodes did come again,
  CHECK(tally.wrong > tally.runs / 4);          // and liars did lie
}

TEST_CASE("suite: twenty random seeds, each run twice, give the same event hash twice") {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Plan plan = plan_of("mixed", 1000 + seed);
    INFO("replay: " << command_of(plan));
    const Report once = Scenario(plan).run(), again = Scenario(plan).run();
    CHECK(once.event_hash == again.event_hash);
    CHECK(once.events == again.events);
    CHECK(once.last_seconds == again.last_seconds);
    hashes.insert(once.event_hash);
  }
  CHECK(hashes.size() == 20);
}

TEST_CASE("suite: whoever looks on changes nothing") {
  const Plan plan = plan_of("churn", 3);
  Scenario watched(plan);
  std::uint64_t noted = 0;
  watched.world().watch([&noted](Happened, std::uint32_t, std::uint64_t, std::uint64_t) { ++noted; });
  for (int i = 0; watched.step(); ++i) {
    if (i % 100 == 0) {
      CHECK(watched.status().nodes.size() <= watched.nodes());
      watched.sample();
      watched.report();
    }
  }
  CHECK(noted > 0);
  CHECK(watched.report().event_hash == Scenario(plan).run().event_hash);
}

TEST_CASE("suite: each planted bug is caught, and without one nothing is") {
  struct Planted {
    Canary canary;
    const char* what;
    Rule rule;  ///< that has to be broken
  };
  const Planted all[] = {{Canary::accept_wrong, "a digest is called right whatever it is", Rule::whole},
                         {Canary::serve_unverified, "HAVE before verified", Rule::verified},
                         {Canary::skip_sync, "a checkpoint without a sync", Rule::durable},
                         {Canary::wrong_byte, "the seed serves a wrong byte", Rule::verified},
                         {Canary::lost_wake_up, "a wake-up is lost", Rule::contract}};
  const auto world = [](std::uint64_t seed, Canary canary) {
    Plan plan;
    plan.random_seed = seed;
    plan.downloaders = 4;
    plan.liars = 1;
    plan.bytes_total = 16u << 20;
    plan.piece_bytes = 64u << 10;
    plan.line = {2'000'000, 2'000'000, 1ms};
    plan.disk.rate = 20'000'000;
    plan.limit = 60s;
    plan.canary = canary;
    for (std::uint32_t i = 0; i < 4; ++i) plan.faults.push_back({Fault::Kind::cut_power, 1 + i, 3s + 700ms * i, 100ms});
    return plan;
  };
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const Report report = Scenario(world(seed, Canary::none)).run();
    CHECK_MESSAGE(report.all_right(), report.text());
  }
  for (const Planted& planted : all) {
    std::uint64_t failures = 0, runs = 0;
    for (std::uint64_t seed = 1; seed <= 20 && failures == 0; ++seed, ++runs) {
      Scenario scenario(world(seed, planted.canary));
      scenario.run();
      failures += scenario.checks().failures(planted.rule);
    }
    CHECK_MESSAGE(failures > 0, planted.what);
    MESSAGE(std::string(planted.what) << ": caught after " << runs << " runs");
  }
}

TEST_CASE("fleet: a seed that ends when so many whole copies exist does so, and everybody finishes") {
  Plan plan = plan_of("flash-crowd", 1);
  plan.until_copies = 3;
  plan.join = Join::staggered;
  plan.join_within = 60s;
  Scenario scenario(plan);
  bool left = false;
  while (scenario.step()) {
    if (left || scenario.driver(0) != nullptr) continue;
    left = true;
    std::uint32_t whole = 0;
    for (std::uint32_t i = scenario.first_downloader(); i < scenario.first_liar(); ++i)
      whole += scenario.ledger(i).whole_at.has_value();
    CHECK(whole >= 3);
  }
  const Report report = scenario.report();
  CHECK_MESSAGE(report.all_right(), report.text());
  CHECK(left);
}

TEST_CASE("fleet: late joiners finish, each as fast as one transfer at full rate takes, hardly more") {
  Plan plan = plan_of("staggered", 1);
  plan.join_within = 200s;  // one after another is whole before the next one comes
  const Report report = judged(plan);
  MESSAGE("late joiners: " << report.text());
  CHECK(report.median_seconds < 1.5 * report.bound_seconds);
}

TEST_CASE("fleet: the swarm finishes without its seed as soon as one whole copy is among it") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Plan plan = plan_of("seed-leaves", seed);
    plan.seed_leaves_after = 2;
    const Report report = judged(plan);
    CHECK_MESSAGE(report.ending == Ending::all_whole, report.text());
    CHECK(report.seed_copies < 2.2);
  }
}

TEST_CASE("fleet: when pieces leave with their last holder, the run ends soon, and says how many") {
  Plan plan = plan_of("seed-leaves", 1);
  plan.seed_leaves_after = 0.5;
  const Report report = Scenario(plan).run();
  CHECK(report.ending == Ending::lost);
  CHECK(report.pieces_lost >= 64 / 2 - 2);
  CHECK(report.finished == 0);
  CHECK(report.violations.empty());
  CHECK(report.virtual_seconds < 60);
}

TEST_CASE("fleet: one node with a tenth of the rate does not slow the others") {
  std::vector<double> with, without;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    for (const std::uint32_t slow : {0u, 1u}) {
      Plan plan = plan_of("slow-node", seed);
      plan.slow = slow;
      Scenario scenario(plan);
      const Report report = scenario.run();
      CHECK_MESSAGE(report.all_right(), report.text());
      double last = 0;
      for (std::uint32_t i = scenario.first_downloader(); i + 1 < scenario.first_liar(); ++i) {
        last = std::max(last, scenario.seconds_to_whole(i).value_or(1e9));
      }
      (slow == 0 ? without : with).push_back(last);
    }
  }
  std::ranges::sort(with);
  std::ranges::sort(without);
  MESSAGE("the last of the fast ones: median " << without[2] << " s, beside a slow node " << with[2] << " s");
  CHECK(with[2] < 1.06 * without[2]);
}

TEST_CASE("fairness: what a fifth of free riders costs the honest ones, and what it gains them") {
  std::vector<double> honest_alone, honest, riders;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Plan plan = plan_of("free-riders", seed);
    plan.free_riders = 0;
    honest_alone.push_back(Scenario(plan).run().last_seconds);
    plan.free_riders = 2;
    const Report report = judged(plan);
    honest.push_back(report.last_seconds);
    // One that has not finished when the last honest one has took longer than any of them.
    riders.push_back(report.free_riders_finished < report.free_riders
                         ? 1e9
                         : report.free_riders_median_seconds - report.median_seconds);
  }
  std::ranges::sort(honest_alone);
  std::ranges::sort(honest);
  std::ranges::sort(riders);
  MESSAGE("last honest node: " << honest_alone[2] << " s without free riders, " << honest[2]
                               << " s with; free riders are " << riders[2] << " s behind the honest ones");
  CHECK(honest[2] < 1.1 * honest_alone[2]);
  CHECK(riders[2] > 0);
}

TEST_CASE(
    "fairness: a big file on fast lines, too, takes the honest ones hardly longer because of a fifth of free riders") {
  for (const std::uint32_t nodes : {10u, 20u}) {
    double last[2] = {};
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      for (const bool riding : {false, true}) {
        Plan plan;
        plan.random_seed = seed;
        plan.downloaders = nodes;
        plan.free_riders = riding ? nodes / 5 : 0;
        const Report report = judged(plan);
        last[riding] += report.last_seconds;
        CHECK(report.free_riders_finished == 0);  // all of them are behind the last honest one
      }
    }
    MESSAGE(nodes << " nodes: with free riders " << last[1] / last[0] << " of the time without");
    CHECK(last[1] < 1.1 * last[0]);
  }
}
