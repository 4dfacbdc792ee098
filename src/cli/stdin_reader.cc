#include "cli/stdin_reader.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/text.hh"

namespace swarm::cli {

namespace {

constexpr int patience_ms = 50;
constexpr std::size_t block_bytes = 1u << 20;

struct Slice {
  std::uint64_t bytes = 0;
  bool ended = false;
  Result<void> result;
};

tl::unexpected<Error> cannot(const char* what, const std::string& name) {
  const int error = errno;
  if (error == ENOSPC || error == EDQUOT) {
    return fail(Exit::disk, "disk_full", fmt::format("no room for stdin in {}", printable(name)),
                "Say where there is room: TMPDIR=DIR");
  }
  return fail(Exit::disk, "cannot_read", fmt::format("cannot {} {}: {}", what, printable(name), std::strerror(error)));
}

Result<void> write_all(int fd, const std::uint8_t* bytes, std::size_t count, const std::string& path) {
  while (count > 0) {
    const auto n = ::write(fd, bytes, count);
    if (n < 0 && errno != EINTR) return cannot("write", path);
    if (n > 0) bytes += n, count -= static_cast<std::size_t>(n);
  }
  return {};
}

/// On a worker.
Slice read_slice(int from, uv::Descriptor& file, const std::string& path) {
  Slice slice;
  if (!file) file = uv::Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return slice.result = cannot("write", path), slice;
  std::vector<std::uint8_t> block(block_bytes);
  while (slice.bytes < StdinReader::slice_bytes) {
    pollfd p{from, POLLIN, 0};
    if (::poll(&p, 1, patience_ms) == 0) return slice;
    const auto n = ::read(from, block.data(), block.size());
    if (n == 0) return slice.ended = true, slice;
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return slice.result = cannot("read", "stdin"), slice;
    slice.bytes += static_cast<std::uint64_t>(n);
    slice.result = write_all(file.get(), block.data(), static_cast<std::size_t>(n), path);
    if (!slice.result) return slice;
  }
  return slice;
}

}  // namespace

StdinReader::StdinReader(uv::Workers& workers, int fd, std::string path,
                         std::function<void(Result<std::uint64_t>)> done)
    : workers_(workers),
      fd_(fd),
      path_(std::move(path)),
      done_(std::move(done)),
      file_(std::make_shared<uv::Descriptor>()) {
  next();
}

void StdinReader::next() {
  workers_.run([fd = fd_, file = file_, path = path_] { return read_slice(fd, *file, path); },
               [this, alive = alive_](const Slice& slice) {
                 if (!*alive) return;
                 bytes_ += slice.bytes;
                 if (slice.result && !slice.ended) return next();
                 file_->close();
                 const auto tell = std::move(done_);  // it may destroy this
                 tell(slice.result ? Result<std::uint64_t>(bytes_) : tl::unexpected(slice.result.error()));
               });
}

}  // namespace swarm::cli
