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

}  // namespace swarm::uv
