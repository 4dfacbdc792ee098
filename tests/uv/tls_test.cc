// TLS against another implementation (OpenSSL, through Python), by way of the HTTP client: it is how everybody meets it.
#include "uv/tls.hh"

#include <filesystem>
#include <fstream>

#include "base/random.hh"
#include "servers.hh"
#include "uv/http_client.hh"
#include "uv/tcp.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

using Reply = Result<wire::HttpResponse>;

Reply ask(Loop& loop, HttpClient& client, HttpAsk what) {
  std::optional<Reply> reply;
  client.ask(std::move(what), [&](Reply r) { reply = std::move(r); });
  REQUIRE(run_until(loop, [&] { return reply.has_value(); }));
  return std::move(*reply);
}
Reply get(Loop& loop, HttpClient& client, const std::string& url) {
  return ask(loop, client, {.url = url, .request = {}, .deadline = 60s});
}
std::string body(const Reply& reply) { return reply ? std::string(as_text(reply->body)) : reply.error().message; }

/// Stands between a client and a server, and spoils what the server says.
class Meddler {
 public:
  Meddler(Loop& loop, std::uint16_t server)
      : loop_(loop),
        server_(server),
        listener_(loop, [this](Descriptor socket, const Endpoint&) { join(std::move(socket)); }) {
    const auto bound = listener_.listen(loopback_any_port);
    REQUIRE(bound);
    at = *bound;
  }
  Endpoint at;
  std::size_t flip_at = SIZE_MAX;  ///< this byte of what the server says gets another value
  std::size_t cut_at = SIZE_MAX;   ///< what follows is never said: the connection ends there
  std::size_t said = 0;            ///< by the server, over the last connection

 private:
  void join(Descriptor socket) {
    said = 0;
    cut_ = false;
    waiting_.clear();
    to_server_.reset();
    to_client_ = std::make_unique<TcpStream>(
        loop_, std::move(socket),
        TcpStream::Events{
            .on_bytes =
                [this](ByteView bytes) { to_server_ ? to_server_->write(to_buffer(bytes)) : append(waiting_, bytes); },
            .on_end = [](int) {},
            .on_drained = [] {}});
    to_client_->read(true);
    connect_.emplace(
        loop_, Endpoint{loopback_any_port.address, server_}, Interface{}, [this](int error, Descriptor made) {
          REQUIRE(error == 0);
          to_server_ =
              std::make_unique<TcpStream>(loop_, std::move(made),
                                          TcpStream::Events{.on_bytes = [this](ByteView b) { pass_on(to_buffer(b)); },
                                                            .on_end = [this](int) { to_client_->end(); },
                                                            .on_drained = [] {}});
          to_server_->read(true);
          to_server_->write(std::exchange(waiting_, {}));
        });
  }
  void pass_on(Buffer bytes) {
    if (cut_) return;
    if (flip_at >= said && flip_at - said < bytes.size()) bytes[flip_at - said] ^= 0x10;
    if (cut_at <= said + bytes.size()) {
      bytes.resize(cut_at - said);
      cut_ = true;
    }
    said += bytes.size();
    if (!bytes.empty()) to_client_->write(std::move(bytes));
    if (cut_) to_client_->end();
  }

  Loop& loop_;
  std::uint16_t server_;
  Buffer waiting_;
  bool cut_ = false;
  std::unique_ptr<TcpStream> to_client_, to_server_;
  std::optional<TcpConnect> connect_;
  TcpListener listener_;
};

/// A client that trusts the test's authority and no other.
struct Trusting {
  Servers& servers = Servers::shared();
  Variable file{"SSL_CERT_FILE", servers.authority()}, folders{"SSL_CERT_DIR", ""};
  std::unique_ptr<Loop> loop = make_loop();
  HttpClient client{*loop};
};

}  // namespace

TEST_CASE("tls: a request and its reply; the host is told to the server; the second request needs no handshake") {
  Trusting t;
  CHECK(body(get(*t.loop, t.client, t.servers.url("good", "/a"))) == "/a localhost");
  CHECK(body(get(*t.loop, t.client, t.servers.url("good", "/b"))) == "/b localhost");
  // By address, which is not told (RFC 6066, 3) and stands in the certificate as such.
  CHECK(body(get(*t.loop, t.client, t.servers.url("good", "/c", "127.0.0.1"))) == "/c -");
}

TEST_CASE("tls: many records: a large body comes whole") {
  Trusting t;
  const auto reply =
      ask(*t.loop, t.client,
          {.url = t.servers.url("good", "/large?5000001"), .request = {}, .deadline = 60s, .body_bytes_max = 6u << 20});
  REQUIRE(reply);
  REQUIRE(reply->body.size() == 5'000'001);
  bool same = true;
  for (std::size_t i = 0; i < reply->body.size(); ++i) same = same && reply->body[i] == static_cast<std::uint8_t>(i);
  CHECK(same);
}

TEST_CASE("tls: each way to fail says which") {
  Trusting t;
  struct Row {
    const char *server, *host, *code, *text;
  };
  for (const Row& row : {
           Row{"self", "localhost", "untrusted", "is not signed by an authority that this machine trusts"},
           Row{"expired", "localhost", "certificate_expired", "expired on 2020-02-01"},
           Row{"future", "localhost", "certificate_not_yet_valid", "is not valid before 2090-01-01"},
           Row{"other", "localhost", "wrong_host", "is for www.other.example, other.example"},
           Row{"names", "127.0.0.1", "wrong_host", "is for localhost, *.swarm.example"},
           Row{"old", "localhost", "tls_too_old", "does not speak TLS 1.2 or newer"},
           Row{"plain", "localhost", "not_tls", "does not speak TLS"},
           Row{"mute", "localhost", "tls_refused", "hung up during the TLS handshake"},
       }) {
    CAPTURE(std::string(row.server));
    CAPTURE(std::string(row.host));
    const auto reply = get(*t.loop, t.client, t.servers.url(row.server, "/", row.host));
    REQUIRE_FALSE(reply);
    CHECK(reply.error().exit == Exit::unreachable);
    CHECK(reply.error().code == row.code);
    CAPTURE(reply.error().message);
    CHECK(reply.error().message.find(row.text) != std::string::npos);
    CHECK(reply.error().message.find(row.host + (":" + std::to_string(t.servers.port(row.server)))) !=
          std::string::npos);
  }
  // What failed leaves nothing behind that a later request trips over.
  CHECK(body(get(*t.loop, t.client, t.servers.url("good", "/a"))) == "/a localhost");
  CHECK(t.client.under_way() == 0);
}

TEST_CASE("tls: an authority that is not in the store, and a store that is not there") {
  auto& servers = Servers::shared();
  const auto loop = make_loop();
  const Variable no_folders("SSL_CERT_DIR", "");
  {
    const Variable file("SSL_CERT_FILE", servers.authority().substr(0, servers.authority().rfind('/')) + "/self.pem");
    HttpClient client(*loop);
    const auto reply = get(*loop, client, servers.url("good"));
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == "untrusted");
    CHECK(reply.error().hint.find("SSL_CERT_FILE") != std::string::npos);
    CHECK(body(get(*loop, client, servers.url("self", "/mine"))) == "/mine localhost");
  }
  {
    const Variable file("SSL_CERT_FILE", "/nowhere/ca.pem");
    HttpClient client(*loop);
    const auto reply = get(*loop, client, servers.url("good"));
    REQUIRE_FALSE(reply);
    CHECK(reply.error().exit == Exit::unreachable);
    CHECK(reply.error().code == "no_ca_store");
    CHECK(reply.error().message.find("/nowhere/ca.pem") != std::string::npos);
    // It is looked for again when it is needed again, by all who wait for it.
    const TempFolder folder;
    std::filesystem::copy_file(servers.authority(), folder.path("a.pem"));
    std::ofstream(folder.path("b.pem")) << "no certificate";
    const Variable none("SSL_CERT_FILE", "");
    const Variable folders("SSL_CERT_DIR", "/nowhere:" + folder.path());
    int right = 0;
    for (int i = 0; i < 3; ++i) {
      client.ask({.url = servers.url("good", "/x"), .request = {}, .deadline = 60s},
                 [&](const Reply& r) { right += body(r) == "/x localhost"; });
    }
    CHECK(run_until(*loop, [&] { return client.under_way() == 0; }));
    CHECK(right == 3);
    // A file and a folder that are both named both count.
    const Variable other("SSL_CERT_FILE", servers.authority().substr(0, servers.authority().rfind('/')) + "/self.pem");
    HttpClient both(*loop);
    CHECK(body(get(*loop, both, servers.url("good", "/x"))) == "/x localhost");
    CHECK(body(get(*loop, both, servers.url("self", "/x"))) == "/x localhost");
  }
}

TEST_CASE("tls: a body that ends with the connection is whole only when the other side said goodbye") {
  Trusting t;
  const auto whole = get(*t.loop, t.client, t.servers.url("good", "/whole"));
  CHECK(body(whole) == "body");
  const auto cut = get(*t.loop, t.client, t.servers.url("good", "/cut"));
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code == "bad_reply");
}

TEST_CASE("tls: redirects may lead into https and not out of it") {
  Trusting t;
  const auto secure = t.servers.url("good", "/there");
  const auto plain = t.servers.url("plain", "/there", "localhost", "http");
  CHECK(body(get(*t.loop, t.client, t.servers.url("plain", "/to?" + secure, "localhost", "http"))) ==
        "/there localhost");
  CHECK(body(get(*t.loop, t.client, t.servers.url("good", "/to?" + t.servers.url("names", "/n")))) == "/n localhost");
  const auto refused = get(*t.loop, t.client, t.servers.url("good", "/to?" + plain));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == "redirect_refused");
  CHECK(refused.error().message.find("from https to http://") != std::string::npos);
}

TEST_CASE("tls: a client that goes away in the middle of everything") {
  Trusting t;
  for (const int turns : {0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30}) {
    HttpClient client(*t.loop);
    client.ask({.url = t.servers.url("good", "/large?300000"), .request = {}}, [](const Reply&) {});
    for (int i = 0; i < turns && client.under_way() > 0; ++i) t.loop->run_once();
  }
  CHECK(body(get(*t.loop, t.client, t.servers.url("good", "/after"))) == "/after localhost");
}

TEST_CASE("tls: streamed, with pauses: nothing is lost, and nothing comes while nobody wants it") {
  Trusting t;
  std::size_t got = 0, at_pause = 0;
  bool same = true, paused = false;
  std::optional<Reply> reply;
  HttpAsk what{.url = t.servers.url("good", "/large?3000000"), .request = {}};
  std::optional<HttpClient::CallId> call;
  what.on_body = [&](ByteView bytes) {
    CHECK((!paused || got - at_pause < 64 * 1024));
    for (const auto byte : bytes) same = same && byte == static_cast<std::uint8_t>(got++);
    if (!paused && got > at_pause + 500'000) {
      at_pause = got;
      paused = true;
      t.client.read(*call, false);
    }
  };
  call = t.client.ask(std::move(what), [&](Reply r) { reply = std::move(r); });
  while (!reply) {
    REQUIRE(run_until(*t.loop, [&] { return paused || reply; }));
    const auto held = got;
    for (int i = 0; i < 20; ++i) t.loop->run_once(false);
    CHECK(got == held);
    paused = false;
    t.client.read(*call, true);
  }
  REQUIRE(*reply);
  CHECK(got == 3'000'000);
  CHECK(same);
  CHECK((*reply)->body.empty());
}

TEST_CASE("tls: a byte that was changed on the way, or a stream that was cut, is never taken for the reply") {
  Trusting t;
  Meddler meddler(*t.loop, t.servers.port("good"));
  const auto ask_anew = [&](const char* target) {
    HttpClient fresh(*t.loop);  // a handshake of its own each time
    return get(*t.loop, fresh, "https://localhost:" + std::to_string(meddler.at.port) + target);
  };
  REQUIRE(body(ask_anew("/a")) == "/a localhost");
  const auto whole = meddler.said;
  REQUIRE(whole > 500);
  Random random(1);
  int failed = 0;
  for (int i = 0; i < 40; ++i) {
    meddler.flip_at = random.below(whole);
    CAPTURE(meddler.flip_at);
    HttpClient fresh(*t.loop);
    // A length that was changed may have the client wait for more; then it is the deadline that ends it.
    const auto reply =
        ask(*t.loop, fresh,
            {.url = "https://localhost:" + std::to_string(meddler.at.port) + "/a", .request = {}, .deadline = 300ms});
    if (reply) {
      CHECK(body(reply) == "/a localhost");  // behind all that counts: a ticket, say
    } else {
      ++failed;
      CHECK(reply.error().exit == Exit::unreachable);
    }
  }
  CHECK(failed > 20);
  meddler.flip_at = SIZE_MAX;
  for (int i = 0; i < 40; ++i) {
    meddler.cut_at = random.below(whole);
    CAPTURE(meddler.cut_at);
    const auto reply = ask_anew("/a");
    if (reply) {
      CHECK(body(reply) == "/a localhost");
    } else {
      CHECK(reply.error().exit == Exit::unreachable);
    }
  }
  // Without a length only TLS's goodbye tells that nothing is missing.
  meddler.cut_at = SIZE_MAX;
  CHECK(body(ask_anew("/whole")) == "body");
  const auto with_goodbye = meddler.said;
  // The goodbye takes some 30 bytes; a handshake is a few bytes longer or shorter each time, as its signature is.
  for (const std::size_t missing : {10, 14, 18, 22, 45, 60}) {
    meddler.cut_at = with_goodbye - missing;
    CHECK_FALSE(ask_anew("/whole"));
  }
}
