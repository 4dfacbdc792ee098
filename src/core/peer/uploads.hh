// Uploads: what one peer asked us for and has not been given yet.
//
// Rules
// 1. In the order asked. What was taken for sending cannot be cancelled any more.
// 2. At most `queue_max` requests wait (our advertised reqq, with room for those that crossed it); what comes beyond is refused.
// 3. A choke empties the queue; with the fast extension each request is answered by a reject (BEP 6), but the torrent writes those.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "wire/peer_message.hh"

namespace swarm::core {

class Uploads {
 public:
  static constexpr std::size_t queue_max = 2048;
  static constexpr std::uint32_t reqq = 2000;

  /// False when the queue is full.
  bool add(const wire::BlockRef& block) {
    if (waiting_.size() >= queue_max) return false;
    waiting_.push_back(block);
    return true;
  }
  bool cancel(const wire::BlockRef& block) {
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it)
      if (*it == block) return waiting_.erase(it), true;
    return false;
  }
  std::vector<wire::BlockRef> drop_all() {
    std::vector<wire::BlockRef> all(waiting_.begin(), waiting_.end());
    waiting_.clear();
    return all;
  }
  const wire::BlockRef* front() const { return waiting_.empty() ? nullptr : &waiting_.front(); }
  void pop() { waiting_.pop_front(); }
  bool empty() const { return waiting_.empty(); }
  std::size_t size() const { return waiting_.size(); }

 private:
  std::deque<wire::BlockRef> waiting_;
};

}  // namespace swarm::core
