#include "cli/session.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/text.hh"
#include "cli/places.hh"
#include "cli/report.hh"

namespace swarm::cli {

namespace {

constexpr Duration frame_every = 250ms;
constexpr Duration piece_line_every = 100ms;
constexpr unsigned plain_every_s = 10, plain_unchanged_every_s = 60;

uv::DriverOptions driver_options(const Options& o) {
  uv::DriverOptions d;
  d.client.node_name = o.node_name.empty() ? host_name() : o.node_name;
  d.client.agent = "swarm/" SWARM_VERSION;
  d.client.rate_up_max = o.rate_up_max;
  d.client.rate_down_max = o.rate_down_max;
  if (o.max_peers) d.client.peers_max = static_cast<std::uint32_t>(*o.max_peers);
  d.interface = o.interface;
  d.sockets_max = descriptor_share().sockets;
  d.port_first = o.port.first;
  d.port_last = o.port.last;
  d.any_port = o.port.then_any;
  return d;
}

}  // namespace

Session::Session(const Options& options, Voice& voice, uv::Loop& loop)
    : options_(options),
      voice_(voice),
      loop_(loop),
      driver_(options.dry_run ? nullptr : std::make_unique<uv::Driver>(loop, driver_options(options))),
      workers_(options.dry_run ? std::make_unique<uv::Workers>(loop) : nullptr),
      budget_(std::make_shared<disk::OpenBudget>(descriptor_share().files)),
      frame_(loop, [this] { on_frame(); }),
      second_(loop, [this] { on_second(); }),
      piece_flush_(loop,
                   [this] {
                     if (voice_.flush_pieces(loop_.now())) piece_flush_.start(piece_line_every);
                   }),
      signals_(loop, [this](int number) { on_signal(number); }) {}

Result<std::unique_ptr<Session>> Session::open(const Options& options, Voice& voice, uv::Loop& loop) {
  std::unique_ptr<Session> session(new Session(options, voice, loop));
  if (session->driver_) {
    if (const auto port = session->driver_->listen(); !port) return tl::unexpected(port.error());
  }
  return session;
}

void Session::find_trackers(std::function<void(Result<std::vector<FoundTracker>>)> done) {
  std::vector<TrackerAddress> addresses;
  for (const auto& text : options_.trackers) {
    auto address = parse_tracker(text);
    if (!address) return done(tl::unexpected(address.error()));
    addresses.push_back(std::move(*address));
  }
  if (addresses.empty()) return done(std::vector<FoundTracker>{});
  cli::find_trackers(
      driver_->http(), std::move(addresses), [this, done = std::move(done)](std::vector<FoundTracker> found) {
        for (const auto& t : found) {
          if (t.address.loopback && t.kind != FoundTracker::Kind::silent && options_.command == Command::seed) {
            const auto& base = t.address.base;
            const auto scheme = base.starts_with("http://") ? std::string() : base.substr(0, base.find("//") + 2);
            voice_.advise(fmt::format("warning: other machines cannot use {}; use -t {}{}{}", t.address.typed, scheme,
                                      host_name(), t.address.label.substr(t.address.label.rfind(':'))));
          }
        }
        done(std::move(found));
      });
}

int Session::run(Hooks hooks) {
  hooks_ = std::move(hooks);
  if (driver_) driver_->set_notice([this](const core::Notice& notice) { hooks_.on_notice(notice); });
  if (voice_.draws_footer()) frame_.every(frame_every);
  second_.every(1s);
  loop_.run();  // until end() has stopped the driver
  voice_.flush_all_pieces();
  if (signal_ != 0 && hooks_.on_stopped) hooks_.on_stopped(signal_);
  return code_;
}

void Session::end(int code) {
  if (ending_) return;
  ending_ = true;
  code_ = code;
  frame_.stop();
  second_.stop();
  voice_.clear_footer();
  if (!driver_) return loop_.stop();
  driver_->stop([this](bool) { loop_.stop(); });
}

void Session::on_signal(int number) {
  if (number == SIGUSR1) {
    for (const auto& t : hooks_.look().transfers) voice_.warn(plain_line(t));
    return;
  }
  if (signal_ != 0 || ending_) {
    voice_.clear_footer();
    if (hooks_.on_abandoned) hooks_.on_abandoned();
    ::_exit(signal_ == 0 ? code_ : 128 + number);
  }
  signal_ = number;
  voice_.flush_all_pieces();
  hooks_.on_signal(number);
  end(128 + number);
}

void Session::on_piece(const PieceCheck& check, const std::string& want, std::uint64_t bytes) {
  voice_.piece(check, want, bytes);
  if (!check.ok) {
    voice_.flush_pieces(loop_.now());
  } else if (!piece_flush_.running()) {  // a little later, so that what comes together is told together
    piece_flush_.start(piece_line_every);
  }
}

void Session::redraw() {
  if (!ending_) on_frame();
}

void Session::on_frame() { voice_.footer(footer(hooks_.look(), voice_.look())); }

namespace {

/// Nothing more is to be said about one that is whole, or has failed.
bool is_under_way(const Transfer& t) {
  const auto phase = t.stats.phase;
  return t.seed || phase == core::Phase::metadata || phase == core::Phase::checking ||
         phase == core::Phase::downloading;
}

}  // namespace

void Session::on_second() {
  ++seconds_;
  hooks_.on_second();
  if (ending_) return;
  voice_.flush();
  const bool plain = voice_.draws_plain() && seconds_ % plain_every_s == 0;
  if (!plain && !voice_.json()) return;
  const auto now = hooks_.look();
  if (plain) say_plain(now);
  if (!voice_.json()) return;
  std::string events;
  const auto add = [&events](const std::string& event) { events += (events.empty() ? "" : "\n") + event; };
  const bool several = options_.words.size() > 1;
  for (const auto& t : now.transfers) {
    if (is_under_way(t)) add((t.stats.phase == core::Phase::metadata ? metadata_json : progress_json)(t, several));
  }
  if (now.preparing) add(preparing_json(*now.preparing));
  if (events.empty() || (events == last_progress_ && seconds_ % plain_every_s != 0)) return;
  last_progress_ = events;
  voice_.event(events);
}

/// One line per torrent; what has not changed is said once a minute, so that an idle seed does not fill a log.
void Session::say_plain(const Snapshot& now) {
  std::vector<std::string> lines;
  for (const auto& t : now.transfers) {
    if (is_under_way(t)) lines.push_back(plain_line(t));
  }
  if (now.preparing) lines.push_back(plain_line(*now.preparing));
  if (lines == last_plain_ && seconds_ - last_plain_at_ < plain_unchanged_every_s) return;
  for (const auto& line : lines) voice_.plain(line);
  last_plain_ = std::move(lines);
  last_plain_at_ = seconds_;
}

void Session::add_peers(TorrentId torrent) {
  for (const auto& text : options_.peers) {
    if (const auto peer = parse_host_port(text)) driver_->add_peer(torrent, *peer);
  }
}

const FoundTracker* main_tracker(const std::vector<FoundTracker>& found) {
  for (const auto kind : {FoundTracker::Kind::swarm, FoundTracker::Kind::plain, FoundTracker::Kind::silent}) {
    const auto at = std::ranges::find(found, kind, &FoundTracker::kind);
    if (at != found.end()) return &*at;
  }
  return nullptr;
}

std::vector<std::string> swarm_bases(const std::vector<FoundTracker>& found) {
  std::vector<std::string> out;
  for (const auto& t : found) {
    if (t.kind == FoundTracker::Kind::swarm) out.push_back(t.address.base);
  }
  return out;
}

std::vector<std::vector<std::string>> announce_tiers(const std::vector<FoundTracker>& found,
                                                     const std::vector<std::vector<std::string>>& own) {
  std::vector<std::vector<std::string>> tiers;
  for (const auto& t : found) tiers.push_back({t.address.announce});
  for (const auto& tier : own) {
    std::vector<std::string> others;
    for (const auto& url : tier) {
      if (std::ranges::none_of(found, [&](const FoundTracker& t) { return t.address.announce == url; }))
        others.push_back(url);
    }
    if (!others.empty()) tiers.push_back(std::move(others));
  }
  return tiers;
}

}  // namespace swarm::cli
