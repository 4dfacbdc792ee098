// OpenBudget: how many descriptors the storages of a process hold in all. Thread-safe.
//
// 1. A storage tells what it holds at the end of each call that may have opened something. When all together hold more
//    than the bound, those that were used longest ago let go, until it fits or nobody can give more.
//    Rationale: a hundred seeds under `ulimit -n 64` are served by the few descriptors there are, and peers keep theirs.
// 2. A storage that is busy right now is passed over.
//    Rationale: nobody waits for another's lock, so nothing can block in a circle. The bound may be exceeded for a
//    moment, by what the threads at work use.
// 3. What cannot be opened again as it was is kept (storage.hh says what that is).
//
// Telling is O(1) as long as the bound holds, else linear in the storages.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

namespace swarm::disk {

class OpenBudget {
 public:
  /// Closes what it can without waiting for anything; gives how many descriptors are still held, or nothing when busy.
  /// It runs under the budget's lock and must not call the budget.
  using LetGo = std::function<std::optional<std::size_t>()>;

 private:
  struct Member {
    LetGo let_go;
    std::size_t held = 0;
  };

 public:
  explicit OpenBudget(std::size_t descriptors_max) : descriptors_max_(descriptors_max) {}

  std::size_t descriptors_max() const { return descriptors_max_; }
  std::size_t held() const;  ///< by all, as they told it

  /// One storage's part in it, for as long as this lives. `let_go` is not called any more once it is gone.
  class Share {
   public:
    Share(std::shared_ptr<OpenBudget> budget, LetGo let_go);
    ~Share();
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    void holds(std::size_t descriptors);  ///< it was used just now, and holds so many
    void let_others_go();                 ///< all of them: the process has no descriptor left

   private:
    std::shared_ptr<OpenBudget> budget_;
    std::list<Member>::iterator at_;
  };

 private:
  void shrink(const Member& but, std::size_t down_to);

  const std::size_t descriptors_max_;
  mutable std::mutex mutex_;  ///< guards what follows; taken after a storage's own lock
  std::list<Member> by_use_;  ///< the latest first
  std::size_t held_ = 0;
};

}  // namespace swarm::disk
