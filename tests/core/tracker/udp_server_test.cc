#include "core/tracker/udp_server.hh"

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/random.hh"
#include "core/tracker/notices.hh"
#include "wire/udp_tracker.hh"

using namespace swarm;
using namespace swarm::core;

namespace {

const Endpoint tracker = *Endpoint::from("192.168.1.1:6969");

Endpoint at(std::uint32_t host, std::uint16_t port = 5000) { return {IpAddress::v4(0x0a000000 + host), port}; }

InfoHash hash(std::uint8_t n) {
  InfoHash h;
  h.bytes.fill(n);
  return h;
}

struct Fixture {
  explicit Fixture(std::uint8_t key = 1, Announces::Policy policy = {})
      : announces(policy, catalogue, directory, nodes) {
    secret.fill(key);
    restart();
  }
  void restart() { server = std::make_unique<UdpServer>(secret, announces); }

  std::optional<Buffer> give(ByteView datagram, const Endpoint& from) {
    return server->on_datagram(datagram, from, tracker, now);
  }
  wire::UdpReply ask(ByteView datagram, const Endpoint& from) {
    const auto answer = give(datagram, from);
    REQUIRE(answer);
    const auto family = from.address.is_v4() ? wire::UdpFamily::v4 : wire::UdpFamily::v6;
    auto reply = wire::decode_udp_reply(*answer, family);
    REQUIRE(reply);
    return std::move(*reply);
  }
  std::uint64_t connect(const Endpoint& from) {
    const auto reply = ask(encode(wire::UdpConnect{77}), from);
    REQUIRE(std::holds_alternative<wire::UdpConnected>(reply));
    CHECK(wire::transaction_of(reply) == 77);
    return std::get<wire::UdpConnected>(reply).connection_id;
  }
  Buffer announce_of(std::uint64_t id, const InfoHash& torrent, std::uint16_t port, std::uint64_t left = 5,
                     wire::AnnounceEvent event = wire::AnnounceEvent::started) {
    wire::UdpAnnounce a;
    a.connection_id = id;
    a.transaction = ++transaction;
    a.request.info_hash = torrent;
    a.request.peer_id.bytes.fill(static_cast<std::uint8_t>(port));
    a.request.port = port;
    a.request.left = left;
    a.request.event = event;
    return encode(a);
  }
  wire::AnnounceReply announce(const InfoHash& torrent, const Endpoint& from, std::uint16_t port,
                               std::uint64_t left = 5, wire::AnnounceEvent event = wire::AnnounceEvent::started) {
    const auto reply = ask(announce_of(connect(from), torrent, port, left, event), from);
    REQUIRE(std::holds_alternative<wire::UdpAnnounced>(reply));
    CHECK(wire::transaction_of(reply) == transaction);
    return std::get<wire::UdpAnnounced>(reply).reply;
  }

  Random random{1};
  Directory directory{{}, random};
  Catalogue catalogue;
  Notices notices;
  Nodes nodes{[](const InfoHash&) { return Nodes::Facts(); }, notices};
  Announces announces;
  UdpServer::Key secret{};
  std::unique_ptr<UdpServer> server;
  Instant now{1h + 10s};
  std::uint32_t transaction = 0;
};

}  // namespace

TEST_CASE("connect, announce, scrape: two clients learn of each other") {
  Fixture f;
  CHECK(f.announce(hash(1), at(1), 6881).peers.empty());
  const auto reply = f.announce(hash(1), at(2), 6882, 0, wire::AnnounceEvent::completed);
  CHECK(reply.interval_s == 120);
  CHECK(reply.complete == 1u);
  CHECK(reply.incomplete == 1u);
  REQUIRE(reply.peers.size() == 1);
  CHECK(reply.peers[0].endpoint == at(1, 6881));
  CHECK(f.server->announced() == 2);

  wire::UdpScrape scrape;
  scrape.connection_id = f.connect(at(3));
  scrape.hashes = {hash(2), hash(1)};
  const auto scraped = f.ask(encode(scrape), at(3));
  REQUIRE(std::holds_alternative<wire::UdpScraped>(scraped));
  const auto& entries = std::get<wire::UdpScraped>(scraped).entries;
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].complete == 0);
  CHECK(entries[1].complete == 1);
  CHECK(entries[1].incomplete == 1);
  CHECK(entries[1].downloaded == 1);

  CHECK(f.announce(hash(1), at(1), 6881, 5, wire::AnnounceEvent::stopped).peers.empty());
  CHECK(f.directory.counts(hash(1)).leechers == 0);
}

TEST_CASE("IPv6 peers to IPv6 only, in 18 bytes") {
  Fixture f;
  const auto v6 = *Endpoint::from("[2001:db8::1]:1");
  const auto other = *Endpoint::from("[2001:db8::2]:1");
  f.announce(hash(1), v6, 6881);
  f.announce(hash(1), at(1), 6882);
  const auto reply = f.announce(hash(1), other, 6883);
  REQUIRE(reply.peers.size() == 1);
  CHECK(reply.peers[0].endpoint == Endpoint{v6.address, 6881});
  CHECK(f.announce(hash(1), at(2), 6884).peers.size() == 1);
}

TEST_CASE("an id is for one address, for a minute at least and two at most, and for this run") {
  for (const auto offset : {0s, 1s, 29s, 59s}) {
    Fixture f;
    f.now = Instant(1h) + offset;
    const auto id = f.connect(at(1));
    CHECK(f.give(f.announce_of(id, hash(1), 1), at(1)));
    CHECK(f.give(f.announce_of(id, hash(1), 1), at(1, 9)));  // a NAT may change the port
    CHECK_FALSE(f.give(f.announce_of(id, hash(1), 1), at(2)));
    CHECK_FALSE(f.give(f.announce_of(id + 1, hash(1), 1), at(1)));
    CHECK_FALSE(f.give(f.announce_of(0, hash(1), 1), at(1)));
    f.now += 60s;
    CHECK(f.give(f.announce_of(id, hash(1), 1), at(1)));
    CHECK(f.connect(at(1)) != id);
    f.now += 60s;
    CHECK_FALSE(f.give(f.announce_of(id, hash(1), 1), at(1)));
  }
  Fixture one(1), two(2);
  const auto id = one.connect(at(1));
  CHECK(two.connect(at(1)) != id);
  CHECK_FALSE(two.give(two.announce_of(id, hash(1), 1), at(1)));
  one.restart();
  CHECK(one.give(one.announce_of(id, hash(1), 1), at(1)));  // the same key: nothing else is kept
}

TEST_CASE("guessed ids are answered with silence, and nothing is stored of them") {
  Fixture f;
  Random random(3);
  const auto real = f.connect(at(1));
  for (int i = 0; i < 200'000; ++i) {
    const auto guess = i % 2 == 0 ? random.next() : real ^ (1ull << (i / 2 % 64));
    REQUIRE_FALSE(f.give(f.announce_of(guess, hash(1), 1), at(1)));
  }
  CHECK(f.directory.peers() == 0);
  CHECK(f.server->announced() == 0);
}

TEST_CASE("ids of different addresses and minutes have nothing in common") {
  Fixture f;
  std::set<std::uint64_t> ids;
  for (std::uint32_t i = 0; i < 10'000; ++i) ids.insert(f.connect(at(i)));
  for (int i = 0; i < 1'000; ++i) f.now += 60s, ids.insert(f.connect(at(1)));
  CHECK(ids.size() == 11'000);
}

TEST_CASE("errors go to those who showed a right id only") {
  Fixture f(1, {120, true});  // only what the catalogue holds
  const auto id = f.connect(at(1));
  const auto refused = f.ask(f.announce_of(id, hash(1), 6881), at(1));
  REQUIRE(std::holds_alternative<wire::UdpFailed>(refused));
  CHECK(std::get<wire::UdpFailed>(refused).message.find("catalogue") != std::string::npos);
  CHECK_FALSE(f.give(f.announce_of(id ^ 1, hash(1), 6881), at(1)));
  const auto no_port = f.ask(f.announce_of(id, hash(1), 0), at(1));
  REQUIRE(std::holds_alternative<wire::UdpFailed>(no_port));
  CHECK(std::get<wire::UdpFailed>(no_port).message.find("port") != std::string::npos);
}

TEST_CASE("whatever an unknown source sends, it never gets back more bytes than it sent") {
  Fixture f;
  Random random(7);
  for (std::uint8_t i = 0; i < 200; ++i) f.announce(hash(1), at(i), 6881);
  const auto real = f.connect(at(1));
  const std::vector<Buffer> seeds = {encode(wire::UdpConnect{1}), f.announce_of(real, hash(1), 6881),
                                     encode(wire::UdpScrape{real, 1, std::vector<InfoHash>(74, hash(1))})};
  std::size_t sent = 0, received = 0, answered = 0;
  for (int i = 0; i < 300'000; ++i) {
    auto datagram = seeds[random.below(seeds.size())];
    for (auto n = random.below(4); n > 0 && !datagram.empty(); --n) {
      if (random.below(3) == 0) datagram.resize(random.below(datagram.size() + 1));
      if (random.below(3) == 0) datagram.resize(datagram.size() + random.below(40));
      if (!datagram.empty()) datagram[random.below(datagram.size())] = static_cast<std::uint8_t>(random.below(256));
    }
    const auto from = at(1'000'000 + static_cast<std::uint32_t>(i), static_cast<std::uint16_t>(random.below(65536)));
    const auto answer = f.give(datagram, from);
    sent += datagram.size();
    if (!answer) continue;
    ++answered;
    received += answer->size();
    REQUIRE(answer->size() <= datagram.size());
    REQUIRE(from.port != 0);
  }
  CHECK(answered > 10'000);
  CHECK(received < sent);
  CHECK(f.directory.peers() == 200);
}
