// Aside: the bytes of a torrent that lie beside its files, in one hidden sparse file of the .part where every byte has
// its offset of the torrent. Blocking; thread-safe as TorrentFiles is.
//
// What lies there (storage.hh, rules 4, 6 and 7)
// 1. Always: the bytes of files that are not chosen.
// 2. A piece in doubt, as a whole: one that came with other bytes than a file that has its name already holds. What the
//    named files hold of it is copied first; from then on the piece is read and written aside, so that it can be judged
//    by its digest as any other, and so that a liar's bytes touch nobody's file. At most two pieces a file get there,
//    for a piece that lies in named files only has no other place to be written to: that is "exists" at once.
//    Rationale: whoever sends a wrong piece must not be able to end a download with "exists"; only right pieces that
//    differ do, and that is known when all pieces are right (settle()).
// 3. adopt() copies out what belongs to files that are chosen now, only into holes, and never zeros.
//
// Each call costs O(bytes that it moves) and a lookup in the set of pieces in doubt.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>

#include "base/error.hh"
#include "base/ids.hh"
#include "disk/torrent_files.hh"

namespace swarm::disk {

class Aside {
 public:
  explicit Aside(TorrentFiles& files) : files_(files) {}  ///< which outlives it

  /// Offsets and lengths are bytes of the torrent. What was never written reads as zeros.
  Result<void> read(std::uint64_t offset, std::uint64_t length, IovCursor& into);
  Result<void> write(std::uint64_t offset, std::uint64_t length, IovCursor& from);

  /// Reads a part of a file that has its name: what stands there, but for pieces in doubt. `offset` is where the extent
  /// starts in the torrent.
  Result<void> read_named(const OpenFile& named, const Extent& extent, std::uint64_t offset, IovCursor& into);
  /// Takes bytes that came for a file that has its name. Equal ones are dropped, others put their piece in doubt.
  /// Exit::disk "exists" when the piece lies in named files only.
  Result<void> meet_named(const OpenFile& named, const Extent& extent, std::uint64_t offset, IovCursor& from);

  bool has_doubts();
  bool has_doubts_in(std::uint64_t offset, std::uint64_t length);  ///< the pieces that have a byte of this range
  /// Call when all pieces are right: "exists" when one in doubt is not what the named files hold. Else none is in doubt
  /// any more.
  Result<void> settle();

  void adopt();  ///< rule 3

 private:
  bool is_in_doubt(PieceIndex piece);
  bool is_all_named(PieceIndex piece);
  Result<void> put_in_doubt(PieceIndex piece);
  TorrentFiles::Open named_of(const Extent& extent);
  template <class F>
  Result<void> each_piece(const Extent& extent, std::uint64_t offset, F f) const;
  template <class F>
  Result<void> each_named_chunk(PieceIndex piece, F f);
  void copy_out(int side, std::uint64_t offset, const Extent& extent);

  TorrentFiles& files_;
  std::mutex mutex_;
  std::set<PieceIndex> in_doubt_;
};

}  // namespace swarm::disk
