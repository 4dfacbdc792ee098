// The options of `swarm status`.
#include <array>

#include "cli/option_rows.hh"
#include "cli/option_values.hh"

namespace swarm::cli {

namespace {

constexpr std::array rows{
    OptionSpec{.name = "watch",
               .letter = 'w',
               .argument = "SECS",
               .initial = "1",
               .help = "look again and again",
               .commands = of_status,
               .put = put_duration<&Options::watch>,
               .kind = a_duration,
               .implied = "1"},
    OptionSpec{.name = "nodes",
               .help = "only the table of nodes",
               .commands = of_status,
               .put = put_flag<&Options::nodes>,
               .kind = a_truth},
    OptionSpec{.name = "files",
               .help = "only the table of files",
               .commands = of_status,
               .put = put_flag<&Options::files>,
               .kind = a_truth},
    OptionSpec{.name = "check",
               .help = "exit 1 when a catalogued file has no whole copy online",
               .commands = of_status,
               .put = put_flag<&Options::check>,
               .kind = a_truth},

    OptionSpec{.name = "pieces",
               .argument = "NAME",
               .help = "who holds which pieces of NAME",
               .commands = of_status,
               .put = put_text<&Options::pieces_of>,
               .kind = a_text,
               .typed_only = true},
    OptionSpec{.name = "follow",
               .help = "print what happens, one event a line, until Ctrl-C",
               .commands = of_status,
               .put = put_flag<&Options::follow>,
               .kind = a_truth},
};

}  // namespace

std::span<const OptionSpec> status_rows() { return rows; }

}  // namespace swarm::cli
