// Golden text: what a person sees at 20, 40, 80 and 200 columns, with UTF-8 and without, with colour and without.
#include "cli/console.hh"

#include <doctest/doctest.h>

#include "base/text.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

constexpr std::uint64_t mib = 1u << 20;

Transfer debian() {
  Transfer t{"debian.iso", false, {}};
  t.stats.phase = core::Phase::downloading;
  t.stats.bytes_total = 661'651'456;
  t.stats.bytes_done = 412'876'800;
  t.stats.pieces = 1262;
  t.stats.pieces_verified = 787;
  t.stats.rate_down = 43'830'476;
  t.stats.peers = 2;
  t.stats.peers_known = 2;
  return t;
}

Transfer seed() {
  Transfer t{"debian.iso", true, {}};
  t.stats.phase = core::Phase::whole;
  t.stats.bytes_total = 661'651'456;
  t.stats.bytes_up = 851'863'142;
  t.stats.rate_up = 40'265'318;
  t.stats.peers = 2;
  t.stats.copies_elsewhere = 1;
  return t;
}

Look look(std::size_t width, bool utf8 = true, bool colour = false) { return {width, utf8, colour}; }

}  // namespace

TEST_CASE("the footer of a download narrows: peers, ETA, sizes and the bar go, the percentage stays") {
  const auto t = debian();
  CHECK(download_line(t, look(200)) ==
        "debian.iso  62.4% ██████████████▉          393.7/631.0 MiB  41.8 MiB/s  ETA 0:06  2 peers");
  CHECK(download_line(t, look(80)) ==
        "debian.iso  62.4% █████████▎      393.7/631.0 MiB  41.8 MiB/s  ETA 0:06  2 peers");
  CHECK(download_line(t, look(60)) == "debian.iso  62.4% ████████▋      393.7/631.0 MiB  41.8 MiB/s");
  CHECK(download_line(t, look(40)) == "debian.iso  62.4% ██████▏     41.8 MiB/s");
  CHECK(download_line(t, look(20)) == "debian.iso  62.4%");
  CHECK(download_line(t, look(10)) == "de…  62.4%");
  CHECK(download_line(t, look(5)) == "62.4%");
}

TEST_CASE("the footer of a download says who it comes from") {
  auto t = debian();
  const auto ends_with = [&](std::string_view end) { return download_line(t, look(120)).ends_with(end); };
  t.stats.web_seeds = 1;
  CHECK(ends_with("ETA 0:06  2 peers, 1 web seed"));
  t.stats.peers = 0;
  CHECK(ends_with("ETA 0:06  1 web seed"));
  t.stats.web_seeds = 3;
  CHECK(ends_with("ETA 0:06  3 web seeds"));
}

TEST_CASE("without UTF-8 the bar and cut names are plain ASCII") {
  const auto t = debian();
  CHECK(download_line(t, look(80, false)) ==
        "debian.iso  62.4% #########...... 393.7/631.0 MiB  41.8 MiB/s  ETA 0:06  2 peers");
  CHECK(download_line(t, look(40, false)) == "debian.iso  62.4% ######....  41.8 MiB/s");
  CHECK(download_line(t, look(20, false)) == "debian.iso  62.4%");
  for (const char c : download_line(t, look(200, false))) CHECK(static_cast<unsigned char>(c) < 0x80);
}

TEST_CASE("no line is wider than it may be, whatever is in it") {
  auto t = debian();
  for (const auto* name :
       {"x", "debian.iso", "ein sehr langer Name mit Umlauten äöü und noch viel mehr.tar.zst", "日本語の名前.mkv"}) {
    t.name = name;
    for (std::size_t width = 6; width <= 200; ++width) {
      for (const bool utf8 : {true, false}) {
        CAPTURE(width);
        CHECK(columns(download_line(t, look(width, utf8))) <= width);
        CHECK(columns(seeding_line({seed()}, look(width, utf8))) <= width);
        CHECK(columns(preparing_line({"hashing", name, 100 * mib, 631 * mib, 1.7e9}, look(width, utf8))) <= width);
      }
    }
  }
}

TEST_CASE("colour repeats what the words say, and nothing else changes") {
  const auto coloured = download_line(debian(), look(80, true, true));
  CHECK(
      coloured ==
      "\x1b[1mdebian.iso\x1b[0m  62.4% \x1b[32m█████████▎     \x1b[0m 393.7/631.0 MiB  41.8 MiB/s  ETA 0:06  2 peers");
}

TEST_CASE("a download that waits says why") {
  auto t = debian();
  t.stats.rate_down = 0;
  t.stats.peers = t.stats.peers_known = 0;
  CHECK(download_line(t, look(80)) == "debian.iso  62.4%  waiting: no peer has debian.iso");
  CHECK(download_line(t, look(40)) == "debian.iso  62.4%  waiting");
  CHECK(download_line(t, look(20)) == "debian.iso  62.4%");

  t.stats.web_seeds = 2;
  CHECK(why_waiting(t) == "nothing comes from 2 web seeds yet");
  t.web_seed_error = "web seed 1: http://nas/x answered 404 Not Found";
  CHECK(why_waiting(t) == t.web_seed_error);
  CHECK(no_peers_error(t, 60).message == t.web_seed_error);
  CHECK(no_peers_error(t, 60).hint == "Nothing came for 60s; the same command resumes");
  t.stats.web_seeds = 0;  // out for good, like the next
  t.web_seed_error = "web seed 1 sent wrong data, and is asked no more";
  CHECK(why_waiting(t) == t.web_seed_error);
  CHECK(no_peers_error(t, 60).hint.starts_with("Start 'swarm seed debian.iso'"));

  t.stats.peers_known = 2;
  CHECK(why_waiting(t) == "connecting to 2 peers");
  t.stats.connect_failures = 2;
  t.stats.last_unreachable = Endpoint::from("100.64.0.3:6881");
  CHECK(why_waiting(t) == "2 peers known, none reachable (last tried 100.64.0.3:6881)");
  t.stats.peers = 1;
  t.stats.best_peer = 0.921;
  t.stats.copies = 0.92;
  CHECK(why_waiting(t) == "no peer has all of debian.iso (best copy 92.1%)");
  const auto e = no_peers_error(t, 60);
  CHECK(e.exit == Exit::no_peers);
  CHECK(e.code == "no_peers");
  CHECK(e.message == "no peer has all of debian.iso (best copy 92.1%)");
  CHECK(e.hint == "Nothing came for 60s; the same command resumes");
}

TEST_CASE("the other phases of a download") {
  auto t = debian();
  t.stats.phase = core::Phase::checking;
  CHECK(download_line(t, look(80)) == "debian.iso  62.4%  checking what is on the disk");
  t.stats.phase = core::Phase::finishing;
  t.stats.bytes_done = t.stats.bytes_total;
  CHECK(download_line(t, look(80)) == "debian.iso  100.0%  writing to the disk");
  t.stats.phase = core::Phase::whole;
  CHECK(footer({{t}, {}}, look(80)).empty());
}

TEST_CASE("the percentage never claims what is not there") {
  CHECK(percent_text(0.99999) == "99.9%");
  CHECK(percent_text(1) == "100.0%");
  CHECK(percent_text(0.401) == "40.1%");
  CHECK(percent_text(-1) == "0.0%");
}

TEST_CASE("the footer of a seed") {
  CHECK(seeding_line({seed()}, look(200)) ==
        "seeding  2 peers  38.4 MiB/s up  812.4 MiB sent  1 whole copy elsewhere   (Ctrl-C stops sharing)");
  CHECK(seeding_line({seed()}, look(80)) == "seeding  2 peers  38.4 MiB/s up  812.4 MiB sent  1 whole copy elsewhere");
  CHECK(seeding_line({seed()}, look(40)) == "seeding  2 peers  38.4 MiB/s up");
  CHECK(seeding_line({seed()}, look(20)) == "seeding");
  CHECK(seeding_line({seed(), seed()}, look(120)) ==
        "seeding 2 torrents  4 peers  76.8 MiB/s up  1.6 GiB sent  1 whole copy of each elsewhere   (Ctrl-C stops "
        "sharing)");
  auto idle = seed();
  idle.stats.rate_up = 0;
  CHECK(seeding_line({idle}, look(40)) == "seeding  2 peers  0 B/s up");
}

TEST_CASE("hashing") {
  const Preparing p{"hashing", "debian.iso", 330'825'728, 661'651'456, 1.7e9};
  CHECK(preparing_line(p, look(80)) == "hashing debian.iso  ████████████             50%  631.0 MiB  1.6 GiB/s");
  CHECK(preparing_line(p, look(40)) == "hashing debian.iso  ████████         50%");
  CHECK(preparing_line(p, look(25)) == "hashing debian.iso 50%");
  CHECK(hashed_line(p, 0.37, look(80, false)) ==
        "hashing debian.iso  ######################## 100%  631.0 MiB  1.7 GiB/s");
  CHECK(plain_line(p) == "debian.iso: hashing 50% 315.5/631.0 MiB 1.6 GiB/s");
}

TEST_CASE("several downloads: one line each, then all together; beyond eight they are counted") {
  Snapshot now;
  for (int i = 0; i < 10; ++i) now.transfers.push_back(debian());
  const auto lines = footer(now, look(80));
  REQUIRE(lines.size() == 10);
  CHECK(lines[8] == "and 2 more");
  CHECK(lines[0] == "debian.iso    62.4% ███████▍     393.7/631.0 MiB   41.8 MiB/s  ETA 0:06  2 peers");
  CHECK(lines[9] == "10 downloads  62.4% ███████▍       3.84/6.16 GiB  418.0 MiB/s  ETA 0:06");
}

TEST_CASE("off a terminal") {
  Transfer unknown{"debian.iso", false, {}};
  unknown.stats.phase = core::Phase::metadata;
  CHECK(plain_line(unknown) == "debian.iso: asking peers what it is 0 peers");
  unknown.stats.metadata_bytes = 49'152;
  unknown.stats.metadata_done = 16'384;
  unknown.stats.peers = 1;
  CHECK(plain_line(unknown) == "debian.iso: asking peers what it is 16.0/48.0 KiB 1 peer");
  CHECK(plain_line(debian()) == "debian.iso: 62% 393.7/631.0 MiB 41.8 MiB/s eta 6s pieces 787/1262 sha1 ok, 0 bad");
  CHECK(plain_line(seed()) == "debian.iso: seeding 2 peers 38.4 MiB/s up 812.4 MiB sent 1 whole copy elsewhere");
  auto whole = debian();
  whole.stats.pieces_verified = 1262;
  whole.stats.bytes_down = 661'651'456;
  CHECK(plain_whole_line(whole, 15.2, "/data/debian.iso") ==
        "debian.iso: done 631.0 MiB in 15.2s 41.5 MiB/s sha1 1262/1262 ok -> /data/debian.iso");
  CHECK(whole_line(whole, 15.2, "./debian.iso", look(80)) ==
        "debian.iso  100% verified (sha1 1262/1262)  631.0 MiB in 15.2 s  41.5 MiB/s  -> ./debian.iso");
}

TEST_CASE("what is said once") {
  CHECK(resuming_line("debian.iso", 506, 1262, 0.401) ==
        "resuming debian.iso at 40.1% (506 of 1262 pieces already here)");
  const auto lines = sharing_lines(
      {"debian.iso", 661'651'456, 1262, 512 << 10, "nas", "nas:6969", "http://nas:6969/t/debian.iso.torrent", 6881},
      look(80));
  CHECK(lines == std::vector<std::string>{"sharing debian.iso  631.0 MiB  1262 pieces x 512 KiB   tracker nas:6969", "",
                                          "  any other machine        swarm get debian.iso -t nas",
                                          "  any BitTorrent client    http://nas:6969/t/debian.iso.torrent", ""});
  CHECK(sharing_lines({"x", 3, 1, 16 << 10, {}, {}, {}, 6881}, look(80)) ==
        std::vector<std::string>{"sharing x  3 B  1 piece x 16 KiB   port 6881"});
}

TEST_CASE("names are shown printable: no control or bidi characters reach the terminal") {
  auto t = debian();
  t.name = "evil\x1b[2Jname\xe2\x80\xae.txt";
  for (const auto& text : {download_line(t, look(80)), plain_line(t), whole_line(t, 1, t.name, look(80)),
                           plain_whole_line(t, 1, t.name), resuming_line(t.name, 1, 2, 0.5), why_waiting(t),
                           sharing_lines({t.name, 1, 1, 16384, "nas", "nas:6969", "u", 1}, look(80))[2]}) {
    CAPTURE(text);
    CHECK(text.find('\x1b') == text.npos);
    CHECK(text.find("\xe2\x80\xae") == text.npos);
  }
}

TEST_CASE("small texts") {
  CHECK(sizes_text(412'876'800, 661'651'456) == "393.7/631.0 MiB");
  CHECK(sizes_text(0, 500) == "0/500 B");
  CHECK(sizes_text(600, 500) == "600/500 B");
  CHECK(sizes_text(43'000'000, 1u << 30) == "0.04/1.00 GiB");
  CHECK(sizes_text(12'345'678'901, 26'843'545'600) == "11.4/25.0 GiB");
  CHECK(sizes_text(10'737'418'239, 26'843'545'600) == "9.99/25.0 GiB");
  CHECK(sizes_text(10'737'418'239, 10'737'418'240) == "9.99/10.0 GiB");
  CHECK(sizes_text(1'090'000'000'000, 1'099'511'627'776) == "0.99/1.00 TiB");
  CHECK(sizes_text(6'616'514'560, 6'616'514'560) == "6.16/6.16 GiB");
  CHECK(sizes_text(6'616'514'559, 6'616'514'560) == "6.16/6.16 GiB");  // the percentage beside it is not 100 yet
  CHECK(painted_columns("\x1b[1mdebian\x1b[0m  62%") == 11);
  CHECK(painted_columns("日本\x1b[32m█\x1b[0m") == 5);
  CHECK(painted_columns("\x1b") == 0);
  CHECK(piece_bytes_text(512 << 10) == "512 KiB");
  CHECK(piece_bytes_text(16 << 20) == "16 MiB");
  CHECK(piece_bytes_text(1000) == "1000 B");
  CHECK(seconds_text(15.2) == "15.2 s");
  CHECK(seconds_text(125) == "2m 05s");
  CHECK(seconds_text(3600 * 3 + 720) == "3h 12m");
  CHECK(bar(0.5, 4, look(80)) == "██  ");
  CHECK(bar(0.55, 4, look(80)) == "██▏ ");
  CHECK(bar(2, 4, look(80)) == "████");
  CHECK(bar(-1, 4, look(80, false)) == "....");
}
