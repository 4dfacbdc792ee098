// ReceiveBuffers: where the peers' bytes land, once. All connections fill the same buffer one after the other; blocks
// that wait for the disk keep theirs alive, from any thread, and the last one gives it back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.hh"
#include "disk/pieces.hh"

namespace swarm::uv {

class ReceiveBuffers {
 public:
  static constexpr std::size_t buffer_bytes = 256 * 1024;
  static constexpr std::size_t room_min = 16 * 1024;  ///< less is not worth a system call: the next buffer is taken
  static constexpr std::size_t buffers_max = 80;      ///< in use at once: 20 MiB

  ReceiveBuffers();

  /// Where the next bytes may be written, at least room_min; empty when all buffers are in use.
  ByteSpan room();
  /// So many bytes were written to the start of room(). Gives where they begin in the current buffer.
  std::uint32_t received(std::size_t bytes);
  /// Keeps a part of what was received last; `from` counts from the start of the current buffer.
  disk::BlockPart keep(std::uint32_t from, std::uint32_t length);
  ByteView view(std::uint32_t from, std::size_t length) const { return {current_.get() + from, length}; }
  /// All that was received was dealt with: what nobody kept may be written over.
  void done();

  std::size_t in_use() const;  ///< buffers that somebody holds, the current one included
  bool exhausted() const { return in_use() >= buffers_max; }

 private:
  struct Pool;
  bool next();

  std::shared_ptr<Pool> pool_;  ///< shared with the buffers, which may outlive us on a worker
  std::shared_ptr<std::uint8_t> current_;
  std::size_t used_ = 0;
  std::size_t kept_ = 0;  ///< no block refers to what lies behind it
};

}  // namespace swarm::uv
