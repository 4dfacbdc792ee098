// AddressBook: the peers of a torrent that are known by address: which to connect to next, which never again.
//
// Rules
// 1. A peer that could not be reached is tried again after 1 s, 2 s, 4 s … 2 min, at random within the last half of that. One
//    that was connected and went is tried again after 1 s. Rationale: a link that comes back finds its swarm at once.
// 2. Known better sources first (given by the person, then fewest failures, then by the priority of BEP 40), equals at random.
// 3. Banned and own addresses stay known, so that no tracker brings them back.
// 4. At most `known_max` addresses; beyond that the one with most failures makes room.
// Complexity: next() O(known) when somebody may be tried, at most once per connection slot, else O(1); next_wake() O(1), O(known)
// once after the first one due was connected otherwise, banned or put off.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/endpoint.hh"
#include "base/instant.hh"
#include "base/random.hh"

namespace swarm::core {

class AddressBook {
 public:
  static constexpr std::size_t known_max = 2000;
  explicit AddressBook(Random& random) : random_(random) {}

  void add(const Endpoint& peer, bool by_person, Instant now, std::uint32_t priority = 0);  ///< peer_priority()
  /// The next to connect to now; it counts as connecting.
  std::optional<Endpoint> next(Instant now);
  void on_connected(const Endpoint& peer);
  void on_failed(const Endpoint& peer, Instant now);             ///< could not be reached, or no handshake
  void on_gone(const Endpoint& peer, bool useful, Instant now);  ///< `useful`: worth coming back to soon
  void ban(const Endpoint& peer);                                ///< for good (also: it is ourselves)
  bool banned(const Endpoint& peer) const;

  std::size_t size() const { return known_.size(); }
  std::optional<Instant> next_wake() const;  ///< when somebody may be tried
  std::optional<Endpoint> last_failed() const { return last_failed_; }
  std::uint64_t failures() const { return failures_; }

 private:
  struct Known {
    Instant next_try = Instant::max();
    std::uint32_t failures = 0;
    std::uint32_t priority = 0;
    bool by_person = false;
    bool busy = false;  ///< connecting or connected
    bool banned = false;
    bool waits() const { return !busy && !banned; }
  };
  void wait_until(Known& known, Instant at);
  void forget_least(const Known& known);
  void make_room();

  std::map<Endpoint, Known> known_;
  /// The first moment when somebody who waits may be tried, never later than it is; when it may be earlier, least_stale_ is set.
  mutable std::optional<Instant> least_;
  mutable bool least_stale_ = false;
  Random& random_;
  std::optional<Endpoint> last_failed_;
  std::uint64_t failures_ = 0;
};

}  // namespace swarm::core
