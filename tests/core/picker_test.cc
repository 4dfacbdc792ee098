#include "core/torrent/picker.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/picker.hh"
#include "support/cpu_time.hh"

using namespace swarm;
using core::Picker;

namespace {

Bitfield bits(std::size_t size, std::initializer_list<std::size_t> set) {
  Bitfield b(size);
  for (const auto i : set) b.set(i);
  return b;
}

void want_all(Picker& picker, std::uint32_t pieces) {
  for (std::uint32_t p = 0; p < pieces; ++p) picker.want(PieceIndex{p});
}

}  // namespace

TEST_CASE("picker: the rarest piece that the peer has, each once") {
  Random random(1);
  Picker picker(4, random);
  want_all(picker, 4);
  picker.on_bitfield(bits(4, {0, 1, 2}));
  picker.on_bitfield(bits(4, {0, 1}));
  picker.on_have(PieceIndex{0});
  CHECK(picker.availability(PieceIndex{0}) == 3);
  CHECK(picker.copies() == doctest::Approx(0.75));

  const auto peer = bits(4, {0, 1, 2});
  CHECK(picker.pick(peer) == PieceIndex{2});
  CHECK(picker.pick(peer) == PieceIndex{1});
  picker.put_back(PieceIndex{2});
  CHECK(picker.pick(peer) == PieceIndex{2});
  CHECK(picker.pick(peer) == PieceIndex{0});
  CHECK_FALSE(picker.pick(peer));
  CHECK_FALSE(picker.interesting(peer));
  CHECK(picker.pickable() == 1);
  CHECK(picker.interesting(bits(4, {3})));
}

TEST_CASE("picker: sequential gives the lowest index whatever is rare") {
  Random random(2);
  Picker picker(10, random);
  want_all(picker, 10);
  for (std::uint32_t p = 0; p < 9; ++p) picker.on_have(PieceIndex{p});
  picker.set_sequential(true);
  const Bitfield all(10, true);
  for (std::uint32_t p = 0; p < 10; ++p) CHECK(picker.pick(all) == PieceIndex{p});
}

TEST_CASE("picker: the lowest piece from a place on that may be picked, whatever is rare") {
  Random random(1);
  Picker picker(200, random);
  CHECK_FALSE(picker.lowest(PieceIndex{0}));
  for (const std::uint32_t p : {3u, 64u, 199u}) picker.want(PieceIndex{p});
  picker.on_have(PieceIndex{3});
  CHECK(picker.lowest(PieceIndex{0}) == PieceIndex{3});
  CHECK(picker.lowest(PieceIndex{3}) == PieceIndex{3});
  CHECK(picker.lowest(PieceIndex{4}) == PieceIndex{64});
  CHECK(picker.take(PieceIndex{64}));
  CHECK(picker.lowest(PieceIndex{4}) == PieceIndex{199});
  CHECK_FALSE(picker.lowest(PieceIndex{200}));
}

TEST_CASE("picker: small pieces come in runs of 256 KiB, the runs at random") {
  constexpr std::uint32_t pieces = 64, run = 16;
  std::set<std::uint32_t> firsts;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Picker picker(pieces, random, 16 * 1024);
    want_all(picker, pieces);
    const Bitfield all(pieces, true);
    picker.on_bitfield(all);
    std::vector<std::uint32_t> order;
    while (const auto piece = picker.pick(all)) order.push_back(number(*piece));
    REQUIRE(order.size() == pieces);
    firsts.insert(order.front());
    for (std::uint32_t i = 0; i < pieces; ++i) CHECK(order[i] == order[i - i % run] / run * run + i % run);
  }
  CHECK(firsts == std::set<std::uint32_t>{0, 16, 32, 48});
}

TEST_CASE("picker: a run takes nothing that is less rare, that the peer lacks or that is not wanted") {
  Random random(1);
  Picker picker(32, random, 16 * 1024);
  want_all(picker, 32);
  picker.on_bitfield(Bitfield(32, true));
  Bitfield others(32, true);  // 3, 4 and 20 are the rarest
  for (const std::size_t p : {3, 4, 20}) others.set(p, false);
  picker.on_bitfield(others);
  const Bitfield all(32, true);
  std::vector<std::uint32_t> rarest;
  for (int i = 0; i < 3; ++i) rarest.push_back(number(*picker.pick(all)));
  CHECK((rarest == std::vector<std::uint32_t>{3, 4, 20} || rarest == std::vector<std::uint32_t>{20, 3, 4}));
  picker.unwant(PieceIndex{8});
  Bitfield some(32);
  for (const std::size_t p : {6, 7, 8, 9, 11}) some.set(p);
  std::vector<std::uint32_t> order;
  while (const auto piece = picker.pick(some)) order.push_back(number(*piece));
  std::vector<std::uint32_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == std::vector<std::uint32_t>{6, 7, 9, 11});
  CHECK(std::find(order.begin(), order.end(), 7u) - std::find(order.begin(), order.end(), 6u) == 1);
}

TEST_CASE("picker: a torrent without pieces") {
  Random random(3);
  Picker picker(0, random);
  picker.on_bitfield(Bitfield(0));
  CHECK_FALSE(picker.pick(Bitfield(0)));
  CHECK_FALSE(picker.interesting(Bitfield(0)));
  CHECK(picker.copies() == 0);
}

TEST_CASE("picker: equals are chosen evenly, and differently by different seeds") {
  constexpr std::uint32_t pieces = 8, runs = 8'000;
  const Bitfield all(pieces, true);
  std::map<std::uint32_t, int> first;
  std::set<std::vector<std::uint32_t>> orders;
  for (std::uint32_t run = 0; run < runs; ++run) {
    Random random(run);
    Picker picker(pieces, random);
    want_all(picker, pieces);
    for (std::uint32_t p = 0; p < pieces; ++p) picker.on_have(PieceIndex{p});  // through the buckets, in order
    std::vector<std::uint32_t> order;
    while (const auto piece = picker.pick(all)) order.push_back(number(*piece));
    ++first[order.front()];
    orders.insert(order);
  }
  for (std::uint32_t p = 0; p < pieces; ++p) {
    CHECK(first[p] > 850);  // 1,000 expected, 30 is one standard deviation
    CHECK(first[p] < 1'150);
  }
  CHECK(orders.size() > 6'000);
}

TEST_CASE("picker and its naive twin agree on what may be picked") {
  std::uint64_t picks = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Random chance(seed * 7919 + 1), random(seed);
    const auto pieces = static_cast<std::uint32_t>(1 + chance.below(seed % 4 == 0 ? 1500 : 60));
    Picker picker(pieces, random);
    model::Picker twin(pieces);
    std::vector<Bitfield> peers;
    const auto any_piece = [&] { return static_cast<std::uint32_t>(chance.below(pieces)); };
    const auto new_peer = [&] {
      const auto kind = chance.below(4);
      Bitfield has(pieces, kind == 0);
      const auto share = kind == 1 ? 50u : 2u;  // nearly empty ones reach the walk over all pieces in common
      for (std::uint32_t p = 0; kind != 0 && p < pieces; ++p) has.set(p, chance.below(100) < share);
      return has;
    };
    for (int step = 0; step < 1'500; ++step) {
      switch (chance.below(9)) {
        case 0:
          if (peers.size() < 12) {
            peers.push_back(new_peer());
            picker.on_bitfield(peers.back());
            twin.add(peers.back(), 1);
          }
          break;
        case 1:
          if (!peers.empty() && chance.below(3) == 0) {
            const auto i = chance.below(peers.size());
            picker.on_gone(peers[i]);
            twin.add(peers[i], -1);
            peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(i));
          }
          break;
        case 2:
        case 3:
          if (!peers.empty()) {
            auto& peer = peers[chance.below(peers.size())];
            const auto p = any_piece();
            if (!peer[std::size_t{p}]) {
              peer.set(p);
              picker.on_have(PieceIndex{p});
              ++twin.availability[p];
            }
          }
          break;
        case 4:
        case 5: {
          const auto p = any_piece();
          picker.want(PieceIndex{p});
          twin.wanted[p] = true;
          break;
        }
        case 6: {
          const auto p = any_piece();
          picker.unwant(PieceIndex{p});
          twin.wanted[p] = false;
          break;
        }
        case 7: {
          const auto peer = peers.empty() ? new_peer() : peers[chance.below(peers.size())];
          const auto allowed = twin.allowed(peer);
          REQUIRE(picker.interesting(peer) == !allowed.empty());
          const auto picked = picker.pick(peer);
          REQUIRE(picked.has_value() == !allowed.empty());
          if (picked) {
            REQUIRE(std::find(allowed.begin(), allowed.end(), number(*picked)) != allowed.end());
            twin.wanted[number(*picked)] = false;
            ++picks;
          }
          break;
        }
        case 8:
          if (chance.below(40) == 0) picker.set_sequential(twin.sequential = !twin.sequential);
          break;
      }
      REQUIRE(picker.pickable() == twin.pickable());
    }
    for (std::uint32_t p = 0; p < pieces; ++p) REQUIRE(picker.availability(PieceIndex{p}) == twin.availability[p]);
    CHECK(picker.copies() == doctest::Approx(twin.copies()));
  }
  CHECK(picks > 3'000);
}

TEST_CASE("picker: 65,536 pieces and 200 peers stay cheap") {
  constexpr std::uint32_t pieces = 65'536, peers = 200;
  Random random(5), chance(6);
  Picker picker(pieces, random);
  const double begin = test::cpu_seconds();
  want_all(picker, pieces);
  std::vector<Bitfield> has(peers, Bitfield(pieces));
  for (auto& peer : has) {
    for (std::uint32_t p = 0; p < pieces; p += 1 + static_cast<std::uint32_t>(chance.below(200))) peer.set(p);
    picker.on_bitfield(peer);
  }
  const double joined = test::cpu_seconds();
  std::uint32_t picked = 0;
  for (std::uint32_t p = 0; p < pieces; ++p) {  // each piece: one HAVE from somebody, one pick from somebody
    auto& peer = has[chance.below(peers)];
    if (!peer[std::size_t{p}]) {
      peer.set(p);
      picker.on_have(PieceIndex{p});
    }
    picked += picker.pick(has[chance.below(peers)]).has_value();
  }
  const double end = test::cpu_seconds();
  MESSAGE("joined in " << 1e3 * (joined - begin) << " ms, then " << 1e9 * (end - joined) / pieces
                       << " ns a HAVE and pick");
  CHECK(picked > pieces / 2);
  CHECK(end - begin < 5);  // 0.3 s, 2.6 s without the optimizer; an O(pieces) step for each would take minutes
}
