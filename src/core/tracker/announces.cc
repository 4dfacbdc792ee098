#include "core/tracker/announces.hh"

#include <algorithm>

namespace swarm::core {

tl::expected<wire::AnnounceReply, std::string_view> Announces::on_announce(const wire::AnnounceRequest& request,
                                                                           const Caller& caller) {
  if (!serves(request.info_hash))
    return tl::unexpected<std::string_view>("this tracker serves only the torrents of its catalogue");

  const Endpoint peer{caller.from.address, request.port};
  const bool seed = request.left == 0u;
  const bool stopped = request.event == wire::AnnounceEvent::stopped;
  const auto interval = std::chrono::seconds(policy_.interval_s);
  if (stopped) {
    directory_.remove(request.info_hash, peer);
  } else if (!directory_.announce(request.info_hash, {peer, request.peer_id, seed, caller.here},
                                  request.event == wire::AnnounceEvent::completed, 2 * interval, caller.now)) {
    return tl::unexpected<std::string_view>("this tracker has no room for more, try again later");
  }
  nodes_.on_announce(request, peer, interval, caller.now);

  wire::AnnounceReply r;
  r.interval_s = policy_.interval_s;
  r.min_interval_s = policy_.interval_s / 2;
  const auto counts = directory_.counts(request.info_hash);
  r.complete = counts.seeds;
  r.incomplete = counts.leechers;
  r.downloaded = counts.downloaded;
  r.external_ip = caller.from.address;
  r.swarm_tracker = true;
  const auto want = std::min<std::size_t>(request.num_want.value_or(peers_default), peers_max);
  if (!stopped) r.peers = peers_for(caller, request.info_hash, {peer, request.peer_id, seed, caller.here}, want);
  return r;
}

wire::ScrapeEntry Announces::scrape(const InfoHash& torrent) const {
  const auto counts = directory_.counts(torrent);
  return {torrent, counts.seeds, counts.leechers, counts.downloaded};
}

std::vector<wire::AnnouncedPeer> Announces::peers_for(const Caller& caller, const InfoHash& torrent,
                                                      const Directory::Asker& asker, std::size_t want) const {
  return directory_.peers_for(
      torrent, asker, want, [&](const Directory::Peer& peer) { return reach(caller, peer); }, caller.now);
}

Endpoint Announces::reach(const Caller& caller, const Directory::Peer& peer) const {
  const auto port = peer.endpoint.port;
  const auto* declared = nodes_.addresses(peer.id);
  const bool v4 = caller.from.address.is_v4();
  const auto fits = [v4](const IpAddress& a) { return a.is_v4() == v4 && !a.is_loopback() && !a.is_unspecified(); };
  if (declared != nullptr && std::ranges::find(*declared, caller.local.address) == declared->end()) {
    const auto found = std::ranges::find_if(*declared, fits);
    if (found != declared->end()) return {*found, port};
  }
  return fits(caller.local.address) ? Endpoint{caller.local.address, port} : peer.endpoint;
}

}  // namespace swarm::core
