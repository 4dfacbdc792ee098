// What a fuzz target gives: a function that takes any bytes and ends the program when something is wrong, and examples
// of good input. libFuzzer calls the function, or replay.cc does, which needs no special compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace swarm::test {

/// Where mutation starts from.
std::vector<std::string> examples();

/// Counted by the target: inputs that were well formed. A run without any has tested nothing but the first byte.
inline std::uint64_t accepted = 0;

}  // namespace swarm::test
