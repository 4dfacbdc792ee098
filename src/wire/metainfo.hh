// A .torrent (BEP 3, 12, 19, 27, 47): what it says, and how to write one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hh"
#include "base/digest.hh"
#include "base/error.hh"
#include "base/ids.hh"

namespace swarm::wire {

struct FileEntry {
  /// As in the torrent (path.utf-8 preferred), NOT yet safe for a disk: see disk/safe_path.hh.
  std::vector<std::string> path;
  std::uint64_t length = 0;  ///< bytes
  bool pad = false;          ///< BEP 47 padding: zeros, never written to disk
  bool executable = false;   ///< BEP 47 attribute x
};

/// v1 metainfo. pieces.size() == piece_count(); lengths sum to bytes_total without overflow.
struct Metainfo {
  InfoHash info_hash;             ///< of the raw info slice as received
  Buffer info;                    ///< that raw slice (for ut_metadata and for writing the .torrent again)
  std::string name;               ///< raw; single file: its name; folder: the top folder's
  bool folder = false;            ///< multi-file form
  std::uint32_t piece_bytes = 0;  ///< 1 byte … 512 MiB when reading; powers of two when creating
  std::uint64_t bytes_total = 0;
  std::vector<Sha1Digest> pieces;
  std::vector<FileEntry> files;  ///< one for a single file (path = {name})
  bool is_private = false;
  std::vector<std::vector<std::string>> trackers;  ///< BEP 12 tiers; `announce` alone is one tier of one
  std::vector<std::string> web_seeds;              ///< url-list
  std::string comment;
  std::string created_by;

  std::uint32_t piece_count() const { return static_cast<std::uint32_t>(pieces.size()); }
  std::uint32_t piece_size(PieceIndex p) const;  ///< bytes of this piece; the last one may be shorter
};

/// Bounds: input <= 64 MiB, info <= 32 MiB. Errors have Exit::integrity, code "not_a_torrent", and the offset, e.g.
/// "x.torrent is not a torrent file (offset 0: expected 'd', found '<'; an HTML page?)"; `what` names the input.
Result<Metainfo> parse_metainfo(ByteView torrent, std::string_view what);
/// The same for a bare info dictionary (BEP 9).
Result<Metainfo> parse_info(ByteView info, std::string_view what);

/// What a new info dictionary is made of; sorted by the caller as it shall stand in the torrent.
struct NewInfo {
  std::string name;
  bool folder = false;
  std::uint32_t piece_bytes = 0;
  std::vector<FileEntry> files;
  std::vector<Sha1Digest> pieces;
  bool is_private = false;
};
Buffer write_info(const NewInfo& info);  ///< canonical bencode; hash it for the info-hash

/// A whole .torrent around m.info, with announce (first tracker), announce-list when there is more than one, comment,
/// created by, url-list.
Buffer write_torrent(const Metainfo& m);

/// 512 KiB up to 1 GiB of content, then doubled until pieces <= 4096, at most 16 MiB.
std::uint32_t choose_piece_bytes(std::uint64_t bytes_total);

}  // namespace swarm::wire
