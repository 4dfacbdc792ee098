#include "uv/driver.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.hh"
#include "uv/driver_parts.hh"
#include "uv/random_bytes.hh"

namespace swarm::uv {

namespace {

PeerId fresh_peer_id() {
  PeerId id;
  constexpr std::string_view prefix = "-SW0100-";
  random_bytes(id.bytes);
  std::copy(prefix.begin(), prefix.end(), id.bytes.begin());
  return id;
}

std::string fresh_node_id() {
  std::array<std::uint8_t, 8> bytes{};
  random_bytes(bytes);
  return to_hex(bytes);
}

}  // namespace

Driver::Driver(Loop& loop, DriverOptions options) : parts_(std::make_unique<Parts>(*this, loop, std::move(options))) {}
Driver::~Driver() = default;

Result<std::uint16_t> Driver::listen() { return parts_->listen(); }

Result<std::uint16_t> Driver::Parts::listen() {
  const auto interface = find_interface(options.interface);
  if (!interface) return tl::unexpected(interface.error());
  listener = std::make_unique<TcpListener>(
      loop, [this](Descriptor socket, const Endpoint& from) { peers->accept(std::move(socket), from); });
  const auto bound = take_port(*interface);
  if (!bound) return tl::unexpected(bound.error());
  port = bound->port;
  auto& own = options.client;
  own.port = port;
  if (own.peer_id == PeerId{}) own.peer_id = fresh_peer_id();
  if (own.node_id.empty()) own.node_id = fresh_node_id();
  if (own.addresses.empty()) own.addresses = *interface ? std::vector{**interface} : own_addresses();
  client = std::make_unique<core::Client>(own, random_u64());
  http = std::make_unique<HttpClient>(loop, *interface);
  web_seeds = std::make_unique<WebSeeds>(loop, *http, web_seed_events());
  udp_trackers = std::make_unique<UdpTrackers>(loop, *interface);
  peers = std::make_unique<Peers>(loop, *interface, options.sockets_max, peer_events());
  watch = std::make_unique<ChangeWatch>(loop, workers, options.changed_every, watch_events());
  watch->start();
  return port;
}

Result<Endpoint> Driver::Parts::take_port(const Interface& interface) {
  const IpAddress address = interface.value_or(IpAddress{});
  if (options.port_first == 0) return listener->listen({address, 0});
  for (std::uint32_t n = options.port_first; n <= options.port_last; ++n) {
    auto bound = listener->listen({address, static_cast<std::uint16_t>(n)});
    if (bound || bound.error().code != "port_in_use") return bound;
  }
  if (options.any_port) return listener->listen({address, 0});
  const bool one = options.port_first >= options.port_last;
  return fail(Exit::disk, "port_in_use",
              one ? fmt::format("port {} is in use", options.port_first)
                  : fmt::format("ports {}-{} are in use", options.port_first, options.port_last),
              "Use another --port");
}

void Driver::stop(std::function<void(bool)> done) {
  Parts& p = *parts_;
  p.on_stopped = std::move(done);
  if (std::exchange(p.stopping, true) || !p.client) {
    p.stop_timer.start({});
    return;
  }
  p.listener.reset();
  p.stop_timer.start(p.options.stop_within);
  p.client->stop(p.now());
  p.turn();
}

void Driver::Parts::end(bool clean) {
  if (std::exchange(stopped, true)) return;
  if (peers) peers->close_all();
  if (web_seeds) web_seeds->close_all();
  lookups.clear();
  wake_timer.stop();
  if (watch) watch->stop();
  if (on_stopped) std::exchange(on_stopped, {})(clean);
}

void Driver::set_notice(std::function<void(const core::Notice&)> on_notice) {
  parts_->on_notice = std::move(on_notice);
}

// ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

std::uint64_t Driver::web_bytes_dropped() const { return parts_->web_seeds ? parts_->web_seeds->bytes_dropped() : 0; }
core::TorrentStats Driver::stats(TorrentId torrent) const { return parts_->client->stats(torrent, parts_->now()); }
const Bitfield& Driver::verified(TorrentId torrent) const { return parts_->client->verified(torrent); }
std::string Driver::path(TorrentId torrent) const { return parts_->files(torrent).path(); }
std::shared_ptr<disk::Storage> Driver::storage(TorrentId torrent) const { return parts_->files(torrent).storage(); }
core::Client& Driver::client() { return *parts_->client; }
HttpClient& Driver::http() { return *parts_->http; }
Workers& Driver::workers() { return parts_->workers; }
std::uint16_t Driver::port() const { return parts_->port; }
const core::ClientOptions& Driver::identity() const { return parts_->options.client; }

}  // namespace swarm::uv
