#include "uv/change_watch.hh"

#include <algorithm>
#include <chrono>
#include <utility>

namespace swarm::uv {

namespace {

constexpr auto job_max = std::chrono::milliseconds(10);  ///< rule 2
constexpr std::size_t files_between_looks_at_the_clock = 16;

}  // namespace

/// Files that are to be looked at before the next pause.
struct ChangeWatch::Round {
  struct Part {
    std::size_t torrent = 0;
    Files files;
    std::size_t first = 0, last = 0;  ///< files of it that are left
  };
  std::vector<Part> parts;
  std::size_t done = 0;              ///< of parts
  std::vector<std::size_t> changed;  ///< torrents, found by the last job

  void look();
};

/// On a worker.
void ChangeWatch::Round::look() {
  const auto until = std::chrono::steady_clock::now() + job_max;
  for (; done < parts.size(); ++done) {
    Part& part = parts[done];
    while (part.first < part.last) {
      const std::size_t end = std::min(part.last, part.first + files_between_looks_at_the_clock);
      const bool same = part.files.storage->is_still(*part.files.stamps, part.first, end);
      part.first = same ? end : part.last;
      if (!same) changed.push_back(part.torrent);
      if (std::chrono::steady_clock::now() >= until) return;
    }
  }
}

ChangeWatch::ChangeWatch(Loop& loop, Workers& workers, Duration every, Events events)
    : workers_(workers), every_(every), events_(std::move(events)), timer_(loop, [this] { begin(); }) {
  timer_.unref();
}

void ChangeWatch::start() { timer_.start(every_); }

void ChangeWatch::stop() {
  stopped_ = true;
  timer_.stop();
}

void ChangeWatch::begin() {
  auto round = std::make_unique<Round>();
  const std::size_t torrents = events_.torrents();
  std::size_t room = files_max;
  for (; torrent_ < torrents && room > 0; ++torrent_, file_ = 0) {
    Files files = events_.files(torrent_);
    if (!files.stamps || file_ >= files.stamps->size()) continue;
    const std::size_t last = std::min(files.stamps->size(), file_ + room);
    room -= last - file_;
    const bool more = last < files.stamps->size();
    round->parts.push_back({torrent_, std::move(files), std::exchange(file_, last), last});
    if (more) break;
  }
  if (torrent_ >= torrents) torrent_ = file_ = 0;
  if (round->parts.empty()) return start();
  run(std::move(round));
}

void ChangeWatch::run(std::unique_ptr<Round> round) {
  workers_.run(
      [round = std::move(round)]() mutable {
        round->look();
        return std::move(round);
      },
      [this](std::unique_ptr<Round> looked) {
        if (stopped_) return;
        for (const std::size_t torrent : std::exchange(looked->changed, {})) events_.on_changed(torrent);
        if (looked->done < looked->parts.size()) {
          run(std::move(looked));
        } else {
          start();
        }
        events_.on_looked();
      });
}

}  // namespace swarm::uv
