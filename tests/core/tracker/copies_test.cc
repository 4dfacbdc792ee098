#include "core/tracker/copies.hh"

#include <doctest/doctest.h>

#include <vector>

#include "base/random.hh"
#include "model/copies.hh"

using namespace swarm;
using swarm::core::Copies;

namespace {

Bitfield bits(const std::vector<bool>& values) {
  Bitfield b(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) b.set(i, values[i]);
  return b;
}

}  // namespace

TEST_CASE("copies: the least availability and the fraction of pieces above it") {
  Copies copies(4);
  CHECK(copies.value() == 0);
  copies.add(bits({true, true, true, false}));
  CHECK(copies.value() == 0.75);
  copies.add_whole();
  CHECK(copies.value() == 1.75);
  copies.gain(3);
  CHECK(copies.value() == 2);
  copies.remove(bits({true, true, true, true}));
  CHECK(copies.value() == 1);
  copies.remove_whole();
  CHECK(copies.value() == 0);
}

TEST_CASE("copies of a torrent whose pieces nobody counted are the whole ones") {
  Copies copies;
  copies.add_whole();
  CHECK(copies.value() == 1);
  copies.add(Bitfield(0));
  CHECK(copies.value() == 1);
}

TEST_CASE("copies stay equal to a count from scratch, whatever comes and goes") {
  Random random(21);
  for (int round = 0; round < 60; ++round) {
    const auto pieces = static_cast<std::uint32_t>(1 + random.below(40));
    Copies copies(pieces);
    std::vector<std::vector<bool>> bitmaps;
    std::uint32_t whole = 0;
    for (int step = 0; step < 300; ++step) {
      const auto what = random.below(10);
      if (what == 0) {
        std::vector<bool> has(pieces);
        for (std::uint32_t i = 0; i < pieces; ++i) has[i] = random.below(3) == 0;
        copies.add(bits(has));
        bitmaps.push_back(has);
      } else if (what == 1 && !bitmaps.empty()) {
        const auto i = static_cast<std::ptrdiff_t>(random.below(bitmaps.size()));
        copies.remove(bits(bitmaps[static_cast<std::size_t>(i)]));
        bitmaps.erase(bitmaps.begin() + i);
      } else if (what == 2) {
        copies.add_whole(), ++whole;
      } else if (what == 3 && whole > 0) {
        copies.remove_whole(), --whole;
      } else if (!bitmaps.empty()) {
        auto& has = bitmaps[random.below(bitmaps.size())];
        const auto piece = static_cast<std::uint32_t>(random.below(pieces));
        if (has[piece]) continue;
        has[piece] = true;
        copies.gain(piece);
      }
      REQUIRE(copies.value() == doctest::Approx(model::copies(pieces, whole, bitmaps)));
    }
  }
}
