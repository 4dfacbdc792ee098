// Plan: all that decides a simulated run, as values: two runs of one plan are the same, event by event, on any machine. The
// command's options and the tests' scenarios make the same plans, so that what a test finds is replayed by a command.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.hh"
#include "base/random.hh"
#include "sim/disk.hh"
#include "sim/driver.hh"
#include "sim/network.hh"
#include "sim/profile.hh"

namespace swarm::sim {

/// When the downloaders start.
enum class Join : std::uint8_t {
  all,        ///< at once
  random,     ///< at random moments up to `join_within`
  staggered,  ///< one after another, evenly over `join_within`
  poisson,    ///< `join_rate` a second on average, each independent of the others
};

/// The world falls into `parts` of equal size, which cannot reach each other for a while. The seeds and the tracker are in the
/// first of them.
struct Partition {
  std::uint32_t parts = 2;
  Duration at{}, lasts{};
  friend bool operator==(const Partition&, const Partition&) = default;
};

/// One thing that befalls one node, at a moment of virtual time.
struct Fault {
  enum class Kind : std::uint8_t {
    crash,      ///< SIGKILL, and the same command again
    stop,       ///< a clean stop, and the same command again
    cut_power,  ///< of the whole machine
    unplug,     ///< its link is down
    damage,     ///< a crash, and while it is down a block changes on its disk
    tracker,    ///< the tracker crashes; the node does not matter
  } kind = Kind::crash;
  std::uint32_t node = 0;
  Duration at{}, lasts{};
  friend bool operator==(const Fault&, const Fault&) = default;
};

struct Plan {
  std::uint64_t random_seed = 1;
  // Nodes are numbered through: first the seeds, then the downloaders, then the liars.
  std::uint32_t seeds = 1, downloaders = 8, liars = 0;
  std::uint32_t strangers = 0;    ///< the last so many downloaders do not say that they are swarm nodes
  std::uint32_t free_riders = 0;  ///< the first so many downloaders upload nothing
  std::uint32_t slow = 0;         ///< the last so many downloaders have a tenth of the rates
  std::uint64_t bytes_total = 64u << 20;
  std::uint32_t piece_bytes = 256u << 10;
  double have = 0;  ///< the share of the pieces that each downloader has at first, chosen at random
  Line line{12'500'000, 12'500'000, 500us};  ///< of each node; the delay is a quarter of the round trip
  std::optional<Profile> profile;            ///< instead of `line`
  double lies = 0.3;                         ///< the share of a liar's blocks that are wrong
  enum class Discovery : std::uint8_t {
    tracker,    ///< heartbeats to a swarm tracker
    announces,  ///< the same tracker, asked as any other client would
    peers,      ///< no tracker: each node is told of all others
  } discovery = Discovery::tracker;
  std::uint32_t neighbours = 200;  ///< connections of a node, at most
  core::Policy policy = core::Policy::spread;

  Join join = Join::all;
  Duration join_within{};
  double join_rate = 0;                        ///< nodes a second
  bool leave_when_whole = false;               ///< as `get` does
  double seed_leaves_after = 0;                ///< the seeds end when they have sent so many copies together; 0: never
  std::uint32_t until_copies = 0;              ///< or when so many other nodes are whole, as far as they know; 0: never
  std::uint64_t limit_up = 0, limit_down = 0;  ///< --up and --down of all nodes, bytes/s; 0: unlimited

  double churn = 0;  ///< percent of the downloaders that leave for good a minute, each followed by a new one
  double crash = 0;  ///< percent of the nodes that are killed a minute, and start again
  std::vector<Partition> partitions;
  std::vector<Fault> faults;
  std::optional<Duration> tracker_dies_at;

  Disk::Options disk;
  Network::Options network;
  Canary canary = Canary::none;
  Duration limit = 1h;  ///< of virtual time

  std::string scenario;  ///< the name that it was drawn from (suite.hh), and which its command begins with; empty: none

  std::uint32_t nodes() const { return downloaders + liars; }  ///< what --nodes says
  /// Churn and crashes end here: then it is judged whether everybody finishes.
  Duration faults_end() const { return limit / 2; }
};

/// The command that runs this plan: "swarm simulate --nodes 16 --churn 10%/min --random-seed 7". It says what is different from
/// the plan of the scenario that it names, or from the default; what no option says has to be the scenario's.
std::string command_of(const Plan& plan);

// ── the texts of the options ────────────────────────────────────────────────────────────────────────────────────────────────

/// "all", "random:DUR", "staggered:DUR", "poisson:RATE" with a rate like 2/s, 30/min or 100/h.
bool parse_join(std::string_view text, Plan& plan);
/// "10%/min", "3%/s", "50%/h": percent a minute.
std::optional<double> parse_share_rate(std::string_view text);
/// "2@3s+10s": into two parts, three seconds after the start, for ten seconds.
std::optional<Partition> parse_partition(std::string_view text);
/// "20%" or "0.2" of `all`, rounded to the nearest, or "3" of them. Not more than all.
std::optional<std::uint32_t> parse_part(std::string_view text, std::uint32_t all);
/// "90%" or "0.9", 0 to 1.
std::optional<double> parse_share(std::string_view text);
/// Decimal digits, with one point or without.
std::optional<double> parse_real(std::string_view text);

std::string duration_text(Duration d);  ///< what parse_duration() reads back: "1h", "1s500ms", "100us" …

/// --nodes: the parts that lie, upload nothing or are slow keep their shares.
void set_nodes(Plan& plan, std::uint32_t nodes);
/// --liars: so many of the nodes lie.
void set_liars(Plan& plan, std::uint32_t liars);

}  // namespace swarm::sim
