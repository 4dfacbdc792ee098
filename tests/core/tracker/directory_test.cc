#include "core/tracker/directory.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "model/directory.hh"

using namespace swarm;
using core::Directory;

namespace {

const Instant start{1h};

InfoHash hash(std::uint64_t n) {
  InfoHash h;
  store_u64(h.bytes.data(), n * 0x9e3779b97f4a7c15u);
  store_u64(h.bytes.data() + 8, n);
  return h;
}

Endpoint at(std::uint32_t host, std::uint16_t port = 6881) { return {IpAddress::v4(0x0a000000 + host), port}; }

Directory::Peer peer(Endpoint e, bool seed = false, bool here = false) { return {e, PeerId(), seed, here}; }

struct Fixture {
  explicit Fixture(Directory::Limits limits = {}) : directory(limits, random) {}

  bool announce(std::uint64_t torrent, Endpoint e, bool seed = false) {
    return directory.announce(hash(torrent), peer(e, seed), false, 240s, now);
  }
  std::vector<Endpoint> peers(std::uint64_t torrent, Directory::Asker asker, std::size_t want = 10'000) {
    std::vector<Endpoint> out;
    const auto reach = [this](const Directory::Peer& p) { return Endpoint{here, p.endpoint.port}; };
    for (const auto& p : directory.peers_for(hash(torrent), asker, want, reach, now)) out.push_back(p.endpoint);
    std::sort(out.begin(), out.end());
    return out;
  }

  Random random{1};
  Directory directory;
  Instant now = start;
  IpAddress here = *IpAddress::from("192.168.1.1");
};

}  // namespace

TEST_CASE("a peer is told of others, never of itself") {
  Fixture f;
  f.announce(1, at(1));
  f.announce(1, at(2));
  f.announce(1, at(1, 6882));
  CHECK(f.peers(1, {at(1), {}}) == std::vector{at(1, 6882), at(2)});
  CHECK(f.peers(1, {at(9), {}}).size() == 3);
  CHECK(f.peers(2, {at(9), {}}).empty());
  CHECK(f.peers(1, {at(9), {}}, 2).size() == 2);
  CHECK(f.peers(1, {at(9), {}}, 0).empty());
  // The same peer-id from another address is the asker too.
  const auto id = *PeerId::from(as_bytes("-TR3000-abcdefghijkl"));
  f.directory.announce(hash(3), {at(1), id}, false, 240s, f.now);
  CHECK(f.peers(3, {at(2), id}).empty());
}

TEST_CASE("seeds are given leechers only") {
  Fixture f;
  f.announce(1, at(1), true);
  f.announce(1, at(2), true);
  f.announce(1, at(3));
  CHECK(f.peers(1, {at(1), {}, true}) == std::vector{at(3)});
  CHECK(f.peers(1, {at(3), {}, false}) == std::vector{at(1), at(2)});
  const auto counts = f.directory.counts(hash(1));
  CHECK(counts.seeds == 2);
  CHECK(counts.leechers == 1);
}

TEST_CASE("what nobody can use is not handed out") {
  Fixture f;
  for (const auto* bad : {"10.0.0.1:0", "0.0.0.0:1", "[::]:1", "224.0.0.1:1", "169.254.1.1:1", "[fe80::1]:1",
                          "[ff02::1]:1", "127.0.0.1:1", "[::1]:1"}) {
    f.announce(1, *Endpoint::from(bad));
  }
  f.announce(1, *Endpoint::from("[2001:db8::1]:5"));
  f.announce(1, *Endpoint::from("10.0.0.2:5"));
  CHECK(f.peers(1, {at(9), {}}) == std::vector{*Endpoint::from("10.0.0.2:5")});
  CHECK(f.peers(1, {*Endpoint::from("[2001:db8::9]:5"), {}}).size() == 2);
}

TEST_CASE("peers of the tracker's own machine: as they are for askers here, reached from elsewhere") {
  Fixture f;
  const auto local = *Endpoint::from("127.0.0.1:6881");
  f.directory.announce(hash(1), peer(local, true, true), false, 240s, f.now);
  CHECK(f.peers(1, {*Endpoint::from("127.0.0.1:7000"), {}, false, true}) == std::vector{local});
  CHECK(f.peers(1, {at(9), {}}) == std::vector{Endpoint{f.here, 6881}});
  f.here = *IpAddress::from("127.0.0.1");  // nothing better is known
  CHECK(f.peers(1, {at(9), {}}).empty());
}

TEST_CASE("stopped deletes, and silence does after the lifetime") {
  Fixture f;
  f.announce(1, at(1));
  f.announce(1, at(2));
  f.directory.remove(hash(1), at(1));
  f.directory.remove(hash(1), at(7));
  f.directory.remove(hash(7), at(1));
  CHECK(f.directory.peers() == 1);
  f.now += 239s;
  CHECK(f.peers(1, {at(9), {}}).size() == 1);
  f.now += 1s;
  CHECK(f.peers(1, {at(9), {}}).empty());  // at once, whether swept or not
  CHECK(f.directory.peers() == 1);
  f.directory.sweep(f.now);
  CHECK(f.directory.peers() == 0);
  CHECK(f.directory.torrents() == 0);
}

TEST_CASE("a large table is swept within thirty calls") {
  Fixture f;
  for (std::uint32_t i = 0; i < 20'000; ++i) f.announce(i, at(i));
  f.now += 240s;
  for (int i = 0; i < 30; ++i) f.directory.sweep(f.now);
  CHECK(f.directory.peers() == 0);
  CHECK(f.directory.torrents() == 0);
}

TEST_CASE("replies are samples: over time everybody is named, about equally often") {
  Fixture f;
  for (std::uint32_t i = 0; i < 1000; ++i) f.announce(1, at(i));
  std::map<Endpoint, int> named;
  for (int i = 0; i < 2000; ++i) {
    const auto peers = f.peers(1, {at(5000), {}}, 50);
    REQUIRE(std::set(peers.begin(), peers.end()).size() == 50);
    for (const auto& p : peers) ++named[p];
  }
  CHECK(named.size() == 1000);
  for (const auto& [p, times] : named) CHECK((times > 40 && times < 200));  // 100 expected
}

TEST_CASE("the same as naive lists, under any order of events") {
  Fixture f;
  model::Directory model;
  Random random(5);
  for (int step = 0; step < 60'000; ++step) {
    const auto torrent = random.below(6);
    const auto e = at(static_cast<std::uint32_t>(random.below(torrent == 0 ? 300 : 12)));
    const bool seed = random.below(3) == 0;
    switch (random.below(8)) {
      case 0:
        f.directory.remove(hash(torrent), e);
        model.remove(hash(torrent), e);
        break;
      case 1:
        f.now += 1s;
        f.directory.sweep(f.now);
        model.expire(f.now);
        break;
      default: {
        const auto lifetime = std::chrono::seconds(1 + random.below(300));
        f.directory.announce(hash(torrent), peer(e, seed), false, lifetime, f.now);
        model.announce(hash(torrent), e, seed, lifetime, f.now);
      }
    }
    if (step % 7 != 0) continue;
    REQUIRE(f.peers(torrent, {e, {}, seed}) == model.peers_for(hash(torrent), e, seed));
    const auto counts = f.directory.counts(hash(torrent));
    REQUIRE(counts.seeds == model.count(hash(torrent), true));
    REQUIRE(counts.leechers == model.count(hash(torrent), false));
  }
}

TEST_CASE("full: a flood of random hashes from one address evicts itself, not the swarms of others") {
  Fixture f({1000, 100'000});
  for (std::uint32_t i = 0; i < 300; ++i) {  // honest: swarms of two, and lone seeds
    f.announce(i, at(i), true);
    if (i < 200) f.announce(i, at(i + 1000));
  }
  f.directory.keep(hash(299), true);
  for (std::uint64_t i = 0; i < 200'000; ++i) REQUIRE(f.announce(1'000'000 + i, {*IpAddress::from("66.6.6.6"), 666}));
  CHECK(f.directory.torrents() == 1000);
  std::size_t shared = 0, lone = 0;
  for (std::uint32_t i = 0; i < 300; ++i) {
    const bool alive = f.directory.counts(hash(i)).seeds == 1;
    (i < 200 ? shared : lone) += alive ? 1 : 0;
  }
  CHECK(shared == 200);
  CHECK(lone >= 99);
  CHECK(f.directory.counts(hash(299)).seeds == 1);
}

TEST_CASE("full of real swarms: newcomers are refused, members stay and return") {
  Fixture f({2, 5});
  CHECK(f.announce(1, at(1)));
  CHECK(f.announce(1, at(2)));
  CHECK(f.announce(2, at(3)));
  CHECK(f.announce(3, at(4)));  // in place of swarm 2
  CHECK(f.directory.torrents() == 2);
  CHECK(f.announce(3, at(5)));
  CHECK_FALSE(f.announce(4, at(6)));
  CHECK(f.announce(1, at(6)));
  CHECK_FALSE(f.announce(1, at(7)));  // five peers, no lone one
  CHECK(f.announce(1, at(6), true));
  CHECK(f.directory.peers() == 5);
  f.directory.remove(hash(3), at(5));
  CHECK(f.announce(3, at(8)));
  f.directory.remove(hash(3), at(8));
  CHECK(f.announce(1, at(7)));
  CHECK(f.announce(3, at(9)));  // swarm 3 was the lone one: it made room for its own newcomer
  CHECK(f.directory.peers() == 5);
}

TEST_CASE("kept swarms are there when empty, and count downloads") {
  Fixture f({1, 10});
  f.directory.keep(hash(1), true);
  f.directory.announce(hash(1), peer(at(1), true), true, 240s, f.now);
  f.directory.announce(hash(1), peer(at(1), true), true, 240s, f.now);
  f.directory.remove(hash(1), at(1));
  CHECK(f.directory.torrents() == 1);
  CHECK(f.directory.counts(hash(1)).downloaded == 2);
  CHECK_FALSE(f.announce(2, at(1)));
  f.directory.keep(hash(1), false);
  CHECK(f.directory.torrents() == 0);
  f.directory.keep(hash(1), false);
  CHECK(f.announce(2, at(1)));
  CHECK(f.directory.counts(hash(2)).downloaded == 0);
}

TEST_CASE("one address cannot fill a torrent: beyond its share it is refused, others are not") {
  Directory::Limits limits;
  limits.peers_per_address_max = 50;
  Fixture f(limits);
  for (std::uint32_t i = 0; i < 20; ++i) f.announce(1, at(100 + i));
  const auto evil = *IpAddress::from("66.6.6.6");
  std::size_t taken = 0;
  for (std::uint16_t port = 1; port <= 10'000; ++port) taken += f.announce(1, {evil, port}) ? 1 : 0;
  CHECK(taken == 50);
  CHECK(f.directory.peers() == 70);
  for (std::uint16_t port = 1; port <= 50; ++port) CHECK(f.announce(1, {evil, port}, true));  // they may say more
  CHECK(f.announce(2, {evil, 1}));                                                            // elsewhere it may begin
  for (std::uint32_t i = 0; i < 1'000; ++i) CHECK(f.announce(1, at(1'000 + i)));
  f.directory.remove(hash(1), {evil, 7});
  CHECK(f.announce(1, {evil, 20'000}));
  CHECK_FALSE(f.announce(1, {evil, 20'001}));
  // What expires makes room, too.
  f.now += 240s;
  for (int i = 0; i < 30; ++i) f.directory.sweep(f.now);
  CHECK(f.directory.peers() == 0);
  taken = 0;
  for (std::uint16_t port = 1; port <= 100; ++port) taken += f.announce(1, {evil, port}) ? 1 : 0;
  CHECK(taken == 50);
}

TEST_CASE("over IPv6, one network counts as one address") {
  Directory::Limits limits;
  limits.peers_per_address_max = 10;
  Fixture f(limits);
  std::size_t taken = 0;
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    auto e = *Endpoint::from("[2001:db8:1:2::]:5");
    store_u32(&e.address.bytes[12], i);
    taken += f.announce(1, e) ? 1 : 0;
  }
  CHECK(taken == 10);
  CHECK(f.announce(1, *Endpoint::from("[2001:db8:1:3::1]:5")));
}

TEST_CASE("one address begins so many torrents, and the room comes back with them") {
  Directory::Limits limits{1'000, 10'000, 256, 100};
  Fixture f(limits);
  const Endpoint evil{*IpAddress::from("66.6.6.6"), 1};
  std::size_t taken = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) taken += f.announce(i, evil) ? 1 : 0;
  CHECK(taken == 100);
  CHECK(f.announce(5, evil));               // known
  CHECK(f.announce(5, {evil.address, 2}));  // of a torrent that is known
  CHECK(f.announce(20'000, at(1)));         // others
  CHECK(f.announce(20'000, evil));          // at others' torrents
  for (std::uint64_t i = 0; i < 50; ++i) f.directory.remove(hash(i), evil);
  taken = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) taken += f.announce(30'000 + i, evil) ? 1 : 0;
  CHECK(taken == 49);  // torrent 5 still has its second peer
  f.now += 240s;
  for (int i = 0; i < 30; ++i) f.directory.sweep(f.now);
  CHECK(f.directory.torrents() == 0);
  CHECK(f.announce(1, evil));
}

TEST_CASE("a million random hashes from one address, several ports each, leave an honest swarm whole") {
  Fixture f;
  for (std::uint32_t i = 0; i < 100; ++i) f.announce(1, at(i), i % 10 == 0);
  for (std::uint32_t i = 0; i < 1'000; ++i) f.announce(100 + i, at(i)), f.announce(100 + i, at(i + 1));
  Random random(9);
  const auto evil = *IpAddress::from("66.6.6.6");
  InfoHash noise;
  for (std::uint32_t i = 0; i < 1'000'000; ++i) {
    if (i % 3 == 0) random.fill(noise.bytes);
    f.directory.announce(noise, peer({evil, static_cast<std::uint16_t>(1 + i % 3)}), false, 240s, f.now);
  }
  CHECK(f.directory.torrents() <= 1'001 + Directory::Limits().torrents_per_address_max);
  CHECK(f.directory.counts(hash(1)).seeds == 10);
  CHECK(f.directory.counts(hash(1)).leechers == 90);
  for (std::uint32_t i = 0; i < 1'000; ++i) REQUIRE(f.directory.counts(hash(100 + i)).leechers == 2);
  CHECK(f.announce(99'999'999, at(5'000)));  // newcomers still get in
}

TEST_CASE("full: swarms that one address made of several ports go before those of two addresses") {
  Fixture f({500, 100'000});
  for (std::uint32_t i = 0; i < 100; ++i) f.announce(i, at(i)), f.announce(i, at(i + 1'000));
  const auto evil = *IpAddress::from("66.6.6.6");
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    REQUIRE(f.announce(1'000'000 + i, {evil, 1}));
    REQUIRE(f.announce(1'000'000 + i, {evil, 2}));
  }
  CHECK(f.directory.torrents() == 500);
  for (std::uint32_t i = 0; i < 100; ++i) REQUIRE(f.directory.counts(hash(i)).leechers == 2);
}
