#include "base/random.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "support/dies.hh"

using namespace swarm;

TEST_CASE("the same seed gives the same numbers everywhere") {
  // xoshiro256** started with e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f f88bb8a8724c81ec, splitmix64 of 0.
  Random random(0);
  CHECK(random.next() == 0x99ec5f36cb75f2b4u);
  CHECK(random.next() == 0xbf6e1f784956452au);
  CHECK(random.next() == 0x1a5f849d4933e6e0u);

  Random a(42);
  Random b(42);
  Random c(43);
  CHECK(a.next() == b.next());
  CHECK(a.next() != c.next());
}

TEST_CASE("bytes are the numbers, lowest byte first") {
  Random numbers(7);
  Random bytes(7);
  Buffer out(11);
  bytes.fill(out);
  const auto first = numbers.next();
  const auto second = numbers.next();
  for (std::size_t i = 0; i < 8; ++i) CHECK(out[i] == static_cast<std::uint8_t>(first >> (8 * i)));
  for (std::size_t i = 8; i < 11; ++i) CHECK(out[i] == static_cast<std::uint8_t>(second >> (8 * (i - 8))));
}

TEST_CASE("below is even and within its bound") {
  Random random(1);
  std::array<int, 10> seen{};
  for (int i = 0; i < 100'000; ++i) ++seen[random.below(10)];
  for (const auto n : seen) CHECK(std::abs(n - 10'000) < 500);  // five standard deviations
  for (int i = 0; i < 100; ++i) CHECK(random.below(1) == 0);
  // Two thirds of the range: a plain remainder would give the lower half twice as often.
  const std::uint64_t bound = 0xc000000000000000u;
  int low = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto n = random.below(bound);
    REQUIRE(n < bound);
    if (n < bound / 2) ++low;
  }
  CHECK(std::abs(low - 5000) < 250);
  CHECK(test::dies([&] { random.below(0); }));
}

TEST_CASE("unit is within [0, 1) and even") {
  Random random(1);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto x = random.unit();
    REQUIRE(x >= 0);
    REQUIRE(x < 1);
    sum += x;
  }
  CHECK(sum / 10'000 == doctest::Approx(0.5).epsilon(0.03));
}

TEST_CASE("shuffle keeps the items and reaches every order") {
  Random random(1);
  std::vector<int> seen(6);
  for (int i = 0; i < 6000; ++i) {
    std::vector<int> items = {0, 1, 2};
    random.shuffle(std::span(items));
    auto sorted = items;
    std::sort(sorted.begin(), sorted.end());
    REQUIRE(sorted == std::vector{0, 1, 2});
    ++seen[static_cast<std::size_t>(items[0] * 2 + (items[1] > items[2]))];
  }
  for (const auto n : seen) CHECK(std::abs(n - 1000) < 150);
}
