#include "cli/tables.hh"

#include <doctest/doctest.h>

#include "base/text.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

using Lines = std::vector<std::string>;

wire::Status view() {
  wire::Status s;
  s.nodes.push_back({.id = "0011223344556677",
                     .name = "laptop",
                     .role = "seeder",
                     .address = "100.64.0.3:6881",
                     .files = {{{}, "debian.iso", 100, 661'651'456, 0, 40'265'318, 2}},
                     .seen_s = 0.4,
                     .plain = false});
  s.nodes.push_back({.id = "8899aabbccddeeff",
                     .name = "pi",
                     .role = "leecher",
                     .address = "100.64.0.9:6881",
                     .files = {{{}, "debian.iso", 32.3, 213'909'504, 10'171'187, 1'153'433, 2}},
                     .seen_s = 14.6,
                     .plain = false});
  s.files.push_back({{},
                     "debian.iso",
                     661'651'456,
                     1262,
                     512 << 10,
                     1.32,
                     1,
                     1,
                     "magnet:?x",
                     "http://nas:6969/t/debian.iso.torrent",
                     true});
  return s;
}

Look look(std::size_t width, bool utf8 = true, bool colour = false) { return {width, utf8, colour}; }
const StatusWanted both{true, true, "nas"};

}  // namespace

TEST_CASE("status at 80 columns and more") {
  CHECK(status_tables(view(), both, look(200)) ==
        Lines{"NODE      ROLE     ADDRESS          FILE        DONE    DOWN         UP           PEERS  SEEN",
              "laptop    seeder   100.64.0.3:6881  debian.iso  100.0%  -            38.4 MiB/s   2      now",
              "pi        leecher  100.64.0.9:6881  debian.iso  32.3%   9.7 MiB/s    1.1 MiB/s    2      15s", "",
              "FILE        SIZE       PIECES  COPIES  SEEDERS  LEECHERS  GET WITH",
              "debian.iso  631.0 MiB  1262    1.32    1        1         swarm get debian.iso -t nas"});
  CHECK(status_tables(view(), both, look(80)) ==
        Lines{"NODE      ROLE     FILE        DONE    DOWN         UP           PEERS",
              "laptop    seeder   debian.iso  100.0%  -            38.4 MiB/s   2",
              "pi        leecher  debian.iso  32.3%   9.7 MiB/s    1.1 MiB/s    2", "",
              "FILE        SIZE       COPIES  SEEDERS  LEECHERS  GET WITH",
              "debian.iso  631.0 MiB  1.32    1        1         swarm get debian.iso -t nas"});
}

TEST_CASE("status at 40 and 20 columns") {
  CHECK(status_tables(view(), both, look(40)) ==
        Lines{"NODE      ROLE     DONE    DOWN", "laptop    seeder   100.0%  -", "pi        leecher  32.3%   9.7 MiB/s",
              "", "FILE        SIZE       COPIES  SEEDERS", "debian.iso  631.0 MiB  1.32    1"});
  CHECK(status_tables(view(), both, look(20)) ==
        Lines{"NODE      DONE", "laptop    100.0%", "pi        32.3%", "", "FILE        COPIES", "debian.iso  1.32"});
}

TEST_CASE("no line of a table is wider than it may be; long names are cut") {
  auto s = view();
  s.nodes[0].name = "a-very-long-host-name.of.some.datacentre.example.com";
  s.files[0].name = s.nodes[0].files[0].name = "eine Datei mit einem sehr langen Namen äöü 日本語 und mehr.tar.zst";
  for (std::size_t width = 12; width <= 220; ++width) {
    for (const bool utf8 : {true, false}) {
      for (const auto& line : status_tables(s, both, look(width, utf8))) {
        CAPTURE(width);
        CAPTURE(line);
        CHECK(columns(line) <= width);
      }
    }
  }
}

TEST_CASE("colour: the titles are bold, the rest stays") {
  const auto lines = status_tables(view(), {false, true, "nas"}, look(80, true, true));
  CHECK(lines[0] == "\x1b[1mFILE        SIZE       COPIES  SEEDERS  LEECHERS  GET WITH\x1b[0m");
  CHECK(lines[1] == "debian.iso  631.0 MiB  1.32    1        1         swarm get debian.iso -t nas");
}

TEST_CASE("empty tables say what to do") {
  CHECK(status_tables({}, both, look(80)) ==
        Lines{"no nodes: nobody shares or downloads", "", "no files: share one with 'swarm seed PATH -t nas'"});
}

TEST_CASE("piped: tab-separated, no titles, plain numbers") {
  CHECK(status_rows(view(), both) == Lines{"laptop\tseeder\t100.64.0.3:6881\tdebian.iso\t100.0\t0\t40265318\t2\t0",
                                           "pi\tleecher\t100.64.0.9:6881\tdebian.iso\t32.3\t10171187\t1153433\t2\t15",
                                           "", "debian.iso\t661651456\t1262\t1.32\t1\t1\tswarm get debian.iso -t nas"});
  CHECK(status_rows(view(), {false, true, "nas"}).size() == 1);
  auto s = view();
  s.files[0].name = "tab\there\nand\x1b[2J";
  const auto row = status_rows(s, {false, true, "nas"})[0];
  CHECK(std::count(row.begin(), row.end(), '\t') == 6);
  CHECK(row.find('\n') == row.npos);
  CHECK(row.find('\x1b') == row.npos);
}
