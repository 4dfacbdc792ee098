// Content: what a torrent of the simulated world holds: a shape without bytes, shared by all nodes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/ids.hh"
#include "core/client.hh"
#include "wire/peer_message.hh"

namespace swarm::sim {

struct Content {
  std::uint32_t number = 0;  ///< its name in runs and on disks
  core::TorrentInfo info;

  std::uint32_t piece_size(PieceIndex piece) const {
    const std::uint64_t begin = std::uint64_t{swarm::number(piece)} * info.piece_bytes;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(info.piece_bytes, info.bytes_total - begin));
  }
  std::uint32_t blocks_in(PieceIndex piece) const { return blocks(piece_size(piece)); }
  std::uint32_t block_size(PieceIndex piece, std::uint32_t block) const {
    return std::min(wire::block_bytes, piece_size(piece) - block * wire::block_bytes);
  }
  /// Blocks are counted through: each piece but the last has equally many.
  std::uint32_t first_block(PieceIndex piece) const { return swarm::number(piece) * blocks(info.piece_bytes); }
  std::uint32_t blocks_in_all() const {
    return info.pieces == 0 ? 0 : first_block(PieceIndex{info.pieces - 1}) + blocks_in(PieceIndex{info.pieces - 1});
  }

 private:
  static std::uint32_t blocks(std::uint32_t bytes) { return (bytes + wire::block_bytes - 1) / wire::block_bytes; }
};

}  // namespace swarm::sim
