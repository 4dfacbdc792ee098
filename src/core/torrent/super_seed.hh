// SuperSeed: which pieces a lone whole seed shows to whom, so that it uploads each about once (BEP 16). Pure; it sends nothing.
//
// Rules
// 1. It is for a seed that was whole from the start, among strangers: it ends when a swarm node or another seed connects, and when
//    every piece has been seen at some peer. It ends for good. Rationale: nodes of one owner get all there is at once, and with a
//    second copy in the swarm there is nothing left to economise.
// 2. While it lasts a newcomer is told that we have nothing, and then one piece after the other by HAVE. This begins with the first
//    peer, since what was told cannot be taken back; but a peer that is alone has nobody to spread to: what it has got makes room
//    at once (rule 4), and it is as fast as from any seed.
// 3. A peer is shown the piece that the fewest have, of these the one that the fewest are being shown; equals in an order that
//    was shuffled once. Rationale: no two peers are sent the same piece before every piece was sent once, and the last
//    ones do not wait for the slowest peer.
// 4. Shown pieces fill a window: at least 4 pieces, 4 MiB, and 10 s of what we send to that peer. A piece leaves the window when the
//    peer has it and somebody else has it too, or 20 s after the peer got it, or a minute after it was shown if it did not
//    come. Rationale: the window keeps the pipe full; who passes on what it gets is given more, who does not gets a window
//    in 20 s; and nobody is starved who has no connection to the others, or does not want what it is shown.
// 5. When it ends, everything is shown to everybody.
// Complexity: a HAVE and a shown piece O(peers + log pieces); a peer that comes or goes O(pieces log pieces).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/bitfield.hh"
#include "base/ids.hh"
#include "base/instant.hh"
#include "base/random.hh"

namespace swarm::core {

class SuperSeed {
 public:
  static constexpr std::uint32_t window_pieces_min = 4;
  static constexpr std::uint64_t window_bytes_min = 4u << 20;
  static constexpr Duration window_time = 10s, spread_within = 20s, fetched_within = 60s;

  /// `pieces` and `piece_bytes` are not 0.
  SuperSeed(std::uint32_t pieces, std::uint32_t piece_bytes, Random& random);

  /// A peer whose handshake is over, each once. True: tell it that we have nothing; false: that we have everything.
  bool on_peer(ConnId conn, bool swarm_node, Instant now);
  void on_bitfield(ConnId conn, const Bitfield& has, Instant now);  ///< of as many bits as there are pieces
  void on_have(ConnId conn, PieceIndex piece, Instant now);
  void on_rate(ConnId conn, double bytes_per_second);  ///< payload that we send it
  void on_gone(ConnId conn);

  struct Shown {
    ConnId conn{};
    PieceIndex piece{};
  };
  /// A piece to show to a peer now, by HAVE. Call until nothing comes, after every input and at next_wake().
  std::optional<Shown> next_show(Instant now);
  std::optional<Instant> next_wake() const;

  bool active() const { return active_; }
  /// Whether this peer may ask for this piece.
  bool is_shown(ConnId conn, PieceIndex piece) const;

 private:
  struct Waiting {
    bool fetched = false;  ///< the peer has it
    Instant leaves_at;
  };
  struct Peer {
    bool hidden = false;  ///< it was told that we have nothing, and not everything since
    Bitfield has, shown;
    double rate = 0;
    std::map<std::uint32_t, Waiting> window;
    std::set<std::pair<Instant, std::uint32_t>> by_time;  ///< the window by leaves_at
  };
  struct Piece {
    std::uint32_t at_peers = 0;   ///< have it
    std::uint32_t under_way = 0;  ///< are shown it, and have it not
    std::uint32_t order = 0;      ///< among equals
  };

  std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t> rank(std::uint32_t piece) const;
  void count(std::uint32_t piece, int at_peers, int under_way);
  void got(ConnId conn, Peer& peer, std::uint32_t piece, Instant now);
  void leave_window(Peer& peer, std::uint32_t piece);
  void set_leaving(Peer& peer, std::uint32_t piece, Instant at);
  void end();
  bool window_full(const Peer& peer) const;
  std::optional<std::uint32_t> rarest_for(const Peer& peer) const;
  std::optional<Shown> next_revealed();

  std::uint32_t piece_bytes_;
  bool active_ = true;
  std::vector<Piece> pieces_;
  std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>> rarest_;  ///< see rank()
  std::uint32_t unseen_;  ///< pieces that are at no peer
  std::map<ConnId, Peer> peers_;
};

}  // namespace swarm::core
