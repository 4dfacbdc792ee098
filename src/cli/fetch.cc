#include "cli/fetch.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/text.hh"
#include "cli/file_choice.hh"
#include "cli/piece_ranges.hh"
#include "cli/places.hh"
#include "cli/report.hh"
#include "disk/safe_path.hh"

namespace swarm::cli {

namespace {

constexpr Duration wait_off_a_terminal = 60s;
constexpr unsigned renames_max = 1000;
constexpr int reader_left_code = 128 + SIGPIPE;

}  // namespace

Fetch::Fetch(Command& command, std::string what)
    : command_(command),
      session_(command.session),
      voice_(command.session.voice()),
      options_(command.session.options()),
      what_(std::move(what)),
      name_(what_) {}

void Fetch::start(FoundTorrent found, const std::vector<FoundTracker>& trackers) {
  info_ = std::move(found.info);
  trackers_ = trackers;
  trackers_.insert(trackers_.end(), found.trackers.begin(), found.trackers.end());
  magnet_ = std::move(found.magnet);
  info_ ? on_info() : join();
}

/// Only peers can tell what it is: that may take its time, so the next WHAT is looked up meanwhile.
void Fetch::join() {
  const auto& magnet = *magnet_;
  if (!magnet.name.empty()) name_ = disk::safe_element(magnet.name);
  if (is_here_already(magnet.info_hash)) {
    return command_.decided();
  }
  if (const auto sources = check_sources(); !sources) {
    failed(sources.error());
    return command_.decided();
  }
  id_ = session_.driver().add_magnet({.info_hash = magnet.info_hash,
                                      .name = name_,
                                      .trackers = announce_tiers(trackers_, tiers_of(magnet)),
                                      .swarm_trackers = swarm_bases(trackers_),
                                      .peers = {}},
                                     [this](Result<std::shared_ptr<const wire::Metainfo>> info) {
                                       if (session_.ending() || !moving_) return;
                                       if (info) info_ = std::move(*info);
                                       if (info) return on_info();
                                       failed(info.error());
                                       settled();
                                     });
  for (const auto& peer : magnet.peers) session_.driver().add_peer(id_, peer);
  session_.add_peers(id_);
  joined_ = moving_ = true;
  began_ = last_progress_ = session_.now();
  session_.redraw();
  command_.decided();
}

/// Asked for twice in one command.
bool Fetch::is_here_already(const InfoHash& info_hash) {
  if (!session_.driver().client().find(info_hash)) return false;
  failed({Exit::usage, "twice", fmt::format("{} is being fetched already", printable(what_)), {}});
  return true;
}

/// All that had to be decided about it was.
void Fetch::settled() {
  if (!joined_) return command_.decided();
  const bool added = moving_ || seeding_;
  if (!added) session_.driver().remove(id_);
  command_.ended();
}

void Fetch::on_info() {
  name_ = disk::safe_element(info_->name);
  auto chosen =
      options_.globs.empty() && magnet_ ? choose_files(*info_, magnet_->files) : choose_files(*info_, options_.globs);
  if (!chosen) {
    failed(chosen.error());
    return settled();
  }
  files_ = std::move(*chosen);
  if (options_.list) {
    list();
    moving_ = false;
    return settled();
  }
  target_ = to_stdout() ? fmt::format("{}/{}", command_.spool->path(), name_) : target_path(options_, name_);
  if (const auto ready = check_stream(); !ready) {
    failed(ready.error());
    return settled();
  }
  if (options_.check) {
    return command_.preparer.check(info_, target_, uv::Workers::threads(),
                                   [this](Result<Prepared> there) { on_checked(std::move(there)); });
  }
  if (!joined_ && is_here_already(info_->info_hash)) {
    return settled();
  }
  look_at_target();
}

void Fetch::list() const {
  voice_.event(list_json(*info_, files_));
  if (voice_.terminal().out) {
    for (const auto& line : file_table(*info_, files_, voice_.out_look())) voice_.result(line);
    const auto size = size_of(*info_, files_);
    voice_.advise(
        fmt::format("{}  {} in {}", printable(name_), size_text(size.bytes), counted(size.files, "file", "files")));
  } else {
    for (const auto& row : file_rows(*info_, files_)) voice_.result(row);
  }
}

/// Only one file can go to stdout.
Result<void> Fetch::check_stream() const {
  if (!to_stdout()) return {};
  const auto files = size_of(*info_, files_).files;
  if (files == 1) return {};
  return fail(Exit::usage, "not_a_file",
              files_.empty() ? fmt::format("{} is a folder ({}); choose one with -f", printable(name_),
                                           counted(files, "file", "files"))
                             : fmt::format("-f chooses {} of {}, and only one can go to stdout",
                                           counted(files, "file", "files"), printable(name_)),
              "See them with --list");
}

/// --check: what was read against what is chosen.
void Fetch::on_checked(Result<Prepared> there) {
  if (session_.ending()) return;
  if (!there) {
    failed(there.error());
    return settled();
  }
  Bitfield wrong = pieces_of(*info_, files_);
  const auto pieces = wrong.count();
  for (auto p = there->right.find(true); p < there->right.size(); p = there->right.find(true, p + 1)) {
    wrong.set(p, false);
  }
  const auto right = pieces - wrong.count();
  voice_.event(checked_json({name_, info_->info_hash, there->path, pieces, right}));
  if (!wrong.none()) {
    failed({Exit::integrity, "check_failed",
            fmt::format("{}: {} of {} are wrong or missing ({})", printable(there->path), wrong.count(),
                        counted(pieces, "piece", "pieces"), runs_text(wrong)),
            there->storage->place() == disk::Place::part ? "The same command without --check fetches them"
                                                         : "Fetch it anew with --overwrite"});
    return settled();
  }
  moving_ = false;
  Transfer now{name_, false, {}};
  voice_.event(done_json(now, there->path, there->seconds, several()));
  voice_.result(fmt::format("{}  verified (sha1 {}/{})  {}  -> {}", printable(name_), right, pieces,
                            size_text(size_of(*info_, files_).bytes), printable(there->path)));
  settled();
}

/// A file under its own name is whole, or somebody else's.
void Fetch::look_at_target() {
  if (command_.target_taken(*this)) {
    return on_target(fail(Exit::disk, "exists",
                          fmt::format("{} is what another download here is saved as", printable(target_)),
                          "Use --rename, or fetch it into another folder"));
  }
  std::error_code none;
  if (!std::filesystem::exists(std::filesystem::symlink_status(target_, none))) return add();
  // Files that were chosen earlier may stand there; the storage knows what to make of them.
  if (!files_.empty() && std::filesystem::is_directory(target_, none)) return add();
  command_.preparer.compare(info_, target_, uv::Workers::threads(),
                            [this](Result<Prepared> there) { on_target(std::move(there)); });
}

void Fetch::on_target(Result<Prepared> there) {
  if (session_.ending()) return;
  if (there && there->right.all()) {
    moving_ = false;
    already_whole(*there);
    return settled();
  }
  if (there && (options_.overwrite || there->may_be_completed())) return add();
  if (options_.rename && renamed_ < renames_max) {
    target_ = numbered_path(target_path(options_, name_), ++renamed_, info_->folder);
    return look_at_target();
  }
  failed(there ? Error{Exit::disk, "exists", fmt::format("{} exists and is different", printable(target_)),
                       "Use --overwrite, --rename or -o"}
               : there.error());
  settled();
}

/// Is there anybody to ask? That no tracker answers is told.
Result<void> Fetch::check_sources() const {
  const bool all_silent =
      std::ranges::all_of(trackers_, [](const FoundTracker& t) { return t.kind == FoundTracker::Kind::silent; });
  if (!all_silent || joined_) return {};
  const bool others = !options_.peers.empty() || (info_ && (!info_->trackers.empty() || !info_->web_seeds.empty())) ||
                      (magnet_ && !(magnet_->peers.empty() && magnet_->web_seeds.empty()));
  if (!others) {
    return tl::unexpected(trackers_.empty() ? no_tracker_error(options_.again) : trackers_.front().error);
  }
  if (!trackers_.empty()) voice_.warn(fmt::format("warning: {}", error_text(trackers_.front().error)));
  return {};
}

void Fetch::add() {
  if (const auto sources = check_sources(); !sources) {
    failed(sources.error());
    return settled();
  }
  struct Place {
    Result<std::vector<std::string>> made;
    Result<disk::TargetLock> lock;
  };
  session_.workers().run(
      [target = target_]() -> Place {
        auto made = make_parent(target);
        if (!made) return {std::move(made), disk::TargetLock()};
        return {std::move(made), disk::TargetLock::take(target)};
      },
      [this](Place place) {
        if (place.made) folders_made_ = std::move(*place.made);
        if (place.lock) lock_ = std::move(*place.lock);
        if (session_.ending()) return;
        if (place.made && place.lock) return add_locked();
        failed(place.made ? place.lock.error() : place.made.error());
        settled();
      });
}

void Fetch::add_locked() {
  uv::AddDownload download;
  download.info = info_;
  download.target = target_;
  download.storage.replace = options_.overwrite;
  download.storage.budget = session_.budget();
  download.trackers = announce_tiers(trackers_, info_->trackers);
  download.swarm_trackers = swarm_bases(trackers_);
  download.files = files_;
  if (magnet_) download.web_seeds = magnet_->web_seeds;
  download.sequential = options_.sequential || to_stdout();
  session_.driver().add(std::move(download), [this](Result<uv::Added> added) { on_added(std::move(added)); });
}

void Fetch::on_added(Result<uv::Added> added) {
  if (session_.ending()) return;
  if (!added) {
    failed(added.error());
    return settled();
  }
  id_ = added->torrent;
  moving_ = true;
  began_ = last_progress_ = session_.now();
  if (!joined_) session_.add_peers(id_);
  command_.news.add(id_, name_, info_);

  const auto stats = session_.driver().stats(id_);
  const auto here = added->pieces_verified + added->pieces_unchecked;
  if (added->resumed && here > 0) {
    const auto fraction = share(stats.bytes_done, stats.bytes_total);
    voice_.advise(resuming_line(name_, here, info_->piece_count(), fraction));
  }
  const auto* tracker = main_tracker(trackers_);
  voice_.event(start_json({name_,
                           info_->info_hash,
                           stats.bytes_total,
                           stats.pieces,
                           here,
                           tracker == nullptr ? std::string() : tracker->address.base,
                           {},
                           session_.driver().port()},
                          voice_.time()));
  if (to_stdout()) stream_to_stdout();
  session_.redraw();
  settled();
}

void Fetch::stream_to_stdout() {
  const auto& files = info_->files;
  std::size_t file = 0;  // the one that is chosen
  while (files[file].pad || !(files_.empty() || files_[file])) ++file;
  auto storage = session_.driver().storage(id_);
  const auto begin = storage->extents().start(FileIndex{static_cast<std::uint32_t>(file)});
  stream_ = std::make_unique<StdoutStream>(session_.loop(), session_.workers(), STDOUT_FILENO, std::move(storage),
                                           begin, begin + files[file].length, info_->piece_bytes,
                                           [this](Result<void> taken) { on_streamed(std::move(taken)); });
}

/// All that was asked for is out, or never will be; what the torrent still lacks then is of no interest.
void Fetch::on_streamed(Result<void> taken) {
  if (session_.ending()) return;
  if (taken) {
    voice_.flush_all_pieces();
    voice_.advise(fmt::format("{}: {} written to stdout, every piece verified", printable(name_),
                              size_text(stream_->bytes_written())));
  } else if (taken.error().code == "reader_left") {
    command_.failed(reader_left_code);
  } else {
    failed(taken.error());
  }
  if (std::exchange(moving_, false)) session_.driver().remove(id_);
  stream_.reset();
  command_.ended();
}

void Fetch::already_whole(const Prepared& there) {
  const auto pieces = info_->piece_count();
  voice_.event(start_json({name_, info_->info_hash, info_->bytes_total, pieces, pieces, {}, {}, 0}, voice_.time()));
  Transfer now{name_, false, {}};
  now.stats.pieces = now.stats.pieces_verified = pieces;
  now.stats.bytes_total = now.stats.bytes_done = info_->bytes_total;
  const auto path = absolute_path(target_);
  voice_.event((options_.keep_seeding ? whole_json : done_json)(now, path, there.seconds, several()));
  voice_.advise(fmt::format("{}  already whole, verified (sha1 {}/{})  {}  -> {}", printable(name_), pieces, pieces,
                            size_text(info_->bytes_total), printable(target_)));
  if (!(voice_.terminal().out && voice_.terminal().err)) voice_.result(target_);
  if (!options_.keep_seeding) return;
  if (joined_) session_.driver().remove(id_);  // as a seed it is another torrent to the driver
  id_ = session_.driver().add_seed({.info = info_,
                                    .storage = there.storage,
                                    .verified = there.right,
                                    .stamps = there.stamps,
                                    .trackers = announce_tiers(trackers_, info_->trackers),
                                    .swarm_trackers = swarm_bases(trackers_),
                                    .peers = {}});
  session_.add_peers(id_);
  command_.news.add(id_, name_, info_);
  seeding_ = true;
  began_ = session_.now();
}

void Fetch::on_finished() {
  moving_ = false;
  if (stream_) return stream_->on_verified(session_.driver().verified(id_));
  const auto now = view();
  const auto seconds = swarm::seconds(session_.now() - began_);
  voice_.flush_all_pieces();
  voice_.event((options_.keep_seeding ? whole_json : done_json)(now, absolute_path(target_), seconds, several()));
  voice_.advise(voice_.terminal().err ? whole_line(now, seconds, target_, voice_.look())
                                      : plain_whole_line(now, seconds, absolute_path(target_)));
  // Where both are one terminal, the line above has said it.
  if (!(voice_.terminal().out && voice_.terminal().err)) voice_.result(target_);
  voice_.flush();
  lock_.release();
  folders_made_.clear();
  if (options_.keep_seeding) {
    seeding_ = true;
    began_ = session_.now();
    return session_.redraw();
  }
  command_.ended();
}

void Fetch::on_verified() {
  if (stream_) stream_->on_verified(session_.driver().verified(id_));
}

void Fetch::on_failed(const Error& error) {
  stream_.reset();
  failed(error);
  command_.ended();
}

/// --wait: progress is payload that came (also what a web seed sends on its way to what is missing) or pieces that were
/// checked; the time that checking and syncing take counts as such.
void Fetch::on_second() {
  if (stream_) stream_->look_at_reader();
  if (seeding_ && shared_enough()) {
    stop_seeding();
    session_.driver().remove(id_);
  }
  if (!moving_) return;
  const auto now = view();
  const auto progress =
      now.stats.bytes_down + now.stats.bytes_verified + now.stats.metadata_done + session_.driver().web_bytes_dropped();
  const bool fetching = now.stats.phase == core::Phase::downloading || now.stats.phase == core::Phase::metadata;
  if (progress != progress_ || !fetching) {
    progress_ = progress;
    last_progress_ = session_.now();
  }
  const bool for_ever = !options_.wait && voice_.terminal().err;
  const auto waited = session_.now() - last_progress_;
  if (for_ever || waited < options_.wait.value_or(wait_off_a_terminal)) return;
  stream_.reset();
  auto error = no_peers_error(now, seconds(waited));
  if (!info_ && !magnet_->web_seeds.empty()) {
    error.hint = "Only peers can tell what a magnet link is, web seeds cannot; give the .torrent, or --peer";
  }
  failed(std::move(error));
  session_.driver().remove(id_);
}

bool Fetch::on_stopped() {
  if (seeding_) stop_seeding();
  if (!moving_) return false;
  const auto s = session_.driver().stats(id_);
  const auto fraction = share(s.bytes_done, s.bytes_total);
  voice_.advise(fmt::format("stopped {} at {}", printable(name_), percent_text(fraction)));
  return true;
}

void Fetch::tidy() {
  lock_.release();
  remove_folders(folders_made_);
}

Transfer Fetch::view() const { return {name_, seeding_, session_.driver().stats(id_), web_seed_error_}; }

void Fetch::stop_seeding() {
  seeding_ = false;
  const auto now = view();
  voice_.event(done_json(now, absolute_path(target_), seconds(session_.now() - began_), several()));
  voice_.advise(fmt::format("stopped sharing {}  {} sent", printable(name_), size_text(now.stats.bytes_up)));
}

/// Of --seed=RATIO, --seed=DUR.
bool Fetch::shared_enough() const {
  if (options_.until_passed) return session_.now() - began_ >= *options_.until_passed;
  if (!options_.until_ratio) return false;
  const auto s = session_.driver().stats(id_);
  return static_cast<double>(s.bytes_up) >= *options_.until_ratio * static_cast<double>(s.bytes_total);
}

void Fetch::failed(Error error) {
  moving_ = seeding_ = false;
  if (error.code == "disk_full") {
    error.hint = to_stdout() ? "Say where there is room: TMPDIR=DIR" : "nothing lost, the same command resumes";
  }
  voice_.error(error, several() ? name_ : std::string());
  command_.failed(static_cast<int>(error.exit));
}

}  // namespace swarm::cli
