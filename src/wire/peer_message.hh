// The messages of the peer protocol (BEP 3, BEP 6, the envelope of BEP 10), one value each.
//
// A frame is u32 length, then u8 id and a body of length-1 bytes; length 0 is keep-alive. `piece` is not among the
// values: its payload is never gathered, a session reads its 8 bytes of header and passes the rest on (PieceHeader).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "base/bytes.hh"
#include "base/digest.hh"
#include "base/ids.hh"

namespace swarm::wire {

constexpr std::uint32_t block_bytes = 16 * 1024;              ///< what we ask for
constexpr std::uint32_t block_bytes_served_max = 128 * 1024;  ///< what we serve at most in one request

/// Why a peer's connection ends. No allocation; text() is for logs.
enum class PeerFault : std::uint8_t {
  none,
  bad_handshake,
  unknown_torrent,
  self_connection,
  duplicate_connection,
  message_too_long,
  unknown_message,
  wrong_length,
  bad_bitfield,
  bad_piece_index,
  bad_request,
  bad_extension,
  out_of_order,    ///< bitfield/have-all after other messages
  not_negotiated,  ///< a fast message without the fast extension
  too_many_requests,
  handshake_timeout,
  idle_timeout,
  sent_wrong_data,  ///< proved by hashes
  both_seeds,
  too_many_peers,
  torrent_stopped,
};
std::string_view text(PeerFault fault);

enum class MessageId : std::uint8_t {
  choke = 0,
  unchoke = 1,
  interested = 2,
  not_interested = 3,
  have = 4,
  bitfield = 5,
  request = 6,
  piece = 7,
  cancel = 8,
  port = 9,
  suggest = 13,
  have_all = 14,
  have_none = 15,
  reject = 16,
  allowed_fast = 17,
  extended = 20,
};

struct BlockRef {  ///< a part of a piece, as request, cancel and reject name it
  PieceIndex piece{};
  std::uint32_t begin = 0;   ///< bytes from the start of the piece
  std::uint32_t length = 0;  ///< bytes
  auto operator<=>(const BlockRef&) const = default;
};

struct Choke {};
struct Unchoke {};
struct Interested {};
struct NotInterested {};
struct Have {
  PieceIndex piece{};
};
struct BitfieldBits {
  ByteView bytes;  ///< borrowed from the frame
};
struct Request {
  BlockRef block;
};
struct Cancel {
  BlockRef block;
};
struct Port {
  std::uint16_t port = 0;
};
struct Suggest {
  PieceIndex piece{};
};
struct HaveAll {};
struct HaveNone {};
struct Reject {
  BlockRef block;
};
struct AllowedFast {
  PieceIndex piece{};
};
struct Extended {
  std::uint8_t id = 0;
  ByteView payload;  ///< borrowed from the frame
};

using PeerMessage = std::variant<Choke, Unchoke, Interested, NotInterested, Have, BitfieldBits, Request, Cancel, Port,
                                 Suggest, HaveAll, HaveNone, Reject, AllowedFast, Extended>;

/// The longest frame (length prefix value) that may be gathered for this id in a torrent of `pieces` pieces; 0: unknown
/// id. For `piece` it is 9 + block_bytes_served_max. Bodies of fixed size have exactly one length. pieces == 0: their
/// number is not known yet, and a bitfield may be as long as the largest info dictionary allows.
std::uint32_t frame_bytes_max(std::uint8_t id, std::uint32_t pieces);
/// A frame's id and body (without `piece`). Faults: unknown_message, wrong_length.
tl::expected<PeerMessage, PeerFault> decode(std::uint8_t id, ByteView body);

struct PieceHeader {
  PieceIndex piece{};
  std::uint32_t begin = 0;
};
constexpr std::size_t piece_frame_header_bytes = 13;  ///< length, id, index, begin
PieceHeader decode_piece_header(std::span<const std::uint8_t, 8> body_start);

/// Each appends one whole frame.
void append_keep_alive(Buffer& out);
void append_message(Buffer& out, const PeerMessage& message);
void append_piece_header(Buffer& out, const BlockRef& block);  ///< the payload follows

/// BEP 6: the k pieces that a peer at this IPv4 address may always ask for.
std::vector<PieceIndex> allowed_fast_set(std::uint32_t ipv4_host_order, const InfoHash& info_hash, std::uint32_t pieces,
                                         std::size_t k);

}  // namespace swarm::wire
