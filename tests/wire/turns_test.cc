#include "wire/turns.hh"

#include <doctest/doctest.h>

#include "base/digest.hh"
#include "base/random.hh"
#include "support/allocations.hh"

using namespace swarm;
using namespace swarm::wire;
using Kind = TurnsMessage::Kind;

TEST_CASE("sw_turns: to the byte, and read back") {
  const auto twice = [](const TurnsMessage& m, std::string_view hex) {
    CHECK(to_hex(encode(m)) == hex);
    CHECK(decode_turns(encode(m), 0x01020305) == m);
  };
  twice({Kind::ask, {}}, "00");
  twice({Kind::wait, {}}, "01");
  twice({Kind::offer, {PieceIndex{7}}}, "0200000007");
  twice({Kind::taken, {PieceIndex{1}, PieceIndex{0x01020304}}}, "030000000101020304");
  twice({Kind::unwanted, {PieceIndex{2}}}, "0400000002");
  twice({Kind::lacking, {PieceIndex{3}}}, "0500000003");
  twice({Kind::pair, {}, 4}, "0604");
  twice({Kind::part, {}, 255}, "07ff");
}

TEST_CASE("sw_turns: what is refused") {
  const auto decoded = [](Buffer payload, std::uint32_t pieces = 10) { return decode_turns(payload, pieces); };
  CHECK(decoded({2, 0, 0, 0, 9}));
  CHECK_FALSE(decoded({}));
  CHECK_FALSE(decoded({8, 0, 0, 0, 1}));     // a kind that there is not
  CHECK_FALSE(decoded({6}));                 // pair says how many partners
  CHECK_FALSE(decoded({7, 0, 0, 0, 1}));     // in one byte
  CHECK_FALSE(decoded({0, 0, 0, 0, 1}));     // ask names no pieces
  CHECK_FALSE(decoded({2}));                 // offer names some
  CHECK_FALSE(decoded({2, 0, 0, 0}));        // not whole
  CHECK_FALSE(decoded({2, 0, 0, 0, 10}));    // there are ten
  CHECK_FALSE(decoded({2, 0, 0, 0, 0}, 0));  // there are none yet
  Buffer many(1 + 4 * turns_pieces_max, 0);
  many[0] = 3;
  CHECK(decoded(many));
  many.resize(many.size() + 4);
  CHECK(test::bytes_allocated_by([&] { CHECK_FALSE(decode_turns(many, 10)); }) < 1024);
}
