// What goes wrong for a person: a text that says what, where and what to do, and the exit code that goes with it.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace swarm {

/// The process's exit codes (man page, EXIT STATUS). Nothing else ever leaves the process, but for 128 + signal.
enum class Exit : int {
  done = 0,
  other = 1,
  usage = 2,
  not_found = 3,
  unreachable = 4,
  no_peers = 5,
  integrity = 6,
  disk = 7,
  refused = 8,
};

/// An error that reaches a person. `code` is a stable snake_case word for JSON ("no_peers", "not_found", …).
struct Error {
  Exit exit = Exit::other;
  std::string code = "error";
  std::string message;    ///< one line, no final stop; names what and where
  std::string hint = {};  ///< one line, what to do next; may be empty
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Exit exit, std::string code, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(Error{exit, std::move(code), std::move(message), std::move(hint)});
}

}  // namespace swarm
