#include "cli/piece_log.hh"

#include <doctest/doctest.h>

using namespace swarm;
using namespace swarm::cli;

namespace {

using Lines = std::vector<std::string>;
const Look plain{80, true, false};

PieceCheck good(std::uint32_t piece, std::uint32_t count = 1) { return {{}, {}, piece, count, true, false, {}}; }
PieceCheck bad(std::uint32_t piece) { return {{}, {}, piece, 1, false, false, {*Endpoint::from("100.64.0.9:6881")}}; }
Instant at(Duration d) { return Instant{} + d; }

}  // namespace

TEST_CASE("ranges: good pieces are joined, ten lines a second at most; failures come at once, one by one") {
  PieceLog log(Pieces::ranges);
  log.add(good(1));
  CHECK(log.take(at(0ms), "12:04:11", plain) == Lines{"12:04:11  piece 1  sha1 ok"});
  for (const auto piece : {785u, 787u, 786u, 789u, 788u, 12u}) log.add(good(piece));
  log.add(bad(406));
  log.add(bad(406));
  CHECK(log.take(at(50ms), "12:04:11", plain) ==
        Lines{"12:04:11  piece 406  sha1 MISMATCH from 100.64.0.9:6881, fetching it again",
              "12:04:11  piece 406  sha1 MISMATCH from 100.64.0.9:6881, fetching it again"});
  CHECK(log.waits());
  CHECK(log.take(at(100ms), "12:04:12", plain) == Lines{"12:04:12  pieces 12, 785-789  sha1 ok (6)"});
  CHECK_FALSE(log.waits());
  CHECK(log.take(at(1s), "12:04:13", plain).empty());
}

TEST_CASE("ranges: the counts add up to every piece, and no second has more than ten good lines") {
  PieceLog log(Pieces::ranges);
  std::size_t lines = 0, pieces = 0;
  const auto read = [&](const Lines& got) {
    for (const auto& line : got) {
      ++lines;
      const auto open = line.find('(');
      pieces += open == line.npos ? 1 : std::stoul(line.substr(open + 1));
    }
  };
  std::uint32_t next = 0;
  for (int ms = 0; ms < 1000; ++ms) {
    for (int i = 0; i < 13; ++i) log.add(good(next = (next * 5 + 7) % 100'003));
    read(log.take(at(std::chrono::milliseconds(ms)), "t", plain));
  }
  CHECK(lines <= 10);
  read(log.rest("t", plain));
  CHECK(pieces == 13'000);
}

TEST_CASE("all: a line for each piece; failures: only those; none: nothing") {
  PieceLog all(Pieces::all), failures(Pieces::failures), none(Pieces::none);
  for (auto* log : {&all, &failures, &none}) {
    for (std::uint32_t i = 0; i < 20; ++i) log->add(good(i));
    log->add(bad(7));
  }
  CHECK(all.take(at(0s), "t", plain).size() == 21);
  CHECK(failures.take(at(0s), "t", plain) ==
        Lines{"t  piece 7  sha1 MISMATCH from 100.64.0.9:6881, fetching it again"});
  CHECK(none.take(at(0s), "t", plain).empty());
}

TEST_CASE("a tracker's log: node and file first, the one that waited longest next") {
  PieceLog log(Pieces::ranges);
  log.add({"pi", "debian.iso", 0, 5, true, false, {}});
  log.add({"nuc", "debian.iso", 3, 1, true, false, {}});
  log.add({"pi", "debian.iso", 5, 2, true, false, {}});
  CHECK(log.take(at(0s), "t", plain) == Lines{"t  pi  debian.iso  pieces 0-6  sha1 ok (7)"});
  CHECK(log.take(at(0s), "t", plain).empty());
  CHECK(log.rest("t", plain) == Lines{"t  nuc  debian.iso  piece 3  sha1 ok"});
}

TEST_CASE("many runs are cut to the width, the count is not") {
  PieceLog log(Pieces::ranges);
  for (std::uint32_t i = 0; i < 1000; i += 2) log.add(good(i));
  const auto lines = log.rest("12:04:11", plain);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].ends_with(", …  sha1 ok (500)"));
  CHECK(lines[0].size() <= 84);  // columns, and an ellipsis of three bytes
}

TEST_CASE("what was found on the disk is told apart, and colour only repeats") {
  CHECK(piece_line({{}, {}, 3, 1, true, true, {}}, "t", plain) == "t  piece 3  sha1 ok  on disk");
  CHECK(piece_line({{}, {}, 3, 1, false, true, {}}, "t", plain) ==
        "t  piece 3  sha1 MISMATCH on disk, fetching it again");
  CHECK(piece_line(bad(3), "t", {80, true, true}) ==
        "\x1b[2mt\x1b[0m  piece 3  \x1b[1;31msha1 MISMATCH\x1b[0m from 100.64.0.9:6881, fetching it again");
  CHECK(piece_line({"evil\x1b[2J", "x", 3, 1, true, false, {}}, "t", plain).find('\x1b') == std::string::npos);
}
