// The options of `swarm simulate`: what is said goes into its plan.
#include <array>
#include <limits>
#include <type_traits>
#include <utility>

#include "cli/option_rows.hh"
#include "cli/option_values.hh"
#include "sim/suite.hh"

namespace swarm::cli {

namespace {

constexpr std::uint32_t nodes_max = 100'000;                         // what a large machine holds
constexpr std::uint64_t content_bytes_max = std::uint64_t{1} << 44;  // 16 TiB
constexpr double loss_max = 0.5;

template <auto member>
bool put_plan(Options& o, std::string_view v, std::uint64_t least, std::uint64_t most) {
  const auto n = number_from<std::uint64_t>(v);
  if (!n || *n < least || *n > most) return false;
  o.plan.*member = static_cast<std::remove_reference_t<decltype(o.plan.*member)>>(*n);
  return true;
}
bool put_random_seed(Options& o, std::string_view v) {
  return put_plan<&sim::Plan::random_seed>(o, v, 0, std::numeric_limits<std::uint64_t>::max());
}
bool put_scenario(Options& o, std::string_view v) { return take(o.plan, sim::find_plan(v, o.plan.random_seed)); }
bool put_nodes(Options& o, std::string_view v) {
  const auto n = number_from<std::uint32_t>(v);
  if (!n || *n == 0 || *n > nodes_max) return false;
  sim::set_nodes(o.plan, *n);
  return true;
}
bool put_liars(Options& o, std::string_view v) {
  const auto n = sim::parse_part(v, o.plan.nodes());
  if (n) sim::set_liars(o.plan, *n);
  return n.has_value();
}
template <auto member>
bool put_part(Options& o, std::string_view v) {
  return take(o.plan.*member, sim::parse_part(v, o.plan.downloaders));
}
bool put_seeds(Options& o, std::string_view v) { return put_plan<&sim::Plan::seeds>(o, v, 1, nodes_max); }
bool put_content_size(Options& o, std::string_view v) {
  const auto n = parse_size(v);
  if (!n || *n == 0 || *n > content_bytes_max) return false;
  o.plan.bytes_total = *n;
  return true;
}
bool put_content_piece(Options& o, std::string_view v) {
  return v != "auto" && put_piece_size(o, v) && take(o.plan.piece_bytes, std::optional(o.piece_bytes));
}
template <auto member>
bool put_plan_share(Options& o, std::string_view v) {
  return take(o.plan.*member, sim::parse_share(v));
}
template <auto member>
bool put_plan_share_rate(Options& o, std::string_view v) {
  return take(o.plan.*member, sim::parse_share_rate(v));
}
template <auto member>
bool put_line_rate(Options& o, std::string_view v) {
  o.lines_given = true;
  return take(o.plan.line.*member, parse_rate(v));
}
bool put_round_trip(Options& o, std::string_view v) {
  o.lines_given = true;
  const auto d = parse_duration(v);
  if (!d || *d > 1h) return false;
  o.plan.line.delay = *d / 4;
  return true;
}
bool put_jitter(Options& o, std::string_view v) {
  o.lines_given = true;
  const auto d = parse_duration(v);
  if (!d || *d > 1h) return false;
  o.plan.line.jitter = *d;
  return true;
}
bool put_loss(Options& o, std::string_view v) {
  o.lines_given = true;
  const auto share = sim::parse_share(v);
  if (!share || *share > loss_max) return false;
  o.plan.line.loss = *share;
  return true;
}
bool put_profile(Options& o, std::string_view v) {
  o.plan.profile = sim::known_profile(v);
  o.profile_file = o.plan.profile ? "" : v;
  return !v.empty();
}
bool put_join(Options& o, std::string_view v) { return sim::parse_join(v, o.plan); }
bool put_partition(Options& o, std::string_view v) {
  const auto partition = sim::parse_partition(v);
  if (!std::exchange(o.partitions_given, true)) o.plan.partitions.clear();  // the scenario's
  if (partition) o.plan.partitions.push_back(*partition);
  return partition.has_value();
}
bool put_neighbours(Options& o, std::string_view v) { return put_plan<&sim::Plan::neighbours>(o, v, 1, 65'535); }
bool put_copies(Options& o, std::string_view v) { return put_plan<&sim::Plan::until_copies>(o, v, 1, nodes_max); }
bool put_seed_leaves(Options& o, std::string_view v) {
  const auto copies = sim::parse_real(v);
  if (!copies || *copies <= 0) return false;
  o.plan.seed_leaves_after = *copies;
  return true;
}
bool put_leave(Options& o, std::string_view v) { return take(o.plan.leave_when_whole, parse_truth(v)); }
bool put_tracker_dies(Options& o, std::string_view v) {
  o.plan.tracker_dies_at = parse_duration(v);
  return o.plan.tracker_dies_at.has_value();
}
bool put_max_time(Options& o, std::string_view v) {
  const auto d = parse_duration(v);
  if (!d || *d == Duration{} || *d > 24h * 365) return false;
  o.plan.limit = *d;
  return true;
}
bool put_compare(Options& o, std::string_view v) {
  core::Policy policy{};
  const bool known =
      choose<core::Policy>(policy, v, {{"spread", core::Policy::spread}, {"rarest", core::Policy::rarest}});
  if (known) o.compare = policy;
  return known;
}
bool put_speed(Options& o, std::string_view v) {
  if (v == "max") return o.speed = 0, true;
  if (v.ends_with('x')) v.remove_suffix(1);
  const auto times = sim::parse_real(v);
  if (!times || *times < 0.001) return false;
  o.speed = *times;
  return true;
}

constexpr ValueKind a_part{"a share or a number of the nodes", "e.g. 20% or 3"};
constexpr ValueKind a_share_rate{"a share of the nodes in a time", "e.g. 10%/min, 1%/s, 50%/h"};

constexpr std::array rows{
    OptionSpec{.name = "random-seed",
               .argument = "N",
               .initial = "1",
               .help = "decides all chance: the same N is the same run, on any machine",
               .commands = of_simulate,
               .put = put_random_seed,
               .kind = {"a number", "e.g. 7"}},
    OptionSpec{.name = "scenario",
               .argument = "NAME",
               .help = "begin with a world that has a name: flash-crowd, staggered, heterogeneous, churn, crashes, "
                       "seed-leaves, tracker-dies, partition, free-riders, liars, slow-node, huge or mixed",
               .commands = of_simulate,
               .put = put_scenario,
               .kind = {"a scenario",
                        "flash-crowd, staggered, heterogeneous, churn, crashes, seed-leaves, tracker-dies, partition, "
                        "free-riders, liars, slow-node, huge or mixed",
                        "flash-crowd|staggered|heterogeneous|churn|crashes|seed-leaves|tracker-dies|partition|free-"
                        "riders|liars|slow-node|huge|mixed"}},
    OptionSpec{.name = "nodes",
               .argument = "N",
               .initial = "8",
               .help = "machines that download, besides the seeds",
               .commands = of_simulate,
               .put = put_nodes,
               .kind = {"a number of nodes", "1 to 100000"},
               .typed_only = true},
    OptionSpec{.name = "seeds",
               .argument = "N",
               .initial = "1",
               .help = "machines that have everything",
               .commands = of_simulate,
               .put = put_seeds,
               .kind = {"a number of nodes", "1 to 100000"},
               .typed_only = true},
    OptionSpec{.name = "liars",
               .argument = "P",
               .initial = "0",
               .help = "of the nodes, so many send wrong bytes: 20% or 3",
               .commands = of_simulate,
               .put = put_liars,
               .kind = a_part},
    OptionSpec{.name = "free-riders",
               .argument = "P",
               .initial = "0",
               .help = "of the nodes, so many upload nothing: 20% or 3",
               .commands = of_simulate,
               .put = put_part<&sim::Plan::free_riders>,
               .kind = a_part},
    OptionSpec{.name = "slow",
               .argument = "P",
               .initial = "0",
               .help = "of the nodes, so many have a tenth of the rates: 20% or 3",
               .commands = of_simulate,
               .put = put_part<&sim::Plan::slow>,
               .kind = a_part},
    OptionSpec{.name = "size",
               .argument = "SIZE",
               .initial = "64MiB",
               .help = "of the content",
               .commands = of_simulate,
               .put = put_content_size,
               .kind = {"a size up to 16TiB", "e.g. 64MiB, 1G"}},
    OptionSpec{.name = "piece-size",
               .argument = "SIZE",
               .initial = "256KiB",
               .help = "bytes in a piece, a power of two",
               .commands = of_simulate,
               .put = put_content_piece,
               .kind = {"a piece size", "a power of two from 16K to 16M"},
               .typed_only = true},
    OptionSpec{.name = "have",
               .argument = "P",
               .initial = "0",
               .help = "share of the pieces that each node has at first: 90%",
               .commands = of_simulate,
               .put = put_plan_share<&sim::Plan::have>,
               .kind = {"a share", "e.g. 90%"}},
    OptionSpec{.name = "up",
               .argument = "RATE",
               .initial = "100Mbit",
               .help = "of each node's line; 0: without limit",
               .commands = of_simulate,
               .put = put_line_rate<&sim::Line::up_rate>,
               .kind = a_size,
               .typed_only = true},
    OptionSpec{.name = "down",
               .argument = "RATE",
               .initial = "100Mbit",
               .help = "of each node's line; 0: without limit",
               .commands = of_simulate,
               .put = put_line_rate<&sim::Line::down_rate>,
               .kind = a_size,
               .typed_only = true},
    OptionSpec{.name = "rtt",
               .argument = "DUR",
               .initial = "2ms",
               .help = "round trip between two nodes",
               .commands = of_simulate,
               .put = put_round_trip,
               .kind = a_duration},
    OptionSpec{.name = "jitter",
               .argument = "DUR",
               .initial = "0",
               .help = "each way of each line takes up to so much longer, at random",
               .commands = of_simulate,
               .put = put_jitter,
               .kind = a_duration},
    OptionSpec{.name = "loss",
               .argument = "P",
               .initial = "0",
               .help = "share of the packets that each line loses: 0.5%",
               .commands = of_simulate,
               .put = put_loss,
               .kind = {"a share up to 50%", "e.g. 0.5%"}},
    OptionSpec{.name = "profile",
               .argument = "lan|wan|mixed|FILE",
               .help = "lines of several kinds, instead of equal ones",
               .commands = of_simulate,
               .put = put_profile,
               .kind = {"a profile", "lan, wan, mixed or a JSON file", "lan|wan|mixed", ValueKind::Place::file}},
    OptionSpec{.name = "join",
               .argument = "HOW",
               .initial = "all",
               .help = "when nodes start: all, staggered:DUR, random:DUR or poisson:N/s",
               .commands = of_simulate,
               .put = put_join,
               .kind = {"a way to join", "all, staggered:30s, random:30s or poisson:2/s", "all"}},
    OptionSpec{.name = "leave",
               .help = "nodes leave when they are whole, as 'swarm get' does",
               .commands = of_simulate,
               .put = put_leave,
               .kind = a_truth},
    OptionSpec{.name = "churn",
               .argument = "RATE",
               .initial = "0%/min",
               .help = "share of the nodes that leave for good, each followed by a new one: 10%/min",
               .commands = of_simulate,
               .put = put_plan_share_rate<&sim::Plan::churn>,
               .kind = a_share_rate},
    OptionSpec{.name = "crash",
               .argument = "RATE",
               .initial = "0%/min",
               .help = "share of the nodes and seeds that are killed and start again: 10%/min",
               .commands = of_simulate,
               .put = put_plan_share_rate<&sim::Plan::crash>,
               .kind = a_share_rate},
    OptionSpec{.name = "partition",
               .argument = "N@START+DUR",
               .help = "split into N parts for a while: 2@3s+10s; may be repeated",
               .commands = of_simulate,
               .put = put_partition,
               .kind = {"a partition", "N@START+DUR, e.g. 2@3s+10s"},
               .list = true},
    OptionSpec{.name = "seed-leaves-after",
               .argument = "COPIES",
               .initial = "never",
               .help = "the seeds leave when they have sent so many copies: 1.05",
               .commands = of_simulate,
               .put = put_seed_leaves,
               .kind = {"a number of copies", "e.g. 1.05"}},
    OptionSpec{.name = "until-copies",
               .argument = "N",
               .initial = "never",
               .help = "a seed leaves when N other whole copies exist",
               .commands = of_simulate,
               .put = put_copies,
               .kind = a_number,
               .typed_only = true},
    OptionSpec{.name = "tracker-dies-at",
               .argument = "DUR",
               .initial = "never",
               .help = "the tracker crashes then and does not come back",
               .commands = of_simulate,
               .put = put_tracker_dies,
               .kind = a_duration},
    OptionSpec{.name = "neighbours",
               .argument = "N",
               .initial = "200",
               .help = "connections of a node, at most",
               .commands = of_simulate,
               .put = put_neighbours,
               .kind = {"a number of connections", "1 to 65535"}},
    OptionSpec{.name = "max-time",
               .argument = "DUR",
               .initial = "1h",
               .help = "virtual time after which it is given up; churn and crashes end at half of it",
               .commands = of_simulate,
               .put = put_max_time,
               .kind = {"a duration above 0", "e.g. 90s, 15m, 2h"}},
    OptionSpec{.name = "compare",
               .argument = "POLICY",
               .help = "run it again with that policy, and show both: spread or rarest",
               .commands = of_simulate,
               .put = put_compare,
               .kind = {"a policy", "spread or rarest", "spread|rarest"}},
    OptionSpec{.name = "trace",
               .argument = "FILE",
               .help = "write all that happens there, as JSON Lines",
               .commands = of_simulate,
               .put = put_text<&Options::trace>,
               .kind = a_file},
    OptionSpec{.name = "svg",
               .argument = "FILE",
               .help = "write the curves there, as a picture",
               .commands = of_simulate,
               .put = put_text<&Options::svg>,
               .kind = a_file},
    OptionSpec{.name = "speed",
               .argument = "X",
               .initial = "max",
               .help = "virtual seconds in a second at most, to look on: 1",
               .commands = of_simulate,
               .put = put_speed,
               .kind = {"a speed", "e.g. 1, 10 or max", "max"}},
};

}  // namespace

std::span<const OptionSpec> simulate_rows() { return rows; }

}  // namespace swarm::cli
