// Whole swarms under the virtual driver: they finish, the same way each time, through any mix of faults.
#include "sim/scenario.hh"

#include <doctest/doctest.h>

#include <set>

using namespace swarm;
using namespace swarm::sim;

namespace {

Plan small(std::uint64_t random_seed, std::uint32_t downloaders = 4) {
  Plan plan;
  plan.random_seed = random_seed;
  plan.downloaders = downloaders;
  plan.bytes_total = 4 << 20;
  plan.piece_bytes = 64 << 10;
  plan.limit = 20min;
  return plan;
}

void expect_right(const Report& report) {
  CHECK_MESSAGE(report.all_right(), report.text());
  CHECK(report.checks_asked > 0);
}

}  // namespace

TEST_CASE("swarm: one seed and 8 downloaders to the end") {
  Scenario scenario(Plan{});
  const Report report = scenario.run();
  MESSAGE("N = 8, 64 MiB: " << report.text());
  expect_right(report);
  CHECK(report.last_seconds >= report.bound_seconds * 0.99);
  for (std::uint32_t i = 1; i <= 8; ++i) CHECK(scenario.ledger(i).payload_sent > 0);  // they helped each other
}

TEST_CASE("swarm: one seed and one downloader take hardly more than the line needs") {
  Plan plan;
  plan.downloaders = 1;
  Scenario scenario(plan);
  const Report report = scenario.run();
  MESSAGE("N = 1, 64 MiB: " << report.text());
  expect_right(report);
  CHECK(report.ratio < 1.05);
  CHECK(report.payload_wasted == 0);
}

TEST_CASE("swarm: by announces, by heartbeats, by given addresses; with strangers among them") {
  for (const auto discovery : {Plan::Discovery::tracker, Plan::Discovery::announces, Plan::Discovery::peers}) {
    for (const std::uint32_t strangers : {0u, 3u, 6u}) {
      CAPTURE(static_cast<int>(discovery));
      CAPTURE(strangers);
      Plan plan = small(5, 6);
      plan.discovery = discovery;
      plan.strangers = strangers;
      expect_right(Scenario(plan).run());
    }
  }
}

TEST_CASE("swarm: the same random seed gives the same event hash, another seed another") {
  const auto hash = [](std::uint64_t random_seed) {
    Plan plan = small(random_seed, 6);
    plan.liars = 1;
    plan.join = Join::random;
    plan.join_within = 300ms;
    Scenario scenario(plan);
    scenario.crash(2, 200ms, 300ms);
    scenario.unplug(3, 300ms, 1s);
    const Report report = scenario.run();
    expect_right(report);
    return report.event_hash;
  };
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto first = hash(seed);
    CHECK(hash(seed) == first);
    hashes.insert(first);
  }
  CHECK(hashes.size() == 5);
}

TEST_CASE("swarm: --up and --down hold, to the byte over seconds") {
  for (const bool up : {true, false}) {
    CAPTURE(up);
    Plan plan;
    plan.downloaders = 1;
    plan.bytes_total = 8 << 20;
    (up ? plan.limit_up : plan.limit_down) = 1'000'000;
    Scenario scenario(plan);
    const Report report = scenario.run();
    expect_right(report);
    CHECK(report.last_seconds ==
          doctest::Approx(8.3).epsilon(0.03));  // less a tenth of a second's worth, which is there at first
  }
}

TEST_CASE("crash: a node goes on from its checkpoint and never fetches a verified piece again") {
  Plan plan;
  plan.random_seed = 11;
  plan.downloaders = 3;
  plan.bytes_total = 32 << 20;
  Scenario scenario(plan);
  const std::uint32_t node = 2;
  constexpr int crashes = 5;
  for (int i = 0; i < crashes; ++i) scenario.crash(node, 500ms + i * 600ms, 50ms);
  const Report report = scenario.run();
  expect_right(report);
  const Ledger& ledger = scenario.ledger(node);
  CHECK(ledger.lives == crashes + 1);
  CHECK(ledger.checks_right > 0);
  // What a life may lose is the blocks of pieces that were begun.
  MESSAGE("received " << double(ledger.payload_received) / double(plan.bytes_total) << " x the content in "
                      << ledger.lives << " lives");
  CHECK(ledger.payload_received <= plan.bytes_total + crashes * (1u << 20));
}

TEST_CASE("crash: after a clean stop nothing is hashed and nothing fetched again") {
  Plan plan;
  plan.random_seed = 12;
  plan.downloaders = 2;
  plan.bytes_total = 32 << 20;
  Scenario scenario(plan);
  scenario.stop(1, 1s, 100ms);
  const Report report = scenario.run();
  expect_right(report);
  CHECK(scenario.ledger(1).lives == 2);
  CHECK(scenario.ledger(1).payload_received <= plan.bytes_total + (1u << 20));
}

TEST_CASE("crash: power cuts lose no durable claim, and the node finishes") {
  std::uint64_t cuts = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    Plan plan = small(seed, 3);
    plan.bytes_total = 16 << 20;
    plan.line = {4'000'000, 4'000'000, 1ms};
    Scenario scenario(plan);
    for (int i = 0; i < 4; ++i) scenario.cut_power(1 + i % 2, 700ms + i * 1100ms, 200ms);
    expect_right(scenario.run());
    cuts += scenario.ledger(1).lives + scenario.ledger(2).lives - 2;
  }
  CHECK(cuts >= 30);
}

TEST_CASE("crash: a block that changes on the disk while its node is down is found before it is served") {
  std::uint64_t found = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    Plan plan = small(seed, 3);
    plan.bytes_total = 16 << 20;
    plan.line = {4'000'000, 4'000'000, 1ms};
    Scenario scenario(plan);
    scenario.crash(1, 3s, 1s);
    for (int i = 0; i < 5; ++i) scenario.damage(1, 3500ms);
    expect_right(scenario.run());
    found += scenario.ledger(1).checks_wrong;
  }
  CHECK(found > 0);
}

TEST_CASE("seed: crashes in the middle and comes back; a link is down for 10 s; all finish") {
  Plan plan = small(21, 4);
  plan.bytes_total = 16 << 20;
  plan.line = {2'000'000, 2'000'000, 1ms};
  Scenario scenario(plan);
  scenario.crash(0, 2s, 3s);
  scenario.unplug(2, 1s, 10s);
  const Report report = scenario.run();
  expect_right(report);
  CHECK(report.last_seconds < 60);
}

TEST_CASE("tracker: dies and comes back with its catalogue, and sees all nodes again within 5 s") {
  Plan plan = small(31, 5);
  plan.bytes_total = 64 << 20;
  plan.line = {2'000'000, 2'000'000, 1ms};  // slow enough to be still moving
  Scenario scenario(plan);
  scenario.crash_tracker(6s, 10s);
  scenario.run_until(5s);
  const auto nodes = [&] { return scenario.tracker()->server().status(scenario.world().now()).nodes.size(); };
  CHECK(nodes() == 6);
  scenario.run_until(15s);
  CHECK_FALSE(scenario.tracker()->running());
  CHECK(scenario.driver(1)->client().stats(TorrentId{0}, scenario.world().now()).rate_down > 100'000);  // it goes on
  scenario.run_until(16s + 1ms);
  REQUIRE(scenario.tracker()->running());
  const auto back = scenario.tracker()->server().status(scenario.world().now());
  REQUIRE(back.files.size() == 1);
  CHECK(back.files[0].catalogued);
  scenario.run_until(21s);
  CHECK(nodes() == 6);
  const auto status = scenario.tracker()->server().status(scenario.world().now());
  REQUIRE(status.files.size() == 1);
  CHECK(status.files[0].copies > 1);  // they told what they have, not only that they are there
  expect_right(scenario.run());
}

TEST_CASE("liar: is found out and banned by everyone whom it harmed, and everyone finishes") {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    Plan plan = small(seed, 5);
    plan.bytes_total = 16 << 20;
    plan.liars = 1;
    Scenario scenario(plan);
    const Report report = scenario.run();
    expect_right(report);
    const Endpoint liar = scenario.endpoint(scenario.first_liar());
    std::uint32_t banned_by = 0;
    for (std::uint32_t i = scenario.first_downloader(); i < scenario.first_liar(); ++i) {
      const Ledger& ledger = scenario.ledger(i);
      for (const Endpoint& who : ledger.banned) CHECK(who == liar);  // nobody honest
      CHECK(ledger.banned.size() <= 1);                              // and each once
      banned_by += !ledger.banned.empty();
      if (ledger.pieces_wrong > 0) CHECK_FALSE(ledger.banned.empty());
    }
    CHECK(banned_by > 0);
  }
}
