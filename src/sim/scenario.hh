// Scenario: a simulated swarm from the first second to the last: builds the nodes of a plan, lets faults befall them, and reports.
//
//   Scenario s({.random_seed = 7, .downloaders = 8});
//   s.crash(3, 2s, 500ms);
//   const Report r = s.run();
//
// Nodes are numbered: seeds first, then downloaders, then liars (who claim to have everything and send wrong bytes).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/checks.hh"
#include "sim/content.hh"
#include "sim/disk.hh"
#include "sim/driver.hh"
#include "sim/network.hh"
#include "sim/tracker.hh"
#include "sim/world.hh"

namespace swarm::sim {

struct Plan {
  std::uint64_t random_seed = 1;
  std::uint32_t seeds = 1, downloaders = 8, liars = 0;
  std::uint32_t strangers = 0;  ///< the last so many downloaders do not say that they are swarm nodes
  std::uint64_t bytes_total = 64u << 20;
  std::uint32_t piece_bytes = 256u << 10;
  Line line{12'500'000, 12'500'000, 500us};
  double lies = 0.3;  ///< the share of a liar's blocks that are wrong
  enum class Discovery : std::uint8_t {
    tracker,    ///< heartbeats to a swarm tracker
    announces,  ///< the same tracker, asked as any other client would
    peers,      ///< no tracker: each node is told of all others
  } discovery = Discovery::tracker;
  Duration join_within{};                      ///< downloaders start at random moments up to this one
  bool leave_when_whole = false;               ///< as `get` does
  std::uint64_t limit_up = 0, limit_down = 0;  ///< --up and --down of all nodes, bytes/s; 0: unlimited
  Disk::Options disk;
  Network::Options network;
  Canary canary = Canary::none;
  Duration limit = 1h;  ///< of virtual time
};

struct Report {
  std::uint32_t downloaders = 0, finished = 0;
  double first_seconds = 0, median_seconds = 0, last_seconds = 0;  ///< of completions, since each one's start
  double bound_seconds = 0;
  double ratio = 0;                    ///< last_seconds / bound_seconds
  double seed_copies = 0;              ///< what the seeds sent, in copies of the content
  std::uint64_t payload_received = 0;  ///< by all downloaders in all their lives, bytes
  std::uint64_t payload_wasted = 0;    ///< of it, beyond one copy for each that finished
  std::uint64_t event_hash = 0, events = 0;
  double virtual_seconds = 0;
  std::uint64_t checks_asked = 0;
  std::vector<std::string> violations;

  bool all_finished() const { return finished == downloaders; }
  bool all_right() const { return all_finished() && violations.empty(); }
  std::string text() const;  ///< a few lines for a person
};

class Scenario {
 public:
  explicit Scenario(Plan plan);
  ~Scenario();

  // Faults, at a moment of virtual time.
  void crash(std::uint32_t node, Duration at, Duration down_for);  ///< SIGKILL, and the same command again
  /// A clean stop, and the same command again; or for good.
  void stop(std::uint32_t node, Duration at, std::optional<Duration> down_for = std::nullopt);
  void cut_power(std::uint32_t node, Duration at, Duration down_for);
  void unplug(std::uint32_t node, Duration at, Duration down_for);  ///< its link
  void crash_tracker(Duration at, Duration down_for);
  /// A block of what the node has on its disk changes while it is down; only between two lives.
  void damage(std::uint32_t node, Duration at);
  void at(Duration when, std::function<void()> what);

  /// Until every downloader is whole or the limit is reached.
  Report run();
  Report run_until(Duration end);  ///< goes on from where it stands
  Report report();

  const Plan& plan() const { return plan_; }
  World& world() { return world_; }
  Checks& checks() { return checks_; }
  const Content& content() const { return content_; }
  Tracker* tracker() { return tracker_.get(); }
  Driver* driver(std::uint32_t node) { return nodes_[node].driver.get(); }  ///< null while it is down
  Disk& disk(std::uint32_t node) { return nodes_[node].disk; }
  const Ledger& ledger(std::uint32_t node) const { return nodes_[node].ledger; }
  Endpoint endpoint(std::uint32_t node) const { return {nodes_[node].host->address, port}; }
  std::uint32_t nodes() const { return static_cast<std::uint32_t>(nodes_.size()); }
  std::uint32_t first_downloader() const { return plan_.seeds; }
  std::uint32_t first_liar() const { return plan_.seeds + plan_.downloaders; }

  static constexpr std::uint16_t port = 6881, tracker_port = 6969;

 private:
  struct Node {
    Host* host = nullptr;
    Disk disk;
    Ledger ledger;
    std::unique_ptr<Driver> driver;
    Duration begins{};
    bool leaves = false;  ///< it has what it came for
  };
  bool is_seed(std::uint32_t node) const { return node < plan_.seeds; }
  bool is_liar(std::uint32_t node) const { return node >= first_liar(); }
  bool all_whole() const;
  void make_content();
  void start(std::uint32_t node);
  void end(std::uint32_t node);
  void end_cleanly(std::uint32_t node, std::optional<Duration> down_for, Instant asked);
  void see_off();
  void audit();

  Plan plan_;
  World world_;
  Checks checks_;
  Network network_;
  Content content_;
  Buffer torrent_;  ///< the .torrent that the catalogue gets
  std::unique_ptr<Tracker> tracker_;
  std::map<Endpoint, Tracker*> trackers_;
  std::deque<Node> nodes_;                   ///< stable places
  std::deque<std::function<void()>> plans_;  ///< what at() was given
};

/// The least time in which one transfer at full rate can reach all of N equal downloaders through a pipeline of pieces:
/// T (1 + ceil(log2 N) / pieces), PERFORMANCE.md. With unequal numbers of seeds T is what the slowest line needs.
double bound_seconds(const Plan& plan);

}  // namespace swarm::sim
