// Some files of a folder: what is fetched, where it lies meanwhile, what stays, and what the next choice finds.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>

#include "disk/download.hh"
#include "disk/safe_path.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

constexpr std::uint32_t piece_bytes = 16384;

/// Pieces: a 0-3, b 3-6, c 6 (as a whole), the rest of 6 padding, d 7-9.
Sample four_files() {
  return make_sample({{.path = "a", .length = 3 * piece_bytes + 100},
                      {.path = "sub/b", .length = 3 * piece_bytes},
                      {.path = "sub/c", .length = 5000},
                      {.path = ".pad/0", .length = piece_bytes - 5100, .pad = true},
                      {.path = "d", .length = 2 * piece_bytes + 1}},
                     piece_bytes, true);
}

std::vector<bool> only(std::initializer_list<std::size_t> chosen, std::size_t files = 5) {
  std::vector<bool> choice(files, false);
  for (const std::size_t i : chosen) choice[i] = true;
  return choice;
}

std::vector<std::size_t> set_bits(const Bitfield& bits) {
  std::vector<std::size_t> list;
  for (std::size_t i = bits.find(true); i < bits.size(); i = bits.find(true, i + 1)) list.push_back(i);
  return list;
}

using Pieces = std::vector<std::size_t>;
using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("wanted_pieces: every piece that holds a byte of a chosen file, and no other") {
  const Sample s = four_files();
  CHECK(wanted_pieces(*s.info, {}).all());
  CHECK(set_bits(wanted_pieces(*s.info, only({0}))) == Pieces{0, 1, 2, 3});
  CHECK(set_bits(wanted_pieces(*s.info, only({1}))) == Pieces{3, 4, 5, 6});
  CHECK(set_bits(wanted_pieces(*s.info, only({2}))) == Pieces{6});
  CHECK(set_bits(wanted_pieces(*s.info, only({3}))).empty());  // padding
  CHECK(set_bits(wanted_pieces(*s.info, only({0, 4}))) == Pieces{0, 1, 2, 3, 7, 8, 9});
  CHECK(wanted_pieces(*s.info, only({})).none());
}

TEST_CASE("wanted_pieces: the same as asking each byte") {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<FileSpec> files;
    std::vector<bool> choice;
    for (std::uint64_t i = 0, n = 1 + random.below(12); i < n; ++i) {
      files.push_back({.path = fmt::format("f{}", i), .length = random.below(40), .pad = random.below(5) == 0});
      choice.push_back(random.below(2) == 0);
    }
    const Sample s = make_sample(files, static_cast<std::uint32_t>(1 + random.below(20)), true, 1 + round);
    Bitfield naive(s.info->piece_count());
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < files.size(); ++i) {
      for (std::uint64_t b = 0; b < files[i].length; ++b, ++at) {
        if (choice[i] && !files[i].pad) naive.set(static_cast<std::size_t>(at / s.info->piece_bytes));
      }
    }
    CHECK(wanted_pieces(*s.info, choice) == naive);
  }
}

TEST_CASE("one file of four: only its pieces are fetched, only it appears, nothing else stays") {
  const Folder folder;
  const Sample s = four_files();
  Download get{.sample = s, .target = folder / "top", .options = {.files = only({1})}};
  REQUIRE(get.run());
  CHECK(get.fetched == 4);
  CHECK(tree_of(folder.path()) == Names{"top/", "top/sub/", "top/sub/b"});
  CHECK(slurp(folder / "top/sub/b") == s.file(1));
  // Boundary pieces are still served whole, by a file that has no name any more.
  for (const std::uint32_t p : {3u, 6u}) {
    const auto read = read_all(*get.storage, std::uint64_t{p} * piece_bytes, piece_bytes);
    REQUIRE(read);
    CHECK(*read == as_text(s.piece(p)));
  }
}

TEST_CASE("meanwhile: what was not chosen lies in one hidden sparse file") {
  const Folder folder;
  const Sample s = four_files();
  Download get{.sample = s, .target = folder / "top", .options = {.files = only({0, 2})}, .pieces_max = 5};
  REQUIRE(get.run());
  Names names = tree_of(folder.path());
  REQUIRE(names.size() == 5);
  CHECK(names[1].starts_with("top.part/."));
  CHECK(names[1].ends_with(".aside"));
  names.erase(names.begin() + 1);
  CHECK(names == Names{"top.part/", "top.part/a", "top.part/sub/", "top.part/sub/c"});
  // A piece that was not wanted, from a core that fetches all: kept as well, and no file appears.
  REQUIRE(write_all(*get.storage, 8 * piece_bytes, s.piece(8)));
  CHECK(read_all(*get.storage, 8 * piece_bytes, piece_bytes) == std::string(as_text(s.piece(8))));
  CHECK_FALSE(fs::exists(folder / "top.part/d"));
}

TEST_CASE("a choice of everything is none; a file without a folder cannot be left out") {
  const Folder folder;
  const Sample s = four_files();
  CHECK(Storage::create(s.info, folder / "x", {.files = only({0, 1, 2, 4})})->files().empty());
  const Sample one = single(1000);
  const auto storage = Storage::create(one.info, folder / "y", {.files = {false}});
  CHECK(storage->files().empty());
  CHECK(storage->wanted().all());
}

TEST_CASE("an empty file alone is chosen: it is made, and nothing is fetched") {
  const Folder folder;
  const Sample s = make_sample({{.path = "a", .length = 100}, {.path = "d/empty", .length = 0}}, piece_bytes, true);
  Download get{.sample = s, .target = folder / "top", .options = {.files = {false, true}}};
  REQUIRE(get.run());
  CHECK(get.fetched == 0);
  CHECK(tree_of(folder.path()) == Names{"top/", "top/d/", "top/d/empty"});
}

TEST_CASE(
    "stopped and started again: after a clean stop all is trusted, boundary pieces too; after a kill all is found") {
  for (const bool clean : {true, false}) {
    const Folder folder;
    const Sample s = four_files();
    Download first{
        .sample = s, .target = folder / "top", .options = {.files = only({1})}, .pieces_max = 3, .stop_cleanly = clean};
    REQUIRE(first.run());
    const auto storage = Storage::create(s.info, folder / "top", {.files = only({1})});
    const Found found = find_progress(*storage, *s.info);
    CHECK(found.verified.count() == (clean ? 3 : 0));
    CHECK(found.unchecked.size() == (clean ? 0 : found.unchecked.size()));
    CHECK((clean || found.unchecked.size() >= 3));  // data shows in pages, which do not begin where pieces do
    Download second{.sample = s, .target = folder / "top", .options = {.files = only({1})}};
    REQUIRE(second.run());
    CHECK(second.fetched == 1);
    CHECK(tree_of(folder.path()) == Names{"top/", "top/sub/", "top/sub/b"});
    CHECK(slurp(folder / "top/sub/b") == s.file(1));
    // The boundary pieces were found, not written, by the process that serves them now.
    for (const std::uint32_t p : {3u, 6u}) {
      CHECK(read_all(*second.storage, std::uint64_t{p} * piece_bytes, piece_bytes) == std::string(as_text(s.piece(p))));
    }
  }
}

TEST_CASE("another choice after a clean stop: nothing is trusted, everything that is there is found") {
  const Folder folder;
  const Sample s = four_files();
  Download first{
      .sample = s, .target = folder / "top", .options = {.files = only({1})}, .pieces_max = 4, .stop_cleanly = true};
  REQUIRE(first.run());
  const auto storage = Storage::create(s.info, folder / "top", {.files = only({0, 1, 2})});
  const Found found = find_progress(*storage, *s.info);
  CHECK(found.verified.none());
  CHECK(found.unchecked.size() >= 4);
  Download second{.sample = s, .target = folder / "top", .options = {.files = only({0, 1, 2})}};
  REQUIRE(second.run());
  CHECK(second.found == 4);  // the halves of a and c lay aside
  CHECK(second.fetched == 3);
  CHECK(tree_of(folder.path()) == Names{"top/", "top/a", "top/sub/", "top/sub/b", "top/sub/c"});
}

TEST_CASE(
    "all files after some, unfinished or finished: what is there is found; whole and without leftovers at the end") {
  for (const std::size_t stop_at : {std::size_t{4}, ~std::size_t{0}}) {
    const Folder folder;
    const Sample s = four_files();
    Download first{.sample = s, .target = folder / "top", .options = {.files = only({1})}, .pieces_max = stop_at};
    REQUIRE(first.run());
    Download second{.sample = s, .target = folder / "top"};
    REQUIRE(second.run());
    CHECK(second.found == (first.finished ? 2 : 4));  // the other halves of 3 and 6 went with the side file
    CHECK(tree_of(folder.path()) == Names{"top/", "top/a", "top/d", "top/sub/", "top/sub/b", "top/sub/c"});
    for (const std::size_t i : {0, 1, 2, 4}) CHECK(slurp(folder / ("top/" + safe_paths(*s.info)[i])) == s.file(i));
  }
}

TEST_CASE("the other file later: it joins the folder, which keeps what it has") {
  const Folder folder;
  const Sample s = four_files();
  REQUIRE(Download{.sample = s, .target = folder / "top", .options = {.files = only({0})}}.run());
  spew(folder / "top/mine.txt", "mine");
  struct stat before {};
  REQUIRE(::stat((folder / "top/a").c_str(), &before) == 0);
  Download second{.sample = s, .target = folder / "top", .options = {.files = only({1})}};
  REQUIRE(second.run());
  CHECK(second.fetched == 4);
  CHECK(tree_of(folder.path()) == Names{"top/", "top/a", "top/mine.txt", "top/sub/", "top/sub/b"});
  CHECK(slurp(folder / "top/sub/b") == s.file(1));
  struct stat after {};
  REQUIRE(::stat((folder / "top/a").c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
  // The same command again: only boundary pieces are fetched, for half of them was nowhere.
  Download again{.sample = s, .target = folder / "top", .options = {.files = only({1})}};
  REQUIRE(again.run());
  CHECK(again.found == 2);
  CHECK(again.fetched == 2);
  CHECK(tree_of(folder.path()) == Names{"top/", "top/a", "top/mine.txt", "top/sub/", "top/sub/b"});
}

TEST_CASE("a different file under a chosen name: exists, and nothing of it or of ours is lost") {
  const Folder folder;
  const Sample s = four_files();
  fs::create_directories(folder / "top/sub");
  std::string wrong = s.file(1);
  SUBCASE("in the middle: told when that piece is to be fetched") { wrong[2 * piece_bytes] ^= 1; }
  SUBCASE("in a boundary piece: told at the end") { wrong[0] ^= 1; }
  SUBCASE("longer") { wrong += '!'; }
  SUBCASE("shorter") { wrong.pop_back(); }
  SUBCASE("another length altogether") { wrong = "mine"; }
  spew(folder / "top/sub/b", wrong);
  Download get{.sample = s, .target = folder / "top", .options = {.files = only({0, 1})}};
  const auto done = get.run();
  REQUIRE_FALSE(done);
  CHECK(done.error().exit == Exit::disk);
  CHECK(done.error().code == "exists");
  CHECK(slurp(folder / "top/sub/b") == wrong);
  CHECK_FALSE(fs::exists(folder / "top/a"));
  // Out of the way, and the same command finds what it fetched.
  fs::rename(folder / "top/sub/b", folder / "top/sub/mine");
  Download again{.sample = s, .target = folder / "top", .options = {.files = only({0, 1})}};
  REQUIRE(again.run());
  CHECK(again.found >= get.verified.count() - std::min<std::size_t>(get.verified.count(), 4));
  CHECK(slurp(folder / "top/sub/b") == s.file(1));
  CHECK(slurp(folder / "top/a") == s.file(0));
  CHECK(slurp(folder / "top/sub/mine") == wrong);
  CHECK_FALSE(fs::exists(folder / "top.part"));
}

TEST_CASE("a liar's bytes beside a file that has its name: the piece is wrong, then right, and the file stays ours") {
  const Folder folder;
  const Sample s = four_files();
  REQUIRE(Download{.sample = s, .target = folder / "top", .options = {.files = only({0})}}.run());
  const auto storage = Storage::create(s.info, folder / "top", {.files = only({0, 1})});
  PieceQueue queue(storage, s.info);
  for (const PieceIndex p : find_progress(*storage, *s.info).unchecked) queue.check(p);
  Bitfield right(s.info->piece_count());
  const auto take = [&] {
    for (const auto& result : run_all(queue)) {
      REQUIRE(result);
      right.set(result->piece, result->outcome == PieceResult::Outcome::right);
    }
  };
  take();
  CHECK(set_bits(right) == Pieces{0, 1, 2});
  Buffer lie(s.piece(3).begin(), s.piece(3).end());
  lie[50] ^= 1;  // a byte of `a`, which has its name
  add_piece(queue, 3, lie);
  take();
  CHECK_FALSE(right[3]);
  CHECK(read_all(*storage, 3 * piece_bytes, piece_bytes) == std::string(as_text(lie)));
  CHECK(slurp(folder / "top/a") == s.file(0));
  CHECK(storage->stamps()->at(0) == FileStamp{});  // what stands in doubt must not be trusted by the next run
  for (const std::uint32_t p : {3u, 4u, 5u, 6u}) add_piece(queue, p, s.piece(p));
  take();
  CHECK(set_bits(right) == Pieces{0, 1, 2, 3, 4, 5, 6});
  CHECK(read_all(*storage, 3 * piece_bytes, piece_bytes) == std::string(as_text(s.piece(3))));
  REQUIRE(storage->finish());
  CHECK(tree_of(folder.path()) == Names{"top/", "top/a", "top/sub/", "top/sub/b"});
}

TEST_CASE("a folder of the same name that has nothing of ours is somebody's: exists, unless files are chosen") {
  const Folder folder;
  const Sample s = four_files();
  fs::create_directories(folder / "top");
  spew(folder / "top/mine.txt", "mine");
  Download all{.sample = s, .target = folder / "top"};
  const auto refused = all.run();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == "exists");
  CHECK(tree_of(folder.path()) == Names{"top/", "top/mine.txt"});
  REQUIRE(Download{.sample = s, .target = folder / "top", .options = {.files = only({4})}}.run());
  CHECK(tree_of(folder.path()) == Names{"top/", "top/d", "top/mine.txt"});
}

TEST_CASE("replace and a choice: chosen files replace those of their name, others stay") {
  const Folder folder;
  const Sample s = four_files();
  fs::create_directories(folder / "top/sub");
  spew(folder / "top/sub/b", "old");
  spew(folder / "top/a", "mine");
  Download get{.sample = s, .target = folder / "top", .options = {.replace = true, .files = only({1})}};
  REQUIRE(get.run());
  CHECK(slurp(folder / "top/sub/b") == s.file(1));
  CHECK(slurp(folder / "top/a") == "mine");
  CHECK(tree_of(folder.path()) == Names{"top/", "top/a", "top/sub/", "top/sub/b"});
}

TEST_CASE("what another choice left unfinished stays for it, and does not appear") {
  const Folder folder;
  const Sample s = four_files();
  Download big{.sample = s, .target = folder / "top", .options = {.files = only({4})}, .pieces_max = 2};
  REQUIRE(big.run());
  REQUIRE(Download{.sample = s, .target = folder / "top", .options = {.files = only({0})}}.run());
  CHECK(tree_of(folder.path()) == Names{"top.part/", "top.part/d", "top/", "top/a"});
  Download rest{.sample = s, .target = folder / "top", .options = {.files = only({4})}};
  REQUIRE(rest.run());
  CHECK(rest.found == 2);
  CHECK(rest.fetched == 1);
  CHECK(tree_of(folder.path()) == Names{"top/", "top/a", "top/d"});
}

TEST_CASE("a link in the place of a chosen file of the target is neither followed nor replaced") {
  const Folder folder;
  const Sample s = four_files();
  spew(folder / "canary", "canary");
  fs::create_directories(folder / "top");
  fs::create_symlink("../canary", folder / "top/a");
  Download get{.sample = s, .target = folder / "top", .options = {.files = only({0})}};
  const auto done = get.run();
  REQUIRE_FALSE(done);
  CHECK(done.error().exit == Exit::disk);
  CHECK(slurp(folder / "canary") == "canary");
  CHECK(fs::is_symlink(folder / "top/a"));
}

TEST_CASE("check_space counts what is wanted: the chosen file and the other halves, less what is there") {
  const Folder folder;
  Sample s;
  s.info->name = "top";
  s.info->folder = true;
  s.info->piece_bytes = 16u << 20;
  const std::uint64_t huge = 1ull << 50;
  s.info->files = {{.path = {"huge"}, .length = huge, .pad = false, .executable = false},
                   {.path = {"small"}, .length = 5000, .pad = false, .executable = false}};
  s.info->bytes_total = huge + 5000;
  s.info->pieces.resize((std::size_t{1} << 26) + 1);
  CHECK(Storage::create(s.info, folder / "top", {.files = {false, true}})->check_space());
  const auto both = Storage::create(s.info, folder / "top")->check_space();
  REQUIRE_FALSE(both);
  CHECK(both.error().code == "disk_full");
  const auto one = Storage::create(s.info, folder / "top", {.files = {true, false}})->check_space();
  REQUIRE_FALSE(one);
  CHECK(one.error().message.starts_with("needs 1.0 PiB"));
}

TEST_CASE(
    "any torrent, any choices one after the other, stopped anywhere: only what was chosen appears, and all of it") {
  Random random(11);
  std::size_t runs = 0, finished = 0, found = 0;
  for (int round = 0; round < 150; ++round) {
    const Folder folder;
    std::vector<FileSpec> files;
    for (std::uint64_t i = 0, n = 2 + random.below(8); i < n; ++i) {
      const std::uint64_t length = random.below(4) == 0 ? random.below(3) : random.below(5 * piece_bytes);
      files.push_back({.path = fmt::format("{}f{}", random.below(2) == 0 ? "" : "d/", i),
                       .length = length,
                       .pad = random.below(6) == 0,
                       .executable = random.below(4) == 0});
    }
    files.push_back({.path = "last", .length = 1 + random.below(piece_bytes)});
    const Sample s = make_sample(files, piece_bytes, true, 100 + round);
    std::set<std::size_t> named;  // the naive twin: what has its name
    for (int run = 0; run < 6; ++run) {
      std::vector<bool> choice(files.size());
      for (std::size_t i = 0; i < files.size(); ++i) choice[i] = random.below(3) == 0;
      if (random.below(4) == 0 || run == 5) choice.clear();
      const bool kill = random.below(2) == 0 && run < 5;
      Download get{.sample = s,
                   .target = folder / "top",
                   .options = {.open_files_max = 1 + random.below(4), .files = choice},
                   .pieces_max = kill ? random.below(8) : ~std::size_t{0},
                   .save_every = random.below(3),
                   .stop_cleanly = random.below(2) == 0,
                   .seed = 7u * static_cast<std::uint64_t>(round) + static_cast<std::uint64_t>(run)};
      const auto done = get.run();
      // A folder of which so far only empty files have names does not show that it is ours.
      const bool strange = choice.empty() && !named.empty() &&
                           std::all_of(named.begin(), named.end(), [&](std::size_t i) { return files[i].length == 0; });
      if (!done && strange) {
        CHECK(done.error().code == "exists");
        break;
      }
      REQUIRE_MESSAGE(done.has_value(), "round ", round, " run ", run, ": ", done ? "" : done.error().message);
      ++runs;
      found += get.found;
      finished += get.finished ? 1 : 0;
      for (std::size_t i = 0; get.finished && i < files.size(); ++i) {
        if (!files[i].pad && (choice.empty() || choice[i])) named.insert(i);
      }
      std::set<std::string> there;
      for (const auto& name : tree_of(folder.path())) {
        if (name.starts_with("top/") && !name.ends_with('/')) there.insert(name.substr(4));
      }
      std::set<std::string> expected;
      for (const std::size_t i : named) {
        expected.insert(files[i].path);
        CHECK(slurp(folder / ("top/" + files[i].path)) == s.file(i));
      }
      CHECK(there == expected);
      // Whatever this run verified, it can read.
      for (std::uint32_t p = 0; p < s.info->piece_count(); ++p) {
        if (!get.verified[std::size_t{p}]) continue;
        CHECK(read_all(*get.storage, std::uint64_t{p} * piece_bytes, s.piece(p).size()) ==
              std::string(as_text(s.piece(p))));
      }
      if (get.finished && choice.empty()) CHECK_FALSE(fs::exists(folder / "top.part"));
    }
  }
  CHECK(runs > 400);
  CHECK(finished > 200);
  CHECK(found > 1000);
}
