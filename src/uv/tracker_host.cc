#include "uv/tracker_host.hh"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <optional>
#include <utility>
#include <variant>

#include "base/text.hh"
#include "uv/address.hh"
#include "uv/random_bytes.hh"
#include "uv/resolver.hh"
#include "uv/timer.hh"
#include "uv/tracker_state.hh"
#include "uv/workers.hh"

namespace swarm::uv {

namespace {

constexpr std::uint16_t default_port = 6969;
constexpr std::size_t waiting_bytes_max = 64u << 20;
constexpr Duration stop_within = 2500ms;

const std::string& name_of(const core::TrackerSave& save) {
  return std::visit([](const auto& s) -> const std::string& { return s.name; }, save);
}

std::size_t bytes_of(const core::TrackerSave& save) {
  const auto* kept = std::get_if<core::KeepFile>(&save);
  return kept != nullptr ? kept->torrent.size() : 0;
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
  /// A request whose reply waits until its changes are durable.
  struct Waiting {
    std::vector<core::TrackerSave> saves;
    wire::HttpResponse response;
    std::optional<HttpReply> reply;  ///< none for what is tried again
    std::size_t bytes = 0;
  };

  Loop& loop;
  TrackerHostOptions options;
  core::TrackerServer server;
  std::vector<Error> left_out;
  std::function<void(const core::TrackerNotice&)> on_notice;
  HttpServer http;
  std::deque<Waiting> waiting;  ///< waiting_bytes in all, at most waiting_bytes_max and one request more
  std::size_t waiting_bytes = 0;
  std::vector<core::TrackerSave> failed;  ///< to be tried again; at most one a name
  bool writing = false;
  std::function<void()> on_stopped;
  std::optional<Instant> wake;
  Timer wake_timer, again_timer, stop_timer;
  Workers workers;  ///< last, hence destroyed first: its jobs hold replies, which the server must outlive

  Parts(Loop& l, TrackerHostOptions o)
      : loop(l),
        options(std::move(o)),
        server(options.tracker, random_u64()),
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
  void on_request(wire::HttpRequest& request, const Endpoint& from, const Endpoint& local, HttpReply reply);
  void on_time();
  void after_input();
  void write_next();
  void on_written(Waiting done, std::vector<Result<void>> results);
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

void TrackerHost::Parts::on_request(wire::HttpRequest& request, const Endpoint& from, const Endpoint& local,
                                    HttpReply reply) {
  if (waiting_bytes > waiting_bytes_max && changes_catalogue(request)) {
    return reply.send(api_error(503, {Exit::other, "busy", "too many changes at once", "try again in a moment"}));
  }
  auto response = server.on_request(request, from, local, loop.now());
  auto saves = server.take_saves();
  after_input();
  if (saves.empty() || options.state.empty()) return reply.send(std::move(response));
  std::size_t bytes = 0;
  for (const auto& save : saves) bytes += bytes_of(save);
  waiting_bytes += bytes;
  waiting.push_back({std::move(saves), std::move(response), std::move(reply), bytes});
  write_next();
}

void TrackerHost::Parts::write_next() {
  if (writing || waiting.empty()) return;
  writing = true;
  auto next = std::move(waiting.front());
  waiting.pop_front();
  workers.run(
      [next = std::move(next), folder = options.state]() mutable {
        std::vector<Result<void>> results;
        for (const auto& save : next.saves) results.push_back(apply_save(folder, save));
        return std::pair(std::move(next), std::move(results));
      },
      [this](std::pair<Waiting, std::vector<Result<void>>> done) {
        on_written(std::move(done.first), std::move(done.second));
      });
}

void TrackerHost::Parts::on_written(Waiting done, std::vector<Result<void>> results) {
  writing = false;
  waiting_bytes -= done.bytes;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto& name = name_of(done.saves[i]);
    std::erase_if(failed, [&](const core::TrackerSave& save) { return name_of(save) == name; });
    if (results[i]) continue;
    const Error& error = results[i].error();
    done.response = api_error(error.code == "disk_full" ? 507 : 500, error);
    failed.push_back(std::move(done.saves[i]));
  }
  if (!failed.empty() && !again_timer.running()) again_timer.start(options.again_after);
  if (done.reply) done.reply->send(std::move(done.response));
  write_next();
}

void TrackerHost::Parts::try_again() {
  Waiting again{std::exchange(failed, {}), {}, std::nullopt, 0};
  // What waits is newer; a name that it changes must not be set back.
  std::erase_if(again.saves, [this](const core::TrackerSave& old) {
    return std::any_of(waiting.begin(), waiting.end(), [&](const Waiting& w) {
      return std::any_of(w.saves.begin(), w.saves.end(),
                         [&](const auto& save) { return name_of(save) == name_of(old); });
    });
  });
  for (const auto& save : again.saves) again.bytes += bytes_of(save);
  waiting_bytes += again.bytes;
  if (!again.saves.empty()) waiting.push_front(std::move(again));
  write_next();
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
  const auto next = server.next_wake();
  if (next == wake) return;
  wake = next;
  next ? wake_timer.start(*next - loop.now()) : wake_timer.stop();
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
    auto bound = p.http.listen(*at);
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
  p.http.stop([&p] { p.tell_stopped(); });
}

}  // namespace swarm::uv
