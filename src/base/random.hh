// The one generator of the core (xoshiro256**): seeded by the driver, the same numbers for a seed on every machine.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "base/bytes.hh"

namespace swarm {

class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept;

  std::uint64_t next() noexcept;
  /// Uniform in 0 … bound-1, without bias; bound > 0.
  std::uint64_t below(std::uint64_t bound) noexcept;
  double unit() noexcept;  ///< uniform in [0, 1)
  void fill(ByteSpan bytes) noexcept;

  template <class T>
  void shuffle(std::span<T> items) noexcept {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace swarm
