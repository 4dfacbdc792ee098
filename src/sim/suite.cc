#include "sim/suite.hh"

#include <algorithm>
#include <array>

namespace swarm::sim {

namespace {

/// 10 nodes at 2 Mbit/s and 4 MiB in 64 pieces: 17 s for one transfer.
void small(Plan& plan) {
  plan.downloaders = 10;
  plan.bytes_total = 4u << 20;
  plan.piece_bytes = 64u << 10;
  plan.line = {250'000, 250'000, 2500us};
  plan.limit = 20min;
}

void flash_crowd(Plan& plan) { small(plan); }

void staggered(Plan& plan) {
  small(plan);
  plan.join = Join::staggered;
  plan.join_within = 40s;
}

void heterogeneous(Plan& plan) {
  small(plan);
  plan.downloaders = 16;
  plan.profile = known_profile("mixed");
  plan.bytes_total = 16u << 20;
}

/// So slow that a tenth of the nodes a minute is one or two.
void churn(Plan& plan) {
  small(plan);
  plan.downloaders = 16;
  plan.line = {50'000, 50'000, 2500us};
  plan.churn = 10;
}

void crashes(Plan& plan) {
  small(plan);
  plan.line = {50'000, 50'000, 2500us};
  plan.crash = 50;
}

void seed_leaves(Plan& plan) {
  small(plan);
  plan.seed_leaves_after = 1.05;
}

void tracker_dies(Plan& plan) {
  small(plan);
  plan.tracker_dies_at = 5s;
}

void partition(Plan& plan) {
  small(plan);
  plan.partitions = {{2, 5s, 60s}};
}

void free_riders(Plan& plan) {
  small(plan);
  plan.free_riders = 2;
}

void liars(Plan& plan) {
  small(plan);
  plan.downloaders = 8;
  plan.liars = 2;
}

void slow_node(Plan& plan) {
  small(plan);
  plan.slow = 1;
}

/// A terabyte of which each node lacks 64 pieces.
void huge(Plan& plan) {
  plan.downloaders = 3;
  plan.bytes_total = std::uint64_t{1} << 40;
  plan.piece_bytes = 16u << 20;
  plan.line = {1'250'000'000, 1'250'000'000, 250us};
  plan.have = 1 - 64.0 / 65536;
}

/// Anything, on any lines and disks, with up to five faults of any kind.
void mixed(Plan& plan) {
  Random chance(plan.random_seed * 1'000'003);
  const auto one_in = [&chance](std::uint64_t n) { return chance.below(n) == 0; };
  plan.downloaders = static_cast<std::uint32_t>(2 + chance.below(5));
  plan.bytes_total = 500'000 + chance.below(6'000'000);
  plan.piece_bytes = 16'384u << chance.below(4);
  plan.line = {200'000 + chance.below(3'000'000), 200'000 + chance.below(3'000'000),
               Duration(chance.below(40'000'000))};
  plan.seeds = static_cast<std::uint32_t>(1 + chance.below(2));
  plan.liars = static_cast<std::uint32_t>(chance.below(2));
  plan.strangers = static_cast<std::uint32_t>(chance.below(plan.downloaders + 1));
  plan.discovery = static_cast<Plan::Discovery>(chance.below(3));
  plan.join = Join::random;
  plan.join_within = Duration(chance.below(3'000'000'000));
  plan.disk.rate = 500'000 + chance.below(20'000'000);
  plan.disk.sync_latency = Duration(chance.below(100'000'000));
  plan.network.chunk_bytes = static_cast<std::uint32_t>(500 + chance.below(16'000));
  plan.network.send_buffer_bytes = 20'000 + chance.below(300'000);
  plan.leave_when_whole = one_in(2);
  if (one_in(3)) plan.limit_up = 100'000 + chance.below(2'000'000);
  if (one_in(3)) plan.limit_down = 100'000 + chance.below(2'000'000);
  if (one_in(4)) plan.free_riders = static_cast<std::uint32_t>(chance.below(plan.downloaders));
  if (one_in(4)) plan.slow = 1;
  if (one_in(4)) plan.have = chance.unit();
  if (one_in(4)) plan.line.jitter = Duration(chance.below(20'000'000));
  if (one_in(4)) plan.line.loss = 0.02 * chance.unit();
  if (one_in(4)) {
    plan.partitions.push_back({static_cast<std::uint32_t>(2 + chance.below(2)), Duration(chance.below(5'000'000'000)),
                               Duration(chance.below(20'000'000'000))});
  }
  if (one_in(6)) plan.churn = static_cast<double>(chance.below(200));
  if (one_in(6)) plan.crash = static_cast<double>(chance.below(300));
  for (auto faults = chance.below(6); faults > 0; --faults) {
    Fault fault;
    fault.kind = static_cast<Fault::Kind>(chance.below(6));
    fault.node = static_cast<std::uint32_t>(chance.below(plan.seeds + plan.downloaders));
    fault.at = Duration(chance.below(8'000'000'000));
    fault.lasts = Duration(chance.below(4'000'000'000));
    plan.faults.push_back(fault);
  }
  // Not where somebody starts or comes back later: without a tracker it would find nobody.
  const bool all_stay = plan.faults.empty() && plan.partitions.empty() && plan.churn == 0 && plan.crash == 0;
  if (all_stay && one_in(3)) plan.tracker_dies_at = 5s + Duration(chance.below(5'000'000'000));
  plan.limit = 20min;
}

constexpr std::array known{
    KnownScenario{"flash-crowd", "all start at once", flash_crowd},
    KnownScenario{"staggered", "one starts after the other", staggered},
    KnownScenario{"heterogeneous", "racks, offices and homes", heterogeneous},
    KnownScenario{"churn", "a tenth of the nodes leaves a minute, and others come", churn},
    KnownScenario{"crashes", "half of the nodes are killed a minute, and start again", crashes},
    KnownScenario{"seed-leaves", "the seed leaves after 1.05 copies", seed_leaves},
    KnownScenario{"tracker-dies", "the tracker dies and does not come back", tracker_dies},
    KnownScenario{"partition", "two halves cannot reach each other for a minute", partition},
    KnownScenario{"free-riders", "a fifth of the nodes uploads nothing", free_riders},
    KnownScenario{"liars", "a fifth of the nodes sends wrong bytes", liars},
    KnownScenario{"slow-node", "one node has a tenth of the rates", slow_node},
    KnownScenario{"huge", "1 TiB in 65,536 pieces, of which each node lacks 64", huge, true},
    KnownScenario{"mixed", "anything, with faults of any kind", mixed},
};

}  // namespace

std::span<const KnownScenario> known_scenarios() { return known; }

std::optional<Plan> find_plan(std::string_view name, std::uint64_t random_seed) {
  const auto found = std::ranges::find(known, name, &KnownScenario::name);
  if (found == known.end()) return std::nullopt;
  Plan plan;
  plan.random_seed = random_seed;
  plan.scenario = name;
  found->draw(plan);
  return plan;
}

}  // namespace swarm::sim
