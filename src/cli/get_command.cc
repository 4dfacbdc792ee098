// swarm get: downloads until all is whole and verified, then ends; with --seed it goes on sharing.
//
//   find trackers ─► for each WHAT: find its torrent ─► choose files ─► is it here already? ─► lock, add to the driver ─► next
//                                   │    │                                     │                      │
//                                   ▼    ▼                                     ▼                      ▼
//           joined: from peers, meanwhile next   --list, --check        "already whole"     whole, failed, or no peers for --wait
//
// One WHAT after the other is looked up; downloads run side by side meanwhile. Several WHATs: one that fails does not stop the
// others, and the first failure's code is the process's.
//
// -o -: the download goes into a spool, and from there, as its pieces are verified, to stdout; it ends when the last byte was
// taken, or when the reader has left: then quietly, with the code that other programs in a pipe end with.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <list>
#include <system_error>

#include "base/text.hh"
#include "cli/commands.hh"
#include "cli/file_choice.hh"
#include "cli/news.hh"
#include "cli/places.hh"
#include "cli/preparer.hh"
#include "cli/report.hh"
#include "cli/session.hh"
#include "cli/spool.hh"
#include "cli/stdout_stream.hh"
#include "cli/torrent_finder.hh"
#include "core/torrent/web_seeds.hh"
#include "disk/safe_path.hh"
#include "disk/target_lock.hh"

namespace swarm::cli {

namespace {

constexpr Duration wait_off_a_terminal = 60s;
constexpr unsigned renames_max = 1000;
constexpr int reader_left_code = 128 + SIGPIPE;
constexpr std::size_t runs_told = 5;  // of wrong pieces, by --check

/// "3, 7-9 and 12 more"
std::string wrong_pieces_text(const Bitfield& wrong) {
  std::string out;
  std::size_t told = 0, runs = 0;
  for (auto first = wrong.find(true); first < wrong.size();) {
    const auto end = wrong.find(false, first);
    if (++runs > runs_told) break;
    told += end - first;
    out += fmt::format("{}{}", out.empty() ? "" : ", ", first);
    if (end - first > 1) out += fmt::format("-{}", end - 1);
    first = wrong.find(true, end);
  }
  return told == wrong.count() ? out : fmt::format("{} and {} more", out, wrong.count() - told);
}

std::vector<std::vector<std::string>> tiers_of(const std::vector<std::string>& trackers) {
  std::vector<std::vector<std::string>> tiers;
  for (const auto& url : trackers) tiers.push_back({url});
  return tiers;
}

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
  struct Item {
    std::string what;
    std::string name;  ///< as it is saved
    std::string target;
    unsigned renamed = 0;
    std::shared_ptr<const wire::Metainfo> info;
    std::vector<bool> files;  ///< chosen with -f; empty: all
    std::vector<FoundTracker> trackers;
    std::optional<wire::Magnet> magnet;  ///< when it was asked for by its info-hash
    disk::TargetLock lock;
    std::vector<std::string> folders_made;  ///< taken back when nothing came
    std::unique_ptr<StdoutStream> stream;   ///< with -o -
    TorrentId id{};
    bool joined = false;   ///< its info dictionary comes, or came, from peers; another WHAT is looked up meanwhile
    bool moving = false;   ///< the driver has it, and it is neither whole nor failed
    bool seeding = false;  ///< with --seed: it is whole, and shared
    Instant began{};
    Instant last_progress{};
    std::uint64_t progress = 0;
    std::string web_seed_error;  ///< the last one, for a person
  };
  using At = std::list<Item>::iterator;

  void on_trackers(Result<std::vector<FoundTracker>> found);
  void next();
  void on_torrent(At item, Result<FoundTorrent> found);
  void join(At item);
  void settled(Item& item);
  void on_info(At item);
  Result<void> check_sources(const Item& item);
  void list(const Item& item);
  Result<void> prepare_stream(Item& item);
  void on_checked(At item, Result<Prepared> there);
  void look_at_target(At item);
  void on_target(At item, Result<Prepared> there);
  bool may_be_completed(const Item& item, const Prepared& there) const;
  void add(At item);
  void add_locked(At item);
  void on_added(At item, Result<uv::Added> added);
  void stream_to_stdout(At item);
  void on_streamed(At item, Result<void> taken);
  void already_whole(Item& item, const Prepared& there);
  void whole(Item& item);
  void stop_seeding(Item& item);
  bool shared_enough(const Item& item) const;
  void failed(Item& item, Error error);
  void leave_if_done();
  void on_notice(const core::Notice& notice);
  void on_second();
  void on_stopped(int number);
  void tidy();
  Snapshot look() const;
  Transfer view(const Item& item) const;
  std::string label(const Item& item) const;
  bool to_stdout() const { return spool_ != nullptr; }
  bool several() const { return options_.words.size() > 1; }

  Session& session_;
  Voice& voice_;
  const Options& options_;
  std::unique_ptr<Spool> spool_;  ///< with -o -
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
  for (auto& item : items_) {
    item.lock.release();
    remove_folders(item.folders_made);
  }
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
  item->info = std::move(found->info);
  item->trackers = trackers_;
  item->trackers.insert(item->trackers.end(), found->trackers.begin(), found->trackers.end());
  item->magnet = std::move(found->magnet);
  item->info ? on_info(item) : join(item);
}

/// Only peers can tell what it is: that may take its time, so the next WHAT is looked up meanwhile.
void GetCommand::join(At item) {
  const auto& magnet = *item->magnet;
  if (!magnet.name.empty()) item->name = disk::safe_element(magnet.name);
  if (session_.driver().client().find(magnet.info_hash)) {
    failed(*item, {Exit::usage, "twice", fmt::format("{} is being fetched already", printable(item->what)), {}});
    return next();
  }
  if (const auto sources = check_sources(*item); !sources) {
    failed(*item, sources.error());
    return next();
  }
  item->id = session_.driver().add_magnet({.info_hash = magnet.info_hash,
                                           .name = item->name,
                                           .trackers = announce_tiers(item->trackers, tiers_of(magnet.trackers)),
                                           .swarm_trackers = swarm_bases(item->trackers),
                                           .peers = {}},
                                          [this, item](Result<std::shared_ptr<const wire::Metainfo>> info) {
                                            if (session_.ending() || !item->moving) return;
                                            if (info) item->info = std::move(*info);
                                            if (info) return on_info(item);
                                            failed(*item, info.error());
                                            settled(*item);
                                          });
  for (const auto& peer : magnet.peers) session_.driver().add_peer(item->id, peer);
  session_.add_peers(item->id);
  item->joined = item->moving = true;
  item->began = item->last_progress = session_.now();
  session_.redraw();
  next();
}

/// All that had to be decided about it was.
void GetCommand::settled(Item& item) {
  if (!item.joined) return next();
  const bool added = item.moving || item.seeding;
  if (!added) session_.driver().remove(item.id);
  leave_if_done();
}

void GetCommand::on_info(At item) {
  item->name = disk::safe_element(item->info->name);
  auto chosen = options_.globs.empty() && item->magnet ? choose_files(*item->info, item->magnet->files)
                                                       : choose_files(*item->info, options_.globs);
  if (!chosen) {
    failed(*item, chosen.error());
    return settled(*item);
  }
  item->files = std::move(*chosen);
  if (options_.list) {
    list(*item);
    item->moving = false;
    return settled(*item);
  }
  item->target = to_stdout() ? fmt::format("{}/{}", spool_->path(), item->name) : target_path(options_, item->name);
  if (const auto ready = prepare_stream(*item); !ready) {
    failed(*item, ready.error());
    return settled(*item);
  }
  if (options_.check) {
    return preparer_.check(item->info, item->target, uv::Workers::threads(),
                           [this, item](Result<Prepared> there) { on_checked(item, std::move(there)); });
  }
  if (!item->joined && session_.driver().client().find(item->info->info_hash)) {
    failed(*item, {Exit::usage, "twice", fmt::format("{} is being fetched already", printable(item->what)), {}});
    return settled(*item);
  }
  look_at_target(item);
}

void GetCommand::list(const Item& item) {
  voice_.event(list_json(*item.info, item.files));
  if (voice_.terminal().out) {
    for (const auto& line : file_table(*item.info, item.files, voice_.out_look())) voice_.result(line);
    const auto size = size_of(*item.info, item.files);
    voice_.advise(
        fmt::format("{}  {} in {}", printable(item.name), size_text(size.bytes), counted(size.files, "file", "files")));
  } else {
    for (const auto& row : file_rows(*item.info, item.files)) voice_.result(row);
  }
}

/// Only one file can go to stdout.
Result<void> GetCommand::prepare_stream(Item& item) {
  if (!to_stdout()) return {};
  const auto files = size_of(*item.info, item.files).files;
  if (files == 1) return {};
  return fail(Exit::usage, "not_a_file",
              item.files.empty() ? fmt::format("{} is a folder ({}); choose one with -f", printable(item.name),
                                               counted(files, "file", "files"))
                                 : fmt::format("-f chooses {} of {}, and only one can go to stdout",
                                               counted(files, "file", "files"), printable(item.name)),
              "See them with --list");
}

/// --check: what was read against what is chosen.
void GetCommand::on_checked(At item, Result<Prepared> there) {
  if (session_.ending()) return;
  if (!there) {
    failed(*item, there.error());
    return settled(*item);
  }
  Bitfield wrong = pieces_of(*item->info, item->files);
  const auto pieces = wrong.count();
  for (auto p = there->right.find(true); p < there->right.size(); p = there->right.find(true, p + 1)) {
    wrong.set(p, false);
  }
  const auto right = pieces - wrong.count();
  voice_.event(checked_json({item->name, item->info->info_hash, there->path, pieces, right}));
  if (!wrong.none()) {
    failed(*item, {Exit::integrity, "check_failed",
                   fmt::format("{}: {} of {} are wrong or missing ({})", printable(there->path), wrong.count(),
                               counted(pieces, "piece", "pieces"), wrong_pieces_text(wrong)),
                   there->storage->place() == disk::Place::part ? "The same command without --check fetches them"
                                                                : "Fetch it anew with --overwrite"});
    return settled(*item);
  }
  item->moving = false;
  Transfer now{item->name, false, {}};
  voice_.event(done_json(now, there->path, there->seconds, several()));
  voice_.result(fmt::format("{}  verified (sha1 {}/{})  {}  -> {}", printable(item->name), right, pieces,
                            size_text(size_of(*item->info, item->files).bytes), printable(there->path)));
  settled(*item);
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
  // Files that were chosen earlier may stand there; the storage knows what to make of them.
  if (!item->files.empty() && std::filesystem::is_directory(item->target, none)) return add(item);
  preparer_.compare(item->info, item->target, uv::Workers::threads(),
                    [this, item](Result<Prepared> there) { on_target(item, std::move(there)); });
}

void GetCommand::on_target(At item, Result<Prepared> there) {
  if (session_.ending()) return;
  if (there && there->right.all()) {
    item->moving = false;
    already_whole(*item, *there);
    return settled(*item);
  }
  if (there && (options_.overwrite || may_be_completed(*item, *there))) return add(item);
  if (options_.rename && item->renamed < renames_max) {
    item->target = numbered_path(target_path(options_, item->name), ++item->renamed, item->info->folder);
    return look_at_target(item);
  }
  failed(*item, there ? Error{Exit::disk, "exists", fmt::format("{} exists and is different", printable(item->target)),
                              "Use --overwrite, --rename or -o"}
                      : there.error());
  settled(*item);
}

/// A folder of which files are missing, and no other is of a wrong size: what an earlier -f fetched.
bool GetCommand::may_be_completed(const Item& item, const Prepared& there) const {
  const auto& files = item.info->files;
  if (!item.info->folder || there.stamps.size() != files.size()) return false;
  bool missing = false, present = false;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (files[i].pad || files[i].length == 0) continue;
    const bool is_there = there.stamps[i] != disk::FileStamp{};
    if (is_there && there.stamps[i].bytes != files[i].length) return false;
    (is_there ? present : missing) = true;
  }
  return missing && present;
}

/// Is there anybody to ask? That no tracker answers is told.
Result<void> GetCommand::check_sources(const Item& item) {
  const bool all_silent =
      std::ranges::all_of(item.trackers, [](const FoundTracker& t) { return t.kind == FoundTracker::Kind::silent; });
  if (!all_silent || item.joined) return {};
  const bool others = !options_.peers.empty() ||
                      (item.info && (!item.info->trackers.empty() || !item.info->web_seeds.empty())) ||
                      (item.magnet && !(item.magnet->peers.empty() && item.magnet->web_seeds.empty()));
  if (!others) {
    return tl::unexpected(item.trackers.empty() ? no_tracker_error(options_.again) : item.trackers.front().error);
  }
  if (!item.trackers.empty()) voice_.warn(fmt::format("warning: {}", error_text(item.trackers.front().error)));
  return {};
}

void GetCommand::add(At item) {
  if (const auto sources = check_sources(*item); !sources) {
    failed(*item, sources.error());
    return settled(*item);
  }
  struct Place {
    Result<std::vector<std::string>> made;
    Result<disk::TargetLock> lock;
  };
  session_.workers().run(
      [target = item->target]() -> Place {
        auto made = make_parent(target);
        if (!made) return {std::move(made), disk::TargetLock()};
        return {std::move(made), disk::TargetLock::take(target)};
      },
      [this, item](Place place) {
        if (place.made) item->folders_made = std::move(*place.made);
        if (place.lock) item->lock = std::move(*place.lock);
        if (session_.ending()) return;
        if (place.made && place.lock) return add_locked(item);
        failed(*item, place.made ? place.lock.error() : place.made.error());
        settled(*item);
      });
}

void GetCommand::add_locked(At item) {
  uv::AddDownload download;
  download.info = item->info;
  download.target = item->target;
  download.storage.replace = options_.overwrite;
  download.storage.budget = session_.budget();
  download.trackers = announce_tiers(item->trackers, item->info->trackers);
  download.swarm_trackers = swarm_bases(item->trackers);
  download.files = item->files;
  if (item->magnet) download.web_seeds = item->magnet->web_seeds;
  download.sequential = options_.sequential || to_stdout();
  session_.driver().add(std::move(download),
                        [this, item](Result<uv::Added> added) { on_added(item, std::move(added)); });
}

void GetCommand::on_added(At item, Result<uv::Added> added) {
  if (session_.ending()) return;
  if (!added) {
    failed(*item, added.error());
    return settled(*item);
  }
  item->id = added->torrent;
  item->moving = true;
  item->began = item->last_progress = session_.now();
  if (!item->joined) session_.add_peers(item->id);
  news_.add(item->id, item->name, item->info);

  const auto stats = session_.driver().stats(item->id);
  const auto here = added->pieces_verified + added->pieces_unchecked;
  if (added->resumed && here > 0) {
    const auto fraction =
        stats.bytes_total == 0 ? 1.0 : static_cast<double>(stats.bytes_done) / static_cast<double>(stats.bytes_total);
    voice_.advise(resuming_line(item->name, here, item->info->piece_count(), fraction));
  }
  const auto* tracker = main_tracker(item->trackers);
  voice_.event(start_json({item->name,
                           item->info->info_hash,
                           stats.bytes_total,
                           stats.pieces,
                           here,
                           tracker == nullptr ? std::string() : tracker->address.base,
                           {},
                           session_.driver().port()},
                          voice_.time()));
  if (to_stdout()) stream_to_stdout(item);
  session_.redraw();
  settled(*item);
}

void GetCommand::stream_to_stdout(At item) {
  const auto& files = item->info->files;
  std::size_t file = 0;  // the one that is chosen
  while (files[file].pad || !(item->files.empty() || item->files[file])) ++file;
  auto storage = session_.driver().storage(item->id);
  const auto begin = storage->extents().start(FileIndex{static_cast<std::uint32_t>(file)});
  item->stream = std::make_unique<StdoutStream>(
      session_.loop(), session_.workers(), STDOUT_FILENO, std::move(storage), begin, begin + files[file].length,
      item->info->piece_bytes, [this, item](Result<void> taken) { on_streamed(item, std::move(taken)); });
}

/// All that was asked for is out, or never will be; what the torrent still lacks then is of no interest.
void GetCommand::on_streamed(At item, Result<void> taken) {
  if (session_.ending()) return;
  if (taken) {
    voice_.flush_all_pieces();
    voice_.advise(fmt::format("{}: {} written to stdout, every piece verified", printable(item->name),
                              size_text(item->stream->bytes_written())));
  } else if (taken.error().code == "reader_left") {
    if (code_ == 0) code_ = reader_left_code;
  } else {
    failed(*item, taken.error());
  }
  if (std::exchange(item->moving, false)) session_.driver().remove(item->id);
  item->stream.reset();
  leave_if_done();
}

void GetCommand::already_whole(Item& item, const Prepared& there) {
  const auto pieces = item.info->piece_count();
  voice_.event(
      start_json({item.name, item.info->info_hash, item.info->bytes_total, pieces, pieces, {}, {}, 0}, voice_.time()));
  Transfer now{item.name, false, {}};
  now.stats.pieces = now.stats.pieces_verified = pieces;
  now.stats.bytes_total = now.stats.bytes_done = item.info->bytes_total;
  const auto path = absolute_path(item.target);
  voice_.event((options_.keep_seeding ? whole_json : done_json)(now, path, there.seconds, several()));
  voice_.advise(fmt::format("{}  already whole, verified (sha1 {}/{})  {}  -> {}", printable(item.name), pieces, pieces,
                            size_text(item.info->bytes_total), printable(item.target)));
  if (!(voice_.terminal().out && voice_.terminal().err)) voice_.result(item.target);
  if (!options_.keep_seeding) return;
  if (item.joined) session_.driver().remove(item.id);  // as a seed it is another torrent to the driver
  item.id = session_.driver().add_seed({.info = item.info,
                                        .storage = there.storage,
                                        .verified = there.right,
                                        .stamps = there.stamps,
                                        .trackers = announce_tiers(item.trackers, item.info->trackers),
                                        .swarm_trackers = swarm_bases(item.trackers),
                                        .peers = {}});
  session_.add_peers(item.id);
  news_.add(item.id, item.name, item.info);
  item.seeding = true;
  item.began = session_.now();
}

void GetCommand::whole(Item& item) {
  item.moving = false;
  if (item.stream) return item.stream->on_verified(session_.driver().verified(item.id));
  const auto now = view(item);
  const auto seconds = swarm::seconds(session_.now() - item.began);
  voice_.flush_all_pieces();
  voice_.event((options_.keep_seeding ? whole_json : done_json)(now, absolute_path(item.target), seconds, several()));
  voice_.advise(voice_.terminal().err ? whole_line(now, seconds, item.target, voice_.look())
                                      : plain_whole_line(now, seconds, absolute_path(item.target)));
  // Where both are one terminal, the line above has said it.
  if (!(voice_.terminal().out && voice_.terminal().err)) voice_.result(item.target);
  voice_.flush();
  item.lock.release();
  item.folders_made.clear();
  if (options_.keep_seeding) {
    item.seeding = true;
    item.began = session_.now();
    return session_.redraw();
  }
  leave_if_done();
}

void GetCommand::stop_seeding(Item& item) {
  item.seeding = false;
  const auto now = view(item);
  voice_.event(done_json(now, absolute_path(item.target), seconds(session_.now() - item.began), several()));
  voice_.advise(fmt::format("stopped sharing {}  {} sent", printable(item.name), size_text(now.stats.bytes_up)));
}

/// Of --seed=RATIO, --seed=DUR.
bool GetCommand::shared_enough(const Item& item) const {
  if (options_.until_passed) return session_.now() - item.began >= *options_.until_passed;
  if (!options_.until_ratio) return false;
  const auto s = session_.driver().stats(item.id);
  return static_cast<double>(s.bytes_up) >= *options_.until_ratio * static_cast<double>(s.bytes_total);
}

void GetCommand::failed(Item& item, Error error) {
  item.moving = item.seeding = false;
  if (error.code == "disk_full") {
    error.hint = to_stdout() ? "Say where there is room: TMPDIR=DIR" : "nothing lost, the same command resumes";
  }
  voice_.error(error, label(item));
  if (code_ == 0) code_ = static_cast<int>(error.exit);
}

void GetCommand::leave_if_done() {
  if (looking_ || at_ < options_.words.size() || session_.ending()) return;
  const auto busy = [](const Item& i) { return i.moving || i.seeding || i.stream; };
  if (std::ranges::none_of(items_, busy)) session_.end(code_);
}

void GetCommand::on_notice(const core::Notice& notice) {
  news_.on_notice(notice);
  const auto with = [this](TorrentId id) {
    return std::ranges::find_if(items_, [&](const Item& i) { return (i.moving || i.seeding) && i.id == id; });
  };
  if (const auto* checked = std::get_if<core::PieceChecked>(&notice); checked != nullptr && checked->ok) {
    const auto item = with(checked->torrent);
    if (item != items_.end() && item->stream) item->stream->on_verified(session_.driver().verified(item->id));
  }
  if (const auto* news = std::get_if<core::WebSeedNews>(&notice)) {
    const auto name = sender_text(core::web_seed_endpoint(news->web_seed));
    if (const auto item = with(news->torrent); item != items_.end()) {
      item->web_seed_error = fmt::format("{}: {}", name, news->error.message);
    }
  } else if (const auto* banned = std::get_if<core::PeerBanned>(&notice);
             banned && core::web_seed_number(banned->peer)) {
    if (const auto item = with(banned->torrent); item != items_.end()) {
      item->web_seed_error = fmt::format("{} sent wrong data, and is asked no more", sender_text(banned->peer));
    }
  }
  if (const auto* finished = std::get_if<core::Finished>(&notice)) {
    if (const auto item = with(finished->torrent); item != items_.end() && item->moving) whole(*item);
  } else if (const auto* failure = std::get_if<core::Failed>(&notice)) {
    if (const auto item = with(failure->torrent); item != items_.end()) {
      item->stream.reset();
      failed(*item, failure->error);
      leave_if_done();
    }
  }
}

/// --wait: progress is payload that came (also what a web seed sends on its way to what is missing) or pieces that were checked; the time that checking and syncing take counts as such.
void GetCommand::on_second() {
  const bool for_ever = !options_.wait && voice_.terminal().err;
  const auto wait = options_.wait.value_or(wait_off_a_terminal);
  for (auto& item : items_) {
    if (item.stream) item.stream->look_at_reader();
    if (item.seeding && shared_enough(item)) {
      stop_seeding(item);
      session_.driver().remove(item.id);
    }
    if (!item.moving) continue;
    const auto now = view(item);
    const auto progress = now.stats.bytes_down + now.stats.bytes_verified + now.stats.metadata_done +
                          session_.driver().web_bytes_dropped();
    const bool fetching = now.stats.phase == core::Phase::downloading || now.stats.phase == core::Phase::metadata;
    if (progress != item.progress || !fetching) {
      item.progress = progress;
      item.last_progress = session_.now();
    }
    const auto waited = session_.now() - item.last_progress;
    if (for_ever || waited < wait) continue;
    item.stream.reset();
    auto error = no_peers_error(now, seconds(waited));
    if (!item.info && !item.magnet->web_seeds.empty()) {
      error.hint = "Only peers can tell what a magnet link is, web seeds cannot; give the .torrent, or --peer";
    }
    failed(item, std::move(error));
    session_.driver().remove(item.id);
  }
  leave_if_done();
}

void GetCommand::on_stopped(int number) {
  bool all_whole = !looking_ && at_ == options_.words.size();
  for (auto& item : items_) {
    if (item.seeding) stop_seeding(item);
    if (!item.moving) continue;
    all_whole = false;
    const auto s = session_.driver().stats(item.id);
    const auto fraction =
        s.bytes_total == 0 ? 1.0 : static_cast<double>(s.bytes_done) / static_cast<double>(s.bytes_total);
    voice_.advise(fmt::format("stopped {} at {}", printable(item.name), percent_text(fraction)));
  }
  if (all_whole) return;
  const auto hint = to_stdout() ? std::string() : "resume with: " + options_.again;
  voice_.event(error_json(128 + number, "interrupted", "stopped by a signal", hint));
  if (!hint.empty()) voice_.advise(printable(hint));
}

Transfer GetCommand::view(const Item& item) const {
  return {item.name, item.seeding, session_.driver().stats(item.id), item.web_seed_error};
}

Snapshot GetCommand::look() const {
  Snapshot now;
  now.preparing = preparer_.progress();
  for (const auto& item : items_) {
    if (item.moving || item.seeding) now.transfers.push_back(view(item));
  }
  return now;
}

std::string GetCommand::label(const Item& item) const { return several() ? item.name : std::string(); }

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
