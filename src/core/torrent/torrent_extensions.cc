// The messages of the extension protocol (BEP 10) that a torrent says and hears.
#include <algorithm>

#include "core/torrent/torrent.hh"
#include "wire/extended.hh"
#include "wire/ut_metadata.hh"

namespace swarm::core {

using wire::PeerFault;

namespace {
std::uint8_t id_of(const wire::ExtendedHandshake& handshake, std::string_view name) {
  for (const auto& [known, id] : handshake.messages)
    if (known == name) return id;
  return 0;
}
}  // namespace

/// Said again whenever something of it changes (BEP 10).
void Torrent::introduce_extended(Peer& peer) {
  wire::ExtendedHandshake ours;
  ours.client = context_.options.agent;
  if (context_.options.port != 0) ours.port = context_.options.port;
  ours.request_queue = Uploads::reqq;
  ours.your_ip = peer.endpoint.address;
  ours.upload_only = phase_ == Phase::whole && !(super_seed_ && super_seed_->active());
  const bool open =
      !info_.is_private;  // a private torrent's peers and its info dictionary come from its trackers (BEP 27)
  for (const wire::ExtensionMessage& m : {wire::ut_metadata, wire::ut_pex})
    ours.messages.emplace_back(m.name, open ? m.id : std::uint8_t{0});
  for (const wire::ExtensionMessage& m : {wire::lt_donthave, wire::upload_only})
    ours.messages.emplace_back(m.name, m.id);
  if (turns_) ours.messages.emplace_back(wire::sw_turns.name, wire::sw_turns.id);
  if (metadata_uploads_) ours.metadata_bytes = metadata_uploads_->bytes();
  const Buffer payload = wire::encode(ours);
  say(peer, wire::Extended{0, payload});
}

void Torrent::on_extended(Peer& peer, const wire::Extended& message, Instant now) {
  const auto bad = [&] { context_.close(peer, PeerFault::bad_extension); };
  if (message.id == 0) {
    const auto theirs = wire::decode_extended_handshake(message.payload);
    return theirs ? on_introduced(peer, *theirs, now) : bad();
  }
  if (message.id == wire::ut_metadata.id) {
    const auto said = wire::decode_metadata(message.payload);
    return said ? on_metadata(peer, *said, now) : bad();
  }
  if (message.id == wire::ut_pex.id) {
    const auto said = wire::decode_pex(message.payload);
    return said ? on_pex(peer, *said, now) : bad();
  }
  if (message.id == wire::lt_donthave.id) {
    const auto piece = wire::decode_dont_have(message.payload);
    if (!piece || (known_ && number(*piece) >= info_.pieces)) return bad();
    if (!known_ || !peer.has[*piece]) return;
    Bitfield has = peer.has;
    has.set(*piece, false);
    return set_has(peer, std::move(has), now);
  }
  if (message.id == wire::sw_turns.id && turns_) {
    const auto said = wire::decode_turns(message.payload, info_.pieces);
    return said ? on_turns(peer, *said, now) : bad();
  }
  if (message.id == wire::upload_only.id) {
    const auto on = wire::decode_upload_only(message.payload);
    if (!on) return bad();
    peer.upload_only = *on;
    update_interest(peer);
  }
}

void Torrent::on_introduced(Peer& peer, const wire::ExtendedHandshake& theirs, Instant now) {
  if (theirs.request_queue) peer.requests.set_peer_limit(*theirs.request_queue);
  if (theirs.port && *theirs.port != 0 && !peer.outgoing) {
    peer.listens = Endpoint{peer.endpoint.address, *theirs.port};
    add_peer(*peer.listens, false, now);
    discovery_.addresses().on_connected(*peer.listens);
  }
  peer.upload_only = theirs.upload_only;
  peer.theirs = {id_of(theirs, wire::ut_metadata.name), id_of(theirs, wire::ut_pex.name),
                 id_of(theirs, wire::sw_turns.name)};
  join_turns(peer);
  update_interest(peer);
  if (peer.theirs.pex != 0 && !info_.is_private && !peer.pex)
    peer.pex.emplace(peer.reachable_at().value_or(peer.endpoint), now);
  if (!metadata_ || peer.theirs.metadata == 0 || !theirs.metadata_bytes) return;
  metadata_->on_offered(peer.conn, *theirs.metadata_bytes, now);
  ask_metadata(peer, now);
}

// ── peer exchange (BEP 11) ──────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::on_pex(Peer& peer, const wire::PexMessage& message, Instant now) {
  if (!peer.pex || info_.is_private) return;
  for (const wire::PexPeer& p : peer.pex->on_message(message, now)) add_peer(p.endpoint, false, now);
}

void Torrent::exchange_peers(Instant now) {
  if (info_.is_private) return;
  std::vector<wire::PexPeer> connected;  // made once, when the first message is due
  for (Peer* p : peers_) {
    if (!p->pex || p->closing || p->theirs.pex == 0 || p->pex->next_wake() > now) continue;
    if (connected.empty()) {
      for (const Peer* other : peers_) {
        const auto at = other->reachable_at();
        if (!other->ready || !at) continue;
        const bool seed = known_ && other->has.all();
        connected.push_back({*at, static_cast<std::uint8_t>((seed ? wire::pex_seed : 0) |
                                                            (other->outgoing ? wire::pex_reachable : 0))});
      }
    }
    const auto message = p->pex->next(connected, now);
    if (!message) continue;
    const Buffer payload = wire::encode(*message);
    say(*p, wire::Extended{p->theirs.pex, payload});
  }
}

// ── the info dictionary (BEP 9) ─────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::on_metadata(Peer& peer, const wire::MetadataMessage& message, Instant now) {
  if (const auto* request = std::get_if<wire::MetadataRequest>(&message)) return give_metadata(peer, request->piece);
  if (!metadata_) return;
  if (const auto* data = std::get_if<wire::MetadataData>(&message)) metadata_->on_data(peer.conn, *data, now);
  if (const auto* reject = std::get_if<wire::MetadataReject>(&message))
    metadata_->on_reject(peer.conn, reject->piece, now);
  if (auto info = metadata_->complete()) context_.actions.metadata.push_back({id_, std::move(info)});
  ask_metadata(peer, now);
}

void Torrent::ask_metadata(Peer& peer, Instant now) {
  if (!peer.ready || peer.closing || peer.theirs.metadata == 0) return;
  while (const auto piece = metadata_->next(peer.conn, now)) {
    const Buffer payload = wire::encode(wire::MetadataRequest{*piece});
    say(peer, wire::Extended{peer.theirs.metadata, payload});
  }
}

void Torrent::ask_metadata_all(Instant now) {
  for (Peer* p : peers_) ask_metadata(*p, now);
}

void Torrent::give_metadata(Peer& peer, std::uint32_t piece) {
  if (peer.theirs.metadata == 0) return;
  const auto answer = metadata_uploads_
                          ? metadata_uploads_->on_request(peer.conn, piece)
                          : std::variant<wire::MetadataData, wire::MetadataReject>(wire::MetadataReject{piece});
  const Buffer payload = std::visit([](const auto& m) { return wire::encode(m); }, answer);
  say(peer, wire::Extended{peer.theirs.metadata, payload});
}

void Torrent::on_metadata_wrong(Instant now) {
  if (!metadata_) return;
  const std::vector<ConnId> senders = metadata_->on_wrong(now);
  const auto liar = std::find_if(peers_.begin(), peers_.end(),
                                 [&](const Peer* p) { return senders.size() == 1 && p->conn == senders.front(); });
  if (liar != peers_.end()) {
    ban({(*liar)->conn, (*liar)->listens.value_or((*liar)->endpoint)});
    context_.close(**liar, PeerFault::sent_wrong_data);
  }
  ask_metadata_all(now);
}

}  // namespace swarm::core
