// The subcommands. Each runs to its end and gives the process's exit code; none throws on purpose, and main.cc catches the rest.
#pragma once

#include "cli/options.hh"
#include "cli/voice.hh"

namespace swarm::cli {

int run_tracker(const Options& options, const Environment& environment, Voice& voice);
int run_seed(const Options& options, const Environment& environment, Voice& voice);
int run_get(const Options& options, const Environment& environment, Voice& voice);
int run_status(const Options& options, const Environment& environment, Voice& voice);
int run_simulate(const Options& options, const Environment& environment, Voice& voice);

}  // namespace swarm::cli
