// Progress: which pieces stand on the disk verified, which must be checked first, and when the checkpoint is due.
//
// Rules
// 1. A piece becomes verified only by on_verified, which is called only when the driver said that it is stored and right.
// 2. An unchecked piece (on the disk at resume) is neither wanted nor served until it was hashed.
// 3. A checkpoint is due 2 s after the first piece that was verified since the last one, 500 ms after it once these are 64 MiB, and
//    200 ms after it for the first one of a run; one at a time. Rationale: what a crash costs is bounded in time, and so is what
//    checkpoints cost: one waits for three syncs, whatever the speed. Of a GiB that takes 1.2 s, one every 64 MiB took 5 %.
// 4. Chosen files make some pieces wanted. Only these are missing, and the torrent is whole when they are verified; it is
//    complete, and a seed for others, only with every piece.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bitfield.hh"
#include "base/ids.hh"
#include "base/instant.hh"

namespace swarm::core {

class Progress {
 public:
  Progress(std::uint64_t bytes_total, std::uint32_t piece_bytes, Bitfield verified,
           const std::vector<PieceIndex>& unchecked, const Bitfield& wanted = {});  ///< wanted: empty means all

  const Bitfield& verified() const { return verified_; }
  bool unchecked(PieceIndex piece) const { return unchecked_[piece]; }
  std::uint32_t unchecked_count() const { return static_cast<std::uint32_t>(unchecked_.count()); }
  bool wanted(PieceIndex piece) const { return wanted_.size() == 0 || wanted_[piece]; }
  bool missing(PieceIndex piece) const { return !verified_[piece] && !unchecked_[piece] && wanted(piece); }
  bool whole() const { return all_.left == 0 || wanted_only_.left == 0; }
  bool complete() const { return all_.left == 0; }
  std::uint64_t bytes_verified() const { return all_.bytes_verified; }  ///< of all pieces, wanted or not

  /// Of the wanted pieces.
  std::uint32_t pieces() const { return wanted_only_.pieces; }
  std::uint32_t pieces_verified() const { return wanted_only_.pieces - wanted_only_.left; }
  std::uint64_t bytes_wanted() const { return wanted_only_.bytes; }
  std::uint64_t bytes_wanted_verified() const { return wanted_only_.bytes_verified; }
  std::uint64_t bytes_wanted_unchecked() const { return wanted_only_.bytes_unchecked; }

  void on_verified(PieceIndex piece, Instant now);
  void on_check_failed(PieceIndex piece);  ///< an unchecked piece is wrong on the disk: missing

  std::optional<Instant> save_due() const;  ///< rule 3; nothing while one is under way
  void save_begun();
  void on_saved();
  bool saving() const { return saving_; }

 private:
  struct Sums {
    std::uint32_t pieces = 0, left = 0;  ///< left: not verified
    std::uint64_t bytes = 0, bytes_verified = 0, bytes_unchecked = 0;
  };
  std::uint32_t size(PieceIndex piece) const;
  template <class Change>
  void sum(PieceIndex piece, Change change);

  std::uint64_t bytes_total_;
  std::uint32_t piece_bytes_;
  Bitfield verified_, unchecked_, wanted_;  ///< wanted_: empty means all
  Sums all_, wanted_only_;
  std::uint64_t bytes_unsaved_ = 0;
  Instant first_unsaved_{};
  bool saving_ = false, saved_ = false;
};

}  // namespace swarm::core
