#include "core/torrent/super_seed.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/random.hh"

using namespace swarm;
using core::SuperSeed;

namespace {

constexpr Instant start{1000s};
constexpr ConnId a{1}, b{2}, c{3};
constexpr std::uint32_t big = 4u << 20;  ///< a piece as large as the smallest window in bytes: four pieces count

std::map<ConnId, std::vector<std::uint32_t>> shows(SuperSeed& s, Instant now) {
  std::map<ConnId, std::vector<std::uint32_t>> out;
  while (const auto shown = s.next_show(now)) out[shown->conn].push_back(number(shown->piece));
  return out;
}

std::vector<std::uint32_t> shows_to(SuperSeed& s, ConnId conn, Instant now) { return shows(s, now)[conn]; }

}  // namespace

TEST_CASE("super seed: newcomers are shown different pieces, four at first") {
  Random random(1);
  SuperSeed s(100, big, random);
  CHECK(s.on_peer(a, false, start));
  CHECK(s.on_peer(b, false, start));
  const auto first = shows(s, start);
  REQUIRE(first.size() == 2);
  std::set<std::uint32_t> all;
  for (const ConnId conn : {a, b}) {
    CHECK(first.at(conn).size() == 4);
    all.insert(first.at(conn).begin(), first.at(conn).end());
  }
  CHECK(all.size() == 8);
  CHECK(s.is_shown(a, PieceIndex{first.at(a)[0]}));
  CHECK_FALSE(s.is_shown(b, PieceIndex{first.at(a)[0]}));
  CHECK_FALSE(s.is_shown(c, PieceIndex{0}));
  CHECK_FALSE(s.is_shown(a, PieceIndex{100}));
  CHECK(s.next_wake() == start + 60s);
}

TEST_CASE("super seed: more is shown when somebody else has what was") {
  Random random(1);
  SuperSeed s(100, big, random);
  s.on_peer(a, false, start);
  s.on_peer(b, false, start);
  const auto first = shows(s, start);
  const PieceIndex piece{first.at(a)[0]};
  s.on_have(a, piece, start + 1s);
  CHECK(shows(s, start + 1s).empty());
  s.on_have(b, piece, start + 2s);
  auto next = shows(s, start + 2s);
  CHECK(next.size() == 1);
  CHECK(next[a].size() == 1);
  CHECK(next[a][0] != number(piece));

  // The other way round: somebody else had it first.
  const PieceIndex second{first.at(a)[1]};
  s.on_have(b, second, start + 3s);
  CHECK(shows(s, start + 3s).empty());  // a still has to fetch it
  s.on_have(a, second, start + 4s);
  CHECK(shows_to(s, a, start + 4s).size() == 1);
}

TEST_CASE("super seed: nobody is starved who has no connection to the others, or does not want what it is shown") {
  Random random(1);
  SuperSeed s(100, big, random);
  s.on_peer(a, false, start);
  s.on_peer(b, false, start);
  const auto first = shows(s, start);
  s.on_have(a, PieceIndex{first.at(a)[0]}, start + 5s);
  CHECK(s.next_wake() == start + 25s);
  CHECK(shows(s, start + 25s - Duration(1)).empty());
  CHECK(shows_to(s, a, start + 25s).size() == 1);
  auto later = shows(s, start + 60s);  // three that a never fetched, four of b
  CHECK(later[a].size() == 3);
  CHECK(later[b].size() == 4);
}

TEST_CASE("super seed: a lone fast peer always has enough to ask for") {
  Random random(3);
  constexpr std::uint32_t piece_bytes = 256 * 1024;
  constexpr double rate = 1e9;
  SuperSeed s(10'000, piece_bytes, random);
  s.on_peer(a, false, start);
  std::vector<std::uint32_t> open;
  std::uint32_t fetched = 0;
  for (Instant now = start; fetched < 10'000; now += from_seconds(piece_bytes / rate)) {
    for (const auto piece : shows_to(s, a, now)) open.push_back(piece);
    if (fetched == 40) s.on_rate(a, rate);  // as a meter would see it
    // What a path of 4 ms needs at first, and a second's worth of it once the rate is known.
    const auto need = std::min<std::size_t>(fetched <= 40 ? 16 : 3814, 10'000 - fetched);
    REQUIRE(open.size() >= need);
    s.on_have(a, PieceIndex{open.front()}, now);
    open.erase(open.begin());
    ++fetched;
  }
  CHECK_FALSE(s.active());  // it is a seed itself now
}

TEST_CASE("super seed: it ends for good, and then everything is shown once") {
  const auto ended = [](auto how) {
    Random random(1);
    SuperSeed s(20, big, random);
    s.on_peer(a, false, start);
    s.on_peer(b, false, start);
    auto shown = shows(s, start);
    CHECK(s.active());
    how(s);
    CHECK_FALSE(s.active());
    for (auto& [conn, pieces] : shows(s, start)) {
      auto& all = shown[conn];
      all.insert(all.end(), pieces.begin(), pieces.end());
    }
    for (const ConnId conn : {a, b}) {
      auto& all = shown[conn];
      std::ranges::sort(all);
      REQUIRE(all.size() == 20);
      for (std::uint32_t i = 0; i < 20; ++i) CHECK(all[i] == i);
      CHECK(s.is_shown(conn, PieceIndex{7}));
    }
    CHECK_FALSE(s.next_wake());
    CHECK_FALSE(s.on_peer(ConnId{9}, false, start));
    CHECK(s.is_shown(ConnId{9}, PieceIndex{7}));
    CHECK(shows(s, start + 1h).empty());
  };
  ended([](SuperSeed& s) { CHECK_FALSE(s.on_peer(c, true, start)); });
  ended([](SuperSeed& s) {
    s.on_peer(c, false, start);
    s.on_bitfield(c, Bitfield(20, true), start);
    s.on_gone(c);
  });
  ended([](SuperSeed& s) {
    for (std::uint32_t i = 0; i < 20; ++i) {
      CHECK(s.active());
      s.on_have(i % 2 == 0 ? a : b, PieceIndex{i}, start);
    }
  });
}

TEST_CASE("super seed: a piece that was lost with its peer is unseen again") {
  Random random(1);
  SuperSeed s(2, big, random);
  s.on_peer(a, false, start);
  s.on_peer(b, false, start);
  s.on_have(a, PieceIndex{0}, start);
  s.on_gone(a);
  s.on_have(b, PieceIndex{1}, start);
  CHECK(s.active());
  s.on_have(b, PieceIndex{5}, start);  // there is none
  s.on_have(c, PieceIndex{0}, start);  // nobody's
  s.on_gone(c);
  CHECK(s.active());
  s.on_peer(c, false, start);
  s.on_have(c, PieceIndex{0}, start);
  CHECK_FALSE(s.active());
}

namespace {

/// A swarm in rounds: the seed sends one piece a round, each peer one to another in every `pause`-th. How many the seed has
/// sent when every piece is at some peer.
std::uint32_t sent_until_spread(std::uint32_t peers, std::uint32_t pieces, std::uint32_t pause, bool super,
                                std::uint64_t seed) {
  Random random(seed);
  SuperSeed s(pieces, big, random);
  std::vector<std::vector<bool>> has(peers, std::vector<bool>(pieces)), shown(peers, std::vector<bool>(pieces, !super));
  std::vector<std::uint32_t> copies(pieces);
  std::uint32_t spread = 0, sent = 0;
  for (std::uint32_t p = 0; p < peers; ++p) s.on_peer(ConnId{p}, false, start);
  const auto gets = [&](std::uint32_t p, std::uint32_t piece, Instant now) {
    has[p][piece] = true;
    if (copies[piece]++ == 0) ++spread;
    s.on_have(ConnId{p}, PieceIndex{piece}, now);
  };
  /// A piece at random that `p` lacks and may have from there.
  const auto choose = [&](std::uint32_t p, const std::vector<bool>& from) {
    std::vector<std::uint32_t> some;
    for (std::uint32_t i = 0; i < pieces; ++i) {
      if (from[i] && !has[p][i]) some.push_back(i);
    }
    return some.empty() ? std::optional<std::uint32_t>() : some[random.below(some.size())];
  };
  for (Instant now = start; spread < pieces; now += 100ms) {
    REQUIRE(now < start + 1h);
    for (const auto& [conn, some] : shows(s, now)) {
      for (const auto piece : some) shown[number(conn)][piece] = true;
    }
    // The seed's slot goes round; who has nothing to ask for is passed over.
    for (std::uint32_t i = 0; i < peers; ++i) {
      const auto p = (sent + i) % peers;
      const auto piece = choose(p, shown[p]);
      if (!piece) continue;
      gets(p, *piece, now);
      ++sent;
      break;
    }
    for (std::uint32_t from = 0; from < peers; ++from) {
      if (random.below(pause) != 0) continue;
      const auto to = static_cast<std::uint32_t>(random.below(peers));
      const auto piece = choose(to, has[from]);
      if (piece) gets(to, *piece, now);
    }
  }
  return sent;
}

}  // namespace

TEST_CASE("super seed: the first whole copy costs hardly more than one copy") {
  constexpr std::uint32_t pieces = 200;
  const auto copies = [](std::uint32_t peers, std::uint32_t pause, bool super) {
    std::uint32_t sent = 0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) sent += sent_until_spread(peers, pieces, pause, super, seed);
    return sent / 3.0 / pieces;
  };
  // Peers that pass on as much together as four seeds would, and as much as one.
  CHECK(copies(8, 2, true) <= 1.01);
  CHECK(copies(8, 2, false) >= 1.5);
  CHECK(copies(8, 8, true) <= 1.01);
  CHECK(copies(8, 8, false) >= 2.5);
  // So many that the last pieces are shown to two at once.
  CHECK(copies(20, 2, true) <= 1.2);
}

TEST_CASE("super seed: peers that never meet still all finish") {
  Random random(5);
  SuperSeed s(60, big, random);
  std::map<ConnId, std::set<std::uint32_t>> open;
  std::size_t fetched = 0;
  for (const ConnId conn : {a, b, c}) s.on_peer(conn, false, start);
  Instant now = start;
  while (s.active()) {
    for (auto& [conn, some] : shows(s, now)) open[conn].insert(some.begin(), some.end());
    bool any = false;
    for (auto& [conn, some] : open) {
      if (some.empty()) continue;
      s.on_have(conn, PieceIndex{*some.begin()}, now);
      some.erase(some.begin());
      ++fetched;
      any = true;
    }
    if (any) continue;
    REQUIRE(s.next_wake());
    REQUIRE(*s.next_wake() > now);
    now = *s.next_wake();
    REQUIRE(now < start + 10min);
  }
  CHECK(fetched <= 63);
}

TEST_CASE(
    "super seed: whatever happens, a piece is shown to a peer once, never one that it has, and within the window") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const auto pieces = static_cast<std::uint32_t>(1 + random.below(60));
    SuperSeed s(pieces, big, random);
    struct Twin {
      bool hidden = false;
      std::set<std::uint32_t> has, shown;
      std::map<std::uint32_t, Instant> unfetched;
    };
    std::map<ConnId, Twin> twins;
    std::uint32_t next = 0;
    Instant now = start;
    for (int step = 0; step < 400; ++step) {
      now += from_seconds(5 * random.unit());
      const auto what = random.below(10);
      if (what == 0 || twins.empty()) {
        const ConnId conn{next++};
        const bool node = random.below(60) == 0;
        twins[conn].hidden = s.on_peer(conn, node, now);
        REQUIRE(twins[conn].hidden == s.active());
      } else if (what == 1 && random.below(2) == 0) {
        auto it = twins.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(random.below(twins.size())));
        s.on_gone(it->first);
        twins.erase(it);
      } else {
        auto it = twins.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(random.below(twins.size())));
        const auto piece = static_cast<std::uint32_t>(random.below(pieces));
        s.on_have(it->first, PieceIndex{piece}, now);
        it->second.has.insert(piece);
        it->second.unfetched.erase(piece);
      }
      while (const auto shown = s.next_show(now)) {
        Twin& t = twins.at(shown->conn);
        REQUIRE(t.hidden);
        REQUIRE(t.shown.insert(number(shown->piece)).second);
        if (!s.active()) continue;
        REQUIRE_FALSE(t.has.contains(number(shown->piece)));
        t.unfetched[number(shown->piece)] = now;
        const auto fresh = std::ranges::count_if(t.unfetched, [&](const auto& u) { return now < u.second + 60s; });
        REQUIRE(fresh <= 4);
      }
      if (const auto wake = s.next_wake()) REQUIRE(*wake > now);
      std::set<std::uint32_t> seen;
      for (const auto& [conn, t] : twins) {
        if (!s.active() && t.hidden) REQUIRE(t.shown.size() == pieces);
        seen.insert(t.has.begin(), t.has.end());
      }
      if (seen.size() == pieces) REQUIRE_FALSE(s.active());
    }
  }
}
