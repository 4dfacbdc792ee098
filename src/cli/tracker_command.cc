// swarm tracker: the orchestrator, and what its own terminal shows: a log that scrolls above the table of `swarm status`.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>

#include "base/text.hh"
#include "cli/commands.hh"
#include "cli/piece_log.hh"
#include "cli/places.hh"
#include "cli/report.hh"
#include "cli/tables.hh"
#include "cli/token.hh"
#include "uv/loop.hh"
#include "uv/signals.hh"
#include "uv/timer.hh"
#include "uv/tracker_host.hh"

namespace swarm::cli {

namespace {

constexpr Duration frame_every = 1s;
constexpr Duration piece_line_every = 100ms;

/// One above the port that "port 6969 is in use" names.
unsigned another_port(const std::string& message) {
  const auto digit = message.find_first_of("0123456789");
  const auto port = digit == message.npos ? 0 : std::strtoul(message.c_str() + digit, nullptr, 10);
  return port > 0 && port < 65'535 ? static_cast<unsigned>(port) + 1 : 6970;
}

class TrackerCommand {
 public:
  TrackerCommand(const Options& options, Voice& voice, uv::Loop& loop, uv::TrackerHostOptions host)
      : options_(options),
        voice_(voice),
        loop_(loop),
        state_(host.state),
        host_(loop, std::move(host)),
        frame_(loop, [this] { draw(); }),
        piece_flush_(loop,
                     [this] {
                       if (voice_.flush_pieces(loop_.now())) piece_flush_.start(piece_line_every);
                     }),
        signals_(loop, [this](int number) { on_signal(number); }) {}

  int run();

 private:
  void say_where(const std::vector<Endpoint>& listening);
  void on_notice(const core::TrackerNotice& notice);
  void draw();
  void on_signal(int number);

  const Options& options_;
  Voice& voice_;
  uv::Loop& loop_;
  std::string state_;
  uv::TrackerHost host_;
  uv::Timer frame_, piece_flush_;
  uv::Signals signals_;
  std::string reach_;    ///< what -t takes elsewhere
  bool logged_ = false;  ///< something stands between the first lines and the table
  int signal_ = 0;
};

int TrackerCommand::run() {
  host_.set_notice([this](const core::TrackerNotice& n) { on_notice(n); });
  const auto listening = host_.start();
  if (!listening) {
    Error error = listening.error();
    if (error.code == "port_in_use") error.hint = fmt::format("Use --listen :{}", another_port(error.message));
    voice_.error(error);
    return static_cast<int>(error.exit);
  }
  say_where(*listening);
  if (voice_.draws_footer()) frame_.every(frame_every);
  draw();
  loop_.run();
  voice_.flush_all_pieces();
  voice_.event(ended_json(voice_.time()));
  return 128 + signal_;
}

void TrackerCommand::say_where(const std::vector<Endpoint>& listening) {
  const auto port = listening.empty() ? std::uint16_t{0} : listening[0].port;
  std::string host = host_name();
  if (!listening.empty() && !listening[0].address.is_unspecified()) host = listening[0].address.text();
  if (host.find(':') != std::string::npos) host = fmt::format("[{}]", host);
  reach_ = port == 6969 ? host : fmt::format("{}:{}", host, port);
  const auto url = options_.url.empty() ? fmt::format("http://{}:{}", host, port) : options_.url;

  std::vector<std::string> addresses;
  for (const auto& e : listening) addresses.push_back(e.text());
  voice_.event(listening_json(url, port, addresses, voice_.time()));
  if (voice_.terminal().err) {
    voice_.advise({fmt::format("tracker {}  catalogue in {}", url, printable(state_)),
                   {},
                   fmt::format("  share a file             swarm seed FILE -t {}", reach_),
                   fmt::format("  see the swarm            swarm status -t {}", reach_),
                   fmt::format("  any BitTorrent client    {}/announce", url),
                   {}});
  } else {
    voice_.advise(
        fmt::format("time={} event=listening url={} port={} state={}", voice_.time(), url, port, printable(state_)));
  }
  for (const auto& left_out : host_.left_out()) {
    voice_.warn(fmt::format("warning: {}", error_text(left_out)));
    logged_ = true;
  }
}

void TrackerCommand::on_notice(const core::TrackerNotice& notice) {
  logged_ = true;
  if (const auto* checked = std::get_if<core::NodeChecked>(&notice)) {
    if (voice_.wants_piece_events(checked->pieces.ok)) voice_.event(event_json(notice, voice_.time()));
    voice_.piece_logged(check_of(*checked));
    if (!checked->pieces.ok) {
      voice_.flush_pieces(loop_.now());
    } else if (!piece_flush_.running()) {  // a little later, so that what one heartbeat tells stands in one line
      piece_flush_.start(piece_line_every);
    }
    return;
  }
  if (std::holds_alternative<core::NodeCompleted>(notice) || std::holds_alternative<core::NodeLeft>(notice)) {
    voice_.flush_all_pieces();  // a node's last pieces stand above its end
  }
  voice_.event(event_json(notice, voice_.time()));
  voice_.advise(voice_.terminal().err ? event_line(notice, voice_.clock(), voice_.look())
                                      : event_logfmt(notice, voice_.time()));
}

void TrackerCommand::draw() {
  voice_.flush();
  if (!voice_.draws_footer()) return;
  auto lines = status_tables(host_.status(), {true, true, reach_}, voice_.look());
  if (logged_) lines.insert(lines.begin(), std::string());  // else the empty line is there that will precede the log
  const auto rows = screen_size(STDERR_FILENO).rows;
  if (lines.size() + 2 > rows && rows > 4) {  // half a screen of log is worth more than the last rows of a table
    const auto kept = rows - 3;
    const auto more = lines.size() - kept;
    lines.resize(kept);
    lines.push_back(fmt::format("... {} more lines: swarm status -t {}", more, reach_));
  }
  voice_.footer(std::move(lines));
}

void TrackerCommand::on_signal(int number) {
  if (number == SIGUSR1) {
    const auto s = host_.status();
    logged_ = true;
    voice_.warn(fmt::format("{} nodes, {} files, {} connections", s.nodes.size(), s.files.size(), host_.connections()));
    return;
  }
  if (signal_ != 0) ::_exit(128 + number);
  signal_ = number;
  frame_.stop();
  voice_.clear_footer();
  voice_.advise("stopping; transfers under way go on without a tracker");
  host_.stop([this] { loop_.stop(); });
}

}  // namespace

int run_tracker(const Options& options, const Environment& environment, Voice& voice) {
  const auto stop = [&voice](const Error& e) { return voice.error(e), static_cast<int>(e.exit); };
  auto state = tracker_state_folder(options, environment);
  if (!state) return stop(state.error());
  auto token = read_token(options);
  if (!token) return stop(token.error());
  uv::TrackerHostOptions host;
  host.tracker.version = SWARM_VERSION;
  host.tracker.name = options.node_name.empty() ? host_name() : options.node_name;
  host.tracker.url = options.url;
  host.tracker.interval_s = static_cast<std::uint32_t>(std::max(1.0, seconds(options.interval)));
  host.tracker.max_torrents = static_cast<std::uint32_t>(options.max_torrents);
  if (options.max_peers) host.tracker.max_peers = static_cast<std::uint32_t>(*options.max_peers);
  host.tracker.catalogued_only = options.catalogued_only;
  host.tracker.token = std::move(*token);
  host.tracker.names = {host_name()};
  host.tracker.dashboard = !options.no_dashboard;
  host.tracker.metrics = !options.no_metrics;
  host.udp = !options.no_udp;
  host.listen = options.listen;
  host.interface = options.interface;
  host.state = std::move(*state);
  auto loop = uv::Loop::create();
  if (!loop) return stop(loop.error());
  return TrackerCommand(options, voice, **loop, std::move(host)).run();
}

}  // namespace swarm::cli
