// Time as the core sees it: points that can be compared and subtracted, on a clock that cannot be read.
#pragma once

#include <chrono>
#include <cstdint>

namespace swarm {

struct CoreClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<CoreClock>;
  static constexpr bool is_steady = true;
};

using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<CoreClock>;  ///< since an origin that the driver chose; monotonic

using namespace std::chrono_literals;

inline double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
inline Duration from_seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

}  // namespace swarm
