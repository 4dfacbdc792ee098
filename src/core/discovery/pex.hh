// Pex: peer exchange with one peer (BEP 11): what it was told and is to be told next, and how much of what it tells is believed.
//
// Rules for telling
// 1. A message is the difference between those we are connected to now and those it was told of. Rationale: who came and went in
//    between was never worth a word, and a drop is never forgotten.
// 2. The first one 3 s after the handshake, so that a newcomer finds the swarm at once and not peer by peer; later ones a minute
//    apart or more. Without a difference there is no message, and we look again after 10 s.
// 3. At most 50 added and 50 dropped in one, those first that somebody has connected to; the others follow a minute later.
// 4. Loopback and link-local addresses are told to, and believed from, peers with such an address only: elsewhere they are
//    other machines, or none.
// Rules for believing
// 5. One message in 45 s counts (a minute less what the path may squeeze); others are passed over.
// 6. At most 100 addresses of one peer are kept, 50 from any message but the first; what it drops makes room again. At most 4 ports
//    of one address. Rationale: whoever controls a peer shall not choose all our connections, nor aim them at one victim.
// 7. Multicast and unspecified addresses, port 0, and the peer itself are nobody's.
// The caller uses none of this on a private torrent (BEP 27).
// Complexity: O(n log n) in our connections, once in 10 s at most; an accepted message O(100) for each address in it.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/endpoint.hh"
#include "base/instant.hh"
#include "wire/pex.hh"

namespace swarm::core {

class Pex {
 public:
  static constexpr Duration first_after = 3s, every = 60s, look_again_after = 10s, believed_every = 45s;
  static constexpr std::size_t kept_max = 100, later_max = 50, ports_max = 4;

  /// `peer`: whom we talk to, by the address at which it takes connections if that is known. The handshake is over `now`.
  Pex(const Endpoint& peer, Instant now);

  /// The message that is due, if any. `connected`: all our peers of this torrent by the address at which they take
  /// connections; those of which that is not known are left out. Two with the same address count as one.
  std::optional<wire::PexMessage> next(std::span<const wire::PexPeer> connected, Instant now);
  Instant next_wake() const { return next_at_; }

  /// What is new and believed of a message.
  std::vector<wire::PexPeer> on_message(const wire::PexMessage& message, Instant now);

 private:
  bool suits(const Endpoint& other) const;
  bool keep(const Endpoint& told);

  Endpoint peer_;
  Instant next_at_;
  std::set<Endpoint> told_;           ///< to it: added and not dropped since
  std::optional<Instant> last_told_;  ///< by it
  std::set<Endpoint> kept_;           ///< from it; at most kept_max
};

}  // namespace swarm::core
