#include <map>
#include <vector>

#include "support.hh"
#include "uv/http_client.hh"
#include "uv/http_server.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

wire::HttpResponse text_response(std::string_view text) {
  wire::HttpResponse response;
  response.headers.set("Content-Type", "text/plain");
  response.body = to_buffer(text);
  return response;
}

/// A server that answers with the request's method, target and body length, and keeps what it was asked.
struct Server {
  Loop& loop;
  std::vector<std::string> asked;
  std::vector<HttpReply> held;  ///< replies to /later
  HttpServer http;
  Endpoint at;

  std::vector<HttpStream> streams;  ///< replies to /stream; they must not outlive the server
  std::size_t gone = 0;             ///< of those

  explicit Server(Loop& l, HttpServerLimits limits = {})
      : loop(l),
        http(
            l,
            [this](wire::HttpRequest& request, const Endpoint& from, const Endpoint& local, HttpReply reply) {
              asked.push_back(request.method + " " + request.target + " " + std::to_string(request.body.size()));
              CHECK(from.address.is_loopback());
              CHECK(local == at);
              if (request.path() == "/later") {
                held.push_back(std::move(reply));
              } else if (request.path() == "/stream") {
                wire::HttpResponse head;
                head.headers.set("Content-Type", "text/event-stream");
                streams.push_back(reply.stream(head, [this] { ++gone; }));
              } else if (request.path() == "/forgotten") {
                // dropped unanswered
              } else if (request.path() == "/large") {
                wire::HttpResponse response;
                response.body.assign(8u << 20, 'x');
                reply.send(std::move(response));
              } else if (request.path() == "/to") {
                wire::HttpResponse response;
                response.status = 302;
                response.headers.set("Location", std::string(request.query()));
                reply.send(std::move(response));
              } else {
                reply.send(text_response(asked.back()));
              }
            },
            limits) {
    auto bound = http.listen(loopback_any_port);
    REQUIRE(bound);
    at = *bound;
  }
  std::string url(const std::string& target = "/") const { return "http://" + at.text() + target; }
};

/// What a scripted server says to each connection: raw bytes, then it ends (or not).
struct Script {
  std::vector<std::unique_ptr<TcpStream>> streams;
  std::size_t requests = 0;
  TcpListener listener;
  Endpoint at;

  Script(Loop& loop, const std::string& say, bool end)
      : listener(loop, [this, &loop, say, end](Descriptor socket, const Endpoint&) {
          const auto i = streams.size();
          streams.push_back(std::make_unique<TcpStream>(loop, std::move(socket),
                                                        TcpStream::Events{.on_bytes =
                                                                              [this, i, say, end](ByteView) {
                                                                                ++requests;
                                                                                streams[i]->write(to_buffer(say));
                                                                                if (end) streams[i]->end();
                                                                              },
                                                                          .on_end = [](int) {},
                                                                          .on_drained = [] {}}));
          streams.back()->read(true);
        }) {
    at = *listener.listen(loopback_any_port);
  }
  std::string url() const { return "http://" + at.text() + "/"; }
};

using Reply = Result<wire::HttpResponse>;

Reply ask(Loop& loop, HttpClient& client, HttpAsk what) {
  std::optional<Reply> reply;
  client.ask(std::move(what), [&](Reply r) { reply = std::move(r); });
  CHECK_FALSE(reply);  // never from inside ask()
  REQUIRE(run_until(loop, [&] { return reply.has_value(); }));
  return std::move(*reply);
}
Reply get(Loop& loop, HttpClient& client, const std::string& url) {
  return ask(loop, client, {.url = url, .request = {}});
}

std::string body(const Reply& reply) { return reply ? std::string(as_text(reply->body)) : reply.error().message; }

HttpServerLimits short_limits() {
  HttpServerLimits limits;
  limits.request_within = 60ms;
  limits.idle_within = 120ms;
  return limits;
}

}  // namespace

TEST_CASE("a request and its reply; the second one on the same connection") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  CHECK(body(get(*loop, client, server.url("/a?b=c"))) == "GET /a?b=c 0");
  for (int i = 0; i < 10; ++i) {
    HttpAsk beat{.url = "http://" + server.at.text(), .request = {}};
    beat.request.method = "POST";
    beat.request.target = "/api/v1/announce";
    beat.request.body.assign(1000, '{');
    CHECK(body(ask(*loop, client, std::move(beat))) == "POST /api/v1/announce 1000");
  }
  CHECK(server.http.connections() == 1);
  CHECK(client.under_way() == 0);
}

TEST_CASE("many requests at once") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  std::size_t right = 0, refused = 0;
  for (int i = 0; i < 300; ++i) {
    const auto target = "/" + std::to_string(i);
    client.ask({.url = server.url(target), .request = {}}, [&, target](const Reply& reply) {
      right += body(reply) == "GET " + target + " 0";
      refused += !reply && reply.error().code == "too_many_requests";
    });
  }
  CHECK(run_until(*loop, [&] { return client.under_way() == 0; }));
  CHECK(right == 256);
  CHECK(refused == 44);
}

TEST_CASE("a reply may come later, or never") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  std::optional<Reply> reply;
  client.ask({.url = server.url("/later"), .request = {}}, [&](Reply r) { reply = std::move(r); });
  REQUIRE(run_until(*loop, [&] { return server.held.size() == 1; }));
  CHECK_FALSE(reply);
  server.held[0].send(text_response("now"));
  REQUIRE(run_until(*loop, [&] { return reply.has_value(); }));
  CHECK(body(*reply) == "now");
  CHECK(get(*loop, client, server.url("/forgotten"))->status == 500);

  // The asker may have gone: the answer goes nowhere.
  const auto call = client.ask({.url = server.url("/later"), .request = {}}, [&](const Reply&) { CHECK(false); });
  REQUIRE(run_until(*loop, [&] { return server.held.size() == 2; }));
  client.cancel(call);
  server.held[1].send(text_response("too late"));
  CHECK(run_until(*loop, [&] { return server.http.connections() <= 1; }));
}

TEST_CASE("a large reply arrives whole, at the pace of its reader") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  const auto reply =
      ask(*loop, client, {.url = server.url("/large"), .request = {}, .body_bytes_max = torrent_bytes_max});
  REQUIRE(reply);
  CHECK(reply->body.size() == 8u << 20);
  const auto capped = get(*loop, client, server.url("/large"));
  REQUIRE_FALSE(capped);
  CHECK(capped.error().message.find("longer than 1.0 MiB") != std::string::npos);
}

TEST_CASE("redirects are followed, but not for ever, nor anywhere") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  CHECK(body(get(*loop, client, server.url("/to?/there"))) == "GET /there 0");
  CHECK(body(get(*loop, client, server.url("/to?" + server.url("/whole")))) == "GET /whole 0");
  CHECK(body(get(*loop, client, server.url("/to?relative"))) == "GET /relative 0");
  std::string deep = "/end";
  for (int i = 0; i < 5; ++i) deep = "/to?" + deep;
  CHECK(body(get(*loop, client, server.url(deep))) == "GET /end 0");
  CHECK(get(*loop, client, server.url("/to?" + deep)).error().code == "redirect_refused");
  for (const auto* elsewhere : {"file:///etc/passwd", "ftp://127.0.0.1/", "udp://127.0.0.1:1/"}) {
    const auto reply = get(*loop, client, server.url(std::string("/to?") + elsewhere));
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == "redirect_refused");
    CHECK(reply.error().exit == Exit::unreachable);
  }
  HttpAsk post{.url = server.url("/to?/there"), .request = {}};
  post.request.method = "POST";
  CHECK(ask(*loop, client, std::move(post))->status == 302);  // not ours to send elsewhere
}

TEST_CASE("what a person reads when a server is out of reach") {
  const auto loop = make_loop();
  HttpClient client(*loop);
  Endpoint nobody;
  {
    TcpListener gone(*loop, [](const Descriptor&, const Endpoint&) {});
    nobody = *gone.listen(loopback_any_port);
  }
  auto error = get(*loop, client, "http://" + nobody.text()).error();
  CHECK(error.exit == Exit::unreachable);
  CHECK(error.message == "nothing listens on " + nobody.text() + " (connection refused)");
  CHECK(error.hint.empty());  // what should listen there is the caller's matter
  error =
      get(*loop, client, "http://localhost:" + std::to_string(nobody.port)).error();  // each of its addresses is tried
  CHECK(error.message == "nothing listens on localhost:" + std::to_string(nobody.port) + " (connection refused)");
  error = get(*loop, client, "http://no-such-host.invalid/").error();
  CHECK(error.message.starts_with("cannot find host no-such-host.invalid"));
  CHECK(error.exit == Exit::unreachable);
  CHECK(get(*loop, client, "nonsense").error().exit == Exit::usage);
  CHECK(get(*loop, client, "udp://nas:6969/").error().code == "not_http");
}

TEST_CASE("servers that do not behave") {
  const auto loop = make_loop();
  HttpClient client(*loop);
  const auto from = [&](const std::string& say, bool end, Duration deadline = 15s) {
    const Script script(*loop, say, end);
    return ask(*loop, client, {.url = script.url(), .request = {}, .deadline = deadline});
  };
  CHECK(from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true).has_value());
  CHECK(body(from("HTTP/1.0 200 OK\r\n\r\nuntil the end", true)) == "until the end");
  CHECK(body(from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false)) == "ok");
  CHECK(from("", true).error().message.ends_with("hung up without a reply"));
  CHECK(from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", true)
            .error()
            .message.ends_with("in the middle of its reply"));
  CHECK(from("220 mail.example ESMTP\r\n", false).error().message.ends_with("is not HTTP"));
  CHECK(from("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", false).error().code == "bad_reply");
  CHECK(from("HTTP/1.1 200 OK\r\n" + std::string(100'000, 'a'), false).error().code == "bad_reply");
  const auto silent = from("", false, 100ms);
  CHECK(silent.error().code == "timeout");
  CHECK(silent.error().message.find("did not reply") != std::string::npos);
  CHECK(from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\no", false, 100ms).error().code == "timeout");
}

TEST_CASE("an endless reply is cut off at the limit") {
  const auto loop = make_loop();
  HttpClient client(*loop);
  const Script script(*loop, "HTTP/1.1 200 OK\r\n\r\n" + std::string(3u << 20, 'x'), false);
  CHECK(ask(*loop, client, {.url = script.url(), .request = {}}).error().message.find("longer than") !=
        std::string::npos);
}

TEST_CASE("a kept connection that turns out to be dead is replaced, once") {
  const auto loop = make_loop();
  HttpClient client(*loop);
  auto script = std::make_unique<Script>(*loop, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);
  REQUIRE(get(*loop, client, script->url()));
  REQUIRE(get(*loop, client, script->url()));
  CHECK(script->streams.size() == 1);
  // It ends while the next request is on its way.
  std::optional<Reply> reply;
  script->streams[0].reset();
  client.ask({.url = script->url(), .request = {}}, [&](Reply r) { reply = std::move(r); });
  REQUIRE(run_until(*loop, [&] { return reply.has_value(); }));
  CHECK(body(*reply) == "ok");
  CHECK(script->streams.size() == 2);
}

TEST_CASE("a client that goes away takes its requests with it") {
  const auto loop = make_loop();
  Server server(*loop);
  {
    HttpClient client(*loop);
    for (const auto* target : {"/a", "/later"}) {
      client.ask({.url = server.url(target), .request = {}}, [](const Reply&) { CHECK(false); });
    }
    client.ask({.url = "http://localhost:1/", .request = {}}, [](const Reply&) { CHECK(false); });
    client.ask({.url = "nonsense", .request = {}}, [](const Reply&) { CHECK(false); });
  }
  bool over = false;
  Timer end(*loop, [&] { over = true; });
  end.start(30ms);
  CHECK(run_until(*loop, [&] { return over; }));
}

// ── the server against raw bytes ─────────────────────────────────────────────────────────────────────────────────────

TEST_CASE("pipelined requests are answered in their order, also those that come later") {
  const auto loop = make_loop();
  Server server(*loop);
  RawClient raw(*loop, server.at);
  raw.say(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\nGET "
      "/4 HT");
  REQUIRE(run_until(*loop, [&] { return server.held.size() == 1; }));
  CHECK(server.asked.size() == 2);
  server.held[0].send(text_response("at last"));
  raw.say("TP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(raw.wait_for("GET /4 0"));
  CHECK(raw.heard.find("GET /1 0") < raw.heard.find("at last"));
  CHECK(raw.heard.find("at last") < raw.heard.find("GET /3 0"));
  CHECK(count(raw.heard, "HTTP/1.1 200 OK") == 4);
  CHECK_FALSE(raw.ended);
}

TEST_CASE("whoever does not take the replies is not read any more") {
  const auto loop = make_loop();
  Server server(*loop);
  std::unique_ptr<TcpStream> greedy;
  const TcpConnect connect(*loop, server.at, {}, [&](int, Descriptor socket) {
    greedy = std::make_unique<TcpStream>(
        *loop, std::move(socket),
        TcpStream::Events{.on_bytes = [](ByteView) {}, .on_end = [](int) {}, .on_drained = [] {}});
  });
  REQUIRE(run_until(*loop, [&] { return greedy != nullptr; }));
  std::string requests;
  for (int i = 0; i < 10; ++i) requests += "GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
  greedy->write(to_buffer(requests));
  bool over = false;
  Timer end(*loop, [&] { over = true; });
  end.start(100ms);
  REQUIRE(run_until(*loop, [&] { return over; }));
  CHECK(server.asked.size() == 1);  // 8 MiB wait; the other requests do, too
  greedy->read(true);
  CHECK(run_until(*loop, [&] { return server.asked.size() == 10; }));
}

TEST_CASE("HTTP/1.0 ends after the reply, unless it asks to be kept") {
  const auto loop = make_loop();
  Server server(*loop);
  RawClient old(*loop, server.at);
  old.say("GET /announce HTTP/1.0\r\n\r\n");
  CHECK(old.wait_for_end());
  CHECK(count(old.heard, "GET /announce 0") == 1);
  RawClient kept(*loop, server.at);
  kept.say("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  REQUIRE(kept.wait_for("GET /1 0"));
  CHECK(count(kept.heard, "Connection: keep-alive") == 1);
  kept.say("GET /2 HTTP/1.0\r\n\r\n");
  CHECK(kept.wait_for_end());
  RawClient closing(*loop, server.at);
  closing.say("GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(closing.wait_for_end());
  CHECK(count(closing.heard, "HTTP/1.1 200") == 1);
}

TEST_CASE("HEAD has no body; a client that ends its side still gets the reply") {
  const auto loop = make_loop();
  Server server(*loop);
  RawClient raw(*loop, server.at);
  raw.say("HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(raw.wait_for_end());
  CHECK(raw.heard.find("Content-Length: 9\r\n") != std::string::npos);
  CHECK(raw.heard.ends_with("\r\n\r\n"));
}

TEST_CASE("malformed and oversized requests are told so and end the connection") {
  const auto loop = make_loop();
  Server server(*loop);
  const auto answer = [&](const std::string& request) {
    RawClient raw(*loop, server.at);
    raw.say(request);
    CHECK(raw.wait_for("\r\n\r\n"));
    CHECK(raw.heard.find("Connection: close") != std::string::npos);
    raw.end();
    CHECK(raw.wait_for_end());
    return raw.heard.substr(0, 12);
  };
  CHECK(answer("nonsense\r\n\r\n") == "HTTP/1.1 400");
  CHECK(answer(std::string("\x13"
                           "BitTorrent protocol") +
               std::string(48, '\0')) == "HTTP/1.1 400");
  CHECK(answer("GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n") == "HTTP/1.1 431");
  std::string flood = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 10'000; ++i) flood += "A: b\r\n";
  CHECK(answer(flood + "\r\n") == "HTTP/1.1 431");
  CHECK(answer("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n") == "HTTP/1.1 413");
  CHECK(answer("POST /api/v1/announce HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n") == "HTTP/1.1 413");
  CHECK(answer("PUT /api/v1/files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 33554433\r\n\r\n") == "HTTP/1.1 413");
  CHECK(answer("PUT /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n") == "HTTP/1.1 413");
  CHECK(answer("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n") ==
        "HTTP/1.1 400");
  CHECK(server.asked.empty());
}

TEST_CASE("bodies up to their limits are taken") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  const auto sent = [&](const std::string& method, const std::string& target, std::size_t bytes) {
    HttpAsk put{.url = server.url(target), .request = {}};
    put.request.method = method;
    put.request.body.assign(bytes, 'x');
    const auto reply = ask(*loop, client, std::move(put));
    return reply && reply->status == 200;
  };
  CHECK(sent("POST", "/x", 64u << 10));
  CHECK(sent("POST", "/api/v1/announce", 1u << 20));
  CHECK(sent("PUT", "/api/v1/files/x", 32u << 20));
}

TEST_CASE("slow senders are ended at the deadline: nothing, a part of the head, a byte at a time") {
  const auto loop = make_loop();
  Server server(*loop, short_limits());
  RawClient silent(*loop, server.at);
  RawClient half(*loop, server.at);
  half.say("GET / HTTP/1.1\r\nHost:");
  RawClient slow(*loop, server.at);
  Timer drip(*loop, [&] {
    if (!slow.ended) slow.say("a");
  });
  slow.say("GET /");
  drip.every(10ms);
  CHECK(silent.wait_for_end());
  CHECK(silent.heard.empty());
  CHECK(half.wait_for("HTTP/1.1 408"));
  CHECK(slow.wait_for("HTTP/1.1 408"));
  drip.stop();
  CHECK(server.asked.empty());
}

TEST_CASE("an idle connection is ended after its time, one that is used is not") {
  const auto loop = make_loop();
  Server server(*loop, short_limits());
  RawClient raw(*loop, server.at);
  for (int i = 1; i <= 5; ++i) {
    raw.say("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(raw.wait_for("GET /" + std::to_string(i) + " 0"));
    bool over = false;
    Timer pause(*loop, [&] { over = true; });
    pause.start(50ms);
    REQUIRE(run_until(*loop, [&] { return over; }));
    CHECK_FALSE(raw.ended);
  }
  CHECK(raw.wait_for_end());
  CHECK(server.http.connections() == 0);
}

TEST_CASE("a visitor that thinks before it speaks, and speaks in parts, is answered") {
  const auto loop = make_loop();
  Server server(*loop);
  RawClient silent(*loop, server.at);
  std::vector<std::unique_ptr<RawClient>> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(std::make_unique<RawClient>(*loop, server.at));
    others.back()->say("GET /part");
  }
  REQUIRE(run_until(*loop, [&] { return server.http.connections() == 3; }));
  CHECK(server.asked.empty());
  for (auto& other : others) other->say("s HTTP/1.1\r\nHost: x\r\n\r\n");
  for (auto& other : others) CHECK(other->wait_for("GET /parts 0"));
  silent.say("GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(silent.wait_for("GET /late 0"));
  CHECK(silent.wait_for_end());
}

TEST_CASE("a large upload gets the time that it needs") {
  const auto loop = make_loop();
  auto limits = short_limits();
  Server server(*loop, limits);
  RawClient raw(*loop, server.at);
  constexpr std::size_t part = 64 * 1024, parts = 20;
  raw.say("PUT /api/v1/files/x HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(part * parts) + "\r\n\r\n");
  std::size_t sent = 0;
  Timer drip(*loop, [&] {
    if (sent++ < parts) raw.say(std::string(part, 'x'));
  });
  drip.every(10ms);  // 200 ms in all, more than request_within
  CHECK(raw.wait_for("HTTP/1.1 200"));
}

TEST_CASE("beyond the greatest number of connections the idle ones make room") {
  const auto loop = make_loop();
  HttpServerLimits limits;
  limits.connections_max = 5;
  Server server(*loop, limits);
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 20; ++i) {
    idle.push_back(std::make_unique<RawClient>(*loop, server.at));
    idle.back()->say("GET /idle HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(idle.back()->wait_for("HTTP/1.1 200"));
  }
  HttpClient client(*loop);
  CHECK(body(get(*loop, client, server.url("/x"))) == "GET /x 0");
  CHECK(server.http.connections() == 5);
  CHECK(idle.front()->wait_for_end());
}

TEST_CASE("unfinished requests are bounded in all") {
  const auto loop = make_loop();
  HttpServerLimits limits;
  limits.unfinished_bytes_max = 1u << 20;
  Server server(*loop, limits);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(*loop, server.at));
    clients.back()->say("PUT /api/v1/files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" +
                        std::string(200'000, 'x'));
  }
  CHECK(run_until(*loop, [&] {
    return std::count_if(clients.begin(), clients.end(),
                         [](auto& c) { return c->heard.starts_with("HTTP/1.1 503"); }) >= 14;
  }));
}

TEST_CASE("a server that stops lets replies leave and then is done") {
  const auto loop = make_loop();
  Server server(*loop);
  RawClient idle(*loop, server.at);
  idle.say("GET /idle HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(idle.wait_for("HTTP/1.1 200"));
  RawClient waiting(*loop, server.at);
  waiting.say("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(run_until(*loop, [&] { return server.held.size() == 1; }));
  bool stopped = false;
  server.http.stop([&] { stopped = true; });
  CHECK(idle.wait_for_end());
  CHECK_FALSE(stopped);
  CHECK(RawClient(*loop, server.at).refused);
  server.held[0].send(text_response("the last one"));
  CHECK(waiting.wait_for_end());
  CHECK(waiting.heard.ends_with("the last one"));
  CHECK(run_until(*loop, [&] { return stopped; }));
}

TEST_CASE("a streamed reply: the head first, then all of the body, which may be of any length") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  std::optional<wire::HttpResponse> head;
  std::size_t got = 0;
  HttpAsk what{.url = server.url("/large"), .request = {}, .body_bytes_max = 10};
  what.on_head = [&](const wire::HttpResponse& h) {
    CHECK(got == 0);
    CHECK_FALSE(head);
    head = h;
  };
  what.on_body = [&](ByteView bytes) {
    REQUIRE(head);
    for (const auto byte : bytes) got += byte == 'x';
  };
  const auto reply = ask(*loop, client, std::move(what));
  REQUIRE(reply);
  CHECK(reply->body.empty());
  CHECK(got == 8u << 20);
  CHECK(head->status == 200);
  CHECK(head->headers.find("content-length") == std::to_string(8u << 20));
  // The connection is as good as before.
  CHECK(body(get(*loop, client, server.url("/a"))) == "GET /a 0");
  CHECK(server.http.connections() == 1);
}

TEST_CASE("a streamed reply: redirects are followed unseen") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  std::string got;
  int heads = 0;
  HttpAsk what{.url = server.url("/to?/there"), .request = {}};
  what.on_head = [&](const wire::HttpResponse& h) { heads += h.status == 200 ? 1 : 100; };
  what.on_body = [&](ByteView bytes) { got += as_text(bytes); };
  REQUIRE(ask(*loop, client, std::move(what)));
  CHECK(heads == 1);
  CHECK(got == "GET /there 0");
}

TEST_CASE("a streamed reply: paused, nothing comes and nobody loses patience; read again, all of it comes") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  std::size_t got = 0;
  std::optional<Reply> reply;
  std::optional<HttpClient::CallId> call;
  HttpAsk what{.url = server.url("/large"), .request = {}, .stall_within = 500ms};
  what.on_body = [&](ByteView bytes) {
    if (got == 0) client.read(*call, false);
    got += bytes.size();
  };
  call = client.ask(std::move(what), [&](Reply r) { reply = std::move(r); });
  REQUIRE(run_until(*loop, [&] { return got > 0; }));
  const auto before = got;
  bool later = false;
  Timer patience(*loop, [&] { later = true; });
  patience.start(800ms);  // longer than it may stall
  REQUIRE(run_until(*loop, [&] { return later; }));
  CHECK(got == before);
  CHECK(got <= 64 * 1024);
  CHECK_FALSE(reply);
  client.read(*call, true);
  REQUIRE(run_until(*loop, [&] { return reply.has_value(); }));
  CHECK(*reply);
  CHECK(got == 8u << 20);
}

TEST_CASE("a streamed reply that stalls, is cut, or is no HTTP behind its head") {
  const auto loop = make_loop();
  HttpClient client(*loop);
  struct Row {
    const char *said, *got, *code;
    bool end;
    Duration patience;
  };
  for (const Row& row : {Row{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "abc", "stalled", false, 40ms},
                         Row{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "abc", "bad_reply", true, 60s},
                         Row{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n", "abc",
                             "bad_reply", false, 60s}}) {
    CAPTURE(std::string(row.said));
    CAPTURE(row.end);
    Script script(*loop, row.said, row.end);
    std::string got;
    HttpAsk what{.url = script.url(), .request = {}, .stall_within = row.patience};
    what.on_body = [&](ByteView bytes) { got += as_text(bytes); };
    const auto reply = ask(*loop, client, std::move(what));
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == row.code);
    CHECK(reply.error().exit == Exit::unreachable);
    CHECK(got == row.got);
  }
}

TEST_CASE("a streamed reply may be cancelled by what it brings") {
  const auto loop = make_loop();
  Server server(*loop);
  HttpClient client(*loop);
  for (const bool at_head : {true, false}) {
    CAPTURE(at_head);
    bool told = false;
    std::optional<HttpClient::CallId> call;
    HttpAsk what{.url = server.url("/large"), .request = {}};
    what.on_head = [&](const wire::HttpResponse&) {
      if (at_head) client.cancel(*call), told = true;
    };
    what.on_body = [&](ByteView) {
      CHECK_FALSE(told);
      client.cancel(*call);
      told = true;
    };
    call = client.ask(std::move(what), [](const Reply&) { CHECK(false); });
    REQUIRE(run_until(*loop, [&] { return told; }));
    CHECK(client.under_way() == 0);
    CHECK(body(get(*loop, client, server.url("/a"))) == "GET /a 0");
  }
}

TEST_CASE("a reply to HEAD has no body, whatever its length says, and the connection goes on") {
  const auto loop = make_loop();
  Script script(*loop, "HTTP/1.1 200 OK\r\nContent-Length: 123456789\r\n\r\n", false);
  HttpClient client(*loop);
  for (int i = 0; i < 2; ++i) {
    HttpAsk head{.url = script.url(), .request = {}};
    head.request.method = "HEAD";
    const auto reply = ask(*loop, client, std::move(head));
    REQUIRE(reply);
    CHECK(reply->body.empty());
    CHECK(reply->headers.find("content-length") == "123456789");
  }
  CHECK(script.streams.size() == 1);
  CHECK(script.requests == 2);
}

TEST_CASE("a reply without an end: written as it comes, until the reader leaves") {
  const auto loop = make_loop();
  Server server(*loop, short_limits());
  RawClient client(*loop, server.at);
  client.say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(client.wait_for("\r\n\r\n"));
  CHECK(client.heard.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"));
  CHECK(client.heard.find("Content-Length") == std::string::npos);
  REQUIRE(server.streams.size() == 1);
  CHECK(server.streams[0].write(to_buffer("first\n")));
  REQUIRE(client.wait_for("first\n"));
  client.say("what a reader says is discarded");
  // Nothing to say is no reason to end it, however long it lasts.
  bool later = false;
  Timer wait(*loop, [&] { later = true; });
  wait.start(4 * short_limits().idle_within);
  REQUIRE(run_until(*loop, [&] { return later; }));
  CHECK_FALSE(client.ended);
  CHECK(server.streams[0].write(to_buffer("second\n")));
  REQUIRE(client.wait_for("second\n"));
  CHECK(server.asked.size() == 1);
  client.end();
  REQUIRE(run_until(*loop, [&] { return server.gone == 1; }));
  CHECK(server.http.connections() == 0);
  CHECK_FALSE(server.streams[0].write(to_buffer("third")));
  CHECK(server.gone == 1);
}

TEST_CASE("dropping a stream ends its connection; stopping the server ends it, too") {
  const auto loop = make_loop();
  Server server(*loop);
  RawClient one(*loop, server.at), two(*loop, server.at);
  for (auto* client : {&one, &two}) {
    client->say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(client->wait_for("\r\n\r\n"));
  }
  server.streams.erase(server.streams.begin());
  CHECK(one.wait_for_end());
  CHECK(server.gone == 0);
  bool stopped = false;
  server.http.stop([&] { stopped = true; });
  CHECK(server.gone == 1);
  CHECK(two.wait_for_end());
  CHECK(run_until(*loop, [&] { return stopped; }));
}

TEST_CASE("a reader that does not read is dropped: at once when there is more to say, else after a while") {
  const auto loop = make_loop();
  for (const bool more : {true, false}) {
    CAPTURE(more);
    Server server(*loop, short_limits());
    std::unique_ptr<TcpStream> stream;
    TcpConnect connect(*loop, server.at, {}, [&](int, Descriptor socket) {
      stream = std::make_unique<TcpStream>(
          *loop, std::move(socket),
          TcpStream::Events{.on_bytes = [](ByteView) {}, .on_end = [](int) {}, .on_drained = [] {}});
      stream->write(to_buffer("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"));
    });
    REQUIRE(run_until(*loop, [&] { return server.streams.size() == 1; }));
    // A snapshot of any size is taken as long as nothing waits …
    CHECK(server.streams[0].write(Buffer(32u << 20, 'x')));
    if (more) {
      CHECK_FALSE(server.streams[0].write(Buffer(1, 'x')));
      CHECK(server.http.connections() == 0);
      CHECK(server.gone == 0);
    } else {
      CHECK(run_until(*loop, [&] { return server.gone == 1; }));
    }
  }
}
