// IdMap: a map whose keys are numbers that are given one after the other, from 1 on, and never again: a hash table in one array.
//
// The hash is the number itself, so that those given together lie together and hardly ever meet; where two meet, the later one lies
// behind the earlier. It grows when half of it is taken, and what is erased leaves no gap behind.
// Complexity: each O(1), one line of the cache as a rule; growing O(n). Values move when another is added or erased.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.hh"

namespace swarm {

template <class Value>
class IdMap {
 public:
  std::size_t size() const { return size_; }

  /// Null when there is none. Valid until another is added or erased.
  const Value* find(std::uint32_t id) const {
    if (size_ == 0 || id == 0) return nullptr;
    const Slot& slot = slots_[place(id)];
    return slot.id == id ? &slot.value : nullptr;
  }
  Value* find(std::uint32_t id) { return const_cast<Value*>(std::as_const(*this).find(id)); }

  /// Makes one when there is none.
  Value& operator[](std::uint32_t id) {
    SWARM_CHECK(id != 0);
    if (2 * (size_ + 1) > slots_.size()) grow();
    Slot& slot = slots_[place(id)];
    if (slot.id == 0) slot.id = id, ++size_;
    return slot.value;
  }

  /// False when there was none.
  bool erase(std::uint32_t id) {
    if (size_ == 0 || id == 0) return false;
    std::size_t gap = place(id);
    if (slots_[gap].id != id) return false;
    // Whoever lies behind the gap and would be looked for from before it moves into it, and leaves the next one.
    for (std::size_t at = next(gap); slots_[at].id != 0; at = next(at)) {
      if (distance(slots_[at].id, at) < distance(slots_[at].id, gap)) continue;
      slots_[gap] = std::move(slots_[at]);
      gap = at;
    }
    slots_[gap] = {};
    --size_;
    return true;
  }

 private:
  struct Slot {
    std::uint32_t id = 0;  ///< 0: free
    Value value{};
  };
  std::size_t next(std::size_t at) const { return (at + 1) & (slots_.size() - 1); }
  /// From where it would lie best, forward.
  std::size_t distance(std::uint32_t id, std::size_t at) const { return (at - id) & (slots_.size() - 1); }
  /// Where it is, or the free slot where it would be.
  std::size_t place(std::uint32_t id) const {
    std::size_t at = id & (slots_.size() - 1);
    while (slots_[at].id != id && slots_[at].id != 0) at = next(at);
    return at;
  }
  void grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
    old.swap(slots_);
    for (Slot& slot : old)
      if (slot.id != 0) slots_[place(slot.id)] = std::move(slot);
  }

  std::vector<Slot> slots_;  ///< a power of two, or none
  std::size_t size_ = 0;
};

}  // namespace swarm
