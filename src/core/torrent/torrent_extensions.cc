// The messages of the extension protocol (BEP 10) that a torrent says and hears.
#include <algorithm>

#include "core/torrent/torrent.hh"
#include "wire/extended.hh"

namespace swarm::core {

using wire::PeerFault;

/// Said again whenever something of it changes (BEP 10).
void Torrent::introduce_extended(Peer& peer) {
  wire::ExtendedHandshake ours;
  ours.client = context_.options.agent;
  if (context_.options.port != 0) ours.port = context_.options.port;
  ours.request_queue = Uploads::reqq;
  ours.your_ip = peer.endpoint.address;
  ours.upload_only = phase_ == Phase::whole;
  const Buffer payload = wire::encode(ours);
  say(peer, wire::Extended{0, payload});
}

void Torrent::on_extended(Peer& peer, const wire::Extended& message) {
  if (message.id != 0) return;  // we offered no messages of our own
  const auto theirs = wire::decode_extended_handshake(message.payload);
  if (!theirs) return context_.close(peer, PeerFault::bad_extension);
  if (theirs->request_queue) peer.requests.set_peer_limit(*theirs->request_queue);
  if (theirs->port && *theirs->port != 0 && !peer.outgoing) {
    peer.listens = Endpoint{peer.endpoint.address, *theirs->port};
    add_peer(*peer.listens, false, peer.since);
    discovery_.addresses().on_connected(*peer.listens);
  }
  peer.upload_only = theirs->upload_only;
}

void Torrent::on_metadata_wrong(Instant) {}

}  // namespace swarm::core
