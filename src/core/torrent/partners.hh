// Partners: with which of its neighbours among swarm nodes a node trades, so that all together are a random graph of bounded degree.
// Pure; it sends nothing. The messages are `pair` and `part` of wire/turns.hh.
//
// Rules
// 1. With at most all_up_to useful neighbours each of them is a partner, and no word is said about it. A neighbour is useful unless
//    both are whole, or it is shunned.
// 2. Else a node wants `wanted` partners. While it has fewer it asks useful neighbours at random, one at a time; who says the same
//    back is one from then on, on both sides. Rationale: a piece that is given to fifty at a time takes fifty times as long to get
//    anywhere; given to few it is soon given on, and a random graph reaches 4,096 nodes in five steps.
// 3. Who is asked agrees while it has fewer than `wanted`, whom it is asking among them; and has one place more for who asks again.
//    Rationale: a node with fewer partners than others is given less than others, and the last one is waited for; so none may
//    have more while some have fewer, and those who come last and find all places taken must get one nevertheless.
//    If that one is taken too, who asks takes the place of the partner that has most, if that is two more than itself has at least.
//    Rationale: a newcomer to a swarm in which all have enough parts pairs, and is given to by one of each; the other asks anew.
//    It ends, since the numbers come closer to each other each time. Partners are told ours within a second when it changes.
// 4. Who refused, or left, is asked again after refused_for at the soonest; who did not answer within answered_within, after silent_for.
// 5. Nearer neighbours (same network, by their addresses) are asked first, but for far_min of the partners. Rationale: the line between
//    two sites is shared by all who stand at its ends; some must cross it, and a graph of near ones only would fall into parts.
// 6. Who is shunned is a partner no longer, and what it asks is refused (turns.hh has when and how long).
// 7. Who is in doubt (turns.hh, rule 9) stays a partner and does not count as one, so that another is looked for; of such a node has at
//    most `wanted`, the others do count. Rationale: else who is paired with some that pass nothing on has as many givers less, and
//    the last one is waited for. Doubt can end with a word, and then one partner more than others have does no harm.
// Lies: who says `pair` to everybody gets a place among `most` at each, as any one neighbour may; the number that a neighbour tells of its
// partners decides only who makes room for a poorer one.
// Complexity: O(neighbours) a call.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.hh"
#include "base/instant.hh"
#include "base/random.hh"

namespace swarm::core {

class Partners {
 public:
  static constexpr std::uint32_t wanted = 8, most = wanted + 1, all_up_to = wanted, far_min = 2;
  static constexpr Duration refused_for = 200ms, answered_within = 2s, silent_for = 10s;

  explicit Partners(Random& random) : random_(random) {}

  void on_neighbour(ConnId conn, bool near);  ///< at first not whole
  void on_gone(ConnId conn);
  void set_whole(ConnId conn, bool whole);
  void set_self_whole(bool whole);
  void set_shunned(ConnId conn, bool shunned);
  void set_doubted(ConnId conn, bool doubted);

  struct Say {
    ConnId conn{};
    bool pair = false;        ///< or part
    std::uint8_t partners{};  ///< how many we have
  };
  void on_pair(ConnId conn, std::uint8_t partners, Instant now);
  void on_part(ConnId conn, std::uint8_t partners, Instant now);
  /// What to say to whom now. Call until nothing comes, after every input.
  std::optional<Say> next_say(Instant now);
  void on_tick(Instant now);  ///< once a second

  bool is_partner(ConnId conn) const;
  bool all() const { return useful_ <= all_up_to; }                                              ///< rule 1
  std::uint32_t count() const { return paired_ + (doubted_ > wanted ? doubted_ - wanted : 0); }  ///< by agreement
  bool take_changed() { return std::exchange(changed_, false); }  ///< whether is_partner() may have for some

 private:
  enum class State : std::uint8_t { none, asked, paired };
  struct Neighbour {
    ConnId conn{};
    State state = State::none;
    bool near = false, whole = false, shunned = false, doubted = false;
    bool refused = false;       ///< it asked us in vain
    std::uint8_t partners = 0;  ///< as told last
    Instant since{};            ///< asked
    Instant not_before{};       ///< rule 4
  };

  Neighbour* find(ConnId conn);
  bool useful(const Neighbour& n) const { return !n.shunned && !(self_whole_ && n.whole); }
  void set(Neighbour& n, State state);
  void say(const Neighbour& n, bool pair);
  void settle();
  Neighbour* choose(Instant now);
  Neighbour* find_richest();

  Random& random_;
  std::vector<Neighbour> neighbours_;  ///< in the order in which they came
  std::deque<Say> says_;
  bool self_whole_ = false, changed_ = false;
  std::uint32_t useful_ = 0, asked_ = 0, paired_ = 0, doubted_ = 0;  ///< neighbours that are; paired or in doubt
  std::uint32_t told_ = 0;                                           ///< of paired_, to our partners
};

}  // namespace swarm::core
