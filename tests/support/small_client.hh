// What tests of the core begin with: who a client is, and a torrent for it.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/digest.hh"
#include "core/client.hh"

namespace swarm::core {

/// A peer id of 20 characters, of which `text` are the first.
inline PeerId peer_id(std::string_view text) {
  PeerId id;
  std::copy_n(text.begin(), std::min<std::size_t>(text.size(), 20), id.bytes.begin());
  return id;
}

/// A torrent of equal pieces; of two blocks each unless it is said.
inline TorrentInfo small_torrent(std::uint32_t pieces, std::uint32_t piece_bytes = 32 * 1024) {
  TorrentInfo info;
  info.info_hash = *digest_from_hex<20>("3f1c000000000000000000000000000000000001");
  info.name = "big.bin";
  info.piece_bytes = piece_bytes;
  info.pieces = pieces;
  info.bytes_total = std::uint64_t{pieces} * piece_bytes;
  return info;
}

inline ClientOptions client_options() {
  ClientOptions o;
  o.peer_id = peer_id("-SW0100-client-under");
  o.node_id = "0123456789abcdef";
  o.node_name = "tested";
  o.agent = "swarm/test";
  o.port = 6881;
  return o;
}

}  // namespace swarm::core
