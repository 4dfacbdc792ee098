#include "disk/descriptor.hh"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace swarm::disk {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int IovCursor::window(std::span<iovec, window_max> window, std::uint64_t bytes_max) const {
  int count = 0;
  std::size_t used = used_;
  for (const iovec& entry : list_) {
    if (count == window_max || bytes_max == 0) break;
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(entry.iov_len - used, bytes_max));
    if (length > 0) window[count++] = {static_cast<char*>(entry.iov_base) + used, length};
    bytes_max -= length;
    used = 0;
  }
  return count;
}

void IovCursor::advance(std::uint64_t bytes) {
  while (!list_.empty() && bytes >= list_[0].iov_len - used_) {
    bytes -= list_[0].iov_len - used_;
    used_ = 0;
    list_ = list_.subspan(1);
  }
  used_ += bytes;
}

void IovCursor::zero(std::uint64_t bytes) {
  while (bytes > 0) {
    std::array<iovec, window_max> window;
    const int count = this->window(window, bytes);
    if (count == 0) return;
    for (int i = 0; i < count; ++i) {
      std::memset(window[i].iov_base, 0, window[i].iov_len);
      bytes -= window[i].iov_len;
      advance(window[i].iov_len);
    }
  }
}

namespace {

template <class Call>
std::uint64_t transfer(Call call, int fd, std::uint64_t offset, std::uint64_t length, IovCursor& cursor, int* error) {
  *error = 0;
  std::uint64_t moved = 0;
  while (moved < length) {
    std::array<iovec, IovCursor::window_max> window;
    const int count = cursor.window(window, length - moved);
    if (count == 0) break;
    const ssize_t n = call(fd, window.data(), count, static_cast<off_t>(offset + moved));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) *error = errno;
    if (n <= 0) break;
    cursor.advance(static_cast<std::uint64_t>(n));
    moved += static_cast<std::uint64_t>(n);
  }
  return moved;
}

}  // namespace

std::uint64_t read_at(int fd, std::uint64_t offset, std::uint64_t length, IovCursor& into, int* error) {
  return transfer(::preadv, fd, offset, length, into, error);
}

std::uint64_t read_at_once(int fd, std::uint64_t offset, std::uint64_t length, IovCursor& into) {
  int error = 0;
  const auto call = [](int file, const iovec* list, int count, off_t at) {
    return ::preadv2(file, list, count, at, RWF_NOWAIT);
  };
  return transfer(call, fd, offset, length, into, &error);
}

std::uint64_t write_at(int fd, std::uint64_t offset, std::uint64_t length, IovCursor& from, int* error) {
  const std::uint64_t moved = transfer(::pwritev, fd, offset, length, from, error);
  if (moved < length && *error == 0) *error = EIO;  // a disk that takes nothing and says nothing
  return moved;
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace swarm::disk
