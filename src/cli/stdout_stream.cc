#include "cli/stdout_stream.hh"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/bytes.hh"

namespace swarm::cli {

namespace {

constexpr std::size_t at_once = 4096;  // PIPE_BUF: what poll promises to take without blocking
constexpr int patience_ms = 50;

bool is_regular(int fd) {
  struct stat s {};
  return ::fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
}

bool takes(int fd, int timeout_ms) {
  pollfd p{fd, POLLOUT, 0};
  return ::poll(&p, 1, timeout_ms) > 0;  // an error too is for write() to tell
}

Error write_error(int error) {
  if (error == EPIPE) return {Exit::other, "reader_left", "nobody reads stdout any more", {}};
  return {error == ENOSPC || error == EDQUOT ? Exit::disk : Exit::other,
          "cannot_write",
          fmt::format("cannot write to stdout: {}", std::strerror(error)),
          {}};
}

}  // namespace

/// What one job works on: bytes that were read and not yet taken.
struct StdoutStream::Chunk {
  Buffer bytes;
  std::size_t taken = 0;
  std::size_t taken_now = 0;  ///< by the latest job
  Result<void> result;

  void write_to(int fd) {
    const auto most = is_regular(fd) ? bytes.size() : at_once;
    int timeout_ms = patience_ms;
    while (taken < bytes.size() && takes(fd, timeout_ms)) {
      const auto n = ::write(fd, bytes.data() + taken, std::min(most, bytes.size() - taken));
      if (n > 0) {
        taken += static_cast<std::size_t>(n);
        taken_now += static_cast<std::size_t>(n);
      } else if (n < 0 && errno == EAGAIN) {
        return;
      } else if (n < 0 && errno != EINTR) {
        result = tl::unexpected(write_error(errno));
        return;
      }
      timeout_ms = taken_now == 0 ? patience_ms : 2;
    }
  }
};

StdoutStream::StdoutStream(uv::Loop& loop, uv::Workers& workers, int fd, std::shared_ptr<disk::Storage> storage,
                           std::uint64_t begin, std::uint64_t end, std::uint32_t piece_bytes,
                           std::function<void(Result<void>)> on_end)
    : workers_(workers),
      fd_(fd),
      storage_(std::move(storage)),
      begin_(begin),
      end_(end),
      at_(begin),
      verified_end_(begin),
      piece_bytes_(piece_bytes),
      on_end_(std::move(on_end)),
      chunk_(std::make_unique<Chunk>()),
      alive_(std::make_shared<bool>(true)),
      soon_(loop, [this] { next(); }) {
  if (begin_ == end_) soon_.start({});
}

StdoutStream::~StdoutStream() { *alive_ = false; }

void StdoutStream::on_verified(const Bitfield& verified) {
  if (verified_end_ >= end_) return;
  const auto first = static_cast<std::size_t>(verified_end_ / piece_bytes_);
  const auto missing = verified.find(false, first);
  verified_end_ = std::clamp(std::uint64_t{missing} * piece_bytes_, verified_end_, end_);
  if (missing >= verified.size()) verified_end_ = end_;
  next();
}

void StdoutStream::look_at_reader() {
  if (busy_ || ended_) return;
  pollfd p{fd_, 0, 0};
  if (::poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLNVAL)) != 0) end(tl::unexpected(write_error(EPIPE)));
}

void StdoutStream::next() {
  if (busy_ || ended_) return;
  if (at_ == end_) return end({});
  if (at_ == verified_end_) return;
  busy_ = true;
  const auto bytes = std::min<std::uint64_t>(chunk_bytes, verified_end_ - at_);
  workers_.run(
      [chunk = std::move(chunk_), storage = storage_, fd = fd_, at = at_, bytes]() mutable {
        chunk->taken_now = 0;
        if (chunk->taken == chunk->bytes.size()) {
          chunk->bytes.resize(static_cast<std::size_t>(bytes));
          chunk->taken = 0;
          const iovec whole{chunk->bytes.data(), chunk->bytes.size()};
          chunk->result = storage->read(at, {&whole, 1});
        }
        if (chunk->result) chunk->write_to(fd);
        return std::move(chunk);
      },
      [this, alive = alive_](std::unique_ptr<Chunk> chunk) {
        if (!*alive) return;
        busy_ = false;
        chunk_ = std::move(chunk);
        at_ += chunk_->taken_now;
        if (!chunk_->result) return end(std::move(chunk_->result));
        if (chunk_->taken_now == 0) return soon_.start(std::chrono::milliseconds(patience_ms));
        next();
      });
}

void StdoutStream::end(Result<void> result) {
  if (std::exchange(ended_, true)) return;
  const auto tell = std::move(on_end_);  // it may destroy this
  tell(std::move(result));
}

}  // namespace swarm::cli
