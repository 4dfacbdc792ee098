// Server-sent events (HTML standard, "text/event-stream"): a stream of bytes cut into events, without state of the connection.
//
// Rules
// 1. Lines end in LF, CR or CR LF, wherever the bytes are cut; a byte order mark at the very beginning is passed over.
// 2. An empty line ends an event. Its data are all of its `data` lines joined by LF; an event without any is passed over, as are
//    unknown fields and comments (lines that begin with ':', which servers send to keep a connection alive).
// 3. `id` holds until the next one, and is what to say in Last-Event-ID when the stream is resumed; one with a NUL in it is passed
//    over. `retry` holds for the stream.
// 4. What is under way when the stream ends is dropped: it comes again after Last-Event-ID.
// 5. An event longer than `event_bytes_max` is a fault, and sticks: nobody waits in memory for an end that never comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hh"

namespace swarm::wire {

struct ServerEvent {
  std::string type = "message";  ///< `event`
  std::string data;
  std::string id;  ///< the last one so far
};

class EventReader {
 public:
  explicit EventReader(std::size_t event_bytes_max = 4u << 20) : bytes_max_(event_bytes_max) {}

  /// Feeds bytes; whole events queue up for next(). False once an event was too long.
  bool on_received(ByteView bytes);
  std::optional<ServerEvent> next();
  const std::string& last_id() const { return last_id_; }              ///< of the latest whole event
  std::optional<std::uint64_t> retry_ms() const { return retry_ms_; }  ///< the server's wish, when it said one

 private:
  void on_line();
  void on_field(std::string_view name, std::string_view value);
  void dispatch();

  std::size_t bytes_max_;
  std::string line_;
  std::string type_, data_, id_, last_id_;
  bool has_data_ = false, has_type_ = false;
  bool after_cr_ = false, at_start_ = true, faulty_ = false;
  std::optional<std::uint64_t> retry_ms_;
  std::deque<ServerEvent> events_;
};

/// One event as a server writes it; line ends within `data` are kept.
std::string text(const ServerEvent& event);

}  // namespace swarm::wire
