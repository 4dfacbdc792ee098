#include "sim/bound.hh"

#include <doctest/doctest.h>

using namespace swarm::sim;

namespace {

constexpr std::uint64_t size = 64u << 20;
constexpr std::uint32_t piece = 256u << 10;
constexpr std::uint64_t rate = 12'500'000;

std::vector<BoundNode> equal(std::size_t count) { return std::vector<BoundNode>(count, {rate, rate, true, size}); }

}  // namespace

TEST_CASE("bound: equal lines take one transfer and the depth of the pipeline") {
  const double transfer = double(size) / rate;
  CHECK(find_bound(size, piece, {rate}, equal(1)).seconds == doctest::Approx(transfer));
  CHECK(find_bound(size, piece, {rate}, equal(8)).seconds == doctest::Approx(transfer * (1 + 3.0 / 256)));
  CHECK(find_bound(size, piece, {rate}, equal(9)).seconds == doctest::Approx(transfer * (1 + 4.0 / 256)));
  CHECK(find_bound(size, piece, {rate}, equal(4096)).seconds == doctest::Approx(transfer * (1 + 12.0 / 256)));
  CHECK(find_bound(size, piece, {rate}, equal(8)).formula ==
        "T (1 + ceil(log2 8) / 256 pieces), T = 5.369 s for one transfer");
}

TEST_CASE("bound: unequal lines: the slowest of the seed, one downlink, and all uplinks together") {
  auto nodes = equal(4);
  nodes[2].down = rate / 10;
  CHECK(find_bound(size, piece, {rate}, nodes).seconds == doctest::Approx(10.0 * size / rate));
  nodes = equal(4);
  for (auto& node : nodes) node.gives = false;  // all of it comes from the seed
  CHECK(find_bound(size, piece, {rate}, nodes).seconds == doctest::Approx(4.0 * size / rate));
  CHECK(find_bound(size, piece, {rate, rate}, nodes).seconds == doctest::Approx(2.0 * size / rate));
  nodes = equal(4);
  CHECK(find_bound(size, piece, {rate / 4}, nodes).seconds == doctest::Approx(4.0 * size / rate));
  for (auto& node : nodes) node.up = 0;  // without limit
  CHECK(find_bound(size, piece, {0}, nodes).seconds == doctest::Approx((1 + 2.0 / 256) * size / rate));
}

TEST_CASE("bound: what is there already need not come again, nor from the seed") {
  auto nodes = equal(4);
  for (auto& node : nodes) node.lacks = size / 10;
  CHECK(find_bound(size, piece, {rate / 1000}, nodes).seconds == doctest::Approx(0.1 * size / rate).epsilon(0.001));
  CHECK(find_bound(size, piece, {rate}, {}).seconds == 0);
}

TEST_CASE("bound: of those who come late only their own downlink says something") {
  CHECK(find_bound(size, piece, {rate / 10}, equal(8), false).seconds == doctest::Approx(double(size) / rate));
}
