#include "core/peer/session.hh"

#include <algorithm>

namespace swarm::core {

using wire::PeerFault;

/// Exactly `bytes` from the stream: in place when they are all here, else gathered until they are. Inline, for every message
/// takes three times.
inline std::optional<ByteView> Session::take(const Received& in, std::uint32_t& offset, std::size_t bytes) {
  if (!gathered_.empty() || in.bytes.size() < offset + bytes) return gather(in, offset, bytes);
  const ByteView taken = in.bytes.subspan(offset, bytes);
  offset += static_cast<std::uint32_t>(bytes);
  return taken;
}

Session::Event Session::next(const Received& in, std::uint32_t& offset) {
  if (gathered_used_) gathered_.clear(), gathered_used_ = false;
  if (state_ == State::payload) return payload(in, offset);
  if (in.virtual_bytes > offset) return PeerFault::out_of_order;  // a payload where none may be
  for (;;) {
    switch (state_) {
      case State::opening: {
        auto start = take(in, offset, wire::handshake_until_hash_bytes);
        if (start) return open(*start);
        // A stream that begins otherwise will never be a handshake: say so before all of it is here.
        const std::size_t known = std::min(gathered_.size(), wire::handshake_prefix_bytes);
        if (known > 0 && !wire::is_handshake_prefix(ByteView(gathered_).first(known))) return PeerFault::bad_handshake;
        return {};
      }
      case State::naming: {
        auto id = take(in, offset, PeerId{}.bytes.size());
        if (!id) return {};
        state_ = State::length;
        return Named{*PeerId::from(*id)};
      }
      case State::length: {
        auto prefix = take(in, offset, 4);
        if (!prefix) return {};
        frame_bytes_ = load_u32(prefix->data());
        if (frame_bytes_ == 0) return KeepAlive{};
        state_ = State::kind;
        break;
      }
      case State::kind: {
        auto id = take(in, offset, 1);
        if (!id) return {};
        if (Event fault = begin_frame((*id)[0]); fault.index() != 0) return fault;
        break;
      }
      case State::body: {
        auto body = take(in, offset, frame_bytes_ - 1);
        if (!body) return {};
        state_ = State::length;
        auto message = wire::decode(id_, *body);
        if (!message) return message.error();
        return *message;
      }
      case State::piece: {
        auto head = take(in, offset, 8);
        if (!head) return {};
        const auto piece = wire::decode_piece_header(std::span<const std::uint8_t, 8>(head->data(), 8));
        block_ = {piece.piece, piece.begin, frame_bytes_ - 9};
        at_ = 0;
        state_ = State::payload;
        return payload(in, offset);
      }
      case State::payload:
        return payload(in, offset);
    }
    if (gathered_used_) gathered_.clear(), gathered_used_ = false;
  }
}

/// What is not all here, or continues what was gathered.
std::optional<ByteView> Session::gather(const Received& in, std::uint32_t& offset, std::size_t bytes) {
  const ByteView rest = in.bytes.empty() ? ByteView{} : in.bytes.subspan(offset);
  const std::size_t more = std::min(rest.size(), bytes - gathered_.size());
  append(gathered_, rest.first(more));
  offset += static_cast<std::uint32_t>(more);
  if (gathered_.size() < bytes) return std::nullopt;
  gathered_used_ = true;
  return ByteView(gathered_);
}

Session::Event Session::open(ByteView start) {
  if (!wire::is_handshake_prefix(start.first(wire::handshake_prefix_bytes))) return PeerFault::bad_handshake;
  state_ = State::naming;
  return Opened{wire::decode_handshake_start(start.first<wire::handshake_until_hash_bytes>())};
}

Session::Event Session::begin_frame(std::uint8_t id) {
  const std::uint32_t most = wire::frame_bytes_max(id, pieces_);
  if (most == 0) return PeerFault::unknown_message;
  if (frame_bytes_ > most) return PeerFault::message_too_long;
  id_ = id;
  const bool piece = id == static_cast<std::uint8_t>(wire::MessageId::piece);
  if (piece && frame_bytes_ < 10) return PeerFault::wrong_length;
  state_ = piece ? State::piece : State::body;
  return {};
}

Session::Event Session::payload(const Received& in, std::uint32_t& offset) {
  const auto here = static_cast<std::uint32_t>(in.bytes.empty() ? in.virtual_bytes : in.bytes.size());
  if (offset >= here) return {};
  const Payload fragment{block_, at_, offset, std::min(here - offset, block_.length - at_)};
  offset += fragment.length;
  at_ += fragment.length;
  if (at_ == block_.length) state_ = State::length;
  return fragment;
}

}  // namespace swarm::core
