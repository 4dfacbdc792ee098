// Session: what seed and get have in common: one loop, one driver, trackers, signals, and an orderly end.
//
// The first SIGINT, SIGTERM or SIGHUP stops cleanly within 3 s (what is buffered is verified, checkpoints are written, trackers
// hear `stopped`) and ends with 128 + its number; the second ends at once. SIGUSR1 prints one line per torrent.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hh"
#include "cli/console.hh"
#include "cli/options.hh"
#include "cli/tracker_finder.hh"
#include "cli/voice.hh"
#include "disk/open_budget.hh"
#include "uv/driver.hh"
#include "uv/loop.hh"
#include "uv/signals.hh"
#include "uv/timer.hh"
#include "uv/workers.hh"

namespace swarm::cli {

class Session {
 public:
  struct Hooks {
    std::function<Snapshot()> look;  ///< what is shown, now
    std::function<void(const core::Notice&)> on_notice;
    std::function<void()> on_second;           ///< once a second
    std::function<void(int)> on_signal;        ///< the first one, before everything stops
    std::function<void(int)> on_stopped = {};  ///< after it: everything has stopped cleanly
    std::function<void()> on_abandoned = {};   ///< the second one, just before the process ends
  };

  /// Takes the port too: a session that exists can be reached.
  static Result<std::unique_ptr<Session>> open(const Options& options, Voice& voice, uv::Loop& loop);

  /// Says hello to every -t. Errors: none given (`done` gets an empty list), none that answers.
  void find_trackers(std::function<void(Result<std::vector<FoundTracker>>)> done);

  /// Runs until end(), and gives its code.
  int run(Hooks hooks);
  /// Stops the driver politely, then leaves run(). The first code counts.
  void end(int code);
  bool ending() const { return ending_; }

  Voice& voice() { return voice_; }
  uv::Loop& loop() { return loop_; }
  uv::Driver& driver() { return *driver_; }  ///< not with --dry-run
  uv::Workers& workers() { return driver_ ? driver_->workers() : *workers_; }
  /// What all torrents together may hold open.
  const std::shared_ptr<disk::OpenBudget>& budget() const { return budget_; }
  const Options& options() const { return options_; }
  Instant now() const { return loop_.now(); }

  /// A piece was checked; see Voice::piece.
  void on_piece(const PieceCheck& check, const std::string& want, std::uint64_t bytes);
  /// Something else changed that the footer should show soon.
  void redraw();
  /// --peer, for one torrent.
  void add_peers(TorrentId torrent);

 private:
  Session(const Options& options, Voice& voice, uv::Loop& loop);
  void on_signal(int number);
  void on_frame();
  void on_second();
  void say_plain(const Snapshot& now);

  const Options& options_;
  Voice& voice_;
  uv::Loop& loop_;
  std::unique_ptr<uv::Driver> driver_;    ///< nothing with --dry-run, which takes no port
  std::unique_ptr<uv::Workers> workers_;  ///< only then
  std::shared_ptr<disk::OpenBudget> budget_;
  Hooks hooks_;
  uv::Timer frame_, second_, piece_flush_;
  uv::Signals signals_;  ///< heard from the beginning, told in run(): nothing that must be tidied up is made before
  bool ending_ = false;
  int code_ = 0;
  int signal_ = 0;
  unsigned seconds_ = 0;
  std::vector<std::string> last_plain_;
  unsigned last_plain_at_ = 0;
  std::string last_progress_;
};

/// "nas" of the first swarm tracker, or of the first tracker at all; nothing when there is none.
const FoundTracker* main_tracker(const std::vector<FoundTracker>& found);
std::vector<std::string> swarm_bases(const std::vector<FoundTracker>& found);
/// Tiers for a torrent: what was given with -t first, then its own.
std::vector<std::vector<std::string>> announce_tiers(const std::vector<FoundTracker>& found,
                                                     const std::vector<std::vector<std::string>>& own);

}  // namespace swarm::cli
