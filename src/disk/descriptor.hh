// Descriptor: an open file that closes itself, and whole reads and writes through it. EINTR and short transfers stay
// here.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/bytes.hh"

namespace swarm::disk {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// A position in a gather or scatter list that moves by bytes.
class IovCursor {
 public:
  static constexpr int window_max = 256;  ///< entries a system call gets; 4 KiB of stack

  explicit IovCursor(std::span<const iovec> list) : list_(list) {}

  /// Fills `window` with what comes next, at most `bytes_max` bytes; gives the number of entries. Skips empty ones.
  int window(std::span<iovec, window_max> window, std::uint64_t bytes_max) const;
  void advance(std::uint64_t bytes);
  /// Fills the next bytes of a scatter list with zeros and advances over them.
  void zero(std::uint64_t bytes);

 private:
  std::span<const iovec> list_;
  std::size_t used_ = 0;  ///< bytes of list_[0] that are behind the cursor
};

/// Both move exactly `length` bytes unless something stops them, and advance the cursor by what moved. They give the
/// bytes moved: short with *error = 0 is the end of the file; else *error is errno.
std::uint64_t read_at(int fd, std::uint64_t offset, std::uint64_t length, IovCursor& into, int* error);
std::uint64_t write_at(int fd, std::uint64_t offset, std::uint64_t length, IovCursor& from, int* error);

/// As read_at(), but only what can be had without waiting for a disk; short says no more than that.
std::uint64_t read_at_once(int fd, std::uint64_t offset, std::uint64_t length, IovCursor& into);

/// Folder and last element: "a/b/c" is "a/b" and "c", "c" is "." and "c", "/c" is "/" and "c".
std::pair<std::string, std::string> split_path(const std::string& path);

}  // namespace swarm::disk
