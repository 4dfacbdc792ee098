// The picker's naive twin: remembers who has what piece by piece and answers with every piece that may be picked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/bitfield.hh"

namespace model {

struct Picker {
  explicit Picker(std::uint32_t pieces) : availability(pieces), wanted(pieces) {}

  bool sequential = false;
  std::vector<std::uint32_t> availability;
  std::vector<bool> wanted;

  void add(const swarm::Bitfield& has, int by) {
    for (std::size_t p = 0; p < has.size(); ++p) {
      if (has[p]) availability[p] += static_cast<std::uint32_t>(by);
    }
  }

  /// Every piece that the rules allow now; empty: none.
  std::vector<std::uint32_t> allowed(const swarm::Bitfield& peer_has) const {
    std::vector<std::uint32_t> best;
    for (std::uint32_t p = 0; p < wanted.size(); ++p) {
      if (!wanted[p] || !peer_has[std::size_t{p}]) continue;
      if (sequential) return {p};
      if (!best.empty() && availability[p] < availability[best.front()]) best.clear();
      if (best.empty() || availability[p] == availability[best.front()]) best.push_back(p);
    }
    return best;
  }

  std::uint32_t pickable() const { return static_cast<std::uint32_t>(std::count(wanted.begin(), wanted.end(), true)); }

  double copies() const {
    const auto least = *std::min_element(availability.begin(), availability.end());
    const auto above = std::count_if(availability.begin(), availability.end(), [least](auto a) { return a > least; });
    return least + static_cast<double>(above) / static_cast<double>(availability.size());
  }
};

}  // namespace model
