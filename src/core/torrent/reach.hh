// Reach: how many neighbours a node serves at a time where they are far away: as many as fill its line. Pure.
//
// Rules
// 1. At first `least`, which is as many as it wants for partners (partners.hh).
// 2. Who serves as many as it may, and sent something in two seconds, evenly (in neither a quarter more than in the other), tries twice
//    as many.
// 3. When the second second of a trial brings a quarter more than the better one before it, it stays at that, and may try again at
//    once; else it goes back to what it had, for `hold`.
// Rationale: what a connection carries where packets are lost goes down with its round trip (RFC 5348 §3.1); eight of them across an
// ocean fill no line. Nothing that is to be seen of one connection tells losses from a full line, nor a long way from a long queue;
// but a full line carries no more when more share it. Evenly: while the rate grows by itself, it is no sign. Where the line is full each
// trial costs a little: what is given to more at a time comes later, and is passed on later.
// Complexity: O(1).
#pragma once

#include <cstdint>

#include "base/instant.hh"
#include "core/torrent/partners.hh"

namespace swarm::core {

class Reach {
 public:
  static constexpr std::uint32_t least = Partners::wanted, most = 16 * least;
  static constexpr double more = 1.25;  ///< rules 2 and 3
  static constexpr Duration hold = 30s;

  std::uint32_t served_max() const { return served_max_; }
  /// About once a second. `rate`: what was sent since the last call, bytes/s; `served`: how many neighbours at the moment.
  void on_second(double rate, std::uint32_t served, Instant now);

 private:
  void judge(double rate, Instant now);

  std::uint32_t served_max_ = least;
  double last_rate_ = 0;
  std::uint32_t trial_second_ = 0;  ///< 0: there is none
  double rate_before_ = 0;
  Instant not_before_{};
};

}  // namespace swarm::core
