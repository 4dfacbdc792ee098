// Small torrents for the tracker's tests.
#pragma once

#include <string>

#include "base/sha1.hh"
#include "base/text.hh"
#include "wire/metainfo.hh"

namespace swarm::test {

struct TorrentOf {
  std::string name = "debian.iso";
  std::uint32_t pieces = 10;
  std::uint32_t piece_bytes = 16 * 1024;
  bool is_private = false;
  std::vector<std::vector<std::string>> trackers = {};
};

/// A .torrent of zeros, as seed would make it.
inline Buffer torrent_of(const TorrentOf& t) {
  wire::NewInfo info;
  info.name = t.name;
  info.piece_bytes = t.piece_bytes;
  info.files = {{{t.name}, std::uint64_t{t.pieces} * t.piece_bytes, false, false}};
  info.pieces.assign(t.pieces, sha1(Buffer(t.piece_bytes)));
  info.is_private = t.is_private;
  auto m = wire::parse_info(wire::write_info(info), "test").value();
  m.trackers = t.trackers;
  return wire::write_torrent(m);
}

inline InfoHash hash_of(const TorrentOf& t) { return wire::parse_metainfo(torrent_of(t), "test")->info_hash; }

}  // namespace swarm::test
