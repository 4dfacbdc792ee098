// The tables behind options.hh: every command, and every option that exists, each once.
#include <array>
#include <vector>

#include "cli/option_rows.hh"
#include "cli/options.hh"

namespace swarm::cli {

namespace {

constexpr std::array commands{
    CommandSpec{.command = Command::tracker,
                .name = "tracker",
                .words = "",
                .words_min = 0,
                .words_max = 0,
                .summary = "the orchestrator: catalogue, nodes, announces, live view",
                .about =
                    "Run it on one machine that all others reach. It hands out names and peers; no content passes "
                    "through it.\nAny BitTorrent client may announce to http://HOST:6969/announce or udp://HOST:6969."},
    CommandSpec{.command = Command::seed,
                .name = "seed",
                .words = "PATH...",
                .words_min = 1,
                .words_max = 10'000,
                .summary = "share files or folders",
                .about =
                    "Hashes each PATH, puts it into the tracker's catalogue and serves it until Ctrl-C. '-' is stdin.\n"
                    "A restart serves at once: hashes are kept as long as the files do not change.",
                .takes_files = true},
    CommandSpec{.command = Command::get,
                .name = "get",
                .words = "WHAT...",
                .words_min = 1,
                .words_max = 10'000,
                .summary = "download, and verify every piece",
                .about =
                    "WHAT: a NAME in the tracker's catalogue, a .torrent or its address, a magnet link, an info-hash.\n"
                    "Ends when everything is whole and verified; the same command resumes.",
                .takes_files = true},
    CommandSpec{.command = Command::status,
                .name = "status",
                .words = "[WHAT]",
                .words_min = 0,
                .words_max = 1,
                .summary = "look at the swarm through its tracker",
                .about =
                    "Who has what, how fast it moves, how many copies there are. WHAT: only what concerns that NAME.\n"
                    "For a .torrent, a magnet link or a progress.json: what it says, without a tracker.",
                .takes_files = true},
    CommandSpec{.command = Command::simulate,
                .name = "simulate",
                .words = "",
                .words_min = 0,
                .words_max = 0,
                .summary = "the same engine on a simulated network, thousands of nodes in one process",
                .about =
                    "How fast a swarm of that size and on those lines would be, and how near to the least time that is "
                    "possible.\nVirtual time; nothing is sent anywhere. Ends with 0 when every honest node that could "
                    "became whole, byte for byte."},
};

}  // namespace

/// In the order of --help and of the man page.
std::span<const OptionSpec> option_table() {
  static const std::vector<OptionSpec> table = [] {
    std::vector<OptionSpec> rows;
    for (const auto some :
         {tracker_rows(), seed_rows(), get_rows(), seed_and_get_rows(), status_rows(), simulate_rows(), common_rows()})
      rows.insert(rows.end(), some.begin(), some.end());
    return rows;
  }();
  return table;
}

std::span<const CommandSpec> command_table() { return commands; }

}  // namespace swarm::cli
