#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <vector>

#include "support.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

/// Lets the process open `more` descriptors and not one beyond, while it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t more) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const Descriptor next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(next.get()) + more;
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

Descriptor connected_to(const Endpoint& to) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  socklen_t length = 0;
  const auto address = to_sockaddr(to, AF_INET, &length);
  REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
  return socket;
}

}  // namespace

TEST_CASE("a dual-stack listener takes IPv4 and IPv6 and names IPv4 peers as such") {
  const auto loop = make_loop();
  std::vector<Endpoint> from;
  TcpListener listener(*loop, [&](const Descriptor&, const Endpoint& peer) { from.push_back(peer); });
  const auto bound = listener.listen({});
  REQUIRE(bound);
  CHECK(bound->port != 0);
  RawClient four(*loop, {IpAddress::v4(0x7f000001), bound->port});
  REQUIRE(run_until(*loop, [&] { return from.size() == 1; }));
  CHECK(from[0].address == IpAddress::v4(0x7f000001));
  RawClient six(*loop, {*IpAddress::from("::1"), bound->port});
  if (!six.refused) CHECK(run_until(*loop, [&] { return from.size() == 2; }));
}

TEST_CASE("a port in use, and a port that nobody may have, are said") {
  const auto loop = make_loop();
  TcpListener one(*loop, [](const Descriptor&, const Endpoint&) {});
  const auto bound = one.listen(loopback_any_port);
  REQUIRE(bound);
  TcpListener two(*loop, [](const Descriptor&, const Endpoint&) {});
  const auto again = two.listen(*bound);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == "port_in_use");
  CHECK(again.error().exit == Exit::disk);
  CHECK(again.error().message == "port " + std::to_string(bound->port) + " is in use");
  CHECK(two.listen(loopback_any_port));  // it may try another one
  CHECK_FALSE(TcpListener(*loop, [](const Descriptor&, const Endpoint&) {}).listen({IpAddress::v4(0x01020304), 0}));
}

TEST_CASE("connecting: refused, from an address of its own, from the wrong family") {
  const auto loop = make_loop();
  Endpoint nobody;
  {
    TcpListener gone(*loop, [](const Descriptor&, const Endpoint&) {});
    nobody = *gone.listen(loopback_any_port);
  }
  std::optional<int> error;
  const auto attempt = [&](const Endpoint& to, const Interface& from) {
    error.reset();
    const TcpConnect connect(*loop, to, from, [&](int e, const Descriptor&) { error = e; });
    REQUIRE(run_until(*loop, [&] { return error.has_value(); }));
    return *error;
  };
  CHECK(attempt(nobody, {}) == UV_ECONNREFUSED);
  CHECK(attempt(nobody, IpAddress::from("::1")) == UV_EADDRNOTAVAIL);

  Endpoint from;
  TcpListener listener(*loop, [&](const Descriptor&, const Endpoint& peer) { from = peer; });
  const auto bound = listener.listen(loopback_any_port);
  CHECK(attempt(*bound, IpAddress::from("127.0.0.9")) == 0);
  REQUIRE(run_until(*loop, [&] { return from.port != 0; }));
  CHECK(from.address == *IpAddress::from("127.0.0.9"));
}

TEST_CASE("a stream tells when all has left and when the other side ends") {
  const auto loop = make_loop();
  std::unique_ptr<TcpStream> server;
  std::size_t got = 0;
  bool server_ended = false;
  TcpListener listener(*loop, [&](Descriptor socket, const Endpoint&) {
    server = std::make_unique<TcpStream>(*loop, std::move(socket),
                                         TcpStream::Events{.on_bytes = [&](ByteView b) { got += b.size(); },
                                                           .on_end = [&](int e) { server_ended = e == 0; },
                                                           .on_drained = [] {}});
  });
  const auto bound = listener.listen(loopback_any_port);
  bool drained = false;
  std::unique_ptr<TcpStream> client;
  const TcpConnect connect(*loop, *bound, {}, [&](int, Descriptor socket) {
    client = std::make_unique<TcpStream>(
        *loop, std::move(socket),
        TcpStream::Events{.on_bytes = [](ByteView) {}, .on_end = [](int) {}, .on_drained = [&] { drained = true; }});
  });
  REQUIRE(run_until(*loop, [&] { return client && server; }));
  constexpr std::size_t large = 32u << 20;  // more than any socket takes
  client->write(Buffer(large, 7));
  client->write(Buffer(5, 8));
  client->end();
  CHECK(client->queued() > 0);
  CHECK_FALSE(drained);
  server->read(true);
  CHECK(run_until(*loop, [&] { return server_ended; }));
  CHECK(got == large + 5);
  CHECK(drained);
  CHECK(client->queued() == 0);
}

TEST_CASE("a listener without descriptors refuses visitors without spinning, and takes them again later") {
  const auto loop = make_loop();
  std::vector<Descriptor> taken;
  TcpListener listener(*loop, [&](Descriptor socket, const Endpoint&) { taken.push_back(std::move(socket)); });
  const auto bound = listener.listen(loopback_any_port);
  REQUIRE(bound);
  constexpr std::size_t visitors = 20;
  {
    std::vector<Descriptor> clients;
    for (std::size_t i = 0; i < visitors; ++i) clients.push_back(connected_to(*bound));
    const FewDescriptors few(5);
    std::size_t turns = 0;
    bool over = false;
    Timer end(*loop, [&] { over = true; });
    end.start(350ms);
    while (!over) {
      loop->run_once();
      ++turns;
    }
    CHECK(taken.size() == 5);
    CHECK(turns < 50);
    char byte = 0;
    // Those who were refused know it.
    CHECK(::recv(clients.back().get(), &byte, 1, MSG_DONTWAIT) == 0);
  }
  taken.clear();
  const auto late = connected_to(*bound);
  CHECK(run_until(*loop, [&] { return taken.size() == 1; }));
}
