// Peers: every connection to a peer: dialled, received, read, written, closed. What the bytes mean is the core's.
//
// Rules
// 1. At most 50 connects are under way; the others wait in their order. One that takes more than 10 s has failed.
// 2. At most sockets_max in all, and among them at most 150 visitors who have not said a handshake's worth of bytes. When
//    a visitor comes beyond that, the one of those who has been here for longest makes room; when there is none, the new
//    one goes. Rationale: whoever connects and says nothing costs a descriptor, and must keep out nobody who speaks.
// 3. Sending: at most two batches a connection, one being filled by a worker and one being written. A batch grows with
//    the speed of the connection (64 KiB at first, 16 to 256), so that a slow peer holds little memory.
// 4. When half of the pool is used, a connection gets one batch of one block at a time; when all of it is, it waits,
//    and whoever has taken nothing for 10 s is closed while others wait.
// 5. A closed connection sends what was pulled for it, for at most 5 s.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/endpoint.hh"
#include "base/ids.hh"
#include "core/actions.hh"
#include "uv/address.hh"
#include "uv/block_assembly.hh"
#include "uv/loop.hh"
#include "uv/peer_socket.hh"
#include "uv/send_batch.hh"
#include "uv/tcp.hh"
#include "uv/timer.hh"

namespace swarm::uv {

class Peers {
 public:
  /// What happened, on the loop; never called from inside connect(), close(), read() or want_to_send(). turn() comes
  /// last in each callback of the loop: now may be done what the others brought about.
  struct Events {
    std::function<void(ConnId)> on_connected;
    std::function<void(ConnId)> on_connect_failed;
    std::function<ConnId(const Endpoint&)> on_visitor;  ///< names it
    std::function<void(ConnId)> on_closed;              ///< by the peer or by an error, not by close()
    std::function<ByteSpan()> room;                     ///< where to read to; empty: nowhere
    std::function<void(ConnId, std::size_t)> on_bytes;  ///< so many came, to the start of room()
    std::function<void()> on_no_room;
    std::function<void(ConnId, std::size_t)> on_sent;
    std::function<void(ConnId)> on_can_send;  ///< pull() may have something to do
    std::function<void(ConnId, std::size_t bytes_max, core::Outgoing&)> next_outgoing;
    std::function<void(ConnId, std::unique_ptr<SendBatch>, core::Outgoing)> fill;  ///< then call filled()
    std::function<void()> turn;
  };

  Peers(Loop& loop, Interface interface, std::size_t sockets_max, Events events);
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  void connect(ConnId conn, const Endpoint& to);
  void accept(Descriptor socket, const Endpoint& from);
  void close(ConnId conn);
  void close_all();
  void read(bool wanted);  ///< all of them
  void want_to_send(ConnId conn);
  /// Takes one Outgoing from the core, if the connection has room for it, and sends it. True when there may be another
  /// one.
  bool pull(ConnId conn);
  void filled(ConnId conn, std::unique_ptr<SendBatch> batch);
  void fill_failed(ConnId conn);  ///< the stream cannot go on: it ends, and on_closed is called
  BlockAssembly* assembly(ConnId conn);
  void detach_unfinished();  ///< BlockAssembly::detach for all
  std::size_t size() const { return peers_.size(); }

 private:
  struct Peer {
    std::unique_ptr<TcpConnect> attempt;  ///< while connecting
    std::unique_ptr<Timer> patience;
    std::unique_ptr<PeerSocket> socket;  ///< once connected
    BlockAssembly block;
    std::uint64_t received = 0;  ///< bytes
    bool visitor = false;
    bool closing = false;  ///< the core knows it no more: only what was pulled still leaves
    Instant closing_since{};
    bool wants = false;      ///< the core has something to send
    bool filling = false;    ///< a worker has its next batch
    int writing = 0;         ///< batches that the socket has not sent
    int size = 2;            ///< of its next batch
    std::size_t queued = 0;  ///< bytes that waited in the socket at the last look
    Instant progress{};      ///< when that last changed
  };
  struct Dial {
    ConnId conn{};
    Endpoint to;
  };

  Peer* find(ConnId conn);
  static bool is_silent(const Peer& peer);
  void dial_next();
  void on_attempt(ConnId conn, int error, Descriptor socket);
  Peer& open(ConnId conn, Descriptor socket);
  bool make_room();
  void on_end(ConnId conn);
  void drop(ConnId conn);
  void write(ConnId conn, Peer& peer, std::unique_ptr<SendBatch> batch);
  void send_small(ConnId conn, Peer& peer);
  void on_written(ConnId conn, std::unique_ptr<SendBatch> batch);
  void wake_waiting();
  void drop_if_sent(ConnId conn);
  void sweep();

  Loop& loop_;
  Interface interface_;
  std::size_t sockets_max_;
  Events events_;
  PeerSocketEvents socket_events_;
  std::unordered_map<std::uint32_t, Peer> peers_;  ///< by ConnId; at most sockets_max_ and what the core dials
  std::deque<Dial> dials_;                         ///< wait to be dialled; the core bounds them (peers_max a torrent)
  std::size_t dialling_ = 0;
  std::deque<ConnId> visitors_;  ///< in their order; at most twice as many as may be silent, who are among them
  std::size_t silent_ = 0;       ///< visitors of rule 2
  bool reading_ = true;
  SendPool pool_;
  std::deque<ConnId> waiting_;  ///< for the pool; each connection at most once
  core::Outgoing out_;
  Timer sweep_;
};

}  // namespace swarm::uv
