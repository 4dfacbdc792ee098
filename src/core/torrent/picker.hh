// Picker: which piece to begin next.
//
// Rules
// 1. Only pieces that are wanted (missing, not begun, not awaiting a check) are picked, and only ones the peer has.
// 2. Rarest first by availability among connected peers. Rationale: rare pieces are what a swarm runs out of.
// 3. Equals in random order, different at every node. Rationale: neighbours that pick alike have nothing to trade.
// 4. A piece once picked is begun: it is not picked again until put_back(). Which blocks of it are asked of whom is
//    download's matter (it finishes begun pieces before it asks for new ones).
// 5. Sequential mode: lowest index first instead of 2 and 3.
// 6. Small pieces come in runs: behind a piece comes its neighbour, as long as both lie in the same 256 KiB of the torrent and it is
//    as rare as what would be picked otherwise; and a run begins as far back as that holds. Rationale: both ends move neighbours
//    with one system call, and a disk with one movement. Runs begin at random places, so that rule 3 holds for them.
// Complexity: on_have O(1); want, unwant O(availability); on_bitfield, on_gone O(pieces), O(1) for a peer that has all; pick
// O(pieces looked at until one fits), at most O(pieces / 64 + pieces in common) when none of the rarest does. No allocation but
// for a new highest availability. Memory 12 bytes and a bit a piece.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bitfield.hh"
#include "base/ids.hh"
#include "base/random.hh"

namespace swarm::core {

class Picker {
 public:
  static constexpr std::uint32_t run_bytes = 256 * 1024;  ///< rule 6

  /// All pieces unwanted at first.
  Picker(std::uint32_t pieces, Random& random, std::uint32_t piece_bytes = run_bytes);

  void set_sequential(bool on);
  void on_have(PieceIndex piece);         ///< a connected peer has it now
  void on_bitfield(const Bitfield& has);  ///< a peer connected (or sent have-all) with these
  void on_gone(const Bitfield& had);      ///< it disconnected
  void want(PieceIndex piece);            ///< missing: may be picked (also: put back a begun one)
  void unwant(PieceIndex piece);          ///< verified, awaiting a check, or not chosen
  /// The next piece to begin with a peer that has these; it is begun from now on.
  std::optional<PieceIndex> pick(const Bitfield& peer_has);
  /// The lowest piece from this one on that may be picked; it is not begun by that. O(pieces / 64).
  std::optional<PieceIndex> lowest(PieceIndex from) const;
  /// Begins this one, when it may be picked.
  bool take(PieceIndex piece);
  void put_back(PieceIndex piece) { want(piece); }

  std::uint32_t availability(PieceIndex piece) const;
  std::uint32_t pieces() const { return static_cast<std::uint32_t>(base_.size()); }
  std::uint32_t pickable() const;                    ///< wanted and not begun
  bool interesting(const Bitfield& peer_has) const;  ///< would pick() give something?
  /// Least availability over all pieces + the fraction of pieces above it.
  double copies() const;

 private:
  // What may be picked stands in order_, grouped by availability: bucket a is [start_[a], start_[a + 1]), in random order. A
  // piece whose availability changes is swapped to the edge of its bucket and the edge moves over it. Peers that have all
  // pieces are counted in everywhere_ only, since they change no order: availability is base_[piece] + everywhere_.
  void move_up(std::uint32_t piece);
  void move_down(std::uint32_t piece);
  void place(std::uint32_t piece, std::uint32_t position);
  void swap(std::uint32_t a, std::uint32_t b);
  void mix_into(std::uint32_t position, std::uint32_t bucket);
  void reach(std::uint32_t availability);
  std::uint32_t rarest_in_common(const Bitfield& peer_has) const;
  std::uint32_t in_run(std::uint32_t piece, const Bitfield& peer_has) const;

  static constexpr std::uint32_t none = UINT32_MAX;
  Random& random_;
  bool sequential_ = false;
  std::uint32_t run_pieces_;     ///< rule 6; 1: there are no runs
  std::uint32_t picked_ = none;  ///< the last one
  std::uint32_t everywhere_ = 0;
  std::vector<std::uint32_t> order_;      ///< the pickable pieces; the rest of its capacity is unused
  std::vector<std::uint32_t> position_;   ///< of each piece in order_; meaningless for others
  std::vector<std::uint32_t> base_;       ///< of each piece: peers that have it, without everywhere_
  std::vector<std::uint32_t> start_;      ///< of each bucket, and one more: the end of the last
  std::vector<std::uint32_t> pieces_of_;  ///< how many pieces, pickable or not, have this base_
  Bitfield pickable_;
};

}  // namespace swarm::core
