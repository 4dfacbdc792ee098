// Trace: what happens in a world, one JSON object a line: when, at which node, what. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/instant.hh"
#include "sim/world.hh"

namespace swarm::sim {

/// {"seconds":1.204512000,"node":"node3","what":"stored","piece":17}; without a line end.
std::string trace_line(Instant when, std::string_view node, Happened what, std::uint64_t a, std::uint64_t b);

}  // namespace swarm::sim
