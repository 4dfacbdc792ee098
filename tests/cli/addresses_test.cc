// What people type for trackers and torrents, and how terminals are judged.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "cli/environment.hh"
#include "cli/places.hh"
#include "cli/terminal.hh"
#include "cli/torrent_finder.hh"
#include "cli/tracker_finder.hh"

using namespace swarm;
using namespace swarm::cli;

TEST_CASE("-t: host, host:port, URL; a bare host means http and port 6969") {
  struct Row {
    const char *text, *base, *announce, *label, *typed;
  };
  for (const Row& row : {
           Row{"nas", "http://nas:6969", "http://nas:6969/announce", "nas:6969", "nas"},
           Row{"nas:7000", "http://nas:7000", "http://nas:7000/announce", "nas:7000", "nas:7000"},
           Row{"10.0.0.1", "http://10.0.0.1:6969", "http://10.0.0.1:6969/announce", "10.0.0.1:6969", "10.0.0.1"},
           Row{"[::1]:7000", "http://[::1]:7000", "http://[::1]:7000/announce", "[::1]:7000", "[::1]:7000"},
           Row{"http://nas:6969", "http://nas:6969", "http://nas:6969/announce", "nas:6969", "nas"},
           Row{"http://nas:6969/", "http://nas:6969", "http://nas:6969/announce", "nas:6969", "nas"},
           Row{"http://t.example/x/announce?k=1", "http://t.example", "http://t.example/x/announce?k=1", "t.example:80",
               "t.example:80"},
           Row{"https://t.example", "https://t.example", "https://t.example/announce", "t.example:443",
               "https://t.example"},
           Row{"https://t.example:6969/x/announce", "https://t.example:6969", "https://t.example:6969/x/announce",
               "t.example:6969", "https://t.example:6969"},
           Row{"udp://nas:6969", "udp://nas:6969", "udp://nas:6969", "nas:6969", "udp://nas:6969"},
           Row{"udp://[::1]:1337/announce", "udp://[::1]:1337", "udp://[::1]:1337/announce", "[::1]:1337",
               "udp://[::1]:1337"},
       }) {
    CAPTURE(row.text);
    const auto a = parse_tracker(row.text);
    REQUIRE(a);
    CHECK(a->base == row.base);
    CHECK(a->announce == row.announce);
    CHECK(a->label == row.label);
    CHECK(a->typed == row.typed);
  }
  CHECK(parse_tracker("127.0.0.1")->loopback);
  CHECK(parse_tracker("localhost:7000")->loopback);
  CHECK(parse_tracker("http://[::1]:1")->loopback);
  CHECK_FALSE(parse_tracker("nas")->loopback);
  CHECK(parse_tracker("udp://127.0.0.1:1")->loopback);
  CHECK(parse_tracker("udp://nas:1")->udp());
  CHECK_FALSE(parse_tracker("https://nas:1")->udp());
}

TEST_CASE("-t: what is no address") {
  for (const auto* text : {"", ":6969", "nas:", "nas:99999", "nas:x", "ftp://nas", "http://", "nas/announce", "a b",
                           "udp://nas", "udp://nas:0", "udp://:6969"}) {
    CAPTURE(text);
    const auto a = parse_tracker(text);
    REQUIRE_FALSE(a);
    CHECK(a.error().exit == Exit::usage);
    CHECK(a.error().hint == "Use HOST, HOST:PORT, http(s)://HOST:PORT or udp://HOST:PORT");
  }
}

TEST_CASE("the errors of trackers, in the words of the manual") {
  const auto nas = *parse_tracker("nas");
  const auto text = [](const Error& e) { return e.message + ". " + e.hint; };
  CHECK(text(tracker_error(nas, {Exit::unreachable, "connection_refused", "x", "y"})) ==
        "nothing listens on nas:6969 (connection refused). Is 'swarm tracker' running there?");
  CHECK(text(no_tracker_error("swarm get debian.iso")) ==
        "no tracker. Start one with 'swarm tracker', or say where it is: swarm get debian.iso -t HOST");
  wire::HttpResponse reply;
  reply.status = 403;
  reply.body = to_buffer(R"({"error":{"code":"forbidden","message":"a token is needed","hint":"see TOKEN"}})");
  CHECK(api_error(nas, reply).exit == Exit::refused);
  CHECK(api_error(nas, reply).message == "a token is needed");
  reply.status = 500;
  reply.body = to_buffer("<html>");
  CHECK(api_error(nas, reply).message == "nas:6969 answered 500 Internal Server Error");
}

TEST_CASE("WHAT: by its form, and by what is there") {
  const auto folder = std::filesystem::temp_directory_path() / "swarm-what-test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "a.torrent") << "x";
  const auto file = (folder / "a.torrent").string();
  CHECK(kind_of(file, true) == WhatKind::file);
  CHECK(kind_of("not-there.torrent", true) == WhatKind::name);
  CHECK(kind_of("not-there.torrent", false) == WhatKind::file);
  CHECK(kind_of("./not-there", true) == WhatKind::file);
  CHECK(kind_of("debian.iso", true) == WhatKind::name);
  CHECK(kind_of("debian.iso", false) == WhatKind::name);
  CHECK(kind_of("http://x/y.torrent", true) == WhatKind::url);
  CHECK(kind_of("magnet:?xt=urn:btih:1", true) == WhatKind::magnet);
  CHECK(kind_of("MAGNET:?XT=urn:btih:1", false) == WhatKind::magnet);
  CHECK(kind_of("3f1c000000000000000000000000000000000001", true) == WhatKind::info_hash);
  std::filesystem::remove_all(folder);
}

TEST_CASE("colour: --color, then NO_COLOR, then CLICOLOR_FORCE, then the terminal") {
  using enum Colour;
  const auto xterm = std::pair<const std::string, std::string>{"TERM", "xterm"};
  CHECK(wants_colour(automatic, true, environment({xterm})));
  CHECK_FALSE(wants_colour(automatic, false, environment({xterm})));
  CHECK_FALSE(wants_colour(automatic, true, environment({{"TERM", "dumb"}})));
  CHECK_FALSE(wants_colour(automatic, true, environment()));
  CHECK_FALSE(wants_colour(automatic, true, environment({xterm, {"NO_COLOR", "1"}})));
  CHECK(wants_colour(automatic, true, environment({xterm, {"NO_COLOR", ""}})));
  CHECK(wants_colour(automatic, false, environment({{"CLICOLOR_FORCE", "1"}})));
  CHECK_FALSE(wants_colour(automatic, false, environment({{"CLICOLOR_FORCE", "0"}})));
  CHECK_FALSE(wants_colour(automatic, false, environment({{"CLICOLOR_FORCE", "1"}, {"NO_COLOR", "1"}})));
  CHECK(wants_colour(always, false, environment({{"NO_COLOR", "1"}})));
  CHECK_FALSE(wants_colour(never, true, environment({xterm, {"CLICOLOR_FORCE", "1"}})));
}

TEST_CASE("UTF-8: the first of LC_ALL, LC_CTYPE and LANG that is set") {
  CHECK(utf8_locale(environment({{"LANG", "en_GB.UTF-8"}})));
  CHECK(utf8_locale(environment({{"LANG", "C.utf8"}})));
  CHECK_FALSE(utf8_locale(environment({{"LANG", "C.UTF-8"}, {"LC_ALL", "C"}})));
  CHECK(utf8_locale(environment({{"LANG", "C"}, {"LC_CTYPE", "C.UTF-8"}, {"LC_ALL", ""}})));
  CHECK_FALSE(utf8_locale(environment()));
  CHECK_FALSE(utf8_locale(environment({{"LANG", "de_DE.ISO-8859-1"}})));
}

TEST_CASE("places") {
  Options o;
  CHECK(target_path(o, "x.iso") == "./x.iso");
  o.dir = "/data";
  CHECK(target_path(o, "x.iso") == "/data/x.iso");
  o.dir.clear();
  o.output = "y.iso";
  CHECK(target_path(o, "x.iso") == "./y.iso");
  o.output = "new/";
  CHECK(target_path(o, "x.iso") == "new/x.iso");
  o.output = std::filesystem::temp_directory_path().string();
  CHECK(target_path(o, "x.iso") == o.output + "/x.iso");
  CHECK(numbered_path("./a/x.tar.gz", 2, false) == "./a/x.tar (2).gz");
  CHECK(numbered_path("./photos.d", 1, true) == "./photos.d (1)");

  CHECK(seed_cache_folder(environment({{"HOME", "/home/a"}})) == "/home/a/.cache/swarm/seeds");
  CHECK(seed_cache_folder(environment({{"HOME", "/home/a"}, {"XDG_CACHE_HOME", "/c"}})) == "/c/swarm/seeds");
  CHECK(seed_cache_folder(environment({{"XDG_CACHE_HOME", "relative"}})).empty());
  CHECK(*tracker_state_folder({}, environment({{"HOME", "/h"}})) == "/h/.local/state/swarm/tracker");
  CHECK(*tracker_state_folder({}, environment({{"HOME", "/h"}, {"STATE_DIRECTORY", "/var/lib/swarm:/x"}})) ==
        "/var/lib/swarm");
  CHECK(tracker_state_folder({}, environment()).error().exit == Exit::usage);
}
