// Any bytes as the payload of an extension message: metadata exchange, peer exchange, and the small ones.
#include <variant>

#include "base/check.hh"
#include "fuzz/target.hh"
#include "wire/extended.hh"
#include "wire/pex.hh"
#include "wire/turns.hh"
#include "wire/ut_metadata.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

bool check_metadata(ByteView payload) {
  const auto m = decode_metadata(payload);
  if (!m) return false;
  if (const auto* request = std::get_if<MetadataRequest>(&*m)) {
    const auto again = decode_metadata(encode(*request));
    SWARM_CHECK(again && std::get<MetadataRequest>(*again).piece == request->piece);
  } else if (const auto* reject = std::get_if<MetadataReject>(&*m)) {
    const auto again = decode_metadata(encode(*reject));
    SWARM_CHECK(again && std::get<MetadataReject>(*again).piece == reject->piece);
  } else if (const auto* data = std::get_if<MetadataData>(&*m)) {
    SWARM_CHECK(!data->bytes.empty() && data->bytes.size() <= metadata_piece_bytes);
    SWARM_CHECK(data->bytes.data() + data->bytes.size() == payload.data() + payload.size());
    SWARM_CHECK(data->bytes_total <= metadata_bytes_max);
    const auto once = encode(*data);
    const auto again = decode_metadata(once);
    SWARM_CHECK(again);
    const auto& back = std::get<MetadataData>(*again);
    SWARM_CHECK(back.piece == data->piece && back.bytes_total == data->bytes_total);
    SWARM_CHECK(as_text(back.bytes) == as_text(data->bytes));
  }
  return true;
}

bool check_pex(ByteView payload) {
  const auto m = decode_pex(payload);
  if (!m) return false;
  SWARM_CHECK(m->added.size() <= pex_read_max && m->dropped.size() <= pex_read_max);
  for (const auto& peer : m->added) SWARM_CHECK(peer.endpoint.port != 0 && !peer.endpoint.address.is_unspecified());
  for (const auto& peer : m->dropped) SWARM_CHECK(peer.port != 0 && !peer.address.is_unspecified());
  const auto once = encode(*m);
  const auto again = decode_pex(once);
  SWARM_CHECK(again && encode(*again) == once);
  SWARM_CHECK(again->added.size() <= pex_written_max && again->dropped.size() <= pex_written_max);
  return true;
}

void check_small(ByteView payload) {
  const auto piece = decode_dont_have(payload);
  SWARM_CHECK(piece.has_value() == (payload.size() == 4));
  if (piece) SWARM_CHECK(as_text(encode_dont_have(*piece)) == as_text(payload));
  SWARM_CHECK(decode_upload_only(payload).has_value() == (payload.size() == 1));
  if (const auto turns = decode_turns(payload, 0x40000000)) SWARM_CHECK(as_text(encode(*turns)) == as_text(payload));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView payload{data, size};
  check_small(payload);
  const bool metadata = check_metadata(payload);
  const bool pex = check_pex(payload);
  test::accepted += metadata || pex ? 1 : 0;
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  PexMessage pex;
  pex.added = {{*Endpoint::from("1.2.3.4:5"), 1}, {*Endpoint::from("1.2.3.5:5"), 2}, {*Endpoint::from("[::1]:6"), 16}};
  pex.dropped = {*Endpoint::from("1.2.3.6:5"), *Endpoint::from("[::2]:6")};
  std::vector<std::string> out = {"d8:msg_typei3e5:piecei0ee"};
  for (const Buffer& payload : {encode(MetadataRequest{3}), encode(MetadataReject{2047}),
                                encode(MetadataData{1, 40'000, as_bytes("d4:name3:iso6:lengthi5ee")}), encode(pex)}) {
    out.emplace_back(as_text(payload));
  }
  return out;
}
