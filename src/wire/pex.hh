// Peer exchange (BEP 11): the peers that one peer got to know, and lost, since it last told another.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hh"
#include "base/endpoint.hh"

namespace swarm::wire {

constexpr std::size_t pex_written_max = 50;  ///< added ones in a message, and dropped ones (BEP 11)
constexpr std::size_t pex_read_max = 200;    ///< of each; a first message may have more than 50

/// Flags of an added peer, or-ed; other bits are reserved.
enum PexFlag : std::uint8_t {
  pex_prefers_encryption = 0x01,
  pex_seed = 0x02,
  pex_utp = 0x04,
  pex_holepunch = 0x08,
  pex_reachable = 0x10,  ///< the teller has connected to it
};

struct PexPeer {
  Endpoint endpoint;
  std::uint8_t flags = 0;
  bool operator==(const PexPeer&) const = default;
};

struct PexMessage {
  std::vector<PexPeer> added;  ///< IPv4 and IPv6 together
  std::vector<Endpoint> dropped;
};

/// The payload after the sub-id; the first pex_written_max of each.
Buffer encode(const PexMessage& m);
/// Nothing when it is not a dictionary. IPv4 comes before IPv6; peers with port 0 or without an address, a second one of
/// the same endpoint, a stray half at the end and what is beyond pex_read_max are dropped. Flags that are missing are 0.
std::optional<PexMessage> decode_pex(ByteView payload);

}  // namespace swarm::wire
