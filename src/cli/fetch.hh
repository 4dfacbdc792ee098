// Fetch: one WHAT of `get`, from the torrent that was found for it to its end.
//
//   choose files ─► is it here already? ─► lock, add to the driver ─► moving ─► whole [─► seeding]
//     │    ▲                │                                            │         │
//     │    └─ joined:       ▼                                            ▼         ▼ with -o -
//     ▼       from peers  "already whole"                failed, no peers for --wait, streamed to stdout
//   --list, --check
//
// A magnet link of which only peers can tell what it is joins them first, and is decided about when they have told.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/news.hh"
#include "cli/preparer.hh"
#include "cli/session.hh"
#include "cli/spool.hh"
#include "cli/stdout_stream.hh"
#include "cli/torrent_finder.hh"
#include "disk/target_lock.hh"

namespace swarm::cli {

class Fetch {
 public:
  /// What all fetches of one command share, and what they tell it. Outlives them.
  struct Command {
    Session& session;
    Preparer& preparer;
    News& news;
    Spool* spool;                                    ///< with -o -
    std::function<void()> decided;                   ///< the next WHAT may be looked up
    std::function<void()> ended;                     ///< perhaps the last one did
    std::function<void(int code)> failed;            ///< its error has been said
    std::function<bool(const Fetch&)> target_taken;  ///< by another fetch that moves
  };

  Fetch(Command& command, std::string what);
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  /// `trackers`: those of -t.
  void start(FoundTorrent found, const std::vector<FoundTracker>& trackers);
  void failed(Error error);

  const std::string& what() const { return what_; }
  const std::string& target() const { return target_; }
  TorrentId torrent() const { return id_; }
  bool moving() const { return moving_; }  ///< the driver has it, and it is neither whole nor failed
  bool shown() const { return moving_ || seeding_; }
  bool busy() const { return shown() || stream_; }
  Transfer view() const;

  void on_verified();                                                                    ///< a piece is right
  void on_web_seed_error(std::string message) { web_seed_error_ = std::move(message); }  ///< for a person
  void on_finished();
  void on_failed(const Error& error);
  void on_second();
  /// The process was told to stop, and everything has stopped. Gives whether it was under way.
  bool on_stopped();
  /// Gives back what only this run needed: its lock, folders into which nothing came.
  void tidy();

 private:
  void join();
  void settled();
  void on_info();
  Result<void> check_sources() const;
  void list() const;
  Result<void> check_stream() const;
  bool is_here_already(const InfoHash& info_hash);
  void on_checked(Result<Prepared> there);
  void look_at_target();
  void on_target(Result<Prepared> there);
  void add();
  void add_locked();
  void on_added(Result<uv::Added> added);
  void stream_to_stdout();
  void on_streamed(Result<void> taken);
  void already_whole(const Prepared& there);
  void stop_seeding();
  bool shared_enough() const;
  bool to_stdout() const { return command_.spool != nullptr; }
  bool several() const { return options_.words.size() > 1; }

  Command& command_;
  Session& session_;
  Voice& voice_;
  const Options& options_;
  const std::string what_;
  std::string name_;  ///< as it is saved
  std::string target_;
  unsigned renamed_ = 0;
  std::shared_ptr<const wire::Metainfo> info_;
  std::vector<bool> files_;  ///< chosen with -f; empty: all
  std::vector<FoundTracker> trackers_;
  std::optional<wire::Magnet> magnet_;  ///< when it was asked for by its info-hash
  disk::TargetLock lock_;
  std::vector<std::string> folders_made_;  ///< taken back when nothing came
  std::unique_ptr<StdoutStream> stream_;   ///< with -o -
  TorrentId id_{};
  bool joined_ = false;  ///< its info dictionary comes, or came, from peers; another WHAT is looked up meanwhile
  bool moving_ = false;
  bool seeding_ = false;  ///< with --seed: it is whole, and shared
  Instant began_{};
  Instant last_progress_{};
  std::uint64_t progress_ = 0;
  std::string web_seed_error_;  ///< the last one, for a person
};

}  // namespace swarm::cli
