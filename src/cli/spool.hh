// Spool: a private folder for content that only passes through (seed -, get -o -), gone when the program ends.
//
// Rules
// 1. It is made below $TMPDIR, else below /var/tmp (which, unlike /tmp, is not held in memory), with mode 0700 and a name that
//    nobody can guess.
// 2. It goes with the object. A program that is killed cannot remove it, so a lock is held on the folder as long as it is used
//    (flock, which the kernel drops with the process), and each new spool first removes those of the same user that are older
//    than a minute and not locked.
//    Rationale: they can be as large as what was shared, and nobody would look for them there.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/error.hh"
#include "cli/options.hh"
#include "uv/descriptor.hh"

namespace swarm::cli {

class Spool {
 public:
  /// Blocking, for a moment. Exit::disk "no_spool". `abandoned_after`: of rule 2.
  static Result<std::unique_ptr<Spool>> create(const Environment& environment,
                                               std::chrono::seconds abandoned_after = std::chrono::minutes(1));
  ~Spool() { remove(); }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  const std::string& path() const { return path_; }
  void remove();  ///< with all that is in it; once is enough

 private:
  Spool(std::string path, uv::Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  uv::Descriptor lock_;
};

}  // namespace swarm::cli
