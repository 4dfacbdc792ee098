#include "sim/nat.hh"

#include <algorithm>

#include "base/check.hh"

namespace swarm::sim {

std::uint16_t NatBox::on_opened(const Endpoint& inside, const Endpoint& to, Instant now) {
  const auto known = by_inside_.find(inside);
  std::uint16_t port = known == by_inside_.end() ? inside.port : known->second;
  if (known == by_inside_.end()) {
    for (int tries = 0; tries <= 65'535; ++tries, ++port) {
      const auto holder = by_port_.find(port);
      if (port == 0 || (holder != by_port_.end() && holder->second.until > now)) continue;
      if (holder != by_port_.end()) {
        by_inside_.erase(holder->second.inside);
        by_port_.erase(holder);
      }
      break;
    }
    SWARM_CHECK(!by_port_.contains(port));  // 65,535 connections opened from behind one box within 4 minutes
    by_inside_[inside] = port;
  }
  Mapping& mapping = by_port_[port];
  if (mapping.until <= now) mapping.spoken_to.clear();
  mapping.inside = inside;
  mapping.until = now + lifetime;
  mapping.spoken_to[to] = mapping.until;
  return port;
}

std::optional<Endpoint> NatBox::let_in(std::uint16_t port, const Endpoint& from, Instant now) {
  const auto found = by_port_.find(port);
  if (found == by_port_.end() || found->second.until <= now) return std::nullopt;
  Mapping& mapping = found->second;
  const bool welcome =
      kind_ == Nat::endpoint_independent ||
      std::any_of(mapping.spoken_to.begin(), mapping.spoken_to.end(), [&](const auto& spoken) {
        const bool same = kind_ == Nat::address_dependent ? spoken.first.address == from.address : spoken.first == from;
        return same && spoken.second > now;
      });
  if (!welcome) return std::nullopt;
  mapping.until = now + lifetime;
  return mapping.inside;
}

}  // namespace swarm::sim
