#include "uv/http_client.hh"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.hh"
#include "uv/resolver.hh"
#include "uv/tcp.hh"
#include "uv/timer.hh"
#include "uv/tls.hh"
#include "uv/workers.hh"

namespace swarm::uv {

namespace {

constexpr std::size_t calls_max = 256;
constexpr std::size_t idle_max = 15;
constexpr Duration idle_within = 25s;  ///< servers, ours too, end idle connections after 30 s
constexpr Duration attempt_within = 3s;
constexpr int redirects_max = 5;

/// "nas:6969", as a person would say it.
std::string place(const wire::Url& url) {
  return printable(url.host.find(':') == std::string::npos ? fmt::format("{}:{}", url.host, url.port)
                                                           : fmt::format("[{}]:{}", url.host, url.port));
}

Error unreachable(std::string code, std::string message, std::string hint = {}) {
  return {Exit::unreachable, std::move(code), std::move(message), std::move(hint)};
}

Error cannot_connect(const wire::Url& url, int status) {
  if (status == UV_ECONNREFUSED) {
    return unreachable("connection_refused", fmt::format("nothing listens on {} (connection refused)", place(url)));
  }
  if (status == UV_ETIMEDOUT) {
    return unreachable("timeout", fmt::format("{} does not answer (timeout)", place(url)),
                       "Is the machine on, and its port open?");
  }
  return unreachable("cannot_connect", fmt::format("cannot reach {} ({})", place(url), uv_strerror(status)));
}

std::string origin(const wire::Url& url) { return fmt::format("{}://{}", url.scheme, url.authority()); }

bool is_redirect(const wire::HttpResponse& r) {
  return (r.status == 301 || r.status == 302 || r.status == 303 || r.status == 307 || r.status == 308) &&
         r.headers.find("location").has_value();
}

/// RFC 3986, 5.2, as far as redirects use it.
std::string resolved(const wire::Url& base, std::string_view location) {
  if (location.find("://") != location.npos) return std::string(location);
  const auto root = fmt::format("{}://{}", base.scheme, base.authority());
  if (location.starts_with("//")) return fmt::format("{}:{}", base.scheme, location);
  if (location.starts_with("/")) return fmt::format("{}{}", root, location);
  const auto path = std::string_view(base.target).substr(0, base.target.find('?'));
  return fmt::format("{}{}{}", root, path.substr(0, path.rfind('/') + 1), location);
}

}  // namespace

//   begin ──► resolving ──► connecting ──► (TLS) ──► exchanging ──► done
//     ▲  └── an idle connection ───────────────────────▲   │
//     └────────────────── redirect ────────────────────────┘
struct HttpClient::Parts {
  using LineId = std::uint64_t;

  /// A connection, for one request after the other.
  struct Line {
    std::unique_ptr<TcpStream> plain;  ///< one of the two
    std::unique_ptr<TlsStream> secure;
    std::string origin;          ///< scheme and authority
    std::optional<CallId> call;  ///< whose request it carries; nothing while idle
    Instant idle_since{};

    void read(bool wanted) { plain ? plain->read(wanted) : secure->read(wanted); }
    void write(Buffer bytes) { plain ? plain->write(std::move(bytes)) : secure->write(std::move(bytes)); }
  };

  struct Call {
    HttpAsk ask;
    Done done;
    wire::Url url;
    Instant deadline{};
    int redirects = 0;
    bool retried = false;
    bool from_public = false;     ///< an earlier stop of its redirects had a public address
    std::optional<Error> failed;  ///< told when the timer comes

    std::unique_ptr<Lookup> lookup;
    std::vector<IpAddress> addresses;
    std::size_t next_address = 0;
    int refused = 0;  ///< the error that says most about why no address could be connected to
    std::unique_ptr<TcpConnect> attempt;
    std::optional<LineId> line;
    std::optional<wire::HttpResponseReader> reader;
    bool reused = false, replying = false;
    bool shaking = false;      ///< the line is not yet secure
    bool needs_trust = false;  ///< waits for the certificates of authorities
    bool streams = false;      ///< on_head was called
    bool paused = false;
    std::unique_ptr<Timer> timer;  ///< the deadline, or an attempt's
  };

  Loop& loop;
  Interface interface;
  std::map<CallId, Call> calls;  ///< at most calls_max
  std::map<LineId, Line> lines;  ///< one per call at most, and idle_max idle ones
  std::uint64_t next_id = 1;
  std::shared_ptr<const TrustStore> trust;
  bool loading_trust = false;
  Workers workers;  ///< last, hence destroyed first; one job at most

  Parts(Loop& l, Interface i) : loop(l), interface(std::move(i)), workers(l) {}

  static bool will_redirect(const Call& call, const wire::HttpResponse& reply) {
    const auto& method = call.ask.request.method;
    return (method == "GET" || method == "HEAD") && is_redirect(reply);
  }

  Call* find(CallId id) {
    const auto at = calls.find(id);
    return at == calls.end() ? nullptr : &at->second;
  }

  void begin(CallId id, Call& call);
  void resolve(CallId id, Call& call);
  void connect_next(CallId id, Call& call);
  void on_attempt(CallId id, int error, Descriptor socket);
  void load_trust();
  void exchange(CallId id, Call& call, LineId line);
  void send(CallId id, Call& call);
  void on_bytes(LineId line, ByteView bytes);
  bool stream(CallId id);
  void on_ready(LineId line);
  void on_tls_end(LineId line, Result<void> how);
  void on_end(LineId line, int error);
  void on_reply(CallId id, Call& call, wire::HttpResponse reply);
  void redirect(CallId id, Call& call, const wire::HttpResponse& reply);
  void on_time(CallId id);
  void arm(Call& call, std::optional<Duration> sooner = {});
  void release(Call& call, bool keep);
  void fail_later(Call& call, Error error);
  void finish(CallId id, Result<wire::HttpResponse> result);
  LineId open_line(Descriptor socket, const wire::Url& url);
  std::optional<LineId> idle_line(const std::string& origin);
};

void HttpClient::Parts::begin(CallId id, Call& call) {
  if (call.url.scheme == "udp") {
    return fail_later(call, unreachable("not_http", fmt::format("{} is not an http:// or https:// address",
                                                                printable(call.url.text()))));
  }
  if (const auto line = idle_line(origin(call.url))) {
    call.reused = true;
    return exchange(id, call, *line);
  }
  if (call.url.scheme == "https" && !trust) {
    call.needs_trust = true;
    return load_trust();
  }
  resolve(id, call);
}

/// Once; when there are none, the next request looks again.
void HttpClient::Parts::load_trust() {
  if (std::exchange(loading_trust, true)) return;
  workers.run([places = TrustPlaces::of_environment()] { return TrustStore::load(places); },
              [this](Result<std::shared_ptr<const TrustStore>> loaded) {
                loading_trust = false;
                if (loaded) trust = std::move(*loaded);
                std::vector<CallId> waited;
                for (auto& [id, call] : calls) {
                  if (std::exchange(call.needs_trust, false)) waited.push_back(id);
                }
                for (const CallId id : waited) {
                  Call* const call = find(id);
                  if (call == nullptr) continue;
                  trust ? resolve(id, *call) : finish(id, tl::unexpected(loaded.error()));
                }
              });
}

void HttpClient::Parts::resolve(CallId id, Call& call) {
  call.reused = false;
  call.addresses.clear();
  call.next_address = 0;
  call.refused = 0;
  call.lookup = std::make_unique<Lookup>(loop, call.url.host, [this, id](Result<std::vector<IpAddress>> found) {
    Call* c = find(id);
    if (c == nullptr) return;
    if (!found) return finish(id, tl::unexpected(std::move(found.error())));
    std::erase_if(*found, [&](const IpAddress& a) {
      return (interface && interface->is_v4() != a.is_v4()) || (c->from_public && is_private(a));
    });
    if (found->empty()) {
      return finish(id, tl::unexpected(unreachable(
                            "redirect_refused", fmt::format("no address of {} may be used from here", place(c->url)))));
    }
    c->addresses = std::move(*found);
    connect_next(id, *c);
  });
}

void HttpClient::Parts::connect_next(CallId id, Call& call) {
  if (call.next_address == call.addresses.size()) {
    return finish(id, tl::unexpected(cannot_connect(call.url, call.refused)));
  }
  const Endpoint to{call.addresses[call.next_address++], call.url.port};
  call.attempt = std::make_unique<TcpConnect>(
      loop, to, interface, [this, id](int error, Descriptor socket) { on_attempt(id, error, std::move(socket)); });
  arm(call, attempt_within);
}

void HttpClient::Parts::on_attempt(CallId id, int error, Descriptor socket) {
  Call* call = find(id);
  if (call == nullptr) return;
  call->attempt.reset();
  if (error != 0) {
    if (call->refused != UV_ECONNREFUSED) call->refused = error;
    return connect_next(id, *call);
  }
  if (!is_private(call->addresses[call->next_address - 1])) call->from_public = true;
  exchange(id, *call, open_line(std::move(socket), call->url));
}

void HttpClient::Parts::exchange(CallId id, Call& call, LineId line_id) {
  Line& line = lines.at(line_id);
  line.call = id;
  call.line = line_id;
  call.shaking = line.secure != nullptr && !call.reused;
  arm(call);
  if (!call.shaking) send(id, call);
}

void HttpClient::Parts::send(CallId, Call& call) {
  Line& line = lines.at(*call.line);
  call.replying = false;
  call.streams = false;
  call.reader.emplace(wire::HttpLimits{.body_bytes_max = call.ask.body_bytes_max});
  if (call.ask.on_body) call.reader->stream();
  if (call.ask.request.method == "HEAD") call.reader->expect_no_body();
  call.ask.request.target = call.url.target;
  Buffer out;
  wire::append_http(out, call.ask.request, call.url.authority());
  line.read(!call.paused);
  line.write(std::move(out));
}

HttpClient::Parts::LineId HttpClient::Parts::open_line(Descriptor socket, const wire::Url& url) {
  const LineId id = next_id++;
  Line& line = lines[id];
  line.origin = origin(url);
  if (url.scheme == "https") {
    line.secure =
        std::make_unique<TlsStream>(loop, std::move(socket), trust, url.host, place(url),
                                    TlsStream::Events{.on_ready = [this, id] { on_ready(id); },
                                                      .on_bytes = [this, id](ByteView b) { on_bytes(id, b); },
                                                      .on_end = [this, id](Result<void> how) { on_tls_end(id, how); }});
    return id;
  }
  line.plain = std::make_unique<TcpStream>(loop, std::move(socket),
                                           TcpStream::Events{.on_bytes = [this, id](ByteView b) { on_bytes(id, b); },
                                                             .on_end = [this, id](int error) { on_end(id, error); },
                                                             .on_drained = [] {}});
  line.read(true);
  return id;
}

void HttpClient::Parts::on_ready(LineId line_id) {
  const CallId id = *lines.at(line_id).call;
  Call& call = calls.at(id);
  call.shaking = false;
  send(id, call);
}

void HttpClient::Parts::on_tls_end(LineId line_id, Result<void> how) {
  const auto at = lines.find(line_id);
  if (at == lines.end()) return;
  const auto id = at->second.call;
  if (id && calls.at(*id).shaking) return finish(*id, tl::unexpected(std::move(how.error())));
  on_end(line_id, how ? 0 : UV_ECONNRESET);
}

std::optional<HttpClient::Parts::LineId> HttpClient::Parts::idle_line(const std::string& origin) {
  for (auto at = lines.begin(); at != lines.end();) {
    const auto& [id, line] = *at;
    if (!line.call && loop.now() - line.idle_since > idle_within) {
      at = lines.erase(at);
    } else if (!line.call && line.origin == origin) {
      return id;
    } else {
      ++at;
    }
  }
  return std::nullopt;
}

void HttpClient::Parts::on_bytes(LineId line_id, ByteView bytes) {
  const auto at = lines.find(line_id);
  if (at == lines.end()) return;
  if (!at->second.call) {  // nobody asked
    lines.erase(at);
    return;
  }
  const CallId id = *at->second.call;
  Call& call = calls.at(id);
  call.replying = true;
  const auto fault = call.reader->on_received(bytes);
  if (call.ask.on_body && !stream(id)) return;
  if (auto reply = call.reader->next()) return on_reply(id, call, std::move(*reply));
  if (fault == wire::HttpFault::none) return;
  finish(id,
         tl::unexpected(unreachable("bad_reply", fault == wire::HttpFault::body_too_large
                                                     ? fmt::format("the reply of {} is longer than {}", place(call.url),
                                                                   size_text(call.ask.body_bytes_max))
                                                     : fmt::format("what {} sends is not HTTP", place(call.url)))));
}

/// Hands on what came of a streamed reply; false when that has ended the call.
bool HttpClient::Parts::stream(CallId id) {
  Call* call = find(id);
  const auto* head = call->reader->head();
  if (head == nullptr || will_redirect(*call, *head)) return true;
  if (!std::exchange(call->streams, true) && call->ask.on_head) {
    const auto on_head = call->ask.on_head;  // copies, since they may end the call and all that is its own
    on_head(wire::HttpResponse(*head));
    call = find(id);
    if (call == nullptr) return false;
  }
  const auto on_body = call->ask.on_body;
  const auto parts = std::vector(call->reader->body_parts().begin(), call->reader->body_parts().end());
  for (const ByteView part : parts) {
    on_body(part);
    if (find(id) == nullptr) return false;
  }
  if (!call->paused) arm(*call);
  return true;
}

void HttpClient::Parts::on_end(LineId line_id, int error) {
  const auto at = lines.find(line_id);
  if (at == lines.end()) return;
  const auto id = at->second.call;
  if (!id) {
    lines.erase(at);
    return;
  }
  Call& call = calls.at(*id);
  if (call.reused && !call.replying && !call.retried) {  // it ended while the request was on its way: rule 2
    call.retried = true;
    release(call, false);
    return resolve(*id, call);
  }
  if (error == 0 && call.reader->on_end() == wire::HttpFault::none) {
    if (auto reply = call.reader->next()) return on_reply(*id, call, std::move(*reply));
  }
  finish(*id, tl::unexpected(unreachable(
                  "bad_reply", fmt::format("{} hung up {}", place(call.url),
                                           call.replying ? "in the middle of its reply" : "without a reply"))));
}

void HttpClient::Parts::on_reply(CallId id, Call& call, wire::HttpResponse reply) {
  // Without bytes of what would be a next reply, the connection can be used again.
  release(call, reply.keep_alive && call.ask.request.keep_alive && call.reader->idle() && !call.reader->next());
  if (will_redirect(call, reply)) return redirect(id, call, reply);
  finish(id, std::move(reply));
}

void HttpClient::Parts::redirect(CallId id, Call& call, const wire::HttpResponse& reply) {
  const auto refuse = [&](const std::string& why) {
    finish(id, tl::unexpected(unreachable("redirect_refused", fmt::format("{} redirects {}", place(call.url), why))));
  };
  if (++call.redirects > redirects_max) return refuse("in a circle");
  const auto to = resolved(call.url, *reply.headers.find("location"));
  auto url = wire::parse_url(to);
  if (!url || url->scheme == "udp") return refuse(fmt::format("to {}, which is not http", fit(printable(to), 200)));
  if (call.url.scheme == "https" && url->scheme != "https") {
    return refuse(fmt::format("from https to {}, which anybody can read", fit(printable(to), 200)));
  }
  call.url = std::move(*url);
  begin(id, call);
}

/// The deadline, unless something `sooner` comes first.
void HttpClient::Parts::arm(Call& call, std::optional<Duration> sooner) {
  if (call.streams) return call.timer->start(call.ask.stall_within);
  const Duration left = call.deadline - loop.now();
  call.timer->start(sooner ? std::min(left, *sooner) : left);
}

void HttpClient::Parts::on_time(CallId id) {
  Call& call = calls.at(id);
  if (call.failed) return finish(id, tl::unexpected(std::move(*call.failed)));
  if (call.attempt && loop.now() < call.deadline) return on_attempt(id, UV_ETIMEDOUT, {});
  if (call.attempt) return finish(id, tl::unexpected(cannot_connect(call.url, UV_ETIMEDOUT)));
  if (call.streams) {
    return finish(id, tl::unexpected(unreachable("stalled", fmt::format("{} sent nothing for {} s", place(call.url),
                                                                        seconds(call.ask.stall_within)))));
  }
  finish(id, tl::unexpected(unreachable(
                 "timeout", call.line ? fmt::format("{} did not reply within {} s", place(call.url),
                                                    std::max(1.0, seconds(call.ask.deadline)))
                                      : fmt::format("cannot find host {} (timeout)", printable(call.url.host)))));
}

/// Lets go of the call's connection.
void HttpClient::Parts::release(Call& call, bool keep) {
  if (!call.line) return;
  const LineId id = *std::exchange(call.line, std::nullopt);
  Line& line = lines.at(id);
  std::size_t idle = 0;
  for (const auto& [other_id, other] : lines) {
    if (other.call) continue;
    ++idle;
    if (other.origin == line.origin) keep = false;
  }
  if (!keep || idle >= idle_max) {
    lines.erase(id);
    return;
  }
  line.call.reset();
  line.idle_since = loop.now();
}

void HttpClient::Parts::fail_later(Call& call, Error error) {
  call.failed = std::move(error);
  call.timer->start({});
}

void HttpClient::Parts::finish(CallId id, Result<wire::HttpResponse> result) {
  const auto call = calls.extract(id);
  release(call.mapped(), false);
  call.mapped().done(std::move(result));
}

HttpClient::HttpClient(Loop& loop, Interface interface) : parts_(std::make_unique<Parts>(loop, std::move(interface))) {}
HttpClient::~HttpClient() = default;

HttpClient::CallId HttpClient::ask(HttpAsk ask, Done done) {
  const CallId id{parts_->next_id++};
  const bool full = parts_->calls.size() >= calls_max;
  auto& call = parts_->calls[id];
  call.ask = std::move(ask);
  call.done = std::move(done);
  call.deadline = parts_->loop.now() + call.ask.deadline;
  call.timer = std::make_unique<Timer>(parts_->loop, [parts = parts_.get(), id] { parts->on_time(id); });
  auto url = wire::parse_url(call.ask.url);
  if (!url) {
    parts_->fail_later(
        call, {Exit::usage, "bad_url", fmt::format("'{}' is not a URL", fit(printable(call.ask.url), 200)), ""});
  } else if (full) {
    parts_->fail_later(call, unreachable("too_many_requests", "too many requests at once"));
  } else {
    call.url = std::move(*url);
    if (call.ask.request.target != "/") call.url.target = call.ask.request.target;
    parts_->arm(call);
    parts_->begin(id, call);
  }
  return id;
}

void HttpClient::cancel(CallId id) {
  if (auto* call = parts_->find(id)) {
    parts_->release(*call, false);
    parts_->calls.erase(id);
  }
}

void HttpClient::read(CallId id, bool wanted) {
  auto* call = parts_->find(id);
  if (call == nullptr || std::exchange(call->paused, !wanted) == !wanted) return;
  if (call->line && call->reader) parts_->lines.at(*call->line).read(wanted);
  if (call->streams) wanted ? parts_->arm(*call) : call->timer->stop();
}

std::size_t HttpClient::under_way() const { return parts_->calls.size(); }

}  // namespace swarm::uv
