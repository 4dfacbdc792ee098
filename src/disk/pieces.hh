// Pieces: what happens to the blocks of one torrent on their way to the disk. The loop's side is PieceQueue (cheap, no
// blocking), the worker's side is PieceJob::run().
//
// Rules
// 1. Blocks of a piece are written and hashed by one job at a time; pieces go in parallel.
//    Rationale: the digest is a chain; two workers on one piece would only wait for each other.
// 2. A job takes all that waits for its piece, in the piece's order: consecutive blocks go to the disk with one pwritev.
//    A piece gathers blocks until 256 KiB wait or its last block is there; it goes sooner when no job runs or more than
//    half of `pending_bytes_max` waits.
//    Rationale: large jobs cost less, and an idle worker is worth more than a large job.
// 3. The digest is extended block by block, only with whole blocks, only at the cursor; a block that came early is
//    written and read back when the cursor reaches it (from the page cache), so that a piece is never held whole.
// 4. A piece is right only when its digest over exactly the bytes that were written equals the torrent's. When it is
//    wrong its block digests are read back and kept (20 bytes a block) and compared when it comes right, so that the
//    senders of wrong blocks are known. Kept: the last wrong attempt of at most 64 pieces and 4 MiB, the oldest dropped
//    first. A wrong attempt leaves nothing else: the next one starts clean.
//    Rationale: a piece that is right at once, which is nearly every one, is hashed once.
// 5. Bytes waiting or under way are counted; above `pending_bytes_max` full() is true and the driver stops reading
//    sockets.
// Complexity: O(1) per block on the loop.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/digest.hh"
#include "base/error.hh"
#include "base/ids.hh"
#include "disk/storage.hh"
#include "wire/peer_message.hh"

namespace swarm::disk {

/// A buffer that several blocks share, counted; owned by whoever made the network's receive buffers. Dropping the last
/// reference on any thread gives it back.
using SharedBuffer = std::shared_ptr<const void>;

/// One contiguous part of a block's bytes.
struct BlockPart {
  SharedBuffer keeps_alive;
  ByteView bytes;
};

struct PieceResult {
  PieceIndex piece{};
  enum class Outcome : std::uint8_t { more, right, wrong } outcome = Outcome::more;
  /// When right after a wrong attempt: the blocks that were different in the last such attempt, by number (16 KiB
  /// each).
  std::vector<std::uint32_t> wrong_blocks = {};
  std::uint64_t bytes_written = 0;
};

/// One worker's task; made by PieceQueue on the loop, run() on a worker, given back to PieceQueue::done() on the loop.
class PieceJob {
 public:
  virtual ~PieceJob() = default;
  virtual void run() noexcept = 0;
  virtual std::uint64_t bytes() const = 0;  ///< to write and to hash: what it costs, before it runs
};

class PieceQueue {
 public:
  PieceQueue(std::shared_ptr<Storage> storage, std::shared_ptr<const wire::Metainfo> info);
  ~PieceQueue();

  /// A whole block of 16 KiB (the last one of a piece may be shorter): its parts in order, moved from. One that this
  /// attempt at the piece has already is ignored.
  void add(const wire::BlockRef& block, std::span<BlockPart> parts);
  void add(const wire::BlockRef& block, std::vector<BlockPart>&& parts) { add(block, std::span<BlockPart>(parts)); }
  /// Hash a piece as it stands on the disk (Check action), after what was added before.
  void check(PieceIndex piece);
  /// The next job that may run now, or nothing. Ordinary blocks first, then checks (one check per worker at most).
  std::unique_ptr<PieceJob> next_job();
  /// Result of a job that ran; an error is a disk error, and the attempt at that piece is dropped.
  Result<PieceResult> done(std::unique_ptr<PieceJob> job);

  std::uint64_t pending_bytes() const;
  bool full() const;  ///< pending_bytes() > pending_bytes_max
  bool idle() const;  ///< nothing waits, nothing runs
  static constexpr std::uint64_t pending_bytes_max = 16u << 20;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace swarm::disk
