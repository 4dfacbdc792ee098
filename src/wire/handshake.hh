// The 68 bytes that open a peer connection (BEP 3), with the reserved bits of BEP 6 and BEP 10.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hh"
#include "base/digest.hh"

namespace swarm::wire {

constexpr std::size_t handshake_bytes = 68;
constexpr std::size_t handshake_prefix_bytes = 20;      ///< 0x13 "BitTorrent protocol"
constexpr std::size_t handshake_until_hash_bytes = 48;  ///< enough to answer: prefix, reserved, info-hash

struct Handshake {
  InfoHash info_hash;
  PeerId peer_id;
  bool fast = false;      ///< BEP 6
  bool extended = false;  ///< BEP 10
  bool dht = false;       ///< BEP 5
};

std::array<std::uint8_t, handshake_bytes> encode(const Handshake& h);
/// Does the start of a stream (1 … 20 bytes) still look like a handshake?
bool is_handshake_prefix(ByteView start);
/// Of the first 48 bytes (prefix already checked): all but the peer id.
Handshake decode_handshake_start(std::span<const std::uint8_t, handshake_until_hash_bytes> bytes);

}  // namespace swarm::wire
