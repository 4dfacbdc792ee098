// FlatMap: a map for few keys, in one sorted array: as std::map, but a new or erased key moves the others' places.
//
// Complexity: find O(log n) in adjacent memory; [] of a new key and erase O(n).
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace swarm::sim {

template <class Key, class Value>
class FlatMap {
 public:
  using iterator = typename std::vector<std::pair<Key, Value>>::iterator;

  iterator begin() { return entries_.begin(); }
  iterator end() { return entries_.end(); }
  std::size_t size() const { return entries_.size(); }
  iterator find(Key key) {
    const auto at = place(key);
    return at != entries_.end() && at->first == key ? at : entries_.end();
  }
  Value& operator[](Key key) {
    auto at = place(key);
    if (at == entries_.end() || at->first != key) at = entries_.emplace(at, key, Value{});
    return at->second;
  }
  void erase(iterator at) { entries_.erase(at); }
  std::size_t erase(Key key) {
    const auto at = find(key);
    if (at == entries_.end()) return 0;
    entries_.erase(at);
    return 1;
  }

 private:
  iterator place(Key key) {
    return std::lower_bound(entries_.begin(), entries_.end(), key, [](const auto& e, Key k) { return e.first < k; });
  }
  std::vector<std::pair<Key, Value>> entries_;
};

}  // namespace swarm::sim
