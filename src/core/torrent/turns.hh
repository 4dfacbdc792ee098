// Turns: which piece a node gives next to which of its neighbours among swarm nodes, so that a swarm spreads a file as fast as its
// lines allow. Pure; it sends nothing. The messages are wire/turns.hh.
//
// Rules
// 1. The giver chooses: it offers a piece to a neighbour, who asks for its blocks or says why not. Rationale: what a swarm is short of
//    is room on uplinks, and who owns one knows what is rare around it. A neighbour that chooses for itself has asked eight others
//    for pieces long before they are sent, and does not know what those give to its rivals.
// 2. Each partner (partners.hh) has one turn that it has not asked for to the end, two where all neighbours are partners (or as many as
//    fill what the uplink carries in `ahead` and two of the shortest delays between an offer and its answer), so that the next piece
//    is known before the last block of one is asked for. Rationale: as long as every partner always has something to ask for, no
//    uplink waits; and as long as it is given by all of its partners at a time, an even share each, no line down waits. Fewer
//    turns at a time bring a piece sooner, but then some are sent more at a moment than their lines take, and others less; in a
//    mesh that costs more than the delay, in a graph, where a piece goes from hand to hand, less.
// 3. A neighbour is offered the piece that the fewest neighbours have or are being sent (a started piece is told to those who have
//    it), of equals the one that we gave least often, of equals one at random. Rationale: rarest first, by what the neighbourhood
//    lacks; so a seed gives each piece once before it gives one twice, and neighbours have something to trade.
// 4. The neighbour with the fewest pieces on their way to it is offered one first, of equals one at random; partners before others.
// 5. An offer that is not answered within 10 s is void.
// 6. With fewer than two neighbours that lack anything there is nothing to choose: they ask as they like (selective() is false).
// 7. Who is not a partner is offered something only while nobody has anything to ask for; where all are far away, see rule 14.
// 8. A partner that has had what we lack for judged_after, and in that time took judged_pieces of us and gave less than a sixteenth of
//    what it took, or has kept us choked for choked_for, is shunned for shunned_for: it is no partner, and is unchoked as strangers
//    are. Rationale: partners are such on both sides, so an honest one gives; a slow one, with a tenth of our rate, gives a tenth; its
//    `unchoke` may wait for seconds behind what it has sent before. A seed lacks nothing; for it there is the next rule.
// 9. A first gift is a piece that no other neighbour has or is being sent. Once it has come it is passed on as soon as another one has it
//    or is being sent it, and not by us. A partner that keeps kept_max first gifts longer than kept_for and twice what passing on
//    usually takes is in doubt for shunned_for, or until one of them is passed on after all; one that has kept us choked for
//    doubted_after, until it does no longer. Who is in doubt is served as who is no partner (rule 7), unless all partners are; and
//    what it keeps counts in rule 3 as what nobody has. Rationale: what a seed gives to who passes nothing on it has to give again,
//    and a fifth of free riders costs a fifth of the time. To an honest one doubt does little harm: the others give to it, and a
//    word ends it. One with a slow line passes on what is rarest first, too, and a first gift is that; what it is given faster than
//    it can pass on is better given to others. Where none can pass anything on, because none can reach another, all are in doubt.
// 10. While a first gift is on its way, nothing is given a second time, but no longer than first gifts usually take. Rationale: what
//    stands nowhere else is lost if we leave, so the last first gifts get our whole line; one slow taker does not keep it from the
//    others.
// 11. While nobody has anything to ask for and nothing is left to offer by rule 3, a partner is offered once what is on its way to it
//    already: it asks for what was not asked of others yet. Rationale: a line that would stand still brings a piece that is under
//    way to its end sooner, so that it is passed on sooner.
// 12. Who has nothing and is sent nothing is begun with only while fewer than begun_at_a_time turns of the last begun_within have not
//    been asked for to the end (of far ones, rule 14, more). Rationale: in the beginning most lines down are idle, so nobody has to share ours, and one after
//    the other they can pass on their first piece in a mean of half the time. Once all have something, few flows collide at the
//    receivers (rule 2). It holds among few, too: the first neighbours of a seed come one by one, and are few when it begins.
// 13. Where not all are partners, who was whole from the start gives nothing a second time that spread_enough neighbours have or are
//    being sent to who is sent something by somebody and gained, in the last second, half of what we ever sent in one; unless half
//    of the neighbours are whole. Rationale: those who are fed at such a rate lose a quarter of it at the most, commonly nothing,
//    for the others give it as fast; and the line of a seed may be paid for by the byte.
// 14. While no neighbour has ever answered an offer within far_from, as many are served (have a turn that they have not asked for to
//    the end) as reach.hh says: who is no partner, too, unless it is shunned or in doubt. While that is more than partners are
//    wanted, rule 4 looks at who has least, in steps of a thirty-second of all. And rule 12 begins as many times more as the
//    shortest answer took longer than far_from, begun_farther_max at the most. Rationale: between sites a connection carries a part
//    of what a line does, and a word takes as long as a piece; who has the slowest connections is waited for.
// What each is worth, 64 MiB in pieces of 256 KiB, 100 Mbit/s, last completion against the bound at N = 8 and 16: rarest first, asked of
// all neighbours 150 ms ahead: 1.7 at 8; two turns at a time, for all neighbours together, 1.37, 1.43; four, 1.17, 1.20; rule 2 and
// partners, 1.04, 1.08. At N = 64 and 256: given to all neighbours 1.41 at 64, each to the one that follows it on eight rings of the
// neighbours that it happens to have, 1.35 and 1.72; partners by agreement, 1.137 and 1.163, with little in the sockets (uv/peers.hh),
// 1.119 at 64; with rule 11, 1.112, with rule 12, 1.103 and 1.133. With rule 13 and what rule 10 says of gifts on their way, the
// seed's copies at 64 and 256 are 1.04 instead of 1.10 and 1.13, the ends 1.109 and 1.144; with rule 12 among few, too,
// 1.106 and 1.133. When a fifth of 10 or 20 nodes are free riders, the last honest one takes 24 or 25 % longer than without them;
// with rule 9, 6 or 9 %. 64 nodes with 10 to 100 Mbit/s up, 20 to 200 ms apart, on paths that lose 1 % (the
// profile wan), 64 MiB, 256 MiB and 1 GiB: 5.8 times the bound or more; with rule 14 and rule 5 of peer/requests.hh 2.0, 1.3 and 1.2.
// 64 nodes on lines of 50 Mbit/s, 100 ms, no losses: 1.53, 1.34.
// Lies: a false `taken` changes what the liar is offered, and counts as one holder of many in rule 3. Who takes offers and never asks
// for them, or not to the end, is offered no more than rule 2 has. Who says that it lacks what it was just given counts as busier by one for a second,
// each time, and beyond misses_max it is offered nothing. Free riders that claim each other's pieces are not in doubt, and gain what
// rule 9 would have kept from them. Three who claim what they lack keep rule 13 from giving it to others, until these are sent nothing.
// Complexity: next_offer O(neighbours + pieces looked at), at most looked_at_max + pieces / 64 of these a neighbour that is short of an
// offer; for rule 11, with an idle line, O(pieces / 64 + pieces on their way to it * turns) more for each; the rest O(neighbours +
// turns + first gifts that were not passed on), a neighbour that comes or goes O(pieces). Memory: 6 bytes and 2 bits a piece, 4 bits
// a piece and neighbour, gifts_max first gifts a neighbour.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bitfield.hh"
#include "base/ids.hh"
#include "base/instant.hh"
#include "base/random.hh"
#include "core/torrent/partners.hh"
#include "core/torrent/reach.hh"

namespace swarm::core {

class Turns {
 public:
  static constexpr std::uint32_t turns_min = 1, turns_min_in_mesh = 2;  ///< rule 2
  static constexpr Duration ahead = 20ms, answered_within = 10s;
  static constexpr std::uint32_t misses_max = 4;
  static constexpr std::uint32_t looked_at_max = 4096;
  static constexpr Duration judged_after = 2s, choked_for = 10s, shunned_for = 30s;  ///< rule 8
  static constexpr std::uint64_t least_share = 16, judged_pieces = 8;
  static constexpr Duration kept_for = 1s, doubted_after = 1s;  ///< rule 9
  static constexpr std::uint32_t kept_max = 2, gifts_max = 16;  ///< a neighbour; of later ones nothing is noted
  static constexpr std::size_t begun_at_a_time = 2;             ///< rule 12
  static constexpr Duration begun_within = 1s;
  static constexpr std::uint32_t spread_enough = 3;  ///< rule 13
  static constexpr Duration far_from = 16ms;         ///< rule 14
  static constexpr std::size_t begun_farther_max = 8;

  /// `mine`: what we can give from the start.
  Turns(std::uint32_t piece_bytes, const Bitfield& mine, Random& random);

  // Neighbours. Of an unknown one nothing is heard.
  void on_neighbour(ConnId conn, const Bitfield& has, bool near = false);  ///< near: Partners, rule 5
  void on_gone(ConnId conn);
  void set_open(ConnId conn, bool open);  ///< whether it may ask us at all (it is unchoked); at first it may not
  void on_bitfield(ConnId conn, const Bitfield& has);
  void on_have(ConnId conn, PieceIndex piece);
  void on_taken(ConnId conn, PieceIndex piece);
  void on_unwanted(ConnId conn, PieceIndex piece);
  void on_lacking(ConnId conn, PieceIndex piece);
  /// A request came for a block of it; `last`: for the one at its end.
  void on_asked(ConnId conn, PieceIndex piece, bool last, Instant now);

  struct Traffic {
    std::uint64_t took = 0, gave = 0;  ///< bytes so far
    bool could_give = false;           ///< it has what we lack and nobody is sending us
    bool chokes = false;               ///< it does not let us ask, although we would
  };
  void on_traffic(ConnId conn, const Traffic& traffic, Instant now);  ///< once a second

  // Ourselves.
  void on_mine(PieceIndex piece);  ///< we can give it from now on
  void on_tick(Instant now);       ///< once a second

  struct Offer {
    ConnId conn{};
    PieceIndex piece{};
  };
  /// Whom to offer what now; the turn is in flight from then on. `rate`: what we send, bytes/s. Call until nothing comes, after
  /// every input.
  std::optional<Offer> next_offer(double rate, Instant now);

  bool selective() const { return neighbours_.size() - whole_ >= 2; }
  bool shunned(ConnId conn) const;
  bool in_doubt(ConnId conn, Instant now) const;  ///< rule 9
  /// No neighbour is near, as far as we know (rule 14).
  bool far() const { return delay_min_ != Duration::max() && delay_min_ >= far_from; }
  bool knows(ConnId conn) const { return find(conn) != nullptr; }
  std::uint32_t held(PieceIndex piece) const { return held_[number(piece)]; }
  std::uint32_t given(PieceIndex piece) const { return given_[number(piece)]; }
  std::uint32_t load(ConnId conn) const;  ///< pieces on their way to it, as far as we know
  std::size_t in_flight() const { return turns_.size(); }
  Partners& partners() { return partners_; }  ///< what they say to each other is the caller's to pass on

 private:
  enum class State : std::uint8_t { lacking, unwanted, taken, has };
  struct alignas(64) Neighbour {  // a line of the cache for next_offer()
    ConnId conn{};
    std::uint32_t under_way = 0;  ///< bits in `taken`
    std::uint32_t to_ask = 0;     ///< its turns that it has not asked for to the end
    std::uint32_t misses = 0;     ///< turns in this second after which it lacked the piece
    std::uint32_t gaining = 0;    ///< pieces that it has said it has, in this second
    std::uint32_t gained = 0;     ///< in the last one
    bool open = false;
    bool partner = false;
    Bitfield closed;  ///< not lacking; up to here next_offer() looks at all of them
    Bitfield taken, unwanted;
    Bitfield joined;  ///< of taken: not to be offered again (rule 11)
    std::size_t has = 0;
    Instant judged_from{};  ///< rule 8
    Traffic before;         ///< by then
    std::uint64_t took = 0;
    Instant choked_from{};  ///< it was not before
    std::optional<Instant> shunned_until;
    bool chokes_long = false;  ///< rule 9
    std::uint32_t keeps = 0;   ///< first gifts since it was in doubt last
    Instant doubted_until{};   ///< for what it keeps
    bool in_doubt(Instant now) const { return chokes_long || now < doubted_until; }
    State state(std::uint32_t piece) const;
  };
  struct Turn {
    ConnId conn{};
    std::uint32_t piece = 0;
    Instant since;
    bool first = false;         ///< the only one of its piece so far
    bool asked = false;         ///< for a block at least
    bool asked_to_end = false;  ///< for the last
  };

  /// A first gift of which we do not know yet whether it is passed on.
  struct Gift {
    ConnId conn{};
    std::uint32_t piece = 0;
    Instant offered;
    std::optional<Instant> came;
    bool passed_on = false;
    bool kept = false;  ///< too long
  };

  Neighbour* find(ConnId conn);
  const Neighbour* find(ConnId conn) const;
  void set(Neighbour& n, std::uint32_t piece, State state);
  bool end_turn(Neighbour& n, std::uint32_t piece, bool given);
  void see_gifts(Instant now);
  void forget_gift(std::uint32_t piece);
  std::optional<std::uint32_t> piece_for(const Neighbour& n);
  std::optional<std::uint32_t> piece_to_join(const Neighbour& n);
  bool begins_enough(Instant now) const;
  std::uint32_t count_served() const;  ///< neighbours with a turn that they have not asked for to the end
  void look_at_reach(Instant now);
  bool lacks_any(const Neighbour& n) const;  ///< that we have and nobody is sending it
  bool fed_by_others(const Neighbour& n, std::uint32_t piece) const;
  Offer offer(Neighbour& n, std::uint32_t piece, bool first, Instant now);

  std::uint32_t piece_bytes_;
  Bitfield mine_;
  bool whole_at_first_;
  double rate_max_ = 0;  ///< that next_offer() was ever told
  Random& random_;
  Partners partners_;
  std::vector<Neighbour> neighbours_;          ///< in the order in which they came
  std::vector<ConnId> conns_;                  ///< of neighbours_, where one is looked for
  std::size_t whole_ = 0;                      ///< neighbours that have everything
  std::vector<std::uint32_t> held_;            ///< of each piece: neighbours that have it or are being sent it
  std::vector<std::uint16_t> given_;           ///< of each piece: turns, without those that came to nothing
  std::vector<Turn> turns_;                    ///< in flight, oldest first; at most one a neighbour and piece
  std::vector<Gift> gifts_;                    ///< at most one a piece, gifts_max a neighbour
  Bitfield gifted_, kept_;                     ///< pieces in gifts_; those that are kept too long
  Duration gift_comes_in_{}, passed_on_in_{};  ///< smoothed: from the offer to HAVE, and from there on
  Duration delay_min_ = Duration::max();       ///< from an offer to the first request for it
  Reach reach_;
  std::uint64_t sent_ = 0;  ///< since second_began_
  Instant second_began_{};
  bool dirty_ = false;  ///< something has changed since next_offer() gave nothing

  struct Candidate {
    std::uint32_t load = 0;
    std::uint64_t lot = 0;
    std::uint32_t at = 0;
  };
  std::vector<Candidate> candidates_;  ///< reused
};

}  // namespace swarm::core
