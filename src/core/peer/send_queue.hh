// SendQueue: what goes out on one connection, small messages before payload. Payload stays a file range until the driver reads it.
#pragma once

#include <cstddef>

#include "core/actions.hh"
#include "core/peer/uploads.hh"

namespace swarm::core {

class SendQueue {
 public:
  static constexpr std::size_t small_bytes_max = 4
                                                 << 20;  ///< a peer that lets more pile up does not read: it is dropped

  Buffer& small() { return small_; }  ///< append whole messages here
  bool overflown() const { return small_.size() > small_bytes_max; }
  bool has_small() const { return !small_.empty(); }

  /// Moves out all small messages, then blocks from `uploads` while the total stays within `bytes_max` (at least one block
  /// when payload_max allows) and their payload within `payload_max`. Returns the payload bytes.
  std::size_t take(Uploads& uploads, TorrentId torrent, std::size_t bytes_max, std::uint64_t payload_max,
                   Outgoing& out);

 private:
  Buffer small_;
};

}  // namespace swarm::core
