// FreeRider: a filter between an honest core and the network that makes its node a free rider: everything is said but `unchoke`, so
// that nobody may ask it for anything. It tells truly what it has and takes whatever it is given.
#pragma once

#include <cstddef>

#include "base/bytes.hh"

namespace swarm::sim {

/// One connection's outgoing stream.
class FreeRider {
 public:
  /// What of these small bytes, the next ones of the stream, goes on its way now. Payload is not among them: after the thirteen
  /// bytes before a block the next message begins.
  const Buffer& filter(ByteView small);

 private:
  std::size_t handshake_left_ = 68;  ///< BEP 3
  Buffer begun_;                     ///< a message of which not all has come
  Buffer passed_;
};

}  // namespace swarm::sim
