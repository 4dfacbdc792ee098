#include "wire/ut_metadata.hh"

#include <limits>

#include "wire/bencode.hh"

namespace swarm::wire {

namespace {

constexpr std::size_t values_max = 64;  // four are needed, the rest is a later version's

enum Type : std::int64_t { request = 0, data = 1, reject = 2 };

Buffer dictionary(Type type, std::uint32_t piece, std::optional<std::uint32_t> bytes_total = {}) {
  BencodeWriter w;
  w.begin_dict().key("msg_type").integer(type).key("piece").integer(piece);
  if (bytes_total) w.key("total_size").integer(*bytes_total);
  return w.end().take();
}

std::optional<std::uint32_t> integer_within(const BencodeValue& value, std::int64_t first, std::int64_t last) {
  const auto n = value.integer();
  return n && *n >= first && *n <= last ? std::optional(static_cast<std::uint32_t>(*n)) : std::nullopt;
}

}  // namespace

Buffer encode(const MetadataRequest& m) { return dictionary(request, m.piece); }

Buffer encode(const MetadataData& m) {
  auto out = dictionary(data, m.piece, m.bytes_total);
  append(out, m.bytes);
  return out;
}

Buffer encode(const MetadataReject& m) { return dictionary(reject, m.piece); }

std::optional<MetadataMessage> decode_metadata(ByteView payload) {
  const auto document = BencodeDocument::parse(payload, {.tokens_max = values_max, .trailing_bytes = true});
  if (!document || document->root().type() != BencodeValue::Type::dict) return std::nullopt;
  const auto root = document->root();
  const auto type = root.find("msg_type").integer();
  if (!type) return std::nullopt;
  if (*type != request && *type != data && *type != reject) return MetadataUnknown{};
  const auto piece = integer_within(root.find("piece"), 0, std::numeric_limits<std::uint32_t>::max());
  if (!piece) return std::nullopt;
  if (*type == request) return MetadataRequest{*piece};
  if (*type == reject) return MetadataReject{*piece};
  const auto bytes = payload.subspan(document->end());
  if (bytes.empty() || bytes.size() > metadata_piece_bytes) return std::nullopt;
  return MetadataData{*piece, integer_within(root.find("total_size"), 1, metadata_bytes_max).value_or(0), bytes};
}

}  // namespace swarm::wire
