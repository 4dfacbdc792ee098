// Announcer: one torrent's standard trackers (BEP 3, 12): when to announce what to whom.
//
// Rules
// 1. Tiers in order; within a tier shuffled once, and the one that answered moves to the front (BEP 12). The next tier is
//    tried only when every tracker of the earlier ones failed.
// 2. Events: `started` first, `completed` once when the last piece came in this run, `stopped` at the end, to every tracker
//    that has answered `started`. The event is repeated until acknowledged. A tracker that missed `started` hears that first.
// 3. Interval: the tracker's, clamped to 60 s … 1 h (default 30 min); not before its `min interval` (of which a day is believed).
//    When we lack peers and still want pieces, announce again early, but not before min interval (or 60 s).
// 4. After all failed: again in 5 s, doubled up to 30 min, with ± 10 % at random. Rationale: a tracker that restarts is not
//    flooded, a short outage is bridged.
// 5. `failure reason` is told to the person (TrackerNews) and counts as a failure of that tracker.
// 6. A reply with `swarm_tracker` says that this URL takes heartbeats: the announcer hands the base URL over and stops using it.
// One exchange is under way at most, but for `stopped`, which goes to several trackers at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/instant.hh"
#include "base/random.hh"
#include "wire/announce.hh"

namespace swarm::core {

class Announcer {
 public:
  Announcer(std::vector<std::vector<std::string>> tiers, Random& random, Instant now);

  struct Ask {  ///< announce this to this URL (http or https)
    std::string url;
    wire::AnnounceEvent event{};
    std::string tracker_id;  ///< what this tracker last gave us to repeat
  };
  /// What is due now, if anything; call again until nothing comes. The caller fills in the numbers, sends it and reports
  /// on_reply or on_failure for that URL.
  std::optional<Ask> next_ask(Instant now);
  void on_reply(const std::string& url, const wire::AnnounceReply& reply, Instant now);  ///< no failure reason in it
  void on_failure(const std::string& url, Instant now);  ///< no answer, HTTP error, failure reason
  void completed(Instant now);
  void stop(Instant now);
  void want_peers(bool lacking, Instant now);  ///< rule 3
  bool stopped() const;                        ///< stop() was called and every `stopped` was answered or failed
  bool any_working() const;
  std::vector<std::string> take_swarm_trackers();  ///< rule 6: base URLs, each once
  std::optional<Instant> next_wake() const;

 private:
  struct Tracker {
    std::string url;
    std::string id;                            ///< its `tracker id`
    bool started = false;                      ///< it has acknowledged `started`
    bool stopped = false;                      ///< `stopped` was answered or failed
    std::optional<wire::AnnounceEvent> asked;  ///< under way
  };
  struct Place {
    std::size_t tier = 0, index = 0;
  };

  Tracker& at(Place place) { return tiers_[place.tier][place.index]; }
  std::optional<Place> find_asked(const std::string& url) const;
  std::optional<Ask> next_stop();
  Ask ask(Place place, wire::AnnounceEvent event);
  void on_answered(Place place, const wire::AnnounceReply& reply, Instant now);
  void hand_over(Place place);
  Place after(Place place) const;
  std::optional<Instant> due_at() const;

  Random& random_;
  std::vector<std::vector<Tracker>> tiers_;  ///< none is empty
  Place cursor_;                             ///< whom to ask next, or who is being asked
  bool under_way_ = false;                   ///< an exchange, `stopped` not counted
  Instant changed_at_;                       ///< when what is due last changed
  Instant again_at_;                         ///< by the interval, or by the back-off
  Instant early_at_;                         ///< at the earliest, when we lack peers
  bool completed_ = false;                   ///< `completed` is to be told
  bool lacking_ = false;
  bool working_ = false;  ///< the last round of asking ended with an answer
  std::optional<Instant> stopping_since_;
  std::uint32_t failures_ = 0;  ///< rounds in a row in which nobody answered
  std::vector<std::string> swarm_trackers_;
};

/// "http://host:6969/announce" → "http://host:6969".
std::string tracker_base(const std::string& announce_url);

}  // namespace swarm::core
