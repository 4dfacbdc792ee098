#include "core/discovery/pex.hh"

#include <algorithm>

namespace swarm::core {

namespace {

enum class Reach : std::uint8_t { host, link, wide };

Reach reach(const IpAddress& address) {
  if (address.is_loopback()) return Reach::host;
  return address.is_link_local() ? Reach::link : Reach::wide;
}

}  // namespace

Pex::Pex(const Endpoint& peer, Instant now) : peer_(peer), next_at_(now + first_after) {}

std::optional<wire::PexMessage> Pex::next(std::span<const wire::PexPeer> connected, Instant now) {
  if (now < next_at_) return std::nullopt;
  next_at_ = now + look_again_after;
  std::set<Endpoint> present;
  wire::PexMessage message;
  for (const auto& other : connected) {
    if (!suits(other.endpoint) || !present.insert(other.endpoint).second) continue;
    if (!told_.contains(other.endpoint)) message.added.push_back(other);
  }
  for (const Endpoint& gone : told_) {
    if (!present.contains(gone) && message.dropped.size() < wire::pex_written_max) message.dropped.push_back(gone);
  }
  if (message.added.empty() && message.dropped.empty()) return std::nullopt;
  next_at_ = now + every;
  std::stable_partition(message.added.begin(), message.added.end(),
                        [](const auto& p) { return (p.flags & wire::pex_reachable) != 0; });
  if (message.added.size() > wire::pex_written_max) message.added.resize(wire::pex_written_max);
  for (const auto& added : message.added) told_.insert(added.endpoint);
  for (const auto& dropped : message.dropped) told_.erase(dropped);
  return message;
}

std::vector<wire::PexPeer> Pex::on_message(const wire::PexMessage& message, Instant now) {
  std::vector<wire::PexPeer> believed;
  if (last_told_ && now < *last_told_ + believed_every) return believed;
  const auto most = last_told_ ? later_max : kept_max;
  last_told_ = now;
  for (const Endpoint& dropped : message.dropped) kept_.erase(dropped);
  for (const auto& added : message.added) {
    if (believed.size() >= most || kept_.size() >= kept_max) break;
    if (keep(added.endpoint)) believed.push_back(added);
  }
  return believed;
}

/// Rules 4 and 7.
bool Pex::suits(const Endpoint& other) const {
  const auto& address = other.address;
  if (other == peer_ || other.port == 0 || address.is_unspecified() || address.is_multicast()) return false;
  return reach(address) == Reach::wide || reach(address) == reach(peer_.address);
}

/// Rule 6; false when it is known already or not believed.
bool Pex::keep(const Endpoint& told) {
  if (!suits(told)) return false;
  // Endpoints are ordered by address: its ports stand together.
  const auto first = kept_.lower_bound({told.address, 0});
  const auto last = kept_.upper_bound({told.address, 0xffff});
  if (std::distance(first, last) >= static_cast<std::ptrdiff_t>(ports_max)) return false;
  return kept_.insert(told).second;
}

}  // namespace swarm::core
