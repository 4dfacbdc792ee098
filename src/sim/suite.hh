// Suite: the scenarios that have names. Tests run each over many random seeds, `swarm simulate --scenario NAME` replays one.
//
// They are small worlds on slow lines: what a run costs follows the bytes that move, what can befall it follows the time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "sim/plan.hh"

namespace swarm::sim {

struct KnownScenario {
  std::string_view name;
  std::string_view summary;  ///< a few words for a person
  void (*draw)(Plan& plan);  ///< plan.random_seed says which one
  bool long_one = false;     ///< takes minutes: tests run it with SWARM_BIG=1 only
};

std::span<const KnownScenario> known_scenarios();
/// The plan of that name for this random seed; nothing for other names, the empty one among them.
std::optional<Plan> find_plan(std::string_view name, std::uint64_t random_seed);

}  // namespace swarm::sim
