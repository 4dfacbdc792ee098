// --completion: scripts for shells, written from the table like --help, so that they cannot leave an option out.
//
// 1. They stand on the shell alone: bash without the bash-completion package, zsh's _arguments, fish's complete.
// 2. What comes next is: a command; an option of that command; one of an option's choices; a file or a folder where one is meant;
//    a file where the command's words may be files. Anything else (sizes, addresses, names of a catalogue) is the person's.
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <set>

#include "base/text.hh"
#include "cli/options.hh"

namespace swarm::cli {

namespace {

using Place = ValueKind::Place;

bool takes_value(const OptionSpec& o) { return !o.argument.empty() && o.implied.empty(); }

std::string choices_of(const OptionSpec& o) {
  std::string out(o.argument.empty() ? std::string_view() : o.kind.choices);
  std::ranges::replace(out, '|', ' ');
  return out;
}

/// "--tracker" and "-t", with `between`.
std::string names_of(const OptionSpec& o, std::string_view between) {
  return o.letter ? fmt::format("-{}{}--{}", o.letter, between, o.name) : fmt::format("--{}", o.name);
}

/// The options of a command, or, with none, those that may stand before it.
std::vector<const OptionSpec*> options_of(Command command) {
  std::vector<const OptionSpec*> out;
  for (const OptionSpec& o : option_table()) {
    if (command == Command::none ? o.common() : (o.commands & only(command)) != 0) out.push_back(&o);
  }
  return out;
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  return fmt::format("{}", fmt::join(words, between));
}

/// A script with its blanks, "@COMMANDS@" and the like, filled in.
std::string filled(std::string script, std::initializer_list<std::pair<std::string_view, std::string>> blanks) {
  for (const auto& [blank, text] : blanks) {
    for (auto at = script.find(blank); at != script.npos; at = script.find(blank, at + text.size())) {
      script.replace(at, blank.size(), text);
    }
  }
  return script;
}

// bash

/// One branch of the function: what one command's options are, and what their values complete to.
std::string bash_branch(Command command, std::string_view name, bool files) {
  std::vector<std::string> words, valued, of_files, of_folders;
  std::string values;
  for (const auto* o : options_of(command)) {
    words.push_back(names_of(*o, " "));
    if (!takes_value(*o)) continue;
    const auto names = names_of(*o, "|");
    if (o->kind.place == Place::file) {
      of_files.push_back(names);
    } else if (o->kind.place == Place::folder) {
      of_folders.push_back(names);
    } else if (const auto choices = choices_of(*o); !choices.empty()) {
      values += fmt::format("        {}) _swarm_words '{}' ; return ;;\n", names, choices);
    } else {
      valued.push_back(names);
    }
  }
  words.emplace_back("-h --help --version");
  if (command == Command::none) words.emplace_back("--completion");
  if (!of_files.empty()) values += fmt::format("        {}) _swarm_files -f ; return ;;\n", joined(of_files, "|"));
  if (!of_folders.empty()) values += fmt::format("        {}) _swarm_files -d ; return ;;\n", joined(of_folders, "|"));
  if (!valued.empty()) values += fmt::format("        {}) return ;;\n", joined(valued, "|"));
  if (command == Command::none) values += "        --completion) _swarm_words 'bash zsh fish' ; return ;;\n";
  std::string rest = files ? "_swarm_files -f" : ":";
  if (command == Command::none) {
    std::vector<std::string> commands;
    for (const CommandSpec& c : command_table()) commands.emplace_back(c.name);
    rest = fmt::format("_swarm_words '{}'", joined(commands, " "));
  }
  return fmt::format(
      "    {})\n"
      "      case $before in\n"
      "{}"
      "      esac\n"
      "      if [[ $word == -* && $only_words == 0 ]]; then _swarm_words '{}'; else {}; fi ;;\n",
      name, values, joined(words, " "), rest);
}

std::string bash_text() {
  std::set<std::string> valued;  // of any command: what is said before it is not known yet
  std::vector<std::string> commands;
  for (const OptionSpec& o : option_table()) {
    if (takes_value(o)) valued.insert(names_of(o, "|"));
  }
  std::string branches = bash_branch(Command::none, "''", false);
  for (const CommandSpec& c : command_table()) {
    commands.emplace_back(c.name);
    branches += bash_branch(c.command, c.name, c.takes_files);
  }
  return filled(R"sh(# swarm for bash. Load it with: eval "$(swarm --completion bash)"
# or save it as ~/.local/share/bash-completion/completions/swarm.
_swarm_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
}
_swarm_files() {
  compopt -o filenames 2> /dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$word")
}
_swarm() {
  local word=${COMP_WORDS[COMP_CWORD]} before='' command='' only_words=0 i
  COMPREPLY=()
  ((COMP_CWORD > 0)) && before=${COMP_WORDS[COMP_CWORD - 1]}
  if [[ $word == = ]]; then
    word=''
  elif [[ $before == = ]] && ((COMP_CWORD > 1)); then
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${COMP_WORDS[i]} in
      --) only_words=1 before='' ; break ;;
      @VALUED@) [[ ${COMP_WORDS[i + 1]} == = ]] && ((++i)) ; ((++i)) ;;
      @COMMANDS@) [[ -n $command ]] || command=${COMP_WORDS[i]} ;;
    esac
  done
  case $command in
@BRANCHES@  esac
}
complete -F _swarm swarm
)sh",
                {{"@VALUED@", joined({valued.begin(), valued.end()}, "|")},
                 {"@COMMANDS@", joined(commands, "|")},
                 {"@BRANCHES@", branches}});
}

// zsh

/// What stands in a zsh specification between its marks.
std::string zsh_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (c == ':' || c == '[' || c == ']' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_value(const OptionSpec& o) {
  if (o.argument.empty()) return {};
  const auto what = zsh_escaped(o.argument);
  const auto choices = choices_of(o);
  const auto mark = o.implied.empty() ? ":" : "::";
  if (o.kind.place == Place::file) return fmt::format("{}{}:_files", mark, what);
  if (o.kind.place == Place::folder) return fmt::format("{}{}:_files -/", mark, what);
  return choices.empty() ? fmt::format("{}{}: ", mark, what) : fmt::format("{}{}:({})", mark, what, choices);
}

std::string zsh_options(Command command, std::string_view indent) {
  std::string out;
  const auto line = [&](std::string_view many, std::string_view name, const OptionSpec& o) {
    const auto equals = o.argument.empty() || !name.starts_with("--") ? "" : o.implied.empty() ? "=" : "=-";
    out += fmt::format("{}'{}{}{}[{}]{}' \\\n", indent, many, name, equals, zsh_escaped(o.help), zsh_value(o));
  };
  for (const auto* o : options_of(command)) {
    const auto longer = fmt::format("--{}", o->name);
    if (!o->letter) {
      line(o->list ? "*" : "", longer, *o);
      continue;
    }
    const auto shorter = fmt::format("-{}", o->letter);
    const auto others = o->list ? std::string("*") : fmt::format("({} {})", shorter, longer);
    line(others, shorter, *o);
    line(others, longer, *o);
  }
  return out + fmt::format("{0}'(-h --help)'{{-h,--help}}'[a summary]' \\\n{0}'--version[the version]' \\\n", indent);
}

std::string zsh_text() {
  std::string commands, branches;
  for (const CommandSpec& c : command_table()) {
    commands += fmt::format("        '{}:{}'\n", c.name, zsh_escaped(c.summary));
    const auto words = c.words_max == 0 ? ""
                       : c.takes_files  ? fmt::format("'*:{}:_files'", zsh_escaped(c.words))
                                        : "'*: :'";
    branches += fmt::format("        {})\n          _arguments -s -S \\\n{}            {} ;;\n", c.name,
                            zsh_options(c.command, "            "), words);
  }
  return filled(
      R"sh(#compdef swarm
# swarm for zsh. Save it as _swarm in a folder of $fpath, or load it with: source <(swarm --completion zsh)
_swarm() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -s -S -C \
@OPTIONS@    '--completion=[a script that completes words]:SHELL:(bash zsh fish)' \
    '1: :->command' \
    '*:: :->words'
  case $state in
    command)
      local -a commands=(
@COMMANDS@      )
      _describe 'command' commands ;;
    words)
      case $words[1] in
@BRANCHES@      esac ;;
  esac
}
if [[ $funcstack[1] == _swarm ]]; then _swarm "$@"; else compdef _swarm swarm; fi
)sh",
      {{"@OPTIONS@", zsh_options(Command::none, "    ")}, {"@COMMANDS@", commands}, {"@BRANCHES@", branches}});
}

// fish

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + '\'';
}

std::string fish_text() {
  std::string out =
      "# swarm for fish. Save it as ~/.config/fish/completions/swarm.fish, or load it with: swarm --completion "
      "fish | source\n"
      "complete -c swarm -f\n";
  std::vector<std::string> all;
  for (const CommandSpec& c : command_table()) all.emplace_back(c.name);
  const auto none = fmt::format("not __fish_seen_subcommand_from {}", joined(all, " "));
  for (const CommandSpec& c : command_table()) {
    out += fmt::format("complete -c swarm -n '{}' -a {} -d {}\n", none, c.name, fish_quoted(c.summary));
  }
  out += fmt::format(
      "complete -c swarm -n '{}' -l completion -x -a 'bash zsh fish' -d 'a script that completes words'\n", none);
  out += "complete -c swarm -s h -l help -d 'a summary'\ncomplete -c swarm -l version -d 'the version'\n";
  for (const CommandSpec& c : command_table()) {
    if (c.takes_files) out += fmt::format("complete -c swarm -n '__fish_seen_subcommand_from {}' -F\n", c.name);
  }
  for (const OptionSpec& o : option_table()) {
    std::vector<std::string> commands;
    for (const CommandSpec& c : command_table()) {
      if (o.commands & only(c.command)) commands.emplace_back(c.name);
    }
    const auto when = o.commands == of_all ? std::string()
                                           : fmt::format(" -n '__fish_seen_subcommand_from {}'", joined(commands, " "));
    std::string value;
    if (takes_value(o)) {
      const auto choices = choices_of(o);
      value = o.kind.place == Place::file     ? " -r -F"
              : o.kind.place == Place::folder ? " -x -a '(__fish_complete_directories)'"
              : choices.empty()               ? " -x"
                                              : fmt::format(" -x -a '{}'", choices);
    }
    out += fmt::format("complete -c swarm{}{} -l {}{} -d {}\n", when, o.letter ? fmt::format(" -s {}", o.letter) : "",
                       o.name, value, fish_quoted(o.help));
  }
  return out;
}

}  // namespace

std::string completion_text(Shell shell) {
  switch (shell) {
    case Shell::bash:
      return bash_text();
    case Shell::zsh:
      return zsh_text();
    case Shell::fish:
      return fish_text();
  }
  return {};
}

}  // namespace swarm::cli
