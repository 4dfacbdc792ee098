#include "core/torrent/choker.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace swarm;
using core::ChokeCandidate;
using core::Choker;

namespace {

/// A torrent's peers under one choker, by conn number; every decision is carried out.
struct Crowd {
  explicit Crowd(Choker::Options options = {}, std::uint64_t seed = 1) : random(seed), choker(options, random) {}

  ChokeCandidate& add(std::uint32_t conn, bool cooperative = false) {
    ChokeCandidate c;
    c.conn = ConnId{conn};
    c.interested = true;
    c.cooperative = cooperative;
    c.connected = now;
    return peers[conn] = c;
  }
  std::set<std::uint32_t> decide(bool seeding = false) {
    std::vector<ChokeCandidate> list;
    for (const auto& [conn, c] : peers) list.push_back(c);
    std::set<std::uint32_t> chosen;
    const auto& unchoked = choker.decide(list, seeding, now);
    for (const ConnId conn : unchoked) chosen.insert(number(conn));
    REQUIRE(chosen.size() == unchoked.size());
    for (auto& [conn, c] : peers) {
      if (chosen.contains(conn) && !c.unchoked) c.unchoked_since = now;
      c.unchoked = chosen.contains(conn);
    }
    return chosen;
  }
  std::set<std::uint32_t> after(Duration d, bool seeding = false) {
    now += d;
    return decide(seeding);
  }

  Random random;
  Choker choker;
  Instant now = Instant(100s);
  std::map<std::uint32_t, ChokeCandidate> peers;
};

using Set = std::set<std::uint32_t>;

}  // namespace

TEST_CASE("choker: swarm nodes are all unchoked while there is room, and stay so without interest") {
  Crowd crowd({.slots_strangers = 2, .slots_max = 4});
  for (std::uint32_t i = 0; i < 3; ++i) crowd.add(i, true);
  CHECK(crowd.decide() == Set{0, 1, 2});
  CHECK(crowd.choker.next_round() == Instant::max());

  crowd.peers[1].interested = false;
  CHECK(crowd.decide() == Set{0, 1, 2});
  crowd.add(3, true), crowd.add(4, true);
  CHECK(crowd.decide() == Set{0, 2, 3, 4});  // interest comes before habit
  crowd.peers[1].interested = true;
  CHECK(crowd.decide() == Set{0, 2, 3, 4});  // nobody is put out for another
  crowd.add(9).interested = false;
  CHECK(crowd.after(10s) == Set{0, 2, 3, 4});
}

TEST_CASE("choker: the strangers that give most get the regular slots, at the rounds only") {
  Crowd crowd({.slots_strangers = 2, .slots_max = 10});
  crowd.peers.clear();
  for (std::uint32_t i = 0; i < 2; ++i) crowd.add(i).rate_from = 10 + i;
  CHECK(crowd.decide() == Set{0, 1});
  CHECK(crowd.choker.next_round() == crowd.now + 10s);

  for (std::uint32_t i = 2; i < 5; ++i) crowd.add(i).rate_from = 100 * i;
  const auto between = crowd.after(5s);
  CHECK(between.contains(0));
  CHECK(between.contains(1));
  CHECK(between.size() == 3);  // the optimistic one
  const auto round = crowd.after(5s);
  CHECK(round.contains(3));
  CHECK(round.contains(4));
  CHECK(round.size() == 3);
}

TEST_CASE("choker: between rounds a free slot is given at once") {
  Crowd crowd({.slots_strangers = 2, .slots_max = 10});
  crowd.add(0);
  CHECK(crowd.decide() == Set{0});
  crowd.add(1);
  CHECK(crowd.after(1s) == Set{0, 1});
  crowd.peers[0].interested = false;
  crowd.add(2);
  CHECK(crowd.after(1s) == Set{1, 2});
}

TEST_CASE("choker: a snubbed stranger may only be the optimistic one") {
  Crowd crowd({.slots_strangers = 1, .slots_max = 10});
  crowd.add(0).rate_from = 1000;
  CHECK(crowd.decide() == Set{0});
  crowd.peers[0].snubbed = true;
  crowd.add(1);
  CHECK(crowd.after(10s) == Set{0, 1});  // 1 by right, 0 by luck: nobody else is left for the optimistic slot
  crowd.add(2).snubbed = true;
  crowd.add(3).snubbed = true;
  std::set<std::uint32_t> lucky;
  for (int i = 0; i < 30; ++i) {
    const auto chosen = crowd.after(10s);
    REQUIRE(chosen.size() == 2);
    REQUIRE(chosen.contains(1));
    for (const auto conn : chosen) lucky.insert(conn);
  }
  CHECK(lucky == Set{0, 1, 2, 3});
}

TEST_CASE("choker: the optimistic slot turns every 30 s, and new connections are three times as likely") {
  std::map<std::uint32_t, int> hits;
  constexpr int runs = 4'000;
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    Crowd crowd({.slots_strangers = 1, .slots_max = 10}, seed);
    crowd.add(0).rate_from = 1000;
    crowd.add(1);
    crowd.now += 60s;
    crowd.add(2);  // 1 is old by now
    const auto chosen = crowd.decide();
    REQUIRE(chosen.size() == 2);
    for (const auto conn : chosen) ++hits[conn];
    const auto lucky = chosen.contains(1) ? 1u : 2u;
    REQUIRE(crowd.after(10s).contains(lucky));
    REQUIRE(crowd.after(10s).contains(lucky));
    REQUIRE(crowd.after(10s) == Set{0, 3 - lucky});
  }
  CHECK(hits[0] == runs);
  CHECK(hits[2] > runs * 3 / 4 - 110);  // one standard deviation is 27
  CHECK(hits[2] < runs * 3 / 4 + 110);
}

TEST_CASE("choker: a seed prefers fast takers but starves nobody") {
  Crowd crowd({.slots_strangers = 4, .slots_max = 20});
  for (std::uint32_t i = 0; i < 12; ++i) crowd.add(i).rate_to = 1000 * i;
  std::map<std::uint32_t, int> rounds;
  for (int round = 0; round < 120; ++round) {
    const auto chosen = crowd.after(10s, true);
    REQUIRE(chosen.size() == 5);
    for (const auto conn : chosen) ++rounds[conn];
  }
  for (std::uint32_t i = 0; i < 12; ++i) {
    CAPTURE(i);
    CHECK(rounds[i] >= 20);  // an even share would be 50
  }
  CHECK(rounds[11] > rounds[0]);
}

TEST_CASE("choker: a seed's slot is kept for a turn of 30 s") {
  Crowd crowd({.slots_strangers = 1, .slots_max = 1});
  crowd.add(0), crowd.add(1).rate_to = 1000;
  CHECK(crowd.decide(true) == Set{0});
  CHECK(crowd.after(10s, true) == Set{0});
  CHECK(crowd.after(10s, true) == Set{0});
  CHECK(crowd.after(10s, true) == Set{1});
  CHECK(crowd.after(10s, true) == Set{1});
}

TEST_CASE("choker: whatever happens, no more than the slots, only the interested, and no slot idle") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Random chance(seed);
    const Choker::Options options{.slots_strangers = static_cast<std::uint32_t>(chance.below(6)),
                                  .slots_max = static_cast<std::uint32_t>(1 + chance.below(12))};
    Crowd crowd(options, seed);
    for (int step = 0; step < 300; ++step) {
      const auto conn = static_cast<std::uint32_t>(chance.below(16));
      const auto what = chance.below(6);
      if (!crowd.peers.contains(conn)) {
        crowd.add(conn, chance.below(2) == 0);
      } else if (what == 0) {
        crowd.peers.erase(conn);
      } else if (what == 1) {
        crowd.peers[conn].interested = chance.below(2) == 0;
      } else if (what == 2) {
        crowd.peers[conn].snubbed = chance.below(2) == 0;
      } else {
        crowd.peers[conn].rate_from = static_cast<double>(chance.below(1000));
        crowd.peers[conn].rate_to = static_cast<double>(chance.below(1000));
      }
      const auto kept = crowd.peers;
      const auto chosen = crowd.after(Duration(chance.below(12'000'000'000)), chance.below(4) == 0);
      std::size_t cooperative = 0, strangers = 0, willing = 0, chosen_strangers = 0;
      for (const auto& [id, c] : kept) {
        cooperative += c.interested && c.cooperative;
        strangers += c.interested && !c.cooperative;
        willing += c.interested && !c.cooperative && !c.snubbed;
        if (!chosen.contains(id)) continue;
        chosen_strangers += !c.cooperative;
        REQUIRE((c.interested || (c.cooperative && c.unchoked)));
      }
      REQUIRE(chosen.size() <= options.slots_max);
      const auto room = options.slots_max - std::min<std::size_t>(cooperative, options.slots_max);
      REQUIRE(chosen_strangers <= std::min<std::size_t>(room, options.slots_strangers + 1));
      REQUIRE(chosen_strangers >= std::min({room, std::size_t{options.slots_strangers}, willing}));
      if (room > options.slots_strangers && strangers > options.slots_strangers && willing >= options.slots_strangers) {
        REQUIRE(chosen_strangers == options.slots_strangers + 1);
      }
      if (cooperative >= options.slots_max) REQUIRE(chosen.size() == options.slots_max);
    }
  }
}
