// Workers: blocking work (hashing, files) on libuv's pool, its result given back on the loop.
//
// The pool is one per process and as large as the machine has cores (at least 2, or what UV_THREADPOOL_SIZE says).
#pragma once

#include <uv.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "uv/loop.hh"

namespace swarm::uv {

class Workers {
 public:
  explicit Workers(Loop& loop) : loop_(loop) {}
  /// Jobs that wait are dropped, those that run are waited for; no `done` is called any more, and all that jobs and
  /// their callbacks own is destroyed here.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Runs `job()` on a worker, then `done(result)` (or `done()`) on the loop. Jobs start in the order given and may run
  /// at the same time. Both are moved in and need not be copyable; neither may throw. The queue is not bounded here:
  /// each caller keeps at most a stated number of jobs under way.
  template <class Job, class Done>
  void run(Job job, Done done);

  std::size_t under_way() const { return count_; }  ///< given and not yet done
  static std::size_t threads();                     ///< of the pool
  static void size_pool();                          ///< before libuv's pool is first used; Loop::create() does it

 private:
  struct Work {
    uv_work_t request{};
    Workers* owner = nullptr;  ///< nothing once Workers is gone
    Work* before = nullptr;
    Work* after = nullptr;
    std::atomic<int> finished{0};            ///< set by the worker when it looks no more
    void (*job)(Work&) noexcept = nullptr;   ///< on a worker
    void (*done)(Work&) noexcept = nullptr;  ///< on the loop
    void (*drop)(Work&) noexcept = nullptr;  ///< destroys what job and done own
    void (*free)(Work*) noexcept = nullptr;
  };
  template <class Job, class Done>
  struct WorkOf;

  void begin(Work* work);

  Loop& loop_;
  Work* first_ = nullptr;
  std::size_t count_ = 0;
};

template <class Job, class Done>
struct Workers::WorkOf : Workers::Work {
  using Made = std::invoke_result_t<Job&>;
  struct Nothing {};
  struct Owned {
    Job run;
    Done tell;
    std::optional<std::conditional_t<std::is_void_v<Made>, Nothing, Made>> made;
  };
  std::optional<Owned> owned;

  WorkOf(Job run, Done tell) : owned(Owned{std::move(run), std::move(tell), std::nullopt}) {
    job = [](Work& work) noexcept {
      Owned& own = *static_cast<WorkOf&>(work).owned;
      if constexpr (std::is_void_v<Made>) {
        own.run();
      } else {
        own.made.emplace(own.run());
      }
    };
    done = [](Work& work) noexcept {
      Owned& own = *static_cast<WorkOf&>(work).owned;
      if constexpr (std::is_void_v<Made>) {
        own.tell();
      } else {
        own.tell(std::move(*own.made));
      }
    };
    drop = [](Work& work) noexcept { static_cast<WorkOf&>(work).owned.reset(); };
    free = [](Work* work) noexcept { delete static_cast<WorkOf*>(work); };
  }
};

template <class Job, class Done>
void Workers::run(Job job, Done done) {
  begin(std::make_unique<WorkOf<Job, Done>>(std::move(job), std::move(done)).release());
}

}  // namespace swarm::uv
