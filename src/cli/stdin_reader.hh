// StdinReader: what comes on a descriptor, written to a file in the order in which it comes (seed -).
//
// A worker reads at most `slice_bytes`, or for 50 ms, at a time: whoever sends slowly or not at all must not keep a signal waiting,
// nor the worker from other jobs. One slice is under way at most; nothing is held in memory between slices.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.hh"
#include "uv/descriptor.hh"
#include "uv/workers.hh"

namespace swarm::cli {

class StdinReader {
 public:
  static constexpr std::size_t slice_bytes = 64u << 20;

  /// `path` is made, with mode 0600. `done` is called once, on a later turn of the loop, with the bytes that came before the end;
  /// not after this is destroyed. Exit::disk when the file cannot be written ("disk_full" when it is that) or stdin not be read.
  StdinReader(uv::Workers& workers, int fd, std::string path, std::function<void(Result<std::uint64_t>)> done);
  ~StdinReader() { *alive_ = false; }

  std::uint64_t bytes() const { return bytes_; }

 private:
  void next();

  uv::Workers& workers_;
  int fd_;
  std::string path_;
  std::function<void(Result<std::uint64_t>)> done_;
  std::uint64_t bytes_ = 0;
  std::shared_ptr<uv::Descriptor> file_;  ///< shared with the slice under way
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace swarm::cli
