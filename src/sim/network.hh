// Network: hosts with a line each, and the streams between them, in virtual time.
//
// Rules
// 1. A line has a rate up and a rate down. It serves one chunk at a time (at most chunk_bytes of payload), its flows in turn:
//    whoever has something waits for one chunk of each of the others at most. 0 is a line without limit.
// 2. From one host to another it takes both lines' delays, and at random up to both lines' jitter more; within a stream nothing
//    overtakes. A chunk's last byte leaves the sender's line when the line has served it, and has arrived when the receiver's
//    line, which serves while the bytes come, has served it too.
// 3. A sender's buffer holds what was not acknowledged; `send_buffer_bytes` of it, or twice what the path holds (round trip times
//    the narrower line) if that is more, as kernels tune it by themselves; and one message more. It takes nothing while it holds
//    `unsent_bytes` that the line has not served (Linux's TCP_NOTSENT_LOWAT). The acknowledgement takes the way back. How much
//    of it may be on its way is what TCP allows (sim/congestion.hh).
// 4. Each segment of a chunk is lost with the probability of either line. It takes the sender's line once more and arrives a
//    round trip later for each time that it is lost; what follows it in the stream is there but not delivered until then.
// 5. With `header_bytes` each segment takes so much more of both lines, and each second one an acknowledgement of that size on
//    the way back. Without, rates are those of payload.
// 6. Connecting takes a round trip. Where nobody listens it is refused; where nobody answers it is tried again after 1, 2 and
//    4 s, and given up after 10 s.
// 7. A process that crashes resets its streams: what it had not sent is lost. A host without power says nothing; who sends to
//    it again once it is back is reset. A link that is down keeps what is under way until it is up.
// 8. Between the parts of a partition nothing arrives. What was sent in vain is sent again after 0.2, 0.4, 0.8 … s (RFC 6298
//    §5.5, at most 120 s apart), so that a stream goes on some time after the network has healed.
// 9. A host behind a NAT (sim/nat.hh) is reached from elsewhere only at the box's address and as far as the box lets in.
// Complexity: two events a chunk, three when the receiver's line is the narrow one; one more when the sender waits for room, for
// the line or for its window, and two for a chunk that was lost or waits for one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/endpoint.hh"
#include "base/ids.hh"
#include "sim/nat.hh"
#include "sim/ring.hh"
#include "sim/stream.hh"
#include "sim/world.hh"

namespace swarm::sim {

/// What runs on a host. The network calls it; it answers later, by the network's functions, or at once.
class Process {
 public:
  virtual ~Process() = default;
  virtual void on_accepted(StreamEnd end, const Endpoint& from) = 0;  ///< name() it before anything else
  virtual void on_connected(ConnId conn, StreamEnd end) = 0;
  virtual void on_connect_failed(ConnId conn) = 0;
  virtual void on_received(ConnId conn, ByteView small) = 0;
  virtual void on_received(ConnId conn, const Run& run) = 0;
  virtual void on_closed(ConnId conn) = 0;
  virtual void on_room(ConnId conn) = 0;  ///< the room that it wanted is there
};

struct Line {
  std::uint64_t up_rate = 0, down_rate = 0;  ///< bytes/s; 0: unlimited
  Duration delay{};                          ///< one way, to the middle of the network
  Duration jitter{};        ///< at most so much more, one way, uniformly; order is kept within a stream
  double loss = 0;          ///< share of the segments lost on it, 0 … 1: a path loses 1 − (1 − a)(1 − b)
  Nat nat = Nat::none;      ///< a NAT of its own, which has the host's address outside
  std::uint64_t burst = 0;  ///< bytes that the line saves up while it is idle, as a token bucket does
};

struct Host {
  std::uint32_t index = 0;
  IpAddress address;
  NatBox* nat = nullptr;  ///< that it is behind
  Line line;
  Process* process = nullptr;
  std::uint16_t port = 0;         ///< where the process listens
  std::uint32_t incarnation = 0;  ///< +1 for each process
  bool powered = true, linked = true;
  bool reaches() const { return powered && linked; }

  // The network's own notes.
  std::uint32_t part = 0;      ///< of a partition; 0: of none
  std::uint64_t loses = 0;     ///< a segment is lost when a random number is less
  Ring<StreamEnd> up_queue;    ///< ends here that have something for the line; each once
  Ring<StreamEnd> down_queue;  ///< ends here for which something has arrived; each once
  bool up_awaited = false;     ///< an event at up_free is under way
  bool down_busy = false;
  Instant up_free{}, down_free{};              ///< when the line has served all that it was given; earlier by its burst
  std::uint64_t up_bytes = 0, down_bytes = 0;  ///< acknowledgements (rule 5), which the next chunk there waits for
  std::vector<Stream*> streams;  ///< with an end here, oldest first; ended ones are swept out now and then
  std::size_t sweep_at = 64;
};

class Network {
 public:
  struct Options {
    std::uint32_t chunk_bytes = 16 * 1024;
    std::uint64_t send_buffer_bytes = 256 * 1024;
    std::uint64_t unsent_bytes = 16 * 1024;
    std::uint32_t header_bytes = 0;  ///< of each segment: 66 on Ethernet (14, IPv4 20, TCP with time stamps 32)
  };
  Network(World& world, Options options) : world_(world), options_(options) {}

  /// A line with a NAT gets a box with the host's address; `behind` one that several hosts share.
  Host& add_host(const IpAddress& address, const Line& line, NatBox* behind = nullptr);
  NatBox& add_nat(const IpAddress& outside, Nat kind);
  Host* find(const IpAddress& address);
  const IpAddress& outside(const Host& host) const { return host.nat != nullptr ? host.nat->outside() : host.address; }
  World& world() { return world_; }
  /// Does anything get from one to the other?
  bool reaches(const Host& a, const Host& b) const { return a.reaches() && b.reaches() && !apart(a, b); }
  /// How long it takes a packet that is alone, jitter and losses included.
  Duration travel_time(const Host& a, const Host& b);
  Duration delay(const Host& a, const Host& b) const { return a.line.delay + b.line.delay; }

  // What a process does.
  void start(Host& host, Process& process, std::uint16_t port);
  /// From a port of its own choice, or from its listening port, as who wants to be reached through a NAT does.
  void connect(Host& from, ConnId conn, const Endpoint& to, std::uint16_t from_port = 0);
  void name(StreamEnd accepted, ConnId conn) { accepted.stream->sides[accepted.side].conn = conn; }
  /// Bytes that the send buffer takes now. With less than `wanted`, on_room() is called once, when it takes as many.
  std::uint64_t room(StreamEnd end, std::uint64_t wanted = 1);
  void send(StreamEnd end, ByteView small);
  void send(StreamEnd end, const Run& run);
  void close(StreamEnd end);               ///< what was given is sent first
  void pause(StreamEnd end, bool paused);  ///< reading

  // What befalls it.
  void crash(Host& host);      ///< the process ends without a word
  void cut_power(Host& host);  ///< and so does the kernel
  void restore_power(Host& host);
  void set_link(Host& host, bool up);
  /// Until heal(): hosts (by Host::index) of different groups do not reach each other; who is in no group reaches all.
  void partition(const std::vector<std::vector<std::uint32_t>>& groups);
  void heal();

  std::uint64_t bytes_delivered() const { return bytes_delivered_; }
  /// Every byte that was given to a stream was delivered, is on its way or was dropped with its process.
  bool balanced() const;

 private:
  static constexpr Duration timeout_min = 200ms, timeout_max = 120s;  ///< of a retransmission, as Linux has them
  struct Attempt {
    Host* from;
    std::uint32_t incarnation;
    ConnId conn;
    Endpoint to;
    std::uint16_t from_port;     ///< at the host
    std::uint16_t outside_port;  ///< as others see it
    std::uint8_t tries;
  };
  struct Parked {
    StreamEnd end;  ///< the sender's
    Instant since;
  };
  void try_connect(Attempt attempt);
  void no_answer(Attempt attempt);
  void reach(Attempt attempt);
  void establish(Stream* stream, Endpoint from);
  void accept(Stream* stream, Endpoint from);  ///< as the acceptor sees the other end
  Host* behind(const Endpoint& to, const Host& from, std::uint16_t from_port, std::uint16_t& port);

  void want_up(StreamEnd end);
  void serve_up(Host& host);
  void send_chunk(StreamEnd end, std::uint32_t bytes);
  void arrive(Stream* stream, int to_side, Flow::Chunk chunk, Duration served);
  void serve_down(Host& host, Duration served);
  void on_served(Stream* stream, int to_side, Flow::Chunk chunk);
  void hand_over(Stream* stream, int to_side, std::uint32_t bytes, bool acknowledged);
  void acknowledge(Stream* stream, int side, std::uint32_t received, std::uint32_t read);
  void settle(Flow& flow);
  std::uint64_t buffer_bytes(const Host& from, const Host& to) const;
  void await_ack(StreamEnd end);
  void on_ack(StreamEnd end);
  void reset_later(Stream* stream, int side, Duration delay);
  void reset(Stream* stream, int side);
  void park(StreamEnd end);
  void go_on(StreamEnd end);
  static void keep(Host& host, Stream* stream);

  bool apart(const Host& a, const Host& b) const { return a.part != b.part && a.part != 0 && b.part != 0; }
  bool lost(const Host& a, const Host& b);
  Duration jitter(const Host& a, const Host& b);
  std::uint64_t on_wire(std::uint32_t bytes) const;
  static Duration time_for(std::uint64_t bytes, std::uint64_t rate);

  World& world_;
  Options options_;
  std::deque<Host> hosts_;  ///< stable places
  std::map<IpAddress, Host*> by_address_;
  std::deque<NatBox> nats_;  ///< stable places
  std::map<IpAddress, NatBox*> nat_by_address_;
  std::vector<Parked> parked_;      ///< flows whose path is cut, oldest first
  std::vector<StreamEnd> unheard_;  ///< of a reset, since their path is cut
  std::deque<Stream> streams_;      ///< stable places; ended ones stay, nearly empty
  std::uint16_t next_port_ = 49152;
  std::uint64_t bytes_delivered_ = 0;
};

}  // namespace swarm::sim
