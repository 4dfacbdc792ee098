#include "core/peer/requests.hh"

#include <algorithm>

namespace swarm::core {

namespace {
constexpr double slack_s = 0.15;
constexpr double slack_in_turn_s = 0.01;
constexpr std::size_t window_in_turn_min = 4, window_in_turn_far = 8;
constexpr Duration far = 50ms;
constexpr double slack_bytes_max = 4 << 20;
constexpr Duration slow_start_for = 1s;
constexpr std::size_t slow_start_max = static_cast<std::size_t>(slack_bytes_max) / wire::block_bytes;
}  // namespace

void Requests::asked(const wire::BlockRef& block, Instant now) {
  if (pending_.empty()) last_progress_ = last_byte_ = now;
  pending_.push_back({block, now});
}

bool Requests::pending(const wire::BlockRef& block) const { return find(block) < pending_.size(); }

bool Requests::received(const wire::BlockRef& block, double rate, Instant now) {
  last_progress_ = last_byte_ = now;
  const std::size_t i = find(block);
  if (i == pending_.size()) return false;
  delay_ = std::max(now - pending_[i].asked, Duration(10us));
  delay_min_ = std::min(delay_min_, delay_);
  erase(i);
  if (!any_block_) any_block_ = true, first_block_ = now;
  widen(rate, now);
  return true;
}

void Requests::widen(double rate, Instant now) {
  const double path = rate * 2 * seconds(delay_min_);
  const double slack = std::min(rate * slack_s, slack_bytes_max);
  const auto target = static_cast<std::size_t>((path + slack) / wire::block_bytes);
  if (slow_start_) {
    if (window_ < slow_start_max || delay_ < 2 * delay_min_) ++window_;
    slow_start_ = now - first_block_ < slow_start_for;
  } else if (target > window_) {
    ++window_;  // no faster than a doubling per round trip
  } else if (target < window_) {
    --window_;
  }
  window_ = std::clamp<std::size_t>(window_, 2, std::max<std::size_t>(peer_limit_, 2));
}

std::size_t Requests::room_in_turn(double rate) const {
  const double path = any_block_ ? rate * (2 * seconds(delay_min_) + slack_in_turn_s) : 0;
  const std::size_t least = any_block_ && delay_min_ > far ? window_in_turn_far : window_in_turn_min;
  const auto window = std::clamp<std::size_t>(static_cast<std::size_t>(path / wire::block_bytes), least,
                                              std::max<std::size_t>(peer_limit_, least));
  return window > size() ? window - size() : 0;
}

bool Requests::drop(const wire::BlockRef& block) {
  const std::size_t i = find(block);
  if (i == pending_.size()) return false;
  erase(i);
  return true;
}

void Requests::erase(std::size_t i) {
  if (i == 0) return pending_.pop_front();
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
}

std::vector<wire::BlockRef> Requests::drop_all() {
  std::vector<wire::BlockRef> dropped = all();
  pending_.clear();
  return dropped;
}

std::vector<wire::BlockRef> Requests::all() const {
  std::vector<wire::BlockRef> blocks;
  blocks.reserve(pending_.size());
  for (const Pending& p : pending_) blocks.push_back(p.block);
  return blocks;
}

std::size_t Requests::find(const wire::BlockRef& block) const {
  if (!pending_.empty() && pending_.front().block == block) return 0;  // nearly always
  for (std::size_t i = 0; i < pending_.size(); ++i)
    if (pending_[i].block == block) return i;
  return pending_.size();
}

}  // namespace swarm::core
