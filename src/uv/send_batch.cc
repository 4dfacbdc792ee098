#include "uv/send_batch.hh"

#include <cstring>
#include <utility>

namespace swarm::uv {

struct SendBatch::Shared {
  static constexpr std::size_t kept_max = 8;  ///< free buffers of each size

  std::size_t bytes_used = 0;
  std::array<std::vector<std::unique_ptr<std::uint8_t[]>>, SendPool::sizes> free;

  /// The smallest size that fits, or `sizes` when none does.
  static int size_for(std::size_t bytes) {
    int size = 0;
    while (size < SendPool::sizes && SendPool::batch_bytes(size) < bytes) ++size;
    return size;
  }
};

SendBatch::SendBatch(std::shared_ptr<Shared> shared, std::size_t bytes)
    : uv_write_t{}, shared_(std::move(shared)), size_(bytes) {
  const int size = Shared::size_for(bytes);
  capacity_ = size < SendPool::sizes ? SendPool::batch_bytes(size) : bytes;
  shared_->bytes_used += capacity_;
  if (size < SendPool::sizes && !shared_->free[static_cast<std::size_t>(size)].empty()) {
    auto& shelf = shared_->free[static_cast<std::size_t>(size)];
    memory_ = std::move(shelf.back());
    shelf.pop_back();
  } else {
    memory_ = std::make_unique_for_overwrite<std::uint8_t[]>(capacity_);
  }
}

SendBatch::~SendBatch() {
  shared_->bytes_used -= capacity_;
  const int size = Shared::size_for(capacity_);
  if (size == SendPool::sizes) return;
  auto& shelf = shared_->free[static_cast<std::size_t>(size)];
  if (shelf.size() < Shared::kept_max) shelf.push_back(std::move(memory_));
}

Result<void> SendBatch::fill(const core::Outgoing& outgoing, disk::Storage& storage, std::uint32_t piece_bytes) {
  std::vector<iovec> ranges;
  std::uint64_t first = 0, next = 0;  // of the torrent, in bytes: what `ranges` will hold
  const auto read = [&]() -> Result<void> {
    auto result = ranges.empty() ? Result<void>{} : storage.read(first, ranges);
    ranges.clear();
    return result;
  };
  std::size_t at = 0;
  for (const auto& segment : outgoing.segments) {
    if (segment.payload) {
      const auto offset = std::uint64_t{number(segment.piece)} * piece_bytes + segment.begin;
      if (ranges.empty() || offset != next) {
        if (auto result = read(); !result) return result;
        first = offset;
      }
      ranges.push_back({memory_.get() + at, segment.length});
      next = offset + segment.length;
    } else {
      std::memcpy(memory_.get() + at, outgoing.bytes.data() + segment.offset, segment.length);
    }
    at += segment.length;
  }
  return read();
}

SendPool::SendPool() : shared_(std::make_shared<SendBatch::Shared>()) {}

std::unique_ptr<SendBatch> SendPool::take(std::size_t size) {
  return std::unique_ptr<SendBatch>(new SendBatch(shared_, size));
}

std::size_t SendPool::bytes_used() const { return shared_->bytes_used; }

}  // namespace swarm::uv
