// swarm get: downloads until all is whole and verified, then ends; with --seed it goes on sharing.
//
//   find trackers ─► for each WHAT: find its torrent ─► Fetch: is it here already? ─► add to the driver ─► next
//
// One WHAT after the other is looked up; downloads run side by side meanwhile. Several WHATs: one that fails does not stop the
// others, and the first failure's code is the process's.
//
// -o -: the download goes into a spool, and from there, as its pieces are verified, to stdout; it ends when the last byte was
// taken, or when the reader has left: then quietly, with the code that other programs in a pipe end with.
#include <fmt/format.h>

#include <algorithm>
#include <list>

#include "base/text.hh"
#include "cli/commands.hh"
#include "cli/fetch.hh"
#include "cli/places.hh"
#include "cli/report.hh"
#include "core/torrent/web_seeds.hh"

namespace swarm::cli {

namespace {

class GetCommand {
 public:
  GetCommand(Session& session, const Environment& environment, std::unique_ptr<Spool> spool)
      : session_(session),
        voice_(session.voice()),
        options_(session.options()),
        spool_(std::move(spool)),
        preparer_(session.loop(), session.workers(), session.budget(), seed_cache_folder(environment)),
        news_(session, options_.words.size() > 1) {}

  int run();

 private:
  void on_trackers(Result<std::vector<FoundTracker>> found);
  void next();
  void on_torrent(Fetch& fetch, Result<FoundTorrent> found);
  void leave_if_done();
  void on_notice(const core::Notice& notice);
  void on_second();
  void on_stopped(int number);
  void tidy();
  Snapshot look() const;

  Session& session_;
  Voice& voice_;
  const Options& options_;
  const std::unique_ptr<Spool> spool_;  ///< with -o -
  Preparer preparer_;
  News news_;
  Fetch::Command command_{.session = session_,
                          .preparer = preparer_,
                          .news = news_,
                          .spool = spool_.get(),
                          .decided = [this] { next(); },
                          .ended = [this] { leave_if_done(); },
                          .failed = [this](int code) { code_ = code_ == 0 ? code : code_; },
                          .target_taken =
                              [this](const Fetch& by) {
                                return std::ranges::any_of(fetches_, [&](const Fetch& f) {
                                  return &f != &by && f.moving() && f.target() == by.target();
                                });
                              }};
  std::vector<FoundTracker> trackers_;
  std::unique_ptr<TorrentFinder> finder_;
  std::list<Fetch> fetches_;
  std::size_t at_ = 0;  ///< the WHAT that is next
  bool looking_ = false;
  int code_ = 0;  ///< of the first failure
};

int GetCommand::run() {
  session_.find_trackers([this](Result<std::vector<FoundTracker>> found) { on_trackers(std::move(found)); });
  const int code = session_.run({.look = [this] { return look(); },
                                 .on_notice = [this](const core::Notice& n) { on_notice(n); },
                                 .on_second = [this] { on_second(); },
                                 .on_signal = [this](int) { preparer_.cancel(); },
                                 .on_stopped = [this](int number) { on_stopped(number); },
                                 .on_abandoned = [this] { tidy(); }});
  tidy();
  return code;
}

/// What only this run needed: locks, folders into which nothing came, the spool.
void GetCommand::tidy() {
  for (auto& fetch : fetches_) fetch.tidy();
  if (spool_) spool_->remove();
}

void GetCommand::on_trackers(Result<std::vector<FoundTracker>> found) {
  if (session_.ending()) return;
  if (!found) {
    voice_.error(found.error());
    return session_.end(static_cast<int>(found.error().exit));
  }
  trackers_ = std::move(*found);
  for (const auto& t : trackers_) {
    if (t.kind == FoundTracker::Kind::silent && trackers_.size() > 1) {
      voice_.warn(fmt::format("warning: {}", error_text(t.error)));
    }
  }
  finder_ = std::make_unique<TorrentFinder>(session_.driver().http(), session_.workers(), trackers_, options_.again);
  next();
}

void GetCommand::next() {
  looking_ = false;
  if (session_.ending()) return;
  if (at_ == options_.words.size()) return leave_if_done();
  looking_ = true;
  Fetch& fetch = fetches_.emplace_back(command_, options_.words[at_++]);
  finder_->find(fetch.what(), [this, &fetch](Result<FoundTorrent> found) { on_torrent(fetch, std::move(found)); });
}

void GetCommand::on_torrent(Fetch& fetch, Result<FoundTorrent> found) {
  if (session_.ending()) return;
  if (found) return fetch.start(std::move(*found), trackers_);
  fetch.failed(found.error());
  next();
}

void GetCommand::leave_if_done() {
  if (looking_ || at_ < options_.words.size() || session_.ending()) return;
  if (std::ranges::none_of(fetches_, &Fetch::busy)) session_.end(code_);
}

void GetCommand::on_notice(const core::Notice& notice) {
  news_.on_notice(notice);
  const auto with = [this](TorrentId id) {
    const auto found = std::ranges::find_if(fetches_, [&](const Fetch& f) { return f.shown() && f.torrent() == id; });
    return found == fetches_.end() ? nullptr : &*found;
  };
  if (const auto* checked = std::get_if<core::PieceChecked>(&notice)) {
    if (auto* fetch = checked->ok ? with(checked->torrent) : nullptr) fetch->on_verified();
  } else if (const auto* news = std::get_if<core::WebSeedNews>(&notice)) {
    const auto name = sender_text(core::web_seed_endpoint(news->web_seed));
    if (auto* fetch = with(news->torrent)) fetch->on_web_seed_error(fmt::format("{}: {}", name, news->error.message));
  } else if (const auto* banned = std::get_if<core::PeerBanned>(&notice)) {
    if (auto* fetch = core::web_seed_number(banned->peer) ? with(banned->torrent) : nullptr) {
      fetch->on_web_seed_error(fmt::format("{} sent wrong data, and is asked no more", sender_text(banned->peer)));
    }
  } else if (const auto* finished = std::get_if<core::Finished>(&notice)) {
    if (auto* fetch = with(finished->torrent); fetch && fetch->moving()) fetch->on_finished();
  } else if (const auto* failure = std::get_if<core::Failed>(&notice)) {
    if (auto* fetch = with(failure->torrent)) fetch->on_failed(failure->error);
  }
}

void GetCommand::on_second() {
  for (auto& fetch : fetches_) fetch.on_second();
  leave_if_done();
}

void GetCommand::on_stopped(int number) {
  bool all_whole = !looking_ && at_ == options_.words.size();
  for (auto& fetch : fetches_) {
    if (fetch.on_stopped()) all_whole = false;
  }
  if (all_whole) return;
  const auto hint = spool_ ? std::string() : "resume with: " + options_.again;
  voice_.event(error_json(128 + number, "interrupted", "stopped by a signal", hint));
  if (!hint.empty()) voice_.advise(printable(hint));
}

Snapshot GetCommand::look() const {
  Snapshot now;
  now.preparing = preparer_.progress();
  for (const auto& fetch : fetches_) {
    if (fetch.shown()) now.transfers.push_back(fetch.view());
  }
  return now;
}

}  // namespace

int run_get(const Options& options, const Environment& environment, Voice& voice) {
  const auto stop = [&voice](const Error& e) { return voice.error(e), static_cast<int>(e.exit); };
  const bool to_stdout = options.output == "-" && !options.list;
  if (to_stdout && voice.terminal().out) {
    return stop({Exit::usage, "terminal", "refusing to write binary data to the terminal",
                 "Use -o FILE, or send it to another program: " + printable(options.again) + " | ..."});
  }
  auto loop = uv::Loop::create();
  if (!loop) return stop(loop.error());
  auto session = Session::open(options, voice, **loop);
  if (!session) return stop(session.error());
  std::unique_ptr<Spool> spool;
  if (to_stdout) {
    auto made = Spool::create(environment);
    if (!made) return stop(made.error());
    spool = std::move(*made);
  }
  return GetCommand(**session, environment, std::move(spool)).run();
}

}  // namespace swarm::cli
