// Peer: the state of one connection, as plain data that the torrent works on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bitfield.hh"
#include "base/endpoint.hh"
#include "base/ids.hh"
#include "base/meter.hh"
#include "core/discovery/pex.hh"
#include "core/peer/requests.hh"
#include "core/peer/send_queue.hh"
#include "core/peer/session.hh"
#include "core/peer/uploads.hh"
#include "core/torrent/web_seeds.hh"

namespace swarm::core {

struct Peer {
  Peer(ConnId conn, const Endpoint& endpoint, bool outgoing, Instant now)
      : conn(conn), outgoing(outgoing), since(now), last_received(now), last_sent(now), endpoint(endpoint) {}

  // First what every message touches, in as few lines of the cache as it goes: a torrent's events come from all of its peers in turn.
  ConnId conn;
  std::uint32_t wanted = 0;  ///< pieces that it has and we still lack
  bool outgoing;
  bool connected = false;  ///< the transport is up
  bool greeted = false;    ///< our handshake is on its way
  bool ready = false;      ///< both handshakes are complete
  bool closing = false;    ///< on the list of connections to end; nothing more is read or said
  bool fast = false, extended = false;
  bool cooperative = false;  ///< a swarm node
  bool waits = false;        ///< it gives by turns: it is asked only for what it offers
  bool upload_only = false;  ///< BEP 21
  bool am_choking = true, am_interested = false;
  bool peer_choking = true, peer_interested = false;
  bool refill = false;     ///< ask it for more once the input is read to its end
  bool taking = false;     ///< the block that is arriving is one that we want
  bool announced = false;  ///< `sendable` names it and the driver has not come back with nothing yet
  struct Extensions {      ///< ids under which it takes our messages (BEP 10); 0: it does not
    std::uint8_t metadata = 0, pex = 0, turns = 0;
  };
  Extensions theirs;
  Instant since;
  Instant last_received;
  Instant last_sent;
  SendQueue send;
  Bitfield has;
  Session session;
  Requests requests;  ///< ours to it
  Uploads uploads;    ///< its to us
  Meter down, up;     ///< payload
  /// Pieces that it has offered, and of which blocks are still to be asked for; at most Torrent::granted_max.
  std::vector<PieceIndex> granted;

  Endpoint endpoint;                ///< of the connection; an incoming one's port is not where it listens
  std::optional<Endpoint> listens;  ///< where it can be connected to, when known
  std::optional<Endpoint> reachable_at() const { return outgoing ? endpoint : listens; }
  PeerId id;
  Instant unchoked_since{};
  std::optional<WebSeed> web_seed;  ///< not a connection: a server that is asked by ranges (Torrent::ask_web_seed)
  std::optional<Pex> pex;           ///< once it takes part in peer exchange
  /// What it said of its pieces before the info dictionary was known; at most early_max HAVEs.
  struct Early {
    bool all = false;
    Buffer bitfield;
    std::vector<PieceIndex> have;
  };
  Early early;
};

}  // namespace swarm::core
