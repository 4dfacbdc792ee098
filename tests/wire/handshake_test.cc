#include "wire/handshake.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <span>

using namespace swarm;
using namespace swarm::wire;

namespace {

Handshake example() {
  Handshake h;
  h.info_hash.bytes.fill(0xaa);
  h.peer_id.bytes.fill(0x42);
  return h;
}

Handshake decode_start(const std::array<std::uint8_t, handshake_bytes>& bytes) {
  return decode_handshake_start(std::span(bytes).first<handshake_until_hash_bytes>());
}

}  // namespace

TEST_CASE("handshake: the bytes of BEP 3") {
  const auto bytes = encode(example());
  CHECK(bytes[0] == 19);
  CHECK(as_text(ByteView(bytes).subspan(1, 19)) == "BitTorrent protocol");
  CHECK(to_buffer(ByteView(bytes).subspan(20, 8)) == Buffer(8));
  CHECK(to_buffer(ByteView(bytes).subspan(28, 20)) == Buffer(20, 0xaa));
  CHECK(to_buffer(ByteView(bytes).subspan(48, 20)) == Buffer(20, 0x42));
}

TEST_CASE("handshake: each extension has its bit, and others do not matter") {
  for (int bits = 0; bits < 8; ++bits) {
    auto h = example();
    h.fast = (bits & 1) != 0;
    h.extended = (bits & 2) != 0;
    h.dht = (bits & 4) != 0;
    auto bytes = encode(h);
    CHECK(bytes[25] == (h.extended ? 0x10 : 0));
    CHECK(bytes[27] == ((h.fast ? 0x04 : 0) | (h.dht ? 0x01 : 0)));
    for (std::size_t i = 20; i < 28; ++i) bytes[i] |= i == 25 ? 0xef : i == 27 ? 0xfa : 0xff;  // others' bits
    const auto back = decode_start(bytes);
    CHECK(back.info_hash == h.info_hash);
    CHECK(back.fast == h.fast);
    CHECK(back.extended == h.extended);
    CHECK(back.dht == h.dht);
  }
}

TEST_CASE("handshake: a stream that is none shows at its first wrong byte") {
  const auto bytes = encode(example());
  for (std::size_t n = 0; n <= handshake_prefix_bytes; ++n) {
    CHECK(is_handshake_prefix(ByteView(bytes).first(n)));
    for (std::size_t wrong = 0; wrong < n; ++wrong) {
      auto broken = bytes;
      broken[wrong] ^= 0x20;
      CHECK_FALSE(is_handshake_prefix(ByteView(broken).first(n)));
    }
  }
  CHECK(is_handshake_prefix(bytes));
  CHECK_FALSE(is_handshake_prefix(as_bytes("GET / HTTP/1.1\r\n")));
}
