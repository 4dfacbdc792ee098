// The table behind options.hh: every command and every option that exists, each once.
#include <array>
#include <charconv>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/text.hh"
#include "cli/options.hh"
#include "sim/suite.hh"
#include "wire/http.hh"

namespace swarm::cli {

namespace {

constexpr std::uint32_t nodes_max = 100'000;                         // of simulate: what a large machine holds
constexpr std::uint64_t content_bytes_max = std::uint64_t{1} << 44;  // 16 TiB
constexpr double loss_max = 0.5;
constexpr std::uint32_t piece_bytes_min = 16u << 10, piece_bytes_max = 16u << 20;  // what every client takes

template <class Number>
std::optional<Number> number_from(std::string_view text) {
  Number n{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

template <class T, class Value>
bool take(T& into, const std::optional<Value>& value) {
  if (!value) return false;
  into = static_cast<T>(*value);
  return true;
}

// One function per type of value; `member` says where it goes.
template <auto member>
bool put_flag(Options& o, std::string_view v) {
  return take(o.*member, parse_truth(v));
}
template <auto member>
bool put_text(Options& o, std::string_view v) {
  (o.*member) = v;
  return !v.empty();
}
template <auto member>
bool put_list(Options& o, std::string_view v) {
  (o.*member).emplace_back(v);
  return !v.empty();
}
template <auto member>
bool put_rate(Options& o, std::string_view v) {
  return take(o.*member, parse_rate(v));
}
template <auto member>
bool put_duration(Options& o, std::string_view v) {
  const auto d = parse_duration(v);
  if (!d) return false;
  (o.*member) = *d;
  return true;
}
template <auto member, std::uint64_t max>
bool put_number(Options& o, std::string_view v) {
  const auto n = number_from<std::uint64_t>(v);
  if (!n || *n == 0 || *n > max) return false;
  (o.*member) = static_cast<std::uint32_t>(*n);
  return true;
}

bool put_verbose(Options& o, std::string_view v) {
  if (const auto n = number_from<unsigned>(v)) {
    o.verbose = *n;
    return true;
  }
  const auto yes = parse_truth(v);
  if (yes.value_or(false)) ++o.verbose;
  return yes.has_value();
}

template <class Choice>
bool choose(Choice& into, std::string_view v, std::initializer_list<std::pair<std::string_view, Choice>> known) {
  for (const auto& [word, choice] : known) {
    if (v != word) continue;
    into = choice;
    return true;
  }
  return false;
}
bool put_colour(Options& o, std::string_view v) {
  return choose<Colour>(o.colour, v,
                        {{"auto", Colour::automatic}, {"always", Colour::always}, {"never", Colour::never}});
}
bool put_progress(Options& o, std::string_view v) {
  return choose<Progress>(
      o.progress, v,
      {{"auto", Progress::automatic}, {"bar", Progress::bar}, {"plain", Progress::plain}, {"none", Progress::none}});
}
bool put_pieces(Options& o, std::string_view v) {
  return choose<Pieces>(
      o.pieces, v,
      {{"all", Pieces::all}, {"ranges", Pieces::ranges}, {"failures", Pieces::failures}, {"none", Pieces::none}});
}

bool put_piece_size(Options& o, std::string_view v) {
  if (v == "auto") return o.piece_bytes = 0, true;
  const auto n = parse_size(v);
  if (!n || *n < piece_bytes_min || *n > piece_bytes_max || (*n & (*n - 1)) != 0) return false;
  o.piece_bytes = static_cast<std::uint32_t>(*n);
  return true;
}

bool put_port(Options& o, std::string_view v) {
  const auto dash = v.find('-');
  const auto first = number_from<std::uint16_t>(v.substr(0, dash));
  const auto last = dash == v.npos ? first : number_from<std::uint16_t>(v.substr(dash + 1));
  if (!first || !last || *last < *first || (*first == 0 && *last != 0)) return false;
  o.port = {*first, *last, false};
  return true;
}

bool put_ratio(Options& o, std::string_view v) {
  double r = 0;
  const auto [end, error] = std::from_chars(v.data(), v.data() + v.size(), r);
  if (error != std::errc{} || end != v.data() + v.size() || !(r > 0 && r < 1e9)) return false;
  o.until_ratio = r;
  return true;
}

/// How long get goes on sharing: "forever", a duration with its unit, or a ratio without one.
bool put_seed(Options& o, std::string_view v) {
  if (const auto yes = v == "forever" ? std::optional(true) : v.size() > 1 ? parse_truth(v) : std::nullopt) {
    return o.keep_seeding = *yes, true;
  }
  const auto passed = parse_duration(v);
  const bool has_unit = !v.empty() && (v.back() < '0' || v.back() > '9');
  if (!(has_unit && passed) && !put_ratio(o, v)) return false;
  if (has_unit) o.until_passed = *passed;
  return o.keep_seeding = true;
}

bool put_web_seed(Options& o, std::string_view v) {
  const auto url = wire::parse_url(v);
  if (!url || url->host.empty() || (url->scheme != "http" && url->scheme != "https")) return false;
  o.web_seeds.emplace_back(v);
  return true;
}

// Of simulate: what is said goes into its plan.
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

constexpr ValueKind a_truth{"true or false", "true or false", "true|false"};
constexpr ValueKind a_text{"anything", "a text that is not empty"};
constexpr ValueKind a_file{"a file", "the path of a file", {}, ValueKind::Place::file};
constexpr ValueKind a_folder{"a folder", "the path of a folder", {}, ValueKind::Place::folder};
constexpr ValueKind a_size{"a size", "e.g. 500K, 10M, 10MB/s"};
constexpr ValueKind a_duration{"a duration", "e.g. 90, 90s, 15m, 2h, 200ms"};
constexpr ValueKind a_number{"a number above 0", "e.g. 20"};

constexpr ValueKind a_part{"a share or a number of the nodes", "e.g. 20% or 3"};
constexpr ValueKind a_share_rate{"a share of the nodes in a time", "e.g. 10%/min, 1%/s, 50%/h"};

constexpr std::uint64_t u32_max = std::numeric_limits<std::uint32_t>::max();

constexpr std::array table{
    // tracker
    OptionSpec{.name = "listen",
               .letter = 'l',
               .argument = "[HOST]:PORT",
               .initial = "[::]:6969, IPv4 and IPv6",
               .help = "where to listen; may be repeated",
               .commands = of_tracker,
               .put = put_list<&Options::listen>,
               .kind = a_text,
               .list = true},
    OptionSpec{.name = "state",
               .argument = "DIR",
               .initial = "$STATE_DIRECTORY or $XDG_STATE_HOME/swarm/tracker",
               .help = "folder that keeps the catalogue",
               .commands = of_tracker,
               .put = put_text<&Options::state>,
               .kind = a_folder},
    OptionSpec{.name = "interval",
               .argument = "DUR",
               .initial = "2m",
               .help = "how often other BitTorrent clients shall announce",
               .commands = of_tracker,
               .put = put_duration<&Options::interval>,
               .kind = a_duration},
    OptionSpec{.name = "catalogued-only",
               .help = "refuse announces for what the catalogue does not hold",
               .commands = of_tracker,
               .put = put_flag<&Options::catalogued_only>,
               .kind = a_truth},
    OptionSpec{.name = "max-torrents",
               .argument = "N",
               .initial = "100000",
               .help = "bound on torrents in memory",
               .commands = of_tracker,
               .put = put_number<&Options::max_torrents, u32_max>,
               .kind = a_number},
    OptionSpec{.name = "max-peers",
               .argument = "N",
               .initial = "1000000",
               .help = "bound on peers in memory",
               .commands = of_tracker,
               .put = put_number<&Options::max_peers, u32_max>,
               .kind = a_number},
    OptionSpec{.name = "url",
               .argument = "URL",
               .initial = "from each request",
               .help = "base of the links it hands out, e.g. http://nas:6969",
               .commands = of_tracker,
               .put = put_text<&Options::url>,
               .kind = a_text},
    OptionSpec{.name = "no-udp",
               .help = "answer no announces over UDP",
               .commands = of_tracker,
               .put = put_flag<&Options::no_udp>,
               .kind = a_truth},
    OptionSpec{.name = "no-dashboard",
               .help = "serve no page for browsers at /",
               .commands = of_tracker,
               .put = put_flag<&Options::no_dashboard>,
               .kind = a_truth},
    OptionSpec{.name = "no-metrics",
               .help = "serve no /metrics for monitoring",
               .commands = of_tracker,
               .put = put_flag<&Options::no_metrics>,
               .kind = a_truth},

    // seed
    OptionSpec{.name = "name",
               .letter = 'n',
               .argument = "NAME",
               .initial = "the base name",
               .help = "name in the catalogue and in the torrent",
               .commands = of_seed,
               .put = put_text<&Options::name>,
               .kind = a_text},
    OptionSpec{.name = "piece-size",
               .argument = "auto|SIZE",
               .initial = "auto",
               .help = "bytes in a piece, a power of two",
               .commands = of_seed,
               .put = put_piece_size,
               .kind = {"a piece size", "auto or a power of two from 16K to 16M", "auto"}},
    OptionSpec{.name = "output",
               .argument = "FILE",
               .help = "also write the .torrent there ('-': stdout)",
               .commands = of_seed,
               .put = put_text<&Options::output>,
               .kind = a_file},
    OptionSpec{.name = "dry-run",
               .help = "hash and write the .torrent, share nothing",
               .commands = of_seed,
               .put = put_flag<&Options::dry_run>,
               .kind = a_truth},
    OptionSpec{.name = "private",
               .help = "mark the torrent private: peers come from its trackers only",
               .commands = of_seed,
               .put = put_flag<&Options::is_private>,
               .kind = a_truth},
    OptionSpec{.name = "comment",
               .argument = "TEXT",
               .help = "comment in the .torrent",
               .commands = of_seed,
               .put = put_text<&Options::comment>,
               .kind = a_text},
    OptionSpec{.name = "torrent",
               .argument = "FILE",
               .help = "serve PATH as this existing torrent; the data is verified first",
               .commands = of_seed,
               .put = put_text<&Options::torrent>,
               .kind = a_file},
    OptionSpec{.name = "replace",
               .help = "take over NAME in the catalogue",
               .commands = of_seed,
               .put = put_flag<&Options::replace>,
               .kind = a_truth},
    OptionSpec{.name = "web-seed",
               .argument = "URL",
               .help = "a web server that has the content, too; may be repeated",
               .commands = of_seed,
               .put = put_web_seed,
               .kind = {"an http address", "e.g. http://nas.example/pub/NAME"},
               .list = true},
    OptionSpec{.name = "until-copies",
               .argument = "N",
               .initial = "until Ctrl-C",
               .help = "end with 0 when N other whole copies exist",
               .commands = of_seed,
               .put = put_number<&Options::until_copies, u32_max>,
               .kind = a_number},
    OptionSpec{.name = "until-ratio",
               .argument = "R",
               .initial = "until Ctrl-C",
               .help = "end with 0 when R times the content was sent",
               .commands = of_seed,
               .put = put_ratio,
               .kind = {"a ratio", "e.g. 1.5"}},
    OptionSpec{.name = "for",
               .argument = "DUR",
               .initial = "until Ctrl-C",
               .help = "end with 0 after so long",
               .commands = of_seed,
               .put = put_duration<&Options::until_passed>,
               .kind = a_duration},

    // get
    OptionSpec{.name = "output",
               .letter = 'o',
               .argument = "PATH",
               .initial = "./NAME",
               .help = "save as PATH; a folder, or a trailing '/': into it; '-': stdout",
               .commands = of_get,
               .put = put_text<&Options::output>,
               .kind = a_file},
    OptionSpec{.name = "dir",
               .letter = 'd',
               .argument = "DIR",
               .initial = ".",
               .help = "save into DIR",
               .commands = of_get,
               .put = put_text<&Options::dir>,
               .kind = a_folder},
    OptionSpec{.name = "file",
               .letter = 'f',
               .argument = "GLOB",
               .initial = "all",
               .help = "only the files of a folder that match; may be repeated",
               .commands = of_get,
               .put = put_list<&Options::globs>,
               .kind = a_text,
               .list = true},
    OptionSpec{.name = "list",
               .help = "only list the files and their sizes",
               .commands = of_get,
               .put = put_flag<&Options::list>,
               .kind = a_truth},
    OptionSpec{.name = "check",
               .help = "only verify what is on the disk: exit 0 or 6",
               .commands = of_get,
               .put = put_flag<&Options::check>,
               .kind = a_truth},
    OptionSpec{.name = "sequential",
               .initial = "rarest first; implied by -o -",
               .help = "fetch pieces in order",
               .commands = of_get,
               .put = put_flag<&Options::sequential>,
               .kind = a_truth},
    OptionSpec{.name = "seed",
               .argument = "=DUR|RATIO",
               .help = "go on sharing when whole: until Ctrl-C, for so long, or up to that ratio",
               .commands = of_get,
               .put = put_seed,
               .kind = {"a duration with a unit or a ratio", "e.g. --seed=2h or --seed=1.5"},
               .implied = "forever"},
    OptionSpec{.name = "overwrite",
               .help = "replace a different file that is there",
               .commands = of_get,
               .put = put_flag<&Options::overwrite>,
               .kind = a_truth},
    OptionSpec{.name = "rename",
               .help = "save beside a different file, as 'NAME (1)'",
               .commands = of_get,
               .put = put_flag<&Options::rename>,
               .kind = a_truth},
    OptionSpec{.name = "wait",
               .argument = "DUR",
               .initial = "for ever on a terminal, else 60s",
               .help = "give up (exit 5) when nothing came for so long",
               .commands = of_get,
               .put = put_duration<&Options::wait>,
               .kind = a_duration},

    // seed and get
    OptionSpec{.name = "peer",
               .argument = "HOST:PORT",
               .help = "a peer to begin with; may be repeated",
               .commands = of_seed | of_get,
               .put = put_list<&Options::peers>,
               .kind = a_text,
               .list = true},
    OptionSpec{.name = "port",
               .letter = 'p',
               .argument = "PORT[-PORT]",
               .initial = "6881-6889, then any",
               .help = "where peers reach this machine",
               .commands = of_seed | of_get,
               .put = put_port,
               .kind = {"a port", "e.g. 6881 or 6881-6889"}},
    OptionSpec{.name = "up",
               .argument = "RATE",
               .initial = "unlimited",
               .help = "bound on sending, of all torrents",
               .commands = of_seed | of_get,
               .put = put_rate<&Options::rate_up_max>,
               .kind = a_size},
    OptionSpec{.name = "down",
               .argument = "RATE",
               .initial = "unlimited",
               .help = "bound on receiving, of all torrents",
               .commands = of_seed | of_get,
               .put = put_rate<&Options::rate_down_max>,
               .kind = a_size},
    OptionSpec{.name = "max-peers",
               .argument = "N",
               .initial = "200",
               .help = "connections per torrent",
               .commands = of_seed | of_get,
               .put = put_number<&Options::max_peers, 65'535>,
               .kind = a_number},

    // status
    OptionSpec{.name = "watch",
               .letter = 'w',
               .argument = "SECS",
               .initial = "1",
               .help = "look again and again",
               .commands = of_status,
               .put = put_duration<&Options::watch>,
               .kind = a_duration,
               .implied = "1"},
    OptionSpec{.name = "nodes",
               .help = "only the table of nodes",
               .commands = of_status,
               .put = put_flag<&Options::nodes>,
               .kind = a_truth},
    OptionSpec{.name = "files",
               .help = "only the table of files",
               .commands = of_status,
               .put = put_flag<&Options::files>,
               .kind = a_truth},
    OptionSpec{.name = "check",
               .help = "exit 1 when a catalogued file has no whole copy online",
               .commands = of_status,
               .put = put_flag<&Options::check>,
               .kind = a_truth},

    OptionSpec{.name = "pieces",
               .argument = "NAME",
               .help = "who holds which pieces of NAME",
               .commands = of_status,
               .put = put_text<&Options::pieces_of>,
               .kind = a_text,
               .typed_only = true},
    OptionSpec{.name = "follow",
               .help = "print what happens, one event a line, until Ctrl-C",
               .commands = of_status,
               .put = put_flag<&Options::follow>,
               .kind = a_truth},

    // simulate
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

    // all
    OptionSpec{.name = "tracker",
               .letter = 't',
               .argument = "ADDR",
               .help = "the tracker: host, host:port, http(s)://... or udp://...; may be repeated",
               .commands = of_real & ~of_tracker,
               .put = put_list<&Options::trackers>,
               .kind = a_text,
               .list = true},
    OptionSpec{.name = "json",
               .help = "JSON Lines on stdout",
               .commands = of_all,
               .put = put_flag<&Options::json>,
               .kind = a_truth},
    OptionSpec{.name = "quiet",
               .letter = 'q',
               .help = "errors and results only",
               .commands = of_all,
               .put = put_flag<&Options::quiet>,
               .kind = a_truth},
    OptionSpec{.name = "verbose",
               .letter = 'v',
               .help = "say more; may be repeated",
               .commands = of_all,
               .put = put_verbose,
               .kind = a_truth,
               .list = true},
    OptionSpec{.name = "color",
               .argument = "WHEN",
               .initial = "auto",
               .help = "auto, always or never",
               .commands = of_all,
               .put = put_colour,
               .kind = {"a choice", "auto, always or never", "auto|always|never"}},
    OptionSpec{.name = "progress",
               .argument = "HOW",
               .initial = "auto",
               .help = "auto, bar, plain or none",
               .commands = of_seed | of_get | of_tracker | of_simulate,
               .put = put_progress,
               .kind = {"a choice", "auto, bar, plain or none", "auto|bar|plain|none"}},
    OptionSpec{.name = "pieces",
               .argument = "WHICH",
               .initial = "ranges; all with -v or --json",
               .help = "piece checks to show: all, ranges, failures or none",
               .commands = of_seed | of_get | of_tracker,
               .put = put_pieces,
               .kind = {"a choice", "all, ranges, failures or none", "all|ranges|failures|none"}},
    OptionSpec{.name = "log",
               .argument = "FILE",
               .help = "append every piece check to FILE",
               .commands = of_seed | of_get | of_tracker,
               .put = put_text<&Options::log>,
               .kind = a_file},
    OptionSpec{.name = "interface",
               .argument = "ADDR",
               .initial = "all",
               .help = "address or network interface to use; tailscale: this machine's address there",
               .commands = of_seed | of_get | of_tracker,
               .put = put_text<&Options::interface>,
               .kind = a_text},
    OptionSpec{.name = "node-name",
               .argument = "NAME",
               .initial = "the host's name",
               .help = "what others see this machine as",
               .commands = of_seed | of_get | of_tracker,
               .put = put_text<&Options::node_name>,
               .kind = a_text},
    OptionSpec{.name = "token-file",
               .argument = "FILE",
               .help = "file that holds the secret which the tracker asks for",
               .commands = of_real,
               .put = put_text<&Options::token_file>,
               .kind = a_file},
    OptionSpec{.name = "config",
               .argument = "FILE",
               .initial = "$XDG_CONFIG_HOME/swarm/config.toml",
               .help = "settings: what to say with every command",
               .commands = of_all,
               .put = put_text<&Options::config>,
               .kind = a_file},
    OptionSpec{.name = "no-config",
               .help = "read no settings file",
               .commands = of_all,
               .put = put_flag<&Options::no_config>,
               .kind = a_truth},
};

constexpr std::array commands{
    CommandSpec{.command = Command::tracker,
                .name = "tracker",
                .words = "",
                .words_min = 0,
                .words_max = 0,
                .summary = "the orchestrator: catalogue, nodes, announces, live view",
                .about =
                    "Run it on one machine that all others reach. It hands out names and peers; no content passes "
                    "through it.\nAny BitTorrent client may announce to http://HOST:6969/announce or udp://HOST:6969."},
    CommandSpec{.command = Command::seed,
                .name = "seed",
                .words = "PATH...",
                .words_min = 1,
                .words_max = 10'000,
                .summary = "share files or folders",
                .about =
                    "Hashes each PATH, puts it into the tracker's catalogue and serves it until Ctrl-C. '-' is stdin.\n"
                    "A restart serves at once: hashes are kept as long as the files do not change.",
                .takes_files = true},
    CommandSpec{.command = Command::get,
                .name = "get",
                .words = "WHAT...",
                .words_min = 1,
                .words_max = 10'000,
                .summary = "download, and verify every piece",
                .about =
                    "WHAT: a NAME in the tracker's catalogue, a .torrent or its address, a magnet link, an info-hash.\n"
                    "Ends when everything is whole and verified; the same command resumes.",
                .takes_files = true},
    CommandSpec{.command = Command::status,
                .name = "status",
                .words = "[WHAT]",
                .words_min = 0,
                .words_max = 1,
                .summary = "look at the swarm through its tracker",
                .about =
                    "Who has what, how fast it moves, how many copies there are. WHAT: only what concerns that NAME.\n"
                    "For a .torrent, a magnet link or a progress.json: what it says, without a tracker.",
                .takes_files = true},
    CommandSpec{.command = Command::simulate,
                .name = "simulate",
                .words = "",
                .words_min = 0,
                .words_max = 0,
                .summary = "the same engine on a simulated network, thousands of nodes in one process",
                .about =
                    "How fast a swarm of that size and on those lines would be, and how near to the least time that is "
                    "possible.\nVirtual time; nothing is sent anywhere. Ends with 0 when every honest node that could "
                    "became whole, byte for byte."},
};

}  // namespace

std::optional<bool> parse_truth(std::string_view text) {
  for (const auto* yes : {"true", "1", "yes", "on"}) {
    if (text == yes) return true;
  }
  for (const auto* no : {"false", "0", "no", "off", ""}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

std::span<const OptionSpec> option_table() { return table; }
std::span<const CommandSpec> command_table() { return commands; }

}  // namespace swarm::cli
