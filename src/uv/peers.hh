// Peers: every connection to a peer: dialled, received, read, written, closed. What the bytes mean is the core's.
//
// Rules
// 1. At most 50 connects are under way; the others wait in their order. One that takes more than 10 s has failed.
// 2. At most sockets_max in all, and among them at most 150 visitors who have not said a handshake's worth of bytes. When
//    a visitor comes beyond that, the one of those who has been here for longest makes room; when there is none, the new
//    one goes. Rationale: whoever connects and says nothing costs a descriptor, and must keep out nobody who speaks.
// 3. Sending: one batch a connection at a time; what a socket does not take waits until it does (send_batch.hh), or for 5 ms
//    when it took 64 KiB before (peer_socket.hh). A batch
//    grows with the speed of the connection (64 KiB at first, 16 to 256), to what leaves within 5 ms: what was taken from the
//    core goes out, whatever is said meanwhile. Nor does the system hold more of what is not sent, unless batches are as large
//    as they can be. The loop sends it, as long as its payload is in the page cache; when that is not so, workers send
//    this connection's batches, and the loop tries again after 50 ms.
//    Rationale: the loop never waits for a disk; and what is in memory is not worth waking another thread for.
// 4. A closed connection sends what was pulled for it, for at most 5 s.
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
  /// last in each callback of the loop: now may be done what the others brought about. So what several reads in a row let
  /// be asked leaves in one message.
  struct Events {
    std::function<void(ConnId)> on_connected;
    std::function<void(ConnId)> on_connect_failed;
    std::function<ConnId(const Endpoint&)> on_visitor;  ///< names it
    std::function<void(ConnId)> on_closed;              ///< by the peer or by an error, not by close()
    std::function<ByteSpan()> room;                     ///< where to read to; empty: nowhere
    std::function<void(ConnId, std::size_t)> on_bytes;  ///< so many came, to the start of room(), which changes now
    std::function<void()> on_no_room;
    std::function<void(ConnId, std::size_t)> on_sent;
    std::function<void(ConnId)> on_can_send;  ///< pull() may have something to do
    std::function<void(ConnId, std::size_t bytes_max, core::Outgoing&)> next_outgoing;
    std::function<void(SendBatch&)> prepare;  ///< calls read_from(): it has payload
    /// Calls send() of the batch on this socket on a worker, then on_outcome().
    std::function<void(ConnId, std::unique_ptr<SendBatch>, std::shared_ptr<Descriptor>)> send_payload;
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
  /// What came of send_payload. A stream that cannot go on ends, and on_closed is called.
  void on_outcome(ConnId conn, std::unique_ptr<SendBatch> batch, SendBatch::Outcome outcome);
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
    bool wants = false;                ///< the core has something to send
    bool sending = false;              ///< a batch is under way
    Instant cold_until{};              ///< rule 3
    int size = 2;                      ///< of its next batch: blocks, as a power of two
    std::unique_ptr<SendBatch> batch;  ///< null while a worker has it, and before the first one
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
  SendBatch::Outcome send(ConnId conn, Peer& peer);
  void after(ConnId conn, Peer& peer, SendBatch::Outcome outcome);
  static void set_size(Peer& peer, int size);
  void on_writable(ConnId conn);
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
  core::Outgoing out_;
  Timer sweep_;
};

}  // namespace swarm::uv
