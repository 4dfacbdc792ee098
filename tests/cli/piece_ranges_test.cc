#include "cli/piece_ranges.hh"

#include <doctest/doctest.h>

#include "base/bitfield.hh"
#include "base/random.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

wire::PieceHolder holder(const std::string& name, const std::string& bits) {
  wire::PieceHolder h{name + "-id", name, "10.0.0.1:6881", false, std::nullopt};
  if (bits == "whole") return h.whole = true, h;
  if (bits == "unknown") return h;
  Bitfield have(bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i) have.set(i, bits[i] == '1');
  h.have.emplace(have.bytes().begin(), have.bytes().end());
  return h;
}

wire::PieceHolders holders(std::uint32_t pieces, std::vector<wire::PieceHolder> all) {
  wire::PieceHolders p;
  p.info_hash = *digest_from_hex<20>("3f1c000000000000000000000000000000000001");
  p.name = "debian.iso";
  p.pieces = pieces;
  p.holders = std::move(all);
  return p;
}

}  // namespace

TEST_CASE("ranges of pieces by who holds them") {
  const auto p = holders(
      10, {holder("nas", "whole"), holder("pi", "1111100000"), holder("tv", "0011100001"), holder("old", "unknown")});
  CHECK(piece_rows(p) ==
        std::vector<std::string>{"0\t1\t2\tnas,pi", "2\t4\t3\tnas,pi,tv", "5\t8\t1\tnas", "9\t9\t2\tnas,tv"});
  CHECK(piece_table(p, {.width = 40, .utf8 = true, .colour = false}) ==
        std::vector<std::string>{"PIECES  COUNT  COPIES  HELD BY", "0-1     2      2       nas, pi",
                                 "2-4     3      3       nas, pi, tv", "5-8     4      1       nas",
                                 "9       1      2       nas, tv"});
  CHECK(
      pieces_json(holders(2, {holder("a\"b", "10")})) ==
      R"({"v":1,"infohash":"3f1c000000000000000000000000000000000001","name":"debian.iso","pieces":2,)"
      R"("holders":[{"id":"a\"b-id","name":"a\"b","addr":"10.0.0.1:6881","whole":false}],)"
      R"("ranges":[{"first":0,"count":1,"copies":1,"holders":["a\"b-id"]},{"first":1,"count":1,"copies":0,"holders":[]}]})");
}

TEST_CASE("nobody, nothing, and names that must not reach a terminal") {
  CHECK(piece_ranges(holders(0, {})).empty());
  CHECK(piece_ranges(holders(0, {holder("nas", "whole")})).empty());
  CHECK(piece_ranges(holders(5, {})) == std::vector<PieceRange>{{0, 5, {}}});
  CHECK(piece_table(holders(5, {}), {}).at(1).find("nobody") != std::string::npos);
  CHECK(piece_rows(holders(1, {holder("a\tb\x1b[2J", "whole")})) ==
        std::vector<std::string>{"0\t0\t1\ta\uFFFDb\uFFFD[2J"});
}

TEST_CASE("against a naive twin: piece by piece") {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    const auto pieces = static_cast<std::uint32_t>(random.below(70));
    std::vector<wire::PieceHolder> all;
    for (std::uint64_t n = random.below(6); n > 0; --n) {
      std::string bits;
      char bit = '0';
      for (std::uint32_t i = 0; i < pieces; ++i) bits += random.below(4) == 0 ? bit = bit == '0' ? '1' : '0' : bit;
      all.push_back(holder("n" + std::to_string(n), random.below(6) == 0   ? "whole"
                                                    : random.below(8) == 0 ? "unknown"
                                                                           : bits));
    }
    const auto p = holders(pieces, all);
    std::vector<PieceRange> naive;
    for (std::uint32_t i = 0; i < pieces; ++i) {
      std::vector<std::uint32_t> who;
      for (std::uint32_t h = 0; h < all.size(); ++h) {
        const bool has = all[h].whole || (all[h].have && (*all[h].have)[i / 8] >> (7 - i % 8) & 1);
        if (has) who.push_back(h);
      }
      if (!naive.empty() && naive.back().holders == who) {
        ++naive.back().count;
      } else {
        naive.push_back({i, 1, who});
      }
    }
    CHECK(piece_ranges(p) == naive);
  }
}
