// StdoutStream: a range of a torrent written to a descriptor in order, as far as its pieces are verified (get -o -).
//
// Rules
// 1. Only verified pieces are read, and a byte is written once, in order; the range ends where its last byte was taken.
// 2. A worker reads and writes, at most `chunk_bytes` at a time; it writes only what poll says will be taken (PIPE_BUF at once)
//    and waits at most 50 ms for a reader that stands still, so that the loop, the other jobs and a signal are not held up.
//    The descriptor's flags are left alone: others share them.
// 3. One chunk is held in memory; what the reader does not take stays in the spool. One job is under way at most.
// 4. A reader that left (EPIPE) is told as "reader_left"; whoever is written for and went needs no explanation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/bitfield.hh"
#include "base/error.hh"
#include "disk/storage.hh"
#include "uv/loop.hh"
#include "uv/timer.hh"
#include "uv/workers.hh"

namespace swarm::cli {

class StdoutStream {
 public:
  static constexpr std::size_t chunk_bytes = 1u << 20;

  /// The bytes [begin, end) of the torrent behind `storage`, to `fd`. `on_end` is called once, on a later turn of the loop: all
  /// was taken, or Exit::other "reader_left" or "cannot_write", or what reading the spool said.
  StdoutStream(uv::Loop& loop, uv::Workers& workers, int fd, std::shared_ptr<disk::Storage> storage,
               std::uint64_t begin, std::uint64_t end, std::uint32_t piece_bytes,
               std::function<void(Result<void>)> on_end);
  ~StdoutStream();

  /// More may be verified now. Cheap: O(pieces / 8) at worst, and amortized O(1) a piece.
  void on_verified(const Bitfield& verified);
  /// Notices a reader that left while there was nothing to write.
  void look_at_reader();
  std::uint64_t bytes_written() const { return at_ - begin_; }

 private:
  struct Chunk;
  void next();
  void end(Result<void> result);

  uv::Workers& workers_;
  int fd_;
  std::shared_ptr<disk::Storage> storage_;
  std::uint64_t begin_, end_, at_, verified_end_;
  std::uint32_t piece_bytes_;
  std::function<void(Result<void>)> on_end_;
  std::unique_ptr<Chunk> chunk_;  ///< nothing while a job has it
  std::shared_ptr<bool> alive_;   ///< false once this is gone: a job may still end
  bool busy_ = false, ended_ = false;
  uv::Timer soon_;
};

}  // namespace swarm::cli
