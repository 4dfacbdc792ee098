#include "cli/file_choice.hh"

#include <doctest/doctest.h>

using namespace swarm;
using namespace swarm::cli;

namespace {

wire::Metainfo folder_of(const std::vector<std::pair<std::string, std::uint64_t>>& files,
                         std::uint32_t piece_bytes = 16) {
  wire::Metainfo m;
  m.name = "photos";
  m.folder = true;
  m.piece_bytes = piece_bytes;
  for (const auto& file : files) {
    wire::FileEntry e;
    std::string element;
    for (const char c : file.first + "/") {
      if (c != '/') {
        element += c;
      } else {
        e.path.push_back(element);
        element.clear();
      }
    }
    e.length = file.second;
    e.pad = file.first.starts_with(".pad");
    m.bytes_total += e.length;
    m.files.push_back(std::move(e));
  }
  m.pieces.resize((m.bytes_total + piece_bytes - 1) / piece_bytes);
  return m;
}

wire::Metainfo photos() {
  return folder_of({{"2024/june/a.jpg", 10},
                    {"2024/june/b.raw", 20},
                    {".pad/2", 2},
                    {"2025/a.jpg", 0},
                    {".hidden", 5},
                    {"notes [1].txt", 40}});
}

/// The chosen ones as "010010"; "all"; or the error.
std::string chosen(const wire::Metainfo& m, const std::vector<std::string>& globs) {
  const auto files = choose_files(m, globs);
  if (!files) return files.error().message + ". " + files.error().hint;
  if (files->empty()) return "all";
  std::string out;
  for (const bool one : *files) out += one ? '1' : '0';
  return out;
}

}  // namespace

TEST_CASE("a glob is tried against the path and the base name, and takes folders whole") {
  const auto m = photos();
  CHECK(chosen(m, {}) == "all");
  CHECK(chosen(m, {"*.jpg"}) == "100100");
  CHECK(chosen(m, {"a.jpg"}) == "100100");
  CHECK(chosen(m, {"2024/june/a.jpg"}) == "100000");
  CHECK(chosen(m, {"2024/*"}) == "110000");
  CHECK(chosen(m, {"2024"}) == "110000");
  CHECK(chosen(m, {"2024/june"}) == "110000");
  CHECK(chosen(m, {"202?/*.jpg"}) == "100100");
  CHECK(chosen(m, {"b.*", "2025"}) == "010100");
  CHECK(chosen(m, {"[ab].jpg"}) == "100100");
  CHECK(chosen(m, {"notes \\[1\\].txt"}) == "000001");
  CHECK(chosen(m, {"*hidden"}) == "000010");
}

TEST_CASE("all that can be chosen is all: padding is never chosen and never missed") {
  const auto m = photos();
  CHECK(chosen(m, {"*"}) == "all");
  CHECK(chosen(m, {"202*", "notes*", ".hidden"}) == "all");
  CHECK(chosen(m, {"2"}) == "no file of photos matches '2'. See its files with --list");  // the padding's name
}

TEST_CASE("a glob that matches nothing is a mistake, and the closest name is said") {
  const auto m = photos();
  CHECK(chosen(m, {"*.jpg", "b.rw"}) == "no file of photos matches 'b.rw'. Closest: b.raw");
  CHECK(chosen(m, {"2024/june/a.jpeg"}) == "no file of photos matches '2024/june/a.jpeg'. Closest: 2024/june/a.jpg");
  CHECK(chosen(m, {"*.iso"}) == "no file of photos matches '*.iso'. See its files with --list");
  CHECK(choose_files(m, {"x\x1b[31m"}).error().message.find('\x1b') == std::string::npos);
  CHECK(choose_files(m, {"nothing"}).error().exit == Exit::not_found);
}

TEST_CASE("a torrent of one file is tried by its name") {
  auto m = folder_of({{"debian.iso", 100}});
  m.folder = false;
  m.name = "debian.iso";
  CHECK(chosen(m, {"*.iso"}) == "all");
  CHECK(chosen(m, {"debain.iso"}) == "no file of debian.iso matches 'debain.iso'. Closest: debian.iso");
}

TEST_CASE("the pieces of a choice are those that hold a byte of it") {
  const auto m = photos();  // 0-9 a.jpg, 10-29 b.raw, 30-31 padding, 32-36 .hidden, 37-76 notes: 5 pieces of 16
  const auto pieces = [&](const std::vector<std::string>& globs) {
    const auto bits = pieces_of(m, *choose_files(m, globs));
    std::string out;
    for (std::size_t i = 0; i < bits.size(); ++i) out += bits[i] ? '1' : '0';
    return out;
  };
  CHECK(pieces({}) == "11111");
  CHECK(pieces({"2024/june/a.jpg"}) == "10000");
  CHECK(pieces({"b.raw"}) == "11000");
  CHECK(pieces({"2025/a.jpg"}) == "00000");  // empty
  CHECK(pieces({".hidden"}) == "00100");
  CHECK(pieces({"notes*"}) == "00111");
}

TEST_CASE("--list numbers what can be chosen, and keeps the numbers when only some are shown") {
  const auto m = photos();
  CHECK(file_rows(m, {}) == std::vector<std::string>{"1\t10\t2024/june/a.jpg", "2\t20\t2024/june/b.raw",
                                                     "3\t0\t2025/a.jpg", "4\t5\t.hidden", "5\t40\tnotes [1].txt"});
  CHECK(file_rows(m, *choose_files(m, {".hidden"})) == std::vector<std::string>{"4\t5\t.hidden"});
  CHECK(size_of(m, {}).bytes == 75);
  CHECK(size_of(m, {}).files == 5);
  const auto lines = file_table(m, {}, {.width = 27, .utf8 = true, .colour = false});
  REQUIRE(lines.size() == 6);
  CHECK(lines[1] == "1  10 B       2024/june/a…");
  const auto hostile = folder_of({{"a\tb\nc\x1b[2J", 1}});
  CHECK(file_rows(hostile, {}) == std::vector<std::string>{"1\t1\ta�b�c�[2J"});
}

TEST_CASE("a magnet link chooses by number, padding counted") {
  const auto m = photos();
  const auto by = [&](std::vector<wire::FileRange> ranges) { return choose_files(m, ranges); };
  const auto files = [](std::initializer_list<int> f) { return std::vector<bool>(f.begin(), f.end()); };
  CHECK(by({})->empty());
  CHECK(by({{0, 5}})->empty());
  CHECK(by({{0, 1}, {3, UINT32_MAX}})->empty());  // only the padding is left out
  CHECK(*by({{0, 0}, {3, 4}}) == files({1, 0, 0, 1, 1, 0}));
  CHECK(*by({{1, 2}, {6, 9}}) == files({0, 1, 0, 0, 0, 0}));
  CHECK(*by({{5, UINT32_MAX}}) == files({0, 0, 0, 0, 0, 1}));
  for (const auto& nothing : {wire::FileRange{2, 2}, wire::FileRange{6, UINT32_MAX}}) {
    const auto none = by({nothing});
    REQUIRE_FALSE(none);
    CHECK(none.error().exit == Exit::not_found);
    CHECK(none.error().message == "the magnet link chooses files that photos does not have");
  }
  const auto one = folder_of({{"a.iso", 100}});
  CHECK(choose_files(one, std::vector<wire::FileRange>{{0, 0}})->empty());
}
