#include "sim/free_rider.hh"

#include <algorithm>

namespace swarm::sim {

namespace {

constexpr std::uint8_t unchoke = 1, piece = 7;  // BEP 3
constexpr std::size_t before_block = 13;

}  // namespace

const Buffer& FreeRider::filter(ByteView small) {
  passed_.clear();
  const std::size_t handshake = std::min(handshake_left_, small.size());
  handshake_left_ -= handshake;
  passed_.insert(passed_.end(), small.begin(), small.begin() + static_cast<std::ptrdiff_t>(handshake));
  begun_.insert(begun_.end(), small.begin() + static_cast<std::ptrdiff_t>(handshake), small.end());
  std::size_t at = 0;
  while (begun_.size() - at >= 4) {
    const std::size_t length = std::size_t{begun_[at]} << 24 | std::size_t{begun_[at + 1]} << 16 |
                               std::size_t{begun_[at + 2]} << 8 | begun_[at + 3];
    if (length > 0 && begun_.size() - at < 5) break;
    const std::uint8_t id = length > 0 ? begun_[at + 4] : 0xff;
    const std::size_t whole = length > 0 && id == piece ? before_block : 4 + length;
    if (begun_.size() - at < whole) break;
    const auto first = begun_.begin() + static_cast<std::ptrdiff_t>(at);
    if (!(length == 1 && id == unchoke))
      passed_.insert(passed_.end(), first, first + static_cast<std::ptrdiff_t>(whole));
    at += whole;
  }
  begun_.erase(begun_.begin(), begun_.begin() + static_cast<std::ptrdiff_t>(at));
  return passed_;
}

}  // namespace swarm::sim
