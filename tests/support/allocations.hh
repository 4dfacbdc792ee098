// What a call takes from operator new; the program that links allocations.cc counts all of it.
#pragma once

#include <cstddef>

namespace swarm::test {

/// Bytes asked of operator new since the start of the program.
std::size_t bytes_allocated();

template <class Call>
std::size_t bytes_allocated_by(Call call) {
  const auto before = bytes_allocated();
  call();
  return bytes_allocated() - before;
}

}  // namespace swarm::test
