#include "core/discovery/udp_announce.hh"

#include <doctest/doctest.h>

#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "wire/udp_tracker.hh"

using namespace swarm;
using namespace swarm::core;
using namespace swarm::wire;

namespace {

constexpr Instant start{1000s};
const auto tracker = *Endpoint::from("192.0.2.1:6969");

AnnounceRequest request() {
  AnnounceRequest r;
  r.info_hash.bytes[0] = 7;
  r.port = 6881;
  r.event = AnnounceEvent::started;
  return r;
}

/// One announce with what surrounds it.
struct Case {
  UdpConnectionIds ids;
  Random random{1};
  UdpAnnouncement machine;

  explicit Case(Duration budget = UdpAnnouncement::budget_ordinary, const Endpoint& at = tracker)
      : machine(at, request(), "/announce", budget, ids, random, start) {}

  UdpRequest sent(Instant now) {
    const auto datagram = machine.next_datagram(now);
    REQUIRE(datagram);
    const auto decoded = decode_udp_request(*datagram);
    REQUIRE(decoded);
    CHECK_FALSE(machine.next_datagram(now));  // one at a time
    return *decoded;
  }
  UdpConnect sent_connect(Instant now) { return std::get<UdpConnect>(sent(now)); }
  UdpAnnounce sent_announce(Instant now) { return std::get<UdpAnnounce>(sent(now)); }
};

UdpAnnounced answer(const UdpAnnounce& asked) {
  UdpAnnounced a;
  a.transaction = asked.transaction;
  a.reply.interval_s = 1800;
  a.reply.peers = {{*Endpoint::from("192.0.2.9:6881"), {}}};
  return a;
}

/// "c0 c15 a16": what is sent at which second, until the second `end` or the result, while nothing answers.
std::string sends(UdpAnnouncement& machine, Duration end) {
  std::string out;
  for (auto wake = machine.next_wake(); wake && *wake < start + end; wake = machine.next_wake()) {
    const auto datagram = machine.next_datagram(*wake);
    if (!datagram) continue;
    const bool connect = std::holds_alternative<UdpConnect>(*decode_udp_request(*datagram));
    if (!out.empty()) out += ' ';
    out += (connect ? "c" : "a") + std::to_string(static_cast<int>(seconds(*wake - start)));
  }
  return out;
}

}  // namespace

TEST_CASE("udp announce: connect, announce, done") {
  Case c;
  CHECK(c.machine.next_wake() == start);
  const auto connect = c.sent_connect(start);
  CHECK(c.machine.next_wake() == start + 15s);
  CHECK(c.machine.on_datagram(encode(UdpConnected{connect.transaction, 42}), start + 1s));
  CHECK(c.machine.next_wake() == start + 1s);
  const auto announce = c.sent_announce(start + 1s);
  CHECK(announce.connection_id == 42);
  CHECK(announce.transaction != connect.transaction);
  CHECK(announce.request.info_hash == request().info_hash);
  CHECK(announce.request.event == AnnounceEvent::started);
  CHECK(announce.url_data == "/announce");
  CHECK_FALSE(c.machine.result());
  CHECK(c.machine.on_datagram(encode(answer(announce), UdpFamily::v4), start + 2s));
  REQUIRE(c.machine.result());
  REQUIRE(c.machine.result()->has_value());
  CHECK((*c.machine.result())->interval_s == 1800);
  REQUIRE((*c.machine.result())->peers.size() == 1);
  CHECK((*c.machine.result())->peers[0].endpoint.text() == "192.0.2.9:6881");
  CHECK_FALSE(c.machine.next_wake());
  CHECK_FALSE(c.machine.next_datagram(start + 100s));
  CHECK_FALSE(c.machine.on_datagram(encode(answer(announce), UdpFamily::v4), start + 3s));
}

TEST_CASE("udp announce: the family of the datagram says how long a peer is") {
  Case c(60s, *Endpoint::from("[2001:db8::5]:80"));
  const auto connect = c.sent_connect(start);
  c.machine.on_datagram(encode(UdpConnected{connect.transaction, 1}), start);
  const auto announce = c.sent_announce(start);
  auto reply = answer(announce);
  reply.reply.peers = {{*Endpoint::from("[2001:db8::9]:1"), {}}};
  c.machine.on_datagram(encode(reply, UdpFamily::v6), start);
  REQUIRE((*c.machine.result())->peers.size() == 1);
  CHECK((*c.machine.result())->peers[0].endpoint.text() == "[2001:db8::9]:1");
}

TEST_CASE("udp announce: BEP 15's example of a connect that times out") {
  Case c(10h);
  CHECK(sends(c.machine, 8000s) == "c0 c15 c45 c105 c225 c465 c945 c1905 c3825 c7665");
  // n ends at 8: 3,840 seconds again and again.
  CHECK(sends(c.machine, 16000s) == "c11505 c15345");
}

TEST_CASE("udp announce: BEP 15's example of an announce that times out") {
  Case c(10h);
  const auto connect = c.sent_connect(start);
  REQUIRE(c.machine.on_datagram(encode(UdpConnected{connect.transaction, 42}), start + 2s));
  CHECK(sends(c.machine, 300s) == "a2 a17 a47 c107 c227");
}

TEST_CASE("udp announce: the budget is the end") {
  Case c;
  CHECK(sends(c.machine, 1h) == "c0 c15 c45");
  REQUIRE(c.machine.result());
  REQUIRE_FALSE(c.machine.result()->has_value());
  CHECK(c.machine.result()->error().exit == Exit::unreachable);
  CHECK(c.machine.result()->error().message == "no answer over UDP within 60 s");
  CHECK_FALSE(c.machine.next_wake());

  Case stopped(UdpAnnouncement::budget_stopped);
  stopped.sent_connect(start);
  CHECK(stopped.machine.next_wake() == start + 3s);
  CHECK_FALSE(stopped.machine.next_datagram(start + 3s));
  REQUIRE(stopped.machine.result());
  CHECK(stopped.machine.result()->error().message == "no answer over UDP within 3 s");
}

TEST_CASE("udp announce: late answers count, those of others do not") {
  Case c;
  const auto connect = c.sent_connect(start);
  CHECK(c.sent_connect(start + 15s).transaction == connect.transaction);
  CHECK_FALSE(c.machine.on_datagram(encode(UdpConnected{connect.transaction + 1, 42}), start + 16s));
  CHECK_FALSE(c.machine.on_datagram(encode(UdpFailed{connect.transaction + 1, "no"}), start + 16s));
  CHECK_FALSE(c.machine.on_datagram(as_bytes("short"), start + 16s));
  CHECK_FALSE(c.machine.on_datagram({}, start + 16s));
  UdpAnnounced early;  // nothing was announced yet, whatever the number
  early.transaction = connect.transaction;
  CHECK_FALSE(c.machine.on_datagram(encode(early, UdpFamily::v4), start + 16s));
  CHECK_FALSE(c.machine.on_datagram(encode(UdpScraped{connect.transaction, {}}), start + 16s));
  CHECK(c.machine.on_datagram(encode(UdpConnected{connect.transaction, 42}), start + 16s));
  CHECK_FALSE(c.machine.on_datagram(encode(UdpConnected{connect.transaction, 43}), start + 16s));  // twice
  const auto first = c.sent_announce(start + 16s);
  CHECK(c.sent_announce(start + 31s).transaction == first.transaction);
  CHECK_FALSE(c.machine.on_datagram(encode(UdpConnected{first.transaction, 43}), start + 31s));
  auto other = answer(first);
  ++other.transaction;
  CHECK_FALSE(c.machine.on_datagram(encode(other, UdpFamily::v4), start + 31s));
  CHECK(c.machine.on_datagram(encode(answer(first), UdpFamily::v4), start + 31s));
  CHECK(c.machine.result().has_value());
}

TEST_CASE("udp announce: a connection id serves every announce to that tracker for a minute") {
  Case c;
  const auto connect = c.sent_connect(start);
  c.machine.on_datagram(encode(UdpConnected{connect.transaction, 42}), start);
  const auto later = [&](Instant now, const Endpoint& at) {
    UdpAnnouncement m(at, request(), "/", 60s, c.ids, c.random, now);
    return *decode_udp_request(*m.next_datagram(now));
  };
  const auto reused = later(start + 59s, tracker);
  REQUIRE(std::holds_alternative<UdpAnnounce>(reused));
  CHECK(std::get<UdpAnnounce>(reused).connection_id == 42);
  CHECK(std::holds_alternative<UdpConnect>(later(start + 60s, tracker)));
  CHECK(std::holds_alternative<UdpConnect>(later(start, *Endpoint::from("192.0.2.1:6970"))));
  CHECK(std::holds_alternative<UdpConnect>(later(start, *Endpoint::from("192.0.2.2:6969"))));
}

TEST_CASE("udp announce: an id that came while we were connecting is used") {
  Case c;
  c.sent_connect(start);
  c.ids.keep(tracker, 42, start + 10s);
  CHECK(c.sent_announce(start + 15s).connection_id == 42);
}

TEST_CASE("udp announce: a restarted tracker costs one more connect, whether it is silent or complains") {
  SUBCASE("silent") {
    Case c;
    c.ids.keep(tracker, 42, start);
    CHECK(c.sent_announce(start).connection_id == 42);
    const auto connect = c.sent_connect(start + 15s);
    c.machine.on_datagram(encode(UdpConnected{connect.transaction, 43}), start + 16s);
    CHECK(c.sent_announce(start + 16s).connection_id == 43);
    CHECK(c.sent_announce(start + 31s).connection_id == 43);  // its own id is not doubted
  }
  SUBCASE("complains") {
    Case c;
    c.ids.keep(tracker, 42, start);
    const auto announce = c.sent_announce(start);
    CHECK(c.machine.on_datagram(encode(UdpFailed{announce.transaction, "bad connection id"}), start + 1s));
    CHECK_FALSE(c.machine.result());
    const auto connect = c.sent_connect(start + 1s);
    CHECK(c.machine.on_datagram(encode(UdpFailed{announce.transaction, "bad connection id"}), start + 1s));  // twice
    CHECK_FALSE(c.machine.result());
    c.machine.on_datagram(encode(UdpConnected{connect.transaction, 43}), start + 2s);
    c.sent_announce(start + 2s);
    CHECK(c.machine.on_datagram(encode(UdpFailed{announce.transaction, "no such torrent"}), start + 3s));
    REQUIRE(c.machine.result());
    CHECK((*c.machine.result())->failure == "no such torrent");
  }
  SUBCASE("but an id that somebody has renewed meanwhile stays") {
    Case c;
    c.ids.keep(tracker, 42, start);
    c.sent_announce(start);
    c.ids.keep(tracker, 43, start + 5s);
    CHECK(c.sent_announce(start + 15s).connection_id == 43);
  }
}

TEST_CASE("udp announce: an error is the tracker's last word") {
  Case c;
  const auto connect = c.sent_connect(start);
  CHECK(c.machine.on_datagram(encode(UdpFailed{connect.transaction, ""}), start));
  REQUIRE(c.machine.result());
  REQUIRE(c.machine.result()->has_value());
  CHECK((*c.machine.result())->failure == "no reason given");
  CHECK_FALSE(c.machine.next_wake());
}

TEST_CASE("udp announce: a reply without a body says that the torrent is not on the tracker's list") {
  const auto bodiless = [](std::uint32_t transaction) {
    auto bytes = encode(UdpFailed{transaction, ""});
    bytes[3] = 1;  // the action: announce
    return bytes;
  };
  Case c;
  const auto connect = c.sent_connect(start);
  CHECK_FALSE(c.machine.on_datagram(bodiless(connect.transaction), start));  // nothing was announced yet
  c.machine.on_datagram(encode(UdpConnected{connect.transaction, 42}), start);
  const auto announce = c.sent_announce(start);
  CHECK_FALSE(c.machine.on_datagram(bodiless(announce.transaction + 1), start + 1s));
  CHECK_FALSE(c.machine.result());
  CHECK(c.machine.on_datagram(bodiless(announce.transaction), start + 1s));
  REQUIRE(c.machine.result());
  REQUIRE(c.machine.result()->has_value());
  CHECK((*c.machine.result())->failure == "the tracker does not serve this torrent: it is not on its access list");
  CHECK_FALSE(c.machine.next_wake());

  // To an id that an earlier announce fetched it is doubted once, as every error (rule 4).
  UdpAnnouncement again(tracker, request(), "/", 60s, c.ids, c.random, start + 2s);
  const auto first = std::get<UdpAnnounce>(*decode_udp_request(*again.next_datagram(start + 2s)));
  CHECK(again.on_datagram(bodiless(first.transaction), start + 2s));
  CHECK_FALSE(again.result());
  CHECK(std::holds_alternative<UdpConnect>(*decode_udp_request(*again.next_datagram(start + 2s))));
}

TEST_CASE("udp announce: as many ids as there is room for, the oldest go") {
  UdpConnectionIds ids;
  const auto at = [](std::uint32_t i) { return Endpoint{IpAddress::v4(0x0a000000 + i), 80}; };
  for (std::uint32_t i = 0; i < 300; ++i) ids.keep(at(i), i, start + i * 1ms);
  std::size_t known = 0;
  for (std::uint32_t i = 0; i < 300; ++i) known += ids.find(at(i), start + 1s) ? 1 : 0;
  CHECK(known == UdpConnectionIds::trackers_max);
  CHECK_FALSE(ids.find(at(0), start + 1s));
  CHECK(ids.find(at(299), start + 1s) == 299u);
  ids.keep(at(299), 5, start + 2s);  // in its own place
  CHECK(ids.find(at(44), start + 2s) == 44u);
  ids.forget(at(299), 299);
  CHECK(ids.find(at(299), start + 2s) == 5u);
  ids.forget(at(299), 5);
  CHECK_FALSE(ids.find(at(299), start + 2s));
}

TEST_CASE("udp announce: on a lossy path every announce ends, and with a working tracker nearly all are answered") {
  // The tracker forgets its ids now and then and drops what carries an old one; datagrams are lost, doubled and late.
  struct Flying {
    Instant at;
    bool to_tracker;
    Buffer bytes;
  };
  int answered = 0, runs = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    UdpConnectionIds ids;
    const double loss = 0.4 * random.unit();
    std::uint64_t epoch = 1;
    Instant now = start;
    for (int n = 0; n < 4; ++n, ++runs) {
      if (random.below(3) == 0) ++epoch;
      UdpAnnouncement m(tracker, request(), "/x", 600s, ids, random, now);
      const Instant begun = now;
      std::deque<Flying> air;
      const auto send = [&](bool to_tracker, Buffer bytes) {
        for (auto copies = random.unit() < loss ? 0 : random.below(5) == 0 ? 2 : 1; copies > 0; --copies)
          air.push_back({now + from_seconds(20 * random.unit() * random.unit()), to_tracker, bytes});
      };
      while (!m.result()) {
        while (auto datagram = m.next_datagram(now)) send(true, *datagram);
        if (m.result()) break;
        auto first = air.begin();
        for (auto it = air.begin(); it != air.end(); ++it)
          if (it->at < first->at) first = it;
        if (air.empty() || *m.next_wake() <= first->at) {
          REQUIRE(*m.next_wake() >= now);
          now = *m.next_wake();
          continue;
        }
        const Flying landed = *first;
        air.erase(first);
        now = landed.at;
        if (!landed.to_tracker) {
          m.on_datagram(landed.bytes, now);
          continue;
        }
        const auto asked = *decode_udp_request(landed.bytes);
        if (const auto* connect = std::get_if<UdpConnect>(&asked)) {
          send(false, encode(UdpConnected{connect->transaction, epoch}));
        } else if (const auto& announce = std::get<UdpAnnounce>(asked); announce.connection_id == epoch) {
          send(false, encode(answer(announce), UdpFamily::v4));
        }
      }
      REQUIRE(now <= begun + 600s);
      answered += m.result()->has_value() ? 1 : 0;
      now += from_seconds(50 * random.unit());
    }
  }
  CHECK(runs == 1200);
  CHECK(answered > 1150);
}
