#include "wire/peer_message.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

#include "support/allocations.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

constexpr BlockRef block = {PieceIndex{0x01020304}, 0x05060708, 0x090a0b0c};

Buffer frame(const PeerMessage& message) {
  Buffer out;
  append_message(out, message);
  return out;
}

Buffer bytes(std::string_view hex) { return *from_hex(hex); }

/// The message of a whole frame.
PeerMessage decoded(const Buffer& frame) {
  REQUIRE(frame.size() >= 5);
  REQUIRE(load_u32(frame.data()) == frame.size() - 4);
  const auto message = decode(frame[4], ByteView(frame).subspan(5));
  REQUIRE(message);
  return *message;
}

template <class Message>
Message as(const Buffer& frame) {
  const auto message = decoded(frame);
  REQUIRE(std::holds_alternative<Message>(message));
  return std::get<Message>(message);
}

}  // namespace

TEST_CASE("peer message: the bytes of each message, and back") {
  const Buffer bits = {0xff, 0x80};
  const Buffer payload = {'d', 'e'};
  struct Row {
    PeerMessage message;
    std::string hex;
  };
  const std::string block_hex = "0102030405060708090a0b0c";
  for (const auto& row :
       {Row{Choke{}, "0000000100"}, Row{Unchoke{}, "0000000101"}, Row{Interested{}, "0000000102"},
        Row{NotInterested{}, "0000000103"}, Row{Have{block.piece}, "000000050401020304"},
        Row{BitfieldBits{bits}, "0000000305ff80"}, Row{Request{block}, "0000000d06" + block_hex},
        Row{Cancel{block}, "0000000d08" + block_hex}, Row{Port{6881}, "00000003091ae1"},
        Row{Suggest{block.piece}, "000000050d01020304"}, Row{HaveAll{}, "000000010e"}, Row{HaveNone{}, "000000010f"},
        Row{Reject{block}, "0000000d10" + block_hex}, Row{AllowedFast{block.piece}, "000000051101020304"},
        Row{Extended{3, payload}, "0000000414036465"}}) {
    CAPTURE(row.hex);
    const auto out = frame(row.message);
    CHECK(to_hex(out) == row.hex);
    CHECK(decoded(out).index() == row.message.index());
    CHECK(frame(decoded(out)) == out);
    CHECK(frame_bytes_max(out[4], 16) >= out.size() - 4);
  }
  CHECK(as<Have>(bytes("000000050401020304")).piece == block.piece);
  CHECK(as<Request>(bytes("0000000d06" + block_hex)).block == block);
  CHECK(as<Cancel>(bytes("0000000d08" + block_hex)).block == block);
  CHECK(as<Reject>(bytes("0000000d10" + block_hex)).block == block);
  CHECK(as<Suggest>(bytes("000000050d01020304")).piece == block.piece);
  CHECK(as<AllowedFast>(bytes("000000051101020304")).piece == block.piece);
  CHECK(as<Port>(bytes("00000003091ae1")).port == 6881);
}

TEST_CASE("peer message: what has bytes of its own borrows them") {
  const auto with_bits = bytes("0000000305ff80");
  CHECK(as<BitfieldBits>(with_bits).bytes.data() == with_bits.data() + 5);
  const auto extended = bytes("0000000414036465");
  CHECK(as<Extended>(extended).id == 3);
  CHECK(as<Extended>(extended).payload.data() == extended.data() + 6);
  CHECK(as<Extended>(extended).payload.size() == 2);
  CHECK(as<Extended>(bytes("000000021400")).payload.empty());
}

TEST_CASE("peer message: keep-alive and the head of a piece") {
  Buffer out;
  append_keep_alive(out);
  CHECK(to_hex(out) == "00000000");
  out.clear();
  append_piece_header(out, {PieceIndex{7}, 0x4000, 0x4000});
  CHECK(to_hex(out) ==
        "00004009"
        "07"
        "00000007"
        "00004000");
  CHECK(out.size() == piece_frame_header_bytes);
  const auto header = decode_piece_header(std::span(out).subspan<5, 8>());
  CHECK(header.piece == PieceIndex{7});
  CHECK(header.begin == 0x4000);
}

TEST_CASE("peer message: the longest frame of every id") {
  for (unsigned id = 0; id < 256; ++id) {
    CAPTURE(id);
    std::uint32_t expected = 0;
    for (const unsigned bare : {0, 1, 2, 3, 14, 15}) expected = id == bare ? 1 : expected;
    for (const unsigned with_piece : {4, 13, 17}) expected = id == with_piece ? 5 : expected;
    for (const unsigned with_block : {6, 8, 16}) expected = id == with_block ? 13 : expected;
    if (id == 5) expected = 1 + 165;
    if (id == 7) expected = 9 + 128 * 1024;
    if (id == 9) expected = 3;
    if (id == 20) expected = 64 * 1024;
    CHECK(frame_bytes_max(static_cast<std::uint8_t>(id), 1313) == expected);
  }
  CHECK(frame_bytes_max(5, 8) == 2);
  CHECK(frame_bytes_max(5, 9) == 3);
  CHECK(frame_bytes_max(5, 0xffffffff) == 1 + 0x20000000);  // no overflow on the way
  // The number of pieces is not known yet: as many hashes as an info dictionary of 32 MiB holds.
  CHECK(frame_bytes_max(5, 0) == 1 + (32 * 1024 * 1024 / 20 + 7) / 8);
}

TEST_CASE("peer message: every other length of a fixed body is a fault, unknown ids are") {
  const Buffer body(64);
  for (unsigned id = 0; id < 256; ++id) {
    const auto max = frame_bytes_max(static_cast<std::uint8_t>(id), 8);
    for (std::size_t n = 0; n < body.size(); ++n) {
      CAPTURE(id);
      CAPTURE(n);
      const auto message = decode(static_cast<std::uint8_t>(id), ByteView(body).first(n));
      if (max == 0 || id == 7) {
        CHECK(message.error() == PeerFault::unknown_message);
      } else if (id == 5) {
        CHECK(message);  // its length is judged by who knows the number of pieces
      } else if (id == 20) {
        CHECK(message.has_value() == (n > 0));
      } else if (n + 1 == max) {
        CHECK(message);
      } else {
        CHECK(message.error() == PeerFault::wrong_length);
      }
    }
  }
}

TEST_CASE("peer message: a fault allocates nothing and has a text") {
  const Buffer body(64);
  CHECK(test::bytes_allocated_by([&] {
          for (unsigned id = 0; id < 256; ++id) static_cast<void>(decode(static_cast<std::uint8_t>(id), body));
        }) == 0);
  std::set<std::string_view> texts;
  for (int f = 0; f <= static_cast<int>(PeerFault::torrent_stopped); ++f) {
    const auto t = text(static_cast<PeerFault>(f));
    CHECK(t != "unknown fault");
    texts.insert(t);
  }
  CHECK(texts.size() == 1 + static_cast<std::size_t>(PeerFault::torrent_stopped));
  CHECK(text(static_cast<PeerFault>(255)) == "unknown fault");
}

TEST_CASE("peer message: the allowed-fast set of BEP 6") {
  InfoHash hash;
  hash.bytes.fill(0xaa);
  const auto numbers = [&](std::uint32_t ip, std::uint32_t pieces, std::size_t k) {
    std::vector<std::uint32_t> out;
    for (const auto p : allowed_fast_set(ip, hash, pieces, k)) out.push_back(number(p));
    return out;
  };
  const std::vector<std::uint32_t> seven = {1059, 431, 808, 1217, 287, 376, 1188};
  CHECK(numbers(0x500404c8, 1313, 7) == seven);
  CHECK(numbers(0x500404ff, 1313, 7) == seven);  // the same /24
  CHECK(numbers(0x500405c8, 1313, 7) != seven);
  auto nine = seven;
  nine.insert(nine.end(), {353, 508});
  CHECK(numbers(0x500404c8, 1313, 9) == nine);

  auto all = numbers(0x500404c8, 5, 10);  // never more than there are
  std::sort(all.begin(), all.end());
  CHECK(all == std::vector<std::uint32_t>{0, 1, 2, 3, 4});
  CHECK(numbers(0x500404c8, 0, 10).empty());
  CHECK(numbers(0x500404c8, 10, 0).empty());
}
