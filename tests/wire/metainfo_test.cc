#include "wire/metainfo.hh"

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <numeric>

#include "base/sha1.hh"
#include "support/allocations.hh"
#include "support/cpu_time.hh"
#include "support/dies.hh"
#include "wire/bencode.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

std::string string(std::string_view text) { return std::to_string(text.size()) + ":" + std::string(text); }
std::string integer(std::int64_t n) { return "i" + std::to_string(n) + "e"; }
std::string hashes(std::size_t n) { return string(std::string(20 * n, 'h')); }

/// A single file of 3 pieces of 32 KiB, the last one of 1 byte; any field may be written otherwise.
struct Info {
  std::string length = "6:lengthi65537e";
  std::string name = "4:name3:iso";
  std::string piece_length = "12:piece lengthi32768e";
  std::string pieces = "6:pieces" + hashes(3);
  std::string more = {};  // sorted or not: reading does not mind

  std::string text() const { return "d" + length + name + piece_length + pieces + more + "e"; }
};

std::string torrent(const std::string& info, const std::string& more = {}) { return "d4:info" + info + more + "e"; }

Result<Metainfo> parse(std::string_view text) { return parse_metainfo(as_bytes(text), "x.torrent"); }

Metainfo parsed(std::string_view text) {
  auto m = parse(text);
  if (!m) FAIL(m.error().message);
  return *std::move(m);
}

std::string message(const Result<Metainfo>& m) {
  REQUIRE_FALSE(m);
  CHECK(m.error().exit == Exit::integrity);
  CHECK(m.error().code == "not_a_torrent");
  return m.error().message;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

std::string file(std::int64_t length, const std::string& path, const std::string& more = {}) {
  return "d" + more + "6:length" + integer(length) + "4:path" + path + "e";
}

/// A folder whose one piece holds all of it.
std::string folder(const std::string& files, std::size_t pieces = 1) {
  return torrent("d5:filesl" + files + "e4:name3:dir12:piece lengthi32768e6:pieces" + hashes(pieces) + "e");
}

}  // namespace

TEST_CASE("metainfo: a single file") {
  const auto info = Info().text();
  const auto m = parsed(torrent(info));
  CHECK(m.info_hash == sha1(as_bytes(info)));
  CHECK(as_text(m.info) == info);
  CHECK(m.name == "iso");
  CHECK_FALSE(m.folder);
  CHECK(m.piece_bytes == 32768);
  CHECK(m.bytes_total == 65537);
  REQUIRE(m.piece_count() == 3);
  CHECK(as_text(m.pieces[2].view()) == std::string(20, 'h'));
  CHECK(m.piece_size(PieceIndex{0}) == 32768);
  CHECK(m.piece_size(PieceIndex{1}) == 32768);
  CHECK(m.piece_size(PieceIndex{2}) == 1);
  CHECK(test::dies([&] { static_cast<void>(m.piece_size(PieceIndex{3})); }));
  REQUIRE(m.files.size() == 1);
  CHECK(m.files[0].path == std::vector<std::string>{"iso"});
  CHECK(m.files[0].length == 65537);
  CHECK_FALSE(m.is_private);
  CHECK(m.trackers.empty());
  CHECK(m.web_seeds.empty());
  CHECK(m.comment.empty());
  CHECK(m.created_by.empty());
}

TEST_CASE("metainfo: a folder, its pads and attributes (BEP 47)") {
  const auto m = parsed(folder(file(1000, "l3:sub1:ae", "4:attr1:x") + file(15384, "l4:.pad5:15384e", "4:attr1:p") +
                               file(0, "l5:emptye") + file(10, "l1:be", "4:attr2:hq")));
  CHECK(m.folder);
  CHECK(m.name == "dir");
  CHECK(m.bytes_total == 1000 + 15384 + 10);
  REQUIRE(m.files.size() == 4);
  CHECK(m.files[0].path == std::vector<std::string>{"sub", "a"});
  CHECK(m.files[0].executable);
  CHECK_FALSE(m.files[0].pad);
  CHECK(m.files[1].pad);
  CHECK_FALSE(m.files[1].executable);
  CHECK(m.files[2].length == 0);
  CHECK_FALSE(m.files[3].pad);
  CHECK(parsed(torrent(Info{.more = "4:attr1:x"}.text())).files[0].executable);
}

TEST_CASE("metainfo: paths come raw; making them safe is another's work") {
  const std::string raw("\xff\0\\", 3);
  const auto m = parsed(folder(file(1, "l2:..3:etc6:passwde") + file(1, "l0:1:/e") + file(1, "l" + string(raw) + "e")));
  CHECK(m.files[0].path == std::vector<std::string>{"..", "etc", "passwd"});
  CHECK(m.files[1].path == std::vector<std::string>{"", "/"});
  CHECK(m.files[2].path == std::vector<std::string>{raw});
}

TEST_CASE("metainfo: UTF-8 variants come first where they are proper") {
  const auto name = [](const std::string& more) { return parsed(torrent(Info{.more = more}.text())).name; };
  CHECK(name("10:name.utf-85:\xc3\xa4iso") == "\xc3\xa4iso");
  CHECK(name("10:name.utf-82:\xc3(") == "iso");
  CHECK(name("10:name.utf-80:") == "iso");
  CHECK(name("10:name.utf-8i1e") == "iso");
  const auto path = [](const std::string& utf8) { return parsed(folder(file(1, "l3:olde", utf8))).files[0].path[0]; };
  CHECK(path("10:path.utf-8l3:newe") == "new");
  CHECK(path("10:path.utf-8l1:\xff"
             "e") == "old");
  CHECK(path("10:path.utf-8le") == "old");
  CHECK(path("10:path.utf-8i1e") == "old");
  CHECK(path("10:path.utf-8li1ee") == "old");
  CHECK(parsed(folder("d6:lengthi1e10:path.utf-8l3:newee")).files[0].path[0] == "new");
  CHECK(parsed(torrent(Info{.name = "10:name.utf-83:new"}.text())).name == "new");
  CHECK(parsed(torrent(Info().text(), "7:comment1:a13:comment.utf-81:b10:created by1:c")).comment == "b");
}

TEST_CASE("metainfo: the hash is of the bytes as they came") {
  const auto sorted = Info().text();
  const auto unsorted = "d" + Info().pieces + Info().length + Info().piece_length + Info().name + "e";
  const auto zeros = Info{.length = "6:lengthi0065537e"}.text();
  for (const auto& info : {sorted, unsorted, zeros}) {
    const auto m = parsed("d1:a1:b4:info" + info + "1:zi-0ee\r\ntrailing bytes");
    CHECK(m.info_hash == sha1(as_bytes(info)));
    CHECK(m.bytes_total == 65537);
    const auto alone = parse_info(as_bytes(info), "the metadata");
    REQUIRE(alone);
    CHECK(alone->info_hash == m.info_hash);
  }
  CHECK(parse(torrent(Info{.more = "6:lengthi1e"}.text()))->bytes_total == 65537);  // a duplicate key: the first
}

TEST_CASE("metainfo: private is the integer 1, and nothing else") {
  const auto is_private = [](const std::string& more) { return parsed(torrent(Info{.more = more}.text())).is_private; };
  CHECK(is_private("7:privatei1e"));
  for (const std::string other : {"7:privatei0e", "7:privatei2e", "7:private1:1", "7:privateli1ee", ""})
    CHECK_FALSE(is_private(other));
  CHECK_FALSE(parsed(torrent(Info().text(), "7:privatei1e")).is_private);  // it belongs into the info dictionary
}

TEST_CASE("metainfo: trackers (BEP 12)") {
  using Tiers = std::vector<std::vector<std::string>>;
  const auto trackers = [](const std::string& more) { return parsed(torrent(Info().text(), more)).trackers; };
  CHECK(trackers("8:announce8:http://a") == Tiers{{"http://a"}});
  CHECK(trackers("8:announce0:").empty());
  CHECK(trackers("8:announcei1e").empty());
  CHECK(trackers("8:announce4: a\r\n") == Tiers{{"a"}});
  CHECK(trackers("8:announce1:x13:announce-listll1:a1:bel1:cee") == Tiers{{"a", "b"}, {"c"}});
  CHECK(trackers("13:announce-listllel1:ael0:i1eel1:a1:bel1:bee") == Tiers{{"a"}, {"b"}});
  CHECK(trackers("8:announce1:x13:announce-listle") == Tiers{{"x"}});
  CHECK(trackers("8:announce1:x13:announce-listllee") == Tiers{{"x"}});
  CHECK(trackers("8:announce1:x13:announce-list1:y") == Tiers{{"x"}});
  CHECK(trackers("13:announce-listl1:a1:be") == Tiers{{"a"}, {"b"}});  // strings where lists should be
  std::string many = "13:announce-listl";
  for (int i = 0; i < 100'000; ++i) many += "l" + string("http://t/" + std::to_string(i)) + "e";
  CHECK(trackers(many + "e").size() == 1000);
}

TEST_CASE("metainfo: web seeds (BEP 19)") {
  using Urls = std::vector<std::string>;
  const auto seeds = [](const std::string& more) { return parsed(torrent(Info().text(), more)).web_seeds; };
  CHECK(seeds("8:url-list8:http://a") == Urls{"http://a"});
  CHECK(seeds("8:url-listl1:a0:1:b1:ai1ee") == Urls{"a", "b"});
  CHECK(seeds("8:url-list0:").empty());
  CHECK(seeds("8:url-listi1e").empty());
  CHECK(seeds("").empty());
}

TEST_CASE("metainfo: what is no torrent is told so, with the place and a guess") {
  const auto said = [](std::string_view text) { return message(parse(text)); };
  CHECK(said("<!DOCTYPE html>") ==
        "x.torrent is not a torrent file (offset 0: expected 'd', found '<'; an HTML page?)");
  CHECK(said("\n <html>") ==
        "x.torrent is not a torrent file (offset 0: expected 'd', found byte 0x0a; an HTML page?)");
  CHECK(said("\xef\xbb\xbf<html>") ==
        "x.torrent is not a torrent file (offset 0: expected 'd', found byte 0xef; an HTML page?)");
  CHECK(said("magnet:?xt=") == "x.torrent is not a torrent file (offset 0: expected 'd', found 'm'; a magnet link?)");
  CHECK(said("\x1f\x8b\x08") ==
        "x.torrent is not a torrent file (offset 0: expected 'd', found byte 0x1f; compressed with gzip?)");
  CHECK(said("") == "x.torrent is not a torrent file (offset 0: expected 'd', found the end)");
  CHECK(said("\x89PNG") == "x.torrent is not a torrent file (offset 0: expected 'd', found byte 0x89)");
  CHECK(said("l") == "x.torrent is not a torrent file (offset 0: expected 'd', found 'l')");
  CHECK(said("document") == "x.torrent is not a torrent file (offset 1: expected a key or 'e', found 'o')");
  CHECK(said("d4:info") == "x.torrent is not a torrent file (offset 7: expected a value, found the end)");
  CHECK(said("d4:info99:x") == "x.torrent is not a torrent file (offset 8: expected a shorter string, found '9')");
  CHECK(said("de") == "x.torrent is not a torrent file (offset 0: no info dictionary)");
  CHECK(said("d4:infoi1ee") == "x.torrent is not a torrent file (offset 7: no info dictionary)");
  CHECK(contains(message(parse_metainfo({}, "a\x1b[2Jb")), "a\uFFFD[2Jb is not"));
  CHECK(contains(message(parse_info(as_bytes("xx"), "the metadata")),
                 "the metadata is not a torrent file (offset 0: expected 'd'"));
  CHECK(contains(message(parse_info({}, "m")), "found the end"));
  CHECK(contains(message(parse_info(as_bytes("de"), "m")), "offset 0: no name"));
  CHECK(contains(message(parse_info(as_bytes(Info().text() + "x"), "m")), "expected end of input"));
}

TEST_CASE("metainfo: a torrent of version 2 alone is told so") {
  const std::string v2 = "d9:file treed1:ad0:d6:lengthi1e11:pieces root32:" + std::string(32, 'r') +
                         "eee12:meta versioni2e4:name1:a12:piece lengthi16384ee";
  const auto m = parse(torrent(v2));
  CHECK(message(m) == "x.torrent is a BitTorrent v2 torrent without v1 pieces, which swarm cannot read");
  CHECK(m.error().hint == "ask for a v1 or hybrid torrent of the same content");
  CHECK(contains(message(parse_info(as_bytes(v2), "m")), "BitTorrent v2"));
  CHECK(parsed(torrent(Info{.more = "12:meta versioni2e"}.text())).piece_count() == 3);  // a hybrid has both
}

TEST_CASE("metainfo: hostile numbers are refused before they are divided or allocated") {
  const auto max = std::numeric_limits<std::int64_t>::max();
  const auto with = [](const std::function<void(Info&)>& change) {
    Info info;
    change(info);
    return torrent(info.text());
  };
  struct Row {
    std::string text;
    std::string says;
  };
  for (const auto& row :
       {Row{with([](Info& i) { i.piece_length = "12:piece lengthi0e"; }), "piece length 0 is not within 1 … 536870912"},
        Row{with([](Info& i) { i.piece_length = "12:piece lengthi-1e"; }), "piece length -1 is not within"},
        Row{with([](Info& i) { i.piece_length = "12:piece lengthi536870913e"; }),
            "piece length 536870913 is not within"},
        Row{with([&](Info& i) { i.piece_length = "12:piece length" + integer(max); }), "is not within"},
        Row{with([](Info& i) { i.piece_length = "12:piece length1:1"; }), "no piece length"},
        Row{with([](Info& i) { i.piece_length = ""; }), "no piece length"},
        Row{with([](Info& i) { i.length = "6:lengthi-1e"; }), "file length -1 is negative"},
        Row{with([](Info& i) { i.length = "6:length" + integer(std::numeric_limits<std::int64_t>::min()); }),
            "is negative"},
        Row{with([](Info& i) { i.length = "6:length5:65537"; }), "a file without a length"},
        Row{with([](Info& i) { i.length = ""; }), "a file without a length"},
        Row{with([](Info& i) { i.length = "6:lengthi9223372036854775808e"; }), "expected an integer of 64 bits"},
        Row{with([&](Info& i) { i.length = "6:length" + integer(max); }), "3 hashes, but 9223372036854775807 bytes"},
        Row{with([](Info& i) { i.length = "6:lengthi65536e"; }),
            "3 hashes, but 65536 bytes in pieces of 32768 have 2 pieces"},
        Row{with([](Info& i) { i.length = "6:lengthi98305e"; }),
            "3 hashes, but 98305 bytes in pieces of 32768 have 4 pieces"},
        Row{with([](Info& i) { i.length = "6:lengthi0e"; }), "3 hashes, but 0 bytes"},
        Row{with([](Info& i) { i.pieces = "6:pieces0:"; }), "0 hashes, but 65537 bytes"},
        Row{with([](Info& i) { i.pieces = "6:pieces" + string(std::string(59, 'h')); }),
            "59 bytes, not a multiple of 20"},
        Row{with([](Info& i) { i.pieces = "6:piecesi3e"; }), "no hashes"},
        Row{with([](Info& i) { i.pieces = ""; }), "no hashes"},
        Row{with([](Info& i) { i.name = ""; }), "no name"},
        Row{with([](Info& i) { i.name = "4:namei1e"; }), "no name"},
        Row{folder(""), "a folder without files"},
        Row{folder("i1e"), "a file that is not a dictionary"},
        Row{folder("de"), "a file without a path"},
        Row{folder("d6:lengthi1ee"), "a file without a path"},
        Row{folder(file(1, "le")), "a file without a path"},
        Row{folder(file(1, "1:a")), "a file without a path"},
        Row{folder(file(1, "li1ee")), "a file without a path"},
        Row{folder("d4:pathl1:aee"), "a file without a length"},
        Row{folder(file(-1, "l1:ae")), "file length -1 is negative"},
        Row{folder(file(max, "l1:ae") + file(1, "l1:be")), "add up to more than 2^63"},
        Row{folder(file(max, "l1:ae") + file(max, "l1:be") + file(2, "l1:ce")), "add up to more than 2^63"}}) {
    CAPTURE(row.says);
    Result<Metainfo> m;
    CHECK(test::bytes_allocated_by([&] { m = parse(row.text); }) < 64 * 1024);
    const auto said = message(m);
    CAPTURE(said);
    CHECK(contains(said, row.says));
    CHECK(contains(said, "x.torrent is not a torrent file (offset "));
  }
}

TEST_CASE("metainfo: the edges of what is allowed") {
  const auto of = [](std::int64_t length, std::int64_t piece_length, std::size_t pieces) {
    return parse(torrent(Info{.length = "6:length" + integer(length),
                              .piece_length = "12:piece length" + integer(piece_length),
                              .pieces = "6:pieces" + hashes(pieces)}
                             .text()));
  };
  CHECK(of(0, 32768, 0)->piece_count() == 0);
  CHECK(of(3, 1, 3)->piece_size(PieceIndex{2}) == 1);
  CHECK(of(1, 536870912, 1)->piece_size(PieceIndex{0}) == 1);
  CHECK(of(32768, 32768, 1)->piece_size(PieceIndex{0}) == 32768);
  CHECK(of(40000, 30001, 2)->piece_size(PieceIndex{1}) == 9999);  // no power of two: met in the wild
  CHECK(parsed(torrent(Info{.name = "4:name0:"}.text())).name.empty());
  CHECK(parsed(folder(file(0, "l1:ae"), 0)).bytes_total == 0);
}

TEST_CASE("metainfo: a torrent has its size") {
  std::string text((std::size_t{64} << 20) + 1, 'd');
  CHECK(contains(message(parse(text)), "larger than 64 MiB"));
  const std::size_t over = (std::size_t{32} << 20) + 1;
  const auto info = Info{.more = "1:z" + string(std::string(over, 'z'))}.text();
  CHECK(contains(message(parse(torrent(info))), "the info dictionary is larger than 32 MiB"));
  CHECK(contains(message(parse_info(as_bytes(info), "m")), "larger than 32 MiB"));
  CHECK(
      parse(torrent(Info().text(), "1:z" + string(std::string(over, 'z')))));  // outside the info dictionary it may be
}

TEST_CASE("metainfo: a million files are read in linear time") {
  std::string files;
  for (int i = 0; i < 1'000'000; ++i) {
    const auto name = std::to_string(i);
    files += "d6:lengthi0e4:pathl" + string(name) + "ee";
  }
  const auto text = folder(files, 0);
  const auto start = test::cpu_seconds();
  const auto m = parsed(text);
  CHECK(m.files.size() == 1'000'000);
  CHECK(m.files.back().path[0] == "999999");
  CHECK(test::cpu_seconds() - start < 3 * test::slowdown);
}

TEST_CASE("metainfo: an info dictionary is written canonically") {
  NewInfo info;
  info.name = "iso";
  info.piece_bytes = 32768;
  info.files = {{{"iso"}, 40000}};
  info.pieces.resize(2);
  info.pieces[1].bytes.fill('b');
  const auto pieces = "6:pieces40:" + std::string(20, '\0') + std::string(20, 'b');
  CHECK(as_text(write_info(info)) == "d6:lengthi40000e4:name3:iso12:piece lengthi32768e" + pieces + "e");
  info.is_private = true;
  info.files[0].executable = true;
  CHECK(as_text(write_info(info)) ==
        "d4:attr1:x6:lengthi40000e4:name3:iso12:piece lengthi32768e" + pieces + "7:privatei1ee");
  info.folder = true;
  info.files = {{{"a", "b"}, 7000}, {{".pad", "1"}, 1000, true}, {{"c"}, 32000, false, true}};
  const auto written = write_info(info);
  CHECK(as_text(written) ==
        "d5:filesld6:lengthi7000e4:pathl1:a1:beed4:attr1:p6:lengthi1000e4:pathl4:.pad1:1eed4:attr1:x6:lengthi32000e4:"
        "pathl1:cee"
        "e4:name3:iso12:piece lengthi32768e" +
            pieces + "7:privatei1ee");

  const auto back = parse_info(written, "ours");
  REQUIRE(back);
  CHECK(back->folder);
  CHECK(back->is_private);
  CHECK(back->name == info.name);
  CHECK(back->pieces == info.pieces);
  REQUIRE(back->files.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(back->files[i].path == info.files[i].path);
    CHECK(back->files[i].length == info.files[i].length);
    CHECK(back->files[i].pad == info.files[i].pad);
    CHECK(back->files[i].executable == info.files[i].executable);
  }
  info.folder = false;
  CHECK(test::dies([&] { write_info(info); }));  // three files are a folder
}

TEST_CASE("metainfo: a torrent is written around the raw info dictionary") {
  auto m = parsed(torrent("d" + Info().pieces + Info().length + Info().piece_length + Info().name + "e"));
  CHECK(as_text(write_torrent(m)) == "d4:info" + std::string(as_text(m.info)) + "e");
  m.trackers = {{"http://a"}};
  CHECK(as_text(write_torrent(m)) == "d8:announce8:http://a4:info" + std::string(as_text(m.info)) + "e");
  m.trackers = {{}, {"http://a", "http://b"}, {"udp://c"}};
  m.web_seeds = {"http://w"};
  m.comment = "for you";
  m.created_by = "swarm";
  const auto written = write_torrent(m);
  CHECK(as_text(written) ==
        "d8:announce8:http://a13:announce-listll8:http://a8:http://bel7:udp://cee7:comment7:for you"
        "10:created by5:swarm4:info" +
            std::string(as_text(m.info)) + "8:url-listl8:http://wee");
  const auto back = parse_metainfo(written, "ours");
  REQUIRE(back);
  CHECK(back->info_hash == m.info_hash);
  CHECK(back->trackers == std::vector<std::vector<std::string>>{{"http://a", "http://b"}, {"udp://c"}});
  CHECK(back->web_seeds == m.web_seeds);
  CHECK(back->comment == m.comment);
  CHECK(back->created_by == m.created_by);
}

TEST_CASE("metainfo: piece sizes for new torrents") {
  constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB;
  CHECK(choose_piece_bytes(0) == 512 * KiB);
  CHECK(choose_piece_bytes(1) == 512 * KiB);
  CHECK(choose_piece_bytes(GiB) == 512 * KiB);
  CHECK(choose_piece_bytes(2 * GiB) == 512 * KiB);
  CHECK(choose_piece_bytes(2 * GiB + 1) == MiB);
  CHECK(choose_piece_bytes(4 * GiB) == MiB);
  CHECK(choose_piece_bytes(4 * GiB + 1) == 2 * MiB);
  CHECK(choose_piece_bytes(64 * GiB) == 16 * MiB);
  CHECK(choose_piece_bytes(64 * GiB + 1) == 16 * MiB);
  CHECK(choose_piece_bytes(std::numeric_limits<std::uint64_t>::max()) == 16 * MiB);
}
