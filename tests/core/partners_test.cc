#include "core/torrent/partners.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <vector>

using namespace swarm;
using core::Partners;

namespace {

constexpr Instant start{};

/// Nodes and what they say to each other, delivered pair by pair in order, between pairs in any order. ConnId{n}: the line to node n.
struct World {
  explicit World(std::uint64_t seed) : random(seed) {}

  void add(std::uint32_t node) { nodes.try_emplace(node, random); }
  void connect(std::uint32_t a, std::uint32_t b, bool near = false) {
    if (a == b || !lines.insert({std::min(a, b), std::max(a, b)}).second) return;
    nodes.at(a).on_neighbour(ConnId{b}, near);
    nodes.at(b).on_neighbour(ConnId{a}, near);
  }
  void join(std::uint32_t node, std::uint32_t neighbours) {
    add(node);
    for (std::uint32_t i = 0; node > 0 && i < neighbours; ++i)
      connect(node, static_cast<std::uint32_t>(random.below(node)));
  }
  void leave(std::uint32_t node) {
    std::erase_if(lines, [&](const auto& line) { return line.first == node || line.second == node; });
    nodes.erase(node);
    std::erase_if(on_the_way, [&](const auto& line) { return line.first.first == node || line.first.second == node; });
    for (auto& [n, partners] : nodes) partners.on_gone(ConnId{node});
  }
  void speak() {
    for (auto& [n, partners] : nodes)
      while (const auto s = partners.next_say(now)) {
        on_the_way[{n, static_cast<std::uint32_t>(s->conn)}].push_back(*s);
        ++said;
      }
  }
  /// Until all is said and heard.
  void settle() {
    for (speak(); !on_the_way.empty(); speak()) {
      auto at = on_the_way.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(random.below(on_the_way.size())));
      const auto [from, to] = at->first;
      const Partners::Say s = at->second.front();
      at->second.pop_front();
      if (at->second.empty()) on_the_way.erase(at);
      if (silent.contains(to)) continue;
      s.pair ? nodes.at(to).on_pair(ConnId{from}, s.partners, now)
             : nodes.at(to).on_part(ConnId{from}, s.partners, now);
    }
  }
  void run(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      settle();
      now += 1s;
      for (auto& [n, partners] : nodes) partners.on_tick(now);
    }
    settle();
  }
  std::vector<std::uint32_t> partners_of(std::uint32_t node) const {
    std::vector<std::uint32_t> all;
    for (const auto& [n, partners] : nodes)
      if (nodes.at(node).is_partner(ConnId{n})) all.push_back(n);
    return all;
  }
  std::size_t reached_from(std::uint32_t node) const {
    std::set<std::uint32_t> seen{node};
    for (std::deque<std::uint32_t> next{node}; !next.empty(); next.pop_front())
      for (const std::uint32_t n : partners_of(next.front()))
        if (seen.insert(n).second) next.push_back(n);
    return seen.size();
  }

  Random random;
  Instant now = start;
  std::map<std::uint32_t, Partners> nodes;
  std::set<std::pair<std::uint32_t, std::uint32_t>> lines;
  std::set<std::uint32_t> silent;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::deque<Partners::Say>> on_the_way;
  std::size_t said = 0;
};

void check_graph(const World& w, std::uint32_t least = Partners::wanted) {
  for (const auto& node : w.nodes) {
    const std::uint32_t n = node.first;
    const auto mine = w.partners_of(n);
    CAPTURE(n);
    CHECK(mine.size() >= least);
    CHECK(mine.size() <= Partners::most);
    for (const std::uint32_t other : mine) CHECK(w.nodes.at(other).is_partner(ConnId{n}));
  }
  CHECK(w.reached_from(w.nodes.begin()->first) == w.nodes.size());
}

}  // namespace

TEST_CASE("partners: with few neighbours each is one, and nothing is said") {
  World w(1);
  for (std::uint32_t n = 0; n <= Partners::all_up_to; ++n) w.join(n, 0);
  for (std::uint32_t n = 1; n <= Partners::all_up_to; ++n) w.connect(0, n);
  w.run(2);
  CHECK(w.partners_of(0).size() == Partners::all_up_to);
  CHECK(w.said == 0);
  w.join(99, 0);
  w.connect(0, 99);
  w.settle();
  CHECK(w.said > 0);
  CHECK(w.partners_of(0).size() == Partners::wanted);
}

TEST_CASE("partners: a crowd becomes one graph of bounded degree, with newcomers, and when some leave") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    World w(seed);
    const std::uint32_t nodes = 40 + 15 * static_cast<std::uint32_t>(seed);
    for (std::uint32_t n = 0; n < nodes; ++n) w.join(n, 30);
    w.run(8);
    check_graph(w);
    const std::size_t before = w.said;
    w.run(5);
    CHECK(w.said == before);  // it rests

    for (std::uint32_t n = nodes; n < nodes + 20; ++n) {
      w.join(n, 30);
      w.settle();
    }
    w.run(8);
    check_graph(w);

    for (std::uint32_t n = 0; n < nodes; n += 3) w.leave(n);
    w.run(8);
    check_graph(w);
  }
}

TEST_CASE("partners: who does not answer is not waited for") {
  World w(5);
  for (std::uint32_t n = 0; n < 60; ++n) w.join(n, 30);
  for (std::uint32_t n = 0; n < 60; n += 3) w.silent.insert(n);
  w.run(60);
  for (std::uint32_t n = 1; n < 60; n += 3) {
    CAPTURE(n);
    const auto mine = w.partners_of(n);
    CHECK(std::count_if(mine.begin(), mine.end(), [](std::uint32_t p) { return p % 3 != 0; }) + 1 >= Partners::wanted);
  }
}

TEST_CASE("partners: two that are whole are none, without a word; who still lacks something keeps both kinds") {
  World w(3);
  for (std::uint32_t n = 0; n < 40; ++n) w.join(n, 20);
  w.run(3);
  const auto whole = [&](std::uint32_t n) {
    w.nodes.at(n).set_self_whole(true);
    for (auto& [other, partners] : w.nodes) partners.set_whole(ConnId{n}, true);
  };
  for (std::uint32_t n = 0; n < 39; ++n) whole(n);
  w.run(3);
  for (std::uint32_t n = 0; n < 39; ++n) CHECK(w.partners_of(n).size() <= 1);  // node 39, if it is a neighbour
  CHECK(w.partners_of(39).size() >= Partners::wanted);
  whole(39);
  const std::size_t before = w.said;
  w.run(3);
  CHECK(w.partners_of(39).empty());
  CHECK(w.said == before);
}

TEST_CASE("partners: near ones first, but not only") {
  World w(4);
  for (std::uint32_t n = 0; n < 60; ++n) w.add(n);
  for (std::uint32_t n = 0; n < 60; ++n)
    for (int i = 0; i < 24; ++i) {
      const auto other = static_cast<std::uint32_t>(w.random.below(60));
      w.connect(n, other, other % 2 == n % 2);
    }
  w.run(5);
  check_graph(w);
  std::size_t near = 0, all = 0;
  for (std::uint32_t n = 0; n < 60; ++n)
    for (const std::uint32_t p : w.partners_of(n)) ++all, near += p % 2 == n % 2 ? 1u : 0u;
  CAPTURE(near);
  CAPTURE(all);
  CHECK(near > all * 55 / 100);
  CHECK(near < all * 9 / 10);
}

TEST_CASE("partners: who is shunned is left by all, gets no new ones, and comes back in the end") {
  World w(6);
  for (std::uint32_t n = 0; n < 40; ++n) w.join(n, 20);
  w.run(3);
  REQUIRE_FALSE(w.partners_of(7).empty());
  for (auto& [n, partners] : w.nodes) partners.set_shunned(ConnId{7}, true);
  w.run(5);
  CHECK(w.partners_of(7).empty());
  for (const auto& [n, partners] : w.nodes)
    if (n != 7) CHECK(w.partners_of(n).size() >= Partners::wanted);
  for (auto& [n, partners] : w.nodes) partners.set_shunned(ConnId{7}, false);
  w.run(5);
  CHECK(w.partners_of(7).size() >= Partners::wanted);
}

TEST_CASE("partners: who is in doubt keeps its partners, and these find as many others") {
  World w(6);
  for (std::uint32_t n = 0; n < 40; ++n) w.join(n, 30);
  w.run(3);
  const auto doubt = [&](bool doubted) {
    for (auto& [n, partners] : w.nodes)
      for (std::uint32_t rider = 0; rider < 40; rider += 5) partners.set_doubted(ConnId{rider}, doubted);
  };
  const auto before = w.partners_of(5);
  REQUIRE_FALSE(before.empty());
  doubt(true);
  w.run(8);
  const auto after = w.partners_of(5);
  for (const std::uint32_t n : before) CHECK(std::find(after.begin(), after.end(), n) != after.end());
  for (std::uint32_t n = 1; n < 40; n += n % 5 == 4 ? 2 : 1) {
    CAPTURE(n);
    const auto mine = w.partners_of(n);
    const auto honest = std::count_if(mine.begin(), mine.end(), [](std::uint32_t p) { return p % 5 != 0; });
    CHECK(honest >= Partners::wanted);
    CHECK(honest <= Partners::most);
    CHECK(w.nodes.at(n).count() == honest);
  }
  doubt(false);
  const std::size_t said = w.said;
  w.run(1);
  w.run(3);
  CHECK(w.said - said < 40 * 3 * Partners::most);  // each tells the new number to its partners, and nobody leaves
}

TEST_CASE("partners: where all are in doubt there is an end to looking for others") {
  World w(7);
  for (std::uint32_t n = 0; n < 60; ++n) w.join(n, 0);
  for (std::uint32_t n = 1; n < 60; ++n) w.connect(0, n);
  for (int second = 0; second < 20; ++second) {
    for (std::uint32_t n = 1; n < 60; ++n) w.nodes.at(0).set_doubted(ConnId{n}, true);
    w.run(1);
  }
  CHECK(w.partners_of(0).size() == 2 * Partners::wanted);
}
