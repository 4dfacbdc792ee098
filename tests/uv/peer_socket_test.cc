#include <sys/socket.h>

#include <vector>

#include "support.hh"
#include "uv/peer_socket.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

int wake_bytes(const Descriptor& socket) {
  int value = 0;
  socklen_t length = sizeof value;
  REQUIRE(getsockopt(socket.get(), SOL_SOCKET, SO_RCVLOWAT, &value, &length) == 0);
  return value;
}

/// How much the socket takes until it is full.
std::size_t fill(const Descriptor& socket) {
  const std::vector<char> some(16 * 1024);
  std::size_t bytes = 0;
  for (ssize_t n = 0; n >= 0; bytes += static_cast<std::size_t>(std::max<ssize_t>(n, 0)))
    n = ::send(socket.get(), some.data(), some.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return bytes;
}

/// One end is a PeerSocket, the other a descriptor that is written to.
struct Pair {
  Loop& loop;
  std::vector<std::uint8_t> space = std::vector<std::uint8_t>(256 * 1024);
  std::size_t heard = 0;
  int pieces = 0, reads = 0;  ///< how often bytes were told, and that all were read
  bool ended = false;
  PeerSocketEvents events;
  Descriptor far;
  std::unique_ptr<PeerSocket> near;

  explicit Pair(Loop& l) : loop(l) {
    events.room = [this] { return ByteSpan(space); };
    events.on_bytes = [this](ConnId, std::size_t bytes) { heard += bytes, ++pieces; };
    events.on_read = [this](ConnId) { ++reads; };
    events.on_no_room = [](ConnId) {};
    events.on_writable = [](ConnId) {};
    events.on_end = [this](ConnId) { ended = true; };
    std::optional<Descriptor> accepted;
    TcpListener listener(loop, [&](Descriptor socket, const Endpoint&) { accepted = std::move(socket); });
    const auto at = listener.listen({IpAddress::v4(0x7f000001), 0});
    REQUIRE(at);
    TcpConnect connect(loop, *at, Interface{}, [&](int error, Descriptor socket) {
      REQUIRE(error == 0);
      far = std::move(socket);
    });
    REQUIRE(run_until(loop, [&] { return accepted && far; }));
    near = std::make_unique<PeerSocket>(loop, std::move(*accepted), ConnId{1}, events);
    near->read(true);
  }
  /// Sends so much, reading on the other side as it goes.
  void send(std::size_t bytes) {
    const std::vector<char> some(64 * 1024);
    const std::size_t until = heard + bytes;
    while (bytes > 0) {
      const ssize_t n = ::send(far.get(), some.data(), std::min(bytes, some.size()), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) bytes -= static_cast<std::size_t>(n);
      if (n < 0) loop.run_once();
    }
    REQUIRE(run_until(loop, [&] { return heard == until; }));
  }
};

}  // namespace

TEST_CASE("a fast peer wakes the loop for much at once; what it says when it slows down is still told") {
  const auto loop = make_loop();
  Pair pair(*loop);
  pair.send(1000);
  CHECK(wake_bytes(*pair.near->descriptor()) == 1);
  for (int i = 0; i < 1000 && wake_bytes(*pair.near->descriptor()) == 1; ++i) pair.send(4u << 20);
  CHECK(wake_bytes(*pair.near->descriptor()) == 256 * 1024);
  pair.send(1);  // waits until it is told
  REQUIRE(run_until(*loop, [&] { return wake_bytes(*pair.near->descriptor()) == 1; }));
  pair.send(1);
}

TEST_CASE("a fast peer's end is told, and the socket may go in its fast lane") {
  const auto loop = make_loop();
  Pair pair(*loop), other(*loop);
  for (Pair* p : {&pair, &other}) {
    for (int i = 0; i < 1000 && wake_bytes(*p->near->descriptor()) == 1; ++i) p->send(4u << 20);
    REQUIRE(wake_bytes(*p->near->descriptor()) > 1);
  }
  pair.far.close();
  CHECK(run_until(*loop, [&] { return pair.ended; }));
  other.near.reset();
  loop->run_once(false);
  std::uint8_t byte = 0;
  CHECK(run_until(*loop, [&] { return ::recv(other.far.get(), &byte, 1, MSG_DONTWAIT) == 0; }));
}

TEST_CASE("what waits is read in a row, and that it was read is told once") {
  const auto loop = make_loop();
  Pair pair(*loop);
  pair.near->read(false);
  pair.space.resize(16 * 1024);
  const std::vector<char> some(5 * pair.space.size());
  REQUIRE(::send(pair.far.get(), some.data(), some.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(some.size()));
  std::vector<char> all(some.size());
  const auto waiting = ::recv(pair.near->descriptor()->get(), all.data(), all.size(), MSG_PEEK | MSG_WAITALL);
  REQUIRE(waiting == static_cast<ssize_t>(all.size()));
  pair.near->read(true);
  REQUIRE(run_until(*loop, [&] { return pair.heard == some.size(); }));
  CHECK(pair.pieces == 5);
  CHECK(pair.reads == 1);
}

TEST_CASE("that all was read is told although the socket goes while it is") {
  const auto loop = make_loop();
  Pair pair(*loop);
  pair.events.on_bytes = [&](ConnId, std::size_t) { pair.near.reset(); };
  const char byte = 'x';
  REQUIRE(::send(pair.far.get(), &byte, 1, MSG_NOSIGNAL) == 1);
  CHECK(run_until(*loop, [&] { return pair.reads == 1; }));
  CHECK(pair.near == nullptr);
}

TEST_CASE("a full socket that took much is tried again, though the system does not call it writable yet") {
  const auto loop = make_loop();
  Pair pair(*loop);
  const std::vector<char> some(64 * 1024);
  while (::send(pair.near->descriptor()->get(), some.data(), some.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) continue;
  int tries = 0;
  pair.events.on_writable = [&](ConnId) {
    if (++tries < 3) pair.near->await_writable(PeerSocket::Full::fast);
  };
  pair.near->await_writable(PeerSocket::Full::fast);
  CHECK(run_until(
      *loop, [&] { return tries == 3; }, 10s));
  pair.near->await_writable(PeerSocket::Full::fast);
  pair.near.reset();  // nothing is told any more
  loop->run_once(false);
  CHECK(tries == 3);
}

TEST_CASE("a dropped socket ends the connection although a worker still holds it") {
  const auto loop = make_loop();
  Pair pair(*loop);
  const auto held = pair.near->descriptor();
  pair.near.reset();
  std::uint8_t byte = 0;
  CHECK(::recv(pair.far.get(), &byte, 1, 0) == 0);
  CHECK(held->get() >= 0);
}

TEST_CASE("of what the network does not take the system holds as much as the owner says") {
  const auto loop = make_loop();
  Pair bounded(*loop), unbounded(*loop), again(*loop);
  bounded.near->set_unsent_max(16 * 1024);
  again.near->set_unsent_max(16 * 1024);
  again.near->set_unsent_unbounded();
  const std::size_t most =
      fill(*unbounded.near->descriptor());  // nobody reads: what the receiver takes, and the buffer
  CHECK(fill(*bounded.near->descriptor()) < most / 2);
  CHECK(fill(*again.near->descriptor()) > most / 2);
}
