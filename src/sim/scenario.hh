// Scenario: a whole swarm in virtual time: a tracker, seeds, downloaders and liars, what befalls them, and what came of it.
// Everything follows from the plan, its random seed included: the same plan gives the same run, event by event.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/checks.hh"
#include "sim/content.hh"
#include "sim/curve.hh"
#include "sim/disk.hh"
#include "sim/driver.hh"
#include "sim/network.hh"
#include "sim/plan.hh"
#include "sim/report.hh"
#include "sim/tracker.hh"
#include "sim/world.hh"
#include "wire/control.hh"

namespace swarm::sim {

class Scenario {
 public:
  explicit Scenario(Plan plan);
  ~Scenario();

  // Faults besides the plan's, at a moment of virtual time.
  void crash(std::uint32_t node, Duration at, Duration down_for);  ///< SIGKILL, and the same command again
  /// A clean stop, and the same command again; or for good.
  void stop(std::uint32_t node, Duration at, std::optional<Duration> down_for = std::nullopt);
  void cut_power(std::uint32_t node, Duration at, Duration down_for);
  void unplug(std::uint32_t node, Duration at, Duration down_for);  ///< its link
  void crash_tracker(Duration at, std::optional<Duration> down_for);
  /// A block of what the node has on its disk changes while it is down; only between two lives.
  void damage(std::uint32_t node, Duration at);
  void at(Duration when, std::function<void()> what);

  /// Lets one virtual millisecond pass. False when the run has ended: everybody is whole, nobody can be any more, the limit is
  /// reached. Whoever looks on between two steps changes nothing.
  bool step();
  Report run();                    ///< to its end
  Report run_until(Duration end);  ///< goes on from where it stands, whether everybody is whole or not
  Report report();

  const Plan& plan() const { return plan_; }
  World& world() { return world_; }
  Checks& checks() { return checks_; }
  const Content& content() const { return content_; }
  Tracker* tracker() { return tracker_.get(); }
  Driver* driver(std::uint32_t node) { return nodes_[node].driver.get(); }  ///< null while it is down
  Disk& disk(std::uint32_t node) { return nodes_[node].disk; }
  const Ledger& ledger(std::uint32_t node) const { return nodes_[node].ledger; }
  const Line& line(std::uint32_t node) const { return nodes_[node].host->line; }
  /// From its start to its being whole; nothing while it is not.
  std::optional<double> seconds_to_whole(std::uint32_t node) const;
  Endpoint endpoint(std::uint32_t node) const { return {nodes_[node].host->address, port}; }
  std::string name(std::uint32_t node) const;       ///< "seed1", "node3", "liar1", counted from 1
  std::string host_name(std::uint32_t host) const;  ///< of a Host::index: that of its node, or "tracker"
  Curve::Sample sample();
  wire::Status status();  ///< how it stands now, as a tracker would tell it that knows everything
  std::uint32_t nodes() const { return static_cast<std::uint32_t>(nodes_.size()); }
  std::uint32_t first_downloader() const { return plan_.seeds; }
  std::uint32_t first_liar() const { return plan_.seeds + plan_.downloaders; }
  bool is_free_rider(std::uint32_t node) const {
    return node >= first_downloader() && node < first_downloader() + plan_.free_riders && !is_liar(node);
  }

  static constexpr std::uint16_t port = 6881, tracker_port = 6969;

 private:
  struct Node {
    Host* host = nullptr;
    Disk disk;
    Ledger ledger;
    std::unique_ptr<Driver> driver;
    Duration begins{};
    bool leaves = false;           ///< it has what it came for, or is done with seeding
    bool comes_back = false;       ///< it is down and will be started again
    std::uint64_t bytes_lost = 0;  ///< received by nodes that stood here before and left
    std::uint64_t bytes_had = 0;   ///< of the content, at its start
    std::uint64_t bytes_done = 0;  ///< when somebody looked last
  };
  bool is_seed(std::uint32_t node) const { return node < plan_.seeds; }
  bool is_liar(std::uint32_t node) const { return node >= first_liar(); }
  bool is_honest_downloader(std::uint32_t node) const {
    return !is_seed(node) && !is_liar(node) && !is_free_rider(node);
  }
  void make_content();
  void make_tracker();
  void make_nodes();
  void fill_some(Node& node);
  void plan_faults();
  void strike(double percent_a_minute, std::uint32_t first, std::uint32_t count,
              std::function<void(std::uint32_t)> what);
  void replace(std::uint32_t node);
  void split(const Partition& partition);
  void start(std::uint32_t node);
  void start_later(std::uint32_t node, Duration after);
  void end(std::uint32_t node);
  void end_cleanly(std::uint32_t node, std::optional<Duration> down_for, Instant asked);
  void leave(std::uint32_t node);
  void see_off();
  void see_seeds_off();
  std::uint32_t count_lost();
  Ending find_ending();
  bool all_whole() const;
  void look(std::uint32_t node);
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
  Random chance_;                            ///< of faults
  Bound bound_;
  Curve curve_;
  Instant audit_at_{};
  std::optional<Instant> lost_check_at_;  ///< somebody left for good: is everything still there?
  Ending ending_ = Ending::running;
};

}  // namespace swarm::sim
