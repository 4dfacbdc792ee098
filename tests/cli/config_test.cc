// The settings file: what of TOML it takes, what it refuses and with which line, and who wins over whom.
#include "cli/config.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

#include "cli/options.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

using Strings = std::vector<std::string>;

std::vector<Setting> settings(std::string_view text) {
  const auto parsed = parse_config(text, "c.toml");
  REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().message));
  return *parsed;
}

/// The values of the only setting in a text.
Strings values(std::string_view text) {
  const auto all = settings(text);
  REQUIRE(all.size() == 1);
  return all[0].values;
}

std::string fault(std::string_view text) {
  const auto parsed = parse_config(text, "c.toml");
  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().exit == Exit::usage);
  return parsed.error().message;
}

Environment environment(std::map<std::string, std::string> variables = {}) {
  variables.emplace("HOME", "/home/me");
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  };
}

/// A disk with these files.
ReadFile files(std::map<std::string, std::string> there) {
  return [there = std::move(there)](const std::string& path) -> Result<std::optional<std::string>> {
    const auto at = there.find(path);
    if (at == there.end()) return std::optional<std::string>();
    return std::optional(at->second);
  };
}

const std::string usual = "/home/me/.config/swarm/config.toml";
ReadFile file(std::string text) { return files({{usual, std::move(text)}}); }

Parsed parsed(const Strings& words, const ReadFile& disk, std::map<std::string, std::string> variables = {}) {
  const auto out = parse(words, environment(std::move(variables)), disk);
  REQUIRE_MESSAGE(out.has_value(), (out ? "" : out.error().message));
  return *out;
}

std::string complaint(const Strings& words, const ReadFile& disk, std::map<std::string, std::string> variables = {}) {
  const auto out = parse(words, environment(std::move(variables)), disk);
  REQUIRE_FALSE(out.has_value());
  return out.error().hint.empty() ? out.error().message : out.error().message + ". " + out.error().hint;
}

}  // namespace

TEST_CASE("keys, tables, comments, lines") {
  const auto all = settings(
      "# what I always say\n"
      "tracker = [\"nas\", 'backup:7000']  # two\n"
      "\n"
      "\tup=\"10M\"\r\n"
      "[seed]\n"
      "max-peers = 1_000\n"
      "\"name\" = \"a\"\n"
      " [ 'get' ] # last\n"
      "dir = '/data\\new'");
  REQUIRE(all.size() == 5);
  CHECK((all[0].table.empty() && all[0].key == "tracker" && all[0].list && all[0].line == 2));
  CHECK(all[0].values == Strings{"nas", "backup:7000"});
  CHECK((all[1].key == "up" && !all[1].list && all[1].line == 4 && all[1].values == Strings{"10M"}));
  CHECK((all[2].table == "seed" && all[2].key == "max-peers" && all[2].values == Strings{"1000"}));
  CHECK((all[3].table == "seed" && all[3].key == "name"));
  CHECK((all[4].table == "get" && all[4].line == 9 && all[4].values == Strings{"/data\\new"}));
}

TEST_CASE("values, as text") {
  CHECK(values("a = true") == Strings{"true"});
  CHECK(values("a = -12") == Strings{"-12"});
  CHECK(values("a = +1.5e3") == Strings{"1.5e3"});
  CHECK(values("a = 1_0.2_5") == Strings{"10.25"});
  CHECK(values(R"(a = "q\"b\\t\tn\ne\u00e9\U0001F600")") == Strings{"q\"b\\t\tn\neé😀"});
  CHECK(values("a = ''") == Strings{""});
  CHECK(values("a = 'no \\ escape'") == Strings{"no \\ escape"});
  CHECK(values("a = [ # one\n 'x' , # two\n\n \"y\"\n, 3 , ]") == Strings{"x", "y", "3"});
  CHECK(values("a = []").empty());
  CHECK(settings("").empty());
  CHECK(settings("\xef\xbb\xbf# from an editor\n").empty());
}

TEST_CASE("what is not TOML, or not for settings, is a fault with its line") {
  CHECK(fault("up") == "c.toml:1: 'up' is not followed by '='");
  CHECK(fault("\n\nup 10M\n") == "c.toml:3: 'up' is not followed by '='");
  CHECK(fault("up = 10M") == "c.toml:1: 10M needs quotes: \"10M\"");
  CHECK(fault("up = nas") == "c.toml:1: nas needs quotes: \"nas\"");
  CHECK(fault("up =") == "c.toml:1: a value is missing");
  CHECK(fault("up = # none\n") == "c.toml:1: a value is missing");
  CHECK(fault("up = \"10M") == "c.toml:1: a text has no closing quote");
  CHECK(fault("up = '10M\nx = 1'") == "c.toml:1: a text has no closing quote");
  CHECK(fault("up = \"a\\q\"") ==
        "c.toml:1: an unknown escape; write \\\\ for a backslash, or put the text in single quotes");
  CHECK(fault("up = \"\\ud800\"").find("unknown escape") != std::string::npos);
  CHECK(fault("up = \"\\u12\"").find("unknown escape") != std::string::npos);
  CHECK(fault("up = \"10M\" json = true") == "c.toml:1: 'json = true' is too much on this line");
  CHECK(fault("up = 1\nup = 2") == "c.toml:2: up stands here a second time");
  CHECK(fault("[seed]\n[get]\n[seed]") == "c.toml:3: [seed] stands here a second time");
  CHECK(fault("[seed") == "c.toml:1: [seed has no closing bracket");
  CHECK(fault("[[seed]]") == "c.toml:1: a table in double brackets, which no setting needs");
  CHECK(fault("[seed.fast]") == "c.toml:1: a table within a table, which no setting needs");
  CHECK(fault("seed.up = 1") == "c.toml:1: a dotted key; write [seed] on a line of its own above");
  CHECK(fault("a = {x = 1}") == "c.toml:1: a table in braces, which no setting needs");
  CHECK(fault("a = \"\"\"x\"\"\"") == "c.toml:1: a text over several lines, which no setting needs");
  CHECK(fault("a = [1 2]") == "c.toml:1: in the list of a: a comma is missing");
  CHECK(fault("a = [1,\n2") == "c.toml:2: the list of a has no closing bracket");
  CHECK(fault("a = [[1]]").starts_with("c.toml:1: "));
  CHECK(fault("= 1") == "c.toml:1: a setting was expected, and found '='");
  CHECK(fault("a = 007").find("needs quotes") != std::string::npos);
  CHECK(fault("a = 0x1f").find("needs quotes") != std::string::npos);
  CHECK(fault("a = 1__0").find("needs quotes") != std::string::npos);
  CHECK(fault("a = 1\nb = \"\xff\"") == "c.toml:2: this is not text in UTF-8");
  CHECK(fault(std::string("a = 1\n\n# \0", 10)) == "c.toml:3: this is not text in UTF-8");
  CHECK(fault("a = \"\x1b[2J\"") == "c.toml:1: this is not text in UTF-8");
}

TEST_CASE("whatever is written, in whatever way, is read back") {
  std::mt19937 random(7);
  const auto any = [&random](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
  };
  const Strings texts = {"",     "nas",        "10M",     "a b", "#",  "=", "[x]",
                         "it's", "say \"so\"", "c:\\new", "é😀",  "\t", "1", "true"};
  const Strings between = {"", " ", "\t", "  "}, ends = {"\n", "\r\n", " # why\n", "\n\n", "\t\r\n#\n"};
  for (int round = 0; round < 2'000; ++round) {
    std::string text;
    std::vector<Setting> wanted;
    std::size_t line = 1, tables = 0;
    std::string table;
    const auto end = [&] {
      const auto& e = ends[any(ends.size())];
      text += e;
      line += static_cast<std::size_t>(std::count(e.begin(), e.end(), '\n'));
    };
    const auto quoted = [&](const std::string& value) {
      if (value.find_first_of("'\t") == value.npos && any(2) == 0) return "'" + value + "'";
      std::string out = "\"";
      for (const char c : value)
        out += c == '"' || c == '\\' ? std::string{'\\', c} : c == '\t' ? "\\t" : std::string{c};
      return out + '"';
    };
    for (std::size_t i = any(8); i > 0; --i) {
      if (any(4) == 0) {
        table = "table-" + std::to_string(tables++);
        text += between[any(4)] + "[" + between[any(4)] + table + between[any(4)] + "]";
        end();
        continue;
      }
      Setting s{table, "key" + std::to_string(i), {}, any(2) == 0, line};
      text += between[any(4)] + s.key + between[any(4)] + "=" + between[any(4)];
      if (s.list) text += '[';
      for (std::size_t n = s.list ? any(4) : 1; n > 0; --n) {
        s.values.push_back(texts[any(texts.size())]);
        text += quoted(s.values.back());
        if (s.list && (n > 1 || any(2) == 0)) text += between[any(4)] + ",";
        if (s.list && any(3) == 0) end();
      }
      if (s.list) text += ']';
      end();
      wanted.push_back(std::move(s));
    }
    CAPTURE(text);
    const auto got = settings(text);
    REQUIRE(got.size() == wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i].table == wanted[i].table);
      CHECK(got[i].key == wanted[i].key);
      CHECK(got[i].values == wanted[i].values);
      CHECK(got[i].list == wanted[i].list);
      CHECK(got[i].line == wanted[i].line);
    }
  }
}

TEST_CASE("damaged files: a fault in one of their lines, or settings; never anything else") {
  std::mt19937 random(11);
  const std::string whole =
      "tracker = [\"nas\",\n 'b']\nup = \"1\\u0041\" # x\n[seed]\nname = 'n'\nmax-peers = 1_0.5e-2\n";
  const std::string_view bytes = "\"'[]=#\\\n\r,._-+u0{}\xff\x01 a";
  std::size_t faults = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto text = whole;
    for (int hits = 1 + static_cast<int>(random() % 3); hits > 0; --hits) {
      const auto at = random() % text.size();
      const char byte = bytes[random() % bytes.size()];
      switch (random() % 3) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        default:
          text.erase(at);
          if (text.empty()) text = "x";
      }
    }
    CAPTURE(text);
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    const auto result = parse_config(text, "c");
    if (result) {
      for (const auto& s : *result) CHECK((s.line >= 1 && s.line <= lines));
      continue;
    }
    ++faults;
    const auto& message = result.error().message;
    REQUIRE(message.starts_with("c:"));
    const auto line = std::stoul(message.substr(2));
    CHECK((line >= 1 && line <= lines));
    CHECK(std::ranges::none_of(message, [](unsigned char c) { return c < 0x20; }));
  }
  CHECK(faults > 10'000);
}

TEST_CASE("flag, environment, the command's table, all commands, default: the strongest is taken whole") {
  const auto disk = file("up = '1M'\ntracker = ['f1', 'f2']\njson = true\n[get]\nup = '2M'\n[seed]\nup = '9M'\n");
  CHECK(parsed({"get", "x"}, disk).options.rate_up_max == 2u << 20);
  CHECK(parsed({"seed", "x"}, disk).options.rate_up_max == 9u << 20);
  CHECK(parsed({"get", "x"}, disk, {{"SWARM_UP", "3M"}}).options.rate_up_max == 3u << 20);
  CHECK(parsed({"get", "x", "--up", "4M"}, disk, {{"SWARM_UP", "3M"}}).options.rate_up_max == 4u << 20);
  CHECK(parsed({"get", "x", "--no-config"}, disk).options.rate_up_max == 0);
  CHECK(parsed({"get", "x"}, disk, {{"SWARM_NO_CONFIG", "1"}}).options.rate_up_max == 0);
  CHECK(parsed({"get", "x"}, disk).options.trackers == Strings{"f1", "f2"});
  CHECK(parsed({"get", "x", "-t", "here"}, disk).options.trackers == Strings{"here"});
  CHECK(parsed({"get", "x"}, disk).options.json);
  CHECK_FALSE(parsed({"get", "x", "--json=false"}, disk).options.json);
  CHECK(parsed({"status"}, file("tracker = 'nas'")).options.trackers == Strings{"nas"});
  CHECK(parsed({"get", "x"}, file("verbose = 2")).options.verbose == 2);
  CHECK(parsed({"get", "x"}, file("port = 7000")).options.port.first == 7000);
}

TEST_CASE("where the settings stand") {
  const auto at = [](const char* path) { return files({{path, "up = '1M'"}}); };
  const auto found = [](const ReadFile& disk, std::map<std::string, std::string> env, Strings more = {}) {
    Strings words{"get", "x"};
    words.insert(words.end(), more.begin(), more.end());
    return parsed(words, disk, std::move(env)).options.rate_up_max != 0;
  };
  CHECK(found(at("/home/me/.config/swarm/config.toml"), {}));
  CHECK(found(at("/xdg/swarm/config.toml"), {{"XDG_CONFIG_HOME", "/xdg"}}));
  CHECK_FALSE(found(at("/home/me/.config/swarm/config.toml"), {{"XDG_CONFIG_HOME", "/xdg"}}));
  CHECK(found(at("/home/me/.config/swarm/config.toml"), {{"XDG_CONFIG_HOME", "relative"}}));
  CHECK_FALSE(found(at("/home/me/.config/swarm/config.toml"), {{"HOME", ""}}));
  CHECK(found(at("here.toml"), {}, {"--config", "here.toml"}));
  CHECK(found(at("here.toml"), {{"SWARM_CONFIG", "here.toml"}}));
  CHECK(found(at("here.toml"), {{"SWARM_NO_CONFIG", "1"}}, {"--config", "here.toml"}));
  CHECK_FALSE(found(at("here.toml"), {{"SWARM_CONFIG", "here.toml"}}, {"--no-config"}));
  CHECK(complaint({"get", "x", "--config", "a", "--no-config"}, at("a")) ==
        "--config and --no-config exclude each other. Give one of them");
  const auto missing = parse({"get", "x", "--config", "none.toml"}, environment(), at("a"));
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().exit == Exit::not_found);
  CHECK(missing.error().message == "--config: none.toml does not exist");
}

TEST_CASE("a file that cannot be read: a warning in the usual place, an error where it was asked for") {
  const ReadFile locked = [](const std::string& path) -> Result<std::optional<std::string>> {
    return fail(Exit::disk, "cannot_read", "cannot read " + path + ": Permission denied");
  };
  CHECK(parsed({"get", "x"}, locked).warnings ==
        Strings{"cannot read " + usual + ": Permission denied; going on without settings"});
  const auto asked = parse({"get", "x", "--config", "c"}, environment(), locked);
  REQUIRE_FALSE(asked.has_value());
  CHECK(asked.error().exit == Exit::disk);
}

TEST_CASE("a value that is not of its kind is named with file and line; one that does not count is not read") {
  CHECK(complaint({"get", "x"}, file("\nup = '10Q'")) ==
        usual + ":2: up: '10Q' is not a size. Use e.g. 500K, 10M, 10MB/s");
  CHECK(complaint({"get", "x"}, file("[get]\ncolor = 'alwyas'")) ==
        usual + ":2: color: 'alwyas' is not a choice. Did you mean 'always'?");
  CHECK(complaint({"get", "x"}, file("json = 'ture'")) ==
        usual + ":1: json: 'ture' is not true or false. Did you mean 'true'?");
  CHECK(complaint({"get", "x"}, file("up = ['1M', '2M']")) ==
        usual + ":1: up is one value, not a list. Leave the brackets out");
  CHECK(complaint({"get", "x"}, file("up 1M")) == usual + ":1: 'up' is not followed by '='");
  CHECK(parsed({"get", "x", "--up", "1M"}, file("up = '10Q'")).options.rate_up_max == 1u << 20);
  CHECK(parsed({"get", "x"}, file("[seed]\nup = '10Q'")).warnings.empty());
  CHECK(parsed({"get", "--help"}, file("up 1M")).answer == help_text(Command::get));  // help must not need a sound file
}

TEST_CASE("what no option is called is a warning with the nearest name, and all else counts") {
  const auto p =
      parsed({"get", "x"}, file("trakcer = 'nas'\nup = '1M'\nmax_peers = 5\nqqqqqq = 1\n"
                                "[sed]\na = 1\nb = 2\n[get]\nlisten = ':1'\n[status]\nnods = true\nconfig = 'x'\n"));
  CHECK(p.options.rate_up_max == 1u << 20);
  CHECK(p.warnings == Strings{usual + ":1: trakcer is no option. Did you mean 'tracker'?",
                              usual + ":3: max_peers is no option. Did you mean 'max-peers'?",
                              usual + ":4: qqqqqq is no option", usual + ":6: no command 'sed'. Did you mean 'seed'?",
                              usual + ":9: listen is no option of 'swarm get'",
                              usual + ":11: nods is no option of 'swarm status'. Did you mean 'nodes'?",
                              usual + ":12: config means nothing in this file"});
  CHECK(parsed({"get", "x"}, file("listen = ':1'\nstate = '/x'")).warnings.empty());  // for other commands
}

TEST_CASE("what excludes each other does so in one place; else the stronger place wins") {
  const auto disk = file("dir = '/data'\noverwrite = true\nquiet = true\n");
  auto o = parsed({"get", "x", "-o", "here"}, disk).options;
  CHECK((o.output == "here" && o.dir.empty()));
  o = parsed({"get", "x", "--rename"}, disk).options;
  CHECK((o.rename && !o.overwrite));
  o = parsed({"get", "x", "-v"}, disk).options;
  CHECK((o.verbose == 1 && !o.quiet));
  o = parsed({"get", "x"}, disk, {{"SWARM_RENAME", "0"}}).options;
  CHECK((o.overwrite && !o.rename));
  CHECK(complaint({"get", "x"}, file("overwrite = true\nrename = true")) ==
        "--overwrite and --rename exclude each other. Give one of them");
  o = parsed({"get", "x"}, file("overwrite = true\n[get]\nrename = true")).options;
  CHECK((o.rename && !o.overwrite));
}
