#include "core/torrent/address_book.hh"

#include <algorithm>
#include <tuple>
#include <utility>

namespace swarm::core {

void AddressBook::add(const Endpoint& peer, bool by_person, Instant now, std::uint32_t priority) {
  if (peer.port == 0 || peer.address.is_unspecified() || peer.address.is_multicast()) return;
  auto [it, fresh] = known_.try_emplace(peer);
  if (fresh) wait_until(it->second, now);
  it->second.priority = priority;
  it->second.by_person |= by_person;
  if (fresh && known_.size() > known_max) make_room();
}

std::optional<Endpoint> AddressBook::next(Instant now) {
  if (!least_stale_ && (!least_ || *least_ > now)) return std::nullopt;
  auto best = known_.end();
  std::uint64_t equals = 0;
  const auto worse = [](const Known& a, const Known& b) {
    return std::tuple(!a.by_person, a.failures, ~a.priority) > std::tuple(!b.by_person, b.failures, ~b.priority);
  };
  least_.reset();  // of those who go on waiting
  least_stale_ = false;
  const auto waits_on = [this](const Known& k) {
    if (!least_ || k.next_try < *least_) least_ = k.next_try;
  };
  for (auto it = known_.begin(); it != known_.end(); ++it) {
    const Known& k = it->second;
    if (!k.waits()) continue;
    const bool due = k.next_try <= now;
    const bool better = due && (best == known_.end() || worse(best->second, k));
    if (better) equals = 1;
    if (better || (due && !worse(k, best->second) && random_.below(++equals) == 0)) {
      if (best != known_.end()) waits_on(best->second);
      best = it;
    } else {
      waits_on(k);
    }
  }
  if (best == known_.end()) return std::nullopt;
  best->second.busy = true;
  return best->first;
}

void AddressBook::on_connected(const Endpoint& peer) {
  const auto it = known_.find(peer);
  if (it == known_.end()) return;
  forget_least(it->second);
  it->second.failures = 0;
  it->second.busy = true;
}

void AddressBook::on_failed(const Endpoint& peer, Instant now) {
  ++failures_;
  last_failed_ = peer;
  auto it = known_.find(peer);
  if (it == known_.end()) return;
  Known& k = it->second;
  k.busy = false;
  const Duration longest = std::min<Duration>(1s * (std::int64_t{1} << std::min(k.failures, 7u)), 120s);
  ++k.failures;
  wait_until(k, now + longest / 2 + Duration(random_.below(static_cast<std::uint64_t>((longest / 2).count()) + 1)));
}

void AddressBook::on_gone(const Endpoint& peer, bool useful, Instant now) {
  auto it = known_.find(peer);
  if (it == known_.end()) return;
  it->second.busy = false;
  wait_until(it->second, now + (useful ? Duration(1s) : Duration(60s)));
}

void AddressBook::ban(const Endpoint& peer) {
  Known& known = known_[peer];
  forget_least(known);
  known.banned = true;
}

bool AddressBook::banned(const Endpoint& peer) const {
  auto it = known_.find(peer);
  return it != known_.end() && it->second.banned;
}

std::optional<Instant> AddressBook::next_wake() const {
  if (!std::exchange(least_stale_, false)) return least_;
  least_.reset();
  for (const auto& [peer, k] : known_)
    if (k.waits() && (!least_ || k.next_try < *least_)) least_ = k.next_try;
  return least_;
}

/// Also moves a time that it waited for already.
void AddressBook::wait_until(Known& known, Instant at) {
  forget_least(known);
  known.next_try = at;
  if (known.waits() && (!least_ || at < *least_)) least_ = at;
}

/// It is going to wait for nothing, or for another time.
void AddressBook::forget_least(const Known& known) {
  least_stale_ = least_stale_ || (known.waits() && least_ && known.next_try <= *least_);
}

void AddressBook::make_room() {
  auto worst = known_.end();
  for (auto it = known_.begin(); it != known_.end(); ++it) {
    if (it->second.busy || it->second.banned || it->second.by_person) continue;
    if (worst == known_.end() || it->second.failures > worst->second.failures) worst = it;
  }
  if (worst == known_.end()) return;
  forget_least(worst->second);
  known_.erase(worst);
}

}  // namespace swarm::core
