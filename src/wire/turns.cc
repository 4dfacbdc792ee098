#include "wire/turns.hh"

#include "base/check.hh"

namespace swarm::wire {

namespace {
using Kind = TurnsMessage::Kind;
bool has_pieces(Kind kind) { return kind >= Kind::offer && kind <= Kind::lacking; }
bool has_partners(Kind kind) { return kind == Kind::pair || kind == Kind::part; }
}  // namespace

Buffer encode(const TurnsMessage& message) {
  SWARM_CHECK(has_pieces(message.kind) ? message.pieces.size() <= turns_pieces_max : message.pieces.empty());
  Buffer payload(1 + 4 * message.pieces.size());
  payload[0] = static_cast<std::uint8_t>(message.kind);
  if (has_partners(message.kind)) payload.push_back(message.partners);
  for (std::size_t i = 0; i < message.pieces.size(); ++i) store_u32(&payload[1 + 4 * i], number(message.pieces[i]));
  return payload;
}

std::optional<TurnsMessage> decode_turns(ByteView payload, std::uint32_t pieces) {
  if (payload.empty() || payload[0] > static_cast<std::uint8_t>(Kind::part)) return std::nullopt;
  TurnsMessage message{Kind{payload[0]}, {}};
  if (has_partners(message.kind)) {
    if (payload.size() != 2) return std::nullopt;
    message.partners = payload[1];
    return message;
  }
  const ByteView list = payload.subspan(1);
  if (list.size() % 4 != 0 || list.size() / 4 > turns_pieces_max) return std::nullopt;
  if (has_pieces(message.kind) == list.empty()) return std::nullopt;
  message.pieces.reserve(list.size() / 4);
  for (std::size_t i = 0; i < list.size(); i += 4) {
    message.pieces.push_back(PieceIndex{load_u32(&list[i])});
    if (number(message.pieces.back()) >= pieces) return std::nullopt;
  }
  return message;
}

}  // namespace swarm::wire
