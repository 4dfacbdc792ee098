// SendBatch: what goes out on one connection in one write: messages and the payload between them, in one buffer.
// SendPool counts the buffers of all connections.
#pragma once

#include <uv.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.hh"
#include "base/error.hh"
#include "base/instant.hh"
#include "core/actions.hh"
#include "disk/storage.hh"

namespace swarm::uv {

class SendPool;

class SendBatch : public uv_write_t {
 public:
  ~SendBatch();
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  /// On a worker: copies the messages to their places and reads the payload between them, consecutive ranges with one
  /// call.
  Result<void> fill(const core::Outgoing& outgoing, disk::Storage& storage, std::uint32_t piece_bytes);
  ByteSpan bytes() { return {memory_.get(), size_}; }
  ByteView unsent() const { return ByteView{memory_.get(), size_}.subspan(sent); }

  std::size_t sent = 0;
  Instant began{};  ///< when it was given to the socket

 private:
  friend class SendPool;
  struct Shared;
  SendBatch(std::shared_ptr<Shared> shared, std::size_t size);

  std::shared_ptr<Shared> shared_;
  std::unique_ptr<std::uint8_t[]> memory_;
  std::size_t size_;
  std::size_t capacity_ = 0;
};

class SendPool {
 public:
  static constexpr std::size_t bytes_max = 16u << 20;  ///< in all batches
  static constexpr int sizes = 5;
  /// 16, 32 … 256 KiB, and room for the messages between the blocks.
  static constexpr std::size_t batch_bytes(int size) { return (std::size_t{16 * 1024} << size) + 1024; }

  SendPool();
  /// The limit is the caller's to keep: what the core has given must be sent.
  std::unique_ptr<SendBatch> take(std::size_t size);
  std::size_t bytes_used() const;

 private:
  std::shared_ptr<SendBatch::Shared>
      shared_;  ///< shared with the batches, since libuv may hold one longer than we live
};

}  // namespace swarm::uv
