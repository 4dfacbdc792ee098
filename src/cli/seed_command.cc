// swarm seed: files and folders hashed, put into the tracker's catalogue, and served.
//
//   find trackers ─► for each PATH: hash (or remember) ─► publish ─► add to the driver ─► say so ─► next PATH
//
// One PATH after the other is prepared, so that hashing has the disk to itself; those that are ready are served meanwhile.
// What comes on stdin ('-') is first written to a spool, which goes with the program.
//
// A tracker that lost its catalogue (another state folder, a disk that was replaced) is given the torrents again: each swarm
// tracker is asked twice a minute what it holds, and soon after one that was silent answers again, or one has restarted
// (core/discovery/heartbeat.hh, rule 4). Never in the place of other content that has the name by then.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "base/text.hh"
#include "cli/commands.hh"
#include "cli/news.hh"
#include "cli/places.hh"
#include "cli/preparer.hh"
#include "cli/report.hh"
#include "cli/session.hh"
#include "cli/spool.hh"
#include "cli/stdin_reader.hh"
#include "cli/token.hh"
#include "cli/torrent_finder.hh"
#include "disk/safe_path.hh"
#include "disk/sources.hh"
#include "wire/magnet.hh"

namespace swarm::cli {

namespace {

constexpr Duration look_every = 30s, look_away = 5s, look_soon = 2s;
constexpr std::size_t again_at_once = 64;           // requests under way; the rest follows soon
constexpr std::size_t catalogue_shown_max = 4'000;  // files that a tracker lists

class SeedCommand {
 public:
  SeedCommand(Session& session, const Environment& environment, std::unique_ptr<Spool> spool, std::string token)
      : session_(session),
        voice_(session.voice()),
        options_(session.options()),
        spool_(std::move(spool)),
        preparer_(session.loop(), session.workers(), session.budget(),
                  spool_ ? std::string() : seed_cache_folder(environment)),
        news_(session, options_.words.size() > 1),
        token_(std::move(token)) {}

  int run();

 private:
  struct Torrent {
    TorrentId id{};
    std::string name;
    std::string path;
    std::shared_ptr<const wire::Metainfo> info;
    bool failed = false;
  };

  void on_trackers(Result<std::vector<FoundTracker>> found);
  void no_tracker();
  void next();
  void read_stdin();
  void prepare(const std::string& path);
  void on_prepared(const std::string& path, Result<Prepared> prepared);
  Result<void> write_output(const wire::Metainfo& info);
  void say_magnet(const std::string& magnet);
  void publish(std::shared_ptr<const Prepared> prepared, std::size_t tracker);
  uv::HttpAsk put_request(const TrackerAddress& address, const wire::Metainfo& info, bool replace) const;
  void share(const Prepared& prepared);
  void look_at_catalogues();
  void on_catalogue(const TrackerAddress& address, const Result<wire::HttpResponse>& reply);
  void publish_again(const TrackerAddress& address, const Torrent& t);
  void failed(const Error& error, const std::string& name);
  void on_notice(const core::Notice& notice);
  void on_second();
  void on_signal(int number);
  void finish(int code);
  Snapshot look() const;
  Transfer view(const Torrent& t) const;
  std::string name_of(const wire::Metainfo& info) const { return options_.name.empty() ? info.name : options_.name; }
  std::size_t threads() const;

  Session& session_;
  Voice& voice_;
  const Options& options_;
  std::unique_ptr<Spool> spool_;  ///< with '-'
  std::unique_ptr<StdinReader> stdin_;
  Preparer preparer_;
  News news_;
  std::string token_;  ///< for the catalogue; may be empty
  std::vector<FoundTracker> trackers_;
  std::vector<Torrent> torrents_;
  std::size_t at_ = 0;  ///< the PATH that is next
  int code_ = 0;        ///< of the first failure
  Instant began_{};
  Instant look_at_{};           ///< when the catalogues are asked next
  std::set<std::string> told_;  ///< what was said of publishing again, so that it is said once
};

int SeedCommand::run() {
  began_ = session_.now();
  look_at_ = began_ + look_every;
  if (options_.dry_run) {
    next();
  } else {
    session_.find_trackers([this](Result<std::vector<FoundTracker>> found) { on_trackers(std::move(found)); });
  }
  return session_.run({.look = [this] { return look(); },
                       .on_notice = [this](const core::Notice& n) { on_notice(n); },
                       .on_second = [this] { on_second(); },
                       .on_signal = [this](int number) { on_signal(number); },
                       .on_abandoned =
                           [this] {
                             if (spool_) spool_->remove();
                           }});
}

void SeedCommand::on_trackers(Result<std::vector<FoundTracker>> found) {
  if (session_.ending()) return;
  const auto stop = [this](const Error& e) {
    voice_.error(e);
    session_.end(static_cast<int>(e.exit));
  };
  if (!found) return stop(found.error());
  trackers_ = std::move(*found);
  const auto is_silent = [](const FoundTracker& t) { return t.kind == FoundTracker::Kind::silent; };
  if (trackers_.empty() && options_.peers.empty() && options_.torrent.empty()) return no_tracker();
  if (!trackers_.empty() && std::ranges::all_of(trackers_, is_silent)) return stop(trackers_.front().error);
  for (const auto& t : trackers_) {
    if (is_silent(t)) voice_.warn(fmt::format("warning: {}", error_text(t.error)));
  }
  next();
}

/// Nobody to tell of it. But when the paths are wrong too, that is what the person wants to hear first.
void SeedCommand::no_tracker() {
  session_.workers().run(
      [paths = spool_ ? std::vector<std::string>{} : options_.words]() -> Result<void> {
        for (const auto& path : paths) {
          if (const auto source = disk::scan(path); !source) return tl::unexpected(source.error());
        }
        return {};
      },
      [this](const Result<void>& scanned) {
        if (session_.ending()) return;
        const auto error = scanned ? no_tracker_error(options_.again) : scanned.error();
        voice_.error(error);
        session_.end(static_cast<int>(error.exit));
      });
}

/// The next PATH, or the end of the list.
void SeedCommand::next() {
  if (session_.ending()) return;
  if (at_ < options_.words.size()) {
    const auto& path = options_.words[at_++];
    return spool_ ? read_stdin() : prepare(path);
  }
  if (options_.dry_run || torrents_.empty()) session_.end(code_);
}

std::size_t SeedCommand::threads() const {
  const auto all = uv::Workers::threads();
  return torrents_.empty() || all < 2 ? all : all - 1;  // what is shared already wants to be read, too
}

void SeedCommand::read_stdin() {
  const auto path = fmt::format("{}/{}", spool_->path(), disk::safe_element(options_.name));
  stdin_ =
      std::make_unique<StdinReader>(session_.workers(), STDIN_FILENO, path, [this, path](Result<std::uint64_t> read) {
        stdin_.reset();
        if (session_.ending()) return;
        if (!read) return failed(read.error(), "-");
        if (*read == 0) {
          return failed({Exit::usage, "empty", "nothing came on stdin", {}}, "-");
        }
        prepare(path);
      });
  if (voice_.terminal().err) voice_.advise(fmt::format("reading {} from stdin", printable(options_.name)));
}

void SeedCommand::prepare(const std::string& path) {
  const auto done = [this, path](Result<Prepared> prepared) { on_prepared(path, std::move(prepared)); };
  if (options_.torrent.empty()) {
    NewTorrent wanted{path,
                      options_.name,
                      options_.piece_bytes,
                      options_.is_private,
                      options_.comment,
                      options_.web_seeds,
                      announce_tiers(trackers_, {})};
    if (options_.dry_run) {
      for (const auto& text : options_.trackers) {
        const auto address = parse_tracker(text);
        if (!address) return failed(address.error(), path);
        wanted.trackers.push_back({address->announce});
      }
    }
    return preparer_.make(std::move(wanted), threads(), done);
  }
  struct Read {
    Result<wire::Metainfo> info;
    bool there = false;
  };
  session_.workers().run(
      [file = options_.torrent, path] {
        return Read{read_torrent(file), ::access(path.c_str(), F_OK) == 0};
      },
      [this, path, done](Read read) {
        if (!read.info) return done(tl::unexpected(read.info.error()));
        if (!read.there) {
          return done(fail(Exit::not_found, "not_found", fmt::format("{} does not exist", printable(path))));
        }
        preparer_.compare(std::make_shared<const wire::Metainfo>(std::move(*read.info)), path, threads(), done);
      });
}

void SeedCommand::on_prepared(const std::string& path, Result<Prepared> prepared) {
  if (session_.ending()) return;
  if (!prepared) return failed(prepared.error(), path);
  const auto& info = *prepared->info;
  if (prepared->work && voice_.draws_footer())
    voice_.advise(hashed_line(*prepared->work, prepared->seconds, voice_.look()));
  if (!prepared->work) voice_.detail(fmt::format("{}: hashed before, and not changed since", printable(path)));
  if (!prepared->right.all()) {
    const auto wrong = prepared->right.size() - prepared->right.count();
    return failed({Exit::integrity, "different",
                   prepared->work ? fmt::format("{} does not match {}: {} of {} are different", printable(path),
                                                printable(options_.torrent), wrong,
                                                counted(prepared->right.size(), "piece", "pieces"))
                                  : fmt::format("{} does not match {}: files are missing or have other sizes",
                                                printable(path), printable(options_.torrent)),
                   "Nothing of it is shared"},
                  path);
  }
  if (const auto written = write_output(info); !written) return failed(written.error(), path);
  if (options_.dry_run) {
    say_magnet(text(wire::magnet_of(info, info.trackers)));
    voice_.event(start_json({info.name,
                             info.info_hash,
                             info.bytes_total,
                             info.piece_count(),
                             info.piece_count(),
                             {},
                             text(wire::magnet_of(info, info.trackers)),
                             0},
                            voice_.time()));
    voice_.event(done_json({info.name, true, {}}, path, prepared->seconds, options_.words.size() > 1));
    return next();
  }
  if (session_.driver().client().find(info.info_hash)) {
    return failed({Exit::usage,
                   "twice",
                   fmt::format("{} is shared already: it has the info-hash of another PATH", printable(path)),
                   {}},
                  path);
  }
  publish(std::make_shared<const Prepared>(std::move(*prepared)), 0);
}

Result<void> SeedCommand::write_output(const wire::Metainfo& info) {
  if (options_.output.empty()) return {};
  const auto torrent = wire::write_torrent(info);
  if (options_.output == "-") {
    if (voice_.terminal().out) {
      return fail(Exit::usage, "terminal", "refusing to write binary data to the terminal", "Use --output FILE");
    }
    voice_.bytes(as_text(torrent));
    return {};
  }
  const auto cannot = [this] {
    return fail(Exit::disk, "cannot_write",
                fmt::format("cannot write {}: {}", printable(options_.output), std::strerror(errno)));
  };
  uv::Descriptor file(::open(options_.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) return cannot();
  for (std::size_t at = 0; at < torrent.size();) {
    const auto n = ::write(file.get(), torrent.data() + at, torrent.size() - at);
    if (n < 0 && errno != EINTR) return cannot();
    at += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  return {};
}

/// The result of seed; but where the .torrent is the result, the link is advice.
void SeedCommand::say_magnet(const std::string& magnet) {
  if (options_.output == "-") {
    voice_.advise(magnet);
  } else {
    voice_.result(magnet);
  }
}

/// Puts the torrent into the catalogue of tracker number `tracker` and those behind it, then shares it.
void SeedCommand::publish(std::shared_ptr<const Prepared> prepared, std::size_t tracker) {
  while (tracker < trackers_.size() && trackers_[tracker].kind != FoundTracker::Kind::swarm) ++tracker;
  if (tracker >= trackers_.size()) return share(*prepared);

  const auto& address = trackers_[tracker].address;
  const auto name = name_of(*prepared->info);
  session_.driver().http().ask(
      put_request(address, *prepared->info, options_.replace),
      [this, prepared, tracker, address, name](const Result<wire::HttpResponse>& reply) {
        if (session_.ending()) return;
        if (!reply) return failed(tracker_error(address, reply.error()), name);
        if (reply->status / 100 == 2) return publish(prepared, tracker + 1);
        auto error = api_error(address, *reply);
        if (reply->status == 409) {
          error = {Exit::refused, "name_taken",
                   fmt::format("'{}' is taken on {} by other content", printable(name), address.label),
                   "Use --replace to take it over, or -n NAME for another name"};
        }
        failed(error, name);
      });
}

uv::HttpAsk SeedCommand::put_request(const TrackerAddress& address, const wire::Metainfo& info, bool replace) const {
  uv::HttpAsk ask;
  ask.url = address.base;
  ask.deadline = 30s;
  ask.request.method = "PUT";
  ask.request.target =
      fmt::format("/api/v1/files/{}{}", percent_encode(as_bytes(name_of(info))), replace ? "?replace=1" : "");
  ask.request.headers.set("Content-Type", "application/x-bittorrent");
  if (!token_.empty()) ask.request.headers.set("Authorization", "Bearer " + token_);
  ask.request.body = wire::write_torrent(info);
  return ask;
}

/// The rule at the top. One question a tracker, however many torrents there are.
void SeedCommand::look_at_catalogues() {
  look_at_ = session_.now() + look_every;
  for (const auto& t : trackers_) {
    if (t.kind != FoundTracker::Kind::swarm) continue;
    uv::HttpAsk ask;
    ask.url = t.address.base;
    ask.request.target = "/api/v1/files";
    ask.body_bytes_max = 16u << 20;
    session_.driver().http().ask(std::move(ask), [this, address = t.address](const Result<wire::HttpResponse>& reply) {
      if (!session_.ending()) on_catalogue(address, reply);
    });
  }
}

void SeedCommand::on_catalogue(const TrackerAddress& address, const Result<wire::HttpResponse>& reply) {
  if (!reply) look_at_ = std::min(look_at_, session_.now() + look_away);  // it may come back with nothing
  if (!reply || reply->status != 200) return;
  const auto files = wire::files_from_json(as_text(reply->body));
  if (!files || files->size() >= catalogue_shown_max) return;  // what is not shown may be there all the same
  std::map<std::string_view, InfoHash> held;
  for (const auto& f : *files) {
    if (f.catalogued) held[f.name] = f.info_hash;
  }
  std::size_t asked = 0;
  for (const auto& t : torrents_) {
    if (t.failed) continue;
    const auto at = held.find(t.name);
    if (at == held.end() && asked++ < again_at_once) publish_again(address, t);
    if (at != held.end() && at->second != t.info->info_hash &&
        told_.insert(fmt::format("{} {}", address.base, t.name)).second) {
      voice_.warn(fmt::format("{}  '{}' is other content on {} now; this one is shared by its magnet link only",
                              voice_.clock(), printable(t.name), address.label));
    }
  }
  if (asked > again_at_once) look_at_ = session_.now() + look_soon;
}

void SeedCommand::publish_again(const TrackerAddress& address, const Torrent& t) {
  session_.driver().http().ask(
      put_request(address, *t.info, false), [this, address, name = t.name](const Result<wire::HttpResponse>& reply) {
        if (session_.ending() || !reply) return;
        if (reply->status / 100 == 2) {
          voice_.advise(fmt::format("{}  {} had lost {}; it is in the catalogue again", voice_.clock(), address.label,
                                    printable(name)));
        } else if (told_.insert(fmt::format("{} {} {}", address.base, name, reply->status)).second) {
          voice_.warn(fmt::format("{}  {} does not take {} again: {}", voice_.clock(), address.label, printable(name),
                                  error_text(api_error(address, *reply))));
        }
      });
}

void SeedCommand::share(const Prepared& prepared) {
  const auto& info = *prepared.info;
  const auto tiers = announce_tiers(trackers_, options_.torrent.empty() ? decltype(info.trackers){} : info.trackers);
  Torrent t{session_.driver().add_seed({.info = prepared.info,
                                        .storage = prepared.storage,
                                        .verified = prepared.right,
                                        .stamps = prepared.stamps,
                                        .trackers = tiers,
                                        .swarm_trackers = swarm_bases(trackers_),
                                        .peers = {}}),
            name_of(info), prepared.path, prepared.info, false};
  session_.add_peers(t.id);
  news_.add(t.id, t.name, t.info);
  torrents_.push_back(t);

  const auto* tracker = main_tracker(trackers_);
  Sharing sharing{t.name, info.bytes_total, info.piece_count(), info.piece_bytes, {}, {}, {}, session_.driver().port()};
  if (tracker != nullptr) sharing.tracker = tracker->address.typed, sharing.label = tracker->address.label;
  if (tracker != nullptr && tracker->kind == FoundTracker::Kind::swarm) {
    sharing.torrent_url = fmt::format("{}/t/{}.torrent", tracker->address.base, percent_encode(as_bytes(t.name)));
  }
  voice_.advise(sharing_lines(sharing, voice_.look()));
  if (tiers.empty() && options_.peers.empty()) {
    voice_.advise(
        fmt::format("no tracker knows of it: others reach it with --peer THIS_HOST:{}", session_.driver().port()));
  }
  const auto magnet = text(wire::magnet_of(info, tiers));
  say_magnet(magnet);
  voice_.event(
      start_json({t.name, info.info_hash, info.bytes_total, info.piece_count(), info.piece_count(),
                  tracker == nullptr ? std::string() : tracker->address.base, magnet, session_.driver().port()},
                 voice_.time()));
  session_.redraw();
  next();
}

void SeedCommand::failed(const Error& error, const std::string& name) {
  if (session_.ending()) return;
  voice_.error(error, options_.words.size() > 1 ? name : std::string());
  if (code_ == 0) code_ = static_cast<int>(error.exit);
  next();
}

void SeedCommand::on_notice(const core::Notice& notice) {
  news_.on_notice(notice);
  if (const auto* news = std::get_if<core::TrackerNews>(&notice); news != nullptr && news->ok) {
    look_at_ = std::min(look_at_, session_.now() + look_soon);
  }
  const auto* failure = std::get_if<core::Failed>(&notice);
  if (failure == nullptr) return;
  const auto at = std::ranges::find(torrents_, failure->torrent, &Torrent::id);
  if (at == torrents_.end() || at->failed) return;
  at->failed = true;
  Error error = failure->error;
  if (error.exit == Exit::integrity) {
    error.message = fmt::format("{} changed on disk since hashing; stopped sharing it", printable(at->name));
    error.hint = spool_ ? "" : "The same command shares it as it is now";
  }
  voice_.error(error, options_.words.size() > 1 ? at->name : std::string());
  if (code_ == 0) code_ = static_cast<int>(error.exit);
  if (at_ == options_.words.size() && std::ranges::all_of(torrents_, &Torrent::failed)) session_.end(code_);
}

/// --until-copies, --until-ratio and --for.
void SeedCommand::on_second() {
  if (!torrents_.empty() && session_.now() >= look_at_) look_at_catalogues();
  if (torrents_.empty() || at_ < options_.words.size()) return;
  bool enough = options_.until_copies || options_.until_ratio || options_.until_passed;
  for (const auto& t : torrents_) {
    if (t.failed) continue;
    const auto s = session_.driver().stats(t.id);
    if (options_.until_copies && s.copies_elsewhere < *options_.until_copies) enough = false;
    if (options_.until_ratio &&
        static_cast<double>(s.bytes_up) < *options_.until_ratio * static_cast<double>(s.bytes_total)) {
      enough = false;
    }
  }
  if (options_.until_passed && session_.now() - began_ < *options_.until_passed) enough = false;
  if (enough) finish(code_);
}

void SeedCommand::on_signal(int number) {
  preparer_.cancel();
  if (torrents_.empty()) {
    voice_.event(error_json(128 + number, "interrupted", "stopped by a signal",
                            spool_ ? std::string() : "resume with: " + options_.again));
  }
  finish(128 + number);
  if (spool_) return;  // what came on stdin goes with us
  voice_.advise(fmt::format("resume with: {}", printable(options_.again)));
}

void SeedCommand::finish(int code) {
  for (const auto& t : torrents_) {
    if (t.failed) continue;
    const auto now = view(t);
    const auto seconds = swarm::seconds(session_.now() - began_);
    voice_.event(done_json(now, t.path, seconds, options_.words.size() > 1));
    voice_.advise(fmt::format("stopped sharing {}  {} sent", printable(t.name), size_text(now.stats.bytes_up)));
  }
  session_.end(code);
}

Transfer SeedCommand::view(const Torrent& t) const { return {t.name, true, session_.driver().stats(t.id)}; }

Snapshot SeedCommand::look() const {
  Snapshot now;
  now.preparing = preparer_.progress();
  for (const auto& t : torrents_) {
    if (!t.failed) now.transfers.push_back(view(t));
  }
  return now;
}

}  // namespace

int run_seed(const Options& options, const Environment& environment, Voice& voice) {
  const auto stop = [&voice](const Error& e) { return voice.error(e), static_cast<int>(e.exit); };
  auto loop = uv::Loop::create();
  if (!loop) return stop(loop.error());
  auto token = read_token(options);
  if (!token) return stop(token.error());
  auto session = Session::open(options, voice, **loop);
  if (!session) return stop(session.error());
  std::unique_ptr<Spool> spool;
  if (options.words == std::vector<std::string>{"-"}) {
    auto made = Spool::create(environment);
    if (!made) return stop(made.error());
    spool = std::move(*made);
  }
  return SeedCommand(**session, environment, std::move(spool), std::move(*token)).run();
}

}  // namespace swarm::cli
