// Option rows: what each command adds to the one table of options (options.hh), a file a command, NAME_options.cc. A row stands in
// the file of the commands that it is for; what a value may be and where it goes is said there too.
#pragma once

#include <span>

#include "cli/options.hh"

namespace swarm::cli {

std::span<const OptionSpec> tracker_rows();
std::span<const OptionSpec> seed_rows();
std::span<const OptionSpec> get_rows();
std::span<const OptionSpec> seed_and_get_rows();
std::span<const OptionSpec> status_rows();
std::span<const OptionSpec> simulate_rows();
std::span<const OptionSpec> common_rows();  ///< of several commands

}  // namespace swarm::cli
