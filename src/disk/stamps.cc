#include <algorithm>
#include <cerrno>
#include <ctime>

#include "disk/storage.hh"

namespace swarm::disk {

bool settle(const std::vector<FileStamp>& stamps, std::chrono::milliseconds wait_max) {
  constexpr std::int64_t second = 1'000'000'000;
  constexpr std::int64_t fine_tick = 20'000'000;    // Linux stamps with a clock that moves every 1 … 10 ms
  constexpr std::int64_t coarse_tick = 2 * second;  // vfat; one second on ext3 and old NFS
  timespec now_ts{};
  ::clock_gettime(CLOCK_REALTIME, &now_ts);
  const std::int64_t now = std::int64_t{now_ts.tv_sec} * second + now_ts.tv_nsec;
  std::int64_t wait = 0;
  for (const FileStamp& stamp : stamps) {
    const std::int64_t tick = stamp.mtime_ns % second == 0 ? coarse_tick : fine_tick;
    const std::int64_t age = now - stamp.mtime_ns;
    const bool far_ahead = age < -coarse_tick;  // somebody set it; no write will get that time soon
    if (age < tick && !far_ahead) wait = std::max(wait, tick - age);
  }
  if (wait > std::chrono::nanoseconds(wait_max).count()) return false;
  timespec left{wait / second, wait % second};
  while (wait > 0 && ::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
  return true;
}

}  // namespace swarm::disk
