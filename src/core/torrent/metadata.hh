// Metadata: fetches the info dictionary of a torrent that is known by its info-hash from its peers (BEP 9); no I/O.
//
// Rules
// 1. A metadata_size of 1 byte … 32 MiB is an offer; with any other the peer is not asked. Peers that offer the same size are one
//    *source*: they fill one buffer together, 16 KiB at a time.
// 2. Two sources are fetched at a time, the others wait in the order in which they came. A source gives its place up when
//    another waits and it has had a turn of 60 s since then (twice as long each time it has one), or 20 s without a new piece;
//    what it had is dropped, and it waits at the end. The first dictionary with the right hash wins.
//    Rationale: nobody can tell a liar's size from the right one before it is whole. Turns need no judgement: whatever number
//    of liars there is, and however slowly they drip, the honest source has its turn, and one that is long enough in the end.
// 3. A peer has at most 4 asks under way. A piece that was asked for is asked of another peer after 10 s, when no other piece
//    is left, then of a third after 5 s, 2.5 s … 156 ms. An answer that comes late is taken if the piece is still missing.
//    Rationale for halving: the more peers are silent about a piece, the less one more is worth waiting for; any number of
//    silent ones holds it up for half a minute, not for 10 s each.
// 4. A peer that rejects, or is silent for 30 s, which is when its ask counts as lost, rests for 30 s: it has not got the
//    dictionary yet, or has given enough (BEP 9). One that sends a piece of another length, or tells another total,
//    contradicts its own offer: it is asked no more.
// 5. What has the wrong hash is dropped, and on_wrong() says who contributed. One alone is proved a liar. Of several nobody is:
//    from then on every peer is a source of its own. Rationale: with two pieces from two peers the hash cannot tell which is
//    bad; fetched from one peer alone, the next wrong dictionary proves its sender.
// 6. A source whose peers are all gone keeps its pieces as long as no other waits for the place. Rationale: a lone seed on a
//    bad link is met again, and goes on where it was.
//
// Memory: grows with the bytes that came, at most 2 × 32 MiB (what is being checked counted as one of the two), and 100 bytes of
// bookkeeping a piece of those two. Complexity: next() and on_data() O(log pieces + sources), next_wake() O(peers).
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/bytes.hh"
#include "base/ids.hh"
#include "base/instant.hh"
#include "wire/ut_metadata.hh"

namespace swarm::core {

class Metadata {
 public:
  static constexpr std::size_t sources_at_a_time = 2;
  static constexpr std::size_t asks_max = 4;
  static constexpr Duration ask_another_after = 10s, lost_after = 30s, rest = 30s, stalled_after = 20s, turn = 60s;

  /// The peer's handshake told this metadata_size and takes ut_metadata. Told again, the last one counts.
  void on_offered(ConnId conn, std::int64_t bytes, Instant now);
  /// The piece to ask this peer for now. Call until nothing comes: for a peer after its own inputs, for all of them after
  /// on_wrong() and on_gone(), and at next_wake().
  std::optional<std::uint32_t> next(ConnId conn, Instant now);
  /// A piece that was not asked for is passed over.
  void on_data(ConnId conn, const wire::MetadataData& data, Instant now);
  void on_reject(ConnId conn, std::uint32_t piece, Instant now);
  void on_gone(ConnId conn, Instant now);

  /// A dictionary that is complete, each once, to be hashed; null when there is none, or one is still being checked.
  std::shared_ptr<const Buffer> complete();
  /// Its hash is another. Who contributed to it, in ascending order: one alone is proved a liar, is not asked again, and
  /// should be banned. Some may be gone already.
  std::vector<ConnId> on_wrong(Instant now);

  /// Of the source that has come farthest; 0 while there is none.
  std::uint32_t bytes_total() const;
  std::uint32_t bytes_done() const;
  std::optional<Instant> next_wake() const;

 private:
  struct Ask {
    std::uint32_t piece = 0;
    Instant at;
  };
  struct Peer {
    std::uint32_t bytes = 0;  ///< offered
    Instant rests_until = Instant::min();
    std::vector<Ask> asks;  ///< at most asks_max, the oldest first
  };
  struct Piece {
    Buffer bytes;                           ///< empty while it is missing
    ConnId from{};                          ///< who sent it
    ConnId asked_of{};                      ///< last
    std::uint32_t unanswered = 0;           ///< how often its time ran out
    Instant askable_from = Instant::min();  ///< min: nobody is being asked
  };
  struct Source {
    std::uint32_t bytes = 0;
    std::optional<ConnId> alone;  ///< rule 5; else everyone who offers this size
    std::uint32_t turns = 0;      ///< how many it has had
    Instant waits_since;          ///< while it has no place
    // While it has a place:
    bool active = false, checking = false;
    Instant began, progress_at;
    std::vector<Piece> pieces;
    std::set<std::pair<Instant, std::uint32_t>> askable;  ///< the missing ones, by Piece::askable_from
    std::uint32_t bytes_done = 0;
    std::vector<ConnId> contributors;  ///< while it is being checked
  };
  using Sources = std::list<Source>;  ///< in the order in which they wait

  static bool belongs(const Source& source, ConnId conn, const Peer& peer);
  Source* source_of(ConnId conn, const Peer& peer);
  const Source* source_of(ConnId conn, const Peer& peer) const;
  const Source* farthest() const;
  bool has_peers(const Source& source) const;
  std::size_t active_sources() const;
  bool somebody_waits() const;
  Instant turn_end(const Source& source) const;
  void join(ConnId conn, const Peer& peer, Instant now);
  void leave(ConnId conn);
  void split(Instant now);
  void settle(Instant now);
  void fill_places(Instant now);
  bool make_room(Instant now);
  void wait(Sources::iterator source, Instant now);
  void begin_turn(Source& source, Instant now);
  void end_turn(Source& source);
  static bool is_missing(const Source& source, std::uint32_t piece);
  static void set_askable(Source& source, std::uint32_t piece, Instant from);
  bool take_ask(ConnId conn, Peer& peer, std::uint32_t piece);
  void drop_asks(ConnId conn, Peer& peer);

  std::map<ConnId, Peer> peers_;
  std::set<ConnId> refused_;  ///< connected, and not to be asked whatever they offer (rules 4 and 5)
  Sources sources_;
  bool everyone_alone_ = false;  ///< rule 5
};

}  // namespace swarm::core
