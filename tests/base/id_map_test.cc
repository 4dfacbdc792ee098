#include "base/id_map.hh"

#include <doctest/doctest.h>

#include <map>
#include <memory>

#include "base/random.hh"

using namespace swarm;

TEST_CASE("an id map finds what was put there, and nothing else") {
  IdMap<int> map;
  CHECK(map.find(1) == nullptr);
  CHECK_FALSE(map.erase(1));
  map[2] = 20;
  CHECK(map.find(0) == nullptr);  // which no id is
  CHECK_FALSE(map.erase(0));
  map.erase(2);
  map[1] = 10;
  map[17] = 170;  // the same slot of sixteen
  map[33] = 330;
  CHECK(map.size() == 3);
  REQUIRE(map.find(17) != nullptr);
  CHECK(*map.find(17) == 170);
  CHECK(map.find(49) == nullptr);
  CHECK(map.erase(1));
  CHECK(map.find(1) == nullptr);
  CHECK(*map.find(17) == 170);  // it lay behind the one that is gone
  CHECK(*map.find(33) == 330);
  CHECK(map.size() == 2);
  CHECK(map[1] == 0);  // anew
}

TEST_CASE("an id map holds what can only be moved, and lets go of it at once") {
  struct Counted {
    explicit Counted(int& n) : alive(n) { ++alive; }
    ~Counted() { --alive; }
    int& alive;
  };
  int alive = 0;
  IdMap<std::unique_ptr<Counted>> map;
  for (std::uint32_t id = 1; id <= 100; ++id) map[id] = std::make_unique<Counted>(alive);
  CHECK(alive == 100);
  for (std::uint32_t id = 1; id <= 100; id += 2) map.erase(id);
  CHECK(alive == 50);
}

TEST_CASE("an id map does what a std::map does, in whatever order ids come and go") {
  Random chance(1);
  IdMap<std::uint64_t> map;
  std::map<std::uint32_t, std::uint64_t> twin;
  std::uint32_t given = 0;
  std::size_t most = 0;
  for (int i = 0; i < 50'000; ++i) {
    // As many come as go, for long enough that the ids in use have gone round the table many times.
    const auto any = static_cast<std::uint32_t>(1 + chance.below(given + 1));
    if (chance.below(twin.size() + 1) < 20) {
      ++given;
      map[given] = twin[given] = chance.next();
    } else if (chance.below(4) == 0 && twin.contains(any)) {
      map[any] = twin[any] = chance.next();
    } else {
      const auto victim = twin.lower_bound(any);
      if (victim != twin.end()) {
        CHECK(map.erase(victim->first));
        twin.erase(victim);
      }
    }
    most = std::max(most, twin.size());
    REQUIRE(map.size() == twin.size());
    const auto asked = static_cast<std::uint32_t>(1 + chance.below(given + 1));
    const auto known = twin.find(asked);
    const auto* const found = map.find(asked);
    REQUIRE((found != nullptr) == (known != twin.end()));
    if (found != nullptr) REQUIRE(*found == known->second);
  }
  CHECK(most > 30);
  for (const auto& [id, value] : twin) CHECK(*map.find(id) == value);
}
