#include "base/meter.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace swarm;

namespace {

Instant at(double s) { return Instant(from_seconds(s)); }

}  // namespace

TEST_CASE("a meter that saw nothing shows nothing") {
  Meter meter;
  CHECK(meter.rate(at(0)) == 0);
  CHECK(meter.rate(at(1000)) == 0);
  meter.add(0, at(5));
  CHECK(meter.rate(at(5)) == 0);
  CHECK(meter.total() == 0);
}

TEST_CASE("a steady flow is measured within one slot, whenever it is asked") {
  constexpr double rate = 1e6;
  for (const int step_ms : {1, 13, 100, 370}) {
    for (const double start : {0.0, 0.26, 123.456}) {
      CAPTURE(step_ms);
      CAPTURE(start);
      Meter meter;
      std::uint64_t sum = 0;
      for (int ms = 0; ms < 10'000; ms += step_ms) {
        const double t = ms / 1000.0;
        meter.add(static_cast<std::uint64_t>(rate * step_ms / 1000), at(start + t));
        sum += static_cast<std::uint64_t>(rate * step_ms / 1000);
        // One slot of the window may be empty at its start, and one step counts that has only begun.
        const double window = std::min(t, 3.5);
        if (t > 1.5) REQUIRE(std::abs(meter.rate(at(start + t)) / rate - 1) < (0.5 + step_ms / 1000.0) / window);
      }
      CHECK(meter.total() == sum);
    }
  }
}

TEST_CASE("whole slots of a steady flow are exact") {
  Meter meter;
  for (int slot = 0; slot < 20; ++slot) {
    for (int i = 0; i < 5; ++i) meter.add(100, at(slot * 0.5 + i * 0.1 + 0.01));
  }
  CHECK(meter.rate(at(10)) == doctest::Approx(1000));
}

TEST_CASE("the first bytes count over at least one slot") {
  Meter meter;
  meter.add(1000, at(0));
  CHECK(meter.rate(at(0)) == doctest::Approx(2000));
  CHECK(meter.rate(at(0.5)) == doctest::Approx(2000));
  CHECK(meter.rate(at(1)) == doctest::Approx(1000));
}

TEST_CASE("a flow that stops fades to 0 within 4 s") {
  Meter meter;
  for (int i = 0; i <= 100; ++i) meter.add(1000, at(i * 0.1));
  double last = meter.rate(at(10));
  for (double t = 10.1; t < 14; t += 0.1) {
    CHECK(meter.rate(at(t)) <= last);
    last = meter.rate(at(t));
  }
  CHECK(meter.rate(at(13.4)) > 0);
  CHECK(meter.rate(at(14)) == 0);
  CHECK(meter.rate(at(1e6)) == 0);
  CHECK(meter.total() == 101'000);
}

TEST_CASE("a flow that resumes is measured afresh") {
  Meter meter;
  for (int i = 0; i < 100; ++i) meter.add(1000, at(i * 0.1));
  meter.add(500, at(100));
  CHECK(meter.rate(at(100)) == doctest::Approx(1000));
  meter.add(500, at(102));  // a gap within the window counts as silence
  CHECK(meter.rate(at(102)) == doctest::Approx(500));
}

TEST_CASE("time that stands still or turns back harms nothing") {
  Meter meter;
  meter.add(1000, at(10));
  meter.add(1000, at(9));
  CHECK(meter.total() == 2000);
  CHECK(meter.rate(at(10)) == doctest::Approx(4000));
  CHECK(meter.rate(at(1)) == doctest::Approx(4000));
}
