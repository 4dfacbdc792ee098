#include "cli/options.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <set>

#include "cli/environment.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

Options options(std::vector<std::string> words, std::map<std::string, std::string> variables = {}) {
  const auto parsed = parse(words, environment(std::move(variables)));
  REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().message));
  REQUIRE(parsed->answer.empty());
  return parsed->options;
}

/// "message. hint" of a usage error.
std::string complaint(std::vector<std::string> words, std::map<std::string, std::string> variables = {}) {
  const auto parsed = parse(words, environment(std::move(variables)));
  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().exit == Exit::usage);
  return parsed.error().hint.empty() ? parsed.error().message : parsed.error().message + ". " + parsed.error().hint;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("a command, its words and its options") {
  const auto o = options({"get", "debian.iso", "-t", "nas", "-d", "/data", "--up", "10M", "--wait=2h", "-vv"});
  CHECK(o.command == Command::get);
  CHECK(o.words == std::vector<std::string>{"debian.iso"});
  CHECK(o.trackers == std::vector<std::string>{"nas"});
  CHECK(o.dir == "/data");
  CHECK(o.rate_up_max == 10u << 20);
  CHECK(o.wait == Duration(2h));
  CHECK(o.verbose == 2);
  CHECK(o.again == "swarm get debian.iso -t nas -d /data --up 10M --wait=2h -vv");
}

TEST_CASE("common options stand before or after the subcommand") {
  const auto o = options({"-t", "nas", "--json", "seed", "movie.mkv", "-t", "backup:7000", "-q"});
  CHECK(o.command == Command::seed);
  CHECK(o.trackers == std::vector<std::string>{"nas", "backup:7000"});
  CHECK(o.json);
  CHECK(o.quiet);
  CHECK(options({"-vt", "nas", "status"}).trackers == std::vector<std::string>{"nas"});
}

TEST_CASE("an option takes one value each time, and the last of a single one wins") {
  const auto o = options({"get", "-t", "a", "x", "-t", "b", "y", "--up", "1M", "--up", "2M"});
  CHECK(o.words == std::vector<std::string>{"x", "y"});
  CHECK(o.trackers == std::vector<std::string>{"a", "b"});
  CHECK(o.rate_up_max == 2u << 20);
}

TEST_CASE("files may have the names of commands, of lists, and of options") {
  CHECK(options({"seed", "status", "[x]", "-t", "a"}).words == std::vector<std::string>{"status", "[x]"});
  CHECK(options({"get", "-t", "a", "--", "-v", "--up"}).words == std::vector<std::string>{"-v", "--up"});
  CHECK(options({"get", "-t", "[::1]", "x"}).trackers == std::vector<std::string>{"[::1]"});
  CHECK(options({"seed", "++", "/x", "%y", "{z}", "a=b"}).words ==
        std::vector<std::string>{"++", "/x", "%y", "{z}", "a=b"});
}

TEST_CASE("an argument that may be left out") {
  CHECK(options({"status", "-t", "nas", "--watch"}).watch == Duration(1s));
  CHECK(options({"status", "-t", "nas", "-w", "5"}).watch == Duration(5s));
  CHECK(options({"status", "-t", "nas", "--watch=200ms"}).watch == Duration(200ms));
  const auto o = options({"status", "-w", "debian.iso", "-t", "nas"});
  CHECK(o.watch == Duration(1s));
  CHECK(o.words == std::vector<std::string>{"debian.iso"});
}

TEST_CASE("the environment: below the command line, above the defaults, only for options that the command has") {
  const std::map<std::string, std::string> env = {
      {"SWARM_TRACKER", "nas, backup:7000"}, {"SWARM_UP", "5M"}, {"SWARM_JSON", "1"}, {"SWARM_QUIET", "0"},
      {"SWARM_WATCH", "nonsense"},           {"SWARM_DIR", ""}};
  const auto o = options({"get", "x"}, env);
  CHECK(o.trackers == std::vector<std::string>{"nas", "backup:7000"});
  CHECK(o.rate_up_max == 5u << 20);
  CHECK(o.json);
  CHECK_FALSE(o.quiet);
  CHECK(o.dir.empty());
  CHECK(options({"get", "x", "-t", "here", "--up", "7M"}, env).trackers == std::vector<std::string>{"here"});
  CHECK(options({"get", "x", "--up", "7M"}, env).rate_up_max == 7u << 20);
  CHECK(complaint({"status"}, env) == "SWARM_WATCH: 'nonsense' is not a duration. Use e.g. 90, 90s, 15m, 2h, 200ms");
}

TEST_CASE("values that are not of their kind are named, with what would be one") {
  CHECK(complaint({"get", "x", "--up", "10Q"}) == "--up: '10Q' is not a size. Use e.g. 500K, 10M, 10MB/s");
  CHECK(complaint({"get", "x", "--wait", "soon"}) ==
        "--wait: 'soon' is not a duration. Use e.g. 90, 90s, 15m, 2h, 200ms");
  CHECK(complaint({"seed", "x", "--piece-size", "100000"}) ==
        "--piece-size: '100000' is not a piece size. Use auto or a power of two from 16K to 16M");
  CHECK(complaint({"seed", "x", "-p", "6889-6881"}) == "--port: '6889-6881' is not a port. Use e.g. 6881 or 6881-6889");
  CHECK(complaint({"seed", "x", "-p", "70000"}) == "--port: '70000' is not a port. Use e.g. 6881 or 6881-6889");
  CHECK(complaint({"get", "x", "--max-peers", "0"}) == "--max-peers: '0' is not a number above 0. Use e.g. 20");
  CHECK(complaint({"get", "x", "--color", "blue"}) == "--color: 'blue' is not a choice. Use auto, always or never");
  CHECK(complaint({"get", "x", "--up"}) == "--up needs a value. Use --up RATE");
  CHECK(complaint({"get", "x", "--up", "\x1b[31m"}).find('\x1b') == std::string::npos);
}

TEST_CASE("ports") {
  const auto any = options({"get", "x"}).port;
  CHECK((any.first == 6881 && any.last == 6889 && any.then_any));
  const auto one = options({"get", "x", "-p", "7000"}).port;
  CHECK((one.first == 7000 && one.last == 7000 && !one.then_any));
  const auto range = options({"get", "x", "--port", "7000-7010"}).port;
  CHECK((range.first == 7000 && range.last == 7010 && !range.then_any));
}

TEST_CASE("did you mean") {
  CHECK(complaint({"gte", "x"}) == "no command 'gte'. Did you mean 'get'?");
  CHECK(complaint({"get", "x", "--trakcer", "nas"}) == "no option '--trakcer'. Did you mean '--tracker'?");
  CHECK(complaint({"--trakcer", "nas", "get", "x"}) == "no option '--trakcer'. Did you mean '--tracker'?");
  CHECK(complaint({"get", "x", "--listen", ":1"}) ==
        "'--listen' is no option of 'swarm get'. It belongs to 'swarm tracker'");
  CHECK(complaint({"get", "x", "--frobnicate"}) == "no option '--frobnicate'. See 'swarm get --help'");
  CHECK(complaint({"get", "x", "-Z"}) == "no option '-Z'. See 'swarm get --help'");
  CHECK(complaint({"frobnicate"}) == "no command 'frobnicate'. See 'swarm --help'");
  CHECK(complaint({"magnet:?xt=urn:btih:00"}) ==
        "'magnet:?xt=urn:btih:00' is a magnet link. Did you mean 'swarm get 'magnet:?xt=urn:btih:00''?");
  CHECK(complaint({"get", "x", "--color", "alwyas"}) == "--color: 'alwyas' is not a choice. Did you mean 'always'?");
  CHECK(complaint({"get", "x", "--pieces", "rages"}) == "--pieces: 'rages' is not a choice. Did you mean 'ranges'?");
  CHECK(complaint({"seed", "x", "--piece-size", "atuo"}) ==
        "--piece-size: 'atuo' is not a piece size. Did you mean 'auto'?");
  CHECK(complaint({"status"}, {{"SWARM_JSON", "treu"}}) ==
        "SWARM_JSON: 'treu' is not true or false. Did you mean 'true'?");
  CHECK(complaint({"--compltion", "bash"}) == "no option '--compltion'. Did you mean '--completion'?");
}

TEST_CASE("every choice that is named is taken, and --help tells of it") {
  for (const OptionSpec& o : option_table()) {
    for (std::string_view rest = o.kind.choices; !rest.empty();) {
      const auto choice = rest.substr(0, rest.find('|'));
      rest.remove_prefix(std::min(choice.size() + 1, rest.size()));
      CAPTURE(o.name);
      CAPTURE(choice);
      Options scratch;
      CHECK(o.put(scratch, choice));
      const bool told =
          (std::string(o.help) + std::string(o.argument) + std::string(o.initial)).find(choice) != std::string::npos;
      CHECK((o.argument.empty() || told));
    }
  }
}

TEST_CASE("a file or folder in the place of a command") {
  const auto folder = std::filesystem::temp_directory_path() / "swarm options test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "movie.mkv") << "x";
  const auto file = (folder / "movie.mkv").string();
  CHECK(complaint({file}) == "'" + file + "' is a file. Did you mean 'swarm seed '" + file + "''?");
  CHECK(complaint({folder.string()}) ==
        "'" + folder.string() + "' is a folder. Did you mean 'swarm seed '" + folder.string() + "''?");
  std::filesystem::remove_all(folder);
}

TEST_CASE("too few and too many words") {
  CHECK(complaint({"get"}) == "'swarm get' needs WHAT.... See 'swarm get --help'");
  CHECK(complaint({"seed", "-t", "nas"}) == "'swarm seed' needs PATH.... See 'swarm seed --help'");
  CHECK(complaint({"status", "a", "b"}) == "'b' is one word too many for 'swarm status'. See 'swarm status --help'");
  CHECK(complaint({"tracker", "nas"}) == "'nas' is one word too many for 'swarm tracker'. See 'swarm tracker --help'");
}

TEST_CASE("combinations that cannot be meant") {
  CHECK(complaint({"get", "x", "--overwrite", "--rename"}).starts_with("--overwrite and --rename exclude each other"));
  CHECK(complaint({"get", "x", "-o", "a", "-d", "b"}).starts_with("-o and -d exclude each other"));
  CHECK(complaint({"get", "x", "y", "-o", "a"}).starts_with("-o a is one place for 2 downloads"));
  CHECK(options({"get", "x", "y", "-o", "a/"}).output == "a/");
  CHECK(complaint({"seed", "x", "y", "-n", "z"}).starts_with("--name is for one PATH, not for 2"));
}

TEST_CASE("swarm alone says how it is used, in five lines") {
  const auto text = complaint({});
  CHECK(text == usage_text());
  CHECK(std::ranges::count(text, '\n') == 4);
}

TEST_CASE("--help and --version answer, whatever else is said") {
  for (const CommandSpec& c : command_table()) {
    const auto parsed = parse({std::string(c.name), "--help"}, environment());
    REQUIRE(parsed);
    CHECK(parsed->answer == help_text(c.command));
  }
  CHECK(parse({"--help"}, environment())->answer == help_text(Command::none));
  CHECK(parse({"-h"}, environment())->answer == help_text(Command::none));
  CHECK(parse({"--version"}, environment())->answer == "swarm " SWARM_VERSION "\n");
  CHECK(parse({"get", "--version"}, environment())->answer == "swarm " SWARM_VERSION "\n");
}

TEST_CASE("--help of each command names each of its options once, in lines of at most 120 columns") {
  for (const CommandSpec& c : command_table()) {
    const auto text = help_text(c.command);
    for (const OptionSpec& o : option_table()) {
      const auto behind = o.argument.starts_with('=') ? "[=" : o.implied.empty() ? " " : " [";
      const auto needle = "--" + std::string(o.name) + (o.argument.empty() ? "  " : behind);
      std::size_t count = 0;
      for (auto at = text.find(needle); at != text.npos; at = text.find(needle, at + 1)) ++count;
      CAPTURE(o.name);
      CAPTURE(text);
      const bool other_row = std::ranges::any_of(option_table(), [&](const OptionSpec& x) {
        return &x != &o && x.name == o.name && (x.argument.empty() || !o.argument.empty()) &&
               (x.commands & only(c.command)) != 0;
      });
      CHECK(count == ((o.commands & only(c.command)) || other_row ? 1 : 0));
    }
    std::size_t longest = 0, begin = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\n') continue;
      longest = std::max(longest, i - begin);
      begin = i + 1;
    }
    CHECK(longest <= 120);
  }
}

TEST_CASE("the table: no name or letter twice in one command, each row complete") {
  for (const CommandSpec& c : command_table()) {
    std::set<std::string> names{"help", "version"}, letters{"h"};
    for (const OptionSpec& o : option_table()) {
      if ((o.commands & only(c.command)) == 0) continue;
      CAPTURE(o.name);
      CHECK(names.insert(std::string(o.name)).second);
      if (o.letter) CHECK(letters.insert(std::string(1, o.letter)).second);
      CHECK((o.put != nullptr));
      CHECK_FALSE(o.help.empty());
      CHECK_FALSE(o.kind.use.empty());
    }
  }
}

TEST_CASE("get --seed: for ever, for so long, or up to a ratio; never the word behind it") {
  const auto o = options({"get", "--seed", "2h"});
  CHECK(o.words == std::vector<std::string>{"2h"});
  CHECK((o.keep_seeding && !o.until_passed && !o.until_ratio));
  CHECK(options({"get", "x", "--seed=2h"}).until_passed == Duration(2h));
  CHECK(options({"get", "x", "--seed=1h30m"}).until_passed == Duration(90min));
  CHECK(options({"get", "x", "--seed=1.5"}).until_ratio == 1.5);
  CHECK(options({"get", "x", "--seed=90"}).until_ratio == 90);
  CHECK(!options({"get", "x", "--seed=90"}).until_passed);
  CHECK(options({"get", "x", "--seed=1.5"}).keep_seeding);
  CHECK(!options({"get", "x", "--seed=no"}).keep_seeding);
  CHECK(options({"get", "x"}, {{"SWARM_SEED", "2h"}}).until_passed == Duration(2h));
  for (const auto* bad : {"--seed=soon", "--seed=-1", "--seed=0", "--seed=2x", "--seed="}) {
    CHECK(complaint({"get", "x", bad}).starts_with("--seed"));
  }
  CHECK(help_text(Command::get).find("--seed[=DUR|RATIO]") != std::string::npos);
}

TEST_CASE("stdin and stdout as places") {
  CHECK(options({"get", "x", "-o", "-"}).output == "-");
  CHECK(complaint({"get", "x", "-o", "-", "--json"}).starts_with("-o - and --json exclude each other"));
  CHECK(complaint({"get", "x", "-o", "-", "--seed"}).starts_with("-o - and --seed exclude each other"));
  CHECK(complaint({"get", "x", "-o", "-", "--check"}).starts_with("-o - and --check exclude each other"));
  CHECK(complaint({"get", "x", "y", "-o", "-"}).starts_with("-o - is one place for 2 downloads"));
  CHECK(options({"seed", "-", "-n", "x.tar"}).words == std::vector<std::string>{"-"});
  CHECK(complaint({"seed", "-"}) == "stdin has no name. Give one: --name NAME");
  CHECK(complaint({"seed", "-", "x"}).starts_with("'-' (stdin) is for one PATH"));
}

TEST_CASE("globs, web seeds, and what only status has") {
  CHECK(options({"get", "x", "-f", "*.jpg", "--file", "a b"}).globs == std::vector<std::string>{"*.jpg", "a b"});
  CHECK(options({"seed", "x", "--web-seed", "https://a/b", "--web-seed=http://c/"}).web_seeds.size() == 2);
  CHECK(complaint({"seed", "x", "--web-seed", "nas/x"}).starts_with("--web-seed: 'nas/x' is not an http address"));
  CHECK(complaint({"seed", "x", "--web-seed", "ftp://nas/x"}).starts_with("--web-seed: 'ftp://nas/x' is not"));
  CHECK(options({"status", "--pieces", "debian.iso"}).pieces_of == "debian.iso");
  // SWARM_PIECES is the piece log's, of seed and get: no name of a file.
  CHECK(options({"status"}, {{"SWARM_PIECES", "none"}}).pieces_of.empty());
  CHECK(options({"get", "x"}, {{"SWARM_PIECES", "none"}}).pieces == Pieces::none);
  CHECK(complaint({"status", "--follow", "-w"}).starts_with("--follow excludes"));
  CHECK(complaint({"get", "x", "--list", "--check"}).starts_with("--list and --check exclude each other"));
}

TEST_CASE("words as a shell reads them back") {
  CHECK(shell_quoted({"swarm", "get", "a b", "it's", "", "x[1]", "é"}) == "swarm get 'a b' 'it'\\''s' '' 'x[1]' é");
}

TEST_CASE("whatever is said: options or a usage error in clean text, never an exception") {
  std::mt19937 random(5);
  const auto any = [&random](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
  };
  std::vector<std::string> pool = {"",        "-",        "--",   "---", "=",    "--=",         "-=", "-tnas", "-vvv",
                                   "-hv",     "--json=",  "-w",   "[",   "]",    "[x]",         "{}", "%",     "++",
                                   "\x1b[2J", "\xff\xfe", "日本", "a b", "10",   "1s",          "x",  "nas",   "--no-",
                                   "-\x01",   "--\x1b[m", "'",    "\n",  "true", "--completion"};
  for (const CommandSpec& c : command_table()) pool.emplace_back(c.name);
  for (const OptionSpec& o : option_table()) {
    pool.push_back("--" + std::string(o.name));
    pool.push_back("--" + std::string(o.name) + "=" + pool[any(30)]);
    if (o.letter) pool.push_back(std::string("-") + o.letter);
  }
  std::size_t understood = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::string> words;
    if (any(4) != 0) words.emplace_back(command_table()[any(command_table().size())].name);
    for (auto n = any(5); n > 0; --n)
      words.insert(words.begin() + static_cast<std::ptrdiff_t>(any(words.size() + 1)), pool[any(pool.size())]);
    std::map<std::string, std::string> variables;
    if (any(3) == 0) variables[option_table()[any(option_table().size())].environment()] = pool[any(pool.size())];
    const auto& setting = option_table()[any(option_table().size())];
    const ReadFile file = [&](const std::string&) -> Result<std::optional<std::string>> {
      return std::optional(std::string(setting.name) + " = 'x'");
    };
    variables["HOME"] = "/home/me";
    CAPTURE(words);
    const auto parsed = parse(words, environment(variables), any(2) == 0 ? file : ReadFile{});
    const auto is_clean = [](const std::string& text) {
      return std::ranges::none_of(text, [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7f; });
    };
    if (!parsed) {
      CHECK((parsed.error().exit == Exit::usage || parsed.error().exit == Exit::not_found));
      CHECK_FALSE(parsed.error().message.empty());
      CHECK(is_clean(parsed.error().message));
      CHECK(is_clean(parsed.error().hint));
    } else {
      ++understood;
      CHECK((parsed->options.command != Command::none || !parsed->answer.empty()));
      for (const auto& warning : parsed->warnings) CHECK(is_clean(warning));
    }
  }
  CHECK(understood > 1'000);
}

TEST_CASE("the man page documents every option of the table, and none besides") {
  const auto page = read(std::filesystem::path(SWARM_SOURCE_ROOT) / "man" / "swarm.1");
  REQUIRE_FALSE(page.empty());
  std::set<std::string> documented;  // "get -o output": from ".It Fl o , Fl -output Ar PATH" under ".Ss get"
  std::string section;
  std::size_t begin = 0;
  while (begin < page.size()) {
    const auto end = std::min(page.find('\n', begin), page.size());
    const auto line = page.substr(begin, end - begin);
    begin = end + 1;
    if (line.starts_with(".Sh ")) section = line.substr(4);
    const auto at = line.find("Fl -");
    if (!line.starts_with(".It Fl ") || at == line.npos) continue;
    auto name = line.substr(at + 4);
    name = name.substr(0, name.find(' '));
    const auto letter = line.starts_with(".It Fl -") ? std::string() : line.substr(7, 1) + " ";
    documented.insert(section + ": " + letter + name);
  }
  std::set<std::string> known{"COMMON OPTIONS: h help", "COMMON OPTIONS: version", "COMMON OPTIONS: completion"};
  const std::map<Commands, std::string> sections = {{of_tracker, "TRACKER"},   {of_seed, "SEED"},
                                                    {of_get, "GET"},           {of_status, "STATUS"},
                                                    {of_simulate, "SIMULATE"}, {of_seed | of_get, "SEED AND GET"}};
  for (const OptionSpec& o : option_table()) {
    const auto own = sections.find(o.commands);
    known.insert((own == sections.end() ? std::string("COMMON OPTIONS") : own->second) + ": " +
                 (o.letter ? std::string(1, o.letter) + " " : std::string()) + std::string(o.name));
  }
  for (const auto& name : known) CHECK_MESSAGE(documented.contains(name), "not in the man page: " << name);
  for (const auto& name : documented) CHECK_MESSAGE(known.contains(name), "only in the man page: " << name);
}

TEST_CASE("the man page has its sections, in order") {
  const auto page = read(std::filesystem::path(SWARM_SOURCE_ROOT) / "man" / "swarm.1");
  std::size_t at = 0;
  for (const auto* section :
       {"NAME",         "SYNOPSIS",    "DESCRIPTION", "QUICK START",    "TRACKER",  "SEED",    "GET",
        "SEED AND GET", "STATUS",      "SIMULATE",    "COMMON OPTIONS", "OUTPUT",   "SIGNALS", "ENVIRONMENT",
        "FILES",        "EXIT STATUS", "EXAMPLES",    "COMPATIBILITY",  "SECURITY", "SEE ALSO"}) {
    CAPTURE(section);
    const auto found = page.find("\n.Sh " + std::string(section) + "\n", at);
    REQUIRE(found != page.npos);
    at = found + 1;
  }
}

TEST_CASE("the man page tells of every event that --json writes") {
  const auto root = std::filesystem::path(SWARM_SOURCE_ROOT);
  const auto page = read(root / "man" / "swarm.1");
  const auto output =
      page.substr(page.find("\n.Sh OUTPUT\n"), page.find("\n.Sh SIGNALS\n") - page.find("\n.Sh OUTPUT\n"));
  const auto report = read(root / "src" / "cli" / "report.cc");
  std::set<std::string> events;
  for (const std::string begin : {"Line line(\"", "Line(\"", "end_json(\""}) {
    for (auto at = report.find(begin); at != report.npos; at = report.find(begin, at + 1)) {
      const auto from = at + begin.size();
      events.insert(report.substr(from, report.find('"', from) - from));
    }
  }
  CHECK(events.size() >= 11);
  for (const auto& event : events) {
    const bool told =
        output.find("\n.Li " + event + "\n") != output.npos || output.find("\n.Li " + event + " ") != output.npos;
    CHECK_MESSAGE(told, "not told of: " << event);
  }
}

TEST_CASE("the settings that the man page shows are sound") {
  const auto page = read(std::filesystem::path(SWARM_SOURCE_ROOT) / "man" / "swarm.1");
  const auto files = page.find("\n.It Pa ~/.config/swarm/config.toml\n");
  REQUIRE(files != page.npos);
  const std::string begin = "\n.Bd -literal -offset indent\n", end = "\n.Ed\n";
  const auto from = page.find(begin, files) + begin.size();
  const auto text = page.substr(from, page.find(end, from) - from);
  const ReadFile file = [&text](const std::string&) { return std::optional(text); };
  const auto get = parse({"get", "x"}, environment({{"HOME", "/home/me"}}), file);
  REQUIRE(get.has_value());
  CHECK(get->warnings.empty());
  CHECK((get->options.trackers.size() == 2 && get->options.dir == "/data" && get->options.overwrite));
  CHECK(parse({"seed", "x"}, environment({{"HOME", "/home/me"}}), file)->options.dir.empty());
}

namespace {

/// The lines of a page that run swarm, perhaps behind a prompt, as words without the program's name; `is_code` says which count.
std::vector<std::vector<std::string>> swarm_lines(const std::string& page,
                                                  const std::function<bool(const std::string&)>& is_code) {
  std::vector<std::vector<std::string>> out;
  for (std::size_t begin = 0; begin < page.size();) {
    const auto end = std::min(page.find('\n', begin), page.size());
    auto line = page.substr(begin, end - begin);
    begin = end + 1;
    const bool code = is_code(line);
    if (const auto prompt = line.find("$ "); code && prompt != line.npos) line.erase(0, prompt + 2);
    line.erase(0, line.find_first_not_of(' ') == line.npos ? line.size() : line.find_first_not_of(' '));
    if (!code || !line.starts_with("swarm ")) continue;
    std::vector<std::string> words;
    for (std::size_t at = 6; at < line.size();) {
      const auto stop = std::min(line.find(' ', at), line.size());
      if (std::string_view("#>|").find(line[at]) != std::string_view::npos) break;
      if (stop > at) words.push_back(line.substr(at, stop - at));
      at = stop + 1;
    }
    out.push_back(std::move(words));
  }
  return out;
}

}  // namespace

TEST_CASE("each swarm line of the man page is understood") {
  const auto page = read(std::filesystem::path(SWARM_SOURCE_ROOT) / "man" / "swarm.1");
  bool code = false;
  const auto lines = swarm_lines(page, [&code](const std::string& line) {
    if (line.starts_with(".Bd -literal")) code = true;
    if (line == ".Ed") code = false;
    return code;
  });
  CHECK(lines.size() >= 8);
  for (const auto& words : lines) {
    const auto parsed = parse(words, environment());
    CHECK_MESSAGE(parsed.has_value(), shell_quoted(words) << ": " << (parsed ? "" : parsed.error().message));
  }
}

TEST_CASE("each swarm line of the README is understood") {
  const auto page = read(std::filesystem::path(SWARM_SOURCE_ROOT) / "README.md");
  bool code = false;
  const auto lines = swarm_lines(page, [&code](const std::string& line) {
    if (line.starts_with("```")) code = !code;
    return code;
  });
  CHECK(lines.size() >= 4);
  for (const auto& words : lines) {
    const auto parsed = parse(words, environment());
    CHECK_MESSAGE(parsed.has_value(), shell_quoted(words) << ": " << (parsed ? "" : parsed.error().message));
  }
  for (const auto* command :
       {"sh subprojects/setup.sh && meson compile -C build demo", "sh subprojects/setup.sh && meson test -C build"}) {
    CHECK_MESSAGE(page.find("\n" + std::string(command) + "\n") != page.npos, "README has not: " << command);
  }
}
