#include "core/torrent/address_book.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

using namespace swarm;
using namespace swarm::core;

namespace {
Instant at(double s) { return Instant{} + from_seconds(s); }
Endpoint endpoint(int i) {
  return *Endpoint::from("10.0." + std::to_string(i / 200) + "." + std::to_string(i % 200 + 1) + ":6881");
}
}  // namespace

TEST_CASE("a person's peer comes first, each address once, none that cannot be one") {
  Random random(1);
  AddressBook book(random);
  for (int i = 0; i < 5; ++i) book.add(endpoint(i), i == 3, at(0));
  book.add(endpoint(3), false, at(0));
  book.add(*Endpoint::from("0.0.0.0:6881"), false, at(0));
  book.add(*Endpoint::from("10.0.0.9:0"), false, at(0));
  CHECK(book.size() == 5);
  CHECK(book.next(at(0)) == endpoint(3));
  std::set<Endpoint> rest;
  while (auto e = book.next(at(0))) rest.insert(*e);
  CHECK(rest.size() == 4);
}

TEST_CASE("an address that failed waits, one that was connected comes back soon, a banned one never") {
  Random random(1);
  AddressBook book(random);
  book.add(endpoint(1), false, at(0));
  REQUIRE(book.next(at(0)));
  book.on_failed(endpoint(1), at(0));
  CHECK_FALSE(book.next(at(0.4)));
  CHECK(book.next(at(1.1)));
  for (int i = 0; i < 20; ++i) book.on_failed(endpoint(1), at(10));
  CHECK_FALSE(book.next(at(60)));
  CHECK(book.next(at(131)));
  book.on_connected(endpoint(1));
  book.on_gone(endpoint(1), true, at(200));
  CHECK(book.next(at(201.1)));
  book.ban(endpoint(1));
  book.on_gone(endpoint(1), true, at(300));
  book.add(endpoint(1), true, at(300));
  CHECK_FALSE(book.next(at(10'000)));
}

TEST_CASE("the book has a bound, and what failed most makes room") {
  Random random(1);
  AddressBook book(random);
  for (int i = 0; i < 3000; ++i) book.add(endpoint(i), false, at(0));
  CHECK(book.size() == AddressBook::known_max);
}

TEST_CASE("the next wake is the first moment of those who wait, whatever befell them before") {
  Random random(1), chance(2);
  AddressBook book(random);
  std::map<Endpoint, Instant> waiting;  // as the rules have it
  std::vector<Endpoint> busy;
  int woken = 0;
  for (int step = 0; step < 4000; ++step) {
    const Instant now = at(0.5 * step);
    const auto some = [&] { return endpoint(static_cast<int>(chance.below(60))); };
    if (const Endpoint e = some(); chance.below(4) == 0 && book.size() < 60) {
      const bool known = waiting.contains(e) || book.banned(e) || std::find(busy.begin(), busy.end(), e) != busy.end();
      book.add(e, false, now);
      if (!known) waiting[e] = now;
    }
    if (const Endpoint e = some(); chance.below(100) == 0) {
      book.ban(e);
      waiting.erase(e);
    }
    if (!busy.empty() && chance.below(2) == 0) {
      const auto gone = busy.begin() + static_cast<std::ptrdiff_t>(chance.below(busy.size()));
      const bool useful = chance.below(2) == 0;
      book.on_gone(*gone, useful, now);
      if (!book.banned(*gone)) waiting[*gone] = now + (useful ? Duration(1s) : Duration(60s));
      busy.erase(gone);
    }
    std::optional<Instant> first;
    for (const auto& [e, when] : waiting)
      if (!first || when < *first) first = when;
    REQUIRE(book.next_wake() == first);
    const auto next = book.next(now);
    REQUIRE(next.has_value() == (first && *first <= now));
    if (!next) continue;
    ++woken;
    REQUIRE(waiting[*next] <= now);
    waiting.erase(*next);
    busy.push_back(*next);
    book.on_connected(*next);
  }
  CHECK(woken > 500);
}
