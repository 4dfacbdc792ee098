// The naive twin of core/tracker/directory.hh, without its limits: lists, searched from the start.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "base/digest.hh"
#include "base/endpoint.hh"
#include "base/instant.hh"

namespace swarm::model {

class Directory {
 public:
  struct Peer {
    Endpoint endpoint;
    bool seed = false;
    Instant expires;
  };

  void announce(const InfoHash& torrent, const Endpoint& endpoint, bool seed, Duration lifetime, Instant now) {
    remove(torrent, endpoint);
    swarms_[torrent].push_back({endpoint, seed, now + lifetime});
  }
  void remove(const InfoHash& torrent, const Endpoint& endpoint) {
    std::erase_if(swarms_[torrent], [&](const Peer& p) { return p.endpoint == endpoint; });
  }
  void expire(Instant now) {
    for (auto& [torrent, peers] : swarms_) std::erase_if(peers, [&](const Peer& p) { return p.expires <= now; });
  }
  std::vector<Endpoint> peers_for(const InfoHash& torrent, const Endpoint& asker, bool seed) {
    std::vector<Endpoint> out;
    for (const auto& p : swarms_[torrent]) {
      if (p.endpoint != asker && !(seed && p.seed)) out.push_back(p.endpoint);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  std::size_t count(const InfoHash& torrent, bool seed) {
    const auto& peers = swarms_[torrent];
    return static_cast<std::size_t>(std::count_if(peers.begin(), peers.end(), [&](auto& p) { return p.seed == seed; }));
  }

 private:
  std::map<InfoHash, std::vector<Peer>> swarms_;
};

}  // namespace swarm::model
