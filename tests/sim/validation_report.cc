// The simulated half of tests/e2e/validation.py: one seed and N downloaders on equal lines, and their times as one JSON line.
//
//   validation_report DOWNLOADERS BYTES PIECE_BYTES MBIT BURST_BYTES DELAY_US RANDOM_SEED
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "sim/scenario.hh"

int main(int argc, char** argv) {
  using namespace swarm::sim;
  if (argc != 8) return 2;
  const auto number = [argv](int i) { return std::strtoull(argv[i], nullptr, 10); };
  Plan plan;
  plan.downloaders = static_cast<std::uint32_t>(number(1));
  plan.bytes_total = number(2);
  plan.piece_bytes = static_cast<std::uint32_t>(number(3));
  const std::uint64_t rate = number(4) * 125'000;
  plan.line = {rate, rate, std::chrono::microseconds(number(6))};
  plan.line.burst = number(5);
  plan.network.header_bytes = 66;  // what a shaped Ethernet counts, too
  plan.random_seed = number(7);
  plan.leave_when_whole = true;
  const Report report = Scenario(plan).run();
  fmt::print(
      "{{\"nodes\":{},\"finished\":{},\"first_seconds\":{:.3f},\"median_seconds\":{:.3f},\"last_seconds\":{:.3f}}}\n",
      report.downloaders, report.finished, report.first_seconds, report.median_seconds, report.last_seconds);
  for (const auto& violation : report.violations) fmt::print(stderr, "{}\n", violation);
  return report.all_right() ? 0 : 1;
}
