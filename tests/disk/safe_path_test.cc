#include "disk/safe_path.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <set>
#include <string>

#include "base/random.hh"
#include "base/text.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace std::string_literals;

namespace {

wire::Metainfo torrent_of(const std::vector<std::vector<std::string>>& paths) {
  wire::Metainfo m;
  m.folder = true;
  for (const auto& path : paths) m.files.push_back({.path = path, .length = 1, .pad = false, .executable = false});
  return m;
}

/// What is wrong with a name that shall be safe; "" when nothing is.
std::string complaint(const std::string& name) {
  if (name.empty()) return "empty";
  if (name == "." || name == "..") return "dots";
  if (name.size() > 255) return "too long";
  if (!is_utf8(name)) return "not UTF-8";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '/' || c == '\\') return "a byte that must not be there";
  }
  for (const char* bidi : {"\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"}) {
    if (name.find(bidi) != std::string::npos) return "bidirectional override";
  }
  return "";
}

}  // namespace

TEST_CASE("safe_element: what must change, and what must not") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", "_"},
      {".", "_"},
      {"..", "__"},
      {"...", "..."},
      {"/", "_"},
      {"/etc/passwd", "_etc_passwd"},
      {"..\\..\\boot.ini", ".._.._boot.ini"},
      {"a\0b"s, "a_b"},
      {"Icon\r", "Icon_"},
      {"foo... bar", "foo... bar"},
      {" leading and trailing ", " leading and trailing "},
      {"caf\xc3\xa9", "caf\xc3\xa9"},
      {"caf\xe9", "caf_"},
      {"\xc0\xaf", "__"},            // an overlong slash
      {"\xed\xa0\x80", "___"},       // a surrogate
      {"\xf4\x90\x80\x80", "____"},  // beyond U+10FFFF
      {"cut \xe2\x82", "cut __"},    // the end of the text in the middle of a character
      {"photo\u202egpj.exe", "photo_gpj.exe"},
      {"a\u2066b\u2069", "a_b_"},
      {"a\u0085b\x7f", "a_b_"},
      {"C:", "C:"},
      {"what?*<>|\"", "what?*<>|\""},
      {"\U0001f600", "\U0001f600"},
  };
  for (const auto& row : table) {
    CAPTURE(row.first);
    CHECK(safe_element(row.first) == row.second);
  }
}

TEST_CASE("safe_element cuts at 255 bytes, keeps the extension and never a character in half") {
  CHECK(safe_element(std::string(300, 'a') + ".mkv") == std::string(251, 'a') + ".mkv");
  CHECK(safe_element(std::string(255, 'a')) == std::string(255, 'a'));
  CHECK(safe_element(std::string(256, 'a')).size() == 255);
  std::string long_name;
  for (int i = 0; i < 200; ++i) long_name += "\xe2\x82\xac";
  CHECK(safe_element(long_name + ".txt").size() == 3 * 83 + 4);
  CHECK(is_utf8(safe_element(long_name + ".txt")));
  CHECK(safe_element("a." + std::string(400, 'b')) == "a." + std::string(253, 'b'));  // no extension is so long
}

TEST_CASE("safe_element: any bytes become one harmless element, and that one stays as it is") {
  Random random(7);
  const std::vector<std::string> pieces = {"..",     "/",    "\\",     ".",  "\0"s,      "a",
                                           "\u202e", "\xff", "\u00e9", "\r", "x.tar.gz", " "};
  for (int round = 0; round < 20000; ++round) {
    std::string raw;
    const std::uint64_t length = random.below(round % 50 == 0 ? 600 : 12);
    for (std::uint64_t i = 0; i < length; ++i) {
      raw += random.below(2) == 0 ? pieces[random.below(pieces.size())]
                                  : std::string(1, static_cast<char>(random.below(256)));
    }
    const std::string safe = safe_element(raw);
    CAPTURE(to_base64(as_bytes(raw)));
    REQUIRE(complaint(safe) == "");
    REQUIRE(safe_element(safe) == safe);
  }
}

TEST_CASE("canary: the checks above would notice an unsafe name") {
  for (const auto& bad :
       {""s, "."s, ".."s, "a/b"s, "a\\b"s, "a\0b"s, "\xff"s, "\u202e"s, std::string(256, 'a'), "\r"s}) {
    CHECK(complaint(bad) != "");
  }
}

TEST_CASE("safe_paths: hostile paths stay relative and beneath") {
  const auto paths = safe_paths(torrent_of(
      {{"..", "..", "etc", "passwd"}, {"/etc", "shadow"}, {"a", "", "b"}, {"a\\..\\b"}, {}, {"ok", "fine.txt"}}));
  CHECK(paths == std::vector<std::string>{"__/__/etc/passwd", "_etc/shadow", "a/_/b", "a_.._b", "_", "ok/fine.txt"});
}

TEST_CASE("safe_paths: duplicates, case and clashes with folders get numbers before the extension") {
  const auto paths = safe_paths(torrent_of({{"a.txt"},
                                            {"a.txt"},
                                            {"A.TXT"},
                                            {"a.1.txt"},
                                            {"x"},
                                            {"X", "y"},
                                            {"d", "\xc3\x89t\xc3\xa9"},
                                            {"D", "\xc3\xa9t\xc3\xa9"},
                                            {".hidden"},
                                            {".hidden"}}));
  CHECK(paths == std::vector<std::string>{"a.txt", "a.1.txt", "A.2.TXT", "a.1.1.txt", "x.1", "X/y",
                                          "d/\xc3\x89t\xc3\xa9", "D/\xc3\xa9t\xc3\xa9.1", ".hidden", ".hidden.1"});
}

TEST_CASE("safe_paths: Greek, Cyrillic and extended Latin letters clash whatever their case") {
  const std::vector<std::pair<std::string, std::string>> pairs = {{"\u0391\u03a9", "\u03b1\u03c9"},
                                                                  {"\u0416", "\u0436"},
                                                                  {"\u0401", "\u0451"},
                                                                  {"\u0141", "\u0142"},
                                                                  {"\u0160", "\u0161"},
                                                                  {"\u017d", "\u017e"},
                                                                  {"\u0490", "\u0491"}};
  for (const auto& [upper, lower] : pairs) {
    CHECK(safe_paths(torrent_of({{upper}, {lower}})) == std::vector<std::string>{upper, lower + ".1"});
  }
  CHECK(safe_paths(torrent_of({{"\u00d7"}, {"\u00f7"}})) ==
        std::vector<std::string>{"\u00d7", "\u00f7"});  // signs, not letters
}

TEST_CASE("safe_paths: padding has no name, a path too long for a system call keeps its last element") {
  auto m = torrent_of({{".pad", "16"}, {"a"}});
  m.files[0].pad = true;
  CHECK(safe_paths(m) == std::vector<std::string>{"", "a"});
  const std::vector<std::string> deep(1000, "folder");
  auto deeper = deep;
  deeper.push_back("end.txt");
  CHECK(safe_paths(torrent_of({deep, deeper, deeper})) == std::vector<std::string>{"folder", "end.txt", "end.1.txt"});
}

TEST_CASE("safe_paths: duplicates, long names that are cut alike and deep paths take linear time") {
  // Time of this thread's work, not of the clock on the wall: the machine may be busy.
  const auto timed = [](const wire::Metainfo& m) {
    const std::clock_t start = std::clock();
    const auto paths = safe_paths(m);
    const double ms = 1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    const std::set<std::string> distinct(paths.begin(), paths.end());
    CHECK(distinct.size() == paths.size());
    return ms;
  };
  const auto duplicates = [](int n) {
    return torrent_of(std::vector<std::vector<std::string>>(static_cast<std::size_t>(n), {"same.txt"}));
  };
  const auto cut_alike = [](int n) {
    std::vector<std::vector<std::string>> names;
    for (int i = 0; i < n; ++i) names.push_back({std::string(249, 'n') + std::to_string(100'000 + i / 2)});
    return torrent_of(names);
  };
  const auto deep = [](int n) {
    return torrent_of({std::vector<std::string>(static_cast<std::size_t>(n), "d"), {"e"}});
  };
  const auto numbered = [](int n) {  // every number is taken already when the duplicates come
    std::vector<std::vector<std::string>> names;
    for (int i = 0; i < n / 2; ++i) names.push_back({"a." + std::to_string(i)});
    names.resize(static_cast<std::size_t>(n), {"a"});
    return torrent_of(names);
  };
  MESSAGE("100,000 duplicates: " << timed(duplicates(100'000)) << " ms");
  const std::vector<std::function<wire::Metainfo(int)>> shapes = {duplicates, cut_alike, deep, numbered};
  for (const auto& shape : shapes) {
    const double small = std::max(timed(shape(4'000)), 1.0);
    CHECK(timed(shape(32'000)) < 32 * small);  // 8 times the work: linear takes 8 times as long, quadratic 64 times
  }
}

TEST_CASE("beside: suffixes, also where they would not fit") {
  CHECK(beside("/a/b.iso", ".part") == "/a/b.iso.part");
  CHECK(beside("b", ".progress.json") == "b.progress.json");
  CHECK(beside("/a/b/", ".part") == "/a/b.part");
  const std::string name(255, 'n');
  const std::string part = beside("/a/" + name, ".progress.json.tmp");
  CHECK(part.size() <= 3 + 255);
  CHECK(part.starts_with("/a/nnn"));
  CHECK(part != beside("/a/" + std::string(254, 'n') + "m", ".progress.json.tmp"));
  CHECK(beside(name, ".part").find('/') == std::string::npos);
}
