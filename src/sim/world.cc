#include "sim/world.hh"

#include <algorithm>
#include <bit>

namespace swarm::sim {

bool World::step() {
  if (queue_.empty() || stuck()) return false;
  std::pop_heap(queue_.begin(), queue_.end());
  const Entry next = queue_.back();
  queue_.pop_back();
  at_once_ = next.at == now_ ? at_once_ + 1 : 0;
  now_ = next.at;
  Slot slot = slots_[next.slot];  // a copy: what runs may push more
  unused_.push_back(next.slot);
  ++events_;
  slot.run(slot.capture);
  return true;
}

void World::run_until(Instant end) {
  while (!queue_.empty() && queue_.front().at <= end && step()) {
  }
  now_ = std::max(now_, end);
}

void World::note(Happened what, std::uint32_t host, std::uint64_t a, std::uint64_t b) {
  const auto mix = [this](std::uint64_t x) { hash_ = std::rotl((hash_ ^ x) * 0x9fb21c651e98df25u, 29) ^ hash_ >> 32; };
  mix(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  mix(std::uint64_t{host} << 8 | static_cast<std::uint64_t>(what));
  mix(a);
  mix(b);
}

std::uint32_t World::push(Instant when) {
  if (unused_.empty()) {
    unused_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = unused_.back();
  unused_.pop_back();
  queue_.push_back({std::max(when, now_), sequence_++, slot});
  std::push_heap(queue_.begin(), queue_.end());
  return slot;
}

}  // namespace swarm::sim
