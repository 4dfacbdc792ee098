#include "core/discovery/pex.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/random.hh"

using namespace swarm;
using core::Pex;
using wire::PexMessage;
using wire::PexPeer;

namespace {

constexpr Instant start{1000s};

Endpoint at(std::string_view text) { return *Endpoint::from(text); }
Endpoint host(std::uint32_t n, std::uint16_t port = 6881) { return {IpAddress::v4(0x0a000000 + n), port}; }

const auto peer = host(0x00ffff);

std::vector<PexPeer> hosts(std::uint32_t first, std::uint32_t count) {
  std::vector<PexPeer> out;
  for (std::uint32_t i = 0; i < count; ++i) out.push_back({host(first + i), 0});
  return out;
}

std::set<Endpoint> endpoints(const std::vector<PexPeer>& peers) {
  std::set<Endpoint> out;
  for (const auto& p : peers) out.insert(p.endpoint);
  return out;
}

}  // namespace

TEST_CASE("pex: the first soon after the handshake, then a minute apart, and only differences") {
  Pex pex(peer, start);
  CHECK(pex.next_wake() == start + 3s);
  auto connected = hosts(1, 2);
  CHECK_FALSE(pex.next(connected, start + 2s));
  auto m = pex.next(connected, start + 3s);
  REQUIRE(m);
  CHECK(m->added == connected);
  CHECK(m->dropped.empty());
  CHECK(pex.next_wake() == start + 63s);

  // One goes, one comes, one comes and goes again, one goes and comes back: two of that are told.
  connected = {{host(2), 0}, {host(3), wire::pex_seed}};
  CHECK_FALSE(pex.next(connected, start + 62s));
  m = pex.next(connected, start + 63s);
  REQUIRE(m);
  CHECK(m->added == std::vector<PexPeer>{{host(3), wire::pex_seed}});
  CHECK(m->dropped == std::vector<Endpoint>{host(1)});

  // Nothing new: no message, and soon another look.
  CHECK_FALSE(pex.next(connected, start + 123s));
  CHECK(pex.next_wake() == start + 133s);
  CHECK_FALSE(pex.next({}, start + 132s));
  m = pex.next({}, start + 133s);
  REQUIRE(m);
  CHECK(m->added.empty());
  CHECK(m->dropped.size() == 2);
}

TEST_CASE("pex: fifty and fifty, those that can be reached first, the rest a minute later") {
  Pex pex(peer, start);
  auto connected = hosts(1, 70);
  for (std::size_t i = 40; i < 70; ++i) connected[i].flags = wire::pex_reachable;
  auto m = pex.next(connected, start + 3s);
  REQUIRE(m);
  REQUIRE(m->added.size() == 50);
  for (std::size_t i = 0; i < 30; ++i) CHECK(m->added[i].endpoint == host(41 + static_cast<std::uint32_t>(i)));
  CHECK(m->added[30].endpoint == host(1));
  m = pex.next(connected, start + 63s);
  REQUIRE(m);
  CHECK(m->added.size() == 20);
  m = pex.next({}, start + 123s);
  REQUIRE(m);
  CHECK(m->dropped.size() == 50);
  m = pex.next({}, start + 183s);
  REQUIRE(m);
  CHECK(m->dropped.size() == 20);
}

TEST_CASE("pex: nobody is told of itself, twice of one, of what is no address, or of another machine's loopback") {
  Pex pex(peer, start);
  const std::vector<PexPeer> connected = {{peer, 0},          {host(1), 0},           {host(1), 1},
                                          {host(2, 0), 0},    {at("127.0.0.1:5"), 0}, {at("169.254.1.1:5"), 0},
                                          {at("[::]:5"), 0},  {at("224.0.0.1:5"), 0}, {at("[fe80::1]:5"), 0},
                                          {at("[::1]:5"), 0}, {at("[ff02::1]:5"), 0}, {at("[2001:db8::1]:5"), 0}};
  const auto m = pex.next(connected, start + 3s);
  REQUIRE(m);
  CHECK(endpoints(m->added) == std::set{host(1), at("[2001:db8::1]:5")});
  CHECK(m->added.size() == 2);

  Pex local(at("127.0.0.1:9"), start);
  const auto to_local = local.next(connected, start + 3s);
  REQUIRE(to_local);
  CHECK(endpoints(to_local->added) == std::set{peer, host(1), at("127.0.0.1:5"), at("[::1]:5"), at("[2001:db8::1]:5")});
  CHECK(pex.on_message({connected, {}}, start).size() == 2);
  CHECK(Pex(at("[fe80::9]:1"), start).on_message({connected, {}}, start).size() == 5);
}

TEST_CASE("pex: one message in 45 seconds counts") {
  Pex pex(peer, start);
  CHECK(pex.on_message({hosts(1, 3), {}}, start) == hosts(1, 3));
  CHECK(pex.on_message({hosts(10, 3), {}}, start + 44s).empty());
  CHECK(pex.on_message({hosts(20, 3), {}}, start + 45s) == hosts(20, 3));
  CHECK(pex.on_message({hosts(30, 3), {}}, start + 89s).empty());
  CHECK(pex.on_message({hosts(20, 4), {}}, start + 90s) == hosts(23, 1));  // the known ones are not new
}

TEST_CASE("pex: a hundred addresses of one peer, and what it drops makes room") {
  Pex pex(peer, start);
  CHECK(pex.on_message({hosts(1, 200), {}}, start).size() == 100);
  CHECK(pex.on_message({hosts(1000, 50), {}}, start + 45s).empty());
  CHECK(pex.on_message({hosts(1000, 50), {host(1), host(2), host(5000)}}, start + 90s) == hosts(1000, 2));
  Pex other(peer, start);
  other.on_message({hosts(1, 1), {}}, start);
  CHECK(other.on_message({hosts(100, 200), {}}, start + 45s).size() == 50);
  CHECK(other.on_message({hosts(400, 200), {}}, start + 90s).size() == 49);
}

TEST_CASE("pex: no peer aims us at all ports of one machine") {
  Pex pex(peer, start);
  PexMessage m;
  for (std::uint16_t port = 1; port <= 60; ++port) m.added.push_back({host(7, port), 0});
  m.added.push_back({host(8), 0});
  const auto believed = pex.on_message(m, start);
  CHECK(believed.size() == 5);
  CHECK(believed.back().endpoint == host(8));
  CHECK(pex.on_message(m, start + 45s).empty());
}

TEST_CASE("pex: whatever comes and goes, the other side's picture becomes ours, and no message breaks BEP 11's rules") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Pex pex(peer, start);
    std::vector<PexPeer> connected;
    std::set<Endpoint> picture;
    std::optional<Instant> last;
    Instant now = start;
    for (int step = 0; step < 300; ++step) {
      const bool calm = step >= 200;  // nothing changes any more: the picture must be complete soon
      for (auto n = calm ? 0 : random.below(12); n > 0; --n) {
        if (random.below(2) == 0 || connected.empty()) {
          connected.push_back(
              {host(1 + static_cast<std::uint32_t>(random.below(300))), static_cast<std::uint8_t>(random.below(32))});
        } else {
          connected.erase(connected.begin() + static_cast<std::ptrdiff_t>(random.below(connected.size())));
        }
      }
      now = calm ? pex.next_wake() : now + from_seconds(20 * random.unit());
      const auto m = pex.next(connected, now);
      REQUIRE(pex.next_wake() > now);
      if (!m) continue;
      if (last) REQUIRE(now >= *last + 60s);
      last = now;
      REQUIRE(m->added.size() + m->dropped.size() > 0);
      REQUIRE(m->added.size() <= 50);
      REQUIRE(m->dropped.size() <= 50);
      for (const auto& added : m->added) REQUIRE(picture.insert(added.endpoint).second);
      for (const auto& dropped : m->dropped) {
        REQUIRE(picture.erase(dropped) == 1);
        REQUIRE_FALSE(endpoints(m->added).contains(dropped));
      }
    }
    REQUIRE(picture == endpoints(connected));
  }
}
