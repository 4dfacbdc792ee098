// CorePair: one downloading core::Client and the seeds it fetches from, joined in memory: no socket, file, thread or clock, so that
// the same transfer takes the same instructions every time.
//
// Each turn every connection gives what it may send, up to what a socket takes at once, and the other end receives it as one run of
// bytes with its messages in place, as a driver does. Payload is not copied, since the core never looks at it. A turn is a millisecond.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/client.hh"

namespace swarm::bench {

class CorePair {
 public:
  CorePair(std::uint32_t seeds, std::uint32_t pieces, std::uint32_t piece_bytes);
  ~CorePair();

  /// Turns until the downloader has every piece and its file has its name. False: it stands still.
  bool transfer();
  std::uint64_t bytes() const;

 private:
  struct Node;
  struct World;
  std::unique_ptr<World> world_;
};

}  // namespace swarm::bench
