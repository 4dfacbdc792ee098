// Requests: the blocks that we asked one peer for, and how many more to ask.
//
// Rules
// 1. The window is what the path holds twice over (rate x 2 x shortest delay seen), and 150 ms of the rate on top, at most
//    4 MiB of that. Rationale: a full pipe on any path, without hoarding blocks at a slow peer.
// 2. For a second from the first block on (slow start) each block received lets one more be asked: the window doubles per round
//    trip, from 16 blocks, up to rule 1's 4 MiB, and beyond as long as a block takes less than twice the shortest delay.
//    Rationale: the rate is a mean over seconds. While TCP still feels its way it says too little, and a window that follows it
//    down would starve the path just when that has become fast.
// 3. Never more than the peer's reqq, never fewer than 2.
// 4. A peer that sent nothing for 60 s although asked is snubbed; after that one block at a time.
// 5. Of a peer that gives by turns only what its path holds twice over is asked for ahead, and 10 ms more, but at least 4 blocks,
//    or 8 where none came within 50 ms. Rationale: what waits in a stream holds up the words that come behind it, and those start
//    the next turn; but far away, requests too wait behind what their owner sends, and TCP comes and goes by halves.
// Blocks come back in the order asked from almost every client, so looking one up is O(1) then, O(window) at worst.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/instant.hh"
#include "wire/peer_message.hh"

namespace swarm::core {

class Requests {
 public:
  void set_peer_limit(std::uint32_t reqq) { peer_limit_ = reqq; }

  void asked(const wire::BlockRef& block, Instant now);
  bool pending(const wire::BlockRef& block) const;
  void heard(Instant now) { last_byte_ = now; }  ///< a part of a block that was asked for
  /// The block is here, whole. False when it was not asked for (any more).
  bool received(const wire::BlockRef& block, double rate, Instant now);
  bool drop(const wire::BlockRef& block);   ///< rejected, or cancelled by us; false when it was not pending
  std::vector<wire::BlockRef> drop_all();   ///< choked or gone
  std::vector<wire::BlockRef> all() const;  ///< in the order asked

  std::size_t size() const { return pending_.size(); }
  std::size_t room() const { return window_ > size() ? window_ - size() : 0; }
  /// The same for a peer that gives by turns (rule 5).
  std::size_t room_in_turn(double rate) const;
  std::size_t window() const { return window_; }
  Duration delay() const { return delay_; }  ///< of the last block: from the request to its end
  bool snubbed(Instant now) const { return !pending_.empty() && now - last_progress_ > 60s; }
  /// Since when the oldest request waits without any block in between.
  Duration waiting(Instant now) const { return pending_.empty() ? Duration{} : now - last_progress_; }
  /// Since when it waits without a single byte: on a slow line that many share a block takes many seconds.
  Duration silent(Instant now) const { return pending_.empty() ? Duration{} : now - last_byte_; }

 private:
  struct Pending {
    wire::BlockRef block;
    Instant asked;
  };
  std::size_t find(const wire::BlockRef& block) const;
  void erase(std::size_t i);
  void widen(double rate, Instant now);

  std::deque<Pending> pending_;  ///< at most window_
  std::size_t window_ = 16;
  std::uint32_t peer_limit_ = 250;  ///< what clients that do not say reqq take
  bool slow_start_ = true;
  Duration delay_min_ = Duration::max();
  Duration delay_{};
  Instant first_block_{};
  bool any_block_ = false;
  Instant last_progress_{};
  Instant last_byte_{};
};

}  // namespace swarm::core
