// Download against a naive twin: the blocks of all pieces in one table.
#include "core/torrent/download.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace swarm;
using namespace swarm::core;
using wire::BlockRef;

namespace {
constexpr std::uint32_t piece_bytes = 4 * wire::block_bytes;
constexpr std::uint32_t pieces = 12;
constexpr std::uint64_t total = 11 * piece_bytes + 20'000;  // the last piece: one block and a bit

Sender sender(std::uint32_t conn) { return {ConnId{conn}, *Endpoint::from("10.0.0." + std::to_string(conn) + ":1")}; }

/// The truth about every block: is it here, and which connections were asked and have not let go.
struct Twin {
  std::map<BlockRef, std::set<std::uint32_t>> asked;
  std::set<BlockRef> here;
};
}  // namespace

TEST_CASE("under random peers every block comes once, nothing is asked twice outside the endgame, and all ends whole") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Picker picker(pieces, random);
    for (std::uint32_t i = 0; i < pieces; ++i) picker.want(PieceIndex{i});
    Download download(total, piece_bytes, picker);
    Twin twin;
    std::map<std::uint32_t, std::vector<BlockRef>> out;  // what each connection still has to send
    std::set<std::uint32_t> right;
    const Bitfield all(pieces, true);
    picker.on_bitfield(all);
    for (int step = 0; step < 20'000 && right.size() < pieces; ++step) {
      const auto conn = static_cast<std::uint32_t>(1 + random.below(4));
      auto& mine = out[conn];
      switch (random.below(8)) {
        case 0:
        case 1:
        case 2: {
          std::vector<BlockRef> given;
          const std::size_t most = random.below(6);
          download.next(ConnId{conn}, all, most, mine.empty(), given);
          CHECK(given.size() <= std::max<std::size_t>(most, 1));
          for (const BlockRef& b : given) {
            CHECK(b.length == std::min<std::uint64_t>(
                                  wire::block_bytes, total - (std::uint64_t{number(b.piece)} * piece_bytes + b.begin)));
            CHECK_FALSE(twin.here.contains(b));
            CHECK_FALSE(twin.asked[b].contains(conn));
            if (!twin.asked[b].empty()) CHECK(picker.pickable() == 0);  // endgame
            twin.asked[b].insert(conn);
            mine.push_back(b);
          }
          break;
        }
        case 3:
        case 4:
        case 5: {  // a block arrives
          if (mine.empty()) break;
          const std::size_t i = random.below(mine.size());
          const BlockRef b = mine[i];
          mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(i));
          std::vector<ConnId> others;
          const bool first = download.on_block(b, sender(conn), others);
          CHECK(first == twin.here.insert(b).second);
          twin.asked[b].erase(conn);
          if (first) {
            std::set<std::uint32_t> told;
            for (ConnId c : others) told.insert(number(c));
            CHECK(told == twin.asked[b]);
            for (std::uint32_t c : told) std::erase(out[c], b);
            twin.asked[b].clear();
          }
          if (download.complete(b.piece)) {
            if (random.below(4) == 0) {
              CHECK_FALSE(download.on_wrong(b.piece).empty());
              std::erase_if(twin.here, [&](const BlockRef& x) { return x.piece == b.piece; });
            } else {
              download.on_right(b.piece, {});
              picker.unwant(b.piece);
              right.insert(number(b.piece));
            }
          }
          break;
        }
        case 6: {  // one is rejected
          if (mine.empty()) break;
          const BlockRef b = mine.back();
          mine.pop_back();
          twin.asked[b].erase(conn);
          download.release(b, ConnId{conn});
          break;
        }
        case 7: {  // the peer goes
          if (random.below(10) != 0) break;
          for (const BlockRef& b : mine) twin.asked[b].erase(conn), download.release(b, ConnId{conn});
          mine.clear();
          download.on_gone(ConnId{conn});
          break;
        }
      }
    }
    CHECK(right.size() == pieces);
    CHECK(download.pieces_begun() == 0);
  }
}

TEST_CASE("a begun piece is finished before a new one is begun") {
  Random random(1);
  Picker picker(pieces, random);
  for (std::uint32_t i = 0; i < pieces; ++i) picker.want(PieceIndex{i});
  const Bitfield all(pieces, true);
  picker.on_bitfield(all);
  Download download(total, piece_bytes, picker);
  std::vector<BlockRef> a, b;
  download.next(ConnId{1}, all, 1, true, a);
  download.next(ConnId{2}, all, 2, true, b);
  REQUIRE(a.size() == 1);
  REQUIRE(b.size() >= 1);
  CHECK(a[0].piece == b[0].piece);
}

TEST_CASE("runs for a source that only goes forward are what the table of all blocks says") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Picker picker(pieces, random);
    Download download(total, piece_bytes, picker);
    std::vector<BlockRef> blocks;  // of the pieces that are wanted, in order
    for (std::uint32_t p = 0; p < pieces; ++p) {
      if (random.below(4) == 0) continue;
      picker.want(PieceIndex{p});
      for (std::uint32_t i = 0; i < download.block_count(PieceIndex{p}); ++i) {
        const auto begin = i * wire::block_bytes;
        blocks.push_back(
            {PieceIndex{p}, begin, std::min(wire::block_bytes, download.piece_size(PieceIndex{p}) - begin)});
      }
    }
    const auto start = [](const BlockRef& b) { return std::uint64_t{number(b.piece)} * piece_bytes + b.begin; };
    std::set<std::uint64_t> taken;
    const Bitfield all(pieces, true);
    picker.on_bitfield(all);
    for (int step = 0; step < 40; ++step) {
      std::vector<BlockRef> given;
      if (random.below(3) == 0) {  // a peer takes some of its own choice, another lets go of some
        download.next(ConnId{2}, all, random.below(5), false, given);
        for (const BlockRef& b : given) CHECK(taken.insert(start(b)).second);
        if (!given.empty() && random.below(2) == 0) {
          download.release(given.front(), ConnId{2});
          taken.erase(start(given.front()));
        }
        continue;
      }
      const std::uint64_t from = random.below(3) == 0 ? 0 : random.below(total + 2 * piece_bytes);
      const std::uint64_t most = 1 + random.below(3 * piece_bytes);
      download.next_run(ConnId{1}, most, from, given);

      const auto free = [&](const BlockRef& b) { return !taken.contains(start(b)); };
      auto first =
          std::find_if(blocks.begin(), blocks.end(), [&](const auto& b) { return start(b) >= from && free(b); });
      if (first == blocks.end()) first = std::find_if(blocks.begin(), blocks.end(), free);
      std::vector<BlockRef> right;
      std::uint64_t bytes = 0;
      for (auto at = first; at != blocks.end() && bytes < most && free(*at); ++at) {
        if (!right.empty() && start(*at) != start(right.back()) + right.back().length) break;
        right.push_back(*at);
        bytes += at->length;
      }
      CHECK(given == right);
      for (const BlockRef& b : given) taken.insert(start(b));
    }
  }
}

TEST_CASE("a piece that came wrong from two goes to one alone, unless that one is asked for nothing") {
  Random random(1);
  Picker picker(pieces, random);
  const PieceIndex piece{3};
  picker.want(piece);
  Download download(total, piece_bytes, picker);
  std::vector<BlockRef> asked;
  std::vector<ConnId> others;
  REQUIRE(download.grant(piece, ConnId{1}));
  download.next_of(piece, ConnId{1}, 4, asked);
  REQUIRE(asked.size() == 4);
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(download.on_block(asked[i], sender(1 + i % 2), others));
  REQUIRE(download.on_wrong(piece).size() == 2);

  CHECK(download.grant(piece, ConnId{1}));  // it promises, and is never asked: it may choke us
  CHECK(download.grant(piece, ConnId{2}));
  asked.clear();
  download.next_of(piece, ConnId{2}, 2, asked);
  REQUIRE(asked.size() == 2);
  CHECK_FALSE(download.grant(piece, ConnId{1}));
  download.next(ConnId{1}, Bitfield(pieces, true), 4, true, asked);
  CHECK(asked.size() == 2);
  for (const BlockRef& b : asked) download.release(b, ConnId{2});
  CHECK(download.grant(piece, ConnId{1}));
}
