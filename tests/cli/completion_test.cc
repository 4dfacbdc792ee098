// The scripts of --completion: nothing of the table is missing in any of them. What they do is tried in completion.py.
#include <doctest/doctest.h>

#include "cli/options.hh"

using namespace swarm;
using namespace swarm::cli;

TEST_CASE("--completion answers with a script, for three shells") {
  const Environment nothing = [](const std::string&) { return std::nullopt; };
  CHECK(parse({"--completion", "bash"}, nothing)->answer == completion_text(Shell::bash));
  CHECK(parse({"--completion=zsh"}, nothing)->answer == completion_text(Shell::zsh));
  CHECK(parse({"--completion", "fish"}, nothing)->answer == completion_text(Shell::fish));
  const auto complaint = [&nothing](const std::vector<std::string>& words) {
    const auto parsed = parse(words, nothing);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().exit == Exit::usage);
    return parsed.error().message + ". " + parsed.error().hint;
  };
  CHECK(complaint({"--completion", "bsh"}) ==
        "--completion: 'bsh' is not a shell that swarm knows. Did you mean 'bash'?");
  CHECK(complaint({"--completion", "powershell"}) ==
        "--completion: 'powershell' is not a shell that swarm knows. Use bash, zsh or fish");
  CHECK(complaint({"--completion"}) == "--completion needs a value. Use --completion bash|zsh|fish");
  CHECK(complaint({"--completion", "bash", "get"}) == "'get' is one word too many. Use --completion bash|zsh|fish");
  CHECK(complaint({"get", "--completion", "bash"}) ==
        "--completion stands alone. Use 'swarm --completion bash|zsh|fish'");
}

TEST_CASE("every option of every command is in every script") {
  const auto bash = completion_text(Shell::bash), zsh = completion_text(Shell::zsh),
             fish = completion_text(Shell::fish);
  for (const CommandSpec& c : command_table()) {
    const std::string name(c.name);
    const auto branch = [&name](const std::string& script, const std::string& indent, const std::string& end) {
      const auto begin = script.find("\n" + indent + name + ")\n");
      REQUIRE(begin != script.npos);
      return script.substr(begin, script.find(end, begin) - begin);
    };
    const auto in_bash = branch(bash, "    ", "; fi ;;\n"), in_zsh = branch(zsh, "        ", " ;;\n");
    for (const OptionSpec& o : option_table()) {
      const bool mine = (o.commands & only(c.command)) != 0;
      if (!mine) continue;
      CAPTURE(name);
      CAPTURE(o.name);
      const auto option = "--" + std::string(o.name);
      CHECK(in_bash.find(option) != in_bash.npos);
      CHECK(in_zsh.find(option) != in_zsh.npos);
      CHECK(fish.find(" -l " + std::string(o.name) + " ") != fish.npos);
      if (o.letter) CHECK(in_bash.find(std::string("-") + o.letter + " " + option) != in_bash.npos);
    }
  }
}
