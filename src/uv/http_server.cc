#include "uv/http_server.hh"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "uv/tcp.hh"
#include "uv/timer.hh"

namespace swarm::uv {

namespace {

constexpr std::size_t queued_bytes_max = 256 * 1024;
constexpr std::size_t stream_queued_bytes_max = 1u << 20;  ///< and the last thing written, of any size
constexpr Duration discard_within =
    2s;  ///< after an error: how long we take what still comes, so that the reply arrives

std::size_t body_bytes_max(const wire::HttpRequest& head, std::size_t ordinary) {
  const auto path = head.path();
  if (head.method == "PUT" && path.starts_with("/api/v1/files/")) return 32u << 20;
  if (head.method == "POST" && path == "/api/v1/announce") return 1u << 20;
  return ordinary;
}

wire::HttpResponse plain_response(int status, std::string_view text) {
  wire::HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  response.body = to_buffer(text);
  response.keep_alive = false;
  return response;
}

wire::HttpResponse response_to(wire::HttpFault fault) {
  switch (fault) {
    case wire::HttpFault::header_too_large:
      return plain_response(431, "the request's head is too large\n");
    case wire::HttpFault::body_too_large:
      return plain_response(413, "the request's body is too large\n");
    default:
      return plain_response(400, "this is not an HTTP request\n");
  }
}

}  // namespace

//            bytes         whole              send()
//   open ───────────► open ───────► answering ────────► open, when the connection is kept
//                      │                └───────────► closing: gone as soon as the reply has left
//                      │                └─ stream(): streaming, until either side ends it or its reader is too slow
//                      └─ fault, late: ending: the error leaves, what still comes is discarded; then gone
struct HttpServer::Parts {
  enum class State : std::uint8_t { open, answering, closing, ending, streaming };

  struct Connection {
    std::unique_ptr<TcpStream> stream;
    wire::HttpRequestReader reader;
    Endpoint from, local;
    State state = State::open;
    wire::HttpFault fault = wire::HttpFault::none;
    bool stepping = false;          ///< step() runs for it
    bool head = false;              ///< the request under way is a HEAD
    bool keep_alive = true;         ///< the request under way asks for it
    Instant began{};                ///< when the request that is coming in did
    std::size_t got = 0;            ///< bytes of it
    Instant until{};                ///< something must happen before
    std::size_t queued = 0;         ///< when `until` was set: a reply that has not shrunk since then is stuck
    std::function<void()> on_gone;  ///< streaming
  };
  using Id = std::uint64_t;

  HttpServer& self;
  Loop& loop;
  Handler handler;
  HttpServerLimits limits;
  struct Listening {
    std::optional<TcpListener> listener;
    Endpoint at;
  };
  std::vector<std::unique_ptr<Listening>> listeners;
  std::unordered_map<Id, Connection> connections;  ///< bounded by limits.connections_max
  Id next_id = 1;
  std::size_t unfinished = 0;  ///< bytes of requests that are coming in
  bool stopping = false;
  std::function<void()> on_stopped;
  Duration sweep_period{};
  Instant last_sweep{};
  Timer sweep;
  Timer stopped;

  Parts(HttpServer& server, Loop& l, Handler h, HttpServerLimits lim)
      : self(server),
        loop(l),
        handler(std::move(h)),
        limits(lim),
        sweep_period(std::min<Duration>(1s, std::min(lim.request_within, lim.idle_within) / 4)),
        sweep(l, [this] { look_at_all(); }),
        stopped(l, [this] { std::exchange(on_stopped, {})(); }) {}

  void accept(Descriptor socket, const Endpoint& from, const Endpoint& at);
  bool make_room();
  void on_bytes(Id id, ByteView bytes);
  void step(Id id);
  bool answer_waiting(Id id);
  void reply(Id id, wire::HttpResponse response);
  void begin_stream(Id id, const wire::HttpResponse& head, std::function<void()> on_gone);
  bool write(Id id, Buffer bytes);
  void end_stream(Id id);
  void end(Connection& c, const wire::HttpResponse& response);
  void look_at_all();
  void expect_more(Connection& c);
  void drop(Id id);
  void stop(std::function<void()> done);
  void tell_stopped();

  Connection* find(Id id) {
    const auto at = connections.find(id);
    return at == connections.end() ? nullptr : &at->second;
  }
  void forget_got(Connection& c) { unfinished -= std::exchange(c.got, 0); }
};

/// `at` is what we listen at, be it one address or all of them.
void HttpServer::Parts::accept(Descriptor socket, const Endpoint& from, const Endpoint& at) {
  if (stopping || (connections.size() >= limits.connections_max && !make_room())) return;
  const Id id = next_id++;
  Connection& c = connections[id];
  c.stream = std::make_unique<TcpStream>(loop, std::move(socket),
                                         TcpStream::Events{.on_bytes = [this, id](ByteView b) { on_bytes(id, b); },
                                                           .on_end = [this, id](int) { drop(id); },
                                                           .on_drained = [this, id] { step(id); }});
  c.from = from;
  c.local = at.address.is_unspecified() ? c.stream->local() : at;
  c.reader.body_limit(body_bytes_max);
  c.until = loop.now() + limits.request_within;
  if (!sweep.running()) {
    last_sweep = loop.now();
    sweep.every(sweep_period);
  }
  c.stream->read_waiting();  // whoever connects has something to say, and often it has come with him
  if (Connection* still = find(id); still != nullptr && still->state == State::open) still->stream->read(true);
}

/// Rule 4: the one that has waited longest for a request goes.
bool HttpServer::Parts::make_room() {
  Id oldest = 0;
  Instant until = Instant::max();
  for (const auto& [id, c] : connections) {
    if (c.state != State::open || c.got != 0 || c.stream->queued() != 0 || c.until >= until) continue;
    oldest = id;
    until = c.until;
  }
  if (oldest != 0) drop(oldest);
  return oldest != 0;
}

void HttpServer::Parts::on_bytes(Id id, ByteView bytes) {
  Connection* c = find(id);
  if (c == nullptr || c->state != State::open) return;
  if (c->got == 0) c->began = loop.now();
  c->got += bytes.size();
  unfinished += bytes.size();
  c->fault = c->reader.on_received(bytes);
  if (c->reader.idle()) forget_got(*c);
  if (unfinished > limits.unfinished_bytes_max && c->got > bytes.size()) {
    end(*c, plain_response(503, "too many large requests at once; try again\n"));
    return;
  }
  step(id);
}

/// What can be done for this connection now. May drop it.
void HttpServer::Parts::step(Id id) {
  Connection* c = find(id);
  if (c == nullptr || c->stepping) return;  // replies given from inside the handler are dealt with by its caller
  c->stepping = true;
  const bool all = answer_waiting(id);
  c = find(id);
  if (c == nullptr) return;
  c->stepping = false;
  if (all && c->state == State::open && c->fault != wire::HttpFault::none) return end(*c, response_to(c->fault));
  const bool idle = c->state == State::open && c->reader.idle();
  if (c->stream->queued() == 0 && (c->state == State::closing || (stopping && idle))) return drop(id);
  if (c->state == State::ending) return;
  if (c->state == State::streaming) return expect_more(*c);
  c->stream->read(c->state == State::open && c->stream->queued() <= queued_bytes_max);
  expect_more(*c);
}

/// Hands the requests that are whole to the handler, one after the other. True when none is left.
bool HttpServer::Parts::answer_waiting(Id id) {
  for (Connection* c = find(id); c != nullptr; c = find(id)) {
    if (c->state != State::open || c->stream->queued() > queued_bytes_max) return false;
    auto request = c->reader.next();
    if (!request) return true;
    c->state = State::answering;
    c->head = request->method == "HEAD";
    c->keep_alive = request->keep_alive;
    c->began = loop.now();  // of the next one, which may be coming in already
    forget_got(*c);
    handler(*request, c->from, c->local, HttpReply(&self, id));
  }
  return false;
}

void HttpServer::Parts::reply(Id id, wire::HttpResponse response) {
  Connection* c = find(id);
  if (c == nullptr || c->state != State::answering) return;
  response.keep_alive = response.keep_alive && c->keep_alive && !stopping;
  c->state = response.keep_alive ? State::open : State::closing;
  Buffer out;
  wire::append_http(out, response, c->head);
  c->stream->write(std::move(out));
  step(id);
}

void HttpServer::Parts::begin_stream(Id id, const wire::HttpResponse& head, std::function<void()> on_gone) {
  Connection* c = find(id);
  if (c == nullptr || c->state != State::answering) return;
  c->state = State::streaming;
  c->on_gone = std::move(on_gone);
  Buffer out;
  wire::append_endless_http(out, head);
  c->stream->write(std::move(out));
  c->stream->read(true);  // what comes is discarded; that the other side left is told in no other way
  expect_more(*c);
}

/// Rule 6.
bool HttpServer::Parts::write(Id id, Buffer bytes) {
  Connection* c = find(id);
  if (c == nullptr) return false;
  const auto queued = c->stream->queued();
  if (queued != 0 && queued + bytes.size() > stream_queued_bytes_max) return end_stream(id), false;
  c->stream->write(std::move(bytes));
  if (queued == 0) expect_more(*c);
  return true;
}

void HttpServer::Parts::end_stream(Id id) {
  Connection* c = find(id);
  if (c == nullptr) return;
  c->on_gone = nullptr;
  drop(id);
}

/// Closing at once, with bytes unread, would reset the connection and take our reply from the other side.
void HttpServer::Parts::end(Connection& c, const wire::HttpResponse& response) {
  forget_got(c);
  Buffer out;
  wire::append_http(out, response);
  c.stream->write(std::move(out));
  c.stream->end();
  c.stream->read(true);
  c.state = State::ending;
  c.until = loop.now() + discard_within;
}

void HttpServer::Parts::expect_more(Connection& c) {
  c.queued = c.stream->queued();
  if (c.state == State::answering || (c.state == State::streaming && c.queued == 0)) {
    c.until = Instant::max();
  } else if (c.queued != 0 || c.reader.idle()) {
    c.until = loop.now() + limits.idle_within;
  } else {
    c.until = c.began + limits.request_within + c.got / 32 * (1'000'000'000ns / 1024);
  }
}

void HttpServer::Parts::look_at_all() {
  const Instant now = loop.now();
  // When we did not run ourselves (a suspended machine, no processor to be had), what they sent may wait to be read.
  if (now - std::exchange(last_sweep, now) > 2 * sweep_period) return;
  std::vector<Id> late;
  for (const auto& [id, c] : connections) {
    if (now >= c.until) late.push_back(id);
  }
  for (const Id id : late) {
    Connection* c = find(id);
    if (c == nullptr) continue;
    const std::size_t queued = c->stream->queued();
    if (queued != 0 && queued < c->queued) {
      expect_more(*c);
    } else if (queued == 0 && c->state == State::open && !c->reader.idle()) {
      end(*c, plain_response(408, "the request did not come in time\n"));
    } else {
      drop(id);
    }
  }
}

void HttpServer::Parts::drop(Id id) {
  std::function<void()> on_gone;
  if (Connection* c = find(id)) {
    forget_got(*c);
    on_gone = std::move(c->on_gone);
  }
  connections.erase(id);
  if (connections.empty()) sweep.stop();
  if (on_gone) on_gone();
  tell_stopped();
}

void HttpServer::Parts::stop(std::function<void()> done) {
  stopping = true;
  on_stopped = std::move(done);
  listeners.clear();
  std::vector<Id> unneeded;
  for (const auto& [id, c] : connections) {
    const bool has_left = c.state != State::answering && c.stream->queued() == 0;
    if (has_left || c.state == State::streaming) unneeded.push_back(id);
  }
  for (const Id id : unneeded) drop(id);
  tell_stopped();
}

void HttpServer::Parts::tell_stopped() {
  if (stopping && connections.empty() && on_stopped) stopped.start({});
}

HttpServer::HttpServer(Loop& loop, Handler handler, HttpServerLimits limits)
    : parts_(std::make_unique<Parts>(*this, loop, std::move(handler), limits)) {}
HttpServer::~HttpServer() = default;

Result<Endpoint> HttpServer::listen(const Endpoint& at) {
  auto one = std::make_unique<Parts::Listening>();
  one->listener.emplace(
      parts_->loop,
      [parts = parts_.get(), one = one.get()](Descriptor socket, const Endpoint& from) {
        parts->accept(std::move(socket), from, one->at);
      },
      TcpListener::First::visitor);
  auto bound = one->listener->listen(at);
  if (!bound) return bound;
  one->at = *bound;
  parts_->listeners.push_back(std::move(one));
  return bound;
}

void HttpServer::stop(std::function<void()> done) { parts_->stop(std::move(done)); }
std::size_t HttpServer::connections() const { return parts_->connections.size(); }

HttpReply::HttpReply(HttpReply&& other) noexcept
    : server_(std::exchange(other.server_, nullptr)), connection_(other.connection_) {}

HttpReply& HttpReply::operator=(HttpReply&& other) noexcept {
  std::swap(server_, other.server_);
  std::swap(connection_, other.connection_);
  return *this;
}

HttpReply::~HttpReply() {
  if (server_ != nullptr) send(plain_response(500, "no answer\n"));
}

void HttpReply::send(wire::HttpResponse response) {
  if (HttpServer* server = std::exchange(server_, nullptr)) server->parts_->reply(connection_, std::move(response));
}

HttpStream HttpReply::stream(const wire::HttpResponse& head, std::function<void()> on_gone) {
  HttpServer* server = std::exchange(server_, nullptr);
  if (server != nullptr) server->parts_->begin_stream(connection_, head, std::move(on_gone));
  return {server, connection_};
}

HttpStream::HttpStream(HttpStream&& other) noexcept
    : server_(std::exchange(other.server_, nullptr)), connection_(other.connection_) {}

HttpStream& HttpStream::operator=(HttpStream&& other) noexcept {
  std::swap(server_, other.server_);
  std::swap(connection_, other.connection_);
  return *this;
}

HttpStream::~HttpStream() {
  if (server_ != nullptr) server_->parts_->end_stream(connection_);
}

bool HttpStream::write(Buffer bytes) {
  return server_ != nullptr && server_->parts_->write(connection_, std::move(bytes));
}

}  // namespace swarm::uv
