// Download: the blocks of the pieces that were begun: which are free, asked of whom, or here; and who sent them.
//
// Rules
// 1. A peer gets free blocks of pieces already begun before a new piece is begun (BEP 3's strict priority).
// 2. Endgame: when nothing is free at all, a block that waits at somebody else is asked of one more idle peer; the first copy
//    counts, the others are cancelled. Rationale: the last blocks must not wait for the slowest peer.
// 3. A piece whose blocks came wrong from several senders is begun again for one peer alone (solo), so that the next failure is
//    proof; that peer keeps it as long as any block of it is asked there. The senders of the failed attempt are kept until the
//    piece comes right.
// 4. All blocks here: the piece is complete and stays out of everybody's reach until its digest was judged.
// Complexity: next() O(begun pieces + blocks given); the rest O(log begun pieces). Memory 8 bytes a block of begun pieces; what a
// piece took is kept for the next one, so that beginning one allocates nothing once as many were begun at a time as ever are.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bitfield.hh"
#include "base/endpoint.hh"
#include "base/ids.hh"
#include "core/torrent/picker.hh"
#include "wire/metainfo.hh"
#include "wire/peer_message.hh"

namespace swarm::core {

/// Who sent a part of a piece.
struct Sender {
  ConnId conn{};
  Endpoint endpoint;
};

class Download {
 public:
  Download(std::uint64_t bytes_total, std::uint32_t piece_bytes, Picker& picker);

  /// Up to `most` blocks to ask this peer for; they count as asked of it. `idle`: nothing is asked of it now (rule 2).
  void next(ConnId conn, const Bitfield& has, std::size_t most, bool idle, std::vector<wire::BlockRef>& out);
  /// Adjacent free blocks for a source that has everything, over the ends of pieces, up to about `bytes_max` (at least one
  /// block); they count as asked of it. From the first free one of the pieces begun, else from the piece that the picker gives.
  void next_run(ConnId conn, std::uint64_t bytes_max, std::vector<wire::BlockRef>& out);
  /// The same for a source that can only go forward: from the lowest free block at or behind byte `from` of the torrent; when
  /// there is none, from the lowest of all.
  void next_run(ConnId conn, std::uint64_t bytes_max, std::uint64_t from, std::vector<wire::BlockRef>& out);
  /// Begins this piece for a peer that offers it, when it may be begun, or was and has free blocks. False: neither.
  bool grant(PieceIndex piece, ConnId conn);
  /// Up to `most` of its free blocks; they count as asked of this peer.
  void next_of(PieceIndex piece, ConnId conn, std::size_t most, std::vector<wire::BlockRef>& out);
  std::size_t free_blocks() const { return free_blocks_; }  ///< of pieces begun
  bool has_free(PieceIndex piece) const;                    ///< it is begun and has such
  bool asked_of(PieceIndex piece, ConnId conn) const;       ///< any block of it
  std::vector<PieceIndex> all_begun() const;                ///< and not judged yet, lowest first
  /// Is this block still missing?
  bool needs(const wire::BlockRef& block) const;
  /// A whole block came. False when another copy was first. `others` gets the connections to cancel it at.
  bool on_block(const wire::BlockRef& block, const Sender& from, std::vector<ConnId>& others);
  /// It will not come from there: rejected, choked, gone, stalled. Free again unless somebody else was asked too.
  void release(const wire::BlockRef& block, ConnId conn);
  void on_gone(ConnId conn);  ///< solo pieces of this connection may be taken by another

  /// The digest of a complete piece was right. Gives the senders of the wrong blocks of the last failed attempt, once each,
  /// with how many they sent.
  struct Culprit {
    Sender sender;
    std::uint32_t blocks = 0;
  };
  std::vector<Culprit> on_right(PieceIndex piece, std::span<const std::uint32_t> wrong_blocks);
  /// It was wrong: who took part. The piece is wanted again.
  std::vector<Sender> on_wrong(PieceIndex piece);

  bool begun(PieceIndex piece) const { return begun_.contains(number(piece)); }
  bool complete(PieceIndex piece) const;
  std::size_t pieces_begun() const { return begun_.size(); }
  std::uint32_t piece_size(PieceIndex piece) const;
  std::uint32_t block_count(PieceIndex piece) const;

 private:
  struct Block {
    enum class State : std::uint8_t { free, asked, here };
    State state = State::free;
    std::uint8_t asked_of = 0;  ///< how many peers
    std::uint16_t sender = 0;   ///< index into senders, when it is here
    ConnId first_asked{};
  };
  struct Begun {
    std::vector<Block> blocks;
    std::vector<Sender> senders;
    std::vector<std::vector<ConnId>> extra;  ///< empty unless the endgame asked several: who, per block
    std::uint32_t free = 0, here = 0;
    bool alone = false;           ///< rule 3
    std::optional<ConnId> owner;  ///< of a solo piece
  };
  using BegunPieces = std::map<std::uint32_t, Begun>;  ///< by piece: ordered, so that runs are the same everywhere
  struct Attempt {                                     ///< one that failed
    std::vector<Block> blocks;
    std::vector<Sender> senders;
  };

  Begun* awaiting(const wire::BlockRef& block);
  wire::BlockRef block_ref(PieceIndex piece, std::uint32_t index) const;
  void take(Begun& b, std::uint32_t block, ConnId conn);
  void take_free(std::uint32_t piece, Begun& b, ConnId conn, std::size_t most, std::vector<wire::BlockRef>& out);
  struct Start {
    std::uint32_t piece = 0, block = 0;
  };
  std::optional<Start> begun_start(ConnId conn, Start from) const;
  std::optional<Start> lowest_start(ConnId conn, Start from) const;
  void take_run(ConnId conn, std::uint64_t bytes_max, Start start, std::vector<wire::BlockRef>& out);
  Begun* for_run(std::uint32_t piece, ConnId conn);
  Begun& begin(PieceIndex piece, ConnId conn);
  void end(BegunPieces::iterator piece);
  bool asked_of(const Begun& begun, ConnId conn) const;
  bool closed_to(const Begun& begun, ConnId conn) const;
  void endgame(ConnId conn, const Bitfield& has, std::vector<wire::BlockRef>& out);

  std::uint64_t bytes_total_;
  std::uint32_t piece_bytes_;
  Picker& picker_;
  BegunPieces begun_;
  std::vector<BegunPieces::node_type> spare_;  ///< of pieces that ended, with their memory; at most spare_max
  std::map<std::uint32_t, Attempt> failed_;    ///< pieces that failed and are not right yet
  std::size_t free_blocks_ = 0;                ///< in all begun pieces
};

}  // namespace swarm::core
