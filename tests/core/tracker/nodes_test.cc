#include "core/tracker/nodes.hh"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "base/random.hh"
#include "model/copies.hh"

using namespace swarm;
using namespace swarm::core;

namespace {

InfoHash hash(std::uint8_t n) {
  InfoHash h;
  h.bytes.fill(n);
  return h;
}

Endpoint at(std::uint32_t host) { return {IpAddress::v4(0x0a000000 + host), 6881}; }

std::string id_of(std::uint64_t n) {
  Buffer b(8);
  store_u64(b.data(), n);
  return to_hex(b);
}

struct Fixture {
  Notices notices;
  std::map<InfoHash, Nodes::Facts> catalogue;
  Nodes nodes{[this](const InfoHash& h) {
                const auto found = catalogue.find(h);
                return found == catalogue.end() ? Nodes::Facts{to_hex(h), 0, 0} : found->second;
              },
              notices};
  Instant now{1h};
  std::map<std::uint64_t, std::uint64_t> sequences;

  Fixture() { catalogue[hash(1)] = {"debian.iso", 1000, 10}; }

  wire::BeatTorrent torrent(std::uint64_t left, std::optional<Buffer> have = {}) {
    wire::BeatTorrent t;
    t.info_hash = hash(1);
    t.left = left;
    t.pieces = 10;
    t.complete = left == 0;
    t.have = std::move(have);
    return t;
  }
  void beat(std::uint64_t node, std::vector<wire::BeatTorrent> torrents, bool leaving = false) {
    wire::Beat b;
    b.node = id_of(node);
    b.name = "node" + std::to_string(node);
    store_u64(b.peer_id.bytes.data(), node);
    b.port = 6881;
    b.sequence = ++sequences[node];
    b.leaving = leaving;
    b.torrents = std::move(torrents);
    nodes.on_beat(b, at(static_cast<std::uint32_t>(node)), 1s, now);
  }
  void announce(const char* peer_id, std::uint32_t host, std::optional<std::uint64_t> left,
                wire::AnnounceEvent event = wire::AnnounceEvent::none) {
    wire::AnnounceRequest r;
    r.info_hash = hash(1);
    r.peer_id = *PeerId::from(as_bytes(peer_id));
    r.port = 6881;
    r.left = left;
    r.event = event;
    nodes.on_announce(r, at(host), 120s, now);
  }
  /// The notices as one line.
  std::string told() {
    std::string out;
    for (const auto& n : notices.take()) {
      if (const auto* j = std::get_if<NodeJoined>(&n))
        out += "joined " + j->name + " " + j->role + (j->plain ? " plain" : "");
      if (const auto* l = std::get_if<NodeLeft>(&n)) out += "left " + l->name + (l->silent ? " silent" : "");
      if (const auto* s = std::get_if<NodeShares>(&n)) out += s->name + " shares " + s->file;
      if (const auto* g = std::get_if<NodeGets>(&n)) out += g->name + " gets " + g->file;
      if (const auto* c = std::get_if<NodeCompleted>(&n)) out += c->name + " completed " + c->file;
      if (const auto* c = std::get_if<NodeChecked>(&n)) {
        out += c->name + (c->pieces.ok ? " ok " : " BAD ") + std::to_string(c->pieces.first) + "+" +
               std::to_string(c->pieces.count);
      }
      out += "; ";
    }
    return out;
  }
};

}  // namespace

TEST_CASE("a node's life as it is told") {
  Fixture f;
  f.beat(1, {f.torrent(0)});
  CHECK(f.told() == "joined node1 seeder; node1 shares debian.iso; ");
  auto t = f.torrent(1000, Buffer{0, 0});
  f.beat(2, {t});
  CHECK(f.told() == "joined node2 leecher; node2 gets debian.iso; ");
  t = f.torrent(700);
  t.gained = {{0, 3}};
  t.checks = {{0, 2, true, {}}, {2, 1, true, {}}, {5, 1, false, {at(1)}}, {6, 1, false, {}}};
  f.beat(2, {t});
  CHECK(f.told() == "node2 ok 0+3; node2 BAD 5+1; node2 BAD 6+1; ");
  f.beat(2, {f.torrent(0)});
  f.beat(2, {f.torrent(0)});
  CHECK(f.told() == "node2 completed debian.iso; ");
  f.beat(2, {f.torrent(0)}, true);
  CHECK(f.told() == "left node2; ");
  f.now += 59s;
  f.nodes.sweep(f.now);
  CHECK(f.told().empty());
  f.now += 1s;
  f.nodes.sweep(f.now);
  CHECK(f.told() == "left node1 silent; ");
  CHECK(f.nodes.empty());
  CHECK(f.nodes.torrents().empty());
  f.beat(3, {}, true);  // one that we never met says goodbye
  CHECK(f.nodes.empty());
}

TEST_CASE("percent, bytes and roles in the view") {
  Fixture f;
  f.beat(1, {f.torrent(0)});
  auto t = f.torrent(677);
  t.rate_down = 5;
  t.rate_up = 6;
  t.peers = 7;
  f.beat(2, {t});
  const auto view = f.nodes.view(100, f.now);
  REQUIRE(view.size() == 2);
  CHECK(view[0].id == id_of(1));
  CHECK(view[0].role == "seeder");
  CHECK(view[0].address == "10.0.0.1:6881");
  CHECK_FALSE(view[0].plain);
  CHECK(view[0].files[0].percent == 100);
  CHECK(view[0].files[0].bytes_done == 1000);
  CHECK(view[1].role == "leecher");
  CHECK(view[1].files[0].name == "debian.iso");
  CHECK(view[1].files[0].percent == doctest::Approx(32.3));
  CHECK(view[1].files[0].bytes_done == 323);
  CHECK(view[1].files[0].rate_down == 5);
  CHECK(view[1].files[0].rate_up == 6);
  CHECK(view[1].files[0].peers == 7);
  CHECK(f.nodes.view(1, f.now).size() == 1);
}

TEST_CASE("100 percent is only for those that say they are whole; who knows no size yet has nothing") {
  Fixture f;
  auto t = f.torrent(0);
  t.complete = false;  // all there, not all verified
  f.beat(1, {t});
  CHECK(f.nodes.view(9, f.now)[0].files[0].percent == 99.99);
  CHECK(f.nodes.view(9, f.now)[0].role == "leecher");
  t.pieces = 0;  // from a magnet link, without metadata
  f.beat(2, {t});
  CHECK(f.nodes.view(9, f.now)[1].files[0].percent == 0);
}

TEST_CASE("a torrent that is not in the catalogue: percent from the bitmap") {
  Fixture f;
  f.catalogue.clear();
  f.beat(1, {f.torrent(600, Buffer{0b11110000, 0})});
  const auto file = f.nodes.view(9, f.now)[0].files[0];
  CHECK(file.percent == 40);
  CHECK(file.bytes_done == 400);
  CHECK(file.name == to_hex(hash(1)));
  CHECK(f.nodes.copies(hash(1)) == doctest::Approx(0.4));
  CHECK(f.nodes.pieces(hash(1)) == 10);
  CHECK(f.nodes.torrents() == std::vector{hash(1)});
}

TEST_CASE("a bitmap is asked for until it is known, and then only added to") {
  Fixture f;
  f.beat(1, {f.torrent(1000)});
  CHECK(f.nodes.wants_have(id_of(1), hash(1)));
  auto t = f.torrent(900);
  t.gained = {{0, 1}};
  f.beat(1, {t});
  CHECK(f.nodes.wants_have(id_of(1), hash(1)));
  CHECK(f.nodes.copies(hash(1)) == 0);
  f.beat(1, {f.torrent(900, Buffer{0x80, 0})});
  CHECK_FALSE(f.nodes.wants_have(id_of(1), hash(1)));
  CHECK(f.nodes.copies(hash(1)) == doctest::Approx(0.1));
  t.gained = {{0, 2}, {9, 1}};
  f.beat(1, {t});
  f.beat(1, {t});
  CHECK(f.nodes.copies(hash(1)) == doctest::Approx(0.3));
  t.gained = {{0xffffffff, 0xffffffff}, {10, 5}, {8, 4'000'000'000}};
  f.beat(1, {t});
  CHECK(f.nodes.copies(hash(1)) == doctest::Approx(0.4));
  f.beat(1, {f.torrent(900, Buffer{0x80, 0x01})});  // spare bits set: not a bitmap of ten pieces
  CHECK(f.nodes.copies(hash(1)) == doctest::Approx(0.4));
  f.beat(1, {f.torrent(900, Buffer{0x80})});
  CHECK(f.nodes.copies(hash(1)) == doctest::Approx(0.4));
  f.beat(1, {f.torrent(0)});
  CHECK(f.nodes.copies(hash(1)) == 1);
  f.beat(1, {f.torrent(500)});  // it lost data
  CHECK(f.nodes.copies(hash(1)) == 0);
  CHECK(f.nodes.wants_have(id_of(1), hash(1)));
  CHECK_FALSE(f.nodes.wants_have(id_of(1), hash(2)));
  CHECK_FALSE(f.nodes.wants_have(id_of(9), hash(1)));
}

TEST_CASE("nodes that disagree with the catalogue on the pieces are not counted") {
  Fixture f;
  auto t = f.torrent(900, Buffer{0xff, 0xff, 0xff});
  t.pieces = 24;
  f.beat(1, {t});
  CHECK(f.nodes.pieces(hash(1)) == 10);
  CHECK(f.nodes.copies(hash(1)) == 0);
  CHECK_FALSE(f.nodes.wants_have(id_of(1), hash(1)));
}

TEST_CASE("a liar who came first is forgotten when the catalogue knows better") {
  Fixture f;
  f.catalogue.clear();
  auto t = f.torrent(900, Buffer{0xff, 0xff, 0xf0});
  t.pieces = 24;
  f.beat(1, {t});
  f.beat(2, {f.torrent(0)});
  CHECK(f.nodes.copies(hash(1)) == doctest::Approx(1 + 20.0 / 24));
  f.catalogue[hash(1)] = {"debian.iso", 1000, 10};
  f.beat(3, {f.torrent(500, Buffer{0xf8, 0})});
  CHECK(f.nodes.pieces(hash(1)) == 10);
  CHECK(f.nodes.copies(hash(1)) == 1.5);
}

TEST_CASE("an old beat counts as a sign of life and no more") {
  Fixture f;
  f.sequences[1] = 10;
  f.beat(1, {f.torrent(500)});
  f.told();
  f.sequences[1] = 3;
  f.now += 50s;
  f.beat(1, {f.torrent(0)});
  CHECK(f.told().empty());
  f.now += 50s;
  f.nodes.sweep(f.now);
  CHECK(f.nodes.size() == 1);
}

TEST_CASE("stopped takes one torrent away") {
  Fixture f;
  f.beat(1, {f.torrent(0)});
  auto t = f.torrent(0);
  t.event = "stopped";
  f.beat(1, {t});
  f.beat(1, {t});
  CHECK(f.nodes.view(9, f.now)[0].files.empty());
  CHECK(f.nodes.view(9, f.now)[0].role == "leecher");
  CHECK(f.nodes.copies(hash(1)) == 0);
  CHECK(f.nodes.torrents().empty());
}

TEST_CASE("seen: now while beats come as expected, the age when a node is silent") {
  Fixture f;
  f.beat(1, {f.torrent(500)});  // moving: a beat a second
  f.beat(2, {f.torrent(0)});    // idle: every 15 s
  f.now += 2900ms;
  for (const auto& n : f.nodes.view(9, f.now)) CHECK(n.seen_s == 0);
  f.now += 100ms;
  auto view = f.nodes.view(9, f.now);
  CHECK(view[0].seen_s == 0);
  CHECK(view[1].name == "node1");
  CHECK(view[1].seen_s == doctest::Approx(3));
  f.now += 42s;
  view = f.nodes.view(9, f.now);
  CHECK(view[0].seen_s == doctest::Approx(45));
  CHECK(view[1].seen_s == doctest::Approx(45));
}

TEST_CASE("plain clients: named by their peer-id, percent from left, forgotten after two intervals") {
  Fixture f;
  f.announce("A2-1-36-0-abcdefghij", 7, 250, wire::AnnounceEvent::started);
  CHECK(f.told() == "joined aria2 leecher plain; aria2 gets debian.iso; ");
  auto view = f.nodes.view(9, f.now);
  REQUIRE(view.size() == 1);
  CHECK(view[0].plain);
  CHECK(view[0].name == "aria2");
  CHECK(view[0].id == "10.0.0.7:6881");
  CHECK(view[0].address == "10.0.0.7:6881");
  CHECK(view[0].role == "leecher");
  CHECK(view[0].files[0].percent == 75);
  CHECK(f.nodes.copies(hash(1)) == 0);

  f.now += 100s;
  f.announce("A2-1-36-0-abcdefghij", 7, 0, wire::AnnounceEvent::completed);
  CHECK(f.told() == "aria2 completed debian.iso; ");
  CHECK(f.nodes.copies(hash(1)) == 1);
  CHECK(f.nodes.view(9, f.now)[0].role == "seeder");
  f.now += 239s;
  f.nodes.sweep(f.now);
  CHECK(f.nodes.view(9, f.now)[0].seen_s == doctest::Approx(239));
  f.now += 1s;
  f.nodes.sweep(f.now);
  CHECK(f.told() == "left aria2 silent; ");
  CHECK(f.nodes.empty());

  f.announce("-TR3000-abcdefghijkl", 8, 0);
  f.announce("-TR3000-abcdefghijkl", 8, 0, wire::AnnounceEvent::stopped);
  f.announce("-TR3000-abcdefghijkl", 8, 0, wire::AnnounceEvent::stopped);
  CHECK(f.told() == "joined Transmission seeder plain; Transmission shares debian.iso; left Transmission; ");
  CHECK(f.nodes.torrents().empty());
}

TEST_CASE("a plain client on two addresses is shown once, swarm's own announces not at all") {
  Fixture f;
  f.announce("-LT2080-abcdefghijkl", 1, 0);
  f.announce("-LT2080-abcdefghijkl", 2, 0);
  CHECK(f.nodes.view(9, f.now).size() == 1);
  CHECK(f.nodes.copies(hash(1)) == 1);
  f.announce("-LT2080-zzzzzzzzzzzz", 1, 0);  // restarted
  f.announce("-LT2080-abcdefghijkl", 2, 0);  // so this is somebody else
  CHECK(f.nodes.view(9, f.now).size() == 2);
  f.announce("-SW0100-abcdefghijkl", 5, 0);
  CHECK(f.nodes.view(9, f.now).size() == 2);
  f.announce("-XX0100-abcdefghijkl", 6, {});
  CHECK(f.nodes.view(9, f.now)[2].files[0].percent == 0);
}

TEST_CASE("names that cannot be shown are not, and a node without one is its address") {
  Fixture f;
  wire::Beat b;
  b.node = id_of(1);
  b.name = "evil\x1b[2J" + std::string(300, 'x');
  f.nodes.on_beat(b, at(1), 1s, f.now);
  CHECK(f.nodes.view(9, f.now)[0].name.find('\x1b') == std::string::npos);
  CHECK(f.nodes.view(9, f.now)[0].name.size() < 80);
  b.node = id_of(2);
  b.name.clear();
  f.nodes.on_beat(b, at(2), 1s, f.now);
  CHECK(f.nodes.view(9, f.now)[0].name == "10.0.0.2");
}

TEST_CASE("addresses are found by peer-id as long as the node is there") {
  Fixture f;
  wire::Beat b;
  b.node = id_of(1);
  b.name = "n";
  b.peer_id.bytes.fill(1);
  b.addresses.assign(100, *IpAddress::from("192.168.1.5"));
  f.nodes.on_beat(b, at(1), 1s, f.now);
  REQUIRE(f.nodes.addresses(b.peer_id) != nullptr);
  CHECK(f.nodes.addresses(b.peer_id)->size() == 16);
  CHECK(f.nodes.endpoint(id_of(1)) == at(1));
  CHECK_FALSE(f.nodes.endpoint(id_of(2)));
  const auto old = b.peer_id;
  b.peer_id.bytes.fill(2);
  f.nodes.on_beat(b, at(1), 1s, f.now);
  CHECK(f.nodes.addresses(old) == nullptr);
  b.leaving = true;
  f.nodes.on_beat(b, at(1), 1s, f.now);
  CHECK(f.nodes.addresses(b.peer_id) == nullptr);
}

TEST_CASE("what is kept is bounded") {
  Fixture f;
  for (std::uint64_t i = 0; i < Nodes::nodes_max + 10; ++i) f.beat(i, {});
  CHECK(f.nodes.size() == Nodes::nodes_max);
  f.beat(3, {f.torrent(0)});  // those that are known go on
  CHECK(f.nodes.copies(hash(1)) == 1);
  for (std::uint32_t i = 0; i < Nodes::plain_max + 10; ++i) {
    auto id = std::string("-TR3000-") + id_of(i).substr(4);
    f.announce(id.c_str(), 100'000 + i, 5);
  }
  CHECK(f.nodes.view(100'000, f.now).size() == Nodes::nodes_max + Nodes::plain_max);
  std::vector<wire::BeatTorrent> many(Nodes::shares_max + 5);
  for (std::size_t i = 0; i < many.size(); ++i) store_u64(many[i].info_hash.bytes.data(), i);
  f.beat(5, many);
  CHECK(f.nodes.torrents().size() == Nodes::shares_max + 1);
}

TEST_CASE("copies through beats equal a count from scratch") {
  Random random(31);
  for (int round = 0; round < 40; ++round) {
    Fixture f;
    f.catalogue.clear();
    struct Twin {
      bool whole = false;
      bool known = false;
      std::vector<bool> has;
    };
    std::map<std::uint64_t, Twin> twins;
    for (int step = 0; step < 200; ++step) {
      const auto n = random.below(8);
      auto t = f.torrent(500);
      if (random.below(12) == 0) {
        f.beat(n, {f.torrent(1)}, true);
        twins.erase(n);
      } else {
        auto& twin = twins[n];
        if (twin.has.empty()) twin.has.resize(10);
        for (auto g = random.below(3); g > 0; --g) {
          const auto p = static_cast<std::uint32_t>(random.below(10));
          if (!twin.whole && !twin.has[p]) t.gained.push_back({p, 1}), twin.has[p] = true;
        }
        if (random.below(15) == 0) twin = {true, true, std::vector<bool>(10, true)};
        if (twin.whole) t.complete = true;
        if (!twin.whole && (!twin.known || random.below(5) == 0) && random.below(2) == 0) {
          Bitfield b(10);
          for (std::size_t i = 0; i < 10; ++i) b.set(i, twin.has[i]);
          t.have = to_buffer(b.bytes());
          twin.known = true;
        }
        f.beat(n, {t});
      }
      std::uint32_t whole = 0;
      std::vector<std::vector<bool>> bitmaps;
      for (const auto& [id, twin] : twins) {
        if (twin.whole)
          ++whole;
        else if (twin.known)
          bitmaps.push_back(twin.has);
      }
      REQUIRE(f.nodes.copies(hash(1)) == doctest::Approx(model::copies(10, whole, bitmaps)));
    }
  }
}

TEST_CASE("what clients of one address can show is bounded, and so is what all of them do") {
  Fixture f;
  const auto announce = [&f](std::uint64_t torrent, const Endpoint& from) {
    wire::AnnounceRequest r;
    store_u64(r.info_hash.bytes.data(), torrent);
    r.peer_id = *PeerId::from(as_bytes("-TR3000-abcdefghijkl"));
    store_u64(&r.peer_id.bytes[8], from.port + torrent * 65'536);
    r.port = from.port;
    r.left = 1;
    f.nodes.on_announce(r, from, 120s, f.now);
  };
  const auto evil = *IpAddress::from("66.6.6.6");
  for (std::uint16_t port = 1; port <= 1'000; ++port) announce(1, {evil, port});
  CHECK(f.nodes.plain() == Nodes::plain_per_address_max);
  announce(1, at(1));
  CHECK(f.nodes.plain() == Nodes::plain_per_address_max + 1);

  // 4,000 clients of 1,000 torrents each would be four million.
  for (std::uint32_t host = 0; host < 300; ++host) {
    for (std::uint64_t torrent = 0; torrent < 1'100; ++torrent) announce(1'000'000 * host + torrent, at(100 + host));
  }
  CHECK(f.nodes.torrents().size() <= Nodes::all_shares_max);
  CHECK(f.nodes.torrents().size() > Nodes::all_shares_max / 2);
  const auto before = f.nodes.plain();
  announce(7, at(9'999));  // not shown, nor announced as joined
  CHECK(f.nodes.plain() == before);
  f.notices.take();
  f.now += 240s;
  f.nodes.sweep(f.now);
  CHECK(f.nodes.empty());
  CHECK(f.nodes.torrents().empty());
  announce(7, at(9'999));
  CHECK(f.nodes.plain() == 1);
}

TEST_CASE("bytes are counted from a node's first beat on, and never taken back") {
  Fixture f;
  auto t = f.torrent(500);
  t.bytes_down = 1'000;
  f.beat(1, {t});
  CHECK(f.nodes.bytes_down() == 0);
  t.bytes_down = 1'600;
  t.bytes_up = 50;
  f.beat(1, {t});
  CHECK(f.nodes.bytes_down() == 600);
  CHECK(f.nodes.bytes_up() == 50);
  t.bytes_down = 3;  // it began anew
  f.beat(1, {t});
  CHECK(f.nodes.bytes_down() == 600);
  t.bytes_down = 5;
  f.beat(1, {t});
  CHECK(f.nodes.bytes_down() == 602);
  f.beat(1, {}, true);
  CHECK(f.nodes.bytes_down() == 602);
}
