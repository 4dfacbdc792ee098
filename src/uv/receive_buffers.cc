#include "uv/receive_buffers.hh"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace swarm::uv {

struct ReceiveBuffers::Pool {
  static constexpr std::size_t free_max = 16;  ///< more than these go back to the system

  std::mutex mutex;
  std::vector<std::unique_ptr<std::uint8_t[]>> free;
  std::size_t in_use = 0;

  std::unique_ptr<std::uint8_t[]> take() {
    const std::lock_guard lock(mutex);
    if (in_use >= buffers_max) return {};
    ++in_use;
    if (free.empty()) return std::make_unique_for_overwrite<std::uint8_t[]>(buffer_bytes);
    auto buffer = std::move(free.back());
    free.pop_back();
    return buffer;
  }
  void give(std::unique_ptr<std::uint8_t[]> buffer) noexcept {
    const std::lock_guard lock(mutex);
    --in_use;
    if (free.size() < free_max) free.push_back(std::move(buffer));
  }
};

ReceiveBuffers::ReceiveBuffers() : pool_(std::make_shared<Pool>()) { pool_->free.reserve(Pool::free_max); }

ByteSpan ReceiveBuffers::room() {
  if ((!current_ || buffer_bytes - used_ < room_min) && !next()) return {};
  return {current_.get() + used_, buffer_bytes - used_};
}

bool ReceiveBuffers::next() {
  current_.reset();
  used_ = kept_ = 0;
  auto fresh = pool_->take();
  if (!fresh) return false;
  current_ = {fresh.release(),
              [pool = pool_](std::uint8_t* bytes) { pool->give(std::unique_ptr<std::uint8_t[]>(bytes)); }};
  return true;
}

std::uint32_t ReceiveBuffers::received(std::size_t bytes) {
  const auto from = static_cast<std::uint32_t>(used_);
  used_ += bytes;
  return from;
}

disk::BlockPart ReceiveBuffers::keep(std::uint32_t from, std::uint32_t length) {
  kept_ = std::max(kept_, std::size_t{from} + length);
  return {current_, view(from, length)};
}

void ReceiveBuffers::done() { used_ = kept_; }

std::size_t ReceiveBuffers::in_use() const {
  const std::lock_guard lock(pool_->mutex);
  return pool_->in_use;
}

}  // namespace swarm::uv
