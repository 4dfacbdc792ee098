#include "core/torrent/metadata.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.hh"
#include "core/torrent/metadata_uploads.hh"
#include "support/allocations.hh"
#include "support/dies.hh"

using namespace swarm;
using namespace swarm::core;
using wire::metadata_bytes_max;
using wire::metadata_piece_bytes;
using wire::metadata_piece_size;
using wire::metadata_pieces;
using wire::MetadataData;

namespace {

constexpr Instant start{1000s};
constexpr ConnId a{1}, b{2}, c{3}, d{4};
constexpr std::uint32_t three = 2 * metadata_piece_bytes + 100;  ///< bytes of three pieces

Buffer content(std::uint32_t bytes, std::uint64_t seed = 1) {
  Buffer out(bytes);
  Random(seed).fill(out);
  return out;
}

MetadataData piece_of(const Buffer& whole, std::uint32_t piece) {
  const auto bytes = static_cast<std::uint32_t>(whole.size());
  return {piece, bytes, ByteView(whole).subspan(piece * metadata_piece_bytes, metadata_piece_size(bytes, piece))};
}

/// All that this peer is asked for now.
std::vector<std::uint32_t> asks(Metadata& m, ConnId conn, Instant now) {
  std::vector<std::uint32_t> out;
  while (const auto piece = m.next(conn, now)) out.push_back(*piece);
  return out;
}

/// The peer answers whatever it is asked, out of `whole`, until there is nothing more.
void serve(Metadata& m, ConnId conn, const Buffer& whole, Instant now) {
  while (const auto piece = m.next(conn, now)) m.on_data(conn, piece_of(whole, *piece), now);
}

using Pieces = std::vector<std::uint32_t>;
using Conns = std::vector<ConnId>;

}  // namespace

TEST_CASE("metadata: from one peer, a few pieces at a time") {
  Metadata m;
  const auto whole = content(6 * metadata_piece_bytes + 5);
  CHECK(m.bytes_total() == 0);
  CHECK_FALSE(m.next_wake());
  m.on_offered(a, static_cast<std::int64_t>(whole.size()), start);
  CHECK(m.bytes_total() == whole.size());
  CHECK(asks(m, a, start) == Pieces{0, 1, 2, 3});
  m.on_data(a, piece_of(whole, 1), start + 1s);
  CHECK(m.bytes_done() == metadata_piece_bytes);
  CHECK(asks(m, a, start + 1s) == Pieces{4});
  for (const std::uint32_t piece : {0, 2, 3, 4}) m.on_data(a, piece_of(whole, piece), start + 2s);
  CHECK(asks(m, a, start + 2s) == Pieces{5, 6});
  m.on_data(a, piece_of(whole, 5), start + 2s);
  CHECK(m.complete() == nullptr);
  m.on_data(a, piece_of(whole, 6), start + 2s);
  CHECK(m.bytes_done() == whole.size());
  CHECK(asks(m, a, start + 2s).empty());
  const auto got = m.complete();
  REQUIRE(got != nullptr);
  CHECK(*got == whole);
  CHECK(m.complete() == nullptr);  // once
}

TEST_CASE("metadata: every size that can be, and no other") {
  Metadata m;
  std::uint32_t n = 0;
  for (const std::int64_t bytes : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{metadata_bytes_max} + 1,
                                   std::int64_t{1} << 31, std::int64_t{1} << 32, INT64_MIN, INT64_MAX}) {
    m.on_offered(ConnId{n}, bytes, start);
    CHECK(asks(m, ConnId{n}, start).empty());
    ++n;
  }
  CHECK(m.bytes_total() == 0);
  for (const std::uint32_t bytes : {1u, metadata_piece_bytes, metadata_piece_bytes + 1, metadata_bytes_max}) {
    CAPTURE(bytes);
    Metadata one;
    one.on_offered(a, bytes, start);
    const Buffer whole(bytes, 7);
    serve(one, a, whole, start);
    const auto got = one.complete();
    REQUIRE(got != nullptr);
    CHECK(*got == whole);
  }
}

TEST_CASE("metadata: a told size takes no memory; what came takes its own") {
  Metadata m;
  CHECK(test::bytes_allocated_by([&] { m.on_offered(a, metadata_bytes_max, start); }) < 300'000);
  const Buffer whole(metadata_bytes_max);
  const auto taken = test::bytes_allocated_by([&] {
    for (int i = 0; i < 100; ++i) {
      const auto piece = m.next(a, start);
      m.on_data(a, piece_of(whole, *piece), start);
    }
  });
  CHECK(taken < 100 * (metadata_piece_bytes + 500));
}

TEST_CASE("metadata: peers with the same size share the work") {
  Metadata m;
  const auto whole = content(three);
  m.on_offered(a, three, start);
  m.on_offered(b, three, start);
  CHECK(asks(m, a, start) == Pieces{0, 1, 2});
  CHECK(asks(m, b, start).empty());
  CHECK(m.next_wake() == start + 10s);

  // After a time-out each is asked of the other, oldest first; a late answer is as good.
  CHECK(asks(m, b, start + 10s - Duration(1)).empty());
  CHECK(asks(m, b, start + 10s) == Pieces{0, 1, 2});
  CHECK(asks(m, a, start + 10s).empty());
  m.on_data(a, piece_of(whole, 0), start + 11s);
  m.on_data(b, piece_of(whole, 0), start + 12s);
  CHECK(m.bytes_done() == metadata_piece_bytes);
  m.on_data(b, piece_of(whole, 1), start + 12s);
  m.on_data(b, piece_of(whole, 2), start + 12s);
  const auto got = m.complete();
  REQUIRE(got != nullptr);
  CHECK(*got == whole);
  m.on_data(a, piece_of(whole, 1), start + 13s);  // while it is being checked
  CHECK(m.on_wrong(start + 14s) == Conns{a, b});
}

TEST_CASE("metadata: an ask without an answer counts as lost at last, and its peer rests") {
  Metadata m;
  m.on_offered(a, three, start);
  CHECK(asks(m, a, start) == Pieces{0, 1, 2});
  CHECK(m.next_wake() == start + 30s);
  CHECK(asks(m, a, start + 30s).empty());
  CHECK(m.next_wake() == start + 60s);
  CHECK(asks(m, a, start + 59s).empty());
  CHECK(asks(m, a, start + 60s) == Pieces{0, 1, 2});
}

TEST_CASE("metadata: silent peers cannot hold a piece among themselves") {
  Metadata m;
  const Buffer whole(100, 7);
  for (std::uint32_t i = 0; i < 20; ++i) m.on_offered(ConnId{i}, 100, start);
  m.on_offered(ConnId{20}, 100, start);  // the honest one, always asked last
  for (Instant now = start; m.complete() == nullptr; now = *m.next_wake()) {
    REQUIRE(now < start + 25s);
    for (std::uint32_t i = 0; i < 20; ++i) asks(m, ConnId{i}, now);
    serve(m, ConnId{20}, whole, now);
  }
}

TEST_CASE("metadata: a peer that goes or rejects leaves its pieces to others at once") {
  Metadata m;
  const auto whole = content(three);
  m.on_offered(a, three, start);
  m.on_offered(b, three, start);
  CHECK(asks(m, a, start) == Pieces{0, 1, 2});
  m.on_reject(a, 1, start + 1s);
  m.on_reject(a, 7, start + 1s);  // never asked
  CHECK(asks(m, b, start + 1s) == Pieces{1});
  CHECK(asks(m, a, start + 1s).empty());
  m.on_gone(a, start + 2s);
  CHECK(asks(m, b, start + 2s) == Pieces{0, 2});
  m.on_data(a, piece_of(whole, 0), start + 2s);
  CHECK(m.bytes_done() == 0);
}

TEST_CASE("metadata: who rejects rests") {
  Metadata m;
  m.on_offered(a, three, start);
  CHECK(asks(m, a, start) == Pieces{0, 1, 2});
  for (const std::uint32_t piece : {0, 1, 2}) m.on_reject(a, piece, start + 1s);
  CHECK(asks(m, a, start + 30s).empty());
  CHECK(m.next_wake() == start + 31s);
  CHECK(asks(m, a, start + 31s) == Pieces{0, 1, 2});
}

TEST_CASE("metadata: nothing is taken that was not asked for") {
  Metadata m;
  const auto whole = content(8 * metadata_piece_bytes);
  m.on_offered(a, 8 * metadata_piece_bytes, start);
  m.on_data(a, piece_of(whole, 0), start);  // before it was
  CHECK(asks(m, a, start) == Pieces{0, 1, 2, 3});
  m.on_data(a, piece_of(whole, 5), start);
  m.on_data(b, piece_of(whole, 0), start);
  m.on_data(a, {4'000'000'000, 0, ByteView(whole).first(5)}, start);
  CHECK(m.bytes_done() == 0);
}

TEST_CASE("metadata: who contradicts its own offer is asked no more") {
  const auto whole = content(three);
  const auto other = content(three + 1);
  for (const MetadataData& odd :
       {MetadataData{0, three, ByteView(whole).first(100)}, MetadataData{2, three, ByteView(whole).first(101)},
        MetadataData{0, three + 1, ByteView(other).first(metadata_piece_bytes)}}) {
    Metadata m;
    m.on_offered(a, three, start);
    CHECK(asks(m, a, start) == Pieces{0, 1, 2});
    m.on_data(a, odd, start);
    CHECK(m.bytes_done() == 0);
    CHECK(asks(m, a, start + 60s).empty());
    m.on_offered(a, three, start + 60s);
    m.on_offered(a, three + 5, start + 60s);
    CHECK(asks(m, a, start + 60s).empty());
    m.on_offered(b, three, start + 60s);
    CHECK(asks(m, b, start + 60s) == Pieces{0, 1, 2});
  }
  Metadata m;  // a total that is not told contradicts nothing
  m.on_offered(a, three, start);
  asks(m, a, start);
  m.on_data(a, {0, 0, ByteView(whole).first(metadata_piece_bytes)}, start);
  CHECK(m.bytes_done() == metadata_piece_bytes);
}

TEST_CASE("metadata: one contributor is proved") {
  Metadata m;
  const auto lie = content(three, 2), truth = content(three, 1);
  m.on_offered(a, three, start);
  serve(m, a, lie, start);
  REQUIRE(m.complete() != nullptr);
  m.on_offered(b, three, start);
  CHECK(asks(m, b, start).empty());
  CHECK(m.on_wrong(start) == Conns{a});
  CHECK(m.bytes_done() == 0);
  CHECK(asks(m, a, start).empty());
  m.on_offered(a, three, start);
  CHECK(asks(m, a, start).empty());
  serve(m, b, truth, start);
  CHECK(*m.complete() == truth);
}

TEST_CASE("metadata: several contributors: then everyone alone, until one is proved") {
  Metadata m;
  const auto lie = content(three, 2), truth = content(three, 1);
  m.on_offered(a, three, start);
  m.on_offered(b, three, start);
  m.on_data(a, piece_of(lie, *m.next(a, start)), start);
  serve(m, b, truth, start);
  REQUIRE(m.complete() != nullptr);
  CHECK(m.on_wrong(start) == Conns{a, b});

  // Both begin at the beginning, and who comes later is alone as well.
  CHECK(asks(m, a, start) == Pieces{0, 1, 2});
  CHECK(asks(m, b, start) == Pieces{0, 1, 2});
  m.on_offered(c, three, start);
  for (const std::uint32_t piece : {0, 1, 2}) m.on_data(a, piece_of(lie, piece), start);
  for (const std::uint32_t piece : {0, 1, 2}) m.on_data(b, piece_of(truth, piece), start);
  const auto wrong = m.complete();
  REQUIRE(wrong != nullptr);
  CHECK(*wrong == lie);
  CHECK(m.complete() == nullptr);  // one check at a time
  CHECK(asks(m, c, start).empty());
  CHECK(m.on_wrong(start) == Conns{a});
  CHECK(asks(m, c, start) == Pieces{0, 1, 2});
  const auto right = m.complete();
  REQUIRE(right != nullptr);
  CHECK(*right == truth);
}

TEST_CASE("metadata: two sizes at a time, and turns when more wait") {
  Metadata m;
  m.on_offered(a, 10'000'000, start);
  m.on_offered(b, 11'000'000, start);
  CHECK(asks(m, a, start).size() == 4);
  CHECK(asks(m, b, start).size() == 4);
  m.on_offered(c, 12'000'000, start + 5s);
  CHECK(asks(m, c, start + 5s).empty());
  // a gives one piece after the other, b nothing: b's place goes to c.
  const Buffer whole(10'000'000);
  std::uint32_t piece = 0;
  for (auto now = start + 6s; now < start + 19s; now += 6s) {
    m.on_data(a, piece_of(whole, piece++), now);
    asks(m, a, now);
  }
  CHECK(m.next_wake() == start + 20s);
  CHECK(asks(m, c, start + 20s) == Pieces{0, 1, 2, 3});
  CHECK(asks(m, b, start + 20s).empty());
  m.on_data(b, piece_of(Buffer(11'000'000), 0), start + 21s);  // too late
  CHECK(m.bytes_total() == 10'000'000);

  // a is alone in having progress and still gives way a minute after somebody began to wait, for b.
  const Buffer third(12'000'000);
  auto now = start + 22s;
  for (std::uint32_t i = 0; now < start + 80s; now += 5s, ++i) {
    m.on_data(a, piece_of(whole, piece++), now);
    m.on_data(c, piece_of(third, i), now);
    asks(m, a, now);
    asks(m, c, now);
    REQUIRE(asks(m, b, now).empty());
  }
  CHECK(m.next_wake() == start + 80s);
  CHECK(asks(m, b, start + 80s).size() == 4);
  CHECK(asks(m, a, start + 80s).empty());
}

TEST_CASE("metadata: nobody loses a place that nobody else wants") {
  Metadata m;
  const auto whole = content(three);
  m.on_offered(a, three, start);
  asks(m, a, start);
  m.on_data(a, piece_of(whole, 0), start + 1s);
  m.on_gone(a, start + 2s);
  CHECK(m.bytes_done() == metadata_piece_bytes);
  m.on_offered(b, three, start + 1h);
  CHECK(asks(m, b, start + 1h) == Pieces{1, 2});
  m.on_gone(b, start + 1h);
  // Somebody else's size takes the second place; a third one the first, since its peers are gone.
  m.on_offered(c, 5, start + 1h);
  CHECK(m.bytes_done() == metadata_piece_bytes);
  m.on_offered(d, 6, start + 1h);
  CHECK(asks(m, d, start + 1h) == Pieces{0});
  CHECK(m.bytes_done() == 0);
}

TEST_CASE(
    "metadata: a peer that changes its mind is believed the last time, and what is being checked is not disturbed") {
  Metadata m;
  m.on_offered(a, three, start);
  CHECK(asks(m, a, start) == Pieces{0, 1, 2});
  m.on_offered(a, three, start + 1s);
  CHECK(asks(m, a, start + 1s).empty());
  m.on_offered(a, 5, start + 1s);
  CHECK(asks(m, a, start + 1s) == Pieces{0});
  m.on_data(a, {0, 5, as_bytes("12345")}, start + 1s);
  const auto five = m.complete();
  REQUIRE(five != nullptr);
  m.on_offered(a, 6, start + 1s);
  m.on_gone(a, start + 1s);
  CHECK(m.on_wrong(start + 2s) == Conns{a});
  CHECK_FALSE(m.next_wake());
}

TEST_CASE("metadata: on_wrong without a check is our own mistake") {
  CHECK(test::dies([] { Metadata().on_wrong(start); }));
}

TEST_CASE("metadata: three liars and one honest peer (THREATS, row 6)") {
  const auto truth = content(20 * metadata_piece_bytes + 7);
  const auto bytes = static_cast<std::int64_t>(truth.size());
  Metadata m;
  for (const ConnId liar : {a, b, c}) m.on_offered(liar, bytes, start);
  m.on_offered(d, bytes, start);
  std::set<ConnId> proved;
  std::shared_ptr<const Buffer> got;
  for (int round = 0; round < 100; ++round) {
    for (const ConnId conn : {a, b, c, d}) {
      const Buffer lie(truth.size(), static_cast<std::uint8_t>(number(conn)));
      if (const auto piece = m.next(conn, start)) m.on_data(conn, piece_of(conn == d ? truth : lie, *piece), start);
    }
    while ((got = m.complete()) != nullptr && *got != truth) {
      const auto from = m.on_wrong(start);
      if (from.size() == 1) proved.insert(from[0]);
    }
    if (got != nullptr) break;
  }
  REQUIRE(got != nullptr);
  CHECK_FALSE(proved.contains(d));
}

namespace {

/// A peer of the random test: how it lies, and how long it takes.
struct Actor {
  enum class Kind { honest, wrong_bytes, other_size, silent, drips, rejects, contradicts } kind{};
  ConnId conn{};
  Buffer says;  ///< what it serves
  Duration delay{};
  std::vector<std::pair<Instant, std::uint32_t>> queue;  ///< answers to come
};

}  // namespace

TEST_CASE("metadata: any crowd of liars around one honest peer: it finishes, and no honest peer is proved a liar") {
  int mixed = 0, proofs = 0;
  for (std::uint64_t n = 1; n <= 121; ++n) {
    const auto seed = n <= 120 ? n : 1216;  // with this one a turn once ended and nobody was woken to take the next
    CAPTURE(seed);
    Random random(seed);
    const auto bytes = static_cast<std::uint32_t>(1 + random.below(20 * metadata_piece_bytes));
    const auto truth = content(bytes, seed);
    Metadata m;
    std::map<ConnId, Actor> actors;
    std::uint32_t next_conn = 1;
    const auto arrive = [&](Actor::Kind kind, Instant now) {
      Actor actor;
      actor.kind = kind;
      actor.conn = ConnId{next_conn++};
      actor.delay = from_seconds(kind == Actor::Kind::drips ? 5 + 10 * random.unit() : 0.01 + random.unit());
      const auto size = kind == Actor::Kind::other_size
                            ? static_cast<std::uint32_t>(1 + random.below(30 * metadata_piece_bytes))
                            : bytes;
      const bool true_bytes = kind == Actor::Kind::honest || kind == Actor::Kind::contradicts;
      actor.says = true_bytes ? truth : Buffer(size, static_cast<std::uint8_t>(next_conn));
      m.on_offered(actor.conn, size, now);
      actors.emplace(actor.conn, std::move(actor));
    };
    const auto liars = 1 + random.below(12);
    const auto honest_from = random.below(liars + 1);
    for (std::uint64_t i = 0; i <= liars; ++i) {
      arrive(i == honest_from ? Actor::Kind::honest : static_cast<Actor::Kind>(1 + random.below(6)), start);
    }
    Instant now = start;
    std::shared_ptr<const Buffer> got;
    std::size_t asked = 0;
    while (got == nullptr) {
      REQUIRE(now < start + 1h);
      for (auto& [conn, actor] : actors) {
        const auto size = static_cast<std::uint32_t>(actor.says.size());
        const auto id = conn;
        while (const auto piece = m.next(id, now)) {
          REQUIRE(*piece < metadata_pieces(size));
          REQUIRE(++asked < 200'000);
          if (actor.kind == Actor::Kind::silent) continue;
          // A connection answers in the order of the asks.
          const auto free_at = actor.queue.empty() ? now : actor.queue.back().first;
          actor.queue.emplace_back(std::max(now, free_at) + actor.delay, *piece);
        }
      }
      // To the next thing that happens.
      auto wake = m.next_wake();
      if (wake) REQUIRE(*wake > now);
      ConnId who{};
      Instant soonest = Instant::max();
      for (const auto& [conn, actor] : actors) {
        if (!actor.queue.empty() && actor.queue.front().first < soonest) {
          soonest = actor.queue.front().first;
          who = conn;
        }
      }
      REQUIRE((wake || soonest != Instant::max()));
      if (wake && *wake < soonest) {
        now = *wake;
        continue;
      }
      now = std::max(now, soonest);
      Actor& actor = actors.at(who);
      const auto piece = actor.queue.front().second;
      actor.queue.erase(actor.queue.begin());
      auto data = piece_of(actor.says, piece);
      if (actor.kind == Actor::Kind::rejects) {
        m.on_reject(who, piece, now);
      } else {
        if (actor.kind == Actor::Kind::contradicts) data.bytes_total += 1;
        m.on_data(who, data, now);
      }
      while ((got = m.complete()) != nullptr && *got != truth) {
        const auto from = m.on_wrong(now);
        REQUIRE(!from.empty());
        REQUIRE(std::is_sorted(from.begin(), from.end()));
        if (from.size() > 1) {
          ++mixed;
          continue;
        }
        ++proofs;
        const auto kind = actors.at(from[0]).kind;
        REQUIRE(kind != Actor::Kind::honest);
        REQUIRE(kind != Actor::Kind::contradicts);
        m.on_gone(from[0], now);  // banned
        actors.erase(from[0]);
        if (random.below(3) == 0) arrive(static_cast<Actor::Kind>(1 + random.below(6)), now);
      }
      REQUIRE(m.bytes_done() <= m.bytes_total());
    }
    REQUIRE(*got == truth);
  }
  CHECK(mixed > 10);
  CHECK(proofs > 100);
}

TEST_CASE("metadata uploads: any piece, twice the whole to a peer, then rejects") {
  const auto info = std::make_shared<const Buffer>(content(three));
  MetadataUploads uploads(info);
  CHECK(uploads.bytes() == three);
  Buffer got;
  for (std::uint32_t piece = 0; piece < 3; ++piece) {
    const auto reply = uploads.on_request(a, piece);
    REQUIRE(std::holds_alternative<MetadataData>(reply));
    const auto& data = std::get<MetadataData>(reply);
    CHECK(data.piece == piece);
    CHECK(data.bytes_total == three);
    append(got, data.bytes);
  }
  CHECK(got == *info);
  for (const std::uint32_t piece : {3u, 4'294'967'295u}) {
    CHECK(std::get<wire::MetadataReject>(uploads.on_request(a, piece)).piece == piece);
  }
  for (int i = 0; i < 3; ++i) CHECK(std::holds_alternative<MetadataData>(uploads.on_request(a, 0)));
  CHECK(std::holds_alternative<wire::MetadataReject>(uploads.on_request(a, 1)));
  CHECK(std::holds_alternative<MetadataData>(uploads.on_request(b, 1)));
  uploads.on_gone(a);
  CHECK(std::holds_alternative<MetadataData>(uploads.on_request(a, 1)));
  CHECK(test::dies([] { MetadataUploads(std::make_shared<const Buffer>()); }));
}
