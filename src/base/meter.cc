#include "base/meter.hh"

#include <algorithm>

namespace swarm {

void Meter::add(std::uint64_t bytes, Instant now) {
  if (bytes == 0) return;
  advance(now.time_since_epoch() / slot);
  bytes_[static_cast<std::size_t>(newest_ % slots)] += bytes;
  total_ += bytes;
}

double Meter::rate(Instant now) const {
  if (newest_ < 0) return 0;
  const auto slot_now = std::max<std::int64_t>(now.time_since_epoch() / slot, newest_);
  const auto from = std::max(slot_now - (slots - 1), first_);
  std::uint64_t sum = 0;
  for (auto i = from; i <= newest_; ++i) sum += bytes_[static_cast<std::size_t>(i % slots)];
  const auto elapsed = std::max<Duration>(now.time_since_epoch() - from * slot, slot);
  return static_cast<double>(sum) / seconds(elapsed);
}

/// Makes room for a slot: those between it and the newest one saw nothing. Time that turns back changes nothing.
void Meter::advance(std::int64_t slot_now) {
  slot_now = std::max<std::int64_t>(slot_now, 0);
  if (newest_ < 0 || slot_now - newest_ >= slots) {
    bytes_.fill(0);
    first_ = newest_ = slot_now;
  }
  while (newest_ < slot_now) bytes_[static_cast<std::size_t>(++newest_ % slots)] = 0;
}

}  // namespace swarm
