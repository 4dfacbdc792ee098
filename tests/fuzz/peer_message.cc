// Any bytes as what a peer sends after its handshake: no frame longer than its cap is taken, and what is decoded is
// written as the same bytes again.
#include "wire/peer_message.hh"

#include <variant>

#include "base/bitfield.hh"
#include "base/check.hh"
#include "fuzz/target.hh"
#include "wire/extended.hh"
#include "wire/handshake.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

constexpr std::uint32_t pieces = 1313;

void check_extended_handshake(ByteView payload) {
  const auto h = decode_extended_handshake(payload);
  if (!h) return;
  const auto again = decode_extended_handshake(encode(*h));
  SWARM_CHECK(again.has_value());
  SWARM_CHECK(encode(*again) == encode(*h));
  SWARM_CHECK(again->client == h->client && again->port == h->port && again->your_ip == h->your_ip);
  SWARM_CHECK(again->metadata_bytes == h->metadata_bytes && again->request_queue == h->request_queue);
}

/// A frame without its length; false when the connection would end here.
bool check_frame(std::uint8_t id, ByteView body) {
  const auto message = decode(id, body);
  if (!message) {
    SWARM_CHECK(message.error() == PeerFault::wrong_length || message.error() == PeerFault::unknown_message);
    return false;
  }
  Buffer frame;
  append_message(frame, *message);
  SWARM_CHECK(frame.size() == 5 + body.size() && load_u32(frame.data()) == 1 + body.size() && frame[4] == id);
  SWARM_CHECK(as_text(ByteView(frame).subspan(5)) == as_text(body));
  if (const auto* bits = std::get_if<BitfieldBits>(&*message)) {
    if (const auto field = Bitfield::from(bits->bytes, pieces)) SWARM_CHECK(field->count() <= pieces);
  }
  if (const auto* extended = std::get_if<Extended>(&*message); extended != nullptr && extended->id == 0) {
    check_extended_handshake(extended->payload);
  }
  return true;
}

/// Takes the frame at the start of the stream off it; false when it is not whole, or ends the connection.
bool take_frame(ByteView& stream) {
  if (stream.size() < 4) return false;
  const auto length = load_u32(stream.data());
  stream = stream.subspan(4);
  if (length == 0) return true;
  if (stream.empty()) return false;
  const auto id = stream[0];
  const auto max = frame_bytes_max(id, pieces);
  SWARM_CHECK(max <= 9 + block_bytes_served_max);
  if (length > max || length > stream.size()) return false;
  const auto body = stream.subspan(1, length - 1);
  stream = stream.subspan(length);
  if (id != static_cast<std::uint8_t>(MessageId::piece)) return check_frame(id, body);
  if (body.size() < 8) return false;
  const auto header = decode_piece_header(body.first<8>());
  Buffer again;
  append_piece_header(again, {header.piece, header.begin, static_cast<std::uint32_t>(body.size() - 8)});
  SWARM_CHECK(load_u32(again.data()) == length && as_text(ByteView(again).subspan(5)) == as_text(body.first(8)));
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteView stream{data, size};
  if (size >= handshake_until_hash_bytes && is_handshake_prefix(stream.first(handshake_prefix_bytes))) {
    const auto h = decode_handshake_start(stream.first<handshake_until_hash_bytes>());
    const auto again = encode(h);
    SWARM_CHECK(as_text(ByteView(again).subspan(28, 20)) == as_text(stream.subspan(28, 20)));
    stream = stream.subspan(handshake_until_hash_bytes);
  }
  bool any = false;
  while (take_frame(stream)) any = true;
  test::accepted += any ? 1 : 0;
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  Buffer all;
  append_keep_alive(all);
  const Buffer bits(165);
  ExtendedHandshake h;
  h.messages = {{"ut_metadata", 1}, {"ut_pex", 2}};
  h.client = "swarm";
  h.port = 6881;
  h.request_queue = 2000;
  h.your_ip = IpAddress::v4(0x01020304);
  h.metadata_bytes = 12345;
  const auto payload = encode(h);
  const BlockRef block = {PieceIndex{7}, 0x4000, 0x4000};
  for (const PeerMessage& message :
       {PeerMessage(BitfieldBits{bits}), PeerMessage(Extended{0, payload}), PeerMessage(Unchoke{}),
        PeerMessage(Interested{}), PeerMessage(Have{PieceIndex{3}}), PeerMessage(Request{block}),
        PeerMessage(Cancel{block}), PeerMessage(Port{6881}), PeerMessage(Suggest{PieceIndex{1}}),
        PeerMessage(HaveAll{}), PeerMessage(HaveNone{}), PeerMessage(Reject{block}),
        PeerMessage(AllowedFast{PieceIndex{9}}), PeerMessage(Choke{}), PeerMessage(NotInterested{})}) {
    append_message(all, message);
  }
  Buffer extended_only;
  append_message(extended_only, Extended{0, payload});
  Buffer piece;
  append_piece_header(piece, {PieceIndex{7}, 0, 4});
  append(piece, as_bytes("data"));
  Handshake start;
  start.fast = start.extended = true;
  const auto opening = encode(start);
  auto session = to_buffer(ByteView(opening).first(handshake_until_hash_bytes));
  append(session, all);
  return {std::string(as_text(all)), std::string(as_text(extended_only)), std::string(as_text(piece)),
          std::string(as_text(session))};
}
