#include "core/torrent/address_book.hh"

#include <doctest/doctest.h>

#include <set>

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
