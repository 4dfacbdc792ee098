// FailingCalls: while one lives, the system calls that the disk layer makes are counted, and the n-th one fails.
//
// A program that links failing_calls.cc has its own pwritev, fdatasync, renameat2 … in front of libc's; each asks here
// first. openat2, for which libc has no function, is answered with ENOSYS while counting, so that every open goes by
// openat (disk/beneath.hh has both ways). Only calls of the thread that made the FailingCalls count.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace swarm::test {

class FailingCalls {
 public:
  /// Call number `nth` (from 1; 0: none) fails with `error` (an errno) without having done anything. With `from_then_on`
  /// every later call that may fail so does too, as on a disk that is full or gone.
  explicit FailingCalls(std::size_t nth = 0, int error = 0, bool from_then_on = false);
  /// Every call of this name fails.
  FailingCalls(std::string name, int error);
  ~FailingCalls();
  FailingCalls(const FailingCalls&) = delete;
  FailingCalls& operator=(const FailingCalls&) = delete;

  const std::vector<std::string>& calls() const { return calls_; }  ///< by name, in order
  /// What failed; empty when there were fewer calls.
  const std::string& failed() const { return failed_; }

  /// For the calls themselves: is this one to fail? Sets errno.
  bool fails(const char* name);

 private:
  std::size_t nth_;
  int error_;
  bool from_then_on_;
  std::string name_;
  std::vector<std::string> calls_;
  std::string failed_;
};

}  // namespace swarm::test
