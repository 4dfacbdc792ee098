// UdpSocket: a bound UDP socket that takes and gives datagrams in batches.
//
// Rules
// 1. Up to 64 datagrams are received by one system call, at most 256 a turn of the loop. What on_datagram sends meanwhile
//    leaves together, too, when the batch is through. Rationale: a tracker answers each datagram with one; a system call
//    for each of them would cost more than the answer.
// 2. Sending never waits: what the socket's buffer cannot take is dropped, as the network itself may do.
// 3. Datagrams of more than datagram_bytes_max are dropped, both ways.
#pragma once

#include <cstddef>
#include <functional>

#include "base/bytes.hh"
#include "base/endpoint.hh"
#include "base/error.hh"
#include "uv/descriptor.hh"
#include "uv/handle.hh"
#include "uv/loop.hh"

namespace swarm::uv {

/// Its callback may destroy it.
class UdpSocket {
 public:
  static constexpr std::size_t datagram_bytes_max = 4096;

  /// `bytes` are valid during the call. `to` is the address of ours that it was sent to: answers of a host that has
  /// several leave from that one, else whoever asked does not know them.
  using OnDatagram = std::function<void(ByteView bytes, const Endpoint& from, const IpAddress& to)>;

  UdpSocket(Loop& loop, OnDatagram on_datagram);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  /// Once. Port 0: any. The unspecified IPv6 address takes IPv4 too, and where there is no IPv6 it means 0.0.0.0. Gives
  /// what it is bound to. Exit::disk: "port_in_use", "no_permission", "cannot_listen".
  Result<Endpoint> bind(const Endpoint& at);

  /// `from`: one of our addresses; unspecified: whichever leads there. False when it is known at once that nothing
  /// leaves: the buffer is full, there is no way to that address, or nothing is bound.
  bool send(const Endpoint& to, ByteView bytes, const IpAddress& from = {});

 private:
  struct State : uv_poll_t {
    UdpSocket* self = nullptr;
    OnDatagram on_datagram;  ///< here, since it may destroy the socket while it runs
  };
  void watch();
  void receive_waiting();
  int receive_batch();
  void flush();

  Loop& loop_;
  OnDatagram on_datagram_;  ///< until it is bound
  int family_ = 0;          ///< of the socket
  IpAddress bound_;         ///< our only address there; unspecified: there may be several
  bool receiving_ = false;  ///< what is sent waits for the end of the batch
  Descriptor socket_;       ///< closed after the poll handle stopped, hence above it
  Handle<State, uv_poll_t> poll_;
};

}  // namespace swarm::uv
