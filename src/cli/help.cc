// --help: written from the table, so that it cannot leave an option out.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.hh"
#include "cli/options.hh"

namespace swarm::cli {

namespace {

constexpr std::size_t width_max = 120;
constexpr std::size_t left_width = 28;  // of "  -t, --tracker ADDR  "

std::string left_side(const OptionSpec& o) {
  std::string out = o.letter ? fmt::format("  -{}, --{}", o.letter, o.name) : fmt::format("      --{}", o.name);
  if (o.argument.empty()) return out;
  if (o.argument.starts_with('=')) return out + fmt::format("[{}]", o.argument);
  return out + (o.implied.empty() ? fmt::format(" {}", o.argument) : fmt::format(" [{}]", o.argument));
}

/// What is said right of it goes on below itself where a line would be too long.
std::string row(const std::string& left, std::string_view right, std::string_view initial) {
  std::string out = left;
  std::size_t at = left.size();
  const auto go_on = [&](std::string_view before) {
    out += before;
    out.append(left_width, ' ');
    at = left_width;
  };
  if (at + 2 > left_width) {
    go_on("\n");
  } else {
    out.append(left_width - at, ' ');
    at = left_width;
  }
  std::string text(right);
  if (!initial.empty()) text += fmt::format(" [{}]", initial);
  for (const auto word : split(text, ' ')) {
    if (at > left_width && at + 1 + word.size() > width_max) go_on("\n");
    if (at > left_width) out += ' ', ++at;
    out += word;
    at += word.size();
  }
  return out + '\n';
}

}  // namespace

std::string usage_text() {
  return "usage: swarm tracker               run this on one machine: it knows who has what\n"
         "       swarm seed PATH -t HOST     share files or folders\n"
         "       swarm get NAME -t HOST      download, on any number of machines\n"
         "       swarm status -t HOST        look: who has what, and how fast it moves\n"
         "       swarm --help | --version    all options: swarm COMMAND --help, man swarm";
}

std::string help_text(Command command) {
  std::string out;
  if (command == Command::none) {
    out = "swarm moves big files to many machines, with BitTorrent underneath.\n\n";
    for (const CommandSpec& c : command_table()) {
      out += row(fmt::format("  swarm {} {}", c.name, c.words), c.summary, {});
    }
    out += row("  swarm --help, --version", "this text; the version", {});
    out += row("  swarm --completion SHELL", "a script that completes words, for bash, zsh or fish", {});
    out +=
        "\nOn one machine 'swarm tracker', on a second 'swarm seed FILE -t FIRST', on all others 'swarm get FILE -t "
        "FIRST'.\nOptions of a command: swarm COMMAND --help. Everything: man swarm.\n";
    return out;
  }
  const auto& spec = *std::ranges::find(command_table(), command, &CommandSpec::command);
  out = fmt::format("usage: swarm {}{}{} [options]\n\n{}\n\n", spec.name, spec.words.empty() ? "" : " ", spec.words,
                    spec.about);
  for (const bool common : {false, true}) {
    if (common) out += "\nCommon options:\n";
    for (const OptionSpec& o : option_table()) {
      const bool is_own = (o.commands & (o.commands - 1)) == 0 || o.commands == (of_seed | of_get);
      if ((o.commands & only(command)) && is_own != common) out += row(left_side(o), o.help, o.initial);
    }
  }
  out += row("  -h, --help", "this text", {});
  out +=
      "\nSizes: 64K 10M 10MiB 10MB. Rates: 10M 10MB/s 100Mbit. Durations: 90 90s 15m 2h 200ms.\n"
      "Every long option is also a variable (SWARM_TRACKER=nas is -t nas) and a key in ~/.config/swarm/config.toml.\n";
  return out;
}

}  // namespace swarm::cli
