#include "sim/stream.hh"

#include <algorithm>

namespace swarm::sim {

void Flow::push(ByteView small) {
  if (small.empty()) return;
  append(small_, small);
  const auto length = static_cast<std::uint32_t>(small.size());
  pushed_ += length;
  unsent_ += length;
  if (send_at_ < segments_.size() && !segments_.back().payload) {
    segments_.back().run.length += length;
  } else {
    segments_.push_back({false, {.content = 0, .piece = {}, .begin = 0, .length = length, .tag = Tag::none}});
  }
}

void Flow::push(const Run& run) {
  pushed_ += run.length;
  unsent_ += run.length;
  segments_.push_back({true, run});
}

std::uint32_t Flow::next_chunk(std::uint32_t chunk_bytes) const {
  std::uint32_t bytes = 0, done = send_done_;
  for (std::size_t at = send_at_; at < segments_.size(); ++at, done = 0) {
    const std::uint32_t rest = segments_[at].run.length - done;
    if (segments_[at].payload) return bytes + std::min(rest, chunk_bytes);
    bytes += std::min(rest, chunk_bytes - bytes);
    if (bytes == chunk_bytes) break;
  }
  return bytes;
}

void Flow::on_sent(std::uint32_t bytes) {
  unsent_ -= bytes;
  flying_ += bytes;
  while (bytes > 0) {
    const std::uint32_t here = std::min(segments_[send_at_].run.length - send_done_, bytes);
    send_done_ += here;
    bytes -= here;
    if (send_done_ == segments_[send_at_].run.length) ++send_at_, send_done_ = 0;
  }
}

void Flow::on_arrived(std::uint32_t bytes) {
  flying_ -= bytes;
  arrived_ += bytes;
}

void Flow::drop_front(std::uint32_t bytes) {
  arrived_ -= bytes;
  dropped_ += bytes;
  while (bytes > 0) {
    const std::uint32_t here = std::min(segments_.front().run.length - front_done_, bytes);
    leave_front(here);
    bytes -= here;
  }
}

void Flow::drop_unsent() {
  dropped_ += unsent_;
  unsent_ = 0;
  while (segments_.size() > send_at_ + (send_done_ > 0 ? 1 : 0)) {
    if (!segments_.back().payload) small_.resize(small_.size() - segments_.back().run.length);
    segments_.pop_back();
  }
  if (send_done_ == 0) return;
  Segment& last = segments_.back();
  if (!last.payload) small_.resize(small_.size() - (last.run.length - send_done_));
  last.run.length = send_done_;
  ++send_at_, send_done_ = 0;
  if (segments_.size() == 1 && front_done_ == last.run.length) leave_front(0);
}

void Flow::leave_front(std::uint32_t bytes) {
  front_done_ += bytes;
  Segment& front = segments_.front();
  if (!front.payload) {
    small_head_ += bytes;
    if (small_head_ == small_.size()) {
      small_.clear();
      small_head_ = 0;
    } else if (small_head_ > 4096 && small_head_ > small_.size() / 2) {
      small_.erase(small_.begin(), small_.begin() + static_cast<std::ptrdiff_t>(small_head_));
      small_head_ = 0;
    }
  }
  if (front_done_ < front.run.length) return;
  // Only what was sent can leave, so that send_at_ stands behind the front unless part of it is still to be sent.
  segments_.pop_front();
  front_done_ = 0;
  --send_at_;
}

}  // namespace swarm::sim
