// An assertion that stays on in release: what it guards is a bug of ours, never a peer's or a person's fault.
#pragma once

namespace swarm {

/// Prints file, line and the condition to stderr and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace swarm

#define SWARM_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::swarm::check_failed(#condition, __FILE__, __LINE__))
