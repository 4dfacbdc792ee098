// Heartbeat: this process's line to one swarm tracker: what changed since the last acknowledged beat, told in one JSON message.
//
// Rules
// 1. Every second while something moves (a piece gained, payload in either direction, peers wanted), every 15 s otherwise; at
//    once on an event (started, completed, stopped) and for the first time; within a second when the tracker asks for a bitmap.
//    The tracker's interval_ms can only slow it down, to a minute at most.
// 2. One beat under way at most. `gained` and `checks` are kept until a beat that carried them is acknowledged; at most 200
//    runs and 200 checks a torrent: beyond that the runs fall back to the whole bitmap, and good checks are joined where they
//    touch, then the oldest are dropped; failures never (of 10,000 that wait the oldest go), they follow in later beats.
// 3. Without an answer: again after 1 s, doubled up to 15 s (so that a tracker that restarts has its nodes back within 5 s while
//    something moves: the cap is 2 s then). The first beat after a failure carries everything (events `started` again, bitmaps).
// 4. An answer that calls this node new, after another was acknowledged, says that the tracker restarted (or forgot a node that
//    was silent for long): the caller is told, for the catalogue may be lost as well.
//    Rationale: an idle seed may sleep through a restart, and then no beat fails.
// 5. leave(): one last beat with leaving = true; done() once it is answered or failed.
// A torrent has one event a beat: `stopped` before all others, `started` before `completed`. One that is gone stays until `stopped` is
// acknowledged, so the caller keeps its info-hash; one that was never told of is dropped silently.
// Complexity: O(runs + checks) a piece, at most 400 steps; O(torrents) a beat.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bitfield.hh"
#include "base/ids.hh"
#include "base/instant.hh"
#include "wire/control.hh"

namespace swarm::core {

class Heartbeat {
 public:
  Heartbeat(std::string base_url, Instant now);
  const std::string& url() const;

  void on_torrent(TorrentId torrent);       ///< added: said `started` in the next beat
  void on_torrent_gone(TorrentId torrent);  ///< `stopped` in the next beat
  void on_completed(TorrentId torrent);
  void on_gained(TorrentId torrent, PieceIndex piece);
  void on_checked(TorrentId torrent, PieceIndex piece, bool ok, std::vector<Endpoint> from);
  void on_moving(bool moving);  ///< rule 1
  void leave();

  bool due(Instant now) const;
  /// Begins a beat: sequence, events, gained, checks and whether `have` is wanted are filled in per torrent id; the caller adds
  /// the info-hash, the numbers (left, rates, peers, bitmap where `want_have`) and the node's own fields, and sends it.
  struct Entry {
    TorrentId torrent{};
    wire::BeatTorrent beat;  ///< event, gained, checks are set
    bool want_have = false;  ///< the caller sets beat.have (unless complete)
  };
  struct Begun {
    std::uint64_t sequence = 0;
    bool leaving = false;
    std::vector<Entry> torrents;
  };
  Begun begin(Instant now);
  /// Gives whether the tracker has forgotten this node (rule 4).
  bool on_reply(const wire::BeatReply& reply, const std::map<InfoHash, TorrentId>& torrents, Instant now);
  void on_failure(Instant now);

  bool ever_answered() const;
  bool done() const;  ///< rule 5
  std::optional<Instant> next_wake() const;

 private:
  /// What the tracker has not acknowledged yet of one torrent. What a beat under way carries stands apart, so that what happens
  /// meanwhile is not mistaken for told.
  struct Untold {
    bool started = true, completed = false, stopped = false;
    bool have = true;                         ///< the whole bitmap
    std::vector<wire::PieceRun> gained;       ///< by index, never touching each other
    std::vector<wire::CheckedPieces> checks;  ///< in the order of happening
    std::string event_carried;
    bool have_carried = false;
    std::vector<wire::CheckedPieces> checks_carried;
    bool ever_carried = false;  ///< some beat has named this torrent
  };

  bool has_event() const;
  void note(Untold& torrent, wire::CheckedPieces check);
  static void bound(std::vector<wire::CheckedPieces>& checks);
  Duration wait() const;

  std::string url_;
  std::map<TorrentId, Untold> torrents_;
  std::uint64_t sequence_ = 0;  ///< of the latest beat
  Instant ended_;               ///< when the latest beat was answered or failed; at first: when this began
  Instant began_;               ///< when the latest beat began
  bool under_way_ = false;
  bool at_once_ = true;  ///< something happened that does not wait
  bool soon_ = false;    ///< the tracker asked for a bitmap
  bool moving_ = false;
  bool leaving_ = false, leaving_carried_ = false, done_ = false;
  bool answered_ = false;
  std::uint32_t failures_ = 0;  ///< in a row
  Duration interval_min_{};     ///< the tracker's wish
};

}  // namespace swarm::core
