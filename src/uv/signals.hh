// Signals: SIGINT, SIGTERM, SIGHUP and SIGUSR1 as events of the loop. (SIGPIPE is ignored since Loop::create().)
#pragma once

#include <functional>
#include <vector>

#include "uv/handle.hh"
#include "uv/loop.hh"

namespace swarm::uv {

class Signals {
 public:
  /// `on_signal(number)` runs on the loop and may destroy this. Does not keep the loop running.
  Signals(Loop& loop, std::function<void(int)> on_signal);

 private:
  struct State : uv_signal_t {
    std::function<void(int)> on_signal;
  };
  std::vector<Handle<State, uv_signal_t>> handles_;
};

/// Writing to a socket or pipe whose reader has gone is an error to handle, not a reason to die. For the life of the
/// process.
void ignore_sigpipe();

}  // namespace swarm::uv
