// swarm get: downloads until all is whole and verified, then ends.
//
//   find trackers ─► for each WHAT: find its torrent ─► is it here already? ─► add to the driver ─► next WHAT
//                                                              │                    │
//                                                              ▼                    ▼
//                                                        "already whole"     whole, failed, or no peers for --wait
//
// One WHAT after the other is looked up; downloads run side by side meanwhile. Several WHATs: one that fails does not stop the
// others, and the first failure's code is the process's.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <list>
#include <system_error>

#include "base/text.hh"
#include "cli/commands.hh"
#include "cli/news.hh"
#include "cli/places.hh"
#include "cli/preparer.hh"
#include "cli/report.hh"
#include "cli/session.hh"
#include "cli/torrent_finder.hh"
#include "disk/safe_path.hh"

namespace swarm::cli {

namespace {

constexpr Duration wait_off_a_terminal = 60s;
constexpr unsigned renames_max = 1000;

class GetCommand {
 public:
  GetCommand(Session& session, const Environment& environment)
      : session_(session),
        voice_(session.voice()),
        options_(session.options()),
        preparer_(session.loop(), session.workers(), seed_cache_folder(environment)),
        news_(session, options_.words.size() > 1) {}

  int run();

 private:
  struct Item {
    std::string what;
    std::string name;  ///< as it is saved
    std::string target;
    unsigned renamed = 0;
    std::shared_ptr<const wire::Metainfo> info;
    std::vector<FoundTracker> trackers;
    TorrentId id{};
    bool moving = false;  ///< the driver has it, and it is neither whole nor failed
    Instant began{};
    Instant last_progress{};
    std::uint64_t progress = 0;
  };
  using At = std::list<Item>::iterator;

  void on_trackers(Result<std::vector<FoundTracker>> found);
  void next();
  void on_torrent(At item, Result<FoundTorrent> found);
  void look_at_target(At item);
  void on_target(At item, Result<Prepared> there);
  void add(At item);
  void on_added(At item, Result<uv::Added> added);
  void already_whole(Item& item, const Prepared& there);
  void whole(Item& item);
  void failed(Item& item, Error error);
  void leave_if_done();
  void on_notice(const core::Notice& notice);
  void on_second();
  void on_stopped(int number);
  Snapshot look() const;
  Transfer view(const Item& item) const;
  std::string label(const Item& item) const;

  Session& session_;
  Voice& voice_;
  const Options& options_;
  Preparer preparer_;
  News news_;
  std::vector<FoundTracker> trackers_;
  std::unique_ptr<TorrentFinder> finder_;
  std::list<Item> items_;
  std::size_t at_ = 0;  ///< the WHAT that is next
  bool looking_ = false;
  int code_ = 0;  ///< of the first failure
};

int GetCommand::run() {
  session_.find_trackers([this](Result<std::vector<FoundTracker>> found) { on_trackers(std::move(found)); });
  return session_.run({.look = [this] { return look(); },
                       .on_notice = [this](const core::Notice& n) { on_notice(n); },
                       .on_second = [this] { on_second(); },
                       .on_signal = [this](int) { preparer_.cancel(); },
                       .on_stopped = [this](int number) { on_stopped(number); }});
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
  items_.push_back({});
  const auto item = std::prev(items_.end());
  item->what = item->name = options_.words[at_++];
  finder_->find(item->what, [this, item](Result<FoundTorrent> found) { on_torrent(item, std::move(found)); });
}

void GetCommand::on_torrent(At item, Result<FoundTorrent> found) {
  if (session_.ending()) return;
  if (!found) {
    failed(*item, found.error());
    return next();
  }
  item->info = found->info;
  item->trackers = trackers_;
  item->trackers.insert(item->trackers.end(), found->trackers.begin(), found->trackers.end());
  item->name = disk::safe_element(item->info->name);
  item->target = target_path(options_, item->name);

  if (session_.driver().client().find(item->info->info_hash)) {
    failed(*item, {Exit::usage, "twice", fmt::format("{} is being fetched already", printable(item->what)), {}});
    return next();
  }
  look_at_target(item);
}

/// A file under its own name is whole, or somebody else's.
void GetCommand::look_at_target(At item) {
  const auto same = [&](const Item& i) { return &i != &*item && i.moving && i.target == item->target; };
  if (std::ranges::any_of(items_, same)) {
    return on_target(item, fail(Exit::disk, "exists",
                                fmt::format("{} is what another download here is saved as", printable(item->target)),
                                "Use --rename, or fetch it into another folder"));
  }
  std::error_code none;
  if (!std::filesystem::exists(std::filesystem::symlink_status(item->target, none))) return add(item);
  preparer_.compare(item->info, item->target, uv::Workers::threads(),
                    [this, item](Result<Prepared> there) { on_target(item, std::move(there)); });
}

void GetCommand::on_target(At item, Result<Prepared> there) {
  if (session_.ending()) return;
  if (there && there->right.all()) {
    already_whole(*item, *there);
    return next();
  }
  if (options_.overwrite && there) return add(item);
  if (options_.rename && item->renamed < renames_max) {
    item->target = numbered_path(target_path(options_, item->name), ++item->renamed, item->info->folder);
    return look_at_target(item);
  }
  failed(*item, there ? Error{Exit::disk, "exists", fmt::format("{} exists and is different", printable(item->target)),
                              "Use --overwrite, --rename or -o"}
                      : there.error());
  next();
}

void GetCommand::add(At item) {
  const bool all_silent =
      std::ranges::all_of(item->trackers, [](const FoundTracker& t) { return t.kind == FoundTracker::Kind::silent; });
  if (all_silent && item->info->trackers.empty() && options_.peers.empty()) {
    failed(*item, item->trackers.empty() ? no_tracker_error(options_.again) : item->trackers.front().error);
    return next();
  }
  if (all_silent && !item->trackers.empty()) {
    voice_.warn(fmt::format("warning: {}", error_text(item->trackers.front().error)));
  }
  if (const auto made = make_parent(item->target); !made) {
    failed(*item, made.error());
    return next();
  }
  uv::AddDownload download;
  download.info = item->info;
  download.target = item->target;
  download.storage.replace = options_.overwrite;
  download.trackers = announce_tiers(item->trackers, item->info->trackers);
  download.swarm_trackers = swarm_bases(item->trackers);
  session_.driver().add(std::move(download),
                        [this, item](Result<uv::Added> added) { on_added(item, std::move(added)); });
}

void GetCommand::on_added(At item, Result<uv::Added> added) {
  if (session_.ending()) return;
  if (!added) {
    failed(*item, added.error());
    return next();
  }
  item->id = added->torrent;
  item->moving = true;
  item->began = item->last_progress = session_.now();
  session_.add_peers(item->id);
  news_.add(item->id, item->name, item->info);

  const auto stats = session_.driver().stats(item->id);
  const auto here = added->pieces_verified + added->pieces_unchecked;
  if (added->resumed) {
    const auto fraction =
        stats.bytes_total == 0 ? 1.0 : static_cast<double>(stats.bytes_done) / static_cast<double>(stats.bytes_total);
    voice_.advise(resuming_line(item->name, here, item->info->piece_count(), fraction));
  }
  const auto* tracker = main_tracker(item->trackers);
  voice_.event(start_json({item->name,
                           item->info->info_hash,
                           item->info->bytes_total,
                           item->info->piece_count(),
                           here,
                           tracker == nullptr ? std::string() : tracker->address.base,
                           {},
                           session_.driver().port()},
                          voice_.time()));
  session_.redraw();
  next();
}

void GetCommand::already_whole(Item& item, const Prepared& there) {
  const auto pieces = item.info->piece_count();
  voice_.event(
      start_json({item.name, item.info->info_hash, item.info->bytes_total, pieces, pieces, {}, {}, 0}, voice_.time()));
  Transfer now{item.name, false, {}};
  now.stats.pieces = now.stats.pieces_verified = pieces;
  now.stats.bytes_total = now.stats.bytes_done = item.info->bytes_total;
  voice_.event(done_json(now, absolute_path(item.target), there.seconds, options_.words.size() > 1));
  voice_.advise(fmt::format("{}  already whole, verified (sha1 {}/{})  {}  -> {}", printable(item.name), pieces, pieces,
                            size_text(item.info->bytes_total), printable(item.target)));
  if (!(voice_.terminal().out && voice_.terminal().err)) voice_.result(item.target);
}

void GetCommand::whole(Item& item) {
  item.moving = false;
  const auto now = view(item);
  const auto seconds = swarm::seconds(session_.now() - item.began);
  voice_.flush_all_pieces();
  voice_.event(done_json(now, absolute_path(item.target), seconds, options_.words.size() > 1));
  voice_.advise(voice_.terminal().err ? whole_line(now, seconds, item.target, voice_.look())
                                      : plain_whole_line(now, seconds, absolute_path(item.target)));
  // Where both are one terminal, the line above has said it.
  if (!(voice_.terminal().out && voice_.terminal().err)) voice_.result(item.target);
  leave_if_done();
}

void GetCommand::failed(Item& item, Error error) {
  item.moving = false;
  if (error.code == "disk_full") error.hint = "nothing lost, the same command resumes";
  voice_.error(error, label(item));
  if (code_ == 0) code_ = static_cast<int>(error.exit);
}

void GetCommand::leave_if_done() {
  if (looking_ || at_ < options_.words.size() || session_.ending()) return;
  if (std::ranges::none_of(items_, &Item::moving)) session_.end(code_);
}

void GetCommand::on_notice(const core::Notice& notice) {
  news_.on_notice(notice);
  const auto with = [this](TorrentId id) {
    return std::ranges::find_if(items_, [&](const Item& i) { return i.moving && i.id == id; });
  };
  if (const auto* finished = std::get_if<core::Finished>(&notice)) {
    if (const auto item = with(finished->torrent); item != items_.end()) whole(*item);
  } else if (const auto* failure = std::get_if<core::Failed>(&notice)) {
    if (const auto item = with(failure->torrent); item != items_.end()) {
      failed(*item, failure->error);
      leave_if_done();
    }
  }
}

/// --wait: progress is payload that came or pieces that were checked; the time that checking and syncing take counts as such.
void GetCommand::on_second() {
  const bool for_ever = !options_.wait && voice_.terminal().err;
  const auto wait = options_.wait.value_or(wait_off_a_terminal);
  for (auto& item : items_) {
    if (!item.moving) continue;
    const auto now = view(item);
    const auto progress = now.stats.bytes_down + now.stats.bytes_verified;
    if (progress != item.progress || now.stats.phase != core::Phase::downloading) {
      item.progress = progress;
      item.last_progress = session_.now();
    }
    const auto waited = session_.now() - item.last_progress;
    if (for_ever || waited < wait) continue;
    failed(item, no_peers_error(now, seconds(waited)));
    session_.driver().remove(item.id);
  }
  leave_if_done();
}

void GetCommand::on_stopped(int number) {
  for (const auto& item : items_) {
    if (!item.moving) continue;
    const auto s = session_.driver().stats(item.id);
    const auto fraction =
        s.bytes_total == 0 ? 1.0 : static_cast<double>(s.bytes_done) / static_cast<double>(s.bytes_total);
    voice_.advise(fmt::format("stopped {} at {}", printable(item.name), percent_text(fraction)));
  }
  voice_.event(error_json(128 + number, "interrupted", "stopped by a signal", "resume with: " + options_.again));
  voice_.advise(fmt::format("resume with: {}", printable(options_.again)));
}

Transfer GetCommand::view(const Item& item) const { return {item.name, false, session_.driver().stats(item.id)}; }

Snapshot GetCommand::look() const {
  Snapshot now;
  now.preparing = preparer_.progress();
  for (const auto& item : items_) {
    if (item.moving) now.transfers.push_back(view(item));
  }
  return now;
}

std::string GetCommand::label(const Item& item) const { return options_.words.size() > 1 ? item.name : std::string(); }

}  // namespace

int run_get(const Options& options, const Environment& environment, Voice& voice) {
  auto loop = uv::Loop::create();
  if (!loop) return voice.error(loop.error()), static_cast<int>(loop.error().exit);
  auto session = Session::open(options, voice, **loop);
  if (!session) return voice.error(session.error()), static_cast<int>(session.error().exit);
  return GetCommand(**session, environment).run();
}

}  // namespace swarm::cli
