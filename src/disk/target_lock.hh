// TargetLock: one process at a time downloads to a target. Blocking, for a moment.
//
// Rules
// 1. The lock is flock(2) on "<target>.lock", a file that holds the owner's process id and host; the kernel drops it with the
//    process, however that ends. (Not on the .progress.json or the .part: these are replaced and renamed while it is held.)
// 2. The file goes with the lock. Whoever opened it before that looks again after locking whether the name still leads to the
//    file that was locked, else two could hold a lock each.
// 3. Where the file cannot be made (a full disk, a folder that may not be written) or locks do not work, there is no lock, and
//    no error: the download itself will say what is wrong.
#pragma once

#include <string>
#include <utility>

#include "base/error.hh"
#include "disk/descriptor.hh"

namespace swarm::disk {

class TargetLock {
 public:
  /// Exit::disk "busy", with the owner as far as it is known. The folder of `target` exists.
  static Result<TargetLock> take(const std::string& target);
  TargetLock() = default;  ///< nothing
  TargetLock(TargetLock&& other) noexcept = default;
  TargetLock& operator=(TargetLock&& other) noexcept;
  ~TargetLock() { release(); }

  bool held() const { return static_cast<bool>(file_); }
  void release();

 private:
  TargetLock(std::string path, Descriptor file) : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;
  Descriptor file_;
};

}  // namespace swarm::disk
