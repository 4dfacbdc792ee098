// UdpAnnouncement: one announce to one UDP tracker (BEP 15), from the first datagram to its result; no sockets.
//
//        no id of this tracker                      an id, at most 60 s old
//     ┌────────────────────────┐  UdpConnected   ┌─────────────────────────┐  UdpAnnounced  ┌──────┐
//     │ connecting: UdpConnect ├────────────────►│ announcing: UdpAnnounce ├───────────────►│ done │
//     └────────────────────────┘                 └─────────────────────────┘  UdpFailed,    └──────┘
//                  ▲      too old, or silence to one remembered │             or too late (from both)
//                  └────────────────────────────────────────────┘
//
// Rules
// 1. A request is repeated when 15·2ⁿ seconds brought no answer; n begins at 0, grows with each repetition up to 8, and
//    begins again when a connection id came (BEP 15).
// 2. It ends without an answer when the budget is spent. Rationale: 15·2ⁿ goes on for two hours, while the next tracker of
//    the list may well answer (BEP 12), and a process that stops waits for nobody.
// 3. A connection id is used for 60 s after it came, for every announce to that tracker (UdpConnectionIds).
// 4. An id that another announce fetched is dropped when the tracker is silent to it, or answers with an error; the next
//    request is a UdpConnect. Rationale: a tracker that was restarted knows its old ids no more, and most say nothing then.
// 5. Both transaction ids are drawn once: a late answer to an earlier copy of a request is as good as one to the last.
//    What answers neither is not ours. Rationale: 32 random bits are all that keeps a forged answer out (besides the
//    source address, which the owner of the socket has compared).
// 6. An error of the tracker is its last word: AnnounceReply::failure, as a `failure reason` over HTTP. The one exception
//    is rule 4.
// 7. An announce reply without a body (wire::UdpNotListed) is such an error. Rationale: to wait for more would be 60 s of
//    silence, and a person who is told nothing of the one thing that the tracker's owner has to mend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/bytes.hh"
#include "base/endpoint.hh"
#include "base/error.hh"
#include "base/instant.hh"
#include "base/random.hh"
#include "wire/announce.hh"

namespace swarm::core {

/// What trackers gave as connection ids, at most `trackers_max` of them; one for the process.
class UdpConnectionIds {
 public:
  static constexpr Duration good_for = 60s;
  static constexpr std::size_t trackers_max = 256;

  std::optional<std::uint64_t> find(const Endpoint& tracker, Instant now) const;
  void keep(const Endpoint& tracker, std::uint64_t id, Instant now);
  void forget(const Endpoint& tracker, std::uint64_t id);  ///< only if it is still this one

 private:
  struct Kept {
    std::uint64_t id = 0;
    Instant until;
  };
  std::unordered_map<Endpoint, Kept> kept_;
};

class UdpAnnouncement {
 public:
  static constexpr Duration budget_ordinary = 60s, budget_stopped = 3s;

  /// `url_data` is Url::target of the tracker's URL. `ids` and `random` outlive this.
  UdpAnnouncement(const Endpoint& tracker, wire::AnnounceRequest request, std::string url_data, Duration budget,
                  UdpConnectionIds& ids, Random& random, Instant now);

  /// What to send to the tracker now; call at once, after every on_datagram and at next_wake, until nothing comes.
  std::optional<Buffer> next_datagram(Instant now);
  /// A datagram from exactly the tracker's address and port. False when it does not answer this announce: offer it to
  /// the next one that waits for the same tracker.
  bool on_datagram(ByteView datagram, Instant now);
  /// Nothing when there is a result.
  std::optional<Instant> next_wake() const;
  /// The tracker's answer, or Exit::unreachable, once there is one; it then stays as it is.
  const std::optional<Result<wire::AnnounceReply>>& result() const { return result_; }
  const Endpoint& tracker() const { return tracker_; }

 private:
  enum class Waiting : std::uint8_t { nothing, connect, announce };  ///< for the answer to this, sent last

  void on_connected(std::uint64_t id, Instant now);
  bool on_failed(std::uint32_t transaction, std::string message, Instant now);
  void give_up();
  bool id_is_remembered() const { return id_ != own_id_; }

  Endpoint tracker_;
  wire::AnnounceRequest request_;
  std::string url_data_;
  Duration budget_;
  UdpConnectionIds& ids_;
  std::uint32_t connect_transaction_, announce_transaction_;
  Instant deadline_;
  Instant send_at_;             ///< the next datagram
  std::uint32_t repeated_ = 0;  ///< n of rule 1
  Waiting waiting_ = Waiting::nothing;
  bool announced_ = false;               ///< at least one UdpAnnounce was sent
  std::optional<std::uint64_t> id_;      ///< in the last UdpAnnounce
  std::optional<std::uint64_t> own_id_;  ///< what this announce was given, not another before it
  std::optional<Result<wire::AnnounceReply>> result_;
};

}  // namespace swarm::core
