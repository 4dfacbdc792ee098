#include "core/torrent/turns.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "model/turns.hh"

using namespace swarm;
using core::Turns;

namespace {

constexpr std::uint32_t piece_bytes = 256 * 1024;
const Instant start{1h};
constexpr ConnId a{1}, b{2}, c{3};

std::vector<Turns::Offer> offers(Turns& turns, double rate = 0, Instant now = start) {
  std::vector<Turns::Offer> all;
  while (const auto offer = turns.next_offer(rate, now)) all.push_back(*offer);
  return all;
}

Turns with(std::uint32_t pieces, bool whole, Random& random, std::initializer_list<ConnId> neighbours) {
  Turns turns(piece_bytes, Bitfield(pieces, whole), random);
  for (const ConnId n : neighbours) {
    turns.on_neighbour(n, Bitfield(pieces));
    turns.set_open(n, true);
  }
  return turns;
}

}  // namespace

TEST_CASE("turns: a seed gives each piece once before any twice, and each neighbour has two to ask for") {
  Random random(1);
  Turns turns = with(101, true, random, {a, b, c});
  for (const ConnId n : {a, b, c}) turns.on_have(n, PieceIndex{100});  // nobody is a beginner
  std::set<PieceIndex> given;
  auto flight = offers(turns);
  REQUIRE(flight.size() == 6);
  for (const ConnId n : {a, b, c}) {
    CHECK(std::count_if(flight.begin(), flight.end(), [&](const auto& o) { return o.conn == n; }) == 2);
  }
  while (given.size() < 100) {
    const Turns::Offer done = flight.front();
    flight.erase(flight.begin());
    CHECK(given.insert(done.piece).second);
    turns.on_asked(done.conn, done.piece, false, start);
    CHECK(offers(turns).empty());
    turns.on_asked(done.conn, done.piece, true, start);  // now it needs to know what comes next
    for (const auto& next : offers(turns)) {
      CHECK(next.conn == done.conn);
      flight.push_back(next);
    }
    turns.on_have(done.conn, done.piece);
    if (given.size() <= 94) CHECK(flight.size() == 6);
  }
  for (const auto& o : flight) CHECK(turns.given(o.piece) == 2);
}

TEST_CASE("turns: what the fewest neighbours have or are being sent goes first") {
  Random random(1);
  Turns turns = with(3, true, random, {a, b, c});
  turns.on_have(b, PieceIndex{0});
  turns.on_taken(b, PieceIndex{1});
  turns.on_have(c, PieceIndex{1});
  turns.on_taken(c, PieceIndex{0});
  turns.on_unwanted(c, PieceIndex{2});
  const auto first = offers(turns);
  REQUIRE(first.size() == 3);
  CHECK(first[0].conn == a);  // the others are being sent something already
  CHECK(first[0].piece == PieceIndex{2});
  for (const auto& o : first) {
    if (o.conn == b) CHECK(o.piece == PieceIndex{2});  // the only one that it lacks
  }
}

TEST_CASE("turns: whoever does not take a piece frees the turn, and is offered it again when it lacks it after all") {
  Random random(1);
  Turns turns = with(1, true, random, {a, b});
  CHECK(offers(turns).size() == 2);
  turns.on_taken(a, PieceIndex{0});
  turns.on_unwanted(b, PieceIndex{0});
  CHECK(turns.in_flight() == 0);
  CHECK(turns.given(PieceIndex{0}) == 0);
  CHECK(turns.held(PieceIndex{0}) == 1);
  CHECK(offers(turns).empty());  // not even for the rest: a has been asked
  turns.on_lacking(a, PieceIndex{0});
  const auto again = offers(turns);
  REQUIRE(again.size() == 1);
  CHECK(again[0].conn == a);
  turns.on_lacking(a, PieceIndex{0});  // it came wrong
  CHECK(offers(turns).size() == 1);
  turns.on_have(a, PieceIndex{0});
  turns.on_lacking(a, PieceIndex{0});  // too late
  CHECK(offers(turns).empty());
}

TEST_CASE("turns: with fewer than two neighbours that lack something they ask for themselves") {
  Random random(1);
  Turns turns = with(2, true, random, {a});
  CHECK_FALSE(turns.selective());
  CHECK(offers(turns).empty());
  turns.on_neighbour(b, Bitfield(2, true));
  CHECK_FALSE(turns.selective());
  turns.on_neighbour(c, Bitfield(2));
  CHECK(turns.selective());
  CHECK(offers(turns).size() == 2);  // both to a: c is choked
  turns.on_have(a, PieceIndex{0});
  turns.on_have(a, PieceIndex{1});
  CHECK_FALSE(turns.selective());
  turns.on_bitfield(b, Bitfield(2));  // it takes its pieces back
  CHECK(turns.selective());
  turns.on_gone(b);
  CHECK_FALSE(turns.selective());
}

TEST_CASE("turns: on a fast or long line a neighbour has as many to ask for as fill it for 20 ms and two round trips") {
  Random random(1);
  Turns turns = with(200, true, random, {a, b});
  const auto first = offers(turns, 125e6);
  CHECK(first.size() == 2 * 9);  // 2.5 MB each; no delay is known yet
  turns.on_asked(first[0].conn, first[0].piece, false, start + 10ms);
  CHECK(offers(turns, 125e6).size() == 2 * 10);  // and 20 ms more
  turns.on_asked(first[0].conn, first[0].piece, true, start + 10ms);
  CHECK(offers(turns, 1e6).empty());
}

TEST_CASE("turns: an offer that nobody answers is void after a while") {
  Random random(1);
  Turns turns = with(100, true, random, {a, b});
  const auto first = offers(turns);
  REQUIRE(first.size() == 4);
  turns.on_asked(first[0].conn, first[0].piece, false, start + 1s);
  turns.on_tick(start + 10s);
  CHECK(turns.in_flight() == 4);
  turns.on_tick(start + 11s);
  CHECK(turns.in_flight() == 1);
  CHECK(offers(turns, 0, start + 11s).size() == 3);
}

TEST_CASE(
    "turns: a partner that could give and does not is shunned for a while; a slow one, and one with nothing to give, "
    "is not") {
  Random random(1);
  Turns turns = with(100, false, random, {a, b, c});
  for (std::uint32_t p = 0; p < 50; ++p) turns.on_mine(PieceIndex{p});
  Instant now = start;
  const auto judge = [&](ConnId who, const Turns::Traffic& each_second, bool shunned) {
    Turns::Traffic total = each_second;
    (void)offers(turns);  // partners are known from now on
    turns.on_traffic(who, {}, now);
    for (int s = 0; s < 20; ++s) {
      turns.on_traffic(who, total, now += 1s);
      total.took += each_second.took;
      total.gave += each_second.gave;
    }
    CHECK(turns.shunned(who) == shunned);
    CHECK(turns.partners().is_partner(who) != shunned);
    turns.on_traffic(who, total, now += 60s);
    CHECK_FALSE(turns.shunned(who));
    CHECK(turns.partners().is_partner(who));
  };
  judge(a, {piece_bytes, piece_bytes / 10, true, false}, false);
  judge(a, {piece_bytes, 0, false, true}, false);
  judge(a, {piece_bytes / 10, 0, true, false}, false);  // it took too little for a verdict
  judge(a, {piece_bytes, 0, true, false}, true);
  judge(b, {piece_bytes, piece_bytes / 20, true, false}, true);
  judge(c, {0, 0, true, true}, true);
}

namespace {

/// A seed among neighbours of all kinds, by steps of 10 ms: each takes what it is offered, piece by piece, and what it does with it.
struct Neighbourhood {
  struct Node {
    Duration takes = 100ms;      ///< a piece from us, from the offer to its being whole
    Duration passes_on = 100ms;  ///< from then until another one says that it is being sent it
    bool gives = true;
    Duration says_have = {};              ///< HAVE is so late
    Instant free_at{};                    ///< what it was offered last has come
    std::vector<std::uint32_t> had = {};  ///< from us
    Duration doubted{};
  };
  Neighbourhood(std::uint32_t pieces, std::vector<Node> kinds)
      : nodes(std::move(kinds)), turns(piece_bytes, Bitfield(pieces, true), random) {
    for (std::uint32_t n = 0; n < nodes.size(); ++n) {
      turns.on_neighbour(ConnId{n}, Bitfield(pieces));
      turns.set_open(ConnId{n}, true);
    }
  }
  void later(Duration after, std::function<void()> what) { plans.emplace(now + after, std::move(what)); }
  void run(Duration time) {
    for (const Instant end = now + time; now < end; now += 10ms) {
      while (!plans.empty() && plans.begin()->first <= now) {
        const auto what = std::move(plans.begin()->second);
        plans.erase(plans.begin());
        what();
        offer();
      }
      if ((now - start) % 1s == 0s) turns.on_tick(now);
      offer();
      for (std::uint32_t n = 0; n < nodes.size(); ++n)
        if (turns.in_doubt(ConnId{n}, now)) nodes[n].doubted += 10ms;
    }
  }
  void offer() {
    while (const auto o = turns.next_offer(0, now)) take(number(o->conn), o->piece);
  }
  void take(std::uint32_t n, PieceIndex piece) {
    Node& node = nodes[n];
    node.free_at = std::max(node.free_at, now) + node.takes;
    const Duration whole_in = node.free_at - now;
    later(whole_in - 10ms, [this, n, piece] { turns.on_asked(ConnId{n}, piece, true, now); });
    later(whole_in + node.says_have, [this, n, piece] {
      nodes[n].had.push_back(number(piece));
      turns.on_have(ConnId{n}, piece);
    });
    if (node.gives) later(whole_in + node.passes_on, [this, n, piece] { pass_on(n, piece); });
  }
  /// To the next one that lacks it.
  void pass_on(std::uint32_t from, PieceIndex piece) {
    for (std::uint32_t i = 1; i < nodes.size(); ++i) {
      const std::uint32_t to = (from + i) % static_cast<std::uint32_t>(nodes.size());
      if (!reaches(from, to) || seen.contains({to, number(piece)})) continue;
      seen.insert({to, number(piece)});
      turns.on_taken(ConnId{to}, piece);
      later(200ms, [this, to, piece] { turns.on_have(ConnId{to}, piece); });
      return;
    }
  }
  bool doubted(std::uint32_t n) const { return turns.in_doubt(ConnId{n}, now); }

  std::vector<Node> nodes;
  std::function<bool(std::uint32_t, std::uint32_t)> reaches = [](auto, auto) { return true; };
  Random random{1};
  Turns turns;
  Instant now = start;
  std::multimap<Instant, std::function<void()>> plans;
  std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
};

}  // namespace

TEST_CASE("turns: a seed soon gives next to nothing to who passes nothing on, and what that one kept to others") {
  Neighbourhood n(200, {{}, {}, {}, {.gives = false}});
  n.run(5s);
  CHECK(n.doubted(3));
  CHECK(n.nodes[3].had.size() <= 16);  // for 1.4 s, at 100 ms each, and two that it was offered
  std::set<std::uint32_t> honest;
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(n.nodes[i].doubted == 0s);
    CHECK(n.nodes[i].had.size() >= 45);
    honest.insert(n.nodes[i].had.begin(), n.nodes[i].had.end());
  }
  // The first of what it kept is not left for the end.
  CHECK(std::count_if(n.nodes[3].had.begin(), n.nodes[3].had.end(), [&](auto p) { return honest.contains(p); }) > 2);
  n.run(20s);
  CHECK(n.nodes[3].had.size() <= 30);
}

TEST_CASE("turns: who begins to pass on is out of doubt at once, and nobody is in doubt for ever") {
  Neighbourhood n(100'000, {{}, {}, {.gives = false}});
  n.run(4s);
  REQUIRE(n.doubted(2));
  const auto given = n.nodes[2].had.size();
  for (const std::uint32_t p : n.nodes[2].had) n.turns.on_taken(ConnId{0}, PieceIndex{p});
  n.offer();
  CHECK_FALSE(n.doubted(2));
  n.run(500ms);
  CHECK(n.nodes[2].had.size() > given);
  n.run(3s);
  REQUIRE(n.doubted(2));
  n.nodes[2].gives = true;
  n.run(Turns::shunned_for);
  CHECK_FALSE(n.doubted(2));
  n.run(10s);
  CHECK_FALSE(n.doubted(2));
}

TEST_CASE("turns: slow ones, those whose words come late, and those that come late are not in doubt") {
  SUBCASE("a tenth of the rate") {
    Neighbourhood n(2000, {{}, {}, {}, {.takes = 1s, .passes_on = 1s}});
    n.run(30s);
    for (const auto& node : n.nodes) CHECK(node.doubted == 0s);
    CHECK(n.nodes[3].had.size() >= 29);
  }
  SUBCASE("HAVE comes a second late") {
    Neighbourhood n(2000, {{}, {}, {}, {.says_have = 1s}});
    n.run(10s);
    for (const auto& node : n.nodes) CHECK(node.doubted == 0s);
  }
  SUBCASE("slower than that: in doubt now and then, and not for long") {
    Neighbourhood n(2000, {{}, {}, {}, {.takes = 1s, .passes_on = 3s}});
    n.run(30s);
    CHECK(n.nodes[3].doubted < 20s);
    CHECK(n.nodes[3].had.size() >= 10);
  }
  SUBCASE("all have all but the newcomer, which has nobody to pass on to") {
    Neighbourhood n(100, {{}, {}, {}});
    n.run(30s);
    REQUIRE_FALSE(n.turns.selective());
    for (const std::uint32_t late : {3u, 4u}) {
      n.nodes.push_back({.gives = false});
      n.turns.on_neighbour(ConnId{late}, Bitfield(100));
      n.turns.set_open(ConnId{late}, true);
    }
    n.run(11s);
    for (const std::uint32_t late : {3u, 4u}) {
      CHECK(n.nodes[late].doubted == 0s);
      CHECK(n.nodes[late].had.size() >= 99);
    }
  }
}

TEST_CASE("turns: where nobody can pass anything on nobody is the worse for it") {
  SUBCASE("two alone, of whom one is slow") {
    Neighbourhood n(100, {{}, {.takes = 1s, .passes_on = 1s}});
    n.run(30s);
    CHECK(n.nodes[0].had.size() + n.nodes[1].had.size() >= 100);
    for (const auto& node : n.nodes) CHECK(node.doubted == 0s);
  }
  SUBCASE("all behind routers that let nobody in") {
    Neighbourhood n(60, {{}, {}, {}, {}});
    n.reaches = [](auto, auto) { return false; };
    n.run(8s);
    for (const auto& node : n.nodes) CHECK(node.had.size() == 60);
  }
}

TEST_CASE("turns: a partner that chokes us is in doubt after a second, until it chokes no longer") {
  Random random(1);
  Turns turns = with(1000, false, random, {a, b, c});
  for (std::uint32_t p = 0; p < 500; ++p) turns.on_mine(PieceIndex{p});
  const auto wants = [&](Instant now) {
    std::set<ConnId> takers;
    for (const auto& o : offers(turns, 0, now)) {
      takers.insert(o.conn);
      turns.on_asked(o.conn, o.piece, true, now);
      turns.on_have(o.conn, o.piece);
    }
    return takers;
  };
  turns.on_traffic(a, {0, 0, false, true}, start);
  CHECK_FALSE(turns.in_doubt(a, start));
  turns.on_traffic(a, {0, 0, false, true}, start + 1s);
  CHECK(turns.in_doubt(a, start + 1s));
  CHECK_FALSE(turns.in_doubt(b, start + 1s));
  const auto first = turns.next_offer(0, start + 1s);  // b or c has something to ask for from now on
  REQUIRE(first);
  CHECK(first->conn != a);
  for (auto o = turns.next_offer(0, start + 1s); o; o = turns.next_offer(0, start + 1s)) CHECK(o->conn != a);
  turns.on_traffic(a, {0, 0, false, false}, start + 2s);
  CHECK_FALSE(turns.in_doubt(a, start + 2s));
  CHECK(wants(start + 2s).contains(a));
}

TEST_CASE("turns: the last first gifts get the whole line, unless they take longer than such usually do") {
  Random random(1);
  Turns turns = with(10, true, random, {a, b, c});
  for (const ConnId n : {a, b, c}) turns.on_have(n, PieceIndex{9});
  auto flight = offers(turns);  // two to each
  REQUIRE(flight.size() == 6);
  std::sort(flight.begin(), flight.end(), [](const auto& x, const auto& y) { return x.conn < y.conn; });
  const auto end = [&](const Turns::Offer& o, ConnId passed_on_to, Instant now) {
    turns.on_asked(o.conn, o.piece, true, now);
    turns.on_have(o.conn, o.piece);
    turns.on_taken(passed_on_to, o.piece);
  };
  end(flight[0], b, start + 1s);
  end(flight[2], c, start + 1s);
  end(flight[4], a, start + 1s);
  const auto last = offers(turns, 0, start + 1s);
  REQUIRE(last.size() == 3);
  for (const auto& o : last) CHECK(turns.given(o.piece) == 1);
  end(flight[1], b, start + 1500ms);
  CHECK(offers(turns, 0, start + 1500ms).empty());
  SUBCASE("all are asked for to the end, and come") {
    for (const std::size_t i : {3u, 5u}) end(flight[i], a, start + 1600ms);
    for (const auto& o : last) turns.on_asked(o.conn, o.piece, true, start + 1600ms);
    CHECK(offers(turns, 0, start + 1600ms).empty());  // what was asked for is being sent
    for (const auto& o : last) turns.on_have(o.conn, o.piece);
    CHECK_FALSE(offers(turns, 0, start + 1600ms).empty());
  }
  SUBCASE("a first gift usually takes a second, and this is longer") {
    turns.on_tick(start + 2s);
    CHECK(offers(turns, 0, start + 2s).empty());
    turns.on_tick(start + 2100ms);
    CHECK_FALSE(offers(turns, 0, start + 2100ms).empty());
  }
}

namespace {

/// Forty neighbours, each of which agrees to be a partner when it is asked. Gives those who were.
std::set<std::uint32_t> crowd(Turns& turns, std::uint32_t pieces) {
  for (std::uint32_t y = 0; y < 40; ++y) {
    turns.on_neighbour(ConnId{y}, Bitfield(pieces));
    turns.set_open(ConnId{y}, true);
  }
  std::set<std::uint32_t> partners;
  for (auto s = turns.partners().next_say(start); s; s = turns.partners().next_say(start)) {
    CHECK(s->pair);
    partners.insert(number(s->conn));
    turns.partners().on_pair(s->conn, 0, start);
  }
  return partners;
}

/// All that is offered while each offer is asked for to the end at once.
std::vector<Turns::Offer> offers_asked(Turns& turns, Instant now, std::size_t most = SIZE_MAX) {
  std::vector<Turns::Offer> all;
  while (all.size() < most) {
    const auto offer = turns.next_offer(0, now);
    if (!offer) break;
    turns.on_asked(offer->conn, offer->piece, true, now);
    all.push_back(*offer);
  }
  return all;
}

}  // namespace

TEST_CASE("turns: in a crowd those who have nothing are begun with two at a time, for a second at the most") {
  Random random(1);
  Turns turns(piece_bytes, Bitfield(1000, true), random);
  const auto partners = crowd(turns, 1000);
  const auto first = offers(turns);
  REQUIRE(first.size() == Turns::begun_at_a_time);
  CHECK(first[0].conn != first[1].conn);
  CHECK(offers(turns, 0, start + 900ms).empty());
  SUBCASE("one is asked for to the end") {
    turns.on_asked(first[0].conn, first[0].piece, true, start);
    CHECK(offers(turns).size() == 1);
  }
  SUBCASE("all partners have something") {
    for (const std::uint32_t y : partners) turns.on_have(ConnId{y}, PieceIndex{999});
    CHECK(offers(turns).size() == partners.size() - 2);
  }
  SUBCASE("the others have been told of by others") {
    for (const std::uint32_t y : partners) turns.on_taken(ConnId{y}, PieceIndex{999});
    CHECK(offers(turns).size() == partners.size() - 2);
  }
  SUBCASE("they are slow") { CHECK(offers(turns, 0, start + 1s).size() == Turns::begun_at_a_time); }
}

TEST_CASE("turns: the first neighbours of a seed are begun with two at a time, although all are partners") {
  Random random(1);
  Turns turns = with(100, true, random, {a, b, c});
  const auto first = offers(turns);
  REQUIRE(first.size() == Turns::begun_at_a_time);
  CHECK(offers(turns, 0, start + 900ms).empty());
  turns.on_asked(first[0].conn, first[0].piece, true, start);
  const auto next = offers(turns);  // the third has its turn, and behind it all have two to ask for
  REQUIRE(next.size() == 5);
  CHECK(next[0].conn != first[0].conn);
  CHECK(next[0].conn != first[1].conn);
}

TEST_CASE("turns: a line that would stand still brings what is under way to its end") {
  Random random(1);
  Turns turns = with(2, true, random, {a, b});
  turns.on_have(a, PieceIndex{0});
  turns.on_have(b, PieceIndex{0});
  turns.on_taken(a, PieceIndex{1});
  const auto second = offers(turns);
  REQUIRE(second.size() == 1);  // b lacks it
  CHECK(second[0].conn == b);
  turns.on_asked(b, PieceIndex{1}, false, start);
  CHECK(offers(turns).empty());  // b has something to ask for
  turns.on_asked(b, PieceIndex{1}, true, start);
  const auto joined = offers(turns);
  REQUIRE(joined.size() == 1);
  CHECK(joined[0].conn == a);
  CHECK(joined[0].piece == PieceIndex{1});
  CHECK(turns.held(PieceIndex{1}) == 2);
  turns.on_taken(a, PieceIndex{1});  // nothing is left of it
  CHECK(offers(turns).empty());
  turns.on_lacking(a, PieceIndex{1});  // it came wrong
  CHECK(offers(turns).size() == 1);
}

TEST_CASE("turns: a seed leaves to others what they have, as long as its partners are fed") {
  constexpr std::uint32_t pieces = 400;
  Random random(1);
  Turns turns(piece_bytes, Bitfield(pieces, true), random);
  const auto partners = crowd(turns, pieces);
  // All have the first 100 by now, a hundred a second, and are being sent one by somebody; the next hundred stand at three others.
  for (std::uint32_t y = 0; y < 40; ++y)
    for (std::uint32_t p = 0; p < 100; ++p) turns.on_have(ConnId{y}, PieceIndex{p});
  std::vector<std::uint32_t> others;
  for (std::uint32_t y = 0; y < 40 && others.size() < 3; ++y)
    if (!partners.contains(y)) others.push_back(y);
  for (const std::uint32_t y : others)
    for (std::uint32_t p = 100; p < 200; ++p) turns.on_have(ConnId{y}, PieceIndex{p});
  turns.on_tick(start);
  for (const std::uint32_t y : partners) turns.on_taken(ConnId{y}, PieceIndex{200});
  turns.next_offer(100.0 * piece_bytes, start);
  turns.on_have(others[0] == 0 ? ConnId{1} : ConnId{0}, PieceIndex{0});  // something has changed
  std::uint32_t rare = 1, spread = 0;                                    // offers
  const auto count = [&](Instant now) {
    for (const auto& o : offers_asked(turns, now, 1000)) {
      (number(o.piece) > 200 ? rare : spread) += 1;
      turns.on_have(o.conn, o.piece);
    }
  };
  SUBCASE("they are") {
    count(start);
    CHECK(rare == Turns::spread_enough * 199);
    CHECK(spread == 0);
  }
  SUBCASE("one of them is sent nothing") {
    for (std::uint32_t p = 200; p < pieces; ++p) turns.on_have(ConnId{*partners.begin()}, PieceIndex{p});
    count(start);
    CHECK(spread > 0);
  }
  SUBCASE("they gain less than half of what we can send") {
    turns.on_tick(start);
    count(start);
    CHECK(spread > 0);
  }
  SUBCASE("most neighbours are whole") {
    for (std::uint32_t y = 0; y < 40; ++y)
      if (!partners.contains(y)) turns.on_bitfield(ConnId{y}, Bitfield(pieces, true));
    count(start);
    CHECK(spread > 0);
  }
}

TEST_CASE("turns: in a crowd partners only are offered anything, until none of them can take more") {
  Random random(1);
  Turns turns(piece_bytes, Bitfield(1000, true), random);
  const auto partners = crowd(turns, 1000);
  CHECK(partners.size() == core::Partners::wanted);
  std::set<std::uint32_t> takers;
  for (const auto& o : offers_asked(turns, start, 20 * partners.size())) takers.insert(number(o.conn));
  CHECK(takers == partners);
  // They can take nothing more: the line is not left idle.
  for (const std::uint32_t y : partners) turns.set_open(ConnId{y}, false);
  const auto others = offers(turns);
  REQUIRE_FALSE(others.empty());
  CHECK_FALSE(partners.contains(number(others[0].conn)));
}

TEST_CASE("turns: whoever says that it lacks what it was just offered is soon passed over, for a second") {
  Random random(1);
  Turns turns = with(1000, true, random, {a, b, c});
  std::size_t to_liar = 0, to_others = 0;
  for (int second = 1; second <= 10; ++second) {
    for (int i = 0; i < 40; ++i) {
      const auto offer = turns.next_offer(0, start);
      REQUIRE(offer);
      if (offer->conn == a) {
        ++to_liar;
        turns.on_lacking(a, offer->piece);
      } else {
        ++to_others;
        turns.on_have(offer->conn, offer->piece);
      }
    }
    turns.on_tick(start);
  }
  CHECK(to_liar <= 10 * Turns::misses_max);
  CHECK(to_others >= 10 * (40 - Turns::misses_max));
}

TEST_CASE(
    "turns: whoever takes offers and never ends them holds two turns at most, and no other of its neighbours waits") {
  Random random(1);
  Turns turns = with(1000, true, random, {a, b, c});
  std::size_t to_liar = 0, to_others = 0;
  for (Instant now = start; now < start + 60s; now += 50ms) {
    while (const auto offer = turns.next_offer(12.5e6, now)) {
      offer->conn == a ? ++to_liar : ++to_others;
      turns.on_asked(offer->conn, offer->piece, false, now);
      if (offer->conn != a) turns.on_have(offer->conn, offer->piece);
    }
    turns.on_tick(now);
  }
  CHECK(to_liar <= 2);
  CHECK(to_others == 2000);
}

namespace {

/// A seed with 40 neighbours that lack all and one that has all; each connection carries `each` bytes/s, the line `line`.
struct Site {
  Duration answer;  ///< how long it takes until an offer is answered
  double each, line;
  Random random{1};
  Turns turns = with(4000, true, random, {});
  struct Piece {
    Turns::Offer offer;
    Instant asked;
    double bytes = 0;
  };
  std::vector<Piece> under_way{};
  std::map<ConnId, double> took{};
  ConnId choking{99};
  Instant now = start;

  Site(Duration its_answer, double each_carries, double line_carries)
      : answer(its_answer), each(each_carries), line(line_carries) {
    for (std::uint32_t n = 0; n <= 40; ++n) {
      turns.on_neighbour(ConnId{n}, Bitfield(4000, n == 0));
      turns.set_open(ConnId{n}, true);
    }
  }
  std::set<ConnId> served() const {
    std::set<ConnId> all;
    for (const Piece& p : under_way) all.insert(p.offer.conn);
    return all;
  }
  void pass(Duration time) {
    constexpr Duration step = 50ms;
    for (const Instant end = now + time; now < end; now += step) {
      while (const auto s = turns.partners().next_say(now)) {
        if (s->pair) turns.partners().on_pair(s->conn, 0, now);
      }
      const double rate = std::min(each, line / double(std::max<std::size_t>(under_way.size(), 1)));
      for (Piece& p : under_way) {
        if (now < p.asked) continue;
        turns.on_asked(p.offer.conn, p.offer.piece, false, p.asked);
        p.bytes += rate * seconds(step);
        took[p.offer.conn] += rate * seconds(step);
        if (p.bytes < piece_bytes) continue;
        turns.on_asked(p.offer.conn, p.offer.piece, true, now);
        turns.on_have(p.offer.conn, p.offer.piece);
      }
      std::erase_if(under_way, [](const Piece& p) { return p.bytes >= piece_bytes; });
      for (const auto& o : offers(turns, 0, now)) under_way.push_back({o, now + answer});
      if ((now - start) % 1s != Duration{}) continue;
      for (std::uint32_t n = 1; n <= 40; ++n) {
        const ConnId conn{n};
        turns.on_traffic(conn, {.took = static_cast<std::uint64_t>(took[conn]), .chokes = conn == choking}, now);
      }
      turns.on_tick(now);
    }
  }
};

}  // namespace

TEST_CASE(
    "turns: far away as many are served as the line needs, near ones, and on a full line, no more than partners") {
  Site far(100ms, 2e5, 12e6);
  far.pass(1s);
  CHECK_FALSE(far.served().empty());
  CHECK(far.served().size() <= 9);
  far.pass(20s);
  CHECK(far.turns.far());
  CHECK(far.served().size() >= 32);

  Site near(4ms, 2e5, 12e6);
  near.pass(23s);
  CHECK_FALSE(near.turns.far());
  CHECK(near.served().size() <= 9);

  Site full(100ms, 2e5, 1.2e6);
  full.pass(23s);
  CHECK(full.served().size() <= 9);
}

TEST_CASE("turns: who is in doubt is not served, far away neither") {
  Site site(100ms, 2e5, 12e6);
  site.choking = ConnId{1};
  site.pass(30s);
  CHECK(site.turns.in_doubt(site.choking, site.now));
  CHECK(site.served().size() >= 32);
  CHECK_FALSE(site.served().contains(site.choking));
}

TEST_CASE("turns: beginners far away are begun with more at a time") {
  Site near(4ms, 2e5, 12e6), far(100ms, 2e5, 12e6);
  near.pass(400ms);
  far.pass(400ms);
  CHECK(near.served().size() == Turns::begun_at_a_time);
  CHECK(far.served().size() > Turns::begun_at_a_time);
  CHECK(far.served().size() <= Turns::begun_at_a_time * (100ms / Turns::far_from));
}

TEST_CASE("turns: like their naive twin, through anything that neighbours say") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random chance(seed), random(seed + 1000);
    const auto pieces = static_cast<std::uint32_t>(1 + chance.below(150));
    Turns turns(piece_bytes, Bitfield(pieces), random);
    model::Turns model(pieces);
    std::uint32_t next = 1;
    std::size_t given = 0;
    const std::size_t window = 2 + chance.below(4);
    for (int step = 0; step < 200; ++step) {
      const auto piece = static_cast<std::uint32_t>(chance.below(pieces));
      std::vector<std::uint32_t> known;
      for (const auto& n : model.neighbours) known.push_back(n.first);
      const std::uint32_t who = known.empty() ? 0 : known[chance.below(known.size())];
      const auto what = chance.below(known.empty() ? 2 : 20);
      if (what < 2) {
        if (model.neighbours.size() < 6) {
          Bitfield has(pieces);
          model::Turns::Neighbour n;
          n.said.resize(pieces);
          const bool empty = chance.below(3) == 0;
          for (std::uint32_t p = 0; p < pieces; ++p) {
            if (empty || chance.below(4) != 0) continue;
            has.set(std::size_t{p});
            n.said[p] = model::Turns::Said::has;
          }
          turns.on_neighbour(ConnId{next}, has);
          model.neighbours[next++] = n;
        }
      } else if (what == 2) {
        turns.on_gone(ConnId{who});
        model.gone(who);
      } else if (what < 5) {
        const bool open = chance.below(4) != 0;
        turns.set_open(ConnId{who}, open);
        if (open) model.neighbours.at(who).open = true;
        if (!open && model.neighbours.at(who).open) model.close(who);
      } else if (what < 9) {
        turns.on_have(ConnId{who}, PieceIndex{piece});
        model.say(who, piece, model::Turns::Said::has);
      } else if (what < 12) {
        turns.on_taken(ConnId{who}, PieceIndex{piece});
        model.say(who, piece, model::Turns::Said::taken);
      } else if (what == 12) {
        turns.on_unwanted(ConnId{who}, PieceIndex{piece});
        model.say(who, piece, model::Turns::Said::unwanted);
      } else if (what < 16) {
        turns.on_lacking(ConnId{who}, PieceIndex{piece});
        model.say(who, piece, model::Turns::Said::lacking);
      } else {
        turns.on_mine(PieceIndex{piece});
        model.mine[piece] = true;
      }
      if (!model.turns.empty() && chance.below(2) == 0) {
        const auto turn = std::next(model.turns.begin(), static_cast<std::ptrdiff_t>(chance.below(model.turns.size())));
        turns.on_asked(ConnId{turn->first}, PieceIndex{turn->second}, true, start);
        model.to_ask.erase(*turn);
      }
      const double rate = (double(window) + 0.01) * piece_bytes / 0.02;
      for (;;) {
        const auto allowed = model.allowed(static_cast<long>(window), Turns::misses_max, Turns::begun_at_a_time);
        const auto offer = turns.next_offer(rate, start);
        REQUIRE(offer.has_value() == !allowed.empty());
        if (!offer) break;
        REQUIRE(allowed.contains({number(offer->conn), number(offer->piece)}));
        model.offered(number(offer->conn), number(offer->piece));
        ++given;
      }
      REQUIRE(turns.in_flight() == model.turns.size());
      REQUIRE(turns.selective() == model.selective());
      REQUIRE(turns.held(PieceIndex{piece}) == model.held(piece));
      REQUIRE(turns.given(PieceIndex{piece}) == model.given[piece]);
      for (const auto& [conn, n] : model.neighbours) REQUIRE(turns.load(ConnId{conn}) == n.under_way());
    }
    CHECK((given > 0 || pieces < 10));
  }
}
