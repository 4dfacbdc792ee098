#include "cli/options.hh"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <bit>
#include <cctype>
#include <filesystem>
#include <map>
#include <system_error>
#include <tuple>

#include "base/text.hh"

namespace swarm::cli {

namespace {

tl::unexpected<Error> usage(std::string message, std::string hint = {}) {
  return fail(Exit::usage, "usage", std::move(message), std::move(hint));
}

/// What may also stand before the subcommand.
bool is_common(const OptionSpec& o) { return std::popcount(o.commands) >= 3; }

bool is_option(const std::string& word) { return word.size() > 1 && word[0] == '-'; }

std::string_view name_of(Command c) { return std::ranges::find(command_table(), c, &CommandSpec::command)->name; }

/// The row behind "--tracker=nas", "--tracker" or a short "-t" (of several rows with one name any: they agree about values).
const OptionSpec* find_row(std::string_view word, Commands commands) {
  const auto wanted = [&](const OptionSpec& o) {
    if ((o.commands & commands) == 0) return false;
    if (word.starts_with("--")) return word.substr(2, word.find('=') - 2) == o.name;
    return o.letter != 0 && word[1] == o.letter;
  };
  const auto found = std::ranges::find_if(option_table(), wanted);
  return found == option_table().end() ? nullptr : &*found;
}

/// Does this word take the next one as its value? ("-vt nas" does, "-tnas" and "--tracker=nas" do not.)
bool takes_next(std::string_view word, Commands commands) {
  if (word.starts_with("--")) {
    const auto* row = find_row(word, commands);
    return row != nullptr && !row->argument.empty() && row->implied.empty() && word.find('=') == word.npos;
  }
  for (std::size_t i = 1; i < word.size(); ++i) {
    const auto* row = find_row(std::string("-") + word[i], commands);
    if (row == nullptr) return false;
    if (!row->argument.empty()) return row->implied.empty() && i + 1 == word.size();
  }
  return false;
}

/// Where the subcommand stands: the first word that is neither an option nor an option's value.
std::size_t find_command(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--" || !is_option(words[i])) return i;
    if (takes_next(words[i], of_all)) ++i;
  }
  return words.size();
}

/// An option whose argument may be left out gets the implied one, unless what follows is one ("--watch 5").
std::vector<std::string> with_implied(std::vector<std::string> words, Commands commands) {
  for (std::size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (!is_option(words[i]) || words[i].find('=') != std::string::npos) continue;
    const auto* row = find_row(words[i], commands);
    const bool bare = row != nullptr && !row->implied.empty() && (words[i].size() == 2 || words[i][1] == '-');
    Options scratch;
    if (bare && (row->argument.starts_with('=') || i + 1 == words.size() || !row->put(scratch, words[i + 1]))) {
      words[i] = fmt::format("--{}={}", row->name, row->implied);
    }
  }
  return words;
}

/// CLI11 with the rows of one command; it sorts words into options, values and the rest. What the values mean is decided
/// later, for the command line and the environment alike. A whole App for each command rather than CLI11's subcommands:
/// those take a file called "status" for a subcommand, and a file called "[x]" for a list.
class Parser {
 public:
  explicit Parser(Commands commands) : app_("", "swarm") {
    app_.set_help_flag("");
    app_.allow_extras();
    app_.add_flag("-h,--help");
    app_.add_flag("--version");
    for (const OptionSpec& o : option_table()) {
      if ((o.commands & commands) == 0) continue;
      const auto names = o.letter ? fmt::format("-{},--{}", o.letter, o.name) : fmt::format("--{}", o.name);
      CLI::Option* option = nullptr;
      if (o.argument.empty()) {
        option = app_.add_flag(names);
      } else {
        option = app_.add_option(names, [](const CLI::results_t&) { return true; })->expected(1);
        option->allow_extra_args(false);  // one value each time, or "-t nas file" would swallow the file
      }
      rows_[&o] = option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
  }

  /// The one place where CLI11's exceptions end.
  Result<void> read(std::vector<std::string> words) {
    std::ranges::reverse(words);  // CLI11 takes them from the back
    try {
      app_.parse(std::move(words));
      return {};
    } catch (const CLI::ArgumentMismatch& e) {  // "--up: 1 required missing"
      const std::string text = e.what();
      const auto name = text.substr(0, text.find(':'));
      const auto* row = find_row(name, of_all);
      return row != nullptr ? usage(fmt::format("--{} needs a value", row->name),
                                    fmt::format("Use --{} {}", row->name, row->argument))
                            : usage(text);
    } catch (const CLI::Error& e) {
      return usage(e.what());
    }
  }

  bool said(const char* flag) const { return app_[flag]->count() > 0; }
  std::vector<std::string> values(const OptionSpec& o) const { return rows_.at(&o)->results(); }

  /// Words that belong to no option, and, before "--", options that nobody knows.
  std::vector<std::string> rest() const { return app_.remaining(); }

 private:
  CLI::App app_;
  std::map<const OptionSpec*, CLI::Option*> rows_;
};

tl::unexpected<Error> no_such_option(const std::string& word, Command command) {
  const auto typed = word.starts_with("--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
  const auto of = command == Command::none ? std::string() : fmt::format(" of 'swarm {}'", name_of(command));
  std::vector<std::string> known;
  for (const OptionSpec& o : option_table()) {
    if (command == Command::none ? is_common(o) : (o.commands & only(command)) != 0) {
      known.push_back(fmt::format("--{}", o.name));
    }
  }
  known.insert(known.end(), {"--help", "--version"});
  const bool of_another = typed.starts_with("--") && find_row(typed, of_all) != nullptr;  // no misspelling then
  if (const auto near = nearest(typed, known); near && !of_another) {
    return usage(fmt::format("no option '{}'", printable(typed)), fmt::format("Did you mean '{}'?", *near));
  }
  if (const auto* row = find_row(typed, of_all)) {
    for (const CommandSpec& c : command_table()) {
      if (row->commands & only(c.command)) {
        return usage(fmt::format("'{}' is no option{}", typed, of), fmt::format("It belongs to 'swarm {}'", c.name));
      }
    }
  }
  return usage(
      fmt::format("no option '{}'", printable(typed)),
      command == Command::none ? "See 'swarm --help'" : fmt::format("See 'swarm {} --help'", name_of(command)));
}

tl::unexpected<Error> no_such_command(const std::string& word) {
  std::vector<std::string> known;
  for (const CommandSpec& c : command_table()) known.emplace_back(c.name);
  if (const auto near = nearest(word, known)) {
    return usage(fmt::format("no command '{}'", printable(word)), fmt::format("Did you mean '{}'?", *near));
  }
  const auto suggest = [&](std::string_view what, std::string_view command) {
    return usage(fmt::format("'{}' is {}", printable(word), what),
                 fmt::format("Did you mean 'swarm {} {}'?", command, printable(shell_quoted({word}))));
  };
  std::error_code none;
  if (word.starts_with("magnet:?")) return suggest("a magnet link", "get");
  if (word.starts_with("http://") || word.starts_with("https://")) return suggest("an address", "get");
  if (word.ends_with(".torrent") && std::filesystem::exists(word, none)) return suggest("a .torrent file", "get");
  if (std::filesystem::is_directory(word, none)) return suggest("a folder", "seed");
  if (std::filesystem::exists(word, none)) return suggest("a file", "seed");
  return usage(fmt::format("no command '{}'", printable(word)), "See 'swarm --help'");
}

tl::unexpected<Error> bad_value(const std::string& where, std::string_view value, const ValueKind& kind) {
  return usage(fmt::format("{}: '{}' is not {}", where, printable(value), kind.noun), fmt::format("Use {}", kind.use));
}

/// "nas backup" or "nas,backup": how one variable holds a list.
std::vector<std::string> list_from(std::string text) {
  std::ranges::replace(text, ',', ' ');
  std::vector<std::string> out;
  for (const auto part : split(text, ' ')) {
    if (!part.empty()) out.emplace_back(part);
  }
  return out;
}

Result<void> put_values(Options& options, const OptionSpec& row, const Parser& parser, const Environment& environment) {
  auto values = parser.values(row);
  auto where = fmt::format("--{}", row.name);
  if (values.empty()) {
    if (row.typed_only) return {};
    const auto variable = environment(row.environment());
    if (!variable || variable->empty()) return {};
    where = row.environment();
    values = row.list ? list_from(*variable) : std::vector{*variable};
  }
  if (!row.list) values.erase(values.begin(), values.end() - 1);  // the last one wins
  for (const auto& value : values) {
    if (!row.put(options, value)) return bad_value(where, value, row.kind);
  }
  return {};
}

/// Combinations that cannot be meant.
Result<void> judge(const Options& o) {
  if (std::ranges::any_of(o.words, &std::string::empty)) {
    return usage(fmt::format("'swarm {}': a word is empty", name_of(o.command)), "Is a variable of the shell not set?");
  }
  if (o.overwrite && o.rename) return usage("--overwrite and --rename exclude each other", "Give one of them");
  if (!o.output.empty() && !o.dir.empty()) return usage("-o and -d exclude each other", "Give the whole path to -o");
  if (o.command == Command::get && o.words.size() > 1 && !o.output.empty() && !o.output.ends_with('/') &&
      !std::filesystem::is_directory(o.output)) {
    return usage(fmt::format("-o {} is one place for {} downloads", printable(o.output), o.words.size()),
                 "Use -d DIR, or a folder");
  }
  if (o.command == Command::get) {
    const bool out = o.output == "-";
    for (const auto& [a, said_a, b, said_b] :
         {std::tuple{out, "-o -", o.json, "--json"}, std::tuple{out, "-o -", o.keep_seeding, "--seed"},
          std::tuple{out, "-o -", o.check, "--check"}, std::tuple{o.list, "--list", o.check, "--check"}}) {
      if (a && b) return usage(fmt::format("{} and {} exclude each other", said_a, said_b), "Give one of them");
    }
  }
  if (o.command == Command::seed && o.words.size() > 1) {
    for (const auto& [said, name] : {std::pair{!o.name.empty(), "--name"}, std::pair{!o.torrent.empty(), "--torrent"},
                                     std::pair{!o.output.empty(), "--output"}}) {
      if (said) return usage(fmt::format("{} is for one PATH, not for {}", name, o.words.size()), "Run seed for each");
    }
  }
  if (o.command == Command::seed && std::ranges::find(o.words, "-") != o.words.end()) {
    if (o.words.size() > 1) return usage("'-' (stdin) is for one PATH, not for several", "Run seed for each");
    if (o.name.empty()) return usage("stdin has no name", "Give one: --name NAME");
  }
  if (o.command == Command::status && o.follow && (o.watch || o.check || !o.pieces_of.empty())) {
    return usage("--follow excludes --watch, --check and --pieces", "Run them in another terminal");
  }
  return {};
}

Result<Parsed> parse_command(Command command, std::vector<std::string> arguments, const Environment& environment) {
  const Commands mine = only(command);
  Parser parser(mine);
  if (const auto read = parser.read(with_implied(std::move(arguments), mine)); !read) {
    return tl::unexpected(read.error());
  }
  Parsed out;
  Options& o = out.options;
  o.command = command;
  if (parser.said("--help")) return out.answer = help_text(command), out;
  if (parser.said("--version")) return out.answer = "swarm " SWARM_VERSION "\n", out;

  bool words_only = false;
  for (auto& word : parser.rest()) {
    if (!words_only && word == "--") {
      words_only = true;
    } else if (!words_only && is_option(word)) {
      return no_such_option(word, command);
    } else {
      o.words.push_back(std::move(word));
    }
  }
  const auto& spec = *std::ranges::find(command_table(), command, &CommandSpec::command);
  if (o.words.size() < spec.words_min) {
    return usage(fmt::format("'swarm {}' needs {}", spec.name, spec.words),
                 fmt::format("See 'swarm {} --help'", spec.name));
  }
  if (o.words.size() > spec.words_max) {
    return usage(fmt::format("'{}' is one word too many for 'swarm {}'", printable(o.words[spec.words_max]), spec.name),
                 fmt::format("See 'swarm {} --help'", spec.name));
  }
  for (const OptionSpec& row : option_table()) {
    if ((row.commands & mine) == 0) continue;
    if (const auto put = put_values(o, row, parser, environment); !put) return tl::unexpected(put.error());
  }
  if (const auto judged = judge(o); !judged) return tl::unexpected(judged.error());
  return out;
}

}  // namespace

std::string OptionSpec::environment() const {
  std::string out = "SWARM_";
  for (const char c : name) out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

Result<Parsed> parse(const std::vector<std::string>& arguments, const Environment& environment) {
  auto again = arguments;
  again.insert(again.begin(), "swarm");
  const auto at = find_command(arguments);
  if (at < arguments.size() && arguments[at] != "--") {
    const auto known = std::ranges::find(command_table(), arguments[at], &CommandSpec::name);
    if (known == command_table().end()) {
      // "--trakcer nas get x": what looks like the command may be the value of an option that nobody knows.
      for (std::size_t i = 0; i < at; ++i) {
        if (is_option(arguments[i]) && find_row(arguments[i], of_all) == nullptr && arguments[i] != "-h") {
          return no_such_option(arguments[i], Command::none);
        }
      }
      return no_such_command(arguments[at]);
    }
    auto rest = arguments;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(at));
    auto parsed = parse_command(known->command, std::move(rest), environment);
    if (parsed) parsed->options.again = shell_quoted(again);
    return parsed;
  }

  Parser parser(0);
  if (const auto read = parser.read(arguments); !read) return tl::unexpected(read.error());
  Parsed out;
  if (parser.said("--help")) return out.answer = help_text(Command::none), out;
  if (parser.said("--version")) return out.answer = "swarm " SWARM_VERSION "\n", out;
  for (const auto& word : parser.rest()) {
    if (is_option(word) && find_row(word, of_all) == nullptr) return no_such_option(word, Command::none);
  }
  return usage(usage_text());
}

std::string shell_quoted(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) {
    if (!out.empty()) out += ' ';
    const auto plain = [](unsigned char c) {
      return std::isalnum(c) != 0 || c >= 0x80 ||
             std::string_view("-_./:,+@%=").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!word.empty() && std::ranges::all_of(word, plain)) {
      out += word;
      continue;
    }
    out += '\'';
    for (const char c : word) {
      if (c == '\'') {
        out += "'\\''";
      } else {
        out += c;
      }
    }
    out += '\'';
  }
  return out;
}

}  // namespace swarm::cli
