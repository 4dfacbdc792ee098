#include "uv/udp.hh"

#include <sys/socket.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

const IpAddress loopback_v4 = IpAddress::v4(0x7f000001);
const IpAddress loopback_v6 = *IpAddress::from("::1");

struct Heard {
  std::string text;
  Endpoint from;
  IpAddress to;
};

/// A socket that keeps what it hears.
struct Ear {
  std::vector<Heard> heard;
  UdpSocket socket;
  Endpoint at;

  Ear(Loop& loop, const Endpoint& where)
      : socket(loop, [this](ByteView bytes, const Endpoint& from, const IpAddress& to) {
          heard.push_back({std::string(as_text(bytes)), from, to});
        }) {
    const auto bound = socket.bind(where);
    REQUIRE(bound);
    at = *bound;
  }
};

bool has_ipv6(Loop& loop) {
  UdpSocket probe(loop, [](ByteView, const Endpoint&, const IpAddress&) {});
  return probe.bind({loopback_v6, 0}).has_value();
}

}  // namespace

TEST_CASE("udp: a dual-stack socket hears both families and knows which address was meant") {
  const auto loop = make_loop();
  Ear both(*loop, {});
  CHECK(both.at.port != 0);
  Ear four(*loop, {loopback_v4, 0});
  CHECK(four.socket.send({loopback_v4, both.at.port}, as_bytes("four")));
  REQUIRE(run_until(*loop, [&] { return both.heard.size() == 1; }));
  CHECK(both.heard[0].text == "four");
  CHECK(both.heard[0].from == four.at);
  CHECK(both.heard[0].to == loopback_v4);
  // The answer of a host with several addresses leaves from the one that was asked.
  CHECK(four.socket.send({IpAddress::v4(0x7f000102), both.at.port}, as_bytes("other")));
  REQUIRE(run_until(*loop, [&] { return both.heard.size() == 2; }));
  CHECK(both.heard[1].to == IpAddress::v4(0x7f000102));
  CHECK(both.socket.send(four.at, as_bytes("answer"), both.heard[1].to));
  REQUIRE(run_until(*loop, [&] { return four.heard.size() == 1; }));
  CHECK(four.heard[0].text == "answer");
  CHECK(four.heard[0].from == Endpoint{IpAddress::v4(0x7f000102), both.at.port});

  if (!has_ipv6(*loop)) return;
  Ear six(*loop, {loopback_v6, 0});
  CHECK(six.socket.send({loopback_v6, both.at.port}, as_bytes("six")));
  REQUIRE(run_until(*loop, [&] { return both.heard.size() == 3; }));
  CHECK(both.heard[2].from == six.at);
  CHECK(both.heard[2].to == loopback_v6);
  CHECK(both.socket.send(six.at, as_bytes("six, too"), loopback_v6));
  REQUIRE(run_until(*loop, [&] { return six.heard.size() == 1; }));
  CHECK(six.heard[0].text == "six, too");
  CHECK(six.heard[0].from == Endpoint{loopback_v6, both.at.port});
}

TEST_CASE("udp: what is bound to one IPv4 address answers from that one too") {
  const auto loop = make_loop();
  Ear one(*loop, {IpAddress::v4(0x7f000003), 0}), two(*loop, loopback_any_port);
  CHECK(two.socket.send(one.at, as_bytes("?")));
  REQUIRE(run_until(*loop, [&] { return one.heard.size() == 1; }));
  CHECK(one.heard[0].to == IpAddress::v4(0x7f000003));
  CHECK(one.socket.send(two.at, as_bytes("!"), one.heard[0].to));
  REQUIRE(run_until(*loop, [&] { return two.heard.size() == 1; }));
  CHECK(two.heard[0].from == one.at);
}

TEST_CASE("udp: batches: each datagram is answered, whole and in order, however many wait") {
  const auto loop = make_loop();
  std::optional<UdpSocket> echo;
  std::size_t asked = 0;
  echo.emplace(*loop, [&](ByteView bytes, const Endpoint& from, const IpAddress& to) {
    ++asked;
    CHECK(echo->send(from, bytes, to));
  });
  const auto at = echo->bind(loopback_any_port);
  REQUIRE(at);
  Ear ear(*loop, loopback_any_port);
  std::vector<std::string> said;
  for (std::size_t i = 0; i < 600; ++i) {
    said.push_back(std::to_string(i) + std::string(i % 90, 'x'));
    REQUIRE(ear.socket.send(*at, as_bytes(said.back())));
    // All that the buffer of a socket takes for sure stays behind what the loop has dealt with.
    if (i % 200 == 199) REQUIRE(run_until(*loop, [&] { return ear.heard.size() == i + 1; }));
  }
  CHECK(asked == said.size());
  for (std::size_t i = 0; i < said.size(); ++i) CHECK(ear.heard[i].text == said[i]);
}

TEST_CASE("udp: an empty datagram is one; what is too large is dropped both ways") {
  const auto loop = make_loop();
  Ear ear(*loop, loopback_any_port), mouth(*loop, loopback_any_port);
  CHECK_FALSE(mouth.socket.send(ear.at, Buffer(UdpSocket::datagram_bytes_max + 1)));
  const Descriptor raw(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  socklen_t length = 0;
  const auto address = to_sockaddr(ear.at, AF_INET, &length);
  const Buffer large(UdpSocket::datagram_bytes_max + 1, 'x');
  REQUIRE(::sendto(raw.get(), large.data(), large.size(), 0, reinterpret_cast<const sockaddr*>(&address), length) > 0);
  CHECK(mouth.socket.send(ear.at, Buffer(UdpSocket::datagram_bytes_max, 'y')));
  CHECK(mouth.socket.send(ear.at, {}));
  REQUIRE(run_until(*loop, [&] { return ear.heard.size() == 2; }));
  CHECK(ear.heard[0].text == std::string(UdpSocket::datagram_bytes_max, 'y'));
  CHECK(ear.heard[1].text.empty());
}

TEST_CASE("udp: a reader that never reads costs nothing: sending does not wait") {
  const auto loop = make_loop();
  Ear deaf(*loop, loopback_any_port), mouth(*loop, loopback_any_port);
  for (int i = 0; i < 20'000; ++i) mouth.socket.send(deaf.at, Buffer(1000));  // 20 MB, never drained
  CHECK(deaf.heard.empty());
  CHECK(run_until(*loop, [&] { return deaf.heard.size() > 64; }));
}

TEST_CASE("udp: the errors of binding, and of sending where nothing leads") {
  const auto loop = make_loop();
  const auto deaf = [](ByteView, const Endpoint&, const IpAddress&) {};
  UdpSocket unbound(*loop, deaf);
  CHECK_FALSE(unbound.send({loopback_v4, 1}, as_bytes("x")));
  Ear one(*loop, loopback_any_port);
  UdpSocket two(*loop, deaf);
  const auto taken = two.bind(one.at);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().exit == Exit::disk);
  CHECK(taken.error().code == "port_in_use");
  const auto foreign = two.bind({IpAddress::v4(0xc0000201), 0});  // 192.0.2.1, nobody's
  REQUIRE_FALSE(foreign);
  CHECK(foreign.error().code == "cannot_listen");
  CHECK_FALSE(one.socket.send({loopback_v6, 1}, as_bytes("x")));  // IPv4 only
}

TEST_CASE("udp: the callback may destroy its socket; what it sent before still leaves") {
  const auto loop = make_loop();
  std::optional<UdpSocket> socket;
  int heard = 0;
  socket.emplace(*loop, [&](ByteView, const Endpoint& from, const IpAddress&) {
    ++heard;
    socket->send(from, as_bytes("last words"));
    socket.reset();
  });
  const auto at = socket->bind(loopback_any_port);
  REQUIRE(at);
  Ear ear(*loop, loopback_any_port);
  for (int i = 0; i < 5; ++i) ear.socket.send(*at, as_bytes("go"));
  REQUIRE(run_until(*loop, [&] { return !ear.heard.empty(); }));
  CHECK(ear.heard[0].text == "last words");
  CHECK(heard == 1);
  CHECK_FALSE(socket);
}

TEST_CASE("udp: a socket that is used, and one that goes, inside another one's callback") {
  const auto loop = make_loop();
  Ear ear(*loop, loopback_any_port), aside(*loop, loopback_any_port);
  std::optional<UdpSocket> other;
  other.emplace(*loop, [](ByteView, const Endpoint&, const IpAddress&) {});
  const auto other_at = other->bind(loopback_any_port);
  REQUIRE(other_at);
  std::optional<UdpSocket> relay;
  relay.emplace(*loop, [&](ByteView, const Endpoint& from, const IpAddress&) {
    relay->send(from, as_bytes("mine"));
    other->send(aside.at, as_bytes("other's"));
    other.reset();
  });
  const auto at = relay->bind(loopback_any_port);
  REQUIRE(at);
  ear.socket.send(*at, as_bytes("go"));
  REQUIRE(run_until(*loop, [&] { return ear.heard.size() == 1 && aside.heard.size() == 1; }));
  CHECK(ear.heard[0].from == *at);
  CHECK(aside.heard[0].from == *other_at);
}
