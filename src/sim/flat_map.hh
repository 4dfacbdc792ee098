// FlatMap: a map for few keys, in two sorted arrays, of keys and of values: as std::map, but a new or erased key moves the others'
// values.
//
// Complexity: find O(log n) in adjacent memory, sixteen keys to a line of the cache; [] of a new key O(1) when it is the highest, else
// O(n), and so is erase.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace swarm::sim {

template <class Key, class Value>
class FlatMap {
 public:
  std::size_t size() const { return keys_.size(); }
  /// Null when there is none. Valid until a key is added or erased.
  const Value* find(Key key) const {
    const std::size_t at = place(key);
    return at < keys_.size() && keys_[at] == key ? &values_[at] : nullptr;
  }
  Value* find(Key key) { return const_cast<Value*>(std::as_const(*this).find(key)); }
  Value& operator[](Key key) {
    const std::size_t at = place(key);
    if (at == keys_.size() || keys_[at] != key) {
      keys_.insert(keys_.begin() + static_cast<std::ptrdiff_t>(at), key);
      values_.emplace(values_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return values_[at];
  }
  /// False when there was none.
  bool erase(Key key) {
    const std::size_t at = place(key);
    if (at == keys_.size() || keys_[at] != key) return false;
    keys_.erase(keys_.begin() + static_cast<std::ptrdiff_t>(at));
    values_.erase(values_.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
  }
  std::span<Value> values() { return values_; }  ///< in the order of their keys

 private:
  std::size_t place(Key key) const {
    return static_cast<std::size_t>(std::lower_bound(keys_.begin(), keys_.end(), key) - keys_.begin());
  }
  std::vector<Key> keys_;
  std::vector<Value> values_;
};

}  // namespace swarm::sim
