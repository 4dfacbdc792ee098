// The options of `swarm get`.
#include <array>

#include "cli/option_rows.hh"
#include "cli/option_values.hh"

namespace swarm::cli {

namespace {

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

constexpr std::array rows{
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
};

}  // namespace

std::span<const OptionSpec> get_rows() { return rows; }

}  // namespace swarm::cli
