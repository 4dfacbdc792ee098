// TCP: a listening socket that survives a lack of descriptors, and a stream for the control plane. (Peers' sockets,
// whose bytes are never copied, have their own: peer_socket.hh.)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.hh"
#include "base/endpoint.hh"
#include "base/error.hh"
#include "uv/address.hh"
#include "uv/descriptor.hh"
#include "uv/handle.hh"
#include "uv/loop.hh"
#include "uv/timer.hh"

namespace swarm::uv {

/// Its callback may destroy it. Accepts at most 64 connections a turn. Without descriptors it closes what waits (a
/// spare one makes room for that); when not even that goes it looks again after 100 ms. So the loop never spins on what
/// it cannot take.
class TcpListener {
 public:
  using OnAccept = std::function<void(Descriptor socket, const Endpoint& from)>;
  /// Of a protocol in which whoever connects speaks first: the system gives a connection when its first bytes are there
  /// (Linux; about a second later when none come), so that they are read without waiting for them.
  enum class First : std::uint8_t { anybody, visitor };

  TcpListener(Loop& loop, OnAccept on_accept, First speaks = First::anybody);
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  /// Port 0: any. The unspecified IPv6 address takes IPv4 too, and where there is no IPv6 it means 0.0.0.0. Gives what
  /// it is bound to. Exit::disk: "port_in_use", "no_permission", "cannot_listen".
  Result<Endpoint> listen(const Endpoint& at);
  bool held_back() const { return back_off_.running(); }  ///< out of descriptors

 private:
  struct State : uv_poll_t {
    TcpListener* self = nullptr;
    OnAccept on_accept;  ///< here, since it may destroy the listener while it runs
  };
  void watch();
  void accept_waiting();
  bool make_room();

  Loop& loop_;
  OnAccept on_accept_;  ///< until it listens
  First speaks_;
  Descriptor socket_;  ///< closed after the poll handle stopped, hence above it
  Descriptor spare_;
  Handle<State, uv_poll_t> poll_;
  Timer back_off_;
};

/// One connection that carries messages. Its callbacks may destroy it. The loop learns of the socket only when there is
/// something to wait for: a request that is there already, and a reply that fits into the socket, cost nothing more than
/// reading and writing them.
class TcpStream {
 public:
  struct Events {
    std::function<void(ByteView)> on_bytes;  ///< valid during the call
    std::function<void(int error)> on_end;   ///< 0: the other side ended it; else a libuv error. Nothing follows
    std::function<void()> on_drained;        ///< all that write() could not send at once has left the process
  };

  TcpStream(Loop& loop, Descriptor socket, Events events);
  ~TcpStream();
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  void read(bool wanted);
  /// What has come already, in this call; on_bytes or on_end may destroy this. Only before the first read(true).
  void read_waiting();
  void write(Buffer bytes);
  void end();                  ///< ends our direction once everything has left
  std::size_t queued() const;  ///< bytes given to write() that are still here
  Endpoint local() const;

 private:
  struct State : uv_tcp_t {
    Events events;
    Descriptor socket;  ///< until the loop has it
    bool reading = false;
    bool ended = false;  ///< on_end was called
  };
  struct Write;
  static void end_with(State& state, int error);
  uv_stream_t* watched();
  std::size_t send_now(ByteView bytes);

  Handle<State, uv_tcp_t> state_;
};

/// One attempt to connect. Dropping it ends the attempt.
class TcpConnect {
 public:
  /// On a later turn: 0 and the socket, or a libuv error. May destroy this.
  using Done = std::function<void(int error, Descriptor socket)>;

  TcpConnect(Loop& loop, const Endpoint& to, const Interface& from, Done done);
  TcpConnect(const TcpConnect&) = delete;
  TcpConnect& operator=(const TcpConnect&) = delete;

 private:
  struct State : uv_poll_t {
    TcpConnect* self = nullptr;
  };
  int begin(Loop& loop, const Endpoint& to, const Interface& from, int family);
  void finish(int error);

  Done done_;
  Descriptor socket_;
  Handle<State, uv_poll_t> poll_;
  int late_error_ = 0;  ///< of what failed at once, told on the next turn
  Timer late_;
};

}  // namespace swarm::uv
