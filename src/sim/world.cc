#include "sim/world.hh"

#include <algorithm>
#include <bit>
#include <utility>

namespace swarm::sim {

namespace {

std::uint64_t time_of(Instant at) { return static_cast<std::uint64_t>(at.time_since_epoch().count()); }

}  // namespace

bool World::step() {
  if (empty() || stuck()) return false;
  if (const std::uint32_t number = first_level(); number > 0) {
    // The bucket of the next moment: its things move to lower levels, each to where it differs from that moment.
    Level& level = levels_[number];
    Bucket& bucket = level.buckets[static_cast<std::size_t>(std::countr_zero(level.filled))];
    level.filled &= level.filled - 1;
    if (level.filled == 0) filled_ &= filled_ - 1;
    last_ = std::exchange(bucket.earliest, ~std::uint64_t{0});
    std::swap(sorting_, bucket.entries);
    for (const Entry& entry : sorting_) sort_in(entry);
    sorting_.clear();
    std::swap(sorting_, bucket.entries);  // and it keeps its memory
  }
  Level& level = levels_[0];  // each of its buckets is one moment
  Bucket& moment = level.buckets[static_cast<std::size_t>(std::countr_zero(level.filled))];
  last_ = moment.earliest;
  const Entry next = moment.entries[first_done_++];
  if (first_done_ == moment.entries.size()) {
    moment.entries.clear();
    moment.earliest = ~std::uint64_t{0};
    first_done_ = 0;
    level.filled &= level.filled - 1;
    if (level.filled == 0) filled_ &= ~1u;
  }
  --pending_;
  at_once_ = time_of(now_) == next.at ? at_once_ + 1 : 0;
  now_ = Instant(Duration(static_cast<std::int64_t>(next.at)));
  Slot slot = slots_[next.slot];  // a copy: what runs may push more
  unused_.push_back(next.slot);
  ++events_;
  slot.run(slot.capture);
  return true;
}

void World::run_until(Instant end) {
  while (!empty() && next_at() <= end && step()) {
  }
  now_ = std::max(now_, end);
}

void World::note(Happened what, std::uint32_t host, std::uint64_t a, std::uint64_t b) {
  const auto mix = [this](std::uint64_t x) { hash_ = std::rotl((hash_ ^ x) * 0x9fb21c651e98df25u, 29) ^ hash_ >> 32; };
  mix(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  mix(std::uint64_t{host} << 8 | static_cast<std::uint64_t>(what));
  mix(a);
  mix(b);
  if (watcher_) watcher_(what, host, a, b);
}

std::uint32_t World::push(Instant when) {
  if (unused_.empty()) {
    unused_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = unused_.back();
  unused_.pop_back();
  sort_in({time_of(std::max(when, now_)), slot});
  ++pending_;
  return slot;
}

void World::sort_in(Entry entry) {
  const auto number = static_cast<std::uint32_t>(std::bit_width((entry.at ^ last_) | 1) - 1) / digit_bits;
  const std::uint64_t digit = entry.at >> (number * digit_bits) & (digits - 1);
  Level& level = levels_[number];
  Bucket& bucket = level.buckets[digit];
  bucket.entries.push_back(entry);
  bucket.earliest = std::min(bucket.earliest, entry.at);
  level.filled |= std::uint64_t{1} << digit;
  filled_ |= 1u << number;
}

Instant World::next_at() const {
  const Level& level = levels_[first_level()];
  const Bucket& bucket = level.buckets[static_cast<std::size_t>(std::countr_zero(level.filled))];
  return Instant(Duration(static_cast<std::int64_t>(bucket.earliest)));
}

}  // namespace swarm::sim
