#include "core/discovery/heartbeat.hh"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.hh"

namespace swarm::core {

namespace {

constexpr Duration moving_every = 1s, idle_every = 15s, interval_max = 60s;
constexpr Duration retry_max_idle = 15s, retry_max_moving = 2s;
constexpr std::size_t runs_max = 200, checks_max = 200, failures_kept_max = 10'000;

/// Adds one piece to runs that are ordered by index and never touch.
void add_to_runs(std::vector<wire::PieceRun>& runs, std::uint32_t piece) {
  const auto after = std::upper_bound(runs.begin(), runs.end(), piece,
                                      [](std::uint32_t p, const wire::PieceRun& run) { return p < run.first; });
  const auto before = after == runs.begin() ? runs.end() : std::prev(after);
  if (before != runs.end() && piece < before->first + before->count) return;
  const bool touches_before = before != runs.end() && before->first + before->count == piece;
  const bool touches_after = after != runs.end() && after->first == piece + 1;
  if (touches_before && touches_after) {
    before->count += 1 + after->count;
    runs.erase(after);
  } else if (touches_before) {
    ++before->count;
  } else if (touches_after) {
    --after->first, ++after->count;
  } else {
    runs.insert(after, {piece, 1});
  }
}

}  // namespace

Heartbeat::Heartbeat(std::string base_url, Instant now) : url_(std::move(base_url)), ended_(now), began_(now) {}

const std::string& Heartbeat::url() const { return url_; }

void Heartbeat::on_torrent(TorrentId torrent) {
  torrents_.try_emplace(torrent);
  at_once_ = true;
}

void Heartbeat::on_torrent_gone(TorrentId torrent) {
  const auto found = torrents_.find(torrent);
  if (found == torrents_.end()) return;
  if (!found->second.ever_carried) {
    torrents_.erase(found);
    return;
  }
  found->second.stopped = true;
  at_once_ = true;
}

void Heartbeat::on_completed(TorrentId torrent) {
  const auto found = torrents_.find(torrent);
  if (found == torrents_.end()) return;
  found->second.completed = true;
  at_once_ = true;
}

void Heartbeat::on_gained(TorrentId torrent, PieceIndex piece) {
  const auto found = torrents_.find(torrent);
  if (found == torrents_.end() || found->second.have) return;  // the bitmap will tell
  auto& runs = found->second.gained;
  add_to_runs(runs, number(piece));
  if (runs.size() <= runs_max) return;
  runs.clear();
  found->second.have = true;
}

void Heartbeat::on_checked(TorrentId torrent, PieceIndex piece, bool ok, std::vector<Endpoint> from) {
  const auto found = torrents_.find(torrent);
  if (found == torrents_.end()) return;
  note(found->second, {.first = number(piece), .count = 1, .ok = ok, .from = std::move(from)});
}

void Heartbeat::on_moving(bool moving) { moving_ = moving; }

void Heartbeat::leave() {
  if (leaving_) return;
  leaving_ = at_once_ = true;
}

bool Heartbeat::due(Instant now) const {
  const auto wake = next_wake();
  return wake && now >= *wake;
}

Heartbeat::Begun Heartbeat::begin(Instant now) {
  SWARM_CHECK(!under_way_ && !done_);
  under_way_ = true;
  at_once_ = soon_ = false;
  began_ = now;
  leaving_carried_ = leaving_;
  Begun begun{.sequence = ++sequence_, .leaving = leaving_, .torrents = {}};
  for (auto& [id, t] : torrents_) {
    t.ever_carried = true;
    t.event_carried = t.stopped ? "stopped" : t.started ? "started" : t.completed ? "completed" : "";
    t.have_carried = std::exchange(t.have, false);
    const auto fitting = std::min(t.checks.size(), checks_max);
    t.checks_carried.assign(std::make_move_iterator(t.checks.begin()),
                            std::make_move_iterator(t.checks.begin() + static_cast<std::ptrdiff_t>(fitting)));
    t.checks.erase(t.checks.begin(), t.checks.begin() + static_cast<std::ptrdiff_t>(fitting));

    Entry entry{.torrent = id, .beat = {}, .want_have = t.have_carried};
    entry.beat.event = t.event_carried;
    entry.beat.gained = std::exchange(t.gained, {});  // a beat that fails is made good by a bitmap
    entry.beat.checks = t.checks_carried;
    begun.torrents.push_back(std::move(entry));
  }
  return begun;
}

bool Heartbeat::on_reply(const wire::BeatReply& reply, const std::map<InfoHash, TorrentId>& torrents, Instant now) {
  if (!under_way_) return false;
  if (reply.sequence != sequence_) {
    on_failure(now);
    return false;
  }
  under_way_ = false;
  const bool was_answered = std::exchange(answered_, true);
  ended_ = now;
  failures_ = 0;
  interval_min_ = std::min<Duration>(std::chrono::milliseconds(reply.interval_ms), interval_max);
  done_ = leaving_carried_;

  for (auto it = torrents_.begin(); it != torrents_.end();) {
    Untold& t = it->second;
    const std::string event = std::exchange(t.event_carried, {});
    if (event == "started") t.started = false;
    if (event == "completed") t.completed = false;
    t.have_carried = false;
    t.checks_carried.clear();
    it = event == "stopped" ? torrents_.erase(it) : std::next(it);
  }
  for (const auto& told : reply.torrents) {
    const auto id = torrents.find(told.info_hash);
    if (!told.want_have || id == torrents.end()) continue;
    const auto found = torrents_.find(id->second);
    if (found == torrents_.end()) continue;
    found->second.have = soon_ = true;
    found->second.gained.clear();
  }
  if (has_event()) at_once_ = true;
  return was_answered && reply.new_node;
}

void Heartbeat::on_failure(Instant now) {
  if (!under_way_) return;
  under_way_ = false;
  ended_ = now;
  ++failures_;
  done_ = leaving_carried_;
  for (auto& [id, t] : torrents_) {
    t.event_carried.clear();
    t.started = t.have = true;
    t.have_carried = false;
    t.gained.clear();
    t.checks.insert(t.checks.begin(), std::make_move_iterator(t.checks_carried.begin()),
                    std::make_move_iterator(t.checks_carried.end()));
    t.checks_carried.clear();
    bound(t.checks);
  }
}

bool Heartbeat::ever_answered() const { return answered_; }

bool Heartbeat::done() const { return done_; }

std::optional<Instant> Heartbeat::next_wake() const {
  if (under_way_ || done_) return std::nullopt;
  return at_once_ ? ended_ : (failures_ > 0 ? ended_ : began_) + wait();
}

bool Heartbeat::has_event() const {
  return std::any_of(torrents_.begin(), torrents_.end(), [](const auto& entry) {
    return entry.second.started || entry.second.completed || entry.second.stopped;
  });
}

void Heartbeat::note(Untold& torrent, wire::CheckedPieces check) {
  if (check.ok) {
    for (auto it = torrent.checks.rbegin(); it != torrent.checks.rend(); ++it) {
      if (!it->ok) continue;
      if (check.first == it->first + it->count) {
        ++it->count;
        return;
      }
      if (check.first + 1 == it->first) {
        --it->first, ++it->count;
        return;
      }
    }
  }
  torrent.checks.push_back(std::move(check));
  bound(torrent.checks);
}

/// Rule 2: the oldest good ones go first.
void Heartbeat::bound(std::vector<wire::CheckedPieces>& checks) {
  while (checks.size() > checks_max) {
    const auto good = std::find_if(checks.begin(), checks.end(), [](const auto& check) { return check.ok; });
    if (good == checks.end()) break;
    checks.erase(good);
  }
  if (checks.size() > failures_kept_max) {
    checks.erase(checks.begin(), checks.end() - static_cast<std::ptrdiff_t>(failures_kept_max));
  }
}

/// From the start of the latest beat, or from the end of one that failed.
Duration Heartbeat::wait() const {
  if (failures_ > 0) {
    const Duration doubled = failures_ < 6 ? moving_every * (1u << (failures_ - 1)) : retry_max_idle;
    return std::min(doubled, moving_ ? retry_max_moving : retry_max_idle);
  }
  return std::max(moving_ || soon_ ? moving_every : idle_every, interval_min_);
}

}  // namespace swarm::core
