// The token that a tracker asks for before it changes its catalogue, from the file that --token-file names.
#pragma once

#include <string>

#include "base/error.hh"
#include "cli/options.hh"

namespace swarm::cli {

/// Its first line, without the spaces around it; empty when there is no --token-file. Exit::not_found or Exit::disk for a
/// file that cannot be read, Exit::usage for one that holds no token: 8 … 1024 printable ASCII characters.
Result<std::string> read_token(const Options& options);

}  // namespace swarm::cli
