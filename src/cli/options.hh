// Options: what a person may say, from one table. The table feeds the command line parser, the environment, the settings file,
// --help, --completion, the did-you-mean answers and the test that reads the man page.
//
// 1. A flag wins over the environment (SWARM_…, from the long name), the environment over the settings file, there the command's
//    own table over what stands above all tables, and all of them over the default.
// 2. Options that exclude each other do so among what was said in one place; else the stronger place wins.
//    Rationale: 'dir = "/data"' in the file must not forbid 'get -o here'.
// 3. A value is judged only where it counts: one that a stronger place overrides, or that is for another command, is not read.
// 4. What the settings file has and no option is called is a warning, with its line and the nearest name.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "base/instant.hh"
#include "cli/config.hh"
#include "sim/plan.hh"

namespace swarm::cli {

enum class Command : std::uint8_t { none, tracker, seed, get, status, simulate };
enum class Colour : std::uint8_t { automatic, always, never };
enum class Progress : std::uint8_t { automatic, bar, plain, none };
enum class Pieces : std::uint8_t { automatic, all, ranges, failures, none };
enum class Shell : std::uint8_t { bash, zsh, fish };

struct PortRange {
  std::uint16_t first = 6881, last = 6889;
  bool then_any = true;  ///< the default: any free port when the whole range is taken
};

/// Everything that was said, with defaults for the rest.
struct Options {
  Command command = Command::none;
  std::vector<std::string> words;  ///< PATH… of seed, WHAT… of get, WHAT of status
  std::string again;               ///< the command line as a person would type it again

  // All commands.
  std::vector<std::string> trackers;
  bool json = false;
  bool quiet = false;
  unsigned verbose = 0;
  Colour colour = Colour::automatic;
  Progress progress = Progress::automatic;
  Pieces pieces = Pieces::automatic;
  std::string log;
  std::string interface;
  std::string node_name;
  std::string token_file;  ///< the file, never the secret itself: a command line is public
  std::string config;      ///< empty: the usual place
  bool no_config = false;

  // tracker
  std::vector<std::string> listen;
  std::string state;
  Duration interval = 2min;
  bool catalogued_only = false;
  std::uint64_t max_torrents = 100'000;
  std::string url;
  bool no_udp = false;
  bool no_dashboard = false;
  bool no_metrics = false;

  // seed
  std::string name;
  std::uint32_t piece_bytes = 0;  ///< 0: chosen by size
  bool dry_run = false;
  bool is_private = false;
  std::string comment;
  std::string torrent;
  bool replace = false;
  std::vector<std::string> web_seeds;
  std::optional<std::uint32_t> until_copies;

  // get
  std::string dir;
  bool overwrite = false;
  bool rename = false;
  std::optional<Duration> wait;
  std::vector<std::string> globs;  ///< -f: files to choose; empty: all
  bool list = false;
  bool sequential = false;
  bool keep_seeding = false;  ///< --seed: go on sharing once it is whole, until one of those below

  // Several of them.
  std::string output;                 ///< seed: the .torrent; get: where to save
  std::optional<double> until_ratio;  ///< of seed, and of get --seed=RATIO
  std::optional<Duration> until_passed;
  std::optional<std::uint64_t> max_peers;
  PortRange port;
  std::uint64_t rate_up_max = 0, rate_down_max = 0;  ///< bytes/s, 0: unlimited
  std::vector<std::string> peers;

  // status
  std::optional<Duration> watch;
  bool nodes = false;
  bool files = false;
  bool check = false;     ///< also get's: only verify what is on the disk
  std::string pieces_of;  ///< --pieces NAME
  bool follow = false;

  // simulate
  sim::Plan plan;
  bool lines_given = false;  ///< --up, --down, --rtt, --jitter or --loss
  bool partitions_given = false;
  std::string profile_file;  ///< --profile FILE; empty: none, or one that has a name
  std::optional<core::Policy> compare;
  std::string trace, svg;
  double speed = 0;  ///< virtual seconds a second, 0: as many as can be
};

/// A bit set of commands.
using Commands = unsigned;
constexpr Commands only(Command c) { return 1u << static_cast<unsigned>(c); }
constexpr Commands of_tracker = only(Command::tracker), of_seed = only(Command::seed), of_get = only(Command::get),
                   of_status = only(Command::status), of_simulate = only(Command::simulate),
                   of_real = of_tracker | of_seed | of_get | of_status, of_all = of_real | of_simulate;

/// What a value must be, for the text of an error: "--up: '10Q' is not a size. Use e.g. 500K, 10M, 10MB/s".
struct ValueKind {
  enum class Place : std::uint8_t { none, file, folder };
  std::string_view noun;
  std::string_view use;
  std::string_view choices = {};  ///< "auto|always|never": words that it may be, all of them or besides others
  Place place = Place::none;      ///< what a shell completes
};

struct OptionSpec {
  std::string_view name;           ///< long name, without dashes
  char letter = 0;                 ///< short name
  std::string_view argument = {};  ///< empty: a flag
  std::string_view initial = {};   ///< the default as text, empty when there is none worth saying
  std::string_view help = {};
  Commands commands = 0;
  bool (*put)(Options&, std::string_view value) = nullptr;  ///< false: the value is not of its kind
  ValueKind kind = {};
  bool list = false;  ///< may be given several times, each with one value
  std::string_view implied =
      {};                   ///< value when the argument is left out; empty: it may not be. An `argument` that begins
                            ///< with '=' is then never the next word: --seed=2h, but "--seed 2h" is --seed and a WHAT
  bool typed_only = false;  ///< not from the environment: its variable would be another option's

  bool common() const;              ///< may also stand before the subcommand
  std::string environment() const;  ///< "SWARM_PIECE_SIZE"
};

struct CommandSpec {
  Command command;
  std::string_view name;
  std::string_view words;  ///< "PATH..."
  std::size_t words_min = 0, words_max = 0;
  std::string_view summary;
  std::string_view about;    ///< the paragraph of its --help
  bool takes_files = false;  ///< its words may be files: what a shell completes
};

std::span<const OptionSpec> option_table();
std::span<const CommandSpec> command_table();

/// Looks one variable up; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// What came of a command line: something to do, or a text that answers it (--help, --version, --completion) on stdout with
/// exit 0.
struct Parsed {
  Options options;
  std::string answer;
  std::vector<std::string> warnings;  ///< about the settings file; for stderr
};

/// `arguments` without the program's name. Failures are Exit::usage, but for a settings file that cannot be read (Exit::disk) or
/// is not where --config says (Exit::not_found). Without `read_file` there is no settings file. Never throws.
Result<Parsed> parse(const std::vector<std::string>& arguments, const Environment& environment,
                     const ReadFile& read_file = {});

std::string usage_text();                ///< five lines
std::string help_text(Command command);  ///< none: of swarm itself
/// A script that makes the shell complete commands, options, choices and file names.
std::string completion_text(Shell shell);

/// "true", "1", "yes", "on", or the opposite of one; nothing for any other text.
std::optional<bool> parse_truth(std::string_view text);

/// Words as a POSIX shell reads them back.
std::string shell_quoted(const std::vector<std::string>& words);

}  // namespace swarm::cli
