// BlockAssembly: the block that is arriving on one connection, fragment by fragment (core/actions.hh, Store).
#pragma once

#include <cstdint>
#include <vector>

#include "core/actions.hh"
#include "disk/pieces.hh"

namespace swarm::uv {

class BlockAssembly {
 public:
  /// True when this fragment ends the block: then parts() are all of it. One that does not fit behind the others is
  /// dropped.
  bool add(const core::Store& store, disk::BlockPart part);
  std::vector<disk::BlockPart>& parts() { return parts_; }
  void clear();
  /// Moves an unfinished block out of the receive buffers, so that they are free although its sender is slow.
  void detach();

 private:
  TorrentId torrent_{};
  wire::BlockRef block_;
  std::uint32_t got_ = 0;  ///< bytes; at most block_.length, which the core bounds
  std::vector<disk::BlockPart> parts_;
};

}  // namespace swarm::uv
