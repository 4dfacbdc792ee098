#include "sim/network.hh"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace swarm;
using namespace swarm::sim;

namespace {

constexpr double mega = 1e6;

/// A process that sends when it can and writes down what it hears.
struct Node final : Process {
  Node(Network& network, Host& host) : network(network), host(host) { network.start(host, *this, 80); }

  void on_accepted(StreamEnd end, const Endpoint& from) override {
    const ConnId conn{next_conn++};
    network.name(end, conn);
    ends[number(conn)] = end;
    accepted_from.push_back(from.address);
  }
  void on_connected(ConnId conn, StreamEnd end) override {
    ends[number(conn)] = end;
    connected_at[number(conn)] = network.world().now();
    fill(conn);
  }
  void on_connect_failed(ConnId conn) override { failed_at[number(conn)] = network.world().now(); }
  void on_received(ConnId conn, ByteView small) override {
    text[number(conn)] += as_text(small);
    bytes[number(conn)] += small.size();
  }
  void on_received(ConnId conn, const Run& run) override {
    bytes[number(conn)] += run.length;
    runs.push_back(run);
    last_at[number(conn)] = network.world().now();
  }
  void on_closed(ConnId conn) override { closed_at[number(conn)] = network.world().now(); }
  void on_room(ConnId conn) override { fill(conn); }

  /// Keeps `to_send` bytes of payload going in blocks.
  void fill(ConnId conn) {
    auto& left = to_send[number(conn)];
    while (left > 0 && network.room(ends[number(conn)]) > 0) {
      const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, 16'384));
      network.send(ends[number(conn)],
                   Run{.content = 0, .piece = PieceIndex{number(conn)}, .begin = begin, .length = length});
      begin += length;
      left -= length;
    }
  }

  Network& network;
  Host& host;
  std::uint32_t next_conn = 1000, begin = 0;
  std::map<std::uint32_t, StreamEnd> ends;
  std::map<std::uint32_t, std::uint64_t> to_send, bytes;
  std::map<std::uint32_t, std::string> text;
  std::map<std::uint32_t, Instant> connected_at, failed_at, closed_at, last_at;
  std::vector<IpAddress> accepted_from;
  std::vector<Run> runs;
};

struct Net {
  explicit Net(Network::Options options = {}) : network(world, options) {}
  Node& add(std::uint64_t up, std::uint64_t down, Duration delay = 1ms) {
    const auto n = static_cast<std::uint32_t>(nodes.size() + 1);
    Host& host = network.add_host(IpAddress::v4(0x0a000000 + n), {up, down, delay});
    return *nodes.emplace_back(std::make_unique<Node>(network, host));
  }
  void transfer(Node& from, Node& to, std::uint32_t conn, std::uint64_t bytes) {
    from.to_send[conn] = bytes;
    network.connect(from.host, ConnId{conn}, {to.host.address, 80});
  }
  double seconds_now() const { return seconds(world.now().time_since_epoch()); }
  void finish() {
    while (world.step()) {
    }
    CHECK(network.balanced());
  }

  World world{1};
  Network network;
  std::vector<std::unique_ptr<Node>> nodes;
};

double at(const std::map<std::uint32_t, Instant>& when, std::uint32_t conn) {
  REQUIRE(when.contains(conn));
  return seconds(when.at(conn).time_since_epoch());
}

}  // namespace

TEST_CASE("network: connecting takes a round trip, and so does being refused; nobody there takes 10 s") {
  Net net;
  Node& a = net.add(0, 0, 5ms);
  Node& b = net.add(0, 0, 15ms);
  net.network.connect(a.host, ConnId{1}, {b.host.address, 80});
  net.network.connect(a.host, ConnId{2}, {b.host.address, 81});
  net.network.connect(a.host, ConnId{3}, {IpAddress::v4(0x01020304), 80});
  net.finish();
  CHECK(a.connected_at[1] == Instant(40ms));
  CHECK(a.failed_at[2] == Instant(40ms));
  CHECK(a.failed_at[3] == Instant(10s));
  CHECK(b.accepted_from == std::vector{a.host.address});
}

TEST_CASE("network: bytes arrive in order between runs, after the delay, however they are cut") {
  for (const std::uint32_t chunk : {1u, 7u, 1000u, 16'384u}) {
    CAPTURE(chunk);
    Net net({.chunk_bytes = chunk});
    Node& a = net.add(1'000'000, 0);
    Node& b = net.add(0, 1'000'000);
    net.network.connect(a.host, ConnId{1}, {b.host.address, 80});
    net.world.run_until(Instant(10ms));
    const StreamEnd end = a.ends[1];
    net.network.send(end, as_bytes("hello "));
    net.network.send(end, as_bytes("there"));
    net.network.send(end, Run{.content = 3, .piece = PieceIndex{4}, .begin = 50, .length = 500, .tag = Tag::right});
    net.network.send(end, as_bytes(", you"));
    net.finish();
    CHECK(b.text[1000] == "hello there, you");
    CHECK(b.bytes[1000] == 516);
    std::uint32_t next = 50;
    for (const Run& run : b.runs) {
      CHECK(run.content == 3);
      CHECK(run.piece == PieceIndex{4});
      CHECK(run.begin == next);
      next += run.length;
    }
    CHECK(next == 550);
  }
}

TEST_CASE("network: one flow gets the narrower of both lines, whatever the delay") {
  for (const auto& rates : {std::pair{2.0, 8.0}, {8.0, 2.0}, {2.0, 2.0}}) {
    const double up = rates.first, down = rates.second;
    for (const Duration delay : {Duration(0ms), Duration(1ms), Duration(15ms)}) {
      CAPTURE(up);
      CAPTURE(down);
      Net net;
      Node& a = net.add(static_cast<std::uint64_t>(up * mega), 0, delay);
      Node& b = net.add(0, static_cast<std::uint64_t>(down * mega), delay);
      net.transfer(a, b, 1, 10'000'000);
      net.finish();
      const double took = at(b.last_at, 1000) - at(a.connected_at, 1);
      CHECK(took >= 5.0);
      CHECK(took <= 5.0 + 0.1);
    }
  }
}

TEST_CASE("network: the send buffer bounds a flow on a long way") {
  Net net({.send_buffer_bytes = 64 * 1024});
  Node& a = net.add(0, 0, 50ms);  // a round trip of 0.2 s
  Node& b = net.add(0, 0, 50ms);
  net.transfer(a, b, 1, 64 * 1024 * 50);
  net.finish();
  CHECK(at(b.last_at, 1000) - at(a.connected_at, 1) == doctest::Approx(49 * 0.2 + 0.1).epsilon(0.01));
}

TEST_CASE("network: flows share an uplink and a downlink fairly, and both directions are apart") {
  Net net;
  Node& seed = net.add(4'000'000, 4'000'000);
  std::vector<Node*> others;
  for (int i = 0; i < 4; ++i) others.push_back(&net.add(4'000'000, 4'000'000));
  for (std::uint32_t i = 0; i < 4; ++i) {
    net.transfer(seed, *others[i], 1 + i, 5'000'000);
    net.transfer(*others[i], seed, 1, 5'000'000);
  }
  net.finish();
  for (const Node* node : others) CHECK(at(node->last_at, 1000) == doctest::Approx(5.0).epsilon(0.02));
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(at(seed.last_at, 1000 + i) == doctest::Approx(5.0).epsilon(0.05));
}

TEST_CASE("network: a slow receiver does not hold up the others") {
  Net net;
  Node& seed = net.add(4'000'000, 0);
  Node& slow = net.add(0, 100'000);
  Node& fast = net.add(0, 0);
  net.transfer(seed, slow, 1, 1'000'000);
  net.transfer(seed, fast, 2, 10'000'000);
  net.finish();
  CHECK(at(fast.last_at, 1000) < 2.8);  // 2.5 s alone; the slow one takes 100 kB/s and once a buffer
  CHECK(at(slow.last_at, 1000) == doctest::Approx(10.0).epsilon(0.02));
}

TEST_CASE("network: closing sends first what was given, and ends both directions") {
  Net net;
  Node& a = net.add(1'000'000, 0);
  Node& b = net.add(0, 0);
  net.network.connect(a.host, ConnId{1}, {b.host.address, 80});
  net.world.run_until(Instant(10ms));
  net.network.send(a.ends[1], Run{.length = 1'000'000});
  net.network.close(a.ends[1]);
  net.finish();
  CHECK(b.bytes[1000] == 1'000'000);
  CHECK(at(b.closed_at, 1000) >= 1.0);
  CHECK(a.closed_at.empty());  // it knows
}

TEST_CASE("network: a crash resets, and what was not sent is lost") {
  Net net;
  Node& a = net.add(1'000'000, 0);
  Node& b = net.add(0, 0);
  net.transfer(a, b, 1, 5'000'000);
  net.world.at(Instant(1s), [&] { net.network.crash(a.host); });
  net.finish();
  CHECK(b.closed_at[1000] == Instant(1s + 2ms));
  CHECK(b.bytes[1000] > 900'000);
  CHECK(b.bytes[1000] < 1'000'000);
  a.connected_at.clear();
  net.network.connect(b.host, ConnId{5}, {a.host.address, 80});
  net.finish();
  CHECK(b.failed_at.contains(5));  // nobody listens
}

TEST_CASE("network: a host without power says nothing, and resets who still sends once it is back") {
  Net net;
  Node& a = net.add(1'000'000, 0);
  Node& b = net.add(0, 1'000'000);
  net.transfer(a, b, 1, 50'000'000);
  net.world.at(Instant(1s), [&] { net.network.cut_power(b.host); });
  net.world.run_until(Instant(20s));
  CHECK(a.closed_at.empty());
  CHECK(net.network.room(a.ends[1]) == 0);
  net.network.restore_power(b.host);
  net.finish();
  CHECK(at(a.closed_at, 1) > 20.0);
  CHECK(at(a.closed_at, 1) < 21.1);
}

TEST_CASE("network: a link that was down goes on where it was") {
  Net net;
  Node& a = net.add(1'000'000, 0);
  Node& b = net.add(0, 1'000'000);
  net.transfer(a, b, 1, 5'000'000);
  net.world.at(Instant(2s), [&] { net.network.set_link(b.host, false); });
  net.world.at(Instant(12s), [&] { net.network.set_link(b.host, true); });
  net.world.at(Instant(4s), [&] { net.network.connect(a.host, ConnId{2}, {b.host.address, 80}); });
  net.world.at(Instant(9s), [&] { net.network.connect(a.host, ConnId{3}, {b.host.address, 80}); });
  net.finish();
  CHECK(b.bytes[1000] == 5'000'000);
  CHECK(at(b.last_at, 1000) == doctest::Approx(15.0).epsilon(0.05));
  CHECK(a.closed_at.empty());
  CHECK(at(a.failed_at, 2) == doctest::Approx(14.0).epsilon(0.01));
  CHECK(at(a.connected_at, 3) == doctest::Approx(12.0).epsilon(0.01));  // tried after 9, 10 and 12 s
}

TEST_CASE("network: who does not read is not sent more than a buffer") {
  Net net;
  Node& a = net.add(0, 0);
  Node& b = net.add(0, 0);
  net.transfer(a, b, 1, 5'000'000);
  net.world.run_until(Instant(7ms));
  REQUIRE(b.ends.contains(1000));
  net.network.pause(b.ends[1000], true);
  net.world.run_until(Instant(10s));
  const auto before = b.bytes[1000];
  CHECK(before < 5'000'000);
  CHECK(net.network.room(a.ends[1]) == 0);
  net.network.pause(b.ends[1000], false);
  net.finish();
  CHECK(b.bytes[1000] == 5'000'000);
}
