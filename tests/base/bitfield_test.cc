#include "base/bitfield.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "base/random.hh"
#include "support/dies.hh"

using namespace swarm;

TEST_CASE("bit 0 is the highest of the first byte, and spare bits stay 0") {
  Bitfield bits(10);
  CHECK(bits.size() == 10);
  CHECK(bits.none());
  bits.set(0);
  bits.set(PieceIndex{9});
  CHECK(to_buffer(bits.bytes()) == Buffer{0x80, 0x40});
  CHECK(bits[PieceIndex{9}]);
  CHECK_FALSE(bits[1]);
  bits.set_all(true);
  CHECK(to_buffer(bits.bytes()) == Buffer{0xff, 0xc0});
  CHECK(bits.all());
  CHECK(bits == Bitfield(10, true));
  bits.set(3, false);
  CHECK(bits.count() == 9);
  CHECK_FALSE(bits.all());
}

TEST_CASE("a bitfield from the wire has the exact size and no spare bits") {
  CHECK(Bitfield::from(Buffer{0xff, 0xc0}, 10)->count() == 10);
  CHECK(Bitfield::from(Buffer{0xff, 0xff}, 16)->all());
  CHECK(Bitfield::from({}, 0)->size() == 0);
  CHECK_FALSE(Bitfield::from(Buffer{0xff, 0xe0}, 10));
  CHECK_FALSE(Bitfield::from(Buffer{0xff}, 10));
  CHECK_FALSE(Bitfield::from(Buffer{0xff, 0xc0, 0}, 10));
  CHECK_FALSE(Bitfield::from(Buffer{0}, 0));
}

TEST_CASE("an empty bitfield is both all and none") {
  const Bitfield bits;
  CHECK(bits.all());
  CHECK(bits.none());
  CHECK(bits.find(true) == 0);
  CHECK(bits.find(false) == 0);
}

TEST_CASE("a bit beyond the end is a bug") {
  Bitfield bits(10);
  CHECK(test::dies([&] { bits.set(10); }));
}

TEST_CASE("it does what a vector of bool does") {
  Random random(1);
  for (const std::size_t size : {1, 7, 8, 9, 63, 64, 65, 1000}) {
    Bitfield bits(size);
    std::vector<bool> twin(size);
    const auto same_finds = [&](bool value, std::size_t from) {
      const auto at = std::find(twin.begin() + static_cast<std::ptrdiff_t>(from), twin.end(), value);
      return bits.find(value, from) == static_cast<std::size_t>(at - twin.begin());
    };
    for (int step = 0; step < 500; ++step) {
      const auto i = random.below(size);
      const bool value =
          random.below(step < 250 ? 8 : 2) == 0;  // sparse first, then dense, so that find skips whole words
      bits.set(i, value);
      twin[i] = value;
      if (step % 100 == 0) {
        bits.set_all(value);
        twin.assign(size, value);
      }
      const auto from = random.below(size);
      REQUIRE(same_finds(true, from));
      REQUIRE(same_finds(false, from));
      REQUIRE(same_finds(true, 0));
      REQUIRE(same_finds(false, 0));
      REQUIRE(bits[i] == twin[i]);
      REQUIRE(bits.count() == static_cast<std::size_t>(std::count(twin.begin(), twin.end(), true)));
    }
    CHECK(*Bitfield::from(bits.bytes(), size) == bits);
  }
}
