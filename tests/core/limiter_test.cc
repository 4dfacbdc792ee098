#include "core/limiter.hh"

#include <doctest/doctest.h>

#include "base/random.hh"
#include "model/limiter.hh"

using namespace swarm;
using core::Limiter;

namespace {

Instant at(Duration d) { return Instant(d); }

}  // namespace

TEST_CASE("limiter: without a limit everything is allowed") {
  Limiter limiter;
  CHECK(limiter.available(at(0s)) == UINT64_MAX);
  limiter.take(1u << 30, at(0s));
  CHECK(limiter.available(at(0s)) == UINT64_MAX);
  CHECK_FALSE(limiter.ready_at(at(0s)));
  CHECK(Limiter(20'000'000'000).available(at(0s)) == UINT64_MAX);
}

TEST_CASE("limiter: holds a tenth of a second's worth, but a block at least") {
  CHECK(Limiter(1'000'000).available(at(5s)) == 100'000);
  CHECK(Limiter(10'000).available(at(5s)) == 16'384);
}

TEST_CASE("limiter: debt is paid before anything more is given") {
  Limiter limiter(100'000);
  limiter.take(16'384 + 100'000, at(1s));
  CHECK(limiter.available(at(1s)) == 0);
  CHECK(limiter.ready_at(at(1s)) == at(2s) + Duration(163'840'000));
  CHECK(limiter.available(at(2s)) == 0);
  CHECK(limiter.available(at(2s) + Duration(163'840'000)) == 16'384);
  CHECK_FALSE(limiter.ready_at(at(3s)));
}

TEST_CASE("limiter: a new rate counts from now") {
  Limiter limiter(1'000'000);
  limiter.take(100'000, at(1s));
  limiter.set_rate(2'000'000, at(1s));
  CHECK(limiter.available(at(1s) + 50ms) == 100'000);
  limiter.set_rate(100'000, at(2s));
  CHECK(limiter.available(at(2s)) == 16'384);
  limiter.set_rate(0, at(2s));
  CHECK(limiter.available(at(2s)) == UINT64_MAX);
  limiter.set_rate(1'000'000, at(3s));
  CHECK(limiter.available(at(3s)) == 100'000);
}

TEST_CASE("limiter: what a greedy taker gets over an hour is exact") {
  for (const std::uint64_t rate : {1ull, 999ull, 12'500'000ull, 999'999'937ull, 15'999'999'999ull}) {
    CAPTURE(rate);
    Limiter limiter(rate);
    Random chance(rate);
    const std::uint64_t burst = limiter.available(at(0s));
    std::uint64_t taken = 0;
    for (Instant now{}; now < at(1h); now += Duration(1 + chance.below(50'000'000))) {
      const auto n = limiter.available(now);
      limiter.take(n, now);
      taken += n;
    }
    taken += limiter.available(at(1h));
    CHECK(taken == burst + rate * 3'600);
  }
}

TEST_CASE("limiter and its naive twin agree") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Random chance(seed);
    const auto rate = 1 + chance.below(seed % 3 == 0 ? 100 : seed % 3 == 1 ? 200'000 : 100'000'000);
    Limiter limiter(rate);
    model::Limiter twin(static_cast<std::int64_t>(rate));
    Instant now{};
    for (int step = 0; step < 400; ++step) {
      if (chance.below(3) != 0) now += Duration(chance.below(chance.below(2) == 0 ? 1'000 : 200'000'000));
      REQUIRE(limiter.available(now) == twin.available(now));
      if (chance.below(2) == 0) {
        const auto bytes = chance.below(100'000);
        limiter.take(bytes, now);
        twin.take(bytes, now);
      }
      REQUIRE(limiter.available(now) == twin.available(now));
      const auto ready = limiter.ready_at(now);
      REQUIRE(ready.has_value() == (twin.available(now) < 16'384));
      if (ready && *ready - now < 2s) {  // not a nanosecond sooner
        auto later = twin;
        REQUIRE(later.available(*ready - Duration(1)) < 16'384);
        REQUIRE(later.available(*ready) == 16'384);
      }
    }
  }
}
