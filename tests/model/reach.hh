// Reach's naive twin: everything that it was told, and each time the whole story told anew.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/instant.hh"

namespace model {

struct Reach {
  struct Second {
    double rate = 0;
    std::uint32_t served = 0;
    swarm::Instant at{};
  };
  std::vector<Second> told{};

  std::uint32_t served_max(std::uint32_t least, std::uint32_t most, double more, swarm::Duration hold) const {
    std::uint32_t level = least;
    swarm::Instant next_trial{};
    for (std::size_t i = 0; i < told.size();) {
      const double before = i == 0 ? 0 : told[i - 1].rate, rate = told[i].rate;
      const bool even = before > 0 && rate > 0 && rate <= more * before && before <= more * rate;
      if (!even || told[i].served < level || level >= most || told[i].at < next_trial) {
        ++i;
        continue;
      }
      const std::size_t end = i + 2;  // of the trial
      if (end >= told.size()) return 2 * level;
      if (told[end].rate >= more * std::max(before, rate)) {
        level *= 2;
      } else {
        next_trial = told[end].at + hold;
      }
      i = end;
    }
    return level;
  }
};

}  // namespace model
