#include "wire/ut_metadata.hh"

#include <doctest/doctest.h>

#include <string>
#include <variant>
#include <vector>

#include "base/random.hh"
#include "support/allocations.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

template <class M>
M as(const std::optional<MetadataMessage>& m) {
  REQUIRE(m);
  REQUIRE(std::holds_alternative<M>(*m));
  return std::get<M>(*m);
}

std::optional<MetadataMessage> decoded(std::string_view text) { return decode_metadata(as_bytes(text)); }

}  // namespace

TEST_CASE("ut_metadata: the messages of BEP 9, to the byte") {
  CHECK(as_text(encode(MetadataRequest{0})) == "d8:msg_typei0e5:piecei0ee");
  CHECK(as_text(encode(MetadataData{0, 3425, as_bytes("xxxxxxxx")})) ==
        "d8:msg_typei1e5:piecei0e10:total_sizei3425eexxxxxxxx");
  CHECK(as_text(encode(MetadataReject{7})) == "d8:msg_typei2e5:piecei7ee");
}

TEST_CASE("ut_metadata: read back") {
  CHECK(as<MetadataRequest>(decode_metadata(encode(MetadataRequest{2047}))).piece == 2047);
  CHECK(as<MetadataReject>(decode_metadata(encode(MetadataReject{5}))).piece == 5);
  const Buffer bytes(metadata_piece_bytes, 'e');  // what follows looks like bencode, and is not
  const auto payload = encode(MetadataData{1, 40'000, bytes});
  const auto data = as<MetadataData>(decode_metadata(payload));
  CHECK(data.piece == 1);
  CHECK(data.bytes_total == 40'000);
  CHECK(data.bytes.size() == bytes.size());
  CHECK(data.bytes.data() + data.bytes.size() == payload.data() + payload.size());  // a view, not a copy
}

TEST_CASE("ut_metadata: odd ones") {
  CHECK_FALSE(decoded(""));
  CHECK_FALSE(decoded("le"));
  CHECK_FALSE(decoded("de"));
  CHECK_FALSE(decoded("d8:msg_typei0ee"));
  CHECK_FALSE(decoded("d5:piecei0ee"));
  CHECK_FALSE(decoded("d8:msg_typei0e5:piecei-1ee"));
  CHECK_FALSE(decoded("d8:msg_typei0e5:piecei4294967296ee"));
  CHECK_FALSE(decoded("d8:msg_type1:05:piecei0ee"));
  CHECK_FALSE(decoded("d8:msg_typei1e5:piecei0e10:total_sizei5ee"));  // data without any
  CHECK_FALSE(decode_metadata(encode(MetadataData{0, 40'000, Buffer(metadata_piece_bytes + 1)})));
  as<MetadataUnknown>(decoded("d8:msg_typei3ee"));
  as<MetadataUnknown>(decoded("d8:msg_typei-1e5:piecei0ee"));
  CHECK(as<MetadataRequest>(decoded("d8:msg_typei0e5:piecei4294967295eejunk")).piece == 4294967295);
  CHECK(as<MetadataRequest>(decoded("d5:piecei3e8:msg_typei0ee")).piece == 3);  // unsorted
  CHECK(as<MetadataRequest>(decoded("d1:al1:bi2ee8:msg_typei0e5:piecei3ee")).piece == 3);
  for (const auto* size : {"i0e", "i-1e", "i33554433e", "i2147483648e", "1:5"}) {
    CAPTURE(size);
    CHECK(as<MetadataData>(decoded("d8:msg_typei1e5:piecei0e10:total_size" + std::string(size) + "ex")).bytes_total ==
          0);
  }
  CHECK(as<MetadataData>(decoded("d8:msg_typei1e5:piecei0eex")).bytes_total == 0);
  CHECK(as<MetadataData>(decoded("d8:msg_typei1e5:piecei0e10:total_sizei33554432eex")).bytes_total ==
        metadata_bytes_max);
}

TEST_CASE("ut_metadata: pieces of a dictionary") {
  CHECK(metadata_pieces(1) == 1);
  CHECK(metadata_pieces(16384) == 1);
  CHECK(metadata_pieces(16385) == 2);
  CHECK(metadata_pieces(metadata_bytes_max) == 2048);
  CHECK(metadata_piece_size(1, 0) == 1);
  CHECK(metadata_piece_size(16384, 0) == 16384);
  CHECK(metadata_piece_size(16385, 0) == 16384);
  CHECK(metadata_piece_size(16385, 1) == 1);
}

TEST_CASE("ut_metadata: cut off and mutated") {
  const auto good = encode(MetadataData{1, 40'000, as_bytes("the bytes of a piece")});
  const auto dictionary = good.size() - 20;
  for (std::size_t n = 0; n <= good.size(); ++n) {
    const Buffer part(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n));
    REQUIRE(decode_metadata(part).has_value() == (n > dictionary));
  }
  Random random(9);
  int read = 0;
  for (int run = 0; run < 20'000; ++run) {
    auto bytes = random.below(2) == 0 ? good : encode(MetadataRequest{3});
    for (auto n = random.below(4); n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.next());
    const auto m = decode_metadata(bytes);
    if (!m) continue;
    ++read;
    if (const auto* data = std::get_if<MetadataData>(&*m)) {
      REQUIRE(!data->bytes.empty());
      REQUIRE(data->bytes.data() + data->bytes.size() == bytes.data() + bytes.size());
      REQUIRE(data->bytes_total <= metadata_bytes_max);
    }
  }
  CHECK(read > 5'000);
  const std::string flood = "d8:msg_typei0e5:piecei0e1:x" + std::string(1'000'000, 'l');
  std::optional<MetadataMessage> m;
  CHECK(test::bytes_allocated_by([&] { m = decoded(flood); }) < 64 * 1024);
  CHECK_FALSE(m);
}
