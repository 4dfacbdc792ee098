#include "sim/congestion.hh"

#include <algorithm>
#include <utility>

namespace swarm::sim {

std::uint32_t Congestion::next_burst(std::uint32_t wanted, Instant now, Duration timeout) {
  if (flight_ == 0 && now - last_sent_ > timeout) window_ = std::min(window_, initial_window);
  const std::uint64_t free = window_ - std::min(window_, flight_);
  full_ = free < wanted;
  if (!full_) return wanted;
  const std::uint64_t burst = std::max<std::uint64_t>(segment_bytes, window_ / 8);
  return flight_ > 0 && free < burst ? 0 : static_cast<std::uint32_t>(free);
}

void Congestion::on_sent(std::uint32_t bytes, Instant now) {
  sent_ += bytes;
  flight_ += bytes;
  last_sent_ = now;
}

void Congestion::on_acknowledged(std::uint32_t bytes, std::uint64_t buffer) {
  const std::uint64_t flight = std::exchange(flight_, flight_ - bytes);
  // In slow start half a window under way is use enough, else a line that paces the bursts would hold the window back.
  const bool slow_start = window_ < threshold_;
  if (!limits() || !(full_ || flight >= (slow_start ? window_ / 2 : window_ - window_ / 8))) return;
  if (slow_start) {
    window_ += std::min<std::uint64_t>(bytes, threshold_ - window_);
  } else if ((grown_ += bytes) >= window_) {
    grown_ -= window_;
    window_ += segment_bytes;
  }
  if (window_ >= 2 * buffer) window_ = no_limit;
}

void Congestion::on_lost(std::uint64_t mark) {
  if (mark <= recover_) return;
  recover_ = sent_;
  // Without a limit it was what was on its way that the path could not carry.
  window_ = threshold_ = std::max<std::uint64_t>((limits() ? window_ : flight_) / 2, 2 * segment_bytes);
  grown_ = 0;
}

}  // namespace swarm::sim
