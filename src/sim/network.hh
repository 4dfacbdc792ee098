// Network: hosts with a line each, and the streams between them, in virtual time.
//
// Rules
// 1. A line has a rate up and a rate down. It serves one chunk at a time (at most chunk_bytes of payload), its flows in turn:
//    whoever has something waits for one chunk of each of the others at most. 0 is a line without limit.
// 2. From one host to another it takes both lines' delays. A chunk's last byte leaves the sender's line when the line has served
//    it, and has arrived when the receiver's line, which serves while the bytes come, has served it too.
// 3. A sender's buffer holds what was not acknowledged; `send_buffer_bytes` of it, and one message more. The acknowledgement
//    takes the way back, without using any line.
// 4. Connecting takes a round trip. Where nobody listens it is refused; where nobody answers it is tried again after 1, 2 and
//    4 s, and given up after 10 s.
// 5. A process that crashes resets its streams: what it had not sent is lost. A host without power says nothing; who sends to
//    it again once it is back is reset. A link that is down keeps what is under way until it is up.
// Complexity: three events a chunk, four when the receiver's line is the narrow one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/endpoint.hh"
#include "base/ids.hh"
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
  virtual void on_room(ConnId conn) = 0;  ///< some of what it sent was acknowledged
};

/// How a host's NAT treats what comes from outside, in the terms of RFC 4787 §5 (RFC 5382 §4.3 asks the same of TCP).
enum class Nat : std::uint8_t {
  none,                        ///< no NAT
  endpoint_independent,        ///< lets in whoever speaks to a mapping
  address_dependent,           ///< only who has an address that was spoken to through it
  address_and_port_dependent,  ///< only the very endpoint that was spoken to
};

struct Line {
  std::uint64_t up_rate = 0, down_rate = 0;  ///< bytes/s; 0: unlimited
  Duration delay{};                          ///< one way, to the middle of the network
  Duration jitter{};    ///< at most so much more, one way, uniformly; order is kept within a stream
  double loss = 0;      ///< share of the packets lost on it, either way; 0 … 1
  Nat nat = Nat::none;  ///< a NAT of its own, which has the host's address outside
};

struct Host {
  std::uint32_t index = 0;
  IpAddress address;
  Line line;
  Process* process = nullptr;
  std::uint16_t port = 0;         ///< where the process listens
  std::uint32_t incarnation = 0;  ///< +1 for each process
  bool powered = true, linked = true;
  bool reaches() const { return powered && linked; }

  // The network's own notes.
  std::deque<StreamEnd> up_queue;    ///< ends here that have something for the line; each once
  std::deque<StreamEnd> down_queue;  ///< ends here for which something has arrived; each once
  bool up_busy = false, down_busy = false;
  Instant down_free{};           ///< when the line down has served all that it was given
  std::vector<Stream*> streams;  ///< with an end here, oldest first; ended ones are swept out now and then
  std::size_t sweep_at = 64;
};

class Network {
 public:
  struct Options {
    std::uint32_t chunk_bytes = 16 * 1024;
    std::uint64_t send_buffer_bytes = 256 * 1024;
  };
  Network(World& world, Options options) : world_(world), options_(options) {}

  Host& add_host(const IpAddress& address, const Line& line);
  Host* find(const IpAddress& address);
  World& world() { return world_; }
  Duration delay(const Host& a, const Host& b) const { return a.line.delay + b.line.delay; }

  // What a process does.
  void start(Host& host, Process& process, std::uint16_t port);
  void connect(Host& from, ConnId conn, const Endpoint& to);
  void name(StreamEnd accepted, ConnId conn) { accepted.stream->sides[accepted.side].conn = conn; }
  std::uint64_t room(StreamEnd end) const;  ///< bytes that the send buffer still takes
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
  struct Attempt {
    Host* from;
    std::uint32_t incarnation;
    ConnId conn;
    Endpoint to;
    std::uint8_t tries;
  };
  void try_connect(Attempt attempt);
  void no_answer(Attempt attempt);
  void reach(Attempt attempt);
  void establish(Stream* stream);
  void accept(Stream* stream, std::uint16_t from_port);

  void want_up(StreamEnd end);
  void serve_up(Host& host);
  void arrive(Stream* stream, int to_side, std::uint32_t bytes, Duration served);
  void serve_down(Host& host, Duration served);
  void hand_over(Stream* stream, int to_side, std::uint32_t bytes);
  void acknowledge(Stream* stream, int side, std::uint32_t bytes);
  void reset_later(Stream* stream, int side, Duration delay);
  void reset(Stream* stream, int side);
  static void keep(Host& host, Stream* stream);

  World& world_;
  Options options_;
  std::deque<Host> hosts_;  ///< stable places
  std::map<IpAddress, Host*> by_address_;
  std::deque<Stream> streams_;  ///< stable places; ended ones stay, nearly empty
  std::uint16_t next_port_ = 49152;
  std::uint64_t bytes_delivered_ = 0;
};

}  // namespace swarm::sim
