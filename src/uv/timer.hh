// Timer: one alarm, once or again and again. Its callback may start it, stop it or destroy it.
#pragma once

#include <functional>

#include "base/instant.hh"
#include "uv/handle.hh"
#include "uv/loop.hh"

namespace swarm::uv {

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_time);

  void start(Duration after);  ///< once; a running one starts anew. Never early, at most 1 ms late by itself
  void every(Duration period);
  void stop();
  bool running() const;
  void unref();  ///< it does not keep the loop running

 private:
  struct State : uv_timer_t {
    std::function<void()> on_time;
  };
  void begin(Duration after, Duration period);

  Handle<State, uv_timer_t> state_;
};

}  // namespace swarm::uv
