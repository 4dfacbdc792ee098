// The options of `swarm tracker`.
#include <array>

#include "cli/option_rows.hh"
#include "cli/option_values.hh"

namespace swarm::cli {

namespace {

constexpr std::array rows{
    OptionSpec{.name = "listen",
               .letter = 'l',
               .argument = "[HOST]:PORT",
               .initial = "[::]:6969, IPv4 and IPv6",
               .help = "where to listen; may be repeated",
               .commands = of_tracker,
               .put = put_list<&Options::listen>,
               .kind = a_text,
               .list = true},
    OptionSpec{.name = "state",
               .argument = "DIR",
               .initial = "$STATE_DIRECTORY or $XDG_STATE_HOME/swarm/tracker",
               .help = "folder that keeps the catalogue",
               .commands = of_tracker,
               .put = put_text<&Options::state>,
               .kind = a_folder},
    OptionSpec{.name = "interval",
               .argument = "DUR",
               .initial = "2m",
               .help = "how often other BitTorrent clients shall announce",
               .commands = of_tracker,
               .put = put_duration<&Options::interval>,
               .kind = a_duration},
    OptionSpec{.name = "catalogued-only",
               .help = "refuse announces for what the catalogue does not hold",
               .commands = of_tracker,
               .put = put_flag<&Options::catalogued_only>,
               .kind = a_truth},
    OptionSpec{.name = "max-torrents",
               .argument = "N",
               .initial = "100000",
               .help = "bound on torrents in memory",
               .commands = of_tracker,
               .put = put_number<&Options::max_torrents, u32_max>,
               .kind = a_number},
    OptionSpec{.name = "max-peers",
               .argument = "N",
               .initial = "1000000",
               .help = "bound on peers in memory",
               .commands = of_tracker,
               .put = put_number<&Options::max_peers, u32_max>,
               .kind = a_number},
    OptionSpec{.name = "url",
               .argument = "URL",
               .initial = "from each request",
               .help = "base of the links it hands out, e.g. http://nas:6969",
               .commands = of_tracker,
               .put = put_text<&Options::url>,
               .kind = a_text},
    OptionSpec{.name = "no-udp",
               .help = "answer no announces over UDP",
               .commands = of_tracker,
               .put = put_flag<&Options::no_udp>,
               .kind = a_truth},
    OptionSpec{.name = "no-dashboard",
               .help = "serve no page for browsers at /",
               .commands = of_tracker,
               .put = put_flag<&Options::no_dashboard>,
               .kind = a_truth},
    OptionSpec{.name = "no-metrics",
               .help = "serve no /metrics for monitoring",
               .commands = of_tracker,
               .put = put_flag<&Options::no_metrics>,
               .kind = a_truth},
};

}  // namespace

std::span<const OptionSpec> tracker_rows() { return rows; }

}  // namespace swarm::cli
