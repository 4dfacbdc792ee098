// The options of all commands, or of all but a few: the tracker, what is shown and how, the settings.
#include <array>

#include "cli/option_rows.hh"
#include "cli/option_values.hh"

namespace swarm::cli {

namespace {

bool put_verbose(Options& o, std::string_view v) {
  if (const auto n = number_from<unsigned>(v)) {
    o.verbose = *n;
    return true;
  }
  const auto yes = parse_truth(v);
  if (yes.value_or(false)) ++o.verbose;
  return yes.has_value();
}

bool put_colour(Options& o, std::string_view v) {
  return choose<Colour>(o.colour, v,
                        {{"auto", Colour::automatic}, {"always", Colour::always}, {"never", Colour::never}});
}
bool put_progress(Options& o, std::string_view v) {
  return choose<Progress>(
      o.progress, v,
      {{"auto", Progress::automatic}, {"bar", Progress::bar}, {"plain", Progress::plain}, {"none", Progress::none}});
}
bool put_pieces(Options& o, std::string_view v) {
  return choose<Pieces>(
      o.pieces, v,
      {{"all", Pieces::all}, {"ranges", Pieces::ranges}, {"failures", Pieces::failures}, {"none", Pieces::none}});
}

constexpr std::array rows{
    OptionSpec{.name = "tracker",
               .letter = 't',
               .argument = "ADDR",
               .help = "the tracker: host, host:port, http(s)://... or udp://...; may be repeated",
               .commands = of_real & ~of_tracker,
               .put = put_list<&Options::trackers>,
               .kind = a_text,
               .list = true},
    OptionSpec{.name = "json",
               .help = "JSON Lines on stdout",
               .commands = of_all,
               .put = put_flag<&Options::json>,
               .kind = a_truth},
    OptionSpec{.name = "quiet",
               .letter = 'q',
               .help = "errors and results only",
               .commands = of_all,
               .put = put_flag<&Options::quiet>,
               .kind = a_truth},
    OptionSpec{.name = "verbose",
               .letter = 'v',
               .help = "say more; may be repeated",
               .commands = of_all,
               .put = put_verbose,
               .kind = a_truth,
               .list = true},
    OptionSpec{.name = "color",
               .argument = "WHEN",
               .initial = "auto",
               .help = "auto, always or never",
               .commands = of_all,
               .put = put_colour,
               .kind = {"a choice", "auto, always or never", "auto|always|never"}},
    OptionSpec{.name = "progress",
               .argument = "HOW",
               .initial = "auto",
               .help = "auto, bar, plain or none",
               .commands = of_seed | of_get | of_tracker | of_simulate,
               .put = put_progress,
               .kind = {"a choice", "auto, bar, plain or none", "auto|bar|plain|none"}},
    OptionSpec{.name = "pieces",
               .argument = "WHICH",
               .initial = "ranges; all with -v or --json",
               .help = "piece checks to show: all, ranges, failures or none",
               .commands = of_seed | of_get | of_tracker,
               .put = put_pieces,
               .kind = {"a choice", "all, ranges, failures or none", "all|ranges|failures|none"}},
    OptionSpec{.name = "log",
               .argument = "FILE",
               .help = "append every piece check to FILE",
               .commands = of_seed | of_get | of_tracker,
               .put = put_text<&Options::log>,
               .kind = a_file},
    OptionSpec{.name = "interface",
               .argument = "ADDR",
               .initial = "all",
               .help = "address or network interface to use; tailscale: this machine's address there",
               .commands = of_seed | of_get | of_tracker,
               .put = put_text<&Options::interface>,
               .kind = a_text},
    OptionSpec{.name = "node-name",
               .argument = "NAME",
               .initial = "the host's name",
               .help = "what others see this machine as",
               .commands = of_seed | of_get | of_tracker,
               .put = put_text<&Options::node_name>,
               .kind = a_text},
    OptionSpec{.name = "token-file",
               .argument = "FILE",
               .help = "file that holds the secret which the tracker asks for",
               .commands = of_real,
               .put = put_text<&Options::token_file>,
               .kind = a_file},
    OptionSpec{.name = "config",
               .argument = "FILE",
               .initial = "$XDG_CONFIG_HOME/swarm/config.toml",
               .help = "settings: what to say with every command",
               .commands = of_all,
               .put = put_text<&Options::config>,
               .kind = a_file},
    OptionSpec{.name = "no-config",
               .help = "read no settings file",
               .commands = of_all,
               .put = put_flag<&Options::no_config>,
               .kind = a_truth},
};

}  // namespace

std::span<const OptionSpec> common_rows() { return rows; }

}  // namespace swarm::cli
