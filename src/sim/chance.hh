// Chance: random numbers of other shapes than Random's own, the same on every machine.
#pragma once

#include "base/instant.hh"
#include "base/random.hh"

namespace swarm::sim {

/// Exponentially distributed, as the times between independent events are. By comparisons of uniform numbers alone (von Neumann,
/// 1951), since the last digits of a library's logarithm are not the same everywhere.
inline Duration exponential(Random& random, Duration mean) {
  for (double whole = 0;; ++whole) {
    const double first = random.unit();
    double last = first;
    unsigned falling = 1;
    for (double next = random.unit(); next < last; next = random.unit()) last = next, ++falling;
    if (falling % 2 == 1) {
      // Capped at a century: a mean may be as large as a person says.
      const double times = whole + first, ns = times * static_cast<double>(mean.count());
      return ns < 3e18 ? Duration(static_cast<Duration::rep>(ns)) : Duration(3'000'000'000'000'000'000);
    }
  }
}

}  // namespace swarm::sim
