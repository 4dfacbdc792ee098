#include "core/peer/requests.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "base/meter.hh"

using namespace swarm;
using namespace swarm::core;
using wire::BlockRef;

namespace {
Instant at(double s) { return Instant{} + from_seconds(s); }

/// A peer at the other end of a path of `rate` bytes/s and `round_trip`, asked by the rules for `for_s` seconds. With `tcp` it
/// sends ten segments in its first round trip and doubles that with each, until it fills the path.
struct Path {
  Requests requests;
  Meter meter;
  double used = 0;  ///< share of the path's capacity in the last second
  std::size_t largest = 0;

  void run(double rate, Duration round_trip, double for_s, bool tcp = false) {
    struct Flying {
      BlockRef block;
      Instant arrives;
    };
    std::deque<Flying> flying;
    Instant now = at(0), free = at(0);
    std::uint32_t next = 0;
    double last_second = 0;
    while (seconds(now - at(0)) < for_s) {
      for (std::size_t n = requests.room(); n > 0; --n) {
        const BlockRef b{PieceIndex{next++}, 0, wire::block_bytes};
        requests.asked(b, now);
        const Instant starts = std::max(free, now + round_trip / 2);
        const double first = 14'480 / seconds(round_trip) * std::exp2(seconds(starts - at(0)) / seconds(round_trip));
        free = starts + from_seconds(wire::block_bytes / (tcp ? std::min(rate, first) : rate));
        flying.push_back({b, free + round_trip / 2});
      }
      now = flying.front().arrives;
      meter.add(wire::block_bytes, now);
      requests.received(flying.front().block, meter.rate(now), now);
      flying.pop_front();
      largest = std::max(largest, requests.window());
      if (seconds(now - at(0)) > for_s - 1) last_second += wire::block_bytes;
    }
    used = last_second / rate;
  }
};
}  // namespace

TEST_CASE("the window fills a path, near or far, and does not hoard at a slow one") {
  const auto used = [](double rate, Duration round_trip) {
    Path p;
    p.requests.set_peer_limit(10'000);
    p.run(rate, round_trip, 8);
    return p;
  };
  CHECK(used(125e6, 200us).used > 0.97);
  CHECK(used(125e6, 40ms).used > 0.95);
  CHECK(used(12.5e6, 100ms).used > 0.95);
  const Path slow = used(125e3, 50ms);
  CHECK(slow.used > 0.9);
  CHECK(slow.requests.window() <= 8);
  CHECK(used(1e9, 100us).largest * wire::block_bytes <= 8u << 20);
}

TEST_CASE("of who gives by turns a few blocks are asked ahead, of who is far away a few more") {
  for (const auto& [round_trip, blocks] : {std::pair{20ms, 4u}, std::pair{60ms, 8u}}) {
    Requests r;
    CHECK(r.room_in_turn(0) == 4);
    r.asked({PieceIndex{1}, 0, 16384}, at(1));
    r.received({PieceIndex{1}, 0, 16384}, 50e3, at(1) + round_trip);
    CHECK(r.room_in_turn(50e3) == blocks);
    CHECK(r.room_in_turn(5e6) == static_cast<std::size_t>(5e6 * (2 * seconds(round_trip) + 0.01) / 16384));
  }
}

TEST_CASE("a path that TCP has yet to fill is not starved meanwhile") {
  Path far;  // 125 MB/s come after 0.35 s; of the second from 0.2 s on, 0.91 can be used
  far.requests.set_peer_limit(10'000);
  far.run(125e6, 40ms, 1.2, true);
  CHECK(far.used > 0.87);
}

TEST_CASE("never more than the peer's reqq") {
  Path p;
  p.requests.set_peer_limit(20);
  p.run(125e6, 40ms, 3);
  CHECK(p.largest <= 20);
}

TEST_CASE("a block counts once, and only when it was asked for") {
  Requests r;
  const BlockRef b{PieceIndex{1}, 0, 16384};
  CHECK_FALSE(r.received(b, 0, at(1)));
  r.asked(b, at(1));
  CHECK(r.pending(b));
  CHECK(r.received(b, 0, at(2)));
  CHECK_FALSE(r.received(b, 0, at(2)));
  r.asked(b, at(3));
  CHECK(r.drop(b));
  CHECK_FALSE(r.drop(b));
}

TEST_CASE("a silent peer is snubbed after a minute, counted from the last block or from when it was first asked") {
  Requests r;
  r.asked({PieceIndex{1}, 0, 16384}, at(100));
  r.asked({PieceIndex{2}, 0, 16384}, at(130));
  CHECK_FALSE(r.snubbed(at(159)));
  CHECK(r.snubbed(at(161)));
  r.received({PieceIndex{1}, 0, 16384}, 0, at(161));
  CHECK_FALSE(r.snubbed(at(162)));
}
