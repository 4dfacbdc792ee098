// Which ranges of a file hold data, as its file system tells (SEEK_DATA, SEEK_HOLE).
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace swarm::disk {

/// Calls f(begin, end) for each range of a file that holds data, within its first `length` bytes; for all of them when
/// that cannot be told.
template <class F>
void each_data(int fd, std::uint64_t length, F&& f) {
  for (off_t at = 0; static_cast<std::uint64_t>(at) < length;) {
    const off_t start = ::lseek(fd, at, SEEK_DATA);
    if (start < 0) {
      if (errno != ENXIO) f(std::uint64_t{0}, length);
      return;
    }
    const off_t end = ::lseek(fd, start, SEEK_HOLE);
    if (end <= start || static_cast<std::uint64_t>(start) >= length) return;
    f(static_cast<std::uint64_t>(start), std::min(static_cast<std::uint64_t>(end), length));
    at = end;
  }
}

}  // namespace swarm::disk
