// Session: one peer connection's incoming stream, cut into what it says. It knows no torrent policy and never touches payload:
// the bytes of blocks are passed on by position.
//
//            48 bytes            20 bytes          4 bytes        1 byte          length-1 bytes
//   opening ─────────► naming ─────────► length ─────────► kind ─────────► body ──────────► length
//                                          ▲ keep-alive │       │ piece: 8 bytes
//                                          └────────────┘       └──► piece ──► payload ──► length
//
// Memory: what is gathered is at most one frame (frame_bytes_max of its id), and grows only with the bytes that came.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.hh"
#include "base/digest.hh"
#include "core/actions.hh"
#include "wire/handshake.hh"
#include "wire/peer_message.hh"

namespace swarm::core {

class Session {
 public:
  struct Opened {
    wire::Handshake handshake;
  };  ///< the first 48 bytes: peer_id is still zeros
  struct Named {
    PeerId peer_id;
  };  ///< the handshake is complete
  struct KeepAlive {};
  struct Payload {  ///< a fragment of a block; the last one ends at block.length
    wire::BlockRef block;
    std::uint32_t at = 0;      ///< from the start of the block
    std::uint32_t offset = 0;  ///< from the start of what was received
    std::uint32_t length = 0;
  };
  /// Nothing: everything was read. A fault: the connection is over.
  using Event = std::variant<std::monostate, Opened, Named, KeepAlive, wire::PeerMessage, Payload, wire::PeerFault>;

  /// The next thing that the stream says, reading `in` from `offset` on, which moves forward. Call until nothing comes. A
  /// message's views are valid until the next call, and no longer than `in`.
  Event next(const Received& in, std::uint32_t& offset);
  /// Bounds the frames that depend on the torrent; known once the info-hash is.
  void set_pieces(std::uint32_t pieces) { pieces_ = pieces; }
  bool named() const { return state_ > State::naming; }

 private:
  enum class State : std::uint8_t { opening, naming, length, kind, body, piece, payload };

  std::optional<ByteView> take(const Received& in, std::uint32_t& offset, std::size_t bytes);
  std::optional<ByteView> gather(const Received& in, std::uint32_t& offset, std::size_t bytes);
  Event open(ByteView start);
  Event begin_frame(std::uint8_t id);
  Event payload(const Received& in, std::uint32_t& offset);

  State state_ = State::opening;
  Buffer gathered_;             ///< the beginning of what take() waits for
  bool gathered_used_ = false;  ///< the last event may still refer to it
  std::uint32_t pieces_ = 0;
  std::uint32_t frame_bytes_ = 0;
  std::uint8_t id_ = 0;
  wire::BlockRef block_;
  std::uint32_t at_ = 0;
};

}  // namespace swarm::core
