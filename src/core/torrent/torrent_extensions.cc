// The messages of the extension protocol (BEP 10) that a torrent says and hears.
#include <algorithm>

#include "core/torrent/torrent.hh"
#include "wire/extended.hh"
#include "wire/ut_metadata.hh"

namespace swarm::core {

using wire::PeerFault;

namespace {
constexpr std::uint64_t metadata_times = 2;  ///< one peer gets the info dictionary at most so often

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
  ours.upload_only = phase_ == Phase::whole;
  const bool open =
      !info_.is_private;  // a private torrent's peers and its info dictionary come from its trackers (BEP 27)
  for (const wire::ExtensionMessage& m : {wire::ut_metadata, wire::ut_pex})
    ours.messages.emplace_back(m.name, open ? m.id : std::uint8_t{0});
  for (const wire::ExtensionMessage& m : {wire::lt_donthave, wire::upload_only})
    ours.messages.emplace_back(m.name, m.id);
  if (open && info_.metadata) ours.metadata_bytes = static_cast<std::int64_t>(info_.metadata->size());
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
  if (message.id == wire::lt_donthave.id) {
    const auto piece = wire::decode_dont_have(message.payload);
    if (!piece || (known_ && number(*piece) >= info_.pieces)) return bad();
    if (!known_ || !peer.has[*piece]) return;
    Bitfield has = peer.has;
    has.set(*piece, false);
    return set_has(peer, std::move(has));
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
  peer.theirs = {id_of(theirs, wire::ut_metadata.name), id_of(theirs, wire::ut_pex.name)};
  update_interest(peer);
}

// ── the info dictionary (BEP 9) ─────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::on_metadata(Peer& peer, const wire::MetadataMessage& message, Instant) {
  if (const auto* request = std::get_if<wire::MetadataRequest>(&message)) return give_metadata(peer, request->piece);
}

void Torrent::give_metadata(Peer& peer, std::uint32_t piece) {
  if (peer.theirs.metadata == 0) return;
  const auto say_metadata = [&](const auto& m) {
    const Buffer payload = wire::encode(m);
    say(peer, wire::Extended{peer.theirs.metadata, payload});
  };
  const bool open = info_.metadata && !info_.is_private;
  const auto total = open ? static_cast<std::uint32_t>(info_.metadata->size()) : 0;
  if (piece >= wire::metadata_pieces(total) || peer.metadata_given >= metadata_times * total)
    return say_metadata(wire::MetadataReject{piece});
  const ByteView bytes =
      ByteView(*info_.metadata)
          .subspan(std::size_t{piece} * wire::metadata_piece_bytes, wire::metadata_piece_size(total, piece));
  peer.metadata_given += bytes.size();
  say_metadata(wire::MetadataData{piece, total, bytes});
}

void Torrent::on_metadata_wrong(Instant) {}

}  // namespace swarm::core
