#include "core/tracker/catalogue.hh"

#include <doctest/doctest.h>

#include <string>

#include "core/tracker/torrents.hh"

using namespace swarm;
using namespace swarm::test;
using core::Catalogue;

TEST_CASE("names that can become a file and a part of a URL") {
  for (const std::string good :
       {"a", "debian.iso", "foo... bar", "...", "-", "a\\b", "\xc3\xa9t\xc3\xa9", "a:b?c#d%"}) {
    CAPTURE(good);
    CHECK(Catalogue::is_name(good));
  }
  CHECK(Catalogue::is_name(std::string(255, 'n')));
  for (const std::string bad : {"", ".", "..", "a/b", "/", "a\nb", "a\x7f", "\xff", "\xc3"}) {
    CAPTURE(bad);
    CHECK_FALSE(Catalogue::is_name(bad));
  }
  CHECK_FALSE(Catalogue::is_name(std::string("a\0b", 3)));
  CHECK_FALSE(Catalogue::is_name(std::string(256, 'n')));
}

TEST_CASE("a name keeps its content until somebody says replace") {
  Catalogue catalogue;
  const auto first = torrent_of({.pieces = 10});
  const auto second = torrent_of({.pieces = 11});
  CHECK(catalogue.put("a", first, false) == Catalogue::Put::added);
  CHECK(catalogue.put("a", first, false) == Catalogue::Put::unchanged);
  const auto refused = catalogue.put("a", second, false);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == "exists");
  CHECK(catalogue.find("a")->pieces == 10);
  CHECK(catalogue.put("a", second, true) == Catalogue::Put::replaced);
  CHECK(catalogue.find("a")->pieces == 11);
  CHECK(catalogue.find("a")->bytes == 11 * 16 * 1024);
  CHECK(catalogue.find("a")->piece_bytes == 16 * 1024);
  CHECK(catalogue.name_of(hash_of({.pieces = 10})) == nullptr);
  REQUIRE(catalogue.name_of(hash_of({.pieces = 11})) != nullptr);
  // The same content with another tracker in the .torrent is the same info-hash.
  const auto again = torrent_of({.pieces = 11, .trackers = {{"http://other/announce"}}});
  CHECK(catalogue.put("a", again, false) == Catalogue::Put::replaced);
  CHECK(catalogue.find("a")->torrent == again);
}

TEST_CASE("one content may have two names") {
  Catalogue catalogue;
  const auto torrent = torrent_of({});
  CHECK(catalogue.put("b", torrent, false));
  CHECK(catalogue.put("a", torrent, false));
  CHECK(*catalogue.name_of(hash_of({})) == "b");
  CHECK(catalogue.remove("b"));
  CHECK(*catalogue.name_of(hash_of({})) == "a");
  CHECK(catalogue.remove("a"));
  CHECK_FALSE(catalogue.remove("a"));
  CHECK(catalogue.name_of(hash_of({})) == nullptr);
  CHECK(catalogue.files().empty());
}

TEST_CASE("what is not a torrent, or has no name, is refused with a reason") {
  Catalogue catalogue;
  CHECK(catalogue.put("a", as_bytes("<html>"), false).error().code == "not_a_torrent");
  CHECK(catalogue.put("a", {}, false).error().code == "not_a_torrent");
  CHECK(catalogue.put("a/b", torrent_of({}), false).error().code == "bad_name");
  CHECK(catalogue.put("a", Buffer(Catalogue::torrent_bytes_max + 1), false).error().code == "full");
  CHECK(catalogue.files().empty());
}

TEST_CASE("the nearest name") {
  Catalogue catalogue;
  CHECK(catalogue.put("debian.iso", torrent_of({}), false));
  CHECK(catalogue.put("ubuntu.iso", torrent_of({}), false));
  CHECK(catalogue.nearest_to("debain.iso") == "debian.iso");
  CHECK_FALSE(catalogue.nearest_to("windows.iso"));
  CHECK(catalogue.find("debain.iso") == nullptr);
}
