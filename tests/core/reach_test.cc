#include "core/torrent/reach.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/random.hh"
#include "model/reach.hh"

using namespace swarm;
using core::Reach;

namespace {

const Instant start{1h};

/// Seconds on a line that carries `line` bytes/s, on connections that carry `each`, with `neighbours` to serve.
struct Line {
  double line, each;
  std::uint32_t neighbours = 1000;
  Reach reach{};
  Instant now = start;
  std::set<std::uint32_t> tried{};

  double rate() const { return std::min(line, each * std::min(reach.served_max(), neighbours)); }
  void pass(int seconds) {
    for (; seconds > 0; --seconds) {
      now += 1s;
      reach.on_second(rate(), std::min(reach.served_max(), neighbours), now);
      tried.insert(reach.served_max());
    }
  }
};

}  // namespace

TEST_CASE("reach: as many are served as fill the line, soon") {
  Line far{.line = 12e6, .each = 2e5};
  CHECK(far.reach.served_max() == 8);
  far.pass(7);
  CHECK(far.reach.served_max() == 64);
  far.pass(20);
  CHECK(far.reach.served_max() == 64);
  CHECK(far.tried == std::set<std::uint32_t>{8, 16, 32, 64, 128});
}

TEST_CASE("reach: who fills the line with few tries more once in a while, for two seconds") {
  Line full{.line = 1.25e6, .each = 3e5};
  int seconds_beyond = 0;
  for (int second = 0; second < 100; ++second) {
    full.pass(1);
    if (full.reach.served_max() > 8) ++seconds_beyond;
  }
  CHECK(full.tried == std::set<std::uint32_t>{8, 16});
  CHECK(seconds_beyond == 2 * 4);
}

TEST_CASE("reach: nothing is tried with too few neighbours, nor while the rate grows by itself") {
  Line few{.line = 12e6, .each = 2e5, .neighbours = 7};
  few.pass(100);
  CHECK(few.tried == std::set<std::uint32_t>{8});

  Reach reach;
  double rate = 1e4;
  for (int second = 1; second < 20; ++second, rate *= 1.5) {
    reach.on_second(rate, 8, start + second * 1s);
    CHECK(reach.served_max() == 8);
  }
}

TEST_CASE("reach: who serves many and sends nothing tries nothing") {
  Line dead{.line = 0, .each = 2e5};
  dead.pass(10);
  CHECK(dead.tried == std::set<std::uint32_t>{8});
}

TEST_CASE("reach: a trial is judged by its second second, and by the better one before it") {
  Reach reach;
  reach.on_second(1e6, 8, start + 1s);
  reach.on_second(0.9e6, 8, start + 2s);
  CHECK(reach.served_max() == 16);
  reach.on_second(5e6, 16, start + 3s);
  CHECK(reach.served_max() == 16);
  reach.on_second(1.2e6, 16, start + 4s);
  CHECK(reach.served_max() == 8);
}

TEST_CASE("reach: it ends at `most`") {
  Line endless{.line = 1e12, .each = 2e5};
  endless.pass(100);
  CHECK(endless.reach.served_max() == Reach::most);
}

TEST_CASE("reach: like its naive twin, whatever it is told") {
  std::uint32_t highest = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Random chance(seed);
    Reach reach;
    model::Reach model;
    Instant now = start;
    double rate = 1000;
    for (int second = 0; second < 150; ++second) {
      now += chance.below(20) == 0 ? Duration(10s) : Duration(1s);
      constexpr double changes[] = {1, 1, 1, 1.1, 1.25, 1.3, 2, 0.9, 0.8, 0.7};
      rate = std::max(rate * changes[chance.below(std::size(changes))], 1.0);
      const double said = chance.below(25) == 0 ? 0 : rate;
      const auto served = reach.served_max() - (chance.below(4) == 0 ? 1u : 0u);
      reach.on_second(said, served, now);
      model.told.push_back({said, served, now});
      REQUIRE(reach.served_max() == model.served_max(Reach::least, Reach::most, Reach::more, Reach::hold));
      highest = std::max(highest, reach.served_max());
    }
  }
  CHECK(highest == Reach::most);
}
