// How fast bytes flow: totals, and a rate over the last few seconds.
#pragma once

#include <array>
#include <cstdint>

#include "base/instant.hh"

namespace swarm {

/// A sliding window of 8 slots of 500 ms: add() and rate() are O(slots) at worst, without allocation. A rate is right
/// within one slot for steady flows, and 0 at most 4 s after the last byte.
class Meter {
 public:
  void add(std::uint64_t bytes, Instant now);
  std::uint64_t total() const { return total_; }
  /// Bytes per second over the window, or since the first byte when that is shorter (but at least one slot).
  double rate(Instant now) const;

 private:
  static constexpr Duration slot = 500ms;
  static constexpr std::int64_t slots = 8;
  void advance(std::int64_t slot_now);

  std::array<std::uint64_t, slots> bytes_{};
  std::int64_t newest_ = -1;  ///< number of the newest slot, -1 before the first byte
  std::int64_t first_ = -1;   ///< slot of the first byte since the meter was last empty
  std::uint64_t total_ = 0;
};

}  // namespace swarm
