// PeerSocket: one connected peer. Bytes are read to where the owner says and written from batches; nothing is copied
// here.
#pragma once

#include <functional>
#include <memory>

#include "base/bytes.hh"
#include "base/ids.hh"
#include "uv/descriptor.hh"
#include "uv/handle.hh"
#include "uv/loop.hh"
#include "uv/send_batch.hh"

namespace swarm::uv {

/// One table for all sockets; they may be dropped from inside each call.
struct PeerSocketEvents {
  std::function<ByteSpan()> room;                     ///< where to read to; empty: nowhere
  std::function<void(ConnId, std::size_t)> on_bytes;  ///< so many came, to the start of room()
  std::function<void(ConnId)> on_no_room;
  std::function<void(ConnId)> on_end;  ///< by the peer or by an error; nothing follows
  std::function<void(ConnId, std::unique_ptr<SendBatch>)> on_written;
};

class PeerSocket {
 public:
  /// `events` outlives it.
  PeerSocket(Loop& loop, Descriptor socket, ConnId conn, const PeerSocketEvents& events);

  void read(bool wanted);
  /// Sends what the kernel takes now; gives how much. Only while queued() is 0, else 0.
  std::size_t try_write(ByteView bytes);
  /// Sends the rest of a batch; on_written follows on a later turn, unless the socket ends or is dropped before.
  void write(std::unique_ptr<SendBatch> batch);
  std::size_t queued() const;  ///< bytes of batches that have not left

 private:
  struct State : uv_tcp_t {
    ConnId conn{};
    const PeerSocketEvents* events = nullptr;
    bool reading = false;
    bool ended = false;
  };
  static void end(State& state);
  uv_stream_t* stream() const { return reinterpret_cast<uv_stream_t*>(static_cast<uv_tcp_t*>(state_.get())); }

  Handle<State, uv_tcp_t> state_;
};

}  // namespace swarm::uv
