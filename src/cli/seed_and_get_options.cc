// The options that `swarm seed` and `swarm get` share: peers, port and bounds.
#include <array>

#include "cli/option_rows.hh"
#include "cli/option_values.hh"

namespace swarm::cli {

namespace {

bool put_port(Options& o, std::string_view v) {
  const auto dash = v.find('-');
  const auto first = number_from<std::uint16_t>(v.substr(0, dash));
  const auto last = dash == v.npos ? first : number_from<std::uint16_t>(v.substr(dash + 1));
  if (!first || !last || *last < *first || (*first == 0 && *last != 0)) return false;
  o.port = {*first, *last, false};
  return true;
}

constexpr std::array rows{
    OptionSpec{.name = "peer",
               .argument = "HOST:PORT",
               .help = "a peer to begin with; may be repeated",
               .commands = of_seed | of_get,
               .put = put_list<&Options::peers>,
               .kind = a_text,
               .list = true},
    OptionSpec{.name = "port",
               .letter = 'p',
               .argument = "PORT[-PORT]",
               .initial = "6881-6889, then any",
               .help = "where peers reach this machine",
               .commands = of_seed | of_get,
               .put = put_port,
               .kind = {"a port", "e.g. 6881 or 6881-6889"}},
    OptionSpec{.name = "up",
               .argument = "RATE",
               .initial = "unlimited",
               .help = "bound on sending, of all torrents",
               .commands = of_seed | of_get,
               .put = put_rate<&Options::rate_up_max>,
               .kind = a_size},
    OptionSpec{.name = "down",
               .argument = "RATE",
               .initial = "unlimited",
               .help = "bound on receiving, of all torrents",
               .commands = of_seed | of_get,
               .put = put_rate<&Options::rate_down_max>,
               .kind = a_size},
    OptionSpec{.name = "max-peers",
               .argument = "N",
               .initial = "200",
               .help = "connections per torrent",
               .commands = of_seed | of_get,
               .put = put_number<&Options::max_peers, 65'535>,
               .kind = a_number},
};

}  // namespace

std::span<const OptionSpec> seed_and_get_rows() { return rows; }

}  // namespace swarm::cli
