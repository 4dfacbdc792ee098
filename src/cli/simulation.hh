// Simulation: what a person sees of a simulated swarm, while it runs and when it has ended. Pure: numbers in, lines out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "cli/look.hh"
#include "sim/plan.hh"
#include "sim/report.hh"
#include "wire/control.hh"

namespace swarm::cli {

/// How it stands, for the live view.
struct SimulationNow {
  wire::Status status;
  double seconds = 0;       ///< of virtual time
  double real_seconds = 0;  ///< that passed here meanwhile
  sim::Curve::Sample sample;
  std::string policy;  ///< which of two runs; empty: there is one
};

/// The table of `swarm status` in virtual time; for more nodes than `rows` have room for, a row for each kind of node.
std::vector<std::string> simulation_lines(const SimulationNow& now, std::size_t rows, const Look& look);
std::string plain_simulation_line(const SimulationNow& now);

/// A run that has ended; `policy` names it where there are two.
struct SimulationResult {
  std::string policy;
  sim::Report report;
};
/// "8 nodes, 1 seed, 64.0 MiB in 256 pieces x 256 KiB …", and what there is besides.
std::vector<std::string> plan_lines(const sim::Plan& plan, const Look& look);
/// The figures, side by side, and the curves.
std::vector<std::string> summary_lines(const std::vector<SimulationResult>& results, const Look& look);

/// Why that run is not as it should be, with the command that replays it; no error (Exit::done) when it is.
Error simulation_error(const sim::Report& report, const std::string& command);

/// "all_whole", "lost", "time_up", "stuck" or "running".
std::string_view ending_word(sim::Ending ending);
std::string_view policy_word(core::Policy policy);

}  // namespace swarm::cli
