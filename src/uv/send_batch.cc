#include "uv/send_batch.hh"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace swarm::uv {

namespace {

/// 16 blocks and the messages between them.
constexpr std::size_t buffer_bytes = (256 + 1) * 1024;

ByteSpan thread_buffer() {
  thread_local const std::unique_ptr<std::uint8_t[]> buffer(new std::uint8_t[buffer_bytes]);
  return {buffer.get(), buffer_bytes};
}

}  // namespace

void SendBatch::begin(core::Outgoing& outgoing, Instant now) {
  std::swap(outgoing_, outgoing);
  outgoing.clear();
  storage_.reset();
  const auto payload =
      std::find_if(outgoing_.segments.begin(), outgoing_.segments.end(), [](const auto& s) { return s.payload; });
  payload_ = payload != outgoing_.segments.end();
  if (payload_) torrent_ = payload->torrent;
  began_ = now;
  segment_ = at_ = sent_ = 0;
  error_.reset();
}

void SendBatch::read_from(std::shared_ptr<disk::Storage> storage, std::uint32_t piece_bytes) {
  storage_ = std::move(storage);
  piece_bytes_ = piece_bytes;
}

std::size_t SendBatch::take_sent() { return std::exchange(sent_, 0); }

SendBatch::Outcome SendBatch::send(int socket, Reading reading) {
  const ByteSpan buffer = thread_buffer();
  while (segment_ < outgoing_.segments.size()) {
    const auto gathered = gather(buffer, reading);
    if (!gathered) {
      error_ = gathered.error();
      return Outcome::unreadable;
    }
    if (*gathered == 0) return Outcome::cold;
    const ssize_t n = ::send(socket, buffer.data(), *gathered, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::full : Outcome::ended;
    advance(static_cast<std::size_t>(n));
    if (static_cast<std::size_t>(n) < *gathered) return Outcome::full;
  }
  return Outcome::sent;
}

/// Puts what is next to the start of the buffer; gives how much, which is less than fits only at the end of the batch or
/// before what is not cached.
Result<std::size_t> SendBatch::gather(ByteSpan into, Reading reading) {
  std::size_t filled = 0;   // of the buffer: messages, payload that was read, and
  std::size_t pending = 0;  // payload that is to be read yet, to ranges_,
  std::uint64_t first = 0;  // from this byte of the torrent on
  ranges_.clear();
  const auto settle = [&]() -> Result<bool> {
    if (ranges_.empty()) return true;
    const auto had = read(first, ranges_, reading);
    if (!had) return tl::unexpected(had.error());
    if (*had < pending) {  // what is laid out behind the gap does not count
      std::size_t left = *had;
      for (const iovec& range : ranges_) {
        if (left < range.iov_len) {
          filled = static_cast<std::size_t>(static_cast<std::uint8_t*>(range.iov_base) - into.data()) + left;
          break;
        }
        left -= range.iov_len;
      }
      return false;
    }
    ranges_.clear();
    pending = 0;
    return true;
  };
  std::size_t at = at_;
  for (std::size_t i = segment_; i < outgoing_.segments.size() && filled < into.size(); ++i, at = 0) {
    const auto& segment = outgoing_.segments[i];
    const std::size_t length = std::min(segment.length - at, into.size() - filled);
    if (segment.payload) {
      const auto offset = std::uint64_t{number(segment.piece)} * piece_bytes_ + segment.begin + at;
      if (!ranges_.empty() && offset != first + pending) {
        const auto whole = settle();
        if (!whole) return tl::unexpected(whole.error());
        if (!*whole) return filled;
      }
      if (ranges_.empty()) first = offset;
      ranges_.push_back({into.data() + filled, length});
      pending += length;
    } else {
      std::memcpy(into.data() + filled, outgoing_.bytes.data() + segment.offset + at, length);
    }
    filled += length;
  }
  const auto whole = settle();
  if (!whole) return tl::unexpected(whole.error());
  return filled;
}

Result<std::size_t> SendBatch::read(std::uint64_t offset, std::span<const iovec> into, Reading reading) {
  if (reading == Reading::cached) return storage_->read_cached(offset, into);
  if (auto done = storage_->read(offset, into); !done) return tl::unexpected(std::move(done.error()));
  std::size_t all = 0;
  for (const iovec& range : into) all += range.iov_len;
  return all;
}

void SendBatch::advance(std::size_t bytes) {
  sent_ += bytes;
  while (bytes > 0) {
    const std::size_t part = std::min(bytes, outgoing_.segments[segment_].length - at_);
    at_ += part;
    bytes -= part;
    if (at_ == outgoing_.segments[segment_].length) ++segment_, at_ = 0;
  }
}

}  // namespace swarm::uv
