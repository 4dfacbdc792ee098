// Events: the live view as it changes, for those who follow it as server-sent events (GET /api/v1/events).
//
// Rules
// 1. A follower is sent `snapshot`, the whole status, then a `delta` whenever the view has become different: at most one a
//    second, and none when nothing changed. That a silence lasts longer is no change; that it begins or ends is one.
// 2. Each event has an id, "START.N": N counts on by one, START is new at each start of the tracker. Who comes back with
//    the last id that he saw gets the deltas behind it, when all of them are still here, else a snapshot.
// 3. The last deltas_max deltas are kept, ring_bytes_max of them (as they would be sent) in all.
// 4. At most followers_max follow; more are refused. What waits to be sent to one who does not read is the driver's to
//    bound: it drops him, and he comes back by rule 2.
// 5. A delta has at most notices_max notices: the last ones, and of those that go good piece checks never were any.
// 6. A follower who was sent nothing for `alive_every` gets a comment, so that a dead connection is noticed.
// Complexity: a view O(size × log size), and its deltas are written once for each base URL that followers use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "base/instant.hh"
#include "core/tracker/server.hh"
#include "wire/control.hh"

namespace swarm::core {

class Events {
 public:
  static constexpr std::size_t followers_max = 64;
  static constexpr std::size_t deltas_max = 256;
  static constexpr std::size_t ring_bytes_max = 4u << 20;
  static constexpr std::size_t notices_max = 1'000;
  static constexpr Duration delta_every = 1s;
  static constexpr Duration alive_every = 15s;

  /// `start` is of this process, and of no other one.
  explicit Events(std::string start) : start_(std::move(start)) {}

  bool wants_view(Instant now) const { return !seen_ || now - *seen_ >= delta_every; }  ///< rule 1
  /// The view as it is now, without links; wants_view() said so.
  void on_view(wire::Status view, Instant now);
  void on_notice(const TrackerNotice& notice);

  /// A view was given before. `url` is the base of the links that this follower can use. Nothing: there are too many.
  std::optional<FollowerId> follow(std::string url, std::string_view last_event_id, Instant now);
  void leave(FollowerId follower);
  void on_time(Instant now);  ///< rule 6
  std::vector<ToFollower> take();
  bool empty() const { return followers_.empty(); }
  std::size_t size() const { return followers_.size(); }

 private:
  struct Follower {
    std::string url;
    Instant told;
  };
  struct Kept {
    wire::StatusDelta delta;
    std::size_t bytes = 0;
  };

  wire::StatusDelta difference(const wire::Status& view, Instant now) const;
  void tell(FollowerId id, Follower& follower, Buffer bytes, Instant now);
  Buffer written(const wire::StatusDelta& delta, std::uint64_t number, const std::string& url) const;
  Buffer snapshot(const std::string& url) const;
  std::optional<std::uint64_t> number_of(std::string_view id) const;

  std::string start_;
  std::optional<Instant> seen_;  ///< when view_ was
  wire::Status view_;            ///< as of event number_
  std::uint64_t number_ = 0;
  std::deque<Kept> ring_;  ///< the last one is number_
  std::size_t ring_bytes_ = 0;
  std::deque<wire::StatusNotice> notices_;  ///< since event number_
  std::map<FollowerId, Follower> followers_;
  std::uint64_t next_follower_ = 1;
  std::vector<ToFollower> waiting_;  ///< until take(), which follows every input
};

/// The file with its links below `url`, which may be empty: then there is a magnet link without a tracker only.
wire::StatusFile linked(wire::StatusFile file, const std::string& url);

}  // namespace swarm::core
