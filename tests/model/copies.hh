// The naive twin of core/tracker/copies.hh: counts from the bitmaps, anew each time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace swarm::model {

inline double copies(std::uint32_t pieces, std::uint32_t whole, const std::vector<std::vector<bool>>& bitmaps) {
  if (pieces == 0) return whole;
  std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> available(pieces, whole);
  for (std::uint32_t p = 0; p < pieces; ++p) {
    for (const auto& has : bitmaps) available[p] += has[p] ? 1 : 0;
    least = std::min(least, available[p]);
  }
  const auto above = std::count_if(available.begin(), available.end(), [least](auto n) { return n > least; });
  return least + static_cast<double>(above) / pieces;
}

}  // namespace swarm::model
