// Stream: one connection of the simulated network, in order and without loss: two flows, one for each direction.
//
// Small bytes are carried as bytes; payload as runs that name the content, the place in it, and by a tag whether the bytes are
// right. A flow's data stands in one queue from the moment it is given until it is delivered: unsent → flying → arrived.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.hh"
#include "base/ids.hh"
#include "base/instant.hh"
#include "sim/congestion.hh"
#include "sim/ring.hh"
#include "sim/tag.hh"

namespace swarm::sim {

struct Host;

/// Payload without bytes: `length` bytes of piece `piece` of content number `content`, from byte `begin` of the piece on.
struct Run {
  std::uint32_t content = 0;
  PieceIndex piece{};
  std::uint32_t begin = 0;
  std::uint32_t length = 0;
  Tag tag = Tag::right;
};

/// One direction of a stream.
class Flow {
 public:
  void push(ByteView small);
  void push(const Run& run);
  /// How much the line takes next: small bytes, and the rest of one run at most; a run is cut at chunk_bytes. 0: nothing.
  std::uint32_t next_chunk(std::uint32_t chunk_bytes) const;
  void on_sent(std::uint32_t bytes);
  void on_arrived(std::uint32_t bytes);
  /// The oldest `bytes` leave the queue; on_small(ByteView) and on_run(Run) get them in order.
  template <class OnSmall, class OnRun>
  void deliver(std::uint32_t bytes, OnSmall on_small, OnRun on_run);
  void drop_front(std::uint32_t bytes);  ///< arrived, or was lost at a host without power
  void drop_unsent();                    ///< its process is gone

  std::uint64_t unsent() const { return unsent_; }
  /// Nothing was won or lost on the way.
  bool balanced() const { return pushed_ == delivered_ + dropped_ + unsent_ + flying_ + arrived_; }
  std::uint64_t pushed() const { return pushed_; }
  std::uint64_t delivered() const { return delivered_; }

  // The network's own notes.
  struct Chunk {
    std::uint32_t bytes = 0;  ///< 0 is the end of the stream
    Instant ready{};          ///< when all before it is there too: a lost segment holds up what follows
  };
  struct Ack {
    Instant at{};                ///< when the sender hears it
    std::uint32_t received = 0;  ///< bytes that arrived,
    std::uint32_t read = 0;      ///< and bytes that the sender's buffer need no longer hold
  };
  Ring<Chunk> chunks;                ///< that arrived and wait for the receiver's line
  Ring<Chunk> late;                  ///< that arrived after the path was cut
  std::uint32_t served_unready = 0;  ///< chunks that the receiver's line has served and that lack something before them
  std::uint32_t again_bytes = 0;     ///< were lost and are sent once more with the next chunk
  bool end_wanted = false, end_sent = false;
  bool in_up_queue = false, in_down_queue = false;
  bool held_back = false;  ///< by its window
  bool parked = false;     ///< its path is cut; it goes on when the network says so
  bool paused = false;     ///< the receiver does not read
  Ring<Ack> acks;          ///< on their way back
  Congestion congestion;
  std::uint64_t buffer_bytes = 0;    ///< that the sender's buffer takes
  std::uint64_t buffered = 0;        ///< given and not acknowledged: what it holds
  std::uint64_t room_wanted = 0;     ///< on_room() is promised when the buffer takes so much; 0: it is not
  bool line_awaited = false;         ///< the same when the line has served enough of it
  Instant wake_at = Instant::max();  ///< an acknowledgement that the flow waits for
  Instant arrives_last{}, ready_last{}, acknowledged_last{};

 private:
  struct Segment {
    bool payload = false;
    Run run;  ///< for small bytes only its length counts
  };
  void leave_front(std::uint32_t bytes);

  Ring<Segment> segments_;
  Buffer small_;
  std::size_t small_head_ = 0;    ///< of small_, delivered already
  std::uint32_t front_done_ = 0;  ///< bytes of the first segment that have left
  std::size_t send_at_ = 0;       ///< segment that is sent next
  std::uint32_t send_done_ = 0;   ///< bytes of it that were sent
  std::uint64_t unsent_ = 0, flying_ = 0, arrived_ = 0;
  std::uint64_t pushed_ = 0, delivered_ = 0, dropped_ = 0;
};

struct Stream {
  struct Side {
    Host* host = nullptr;
    std::uint32_t incarnation = 0;  ///< of the host's process
    ConnId conn{};                  ///< its process's name for the stream
    bool open = false;              ///< its process still reads and writes
    bool dead = false;              ///< its process went without a word: who sends to it is reset
    Flow out;
  };
  Side sides[2];  ///< 0 connected, 1 accepted

  Flow& into(int side) { return sides[1 - side].out; }
};

/// One end of a stream, as its process holds it.
struct StreamEnd {
  Stream* stream = nullptr;
  int side = 0;
};

template <class OnSmall, class OnRun>
void Flow::deliver(std::uint32_t bytes, OnSmall on_small, OnRun on_run) {
  arrived_ -= bytes;
  delivered_ += bytes;
  while (bytes > 0) {
    const Segment front = segments_.front();
    const std::uint32_t here = front.run.length - front_done_ < bytes ? front.run.length - front_done_ : bytes;
    if (front.payload) {
      Run part = front.run;
      part.begin += front_done_;
      part.length = here;
      leave_front(here);
      on_run(part);
    } else {
      on_small(ByteView(small_).subspan(small_head_, here));
      leave_front(here);
    }
    bytes -= here;
  }
}

}  // namespace swarm::sim
