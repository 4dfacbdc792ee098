// Choker: whom we upload to. Pure: a list of candidates in, the set of the unchoked out; it knows no peer and no socket.
//
// Rules
// 1. Swarm nodes cooperate: every interested one is unchoked while there are fewer than `slots_max` of all kinds. One that
//    loses interest stays unchoked as long as there is room. Rationale: machines of one owner gain nothing by bargaining, and
//    the next piece shall not cost a round trip of interest and unchoke.
// 2. Strangers get `slots_strangers` regular slots, given every 10 s to the interested ones that give most to us
//    (downloading) or take most from us (seeding) (BEP 3). Seeding, a slot is kept for a turn of 30 s; of those whose turn is
//    over the slower half makes room for the ones that have waited longest, so that nobody is starved.
// 3. One more slot is optimistic: every 30 s another interested stranger at random; new connections are three times as likely.
// 4. A stranger that has sent nothing for 60 s although we asked is snubbed: only the optimistic slot is open to it (BEP 3).
// 5. Between rounds a newly interested peer is unchoked at once while slots are free.
// Complexity: O(n log n) in the candidates of one torrent, every 10 s and when interest changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.hh"
#include "base/instant.hh"
#include "base/random.hh"

namespace swarm::core {

struct ChokeCandidate {
  ConnId conn{};
  bool interested = false;
  bool cooperative = false;  ///< a swarm node
  bool unchoked = false;     ///< now
  bool snubbed = false;
  double rate_from = 0;  ///< payload bytes/s it sends us
  double rate_to = 0;    ///< payload bytes/s we send it
  Instant connected;
  Instant unchoked_since;  ///< when `unchoked`
};

class Choker {
 public:
  struct Options {
    std::uint32_t slots_strangers = 8;
    std::uint32_t slots_max = 200;
  };
  Choker(Options options, Random& random);

  /// Who shall be unchoked from now on, in no particular order. `seeding`: we have everything.
  const std::vector<ConnId>& decide(std::span<const ChokeCandidate> candidates, bool seeding, Instant now);
  /// When decide() is due again although nothing changed; Instant::max() while no stranger is interested.
  Instant next_round() const;
  /// Of so many there is room for all swarm nodes, whatever they and the strangers among them want (rule 1).
  bool has_room_for(std::size_t candidates) const { return candidates <= options_.slots_max; }

 private:
  /// What is remembered of a stranger between calls.
  struct Stranger {
    ConnId conn{};
    Instant served = Instant::min();      ///< when it last held a slot
    bool regular = false;                 ///< holds a regular slot
    const ChokeCandidate* now = nullptr;  ///< its candidate, during decide() only
  };

  void recognise(std::span<const ChokeCandidate> candidates);
  void seat_regulars(bool seeding, bool round, std::size_t slots, Instant now);
  void seat_optimistic(Instant now);

  Options options_;
  Random& random_;
  std::vector<ConnId> unchoked_;
  std::vector<Stranger> strangers_;  ///< the interested ones, in the order of the candidates
  std::optional<ConnId> optimistic_;
  Instant round_at_ = Instant::min();       ///< the next round of regular slots
  Instant optimistic_at_ = Instant::min();  ///< the next turn of the optimistic slot
};

}  // namespace swarm::core
