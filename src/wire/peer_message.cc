#include "wire/peer_message.hh"

#include <algorithm>
#include <array>
#include <type_traits>

#include "base/sha1.hh"

namespace swarm::wire {

namespace {

/// A bitfield before the info dictionary is known: one hash of 20 bytes for each bit, in at most 32 MiB.
constexpr std::uint32_t pieces_max = 32 * 1024 * 1024 / 20;
/// 16 KiB of metadata, a full PEX message and every handshake that was met fit in half of it.
constexpr std::uint32_t extended_frame_bytes_max = 64 * 1024;

/// The length prefix of a message whose body has a fixed size; 0 for other ids.
constexpr std::uint32_t fixed_frame_bytes(std::uint8_t id) {
  switch (static_cast<MessageId>(id)) {
    case MessageId::choke:
    case MessageId::unchoke:
    case MessageId::interested:
    case MessageId::not_interested:
    case MessageId::have_all:
    case MessageId::have_none:
      return 1;
    case MessageId::port:
      return 3;
    case MessageId::have:
    case MessageId::suggest:
    case MessageId::allowed_fast:
      return 5;
    case MessageId::request:
    case MessageId::cancel:
    case MessageId::reject:
      return 13;
    case MessageId::bitfield:
    case MessageId::piece:
    case MessageId::extended:
      return 0;
  }
  return 0;
}

PieceIndex load_piece(ByteView body) { return PieceIndex{load_u32(body.data())}; }

BlockRef load_block(ByteView body) { return {load_piece(body), load_u32(body.data() + 4), load_u32(body.data() + 8)}; }

}  // namespace

std::uint32_t frame_bytes_max(std::uint8_t id, std::uint32_t pieces) {
  switch (static_cast<MessageId>(id)) {
    case MessageId::bitfield:
      return 1 + static_cast<std::uint32_t>((std::uint64_t{pieces == 0 ? pieces_max : pieces} + 7) / 8);
    case MessageId::piece:
      return 9 + block_bytes_served_max;
    case MessageId::extended:
      return extended_frame_bytes_max;
    default:
      return fixed_frame_bytes(id);
  }
}

tl::expected<PeerMessage, PeerFault> decode(std::uint8_t id, ByteView body) {
  const auto fixed = fixed_frame_bytes(id);
  if (fixed != 0 && body.size() != fixed - 1) return tl::unexpected(PeerFault::wrong_length);
  switch (static_cast<MessageId>(id)) {
    case MessageId::choke:
      return Choke{};
    case MessageId::unchoke:
      return Unchoke{};
    case MessageId::interested:
      return Interested{};
    case MessageId::not_interested:
      return NotInterested{};
    case MessageId::have:
      return Have{load_piece(body)};
    case MessageId::bitfield:
      return BitfieldBits{body};
    case MessageId::request:
      return Request{load_block(body)};
    case MessageId::cancel:
      return Cancel{load_block(body)};
    case MessageId::port:
      return Port{load_u16(body.data())};
    case MessageId::suggest:
      return Suggest{load_piece(body)};
    case MessageId::have_all:
      return HaveAll{};
    case MessageId::have_none:
      return HaveNone{};
    case MessageId::reject:
      return Reject{load_block(body)};
    case MessageId::allowed_fast:
      return AllowedFast{load_piece(body)};
    case MessageId::extended:
      if (body.empty()) return tl::unexpected(PeerFault::wrong_length);
      return Extended{body[0], body.subspan(1)};
    case MessageId::piece:
      break;
  }
  return tl::unexpected(PeerFault::unknown_message);
}

PieceHeader decode_piece_header(std::span<const std::uint8_t, 8> body_start) {
  return {load_piece(body_start), load_u32(&body_start[4])};
}

namespace {

/// The start of a frame, and the numbers that follow: as one piece, for requests are most of what is ever written.
template <class... Numbers>
void append_head(Buffer& out, MessageId id, std::size_t body_bytes, Numbers... numbers) {
  std::array<std::uint8_t, 5 + 4 * sizeof...(numbers)> head;
  store_u32(head.data(), static_cast<std::uint32_t>(1 + body_bytes));
  head[4] = static_cast<std::uint8_t>(id);
  [[maybe_unused]] std::size_t at = 5;
  (..., (store_u32(&head[at], numbers), at += 4));
  append(out, head);
}

/// Writes one whole frame for each kind of message.
struct Appender {
  Buffer& out;

  void operator()(const Choke&) const { append_head(out, MessageId::choke, 0); }
  void operator()(const Unchoke&) const { append_head(out, MessageId::unchoke, 0); }
  void operator()(const Interested&) const { append_head(out, MessageId::interested, 0); }
  void operator()(const NotInterested&) const { append_head(out, MessageId::not_interested, 0); }
  void operator()(const HaveAll&) const { append_head(out, MessageId::have_all, 0); }
  void operator()(const HaveNone&) const { append_head(out, MessageId::have_none, 0); }
  void operator()(const Have& m) const { with_piece(MessageId::have, m.piece); }
  void operator()(const Suggest& m) const { with_piece(MessageId::suggest, m.piece); }
  void operator()(const AllowedFast& m) const { with_piece(MessageId::allowed_fast, m.piece); }
  void operator()(const Request& m) const { with_block(MessageId::request, m.block); }
  void operator()(const Cancel& m) const { with_block(MessageId::cancel, m.block); }
  void operator()(const Reject& m) const { with_block(MessageId::reject, m.block); }
  void operator()(const BitfieldBits& m) const {
    append_head(out, MessageId::bitfield, m.bytes.size());
    append(out, m.bytes);
  }
  void operator()(const Port& m) const {
    append_head(out, MessageId::port, 2);
    out.push_back(static_cast<std::uint8_t>(m.port >> 8));
    out.push_back(static_cast<std::uint8_t>(m.port));
  }
  void operator()(const Extended& m) const {
    append_head(out, MessageId::extended, 1 + m.payload.size());
    out.push_back(m.id);
    append(out, m.payload);
  }

 private:
  void with_piece(MessageId id, PieceIndex piece) const { append_head(out, id, 4, number(piece)); }
  void with_block(MessageId id, const BlockRef& block) const {
    append_head(out, id, 12, number(block.piece), block.begin, block.length);
  }
};

}  // namespace

void append_keep_alive(Buffer& out) { append(out, std::array<std::uint8_t, 4>{}); }

void append_message(Buffer& out, const PeerMessage& message) { std::visit(Appender{out}, message); }

void append_piece_header(Buffer& out, const BlockRef& block) {
  append_head(out, MessageId::piece, std::size_t{8} + block.length, number(block.piece), block.begin);
}

std::vector<PieceIndex> allowed_fast_set(std::uint32_t ipv4_host_order, const InfoHash& info_hash, std::uint32_t pieces,
                                         std::size_t k) {
  std::vector<PieceIndex> set;
  k = std::min<std::size_t>(k, pieces);
  set.reserve(k);
  Buffer x(4);
  store_u32(x.data(), ipv4_host_order & 0xffffff00);  // whoever moves within a /24 has the same set
  append(x, info_hash.view());
  while (set.size() < k) {
    x = to_buffer(sha1(x).view());
    for (std::size_t i = 0; i < x.size() && set.size() < k; i += 4) {
      const PieceIndex piece{load_u32(&x[i]) % pieces};
      if (std::find(set.begin(), set.end(), piece) == set.end()) set.push_back(piece);
    }
  }
  return set;
}

std::string_view text(PeerFault fault) {
  switch (fault) {
    case PeerFault::none:
      return "no fault";
    case PeerFault::bad_handshake:
      return "not a BitTorrent handshake";
    case PeerFault::unknown_torrent:
      return "asked for a torrent that is not here";
    case PeerFault::self_connection:
      return "connected to ourselves";
    case PeerFault::duplicate_connection:
      return "connected twice";
    case PeerFault::message_too_long:
      return "message too long";
    case PeerFault::unknown_message:
      return "unknown message";
    case PeerFault::wrong_length:
      return "message of the wrong length";
    case PeerFault::bad_bitfield:
      return "bitfield of the wrong size";
    case PeerFault::bad_piece_index:
      return "piece index out of range";
    case PeerFault::bad_request:
      return "request outside its piece";
    case PeerFault::bad_extension:
      return "malformed extension message";
    case PeerFault::out_of_order:
      return "message out of order";
    case PeerFault::not_negotiated:
      return "message that was not negotiated";
    case PeerFault::too_many_requests:
      return "too many requests";
    case PeerFault::handshake_timeout:
      return "no handshake in time";
    case PeerFault::idle_timeout:
      return "silent for too long";
    case PeerFault::sent_wrong_data:
      return "sent wrong data";
    case PeerFault::both_seeds:
      return "both have everything";
    case PeerFault::too_many_peers:
      return "too many peers";
    case PeerFault::torrent_stopped:
      return "torrent stopped";
  }
  return "unknown fault";
}

}  // namespace swarm::wire
