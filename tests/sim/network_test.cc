#include "sim/network.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
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
  Node& add(std::uint64_t up, std::uint64_t down, Duration delay = 1ms) { return add(Line{up, down, delay}); }
  Node& add(const Line& line, NatBox* behind = nullptr) {
    const auto n = static_cast<std::uint32_t>(nodes.size() + 1);
    Host& host = network.add_host(IpAddress::v4(0x0a000000 + n), line, behind);
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
      CHECK(took <= 5.0 + 0.1 + 12 * seconds(delay));  // three round trips of slow start
    }
  }
}

TEST_CASE("network: the send buffer bounds a flow on a long way") {
  Net net({.send_buffer_bytes = 64 * 1024});
  Node& a = net.add(0, 0, 50ms);  // a round trip of 0.2 s
  Node& b = net.add(0, 0, 50ms);
  net.transfer(a, b, 1, 64 * 1024 * 50);
  net.finish();
  // Slow start: 14,480 and 28,960 and 57,920 bytes in the first three round trips, then a buffer in each.
  CHECK(at(b.last_at, 1000) - at(a.connected_at, 1) == doctest::Approx((3 + 48) * 0.2 + 0.1).epsilon(0.01));
}

TEST_CASE("network: a buffer takes little that its line has not served, so that what is said later is not late") {
  Net net;
  Node& a = net.add(100'000, 0);
  Node& b = net.add(0, 0);
  net.transfer(a, b, 1, 400'000);
  int looks = 0;
  for (const Duration when : {1s, 2s, 3s}) {
    net.world.at(Instant(when), [&] {
      ++looks;
      CHECK(net.network.room(a.ends[1]) == 0);
      CHECK(a.begin <= static_cast<std::uint32_t>(100'000 * net.seconds_now()) + 2 * 16'384);
    });
  }
  net.finish();
  CHECK(looks == 3);
  CHECK(at(b.last_at, 1000) == doctest::Approx(4).epsilon(0.01));  // nor does the line ever wait
}

TEST_CASE("network: on a way that holds more than the send buffer the buffer grows") {
  Net net;
  Node& a = net.add(10'000'000, 0, 50ms);  // 2 MB in a round trip
  Node& b = net.add(0, 20'000'000, 50ms);
  net.transfer(a, b, 1, 100'000'000);
  net.finish();
  // Slow start: eight round trips of 0.2 s until 2 MB are on their way, in which 1.5 round trips' worth is sent.
  CHECK(at(b.last_at, 1000) - at(a.connected_at, 1) == doctest::Approx(10 + 0.1 + 6.5 * 0.2).epsilon(0.03));
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

// ── TCP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST_CASE("network: slow start sends 10, 20, 40 segments in the first round trips, and again after a pause") {
  Net net({.send_buffer_bytes = 4 << 20});
  Node& a = net.add(0, 0, 25ms);  // a round trip of 100 ms
  Node& b = net.add(0, 0, 25ms);
  net.transfer(a, b, 1, 3'000'000);
  const auto received_in = [&](Instant until) {
    const std::uint64_t before = b.bytes[1000];
    net.world.run_until(until);
    return b.bytes[1000] - before;
  };
  // Connected after one round trip, the first bytes come half a one later.
  CHECK(received_in(Instant(149ms)) == 0);
  for (std::uint64_t round = 0; round < 5; ++round) {
    CAPTURE(round);
    const std::uint64_t window = 14'480u << round, received = received_in(Instant(249ms + round * 100ms));
    // Less than an eighth of a window may wait for the next acknowledgement.
    CHECK(received <= window + window / 8);
    CHECK(received >= (round < 2 ? window : window - window / 8));
  }
  net.world.run_until(Instant(5s));
  CHECK(b.bytes[1000] == 3'000'000);
  a.to_send[1] = 3'000'000;
  a.fill(ConnId{1});
  CHECK(received_in(Instant(5s + 149ms)) == 14'480);
  CHECK(received_in(Instant(5s + 249ms)) == 28'960);
}

TEST_CASE("network: under loss a flow gets MSS/RTT · 1.22/√p") {
  struct Way {
    Duration round_trip;
    double loss;
  };
  for (const Way way :
       {Way{20ms, 0.0005}, {20ms, 0.005}, {50ms, 0.002}, {100ms, 0.001}, {100ms, 0.005}, {200ms, 0.01}}) {
    CAPTURE(way.round_trip.count());
    CAPTURE(way.loss);
    Net net({.send_buffer_bytes = 4 << 20});
    Node& a = net.add(Line{0, 0, way.round_trip / 2, {}, way.loss});
    Node& b = net.add(Line{0, 0, Duration::zero()});
    const double expected = 1448 / seconds(way.round_trip) * 1.22 / std::sqrt(way.loss);
    net.transfer(a, b, 1, std::uint64_t{1} << 40);
    net.world.run_until(Instant(10s));
    const std::uint64_t before = b.bytes[1000];
    net.world.run_until(Instant(10s + 2000 * way.round_trip));
    const double rate = static_cast<double>(b.bytes[1000] - before) / (2000 * seconds(way.round_trip));
    MESSAGE("RTT " << way.round_trip / 1ms << " ms, p " << way.loss << ": " << rate / 1e3 << " kB/s, "
                   << rate / expected << " x the formula");
    CHECK(rate == doctest::Approx(expected).epsilon(0.15));
    CHECK(net.network.balanced());
  }
}

TEST_CASE("network: losses lose nothing and keep the order, closing included") {
  Net net({.chunk_bytes = 4000});
  Node& a = net.add(Line{1'000'000, 0, 5ms, 10ms, 0.05});
  Node& b = net.add(Line{0, 1'000'000, 5ms, 10ms, 0.05});
  std::vector<Duration> took;
  for (std::uint32_t conn = 1; conn <= 8; ++conn) net.transfer(a, b, conn, 500'000);
  while (net.world.step() && a.connected_at.size() < 8) {
  }
  for (const auto& [conn, end] : a.ends) net.network.send(end, as_bytes("the end"));
  net.world.run_until(Instant(60s));
  for (const auto& [conn, end] : a.ends) {
    CHECK(a.to_send[conn] == 0);
    net.network.close(end);
  }
  net.finish();
  std::map<std::uint32_t, std::uint32_t> next;  // by connection
  for (const Run& run : b.runs) {
    auto& at = next[number(run.piece)];
    if (at > 0) CHECK(run.begin >= at);
    at = run.begin + run.length;
  }
  for (std::uint32_t conn = 1000; conn < 1008; ++conn) {
    CHECK(b.bytes[conn] == 500'007);
    CHECK(b.text[conn] == "the end");
    CHECK(b.closed_at.contains(conn));
  }
}

TEST_CASE("network: jitter spreads what arrives, in the order that it was sent") {
  Net net;
  Node& a = net.add(Line{0, 0, 1ms, 20ms});
  Node& b = net.add(Line{0, 0, 1ms, Duration::zero()});
  net.network.connect(a.host, ConnId{1}, {b.host.address, 80});
  net.world.run_until(Instant(100ms));
  REQUIRE(a.ends.contains(1));
  std::vector<double> late;
  std::string sent;
  for (int i = 0; i < 400; ++i) {
    const char letter = static_cast<char>('a' + i % 26);
    sent += letter;
    const Instant now = net.world.now();
    const std::uint64_t before = b.bytes[1000];
    net.network.send(a.ends[1], as_bytes(std::string_view(&letter, 1)));
    // Every second one is sent while the one before is on its way.
    if (i % 2 == 0) {
      net.world.run_until(now + 1ms);
      continue;
    }
    while (b.bytes[1000] < before + (b.bytes[1000] == before ? 1u : 0u) || b.bytes[1000] < sent.size())
      REQUIRE(net.world.step());
    late.push_back(seconds(net.world.now() - now));
  }
  CHECK(b.text[1000] == sent);
  const auto [least, most] = std::minmax_element(late.begin(), late.end());
  CHECK(*least >= 0.002);
  CHECK(*least < 0.006);
  CHECK(*most <= 0.022);
  CHECK(*most > 0.018);
}

TEST_CASE("network: N flows through one line get the same, long ways and short ones, with headers or without") {
  for (const std::uint32_t header : {0u, 66u}) {
    for (const std::uint32_t flows : {2u, 8u, 40u}) {
      CAPTURE(header);
      CAPTURE(flows);
      Net net({.header_bytes = header});
      Node& seed = net.add(5'000'000, 0);
      std::vector<Node*> others;
      for (std::uint32_t i = 0; i < flows; ++i) others.push_back(&net.add(0, 0, 1ms + i % 4 * 5ms));
      for (std::uint32_t i = 0; i < flows; ++i) net.transfer(seed, *others[i], 1 + i, 1 << 30);
      net.world.run_until(Instant(10s));
      std::uint64_t least = 1 << 30, most = 0, all = 0;
      for (Node* node : others) {
        least = std::min(least, node->bytes[1000]);
        most = std::max(most, node->bytes[1000]);
        all += node->bytes[1000];
      }
      const double share = header == 0 ? 1 : 1448.0 / (1448 + header);
      CHECK(static_cast<double>(all) == doctest::Approx(50e6 * share).epsilon(0.02));
      CHECK(static_cast<double>(least) > 0.95 * static_cast<double>(most));
    }
  }
}

TEST_CASE("network: a line that was idle lets a burst through, and no more than that") {
  Net net;
  Line up{1'000'000, 0, 1ms}, down{0, 500'000, 1ms};
  up.burst = down.burst = 200'000;
  Node& a = net.add(up);
  Node& b = net.add(0, 0);
  Node& c = net.add(down);
  net.transfer(a, b, 1, 1'200'000);
  net.transfer(b, c, 1, 1'200'000);
  net.world.run_until(Instant(5s));
  CHECK(at(b.last_at, 1000) == doctest::Approx(1.0).epsilon(0.02));
  CHECK(at(c.last_at, 1000) == doctest::Approx(2.0).epsilon(0.02));
  a.to_send[1] = 200'000;
  a.fill(ConnId{1});
  net.finish();
  CHECK(at(b.last_at, 1000) < 5.05);
}

// ── partitions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST_CASE("network: a partition stops what crosses it and nothing else, and streams go on after it") {
  Net net;
  std::vector<Node*> nodes;
  for (int i = 0; i < 5; ++i) nodes.push_back(&net.add(1'000'000, 1'000'000));
  net.transfer(*nodes[0], *nodes[1], 1, 8'000'000);  // within the first group
  net.transfer(*nodes[2], *nodes[3], 1, 8'000'000);  // across
  net.transfer(*nodes[3], *nodes[4], 1, 8'000'000);  // to who is in no group
  net.world.at(Instant(2s), [&] { net.network.partition({{0, 1, 2}, {3}}); });
  net.world.at(Instant(3s), [&] {
    net.network.connect(nodes[0]->host, ConnId{7}, {nodes[3]->host.address, 80});
    net.network.connect(nodes[0]->host, ConnId{8}, {nodes[2]->host.address, 80});
    net.network.connect(nodes[3]->host, ConnId{9}, {nodes[0]->host.address, 81});
  });
  net.world.run_until(Instant(8s) - 1ns);
  CHECK(nodes[0]->connected_at.contains(8));
  CHECK_FALSE(nodes[0]->connected_at.contains(7));
  CHECK(nodes[3]->failed_at.empty());  // refused, if it were heard
  CHECK(nodes[3]->bytes[1000] < 2'000'000);
  CHECK(nodes[3]->bytes[1000] > 1'900'000);
  const auto before = nodes[3]->bytes[1000];
  net.world.at(Instant(9s), [&] { net.network.heal(); });
  net.finish();
  CHECK(at(nodes[1]->last_at, 1000) < 8.1);
  CHECK(at(nodes[4]->last_at, 1000) < 8.1);
  CHECK(at(nodes[0]->connected_at, 7) == doctest::Approx(10.01).epsilon(0.0005));  // tried after 3, 4, 6 and 10 s
  CHECK(at(nodes[3]->failed_at, 9) == doctest::Approx(10.01).epsilon(0.0005));
  // Cut off after 2 s, it tries again after 0.2 + 0.4 + … s: 8.2 s and, since that is too early, 14.6 s.
  CHECK(nodes[3]->bytes[1000] == 8'000'000);
  const double left = static_cast<double>(8'000'000 - before) / 1e6;
  CHECK(at(nodes[3]->last_at, 1000) == doctest::Approx(2 + 12.6 + left).epsilon(0.01));
}

TEST_CASE("network: who crashes behind a partition is missed when it has healed") {
  Net net;
  Node& a = net.add(1'000'000, 0);
  Node& b = net.add(0, 0);
  net.transfer(a, b, 1, 5'000'000);
  net.world.at(Instant(1s), [&] { net.network.partition({{0}, {1}}); });
  net.world.at(Instant(2s), [&] { net.network.crash(b.host); });
  net.world.at(Instant(5s), [&] { net.network.partition({{1}, {0}}); });  // another one takes its place
  net.world.run_until(Instant(20s));
  CHECK(a.closed_at.empty());
  net.network.heal();
  net.finish();
  CHECK(at(a.closed_at, 1) >= 20.0);
  CHECK(at(a.closed_at, 1) < 21.0);
}

// ── NATs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST_CASE("network: a NAT lets connections out, and in as its kind says") {
  for (const Nat kind : {Nat::endpoint_independent, Nat::address_dependent, Nat::address_and_port_dependent}) {
    CAPTURE(static_cast<int>(kind));
    Net net;
    Node& inside = net.add(Line{0, 0, 1ms, {}, 0, kind});
    Node& known = net.add(0, 0);
    Node& stranger = net.add(0, 0);
    const Endpoint door{inside.host.address, 80};

    net.network.connect(known.host, ConnId{1}, door);
    net.world.run_until(Instant(20s));
    CHECK(at(known.failed_at, 1) == doctest::Approx(10).epsilon(0.001));  // no mapping: not even refused

    // A connection from another port than the one that it listens at maps that other port, and nobody listens there.
    net.network.connect(inside.host, ConnId{1}, {known.host.address, 80});
    net.world.run_until(Instant(21s));
    CHECK(inside.connected_at.contains(1));
    CHECK(known.accepted_from == std::vector{inside.host.address});
    net.network.connect(known.host, ConnId{2}, door);
    net.world.run_until(Instant(40s));
    CHECK(known.failed_at.contains(2));

    net.network.connect(inside.host, ConnId{2}, {known.host.address, 80}, 80);
    net.world.run_until(Instant(41s));
    net.network.connect(stranger.host, ConnId{1}, door);
    net.network.connect(known.host, ConnId{3}, door);
    net.network.connect(known.host, ConnId{4}, door, 80);  // from the very endpoint
    net.world.run_until(Instant(60s));
    CHECK(stranger.connected_at.contains(1) == (kind == Nat::endpoint_independent));
    CHECK(stranger.failed_at.contains(1) == (kind != Nat::endpoint_independent));
    CHECK(known.connected_at.contains(3) == (kind != Nat::address_and_port_dependent));
    CHECK(known.connected_at.contains(4));

    // 4 minutes later nobody is let in any more, and what is established goes on.
    net.world.run_until(Instant(60s + 5min));
    net.network.connect(known.host, ConnId{5}, door, 80);
    inside.to_send[2] = 100'000;
    inside.fill(ConnId{2});
    net.finish();
    CHECK(known.failed_at.contains(5));
    CHECK(known.bytes[1001] == 100'000);
  }
}

TEST_CASE("network: hosts behind one NAT share its address, reach each other, and are told apart by ports") {
  Net net;
  NatBox& box = net.network.add_nat(IpAddress::v4(0x0b000001), Nat::endpoint_independent);
  Node& first = net.add(Line{0, 0, 1ms}, &box);
  Node& second = net.add(Line{0, 0, 1ms}, &box);
  Node& other = net.add(0, 0);
  net.network.connect(first.host, ConnId{1}, {other.host.address, 80}, 80);
  net.world.run_until(Instant(1s));
  net.network.connect(second.host, ConnId{1}, {other.host.address, 80}, 80);
  net.network.connect(first.host, ConnId{2}, {second.host.address, 80});  // by its inside address
  net.network.connect(other.host, ConnId{1}, {second.host.address, 80});  // which says nothing out here
  net.network.connect(other.host, ConnId{2}, {box.outside(), 80});        // preserved for the first
  net.network.connect(other.host, ConnId{3}, {box.outside(), 81});        // the next free one is the second's
  net.network.connect(other.host, ConnId{4}, {box.outside(), 82});
  net.network.connect(second.host, ConnId{3}, {box.outside(), 80});  // hairpinning, RFC 4787 REQ-9
  net.finish();
  CHECK(other.accepted_from == std::vector(2, box.outside()));
  CHECK(first.connected_at.contains(2));
  CHECK(std::count(second.accepted_from.begin(), second.accepted_from.end(), first.host.address) == 1);
  CHECK(other.failed_at.contains(1));
  CHECK(other.connected_at.contains(2));
  CHECK(other.connected_at.contains(3));
  CHECK(other.failed_at.contains(4));
  CHECK(second.connected_at.contains(3));
  CHECK(first.accepted_from.size() == 2);
  CHECK(second.accepted_from.size() == 2);
}
