// World: virtual time. A queue of things that will happen, in the order of time and then of sequence; one generator; a running
// hash over what happened, so that two runs can be compared by one number.
//
// The queue is a radix heap in digits of six bits: nothing is ever asked for in the past, so that things need to be sorted only by
// the highest digit in which their time differs from the last one's, and more finely when their turn is near. They lie in the order
// in which they were asked for, which is the order in which those of one moment happen.
// Complexity: at() O(1), step() O(digits of the time ahead in ns) amortised, four for a millisecond, fewer where little lies close
// together; all of it walks through arrays. No allocation once the queue has reached its size.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/instant.hh"
#include "base/random.hh"

namespace swarm::sim {

/// What the event hash tells apart.
enum class Happened : std::uint8_t {
  accepted,
  connected,
  connect_failed,
  received,
  received_payload,
  closed,
  room,
  stored,
  hash_failed,
  saved,
  finished,
  replied,
  timer,
  fault,
  tracker,
};

class World {
 public:
  explicit World(std::uint64_t random_seed) : random_(random_seed) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Instant now() const { return now_; }
  Random& random() { return random_; }

  /// Runs `what()` at this time, or now when it has passed. What it captures is copied as bytes: pointers to things that live
  /// as long as the world, ids, numbers.
  template <class F>
  void at(Instant when, F what) {
    static_assert(std::is_trivially_copyable_v<F> && std::is_trivially_destructible_v<F> &&
                  sizeof(F) <= capture_bytes_max);
    const std::uint32_t slot = push(when);
    Slot& s = slots_[slot];
    s.run = [](unsigned char* capture) { (*std::launder(reinterpret_cast<F*>(capture)))(); };
    ::new (static_cast<void*>(s.capture)) F(what);
  }
  template <class F>
  void in(Duration delay, F what) {
    at(now_ + delay, what);
  }

  /// Lets the next thing happen. False when nothing will ever happen again, or when time stands still.
  bool step();
  /// Lets everything happen up to and including `end`, and ends there.
  void run_until(Instant end);

  /// Mixes something that happened into the event hash.
  void note(Happened what, std::uint32_t host, std::uint64_t a = 0, std::uint64_t b = 0);
  std::uint64_t event_hash() const { return hash_; }
  /// Is told of everything that is noted; what it does must change nothing here.
  using Watcher = std::function<void(Happened what, std::uint32_t host, std::uint64_t a, std::uint64_t b)>;
  void watch(Watcher watcher) { watcher_ = std::move(watcher); }
  std::uint64_t events() const { return events_; }
  /// So many things happened at one moment that something goes round in a circle.
  bool stuck() const { return at_once_ > at_once_max; }

 private:
  static constexpr std::size_t capture_bytes_max = 56;
  static constexpr std::uint64_t at_once_max = 5'000'000;
  struct Slot {
    void (*run)(unsigned char*) = nullptr;
    alignas(8) unsigned char capture[capture_bytes_max];
  };
  struct Entry {
    std::uint64_t at = 0;
    std::uint32_t slot = 0;
  };
  struct Bucket {
    std::vector<Entry> entries;  ///< in the order in which they were asked for
    std::uint64_t earliest = ~std::uint64_t{0};
  };
  static constexpr std::uint32_t digit_bits = 6, digits = 1 << digit_bits, levels = (64 + digit_bits - 1) / digit_bits;
  struct Level {  ///< what differs from last_ in this digit of its time, and in no higher one; level 0: or in none
    std::uint64_t filled = 0;  ///< a bit for each bucket that has something
    std::array<Bucket, digits> buckets;
  };
  void sort_in(Entry entry);
  std::uint32_t first_level() const { return static_cast<std::uint32_t>(std::countr_zero(filled_)); }
  bool empty() const { return pending_ == 0; }
  Instant next_at() const;
  std::uint32_t push(Instant when);

  Instant now_{};
  Random random_;
  std::array<Level, levels> levels_;
  std::uint32_t filled_ = 0;    ///< a bit for each level that has something
  std::uint64_t last_ = 0;      ///< the time of what happened last; never after now_
  std::size_t first_done_ = 0;  ///< of the bucket of that moment, happened already
  std::size_t pending_ = 0;
  std::vector<Entry> sorting_;  ///< what a bucket held while it is shared out
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> unused_;  ///< of slots_
  std::uint64_t hash_ = 0x9e3779b97f4a7c15u;
  std::uint64_t events_ = 0;
  std::uint64_t at_once_ = 0;  ///< steps at this very moment
  Watcher watcher_;
};

}  // namespace swarm::sim
