#include "core/discovery/announcer.hh"

#include <doctest/doctest.h>

#include <set>

using namespace swarm;
using core::Announcer;
using wire::AnnounceEvent;

namespace {

Instant at(Duration d) { return Instant(d); }

wire::AnnounceReply reply(std::uint32_t interval_s, std::uint32_t min_interval_s = 0) {
  wire::AnnounceReply r;
  r.interval_s = interval_s;
  r.min_interval_s = min_interval_s;
  return r;
}

/// Asks, and expects exactly this one.
void expect(Announcer& a, Instant now, const std::string& url, AnnounceEvent event) {
  CAPTURE(url);
  const auto ask = a.next_ask(now);
  REQUIRE(ask);
  CHECK(ask->url == url);
  CHECK(ask->event == event);
  CHECK_FALSE(a.next_ask(now));
}

void expect_nothing_before(Announcer& a, Instant when) {
  REQUIRE(a.next_wake());
  CHECK(*a.next_wake() == when);
  CHECK_FALSE(a.next_ask(when - Duration(1)));
}

}  // namespace

TEST_CASE("announcer: started, then by the tracker's interval, completed once, stopped at the end") {
  Random random(1);
  Announcer a({{"http://a/announce"}}, random, at(0s));
  CHECK(a.next_wake() == at(0s));
  expect(a, at(0s), "http://a/announce", AnnounceEvent::started);
  CHECK_FALSE(a.next_wake());
  CHECK_FALSE(a.any_working());
  a.on_reply("http://a/announce", reply(100), at(1s));
  CHECK(a.any_working());
  expect_nothing_before(a, at(101s));
  expect(a, at(101s), "http://a/announce", AnnounceEvent::none);
  a.on_reply("http://a/announce", reply(100), at(102s));

  a.completed(at(103s));
  expect(a, at(103s), "http://a/announce", AnnounceEvent::completed);
  a.on_reply("http://a/announce", reply(100), at(104s));
  expect_nothing_before(a, at(204s));

  a.stop(at(110s));
  CHECK_FALSE(a.stopped());
  REQUIRE(a.next_wake());
  expect(a, at(110s), "http://a/announce", AnnounceEvent::stopped);
  CHECK_FALSE(a.stopped());
  a.on_reply("http://a/announce", reply(100), at(111s));
  CHECK(a.stopped());
  CHECK_FALSE(a.next_wake());
  CHECK_FALSE(a.next_ask(at(1h)));
}

TEST_CASE("announcer: the interval is clamped, a min interval respected") {
  struct Case {
    std::uint32_t interval, min_interval;
    Duration next, next_lacking;
  };
  for (const auto& c : {Case{0, 0, 30min, 60s}, Case{5, 0, 60s, 60s}, Case{100'000, 0, 1h, 60s},
                        Case{120, 300, 300s, 300s}, Case{600, 90, 600s, 90s}, Case{60, UINT32_MAX, 24h, 24h}}) {
    CAPTURE(c.interval);
    CAPTURE(c.min_interval);
    Random random(1);
    Announcer a({{"u"}}, random, at(0s));
    REQUIRE(a.next_ask(at(0s)));
    a.on_reply("u", reply(c.interval, c.min_interval), at(0s));
    expect_nothing_before(a, at(c.next));
    a.want_peers(true, at(1s));
    expect_nothing_before(a, at(c.next_lacking));
    a.want_peers(false, at(2s));
    expect_nothing_before(a, at(c.next));
  }
}

TEST_CASE("announcer: tiers in order, a working tracker moves to the front of its own") {
  Random random(3);
  Announcer a({{"a", "b", "c"}, {"d"}}, random, at(0s));
  std::vector<std::string> asked;
  for (int i = 0; i < 2; ++i) {
    const auto ask = a.next_ask(at(0s));
    REQUIRE(ask);
    asked.push_back(ask->url);
    a.on_failure(ask->url, at(0s));
  }
  const auto third = a.next_ask(at(0s));
  REQUIRE(third);
  CHECK(std::set<std::string>{asked[0], asked[1], third->url} == std::set<std::string>{"a", "b", "c"});
  a.on_reply(third->url, reply(60), at(0s));
  expect(a, at(60s), third->url, AnnounceEvent::none);  // at the front from now on
  a.on_failure(third->url, at(60s));
  expect(a, at(60s), asked[0], AnnounceEvent::started);
  a.on_failure(asked[0], at(60s));
  expect(a, at(60s), asked[1], AnnounceEvent::started);
  a.on_failure(asked[1], at(60s));
  expect(a, at(60s), "d", AnnounceEvent::started);  // the second tier, since the first failed
  a.on_reply("d", reply(60), at(61s));
  expect(a, at(121s), third->url, AnnounceEvent::none);  // and from the first again
}

TEST_CASE("announcer: within a tier the order is random") {
  std::set<std::string> firsts;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    Announcer a({{"a", "b", "c", "a"}}, random, at(0s));
    firsts.insert(a.next_ask(at(0s))->url);
  }
  CHECK(firsts == std::set<std::string>{"a", "b", "c"});
}

TEST_CASE("announcer: after all failed it backs off from 5 s to 30 min, not in step with others") {
  Random random(4);
  Announcer a({{"u"}}, random, at(0s));
  Instant now = at(0s);
  std::vector<double> waits;
  for (int i = 0; i < 40; ++i) {
    const auto ask = a.next_ask(now);
    REQUIRE(ask);
    CHECK(ask->event == AnnounceEvent::started);
    a.on_failure("u", now);
    const auto next = a.next_wake();
    REQUIRE(next);
    waits.push_back(seconds(*next - now));
    now = *next;
  }
  double expected = 5;
  for (const double wait : waits) {
    CHECK(wait >= expected * 0.9);
    CHECK(wait <= expected * 1.1);
    expected = std::min(expected * 2, 1800.0);
  }
  CHECK(std::set<double>(waits.begin(), waits.end()).size() == waits.size());

  REQUIRE(a.next_ask(now));
  a.on_reply("u", reply(60), now);
  now += 60s;
  REQUIRE(a.next_ask(now));
  a.on_failure("u", now);
  CHECK(*a.next_wake() - now < 6s);  // one answer and it starts small again
}

TEST_CASE("announcer: completed is repeated until acknowledged, and started comes first") {
  Random random(5);
  Announcer a({{"u"}}, random, at(0s));
  a.completed(at(0s));
  expect(a, at(0s), "u", AnnounceEvent::started);
  a.on_failure("u", at(0s));
  const auto retry = *a.next_wake();
  CHECK(retry >= at(4s));
  expect(a, retry, "u", AnnounceEvent::started);
  a.on_reply("u", reply(60), retry);
  expect(a, retry, "u", AnnounceEvent::completed);
  a.on_failure("u", retry);
  const auto again = *a.next_wake();
  CHECK(again > retry);
  expect(a, again, "u", AnnounceEvent::completed);
  a.on_reply("u", reply(60), again);
  expect(a, again + 60s, "u", AnnounceEvent::none);
}

TEST_CASE("announcer: stopped goes to each tracker that answered started, and to no other") {
  Random random(6);
  Announcer a({{"a"}, {"b"}, {"c"}}, random, at(0s));
  a.next_ask(at(0s)), a.on_failure("a", at(0s));
  a.next_ask(at(0s)), a.on_reply("b", reply(60), at(0s));
  a.next_ask(at(60s)), a.on_reply("a", reply(60), at(60s));
  a.stop(at(70s));
  std::set<std::string> told;
  while (const auto ask = a.next_ask(at(70s))) {
    CHECK(ask->event == AnnounceEvent::stopped);
    told.insert(ask->url);
  }
  CHECK(told == std::set<std::string>{"a", "b"});
  a.on_failure("a", at(71s));
  CHECK_FALSE(a.stopped());
  a.on_reply("b", reply(60), at(72s));
  CHECK(a.stopped());
}

TEST_CASE("announcer: stopping in the middle of an exchange") {
  Random random(7);
  Announcer never({{"a"}}, random, at(0s));
  REQUIRE(never.next_ask(at(0s)));
  never.stop(at(1s));
  CHECK_FALSE(never.next_ask(at(1s)));
  CHECK(never.stopped());  // nothing has been acknowledged, nothing must be taken back
  never.on_reply("a", reply(60), at(2s));
  expect(never, at(2s), "a", AnnounceEvent::stopped);

  Announcer known({{"a"}}, random, at(0s));
  known.next_ask(at(0s)), known.on_reply("a", reply(60), at(0s));
  expect(known, at(60s), "a", AnnounceEvent::none);
  known.stop(at(61s));
  CHECK_FALSE(known.next_ask(at(61s)));  // one question at a time to one tracker
  CHECK_FALSE(known.stopped());
  known.on_failure("a", at(62s));
  expect(known, at(62s), "a", AnnounceEvent::stopped);
}

TEST_CASE("announcer: a swarm tracker is handed over and used no more") {
  Random random(8);
  Announcer a({{"http://nas:6969/announce"}, {"http://b/x/announce?k=1"}}, random, at(0s));
  expect(a, at(0s), "http://nas:6969/announce", AnnounceEvent::started);
  auto r = reply(60);
  r.swarm_tracker = true;
  a.on_reply("http://nas:6969/announce", r, at(1s));
  CHECK(a.take_swarm_trackers() == std::vector<std::string>{"http://nas:6969"});
  CHECK(a.take_swarm_trackers().empty());
  expect(a, at(1s), "http://b/x/announce?k=1", AnnounceEvent::started);
  a.on_reply("http://b/x/announce?k=1", r, at(2s));
  CHECK(a.take_swarm_trackers() == std::vector<std::string>{"http://b"});
  CHECK_FALSE(a.next_wake());
  CHECK_FALSE(a.next_ask(at(24h)));
  a.stop(at(24h));
  CHECK(a.stopped());
}

TEST_CASE("announcer: repeats a tracker id") {
  Random random(9);
  Announcer a({{"u"}}, random, at(0s));
  CHECK(a.next_ask(at(0s))->tracker_id.empty());
  auto r = reply(60);
  r.tracker_id = "x";
  a.on_reply("u", r, at(0s));
  CHECK(a.next_ask(at(60s))->tracker_id == "x");
  a.on_reply("u", reply(60), at(60s));
  CHECK(a.next_ask(at(120s))->tracker_id == "x");
}

TEST_CASE("announcer: no trackers, and answers that nobody asked for") {
  Random random(10);
  Announcer none({}, random, at(0s));
  CHECK_FALSE(none.next_wake());
  CHECK_FALSE(none.next_ask(at(1s)));
  none.stop(at(1s));
  CHECK(none.stopped());

  Announcer a({{"u"}}, random, at(0s));
  a.on_reply("u", reply(60), at(0s));
  a.on_failure("v", at(0s));
  expect(a, at(0s), "u", AnnounceEvent::started);
}

TEST_CASE("tracker_base: scheme and authority only") {
  CHECK(core::tracker_base("http://host:6969/announce") == "http://host:6969");
  CHECK(core::tracker_base("https://[::1]:1/a/b?c") == "https://[::1]:1");
  CHECK(core::tracker_base("http://host") == "http://host");
}
