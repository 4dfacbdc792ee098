#include "sim/plan.hh"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "sim/chance.hh"
#include "sim/suite.hh"

using namespace swarm;
using namespace swarm::sim;

TEST_CASE("plan: shares and numbers of nodes") {
  CHECK(parse_part("20%", 10) == 2u);
  CHECK(parse_part("0.2", 10) == 2u);
  CHECK(parse_part("3", 10) == 3u);
  CHECK(parse_part("1", 10) == 1u);
  CHECK(parse_part("100%", 10) == 10u);
  CHECK(parse_part("1.0", 10) == 10u);
  for (const auto* wrong : {"", "11", "-1", "101%", "1.1", "x", "3x", "%", "1e1", "nan", ".", "2 %"})
    CHECK_MESSAGE(parse_part(wrong, 10) == std::nullopt, wrong);
}

TEST_CASE("plan: rates of what befalls nodes") {
  CHECK(parse_share_rate("10%/min") == 10.0);
  CHECK(parse_share_rate("10%/m") == 10.0);
  CHECK(parse_share_rate("1%/s") == 60.0);
  CHECK(parse_share_rate("30%/h") == 0.5);
  for (const auto* wrong : {"10%", "10/min", "x%/min", "10%/day", "-1%/min", "%/min", "10%/"})
    CHECK_MESSAGE(parse_share_rate(wrong) == std::nullopt, wrong);
}

TEST_CASE("plan: partitions") {
  CHECK(parse_partition("2@3s+10s") == Partition{2, 3s, 10s});
  CHECK(parse_partition("3@1m+200ms") == Partition{3, 1min, 200ms});
  for (const auto* wrong : {"", "2", "2@3s", "1@3s+1s", "0.5@1s+1s", "2@+1s", "2@x+1s", "@1s+1s", "2+1s@3s"})
    CHECK_MESSAGE(parse_partition(wrong) == std::nullopt, wrong);
}

TEST_CASE("plan: ways to join") {
  Plan plan;
  CHECK(parse_join("staggered:30s", plan));
  CHECK((plan.join == Join::staggered && plan.join_within == 30s));
  CHECK(parse_join("poisson:120/min", plan));
  CHECK((plan.join == Join::poisson && plan.join_rate == 2));
  CHECK(parse_join("random:2m", plan));
  CHECK((plan.join == Join::random && plan.join_within == 2min));
  CHECK(parse_join("all", plan));
  CHECK(plan.join == Join::all);
  for (const auto* wrong :
       {"", "none", "staggered", "staggered:", "poisson:2", "poisson:0/s", "all:3s", "poisson:-1/s"})
    CHECK_MESSAGE(!parse_join(wrong, plan), wrong);
}

TEST_CASE("plan: durations as parse_duration() reads them back") {
  CHECK(duration_text(0s) == "0s");
  CHECK(duration_text(90s) == "1m30s");
  CHECK(duration_text(1h + 1ms) == "1h1ms");
  CHECK(duration_text(1500ms) == "1s500ms");
  CHECK(duration_text(1ms + 100us) == "1ms100us");
}

TEST_CASE("plan: other numbers of nodes keep the shares") {
  Plan plan = *find_plan("liars", 1);
  REQUIRE((plan.liars == 2 && plan.downloaders == 8));
  set_nodes(plan, 100);
  CHECK((plan.liars == 20 && plan.downloaders == 80));
  set_nodes(plan, 1);
  CHECK(plan.nodes() == 1);
  Plan riders = *find_plan("free-riders", 1);
  set_nodes(riders, 50);
  CHECK((riders.free_riders == 10 && riders.downloaders == 50));
}

TEST_CASE("plan: its command says what differs, and nothing else") {
  CHECK(command_of(Plan{}) == "swarm simulate --random-seed 1");
  Plan plan;
  plan.downloaders = 16;
  plan.churn = 10;
  plan.line.up_rate = 125'000;
  plan.line.delay = 250us;
  plan.random_seed = 7;
  CHECK(command_of(plan) == "swarm simulate --nodes 16 --up 1Mbit --rtt 1ms --churn 10%/min --random-seed 7");
  for (const KnownScenario& known : known_scenarios()) {
    const Plan drawn = *find_plan(known.name, 42);
    CHECK(command_of(drawn) == "swarm simulate --scenario " + std::string(known.name) + " --random-seed 42");
  }
  Plan changed = *find_plan("churn", 2);
  set_nodes(changed, 64);
  CHECK(command_of(changed) == "swarm simulate --scenario churn --nodes 64 --random-seed 2");
  CHECK_FALSE(find_plan("", 1).has_value());
}

TEST_CASE("chance: exponential times have the mean and the tail that they should have") {
  Random random(3);
  double sum = 0;
  int long_ones = 0;
  constexpr int draws = 100'000;
  for (int i = 0; i < draws; ++i) {
    const double s = seconds(exponential(random, 2s));
    CHECK(s >= 0);
    sum += s;
    long_ones += s > 6;  // three means: e^-3 of them
  }
  CHECK(sum / draws == doctest::Approx(2).epsilon(0.02));
  CHECK(static_cast<double>(long_ones) / draws == doctest::Approx(std::exp(-3.0)).epsilon(0.05));
  CHECK(exponential(random, Duration::max()) > 0s);
}
