// SendBatch: what goes out next on one connection, in order: messages, and the payload between them.
//
// Rules
// 1. Nothing is read before the socket wants it: what it does not take waits as a position in the batch, not as bytes. The
//    payload passes through one buffer per thread, which stays in the processor's cache.
// 2. The loop sends only what is in the page cache (Reading::cached); for the rest a worker sends the batch, and may wait
//    for a disk.
// 3. Up to 256 KiB, messages and consecutive payload, are read with one call and sent with one call. Rationale: sendfile
//    and splice would save a copy, but go block by block, for a header stands before each: the segments are smaller, and that
//    costs both ends more than the copy does. To map the page cache for the call saves it too, and costs as much in faults
//    and unmapping.
// 4. What cannot be read ends the stream: its place in it is taken already.
// Memory: the messages and some 30 bytes a block; it does not grow with the payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hh"
#include "base/error.hh"
#include "base/instant.hh"
#include "core/actions.hh"
#include "disk/storage.hh"

namespace swarm::uv {

class SendBatch {
 public:
  enum class Outcome : std::uint8_t {
    sent,        ///< all of it
    full,        ///< the socket takes no more for now
    ended,       ///< the socket takes no more for good
    unreadable,  ///< see error()
    cold,        ///< Reading::cached: what is next has to come from a disk
  };
  enum class Reading : std::uint8_t { cached, waiting };

  /// Takes over what the core gave, and leaves the memory of what was sent before in its place.
  void begin(core::Outgoing& outgoing, Instant now);
  /// Where its payload is read from.
  void read_from(std::shared_ptr<disk::Storage> storage, std::uint32_t piece_bytes);
  bool has_payload() const { return payload_; }
  TorrentId torrent() const { return torrent_; }  ///< of the payload
  Instant began() const { return began_; }

  /// Gives a stream socket all that it takes without waiting. The process ignores SIGPIPE (loop.hh).
  Outcome send(int socket, Reading reading);
  /// Bytes that went out since the last call.
  std::size_t take_sent();
  const Error& error() const { return *error_; }

 private:
  Result<std::size_t> gather(ByteSpan into, Reading reading);
  Result<std::size_t> read(std::uint64_t offset, std::span<const iovec> into, Reading reading);
  void advance(std::size_t bytes);

  core::Outgoing outgoing_;
  std::shared_ptr<disk::Storage> storage_;
  std::uint32_t piece_bytes_ = 0;
  bool payload_ = false;
  TorrentId torrent_{};
  Instant began_{};
  std::size_t segment_ = 0;  ///< the position: the segment that is being sent,
  std::size_t at_ = 0;       ///< and how many of its bytes were
  std::size_t sent_ = 0;
  std::vector<iovec> ranges_;  ///< of gather(), here to keep its memory
  std::optional<Error> error_;
};

}  // namespace swarm::uv
