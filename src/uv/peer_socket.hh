// PeerSocket: one connected peer. Bytes are read to where the owner says; what is written goes straight to the
// descriptor (send_batch.hh), and this tells when that takes bytes again. Nothing is copied here.
//
// Rule of the fast lane: a socket that brought 1 MiB within 5 ms wakes the loop only when 256 KiB wait (SO_RCVLOWAT). For
// as long as it goes on so it is also read every 5 ms whatever waits, so that nothing is late by more than that.
// Rationale: a fast sender's bytes come in segments of 64 KiB at most; a wake-up for each of them costs both ends more
// than the bytes do, since each brings its own small batch of requests.
//
// Rule of the full socket: the system says that it takes bytes again when a third of its buffer is free. Of a connection that
// takes much it is tried after 5 ms, too (await_writable, Full::fast). Rationale: on a long path all that the buffer holds is
// in flight, so what stays empty of it is missing from the rate, a sixth in the mean.
//
// Rule of the near horizon: of what the network has not taken yet the system holds no more than the owner says (set_unsent_max,
// TCP_NOTSENT_LOWAT). Rationale: what stands in the system's buffer goes before all that is said later, and on a slow line a
// buffer of some hundred KiB is a second.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.hh"
#include "base/ids.hh"
#include "uv/descriptor.hh"
#include "uv/handle.hh"
#include "uv/loop.hh"
#include "uv/timer.hh"

namespace swarm::uv {

/// One table for all sockets; they may be dropped from inside each call.
struct PeerSocketEvents {
  std::function<ByteSpan()> room;                     ///< where to read to; empty: nowhere
  std::function<void(ConnId, std::size_t)> on_bytes;  ///< so many came, to the start of room()
  /// All that waited was read, or as much as is read at once: follows on_bytes, though the socket may be gone by then.
  std::function<void(ConnId)> on_read;
  std::function<void(ConnId)> on_no_room;
  std::function<void(ConnId)> on_writable;  ///< once for each await_writable()
  std::function<void(ConnId)> on_end;       ///< by the peer or by an error; nothing follows
};

class PeerSocket {
 public:
  /// `events` outlives it.
  PeerSocket(Loop& loop, Descriptor socket, ConnId conn, const PeerSocketEvents& events);
  ~PeerSocket();
  PeerSocket(const PeerSocket&) = delete;
  PeerSocket& operator=(const PeerSocket&) = delete;

  void read(bool wanted);
  /// Of the bytes that were written and not sent yet; at first there is no bound but the system's.
  void set_unsent_max(std::size_t bytes);
  void set_unsent_unbounded();
  enum class Full : std::uint8_t { slow, fast };
  /// on_writable or on_end follows on a later turn; after 5 ms at the latest when it is a fast one.
  void await_writable(Full full = Full::slow);
  /// To write to, from any thread. A worker that has it keeps it open when the socket is dropped; the connection ends
  /// all the same.
  const std::shared_ptr<Descriptor>& descriptor() const { return state_->socket; }

 private:
  struct State : uv_poll_t {
    Loop* owner = nullptr;
    std::shared_ptr<Descriptor> socket;
    ConnId conn{};
    const PeerSocketEvents* events = nullptr;
    bool reading = false;
    bool writing = false;  ///< on_writable is due
    bool ended = false;
    int watched = 0;               ///< what the loop looks for now
    std::unique_ptr<Timer> look;   ///< in the fast lane: the next 5 ms
    std::unique_ptr<Timer> retry;  ///< of await_writable, once it was fast
    std::uint64_t since_ms = 0;    ///< by the loop's clock: since when `came` counts
    std::size_t came = 0;          ///< bytes
  };
  static void watch(State& state);
  static void on_ready(State& state, int status, int ready);
  static void writable(State& state);
  static void receive(State& state);
  static bool receive_some(State& state, bool& any);
  static void end(State& state);
  static void count(State& state, std::size_t bytes);
  static void set_fast(State& state, bool fast);

  Handle<State, uv_poll_t> state_;
};

}  // namespace swarm::uv
