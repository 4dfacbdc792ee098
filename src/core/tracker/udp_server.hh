// UdpServer: announces and scrapes over UDP (BEP 15), without the socket: a datagram in, at most one datagram out.
//
// Rules
// 1. A connection id is a keyed MAC (HMAC-SHA1, cut to 64 bits) of the address that asked and of the minute; the one of this
//    minute and of the one before are accepted. So the tracker keeps nothing for it, an id works for its address only, for 60
//    to 120 s, and for none after a restart, since the key is new then.
//    Rationale: a source that can be made up must cost no memory, and must not be able to have a reply sent to its victim.
// 2. Only who shows a right id is answered with more than he sent. Connect takes 16 bytes and is answered with 16; anything
//    else without a right id, and what is no request at all, is answered with silence, errors included.
// 3. With a right id, what cannot be done is answered with an error text.
// 4. The ip field of an announce is not believed, and the family of the reply is that of the packet.
// Complexity: a datagram O(peers in the reply), and the compressions of one to three SHA-1 blocks more than that.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.hh"
#include "base/endpoint.hh"
#include "base/instant.hh"
#include "base/sha1.hh"
#include "core/tracker/announces.hh"

namespace swarm::core {

class UdpServer {
 public:
  using Key = std::array<std::uint8_t, 32>;
  static constexpr Duration window = 60s;

  /// The key is random and new at each start. `announces` outlives this.
  UdpServer(const Key& key, Announces& announces);

  /// The answer, or nothing.
  std::optional<Buffer> on_datagram(ByteView datagram, const Endpoint& from, const Endpoint& local, Instant now);
  std::uint64_t announced() const { return announced_; }  ///< announces answered, errors included

 private:
  std::uint64_t id_of(const IpAddress& address, std::uint64_t minute) const;
  bool knows(std::uint64_t id, const IpAddress& address, Instant now) const;

  Sha1 inner_, outer_;  ///< HMAC's two hashes (RFC 2104), each behind its block of the key
  Announces& announces_;
  std::uint64_t announced_ = 0;
};

}  // namespace swarm::core
