#include "core/discovery/heartbeat.hh"

#include <doctest/doctest.h>

#include "base/random.hh"

using namespace swarm;
using core::Heartbeat;

namespace {

Instant at(Duration d) { return Instant(d); }
constexpr TorrentId one{1}, two{2};

InfoHash hash_of(TorrentId id) {
  InfoHash h;
  h.bytes[0] = static_cast<std::uint8_t>(number(id));
  return h;
}
const std::map<InfoHash, TorrentId> known = {{hash_of(one), one}, {hash_of(two), two}};

wire::BeatReply ack(std::uint64_t sequence, std::vector<TorrentId> want_have = {}) {
  wire::BeatReply r;
  r.sequence = sequence;
  for (const auto id : want_have) {
    wire::BeatReplyTorrent t;
    t.info_hash = hash_of(id);
    t.want_have = true;
    r.torrents.push_back(t);
  }
  return r;
}

/// One beat that is due now and acknowledged at once.
Heartbeat::Begun beat(Heartbeat& h, Instant now, std::vector<TorrentId> want_have = {}) {
  REQUIRE(h.due(now));
  auto begun = h.begin(now);
  h.on_reply(ack(begun.sequence, std::move(want_have)), known, now);
  return begun;
}

void expect_next(const Heartbeat& h, Instant when) {
  REQUIRE(h.next_wake());
  CHECK(*h.next_wake() == when);
  CHECK_FALSE(h.due(when - Duration(1)));
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> runs(const std::vector<wire::PieceRun>& gained) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> out;
  for (const auto& run : gained) out.emplace_back(run.first, run.count);
  return out;
}
using Runs = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

}  // namespace

TEST_CASE("heartbeat: at once at first, each second while something moves, else every 15 s") {
  Heartbeat h("http://nas:6969", at(5s));
  CHECK(h.url() == "http://nas:6969");
  h.on_torrent(one);
  CHECK_FALSE(h.ever_answered());
  const auto first = beat(h, at(5s));
  CHECK(first.sequence == 1);
  REQUIRE(first.torrents.size() == 1);
  CHECK(first.torrents[0].beat.event == "started");
  CHECK(first.torrents[0].want_have);
  CHECK(h.ever_answered());
  expect_next(h, at(20s));
  h.on_moving(true);
  expect_next(h, at(6s));
  const auto second = beat(h, at(6s));
  CHECK(second.torrents[0].beat.event.empty());
  CHECK_FALSE(second.torrents[0].want_have);
  h.on_moving(false);
  expect_next(h, at(21s));
}

TEST_CASE("heartbeat: events do not wait, one a beat, completed after started") {
  Heartbeat h("u", at(0s));
  h.on_torrent(one);
  h.on_completed(one);
  CHECK(beat(h, at(0s)).torrents[0].beat.event == "started");
  CHECK(beat(h, at(0s)).torrents[0].beat.event == "completed");
  expect_next(h, at(15s));
  h.on_torrent(two);
  const auto both = beat(h, at(1s));
  REQUIRE(both.torrents.size() == 2);
  CHECK(both.torrents[0].beat.event.empty());
  CHECK(both.torrents[1].beat.event == "started");
  h.on_torrent_gone(one);
  CHECK(beat(h, at(2s)).torrents[0].beat.event == "stopped");
  REQUIRE(h.due(at(17s)));
  CHECK(beat(h, at(17s)).torrents.size() == 1);
}

TEST_CASE("heartbeat: a torrent that no beat has named leaves without a word") {
  Heartbeat h("u", at(0s));
  h.on_torrent(one);
  h.on_torrent_gone(one);
  CHECK(beat(h, at(0s)).torrents.empty());
}

TEST_CASE("heartbeat: gained pieces and checks are kept until acknowledged") {
  Heartbeat h("u", at(0s));
  h.on_torrent(one);
  h.on_moving(true);
  beat(h, at(0s));
  for (const std::uint32_t p : {5u, 3u, 4u, 9u, 3u}) h.on_gained(one, PieceIndex{p});
  h.on_checked(one, PieceIndex{3}, true, {});
  h.on_checked(one, PieceIndex{7}, false, {Endpoint{IpAddress::v4(1), 2}});
  h.on_checked(one, PieceIndex{4}, true, {});

  const auto begun = h.begin(at(1s));
  CHECK(runs(begun.torrents[0].beat.gained) == Runs{{3, 3}, {9, 1}});
  REQUIRE(begun.torrents[0].beat.checks.size() == 2);
  CHECK(begun.torrents[0].beat.checks[0].count == 2);
  CHECK(begun.torrents[0].beat.checks[1].from.size() == 1);
  h.on_gained(one, PieceIndex{10});  // meanwhile
  h.on_checked(one, PieceIndex{5}, true, {});
  h.on_reply(ack(begun.sequence), known, at(1s));
  const auto next = beat(h, at(2s));
  CHECK(runs(next.torrents[0].beat.gained) == Runs{{10, 1}});
  REQUIRE(next.torrents[0].beat.checks.size() == 1);
  CHECK(next.torrents[0].beat.checks[0].first == 5);
}

TEST_CASE("heartbeat: the first beat after a failure carries everything") {
  Heartbeat h("u", at(0s));
  h.on_torrent(one);
  h.on_moving(true);
  beat(h, at(0s));
  h.on_gained(one, PieceIndex{1});
  h.on_checked(one, PieceIndex{1}, true, {});
  h.begin(at(1s));
  h.on_checked(one, PieceIndex{8}, true, {});
  h.on_failure(at(2s));
  const auto again = beat(h, at(3s));
  CHECK(again.torrents[0].beat.event == "started");
  CHECK(again.torrents[0].want_have);
  CHECK(again.torrents[0].beat.gained.empty());
  CHECK(again.torrents[0].beat.checks.size() == 2);
  CHECK_FALSE(beat(h, at(4s)).torrents[0].want_have);
}

TEST_CASE("heartbeat: a tracker that is gone is asked again within 2 s while something moves, within 15 s otherwise") {
  for (const bool moving : {true, false}) {
    CAPTURE(moving);
    Heartbeat h("u", at(0s));
    h.on_torrent(one);
    h.on_moving(moving);
    Instant now = at(0s);
    double expected = 1;
    for (int i = 0; i < 12; ++i) {
      REQUIRE(h.due(now));
      h.begin(now);
      now += 500ms;
      h.on_failure(now);
      expect_next(h, now + from_seconds(expected));
      now += from_seconds(expected);
      expected = std::min(expected * 2, moving ? 2.0 : 15.0);
    }
    if (!moving) {  // it begins to move: no need to wait out the rest
      h.begin(now);
      h.on_failure(now);
      h.on_moving(true);
      expect_next(h, now + 2s);
    }
  }
}

TEST_CASE("heartbeat: an event while the tracker is gone is tried once, then waits like the rest") {
  Heartbeat h("u", at(0s));
  h.on_torrent(one);
  h.begin(at(0s));
  h.on_failure(at(0s));
  h.on_completed(one);
  REQUIRE(h.due(at(0s)));
  h.begin(at(0s));
  h.on_failure(at(0s));
  expect_next(h, at(2s));
}

TEST_CASE("heartbeat: the tracker can slow it down, but only so far, and asks for bitmaps") {
  Heartbeat h("u", at(0s));
  h.on_torrent(one);
  h.on_moving(true);
  auto begun = h.begin(at(0s));
  auto r = ack(begun.sequence);
  r.interval_ms = 5'000;
  h.on_reply(r, known, at(0s));
  expect_next(h, at(5s));
  begun = h.begin(at(5s));
  r = ack(begun.sequence);
  r.interval_ms = UINT32_MAX;
  h.on_reply(r, known, at(5s));
  expect_next(h, at(65s));
  h.on_moving(false);
  beat(h, at(65s));
  expect_next(h, at(80s));
  beat(h, at(80s), {one});
  expect_next(h, at(81s));
  CHECK(beat(h, at(81s)).torrents[0].want_have);
  expect_next(h, at(96s));
}

TEST_CASE("heartbeat: a tracker that does not know a node which it answered before has restarted") {
  Heartbeat h("http://nas:6969", at(0s));
  h.on_torrent(one);
  const auto told = [&](Instant now, bool new_node) {
    REQUIRE(h.due(now));
    auto reply = ack(h.begin(now).sequence);
    reply.new_node = new_node;
    return h.on_reply(reply, known, now);
  };
  CHECK_FALSE(told(at(0s), true));  // at first it is new everywhere
  CHECK_FALSE(told(at(15s), false));
  CHECK(told(at(30s), true));  // no beat has failed: it was away between two
  CHECK_FALSE(told(at(45s), false));
  h.begin(at(60s));
  h.on_failure(at(60s));
  CHECK(told(at(61s), true));  // away for longer
  h.begin(at(76s));
  h.on_failure(at(76s));
  CHECK_FALSE(told(at(77s), false));  // out of reach only
}

TEST_CASE("heartbeat: an answer to another beat counts as none") {
  Heartbeat h("u", at(0s));
  h.on_torrent(one);
  const auto begun = h.begin(at(0s));
  h.on_reply(ack(begun.sequence + 1), known, at(0s));
  CHECK_FALSE(h.ever_answered());
  expect_next(h, at(1s));
  CHECK(beat(h, at(1s)).torrents[0].beat.event == "started");
}

TEST_CASE("heartbeat: leave says so once, and is done whatever comes of it") {
  for (const bool answered : {true, false}) {
    CAPTURE(answered);
    Heartbeat h("u", at(0s));
    h.on_torrent(one);
    const auto under_way = h.begin(at(0s));
    CHECK_FALSE(under_way.leaving);
    h.leave();
    CHECK_FALSE(h.next_wake());
    h.on_reply(ack(under_way.sequence), known, at(1s));
    CHECK_FALSE(h.done());
    REQUIRE(h.due(at(1s)));
    const auto last = h.begin(at(1s));
    CHECK(last.leaving);
    if (answered) {
      h.on_reply(ack(last.sequence), known, at(2s));
    } else {
      h.on_failure(at(2s));
    }
    CHECK(h.done());
    CHECK_FALSE(h.next_wake());
  }
}

TEST_CASE("heartbeat: more than 200 runs become the bitmap, good checks are bounded, failures never lost") {
  Heartbeat h("u", at(0s));
  h.on_torrent(one);
  h.on_moving(true);
  beat(h, at(0s));
  for (std::uint32_t p = 0; p < 400; p += 2) h.on_gained(one, PieceIndex{p});
  auto begun = beat(h, at(1s));
  CHECK(begun.torrents[0].beat.gained.size() == 200);
  for (std::uint32_t p = 0; p < 402; p += 2) h.on_gained(one, PieceIndex{p});
  begun = beat(h, at(2s));
  CHECK(begun.torrents[0].beat.gained.empty());
  CHECK(begun.torrents[0].want_have);

  for (std::uint32_t p = 0; p < 150; ++p) h.on_checked(one, PieceIndex{1000 + 2 * p}, false, {});
  for (std::uint32_t p = 0; p < 600; p += 2) h.on_checked(one, PieceIndex{p}, true, {});
  for (std::uint32_t p = 0; p < 150; ++p) h.on_checked(one, PieceIndex{2000 + 2 * p}, false, {});
  std::size_t failures = 0;
  for (Instant now = at(3s); now < at(6s); now += 1s) {
    begun = beat(h, now);
    CHECK(begun.torrents[0].beat.checks.size() <= 200);
    for (const auto& check : begun.torrents[0].beat.checks) failures += check.ok ? 0 : check.count;
  }
  CHECK(failures == 300);
}

TEST_CASE("heartbeat: what acknowledged beats told is what happened, through any failures") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Random chance(seed);
    Heartbeat h("u", at(0s));
    h.on_torrent(one);
    h.on_moving(true);
    constexpr std::uint32_t pieces = 300;
    Bitfield truth(pieces), told(pieces);
    Instant now = at(0s);
    for (int step = 0; step < 400; ++step) {
      for (auto n = chance.below(step % 50 == 0 ? 250 : 3); n > 0; --n) {
        const auto p = PieceIndex{static_cast<std::uint32_t>(chance.below(pieces))};
        if (truth[p]) continue;
        truth.set(p);
        h.on_gained(one, p);
      }
      now += 3s;
      REQUIRE(h.due(now));
      const auto begun = h.begin(now);
      const Bitfield then = truth;
      if (chance.below(2) == 0) {
        const auto p = PieceIndex{static_cast<std::uint32_t>(chance.below(pieces))};
        if (!truth[p]) truth.set(p), h.on_gained(one, p);
      }
      if (chance.below(4) == 0) {
        h.on_failure(now);
        continue;
      }
      if (begun.torrents[0].want_have) told = then;
      for (const auto& run : begun.torrents[0].beat.gained) {
        for (std::uint32_t p = run.first; p < run.first + run.count; ++p) told.set(PieceIndex{p});
      }
      REQUIRE(told == then);
      const bool forgot = chance.below(10) == 0;
      if (forgot) told.set_all(false);
      h.on_reply(ack(begun.sequence, forgot ? std::vector{one} : std::vector<TorrentId>{}), known, now);
    }
  }
}
