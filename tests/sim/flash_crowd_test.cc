// How long a flash crowd takes against the lower bound: one seed, N downloaders that start together, equal lines.
//
// SWARM_FLASH="8 16 64" measures these numbers of downloaders (64 MiB, 256 KiB pieces, 100 Mbit/s, 1 ms), SWARM_SEEDS so many
// random seeds of each; compile with optimisation.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "sim/scenario.hh"

using namespace swarm;
using namespace swarm::sim;

TEST_CASE("a flash crowd of 8 takes at most 1.05 x the bound, one of 16 1.08 x, one of 64 1.12 x") {
  struct Size {
    std::uint32_t nodes;
    double ratio, copies;
  };
  for (const Size& size : {Size{8, 1.05, 1.06}, Size{16, 1.08, 1.06}, Size{64, 1.12, 1.06}}) {
    Plan plan;
    plan.downloaders = size.nodes;
    Scenario scenario(plan);
    const Report r = scenario.run();
    CHECK_MESSAGE(r.all_right(), r.text());
    CHECK_MESSAGE(r.ratio <= size.ratio, r.text());
    CHECK_MESSAGE(r.seed_copies <= size.copies, r.text());
    CHECK(r.payload_wasted * 100 <= r.payload_received);
  }
}

TEST_CASE("64 sites 20 to 200 ms apart, on lines that lose packets, take at most 2.3 x the bound for 64 MiB") {
  Plan plan;
  plan.profile = known_profile("wan");
  plan.downloaders = 64;
  Scenario scenario(plan);
  const Report r = scenario.run();
  CHECK_MESSAGE(r.all_right(), r.text());
  CHECK_MESSAGE(r.ratio <= 2.3, r.text());  // 5.8 where none but partners are served
  CHECK(r.payload_wasted * 100 <= r.payload_received);
}

TEST_CASE("flash crowds of the sizes asked for" * doctest::skip(std::getenv("SWARM_FLASH") == nullptr)) {
  std::istringstream sizes(std::getenv("SWARM_FLASH"));
  const char* chosen = std::getenv("SWARM_SEEDS");
  const int seeds = chosen == nullptr ? 1 : std::atoi(chosen);
  for (std::uint32_t n = 0; sizes >> n;) {
    for (int seed = 1; seed <= seeds; ++seed) {
      Plan plan;
      plan.random_seed = static_cast<std::uint64_t>(seed);
      plan.downloaders = n;
      const auto began = std::chrono::steady_clock::now();
      Scenario scenario(plan);
      const Report r = scenario.run();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      std::printf(
          "N %u seed %d: first %.3f median %.3f last %.3f, %.3f x the bound, seed %.3f copies, waste %.3f %%, %.1f s, "
          "%.0f events\n",
          n, seed, r.first_seconds, r.median_seconds, r.last_seconds, r.ratio, r.seed_copies,
          100.0 * double(r.payload_wasted) / double(r.payload_received), took.count(), double(r.events));
      std::fflush(stdout);
      CHECK(r.all_right());
    }
  }
}
