// Canonical peer priority (BEP 40): a number that both ends of a connection compute alike, and nobody can choose.
//
// Where connections are scarce, those with the highest priority are made and kept. Rationale: since all peers agree on it, a new
// peer finds somebody who prefers it, and whoever floods a swarm from a few addresses gets the slots of a few addresses.
#pragma once

#include <cstdint>

#include "base/endpoint.hh"

namespace swarm::core {

/// Symmetric. `ours` is how the peer sees us (BEP 10's yourip, or our own address on that connection); the ports count only
/// when both addresses are the same, and are then those of listening.
std::uint32_t peer_priority(const Endpoint& ours, const Endpoint& theirs);

}  // namespace swarm::core
