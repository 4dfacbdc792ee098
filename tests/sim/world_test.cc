#include "sim/world.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <vector>

using namespace swarm;
using namespace swarm::sim;

TEST_CASE("world: things happen in the order of time, then of being asked for") {
  World world(1);
  std::vector<int> order;
  const auto note = [&](Duration when, int what) {
    world.at(Instant(when), [&order, what] { order.push_back(what); });
  };
  note(2s, 4), note(1s, 1), note(1s, 2), note(1s, 3), note(3s, 5);
  world.run_until(Instant(2s));
  CHECK(order == std::vector{1, 2, 3, 4});
  CHECK(world.now() == Instant(2s));
  CHECK(world.step());
  CHECK_FALSE(world.step());
  CHECK(order.back() == 5);
  CHECK(world.events() == 5);
}

TEST_CASE("world: what happens may ask for more, and nothing happens in the past") {
  World world(1);
  std::vector<Instant> at;
  struct Again {
    World* world;
    std::vector<Instant>* at;
    int left;
    void operator()() {
      at->push_back(world->now());
      if (--left > 0) world->at(Instant(0s), *this);
    }
  };
  world.at(Instant(1s), Again{&world, &at, 3});
  world.run_until(Instant(5s));
  CHECK(at == std::vector(3, Instant(1s)));
}

TEST_CASE("world: many events in random order come out sorted") {
  World world(2);
  Random chance(3);
  std::vector<Instant> came;
  for (int i = 0; i < 20'000; ++i) {
    world.at(Instant(Duration(chance.below(1'000'000))), [&world, &came] { came.push_back(world.now()); });
  }
  while (world.step()) {
  }
  CHECK(came.size() == 20'000);
  CHECK(std::is_sorted(came.begin(), came.end()));
}

TEST_CASE("world: whatever is asked for from within what happens, the order is that of time, then of being asked for") {
  struct Asked {
    Instant at;
    int number = 0;
    auto operator<=>(const Asked&) const = default;
  };
  World world(3);
  Random chance(4);
  std::vector<Asked> happened;
  int asked = 0;
  const std::function<void(int)> ask = [&](int more) {
    for (; more > 0; --more) {
      // Often the same moment, mostly a near one, now and then one hours ahead.
      const auto spread = std::uint64_t{1} << (chance.below(3) == 0 ? 0 : chance.below(44));
      const Asked this_one{world.now() + Duration(chance.below(spread)), asked++};
      world.at(this_one.at, [&world, &happened, &ask, &chance, &asked, number = this_one.number] {
        happened.push_back({world.now(), number});
        if (asked < 30'000) ask(static_cast<int>(chance.below(4)));
      });
    }
  };
  ask(1000);
  for (Instant end{}; world.step(); end = world.now() + Duration(chance.below(1'000'000'000))) {
    if (chance.below(10) == 0) world.run_until(end);  // time goes on where nothing happens
  }
  CHECK(happened.size() == static_cast<std::size_t>(asked));
  CHECK(asked > 1000);
  CHECK(std::is_sorted(happened.begin(), happened.end()));
}

TEST_CASE("world: the event hash sees what, who, when, and in which order") {
  const auto hash = [](std::vector<std::uint32_t> hosts, Happened what, Duration when) {
    World world(1);
    world.run_until(Instant(when));
    for (const auto host : hosts) world.note(what, host, 7, 8);
    return world.event_hash();
  };
  const auto same = hash({1, 2}, Happened::received, 1s);
  CHECK(hash({1, 2}, Happened::received, 1s) == same);
  CHECK(hash({2, 1}, Happened::received, 1s) != same);
  CHECK(hash({1, 2}, Happened::closed, 1s) != same);
  CHECK(hash({1, 2}, Happened::received, 2s) != same);
  CHECK(hash({1}, Happened::received, 1s) != same);
}

TEST_CASE("world: something that goes round in a circle is noticed") {
  World world(1);
  struct Circle {
    World* world;
    void operator()() { world->at(world->now(), *this); }
  };
  world.at(Instant(1s), Circle{&world});
  world.run_until(Instant(2s));
  CHECK(world.stuck());
}
