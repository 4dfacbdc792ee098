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
#include "wire/magnet.hh"

namespace swarm::cli {

namespace {

tl::unexpected<Error> usage(std::string message, std::string hint = {}) {
  return fail(Exit::usage, "usage", std::move(message), std::move(hint));
}

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
  explicit Parser(Commands commands) : commands_(commands), app_("", "swarm") {
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
      const auto* row = find_row(name, commands_);
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
  Commands commands_;
  CLI::App app_;
  std::map<const OptionSpec*, CLI::Option*> rows_;
};

tl::unexpected<Error> no_such_option(const std::string& word, Command command) {
  const auto typed = word.starts_with("--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
  if (typed == "--completion") return usage("--completion stands alone", "Use 'swarm --completion bash|zsh|fish'");
  const auto of = command == Command::none ? std::string() : fmt::format(" of 'swarm {}'", name_of(command));
  std::vector<std::string> known;
  for (const OptionSpec& o : option_table()) {
    if (command == Command::none ? o.common() : (o.commands & only(command)) != 0) {
      known.push_back(fmt::format("--{}", o.name));
    }
  }
  known.insert(known.end(), {"--help", "--version"});
  if (command == Command::none) known.emplace_back("--completion");
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
  if (wire::is_magnet(word)) return suggest("a magnet link", "get");
  if (word.starts_with("http://") || word.starts_with("https://")) return suggest("an address", "get");
  if (word.ends_with(".torrent") && std::filesystem::exists(word, none)) return suggest("a .torrent file", "get");
  if (std::filesystem::is_directory(word, none)) return suggest("a folder", "seed");
  if (std::filesystem::exists(word, none)) return suggest("a file", "seed");
  return usage(fmt::format("no command '{}'", printable(word)), "See 'swarm --help'");
}

tl::unexpected<Error> bad_value(const std::string& where, std::string_view value, const ValueKind& kind) {
  std::vector<std::string> choices;
  for (const auto choice : split(kind.choices, '|')) choices.emplace_back(choice);
  if (const auto near = nearest(value, choices)) {
    return usage(fmt::format("{}: '{}' is not {}", where, printable(value), kind.noun),
                 fmt::format("Did you mean '{}'?", *near));
  }
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

/// Rule 1: the places where an option may be set, the strongest first.
enum class Place : std::uint8_t { flag, environment, own_table, all_tables, nowhere };

struct Said {
  Place place = Place::nowhere;
  std::vector<std::string> values;
  std::string where;  ///< for the text of an error: "--up", "SWARM_UP", "config.toml:3: up"
};

/// The settings file, and how to say where in it.
struct Settings {
  std::string path;
  std::vector<Setting> lines;

  const Setting* find(std::string_view table, std::string_view key) const {
    const auto at = std::ranges::find_if(lines, [&](const Setting& s) { return s.table == table && s.key == key; });
    return at == lines.end() ? nullptr : &*at;
  }
  std::string where(const Setting& s) const {
    return fmt::format("{}:{}: {}", printable(path), s.line, printable(s.key));
  }
};

/// What was said about one option, in the strongest of all places.
Result<Said> find_said(const OptionSpec& row, Command command, const Parser& parser, const Environment& environment,
                       const Settings& settings) {
  if (auto values = parser.values(row); !values.empty())
    return Said{Place::flag, std::move(values), fmt::format("--{}", row.name)};
  if (row.typed_only) return Said{};
  if (const auto variable = environment(row.environment()); variable && !variable->empty()) {
    return Said{Place::environment, row.list ? list_from(*variable) : std::vector{*variable}, row.environment()};
  }
  for (const auto place : {Place::own_table, Place::all_tables}) {
    const auto* setting = settings.find(place == Place::own_table ? name_of(command) : "", row.name);
    if (setting == nullptr) continue;
    if (setting->list && !row.list) {
      return usage(fmt::format("{} is one value, not a list", settings.where(*setting)), "Leave the brackets out");
    }
    return Said{place, setting->values, settings.where(*setting)};
  }
  return Said{};
}

/// A flag that says no does not stand against another.
bool affirms(const OptionSpec& row, const Said& said) {
  return said.place != Place::nowhere && (!row.argument.empty() || parse_truth(said.values.back()).value_or(true));
}

/// Rule 2.
constexpr std::pair<std::string_view, std::string_view> rivals[] = {
    {"overwrite", "rename"}, {"output", "dir"}, {"quiet", "verbose"}, {"config", "no-config"}};

void drop_weaker_rivals(std::map<const OptionSpec*, Said>& all, Commands commands) {
  for (const auto& [one, other] : rivals) {
    const auto a = all.find(find_row(fmt::format("--{}", one), commands));
    const auto b = all.find(find_row(fmt::format("--{}", other), commands));
    if (a == all.end() || b == all.end() || !affirms(*a->first, a->second) || !affirms(*b->first, b->second)) continue;
    if (a->second.place < b->second.place) b->second = {};
    if (b->second.place < a->second.place) a->second = {};
  }
}

Result<void> put_values(Options& options, const OptionSpec& row, const Said& said) {
  if (said.place == Place::nowhere) return {};
  const auto first =
      row.list || said.values.empty() ? said.values.begin() : said.values.end() - 1;  // the last one wins
  for (auto value = first; value != said.values.end(); ++value) {
    if (!row.put(options, *value)) return bad_value(said.where, *value, row.kind);
  }
  return {};
}

/// Rule 4.
std::vector<std::string> odd_settings(const Settings& settings) {
  std::vector<std::string> out, tables_told;
  const auto say = [&out](std::string what, const std::optional<std::string>& near) {
    out.push_back(what + (near ? fmt::format(". Did you mean '{}'?", *near) : std::string()));
  };
  std::vector<std::string> commands;
  for (const CommandSpec& c : command_table()) commands.emplace_back(c.name);
  for (const Setting& s : settings.lines) {
    Commands mine = of_all;
    if (!s.table.empty()) {
      const auto known = std::ranges::find(command_table(), s.table, &CommandSpec::name);
      if (known == command_table().end()) {
        if (std::ranges::find(tables_told, s.table) != tables_told.end()) continue;
        tables_told.push_back(s.table);
        say(fmt::format("{}:{}: no command '{}'", printable(settings.path), s.line, printable(s.table)),
            nearest(s.table, commands));
        continue;
      }
      mine = only(known->command);
    }
    const auto row = std::ranges::find_if(
        option_table(), [&](const OptionSpec& o) { return o.name == s.key && (o.commands & mine) != 0; });
    const bool about_itself = s.key == "config" || s.key == "no-config";
    if (row != option_table().end() && !about_itself) continue;
    std::vector<std::string> known;
    for (const OptionSpec& o : option_table()) {
      if (o.commands & mine) known.emplace_back(o.name);
    }
    if (find_row("--" + s.key, of_all) != nullptr) known.clear();  // no misspelling then
    say(about_itself      ? fmt::format("{} means nothing in this file", settings.where(s))
        : s.table.empty() ? fmt::format("{} is no option", settings.where(s))
                          : fmt::format("{} is no option of 'swarm {}'", settings.where(s), s.table),
        about_itself ? std::nullopt : nearest(s.key, known));
  }
  return out;
}

/// $XDG_CONFIG_HOME/swarm/config.toml, else ~/.config/swarm/config.toml; empty when there is no home.
std::string usual_settings_path(const Environment& environment) {
  for (const auto& [variable, below] :
       {std::pair{"XDG_CONFIG_HOME", "/swarm/config.toml"}, {"HOME", "/.config/swarm/config.toml"}}) {
    const auto folder = environment(variable);
    if (folder && folder->starts_with('/')) return *folder + below;
  }
  return {};
}

/// The settings that count for this command line. A file that is named must be there; in the usual place one may be, and when it
/// cannot be read, that is a warning: a service may have no right to look into a home.
Result<Settings> read_settings(const Options& o, const Environment& environment, const ReadFile& read_file,
                               std::vector<std::string>& warnings) {
  Settings out{o.config.empty() ? usual_settings_path(environment) : o.config, {}};
  if (o.no_config || !read_file || out.path.empty()) return out;
  const auto text = read_file(out.path);
  if (!text && o.config.empty()) {
    warnings.push_back(fmt::format("{}; going on without settings", text.error().message));
    return out;
  }
  if (!text) return tl::unexpected(text.error());
  if (!*text && o.config.empty()) return out;
  if (!*text)
    return fail(Exit::not_found, "not_found", fmt::format("--config: {} does not exist", printable(out.path)));
  auto lines = parse_config(**text, out.path);
  if (!lines) return tl::unexpected(lines.error());
  out.lines = std::move(*lines);
  return out;
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
  if (o.command == Command::simulate) {
    if ((o.plan.profile || !o.profile_file.empty()) && o.lines_given) {
      return usage("--profile excludes --up, --down, --rtt, --jitter and --loss",
                   "Put them into a profile of your own");
    }
    if (const auto pieces = o.plan.bytes_total / o.plan.piece_bytes; pieces >= 1u << 21) {
      return usage(fmt::format("{} pieces are too many", pieces), "Use a larger --piece-size");
    }
    if (o.plan.downloaders == 0) return usage("all nodes lie: nobody downloads", "Use a smaller --liars");
    if (o.plan.free_riders >= o.plan.downloaders)
      return usage("all nodes are free riders", "Use a smaller --free-riders");
  }
  if (o.command == Command::status && o.follow && (o.watch || o.check || !o.pieces_of.empty())) {
    return usage("--follow excludes --watch, --check and --pieces", "Run them in another terminal");
  }
  return {};
}

/// All that was said, wherever, goes into `out`.
Result<void> put_all(Parsed& out, const Parser& parser, const Environment& environment, const ReadFile& read_file) {
  Options& o = out.options;
  Settings settings;
  const auto put = [&](const auto& wanted) -> Result<void> {
    std::map<const OptionSpec*, Said> all;
    for (const OptionSpec& row : option_table()) {
      if ((row.commands & only(o.command)) == 0 || !wanted(row)) continue;
      auto said = find_said(row, o.command, parser, environment, settings);
      if (!said) return tl::unexpected(said.error());
      all.emplace(&row, std::move(*said));
    }
    drop_weaker_rivals(all, only(o.command));
    for (const OptionSpec& row : option_table()) {  // in the table's order, so that one mistake always gets one answer
      const auto at = all.find(&row);
      if (at == all.end()) continue;
      if (const auto done = put_values(o, row, at->second); !done) return done;
    }
    return {};
  };
  const auto is_about_file = [](const OptionSpec& row) { return row.name == "config" || row.name == "no-config"; };
  if (const auto done = put(is_about_file); !done) return done;
  if (o.no_config && !o.config.empty()) return usage("--config and --no-config exclude each other", "Give one of them");
  auto read = read_settings(o, environment, read_file, out.warnings);
  if (!read) return tl::unexpected(read.error());
  settings = std::move(*read);
  for (auto& odd : odd_settings(settings)) out.warnings.push_back(std::move(odd));
  return put([&](const OptionSpec& row) { return !is_about_file(row); });
}

Result<Parsed> parse_command(Command command, std::vector<std::string> arguments, const Environment& environment,
                             const ReadFile& read_file) {
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
  if (const auto put = put_all(out, parser, environment, read_file); !put) return tl::unexpected(put.error());
  if (const auto judged = judge(o); !judged) return tl::unexpected(judged.error());
  return out;
}

/// "--completion bash" alone.
std::optional<Result<Parsed>> parse_completion(const std::vector<std::string>& arguments) {
  static constexpr std::string_view option = "--completion", shells = "bash|zsh|fish";
  if (arguments.empty() || arguments[0].substr(0, arguments[0].find('=')) != option) return std::nullopt;
  const auto equals = arguments[0].find('=');
  if (arguments.size() > (equals == std::string::npos ? 2 : 1)) {
    return usage(fmt::format("'{}' is one word too many", printable(arguments.back())),
                 "Use --completion bash|zsh|fish");
  }
  if (equals == std::string::npos && arguments.size() == 1)
    return usage("--completion needs a value", "Use --completion bash|zsh|fish");
  const auto name = equals == std::string::npos ? arguments[1] : arguments[0].substr(equals + 1);
  for (const auto& [shell, called] : {std::pair{Shell::bash, "bash"}, {Shell::zsh, "zsh"}, {Shell::fish, "fish"}}) {
    if (name == called) return Parsed{{}, completion_text(shell), {}};
  }
  return bad_value(std::string(option), name, {"a shell that swarm knows", "bash, zsh or fish", shells});
}

}  // namespace

bool OptionSpec::common() const { return std::popcount(commands) >= 3; }

std::string OptionSpec::environment() const {
  std::string out = "SWARM_";
  for (const char c : name) out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

Result<Parsed> parse(const std::vector<std::string>& arguments, const Environment& environment,
                     const ReadFile& read_file) {
  if (auto completion = parse_completion(arguments)) return std::move(*completion);
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
    auto parsed = parse_command(known->command, std::move(rest), environment, read_file);
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
