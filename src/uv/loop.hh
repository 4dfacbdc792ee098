// Loop: the one libuv loop of a process. Whatever uses it is destroyed before it.
#pragma once

#include <uv.h>

#include <memory>

#include "base/error.hh"
#include "base/instant.hh"

namespace swarm::uv {

class Loop {
 public:
  /// Exit::other "no_loop" when the process has no descriptors left. Also prepares the process: SIGPIPE is ignored
  /// (signals.hh), the soft limit of descriptors is raised towards the hard one, and libuv's pool gets its size
  /// (workers.hh). So make it first.
  static Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Instant now() const;  ///< monotonic; reads the clock each time
  /// Runs until stop(), or until nothing is left that could happen (signals do not count).
  void run();
  /// One turn; waits for an event when `wait`. False when nothing is left.
  bool run_once(bool wait = true);
  void stop();
  uv_loop_t* raw() { return &loop_; }

 private:
  Loop() = default;
  uv_loop_t loop_{};
  bool made_ = false;
};

}  // namespace swarm::uv
