// Congestion: how much one flow may have on its way, as the sender of a TCP connection decides it (Reno).
//
// Rules
// 1. A flow begins with ten segments (RFC 6928) and adds a byte for each that is acknowledged, which doubles the window every
//    round trip: slow start (RFC 5681 §3.1). From the threshold on it adds one segment for each window acknowledged (RFC 3465).
// 2. A loss halves window and threshold, to two segments at least, once for each window of data: what was under way when the
//    sender heard of a loss halves nothing again (RFC 6582).
// 3. A lost segment is sent again as soon as it is missed, a round trip after it left, and so is a lost retransmission (SACK,
//    RFC 6675; RACK and its tail probe, RFC 8985): none waits for a timer.
// 4. The window grows only while it is used (RFC 7661): half of it in slow start, else seven eighths or all that there is. Once
//    it is twice as wide as the send buffer it limits nothing until a loss.
// 5. A flow that was silent for longer than a retransmission timeout begins with rule 1's ten segments again (RFC 5681 §4.1).
// Rationale: with each of many segments lost with probability p, the rate is near MSS/RTT · 1.22/√p (Mathis et al. 1997; for
// losses independent of each other the constant is 1.31). Linux's default, CUBIC (RFC 9438), goes as Reno does for windows as
// small as losses of a tenth of a percent or more leave them (§4.3, the Reno-friendly region).
// Complexity: O(1). All in whole numbers, so that every machine gets the same.
#pragma once

#include <cstdint>

#include "base/instant.hh"

namespace swarm::sim {

class Congestion {
 public:
  static constexpr std::uint32_t segment_bytes = 1448;  ///< of payload: 1,500 less IP, TCP and time stamps
  static constexpr std::uint64_t initial_window = 10 * segment_bytes;
  static constexpr std::uint64_t no_limit = ~std::uint64_t{0};

  std::uint64_t window() const { return window_; }
  bool limits() const { return window_ != no_limit; }
  /// Bytes that may leave now when `wanted` wait; `timeout`: RFC 6298's, of this path. 0 until it is worth a burst: an eighth of
  /// the window or all that is wanted, as long as something is on its way whose acknowledgement will come.
  std::uint32_t next_burst(std::uint32_t wanted, Instant now, Duration timeout);

  void on_sent(std::uint32_t bytes, Instant now);
  /// So many arrived; `buffer`: the most that the sender ever holds.
  void on_acknowledged(std::uint32_t bytes, std::uint64_t buffer);
  /// The sender hears that the bytes up to `mark` (of sent()) lacked something.
  void on_lost(std::uint64_t mark);

  std::uint64_t sent() const { return sent_; }
  std::uint64_t flight() const { return flight_; }

 private:
  std::uint64_t window_ = initial_window, threshold_ = no_limit;
  std::uint64_t grown_ = 0;    ///< bytes acknowledged towards the next segment of rule 1
  std::uint64_t sent_ = 0;     ///< bytes in all
  std::uint64_t flight_ = 0;   ///< of them, on their way
  std::uint64_t recover_ = 0;  ///< a loss up to here is one that the window was halved for
  bool full_ = false;          ///< the last burst was less than was wanted
  Instant last_sent_{};
};

}  // namespace swarm::sim
