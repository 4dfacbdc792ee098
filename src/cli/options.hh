// Options: what a person may say, from one table. The table feeds the command line parser, the environment, --help, the
// did-you-mean answers and the test that reads the man page.
//
// A flag wins over the environment (SWARM_…, from the long name), the environment over the default.
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

namespace swarm::cli {

enum class Command : std::uint8_t { none, tracker, seed, get, status };
enum class Colour : std::uint8_t { automatic, always, never };
enum class Progress : std::uint8_t { automatic, bar, plain, none };
enum class Pieces : std::uint8_t { automatic, all, ranges, failures, none };

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
};

/// A bit set of commands.
using Commands = unsigned;
constexpr Commands only(Command c) { return 1u << static_cast<unsigned>(c); }
constexpr Commands of_tracker = only(Command::tracker), of_seed = only(Command::seed), of_get = only(Command::get),
                   of_status = only(Command::status), of_all = of_tracker | of_seed | of_get | of_status;

/// What a value must be, for the text of an error: "--up: '10Q' is not a size. Use e.g. 500K, 10M, 10MB/s".
struct ValueKind {
  std::string_view noun;
  std::string_view use;
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

  std::string environment() const;  ///< "SWARM_PIECE_SIZE"
};

struct CommandSpec {
  Command command;
  std::string_view name;
  std::string_view words;  ///< "PATH..."
  std::size_t words_min = 0, words_max = 0;
  std::string_view summary;
  std::string_view about;  ///< the paragraph of its --help
};

std::span<const OptionSpec> option_table();
std::span<const CommandSpec> command_table();

/// Looks one variable up; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// What came of a command line: something to do, or a text that answers it (--help, --version) on stdout with exit 0.
struct Parsed {
  Options options;
  std::string answer;
};

/// `arguments` without the program's name. Every failure is Exit::usage. Never throws.
Result<Parsed> parse(const std::vector<std::string>& arguments, const Environment& environment);

std::string usage_text();                ///< five lines
std::string help_text(Command command);  ///< none: of swarm itself

/// Words as a POSIX shell reads them back.
std::string shell_quoted(const std::vector<std::string>& words);

}  // namespace swarm::cli
