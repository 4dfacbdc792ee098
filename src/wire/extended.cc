#include "wire/extended.hh"

#include <algorithm>
#include <limits>

#include "wire/bencode.hh"

namespace swarm::wire {

namespace {

// What anybody sends fits many times over; the rest of a hostile dictionary is not kept.
constexpr std::size_t values_max = 4096;
constexpr std::size_t messages_max = 64;
constexpr std::size_t message_name_bytes_max = 64;
constexpr std::size_t client_bytes_max = 128;

/// The integer when it is within first … last, else nothing.
template <class Integer>
std::optional<Integer> integer_within(const BencodeValue& value, std::int64_t first, std::int64_t last) {
  const auto n = value.integer();
  return n && *n >= first && *n <= last ? std::optional(static_cast<Integer>(*n)) : std::nullopt;
}

/// 4 or 16 bytes (BEP 10).
std::optional<IpAddress> compact_address(const BencodeValue& value) {
  const auto bytes = value.string();
  if (bytes && bytes->size() == 4) return IpAddress::v4(load_u32(as_bytes(*bytes).data()));
  if (!bytes || bytes->size() != 16) return std::nullopt;
  IpAddress address;
  std::copy_n(as_bytes(*bytes).begin(), 16, address.bytes.begin());
  return address;
}

std::vector<std::pair<std::string, std::uint8_t>> read_messages(const BencodeValue& m) {
  std::vector<std::pair<std::string, std::uint8_t>> messages;
  if (m.type() != BencodeValue::Type::dict) return messages;
  for (auto v = m.first(); v && messages.size() < messages_max; v = v.next()) {
    const auto id = integer_within<std::uint8_t>(v, 0, 255);
    const auto known = [&v](const auto& message) { return message.first == v.key(); };
    if (!id || v.key().size() > message_name_bytes_max) continue;
    if (std::none_of(messages.begin(), messages.end(), known)) messages.emplace_back(v.key(), *id);
  }
  return messages;
}

}  // namespace

Buffer encode(const ExtendedHandshake& h) {
  BencodeWriter out;
  out.begin_dict();
  out.key("m").begin_dict();
  auto messages = h.messages;
  std::sort(messages.begin(), messages.end());
  for (const auto& [name, id] : messages) out.key(name).integer(id);
  out.end();
  if (h.metadata_bytes) out.key("metadata_size").integer(*h.metadata_bytes);
  if (h.port) out.key("p").integer(*h.port);
  if (h.request_queue) out.key("reqq").integer(*h.request_queue);
  if (h.upload_only) out.key("upload_only").integer(1);
  if (!h.client.empty()) out.key("v").string(h.client);
  if (h.your_ip) {
    const ByteView bytes = h.your_ip->bytes;
    out.key("yourip").string(h.your_ip->is_v4() ? bytes.last(4) : bytes);
  }
  return out.end().take();
}

std::optional<ExtendedHandshake> decode_extended_handshake(ByteView payload) {
  const auto document = BencodeDocument::parse(payload, {.tokens_max = values_max, .trailing_bytes = true});
  if (!document || document->root().type() != BencodeValue::Type::dict) return std::nullopt;
  const auto root = document->root();
  ExtendedHandshake h;
  h.messages = read_messages(root.find("m"));
  h.client = root.find("v").string().value_or("").substr(0, client_bytes_max);
  h.port = integer_within<std::uint16_t>(root.find("p"), 1, 65535);
  h.request_queue = integer_within<std::uint32_t>(root.find("reqq"), 0, std::numeric_limits<std::uint32_t>::max());
  h.your_ip = compact_address(root.find("yourip"));
  h.metadata_bytes = root.find("metadata_size").integer();
  h.upload_only = root.find("upload_only").integer().value_or(0) != 0;
  return h;
}

Buffer encode_dont_have(PieceIndex piece) {
  Buffer payload(4);
  store_u32(payload.data(), number(piece));
  return payload;
}

std::optional<PieceIndex> decode_dont_have(ByteView payload) {
  if (payload.size() != 4) return std::nullopt;
  return PieceIndex{load_u32(payload.data())};
}

Buffer encode_upload_only(bool on) { return {static_cast<std::uint8_t>(on ? 1 : 0)}; }

std::optional<bool> decode_upload_only(ByteView payload) {
  if (payload.size() != 1) return std::nullopt;
  return payload[0] != 0;
}

}  // namespace swarm::wire
