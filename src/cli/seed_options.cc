// The options of `swarm seed`.
#include <array>

#include "cli/option_rows.hh"
#include "cli/option_values.hh"
#include "wire/http.hh"

namespace swarm::cli {

namespace {

bool put_web_seed(Options& o, std::string_view v) {
  const auto url = wire::parse_url(v);
  if (!url || url->host.empty() || (url->scheme != "http" && url->scheme != "https")) return false;
  o.web_seeds.emplace_back(v);
  return true;
}

constexpr std::array rows{
    OptionSpec{.name = "name",
               .letter = 'n',
               .argument = "NAME",
               .initial = "the base name",
               .help = "name in the catalogue and in the torrent",
               .commands = of_seed,
               .put = put_text<&Options::name>,
               .kind = a_text},
    OptionSpec{.name = "piece-size",
               .argument = "auto|SIZE",
               .initial = "auto",
               .help = "bytes in a piece, a power of two",
               .commands = of_seed,
               .put = put_piece_size,
               .kind = {"a piece size", "auto or a power of two from 16K to 16M", "auto"}},
    OptionSpec{.name = "output",
               .argument = "FILE",
               .help = "also write the .torrent there ('-': stdout)",
               .commands = of_seed,
               .put = put_text<&Options::output>,
               .kind = a_file},
    OptionSpec{.name = "dry-run",
               .help = "hash and write the .torrent, share nothing",
               .commands = of_seed,
               .put = put_flag<&Options::dry_run>,
               .kind = a_truth},
    OptionSpec{.name = "private",
               .help = "mark the torrent private: peers come from its trackers only",
               .commands = of_seed,
               .put = put_flag<&Options::is_private>,
               .kind = a_truth},
    OptionSpec{.name = "comment",
               .argument = "TEXT",
               .help = "comment in the .torrent",
               .commands = of_seed,
               .put = put_text<&Options::comment>,
               .kind = a_text},
    OptionSpec{.name = "torrent",
               .argument = "FILE",
               .help = "serve PATH as this existing torrent; the data is verified first",
               .commands = of_seed,
               .put = put_text<&Options::torrent>,
               .kind = a_file},
    OptionSpec{.name = "replace",
               .help = "take over NAME in the catalogue",
               .commands = of_seed,
               .put = put_flag<&Options::replace>,
               .kind = a_truth},
    OptionSpec{.name = "web-seed",
               .argument = "URL",
               .help = "a web server that has the content, too; may be repeated",
               .commands = of_seed,
               .put = put_web_seed,
               .kind = {"an http address", "e.g. http://nas.example/pub/NAME"},
               .list = true},
    OptionSpec{.name = "until-copies",
               .argument = "N",
               .initial = "until Ctrl-C",
               .help = "end with 0 when N other whole copies exist",
               .commands = of_seed,
               .put = put_number<&Options::until_copies, u32_max>,
               .kind = a_number},
    OptionSpec{.name = "until-ratio",
               .argument = "R",
               .initial = "until Ctrl-C",
               .help = "end with 0 when R times the content was sent",
               .commands = of_seed,
               .put = put_ratio,
               .kind = {"a ratio", "e.g. 1.5"}},
    OptionSpec{.name = "for",
               .argument = "DUR",
               .initial = "until Ctrl-C",
               .help = "end with 0 after so long",
               .commands = of_seed,
               .put = put_duration<&Options::until_passed>,
               .kind = a_duration},
};

}  // namespace

std::span<const OptionSpec> seed_rows() { return rows; }

}  // namespace swarm::cli
