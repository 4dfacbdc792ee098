// Context: what a torrent may use of the process it lives in. Owned by the client; one per process.
#pragma once

#include <utility>
#include <vector>

#include "base/random.hh"
#include "core/actions.hh"
#include "core/client.hh"
#include "core/limiter.hh"
#include "core/peer/peer.hh"

namespace swarm::core {

struct Context {
  const ClientOptions& options;
  Random& random;
  Actions& actions;
  Limiter& up;
  Limiter& down;
  std::vector<std::pair<ConnId, wire::PeerFault>> closing;  ///< ended by the client once the input was dealt with
  std::vector<std::pair<TorrentId, Endpoint>> dialing;      ///< likewise: connections to open
  std::vector<TorrentId> web_seeding;  ///< likewise: torrents whose web seeds take part from now on

  bool up_waiting = false, down_waiting = false;  ///< somebody was held back by the limiter

  void close(Peer& peer, wire::PeerFault why) {
    if (std::exchange(peer.closing, true)) return;
    closing.emplace_back(peer.conn, why);
  }
  /// The driver shall come for what waits on this connection.
  void announce(Peer& peer) {
    if (peer.closing || !peer.connected || std::exchange(peer.announced, true)) return;
    actions.sendable.push_back(peer.conn);
  }
};

}  // namespace swarm::core
