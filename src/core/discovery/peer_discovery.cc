#include "core/discovery/peer_discovery.hh"

#include <algorithm>
#include <utility>

#include "core/discovery/peer_priority.hh"

namespace swarm::core {

PeerDiscovery::PeerDiscovery(TorrentId torrent, std::vector<std::vector<std::string>> trackers, Context& context,
                             Instant now)
    : torrent_(torrent),
      context_(context),
      addresses_(context.random),
      announcer_(std::move(trackers), context.random, now) {}

void PeerDiscovery::add(const Endpoint& peer, bool by_person, Instant now) {
  const auto& own = context_.options.addresses;
  if (peer.port == context_.options.port && std::find(own.begin(), own.end(), peer.address) != own.end()) return;
  addresses_.add(peer, by_person, now, priority(peer));
}

std::uint32_t PeerDiscovery::priority(const Endpoint& peer) const {
  const auto& own = context_.options.addresses;
  const auto of_family = [&](const IpAddress& a) { return a.is_v4() == peer.address.is_v4(); };
  const auto ours = std::find_if(own.begin(), own.end(), of_family);
  return ours == own.end() ? 0 : peer_priority({*ours, context_.options.port}, peer);
}

bool PeerDiscovery::near(const IpAddress& peer) const {
  const std::size_t network = peer.is_v4() ? 15 : 8;  // bytes; an IPv4 address is a mapped one here
  const auto& own = context_.options.addresses;
  return std::any_of(own.begin(), own.end(), [&](const IpAddress& a) {
    return a.is_v4() == peer.is_v4() && std::equal(a.bytes.begin(), a.bytes.begin() + network, peer.bytes.begin());
  });
}

bool PeerDiscovery::seeks_more(const Connections& have) const {
  const auto nodes = have.far ? nodes_sought_far : nodes_sought, all = have.far ? peers_sought_far : peers_sought;
  const bool enough_nodes = have.nodes > 0 && have.nodes + have.half_open >= nodes;
  return have.all < std::min<std::size_t>(all, context_.options.peers_max) && !enough_nodes;
}

void PeerDiscovery::connect_more(Connections have, Instant now) {
  for (; seeks_more(have) && have.half_open < half_open_max; ++have.all, ++have.half_open) {
    const auto peer = addresses_.next(now);
    if (!peer) return;
    context_.dialing.emplace_back(torrent_, *peer);
  }
}

void PeerDiscovery::on_announced(const std::string& url, const wire::AnnounceReply& reply, bool seeding, Instant now) {
  if (!reply.failure.empty()) return on_announce_failed(url, reply.failure, now);
  announcer_.on_reply(url, reply, now);
  if (!reply.warning.empty()) notice({torrent_, url, true, reply.warning});
  if (!std::exchange(trouble_, {}).empty()) notice({torrent_, url, true, {}});
  if (reply.complete) seeders_known_ = *reply.complete - std::min<std::uint32_t>(*reply.complete, seeding ? 1 : 0);
  for (const wire::AnnouncedPeer& p : reply.peers) add(p.endpoint, false, now);
}

void PeerDiscovery::on_announce_failed(const std::string& url, const std::string& why, Instant now) {
  announcer_.on_failure(url, now);
  if (stopping_ || why == trouble_) return;
  trouble_ = why;
  notice({torrent_, url, false, why});
}

void PeerDiscovery::attach(Heartbeat& heartbeat) {
  if (std::find(heartbeats_.begin(), heartbeats_.end(), &heartbeat) != heartbeats_.end()) return;
  heartbeats_.push_back(&heartbeat);
  heartbeat.on_torrent(torrent_);
}

void PeerDiscovery::on_beat_reply(const wire::BeatReplyTorrent& reply, bool seeding, Instant now) {
  seeders_known_ = reply.seeders - std::min<std::uint32_t>(reply.seeders, seeding ? 1 : 0);
  for (const Endpoint& e : reply.peers) add(e, false, now);
}

void PeerDiscovery::on_gained(PieceIndex piece) {
  for (Heartbeat* h : heartbeats_) h->on_gained(torrent_, piece);
}

void PeerDiscovery::on_checked(PieceIndex piece, bool ok, const std::vector<Endpoint>& from) {
  for (Heartbeat* h : heartbeats_) h->on_checked(torrent_, piece, ok, from);
}

void PeerDiscovery::on_completed(Instant now) {
  announcer_.completed(now);
  for (Heartbeat* h : heartbeats_) h->on_completed(torrent_);
}

void PeerDiscovery::on_gone(Instant now) {
  stopping_ = true;
  announcer_.stop(now);
  for (Heartbeat* h : heartbeats_) h->on_torrent_gone(torrent_);
}

std::optional<Instant> PeerDiscovery::next_wake(bool dialling, Instant tick) const {
  auto at = announcer_.next_wake();
  if (!dialling) return at;
  if (const auto next = addresses_.next_wake(); next && (!at || std::max(*next, tick) < *at))
    at = std::max(*next, tick);
  return at;
}

}  // namespace swarm::core
