#include "uv/tracker_host.hh"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "base/text.hh"
#include "uv/address.hh"
#include "uv/random_bytes.hh"
#include "uv/resolver.hh"
#include "uv/timer.hh"
#include "uv/tracker_state.hh"
#include "uv/udp.hh"
#include "uv/workers.hh"

namespace swarm::uv {

namespace {

constexpr std::uint16_t default_port = 6969;
constexpr std::size_t waiting_bytes_max = 64u << 20;
constexpr Duration stop_within = 2500ms;

const std::string& name_of(const core::TrackerSave& save) {
  return std::visit([](const auto& s) -> const std::string& { return s.name; }, save);
}

std::array<std::uint8_t, 32> secret() {
  std::array<std::uint8_t, 32> bytes{};
  random_bytes(bytes);
  return bytes;
}

/// Of this process; 0 where the system does not tell.
std::uint64_t resident_bytes() {
  std::size_t resident = 0;
  return uv_resident_set_memory(&resident) == 0 ? resident : 0;
}

wire::HttpResponse api_error(int status, const Error& error) {
  wire::HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.body = to_buffer(wire::to_json(wire::ApiError{error.code, error.message, error.hint}));
  return response;
}

bool changes_catalogue(const wire::HttpRequest& request) {
  return (request.method == "PUT" || request.method == "DELETE") && request.path().starts_with("/api/v1/files/");
}

/// "[HOST]:PORT", ":PORT" or "PORT".
struct Listen {
  std::string host;
  std::uint16_t port = default_port;
};
Result<Listen> parse_listen(const std::string& text) {
  const auto bare = text.starts_with(':') ? text.substr(1) : text;
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(bare.data(), bare.data() + bare.size(), port);
  if (fault == std::errc() && end == bare.data() + bare.size()) return Listen{"", port};
  if (const auto address = IpAddress::from(text)) return Listen{text, default_port};
  const auto found = text.starts_with(':') ? std::nullopt : parse_host_port(text);
  const bool has_port = text.rfind(':') != text.npos && text.back() != ']';
  if (found) return Listen{found->host, has_port ? found->port : default_port};
  return fail(Exit::usage, "bad_address", fmt::format("--listen: '{}' is not an address", printable(text)),
              "Use e.g. :6970, 192.168.0.5:6969 or [::1]:6969");
}

}  // namespace

struct TrackerHost::Parts {
  /// A request that changes the catalogue and waits for those before it.
  struct Waiting {
    wire::HttpRequest request;
    Endpoint from, local;
    HttpReply reply;
  };
  /// A change under way on a worker.
  struct Change {
    core::TrackerChange change;
    wire::HttpResponse response;
    HttpReply reply;
  };
  struct Changed {
    Change change;
    Result<void> saved, undone;
  };

  struct Udp {
    Endpoint at;
    UdpSocket socket;

    explicit Udp(Parts& parts)
        : socket(parts.loop, [this, &parts](ByteView bytes, const Endpoint& from, const IpAddress& to) {
            parts.on_datagram(socket, bytes, from, {to, at.port});
          }) {}
  };

  Loop& loop;
  TrackerHostOptions options;
  core::TrackerServer server;
  std::vector<Error> left_out;
  std::function<void(const core::TrackerNotice&)> on_notice;
  HttpServer http;
  std::vector<std::unique_ptr<Udp>> sockets;
  std::map<core::FollowerId, HttpStream> followers;  ///< the server bounds them
  std::deque<Waiting> waiting;  ///< waiting_bytes in all, at most waiting_bytes_max and one request more
  std::size_t waiting_bytes = 0;
  std::vector<core::TrackerSave> to_undo;  ///< to be tried again; at most one a name
  bool writing = false;
  std::function<void()> on_stopped;
  std::optional<Instant> wake;
  Timer wake_timer, again_timer, stop_timer;
  Workers workers;  ///< last, hence destroyed first: its jobs hold replies, which the server must outlive

  Parts(Loop& l, TrackerHostOptions o)
      : loop(l),
        options(std::move(o)),
        server(options.tracker, secret()),
        http(
            l,
            [this](wire::HttpRequest& request, const Endpoint& from, const Endpoint& local, HttpReply reply) {
              on_request(request, from, local, std::move(reply));
            },
            options.limits),
        wake_timer(l, [this] { on_time(); }),
        again_timer(l, [this] { try_again(); }),
        stop_timer(l, [this] { tell_stopped(); }),
        workers(l) {}

  Result<void> load();
  Result<Endpoint> endpoint(const Listen& listen);
  Result<Endpoint> listen_at(const Endpoint& at);
  void on_request(wire::HttpRequest& request, const Endpoint& from, const Endpoint& local, HttpReply reply);
  void answer(const wire::HttpRequest& request, const Endpoint& from, const Endpoint& local, HttpReply reply);
  void on_datagram(UdpSocket& socket, ByteView bytes, const Endpoint& from, const Endpoint& local);
  void on_time();
  void after_input();
  void tell_followers();
  void change_next();
  void on_changed(Changed done);
  void try_again();
  void tell_stopped();
};

Result<void> TrackerHost::Parts::load() {
  if (options.state.empty()) return {};
  auto kept = load_state(options.state);
  if (!kept) return tl::unexpected(std::move(kept.error()));
  for (const KeptFile& file : *kept) {
    auto loaded = file.torrent ? server.load(file.name, as_bytes(*file.torrent)) : tl::unexpected(file.torrent.error());
    if (!loaded) left_out.push_back(std::move(loaded.error()));
  }
  return {};
}

Result<Endpoint> TrackerHost::Parts::endpoint(const Listen& listen) {
  if (listen.host.empty()) {
    const auto interface = find_interface(options.interface);
    if (!interface) return tl::unexpected(interface.error());
    return Endpoint{interface->value_or(IpAddress{}), listen.port};
  }
  if (const auto address = IpAddress::from(listen.host)) return Endpoint{*address, listen.port};
  std::optional<Result<std::vector<IpAddress>>> found;  // nothing else runs yet, so the loop may be turned here
  const Lookup lookup(loop, listen.host, [&](Result<std::vector<IpAddress>> answer) { found = std::move(answer); });
  while (!found && loop.run_once()) {
  }
  if (found && *found) return Endpoint{found->value().front(), listen.port};
  return fail(Exit::not_found, "no_such_host", fmt::format("--listen: cannot find host {}", printable(listen.host)));
}

/// Rule 4. A number that a person gave is tried over TCP first, whose error names the port as they know it; a number of
/// the system's choice comes from UDP, since a socket is given back more easily than a listener.
Result<Endpoint> TrackerHost::Parts::listen_at(const Endpoint& at) {
  if (!options.udp) return http.listen(at);
  for (int attempts_left = at.port == 0 ? 20 : 1;; --attempts_left) {
    auto udp = std::make_unique<Udp>(*this);
    auto listening = at.port == 0 ? udp->socket.bind(at) : http.listen(at);
    if (!listening) return listening;
    const Endpoint same{at.address, listening->port};
    auto other = at.port == 0 ? http.listen(same) : udp->socket.bind(same);
    if (!other && other.error().code == "port_in_use" && attempts_left > 1) continue;
    if (!other) return other;
    udp->at = *other;
    sockets.push_back(std::move(udp));
    return other;
  }
}

void TrackerHost::Parts::on_request(wire::HttpRequest& request, const Endpoint& from, const Endpoint& local,
                                    HttpReply reply) {
  if (!changes_catalogue(request)) return answer(request, from, local, std::move(reply));
  if (waiting_bytes > waiting_bytes_max) {
    return reply.send(api_error(503, {Exit::other, "busy", "too many changes at once", "try again in a moment"}));
  }
  waiting_bytes += request.body.size();
  waiting.push_back({std::move(request), from, local, std::move(reply)});
  change_next();
}

/// Of a request that may be answered at once, or whose change is the next one.
void TrackerHost::Parts::answer(const wire::HttpRequest& request, const Endpoint& from, const Endpoint& local,
                                HttpReply reply) {
  if (request.path() == "/metrics") server.on_process({resident_bytes(), http.connections()});
  auto r = server.on_request(request, from, local, loop.now());
  if (r.follower) {
    const auto id = *r.follower;
    followers.insert_or_assign(id, reply.stream(r.response, [this, id] {
      followers.erase(id);
      server.on_follower_gone(id);
    }));
  } else if (!r.change) {
    reply.send(std::move(r.response));
  } else if (options.state.empty()) {
    server.on_saved(true);
    reply.send(std::move(r.response));
  } else {
    writing = true;
    workers.run(
        [change = Change{std::move(*r.change), std::move(r.response), std::move(reply)},
         folder = options.state]() mutable {
          auto saved = apply_save(folder, change.change.save);
          auto undone = saved ? Result<void>() : apply_save(folder, change.change.undo);
          return Changed{std::move(change), std::move(saved), std::move(undone)};
        },
        [this](Changed done) { on_changed(std::move(done)); });
  }
  after_input();
}

void TrackerHost::Parts::on_datagram(UdpSocket& socket, ByteView bytes, const Endpoint& from, const Endpoint& local) {
  const auto answer = server.on_datagram(bytes, from, local, loop.now());
  if (answer) socket.send(from, *answer, local.address);
  after_input();
}

void TrackerHost::Parts::change_next() {
  while (!writing && !waiting.empty()) {
    auto next = std::move(waiting.front());
    waiting.pop_front();
    waiting_bytes -= next.request.body.size();
    answer(next.request, next.from, next.local, std::move(next.reply));
  }
}

void TrackerHost::Parts::on_changed(Changed done) {
  writing = false;
  server.on_saved(done.saved.has_value());
  auto& [change, response, reply] = done.change;
  const auto& name = name_of(change.save);
  std::erase_if(to_undo, [&](const core::TrackerSave& save) { return name_of(save) == name; });
  if (!done.saved) {
    const Error& error = done.saved.error();
    response = api_error(error.code == "disk_full" ? 507 : 500, error);
    if (!done.undone) to_undo.push_back(std::move(change.undo));
  }
  if (!to_undo.empty() && !again_timer.running()) again_timer.start(options.again_after);
  reply.send(std::move(response));
  after_input();
  change_next();
}

/// Between changes only, so that none of them is set back.
void TrackerHost::Parts::try_again() {
  if (writing) return again_timer.start(options.again_after);
  writing = true;
  workers.run(
      [saves = std::exchange(to_undo, {}), folder = options.state]() mutable {
        std::erase_if(saves, [&](const core::TrackerSave& save) { return apply_save(folder, save).has_value(); });
        return std::move(saves);
      },
      [this](std::vector<core::TrackerSave> left) {
        writing = false;
        to_undo = std::move(left);
        if (!to_undo.empty()) again_timer.start(options.again_after);
        change_next();
      });
}

void TrackerHost::Parts::on_time() {
  wake.reset();
  server.on_time(loop.now());
  after_input();
}

void TrackerHost::Parts::after_input() {
  for (const auto& notice : server.take_notices()) {
    if (on_notice) on_notice(notice);
  }
  tell_followers();
  const auto next = server.next_wake();
  if (next == wake) return;
  wake = next;
  next ? wake_timer.start(*next - loop.now()) : wake_timer.stop();
}

void TrackerHost::Parts::tell_followers() {
  for (auto& [id, bytes] : server.take_events()) {
    const auto found = followers.find(id);
    if (found == followers.end() || found->second.write(std::move(bytes))) continue;
    followers.erase(found);
    server.on_follower_gone(id);
  }
}

void TrackerHost::Parts::tell_stopped() {
  wake_timer.stop();
  again_timer.stop();
  stop_timer.stop();
  if (on_stopped) std::exchange(on_stopped, {})();
}

TrackerHost::TrackerHost(Loop& loop, TrackerHostOptions options)
    : parts_(std::make_unique<Parts>(loop, std::move(options))) {}
TrackerHost::~TrackerHost() = default;

Result<std::vector<Endpoint>> TrackerHost::start() {
  Parts& p = *parts_;
  if (auto loaded = p.load(); !loaded) return tl::unexpected(std::move(loaded.error()));
  auto texts = p.options.listen;
  if (texts.empty()) texts.emplace_back(fmt::format(":{}", default_port));
  std::vector<Endpoint> out;
  for (const auto& text : texts) {
    const auto listen = parse_listen(text);
    if (!listen) return tl::unexpected(listen.error());
    const auto at = p.endpoint(*listen);
    if (!at) return tl::unexpected(at.error());
    auto bound = p.listen_at(*at);
    if (!bound) {
      if (bound.error().code == "port_in_use") bound.error().hint = fmt::format("Use --listen :{}", at->port + 1);
      return tl::unexpected(std::move(bound.error()));
    }
    out.push_back(*bound);
  }
  p.after_input();
  return out;
}

const std::vector<Error>& TrackerHost::left_out() const { return parts_->left_out; }
void TrackerHost::set_notice(std::function<void(const core::TrackerNotice&)> on_notice) {
  parts_->on_notice = std::move(on_notice);
}
wire::Status TrackerHost::status() const { return parts_->server.status(parts_->loop.now()); }
std::size_t TrackerHost::connections() const { return parts_->http.connections(); }

void TrackerHost::stop(std::function<void()> done) {
  Parts& p = *parts_;
  p.on_stopped = std::move(done);
  p.stop_timer.start(stop_within);
  p.sockets.clear();
  p.http.stop([&p] { p.tell_stopped(); });
}

}  // namespace swarm::uv
