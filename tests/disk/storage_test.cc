#include "disk/storage.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "base/text.hh"
#include "disk/descriptor.hh"
#include "disk/folder.hh"
#include "disk/safe_path.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

std::vector<FileSpec> some_files() {
  return {{.path = "a.bin", .length = 100'000},
          {.path = "sub/empty", .length = 0},
          {.path = "sub/deep/er/run.sh", .length = 3, .executable = true},
          {.path = ".pad/7", .length = 31'069, .pad = true},
          {.path = "z", .length = 200'000}};
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

std::atomic<int> writebacks = 0;
void counting_writeback(int fd) {
  if (::fcntl(fd, F_GETFD) >= 0) ++writebacks;
}

int failing_sync(int) {
  errno = EIO;
  return -1;
}

int full_sync(int) {
  errno = ENOSPC;
  return -1;
}

bool fail_syncs = false;
int sometimes_failing_sync(int fd) { return fail_syncs ? failing_sync(fd) : ::fdatasync(fd); }

int syncs_interrupted = 0;
int interrupted_sync(int fd) {
  if (syncs_interrupted++ % 2 == 1) return ::fdatasync(fd);
  errno = EINTR;
  return -1;
}

/// Nobody has the rights of root while this lives, so that permissions mean something to a test that root runs.
class AsNobody {
 public:
  AsNobody() : was_root_(::geteuid() == 0) {
    if (was_root_) REQUIRE(::seteuid(65534) == 0);
  }
  ~AsNobody() {
    if (was_root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool was_root_;
};

}  // namespace

TEST_CASE("nothing is on the disk before the first write, then only what was written") {
  const Folder folder;
  const Sample s = make_sample(some_files(), 64 * 1024, true);
  const auto storage = Storage::create(s.info, folder / "top");
  CHECK(storage->part_path() == folder / "top.part");
  CHECK(storage->target_path() == folder / "top");
  CHECK(storage->place() == Place::nothing);
  CHECK(read_all(*storage, 0, 1000) == std::string(1000, '\0'));
  CHECK(storage->pieces_with_data().none());
  CHECK(tree_of(folder.path()).empty());
  REQUIRE(write_all(*storage, 99'990, ByteView(s.content).subspan(99'990, 13)));
  CHECK(tree_of(folder.path()) == std::vector<std::string>{"top.part/", "top.part/a.bin", "top.part/sub/",
                                                           "top.part/sub/deep/", "top.part/sub/deep/er/",
                                                           "top.part/sub/deep/er/run.sh"});
  CHECK(storage->place() == Place::part);
  CHECK(slurp(folder / "top.part/sub/deep/er/run.sh") == s.file(2));
}

TEST_CASE("ranges across files, padding and empty files: read back as written, in any cut") {
  const Folder folder;
  const Sample s = make_sample(some_files(), 64 * 1024, true);
  const auto storage = Storage::create(s.info, folder / "top");
  Random random(2);
  for (std::size_t at = 0; at < s.content.size();) {
    const std::size_t length = std::min<std::size_t>(1 + random.below(50'000), s.content.size() - at);
    std::vector<iovec> list;
    for (std::size_t i = 0; i < length;) {
      const std::size_t part = std::min<std::size_t>(random.below(20'000), length - i);
      list.push_back({const_cast<std::uint8_t*>(s.content.data()) + at + i, part});
      i += part;
    }
    REQUIRE(storage->write(at, list));
    at += length;
  }
  for (int round = 0; round < 200; ++round) {
    const std::size_t at = random.below(s.content.size());
    const std::size_t length = random.below(s.content.size() - at) + 1;
    CHECK(read_all(*storage, at, length) == std::string(as_text(s.content).substr(at, length)));
  }
  CHECK(storage->pieces_with_data().all());
}

TEST_CASE("more parts than one system call takes") {
  const Folder folder;
  const Sample s = single(3000);
  const auto storage = Storage::create(s.info, folder / "x");
  std::vector<iovec> bytes;
  for (std::size_t i = 0; i < s.content.size(); ++i) bytes.push_back({const_cast<std::uint8_t*>(&s.content[i]), 1});
  REQUIRE(storage->write(0, bytes));
  CHECK(slurp(folder / "x.part") == s.file(0));
  std::string back(3000, '?');
  std::vector<iovec> into;
  for (char& c : back) into.push_back({&c, 1});
  REQUIRE(storage->read(0, into));
  CHECK(back == s.file(0));
}

TEST_CASE(
    "finish: empty files, lengths, modes, the final name, nothing of the .part left; then it reads from the target") {
  const Folder folder;
  const Sample s = make_sample(some_files(), 64 * 1024, true);
  const auto storage = Storage::create(s.info, folder / "top");
  REQUIRE(write_all(*storage, 0, s.content));
  REQUIRE(::truncate((folder / "top.part/z").c_str(), 250'000) == 0);  // an older client preallocated too much
  const auto path = storage->finish();
  REQUIRE(path);
  CHECK(*path == folder / "top");
  CHECK(tree_of(folder.path()) == std::vector<std::string>{"top/", "top/a.bin", "top/sub/", "top/sub/deep/",
                                                           "top/sub/deep/er/", "top/sub/deep/er/run.sh",
                                                           "top/sub/empty", "top/z"});
  for (std::size_t i : {0, 1, 2, 4}) CHECK(slurp(folder / ("top/" + safe_paths(*s.info)[i])) == s.file(i));
  struct stat st {};
  REQUIRE(::stat((folder / "top/sub/deep/er/run.sh").c_str(), &st) == 0);
  CHECK((st.st_mode & 0100) != 0);
  REQUIRE(::stat((folder / "top/z").c_str(), &st) == 0);
  CHECK((st.st_mode & 0111) == 0);
  CHECK(read_all(*storage, 0, s.content.size()) == std::string(as_text(s.content)));
  CHECK(storage->place() == Place::target);
  CHECK(storage->finish() == *path);
  CHECK(storage->check_space());
  CHECK(write_all(*storage, 0, ByteView(s.content).first(1)).error().code == "exists");
}

TEST_CASE("finish: a single file; one that is empty; a torrent of which nothing was written") {
  const Folder folder;
  const Sample s = single(5000);
  const auto storage = Storage::create(s.info, folder / "x");
  REQUIRE(write_all(*storage, 0, s.content));
  CHECK(storage->finish() == folder / "x");
  CHECK(slurp(folder / "x") == s.file(0));
  const Sample empty = make_sample({{.path = "e/1", .length = 0}, {.path = "e/2", .length = 0}}, 65536, true);
  CHECK(Storage::create(empty.info, folder / "empties")->finish());
  CHECK(fs::exists(folder / "empties/e/2"));
}

TEST_CASE("finish: many files take the way of one sync of the whole file system") {
  const Folder folder;
  std::vector<FileSpec> files;
  for (int i = 0; i < 100; ++i) files.push_back({.path = fmt::format("d{}/f{}", i % 7, i), .length = 100});
  const Sample s = make_sample(files, 16384, true);
  const auto storage = Storage::create(s.info, folder / "top", {.open_files_max = 4});
  const std::size_t before = open_descriptors();
  REQUIRE(write_all(*storage, 0, s.content));
  CHECK(open_descriptors() <= before + 4 + 3);  // the save folder, the top folder, and the one that was written to last
  REQUIRE(storage->sync());
  REQUIRE(storage->finish());
  CHECK(open_descriptors() <= before + 4 + 2);
  for (std::size_t i = 0; i < files.size(); ++i) CHECK(slurp(folder / ("top/" + files[i].path)) == s.file(i));
}

TEST_CASE("a name that is taken: told at the first write, and by finish; nothing of it is touched") {
  const Folder folder;
  const Sample s = single(5000);
  spew(folder / "x", "somebody's");
  const auto storage = Storage::create(s.info, folder / "x");
  CHECK(storage->place() == Place::target);
  const auto written = write_all(*storage, 0, s.content);
  REQUIRE_FALSE(written);
  CHECK(written.error().exit == Exit::disk);
  CHECK(written.error().code == "exists");
  CHECK(written.error().message == folder / "x" + " exists and is different");
  CHECK(storage->finish().error().code == "exists");
  CHECK(slurp(folder / "x") == "somebody's");

  // It came while the download ran.
  const auto late = Storage::create(s.info, folder / "y");
  REQUIRE(write_all(*late, 0, s.content));
  spew(folder / "y", "somebody's");
  CHECK(late->finish().error().code == "exists");
  CHECK(slurp(folder / "y") == "somebody's");
  CHECK(slurp(folder / "y.part") == s.file(0));
  // And stands beside a .part at the next start.
  CHECK(write_all(*Storage::create(s.info, folder / "y"), 0, s.content).error().code == "exists");
}

TEST_CASE("replace: a file goes; in a folder only files of the same name go") {
  const Folder folder;
  const Sample s = single(5000);
  spew(folder / "x", "old");
  const auto storage = Storage::create(s.info, folder / "x", {.replace = true});
  CHECK(storage->place() == Place::nothing);
  REQUIRE(write_all(*storage, 0, s.content));
  CHECK(slurp(folder / "x") == "old");
  CHECK(storage->finish() == folder / "x");
  CHECK(slurp(folder / "x") == s.file(0));

  const Sample t = make_sample(some_files(), 64 * 1024, true);
  fs::create_directories(folder / "top/sub");
  spew(folder / "top/a.bin", "old");
  spew(folder / "top/mine.txt", "mine");
  spew(folder / "top/sub/mine.txt", "mine");
  const auto over = Storage::create(t.info, folder / "top", {.replace = true});
  REQUIRE(write_all(*over, 0, t.content));
  REQUIRE(over->finish());
  CHECK(slurp(folder / "top/a.bin") == t.file(0));
  CHECK(slurp(folder / "top/sub/deep/er/run.sh") == t.file(2));
  CHECK(slurp(folder / "top/mine.txt") == "mine");
  CHECK(slurp(folder / "top/sub/mine.txt") == "mine");
  CHECK_FALSE(fs::exists(folder / "top.part"));
  CHECK(read_all(*over, 0, t.content.size()) == std::string(as_text(t.content)));

  // A folder where a file shall be, a file where a folder shall be: not replaced.
  fs::create_directories(folder / "dir/inside");
  const auto file_over_folder = Storage::create(s.info, folder / "dir", {.replace = true});
  REQUIRE(write_all(*file_over_folder, 0, s.content));
  CHECK(file_over_folder->finish().error().code == "exists");
  CHECK(fs::exists(folder / "dir/inside"));
  spew(folder / "plain", "mine");
  const auto folder_over_file = Storage::create(t.info, folder / "plain", {.replace = true});
  REQUIRE(write_all(*folder_over_file, 0, t.content));
  CHECK(folder_over_file->finish().error().code == "exists");
  CHECK(slurp(folder / "plain") == "mine");
}

TEST_CASE("a finished download is found again, and is done only when its files are exactly as long as they should be") {
  const Folder folder;
  const Sample s = single(5000);
  spew(folder / "x", s.file(0));
  CHECK(Storage::create(s.info, folder / "x")->finish() == folder / "x");
  spew(folder / "x", s.file(0) + "!");
  CHECK(Storage::create(s.info, folder / "x")->finish().error().code == "exists");
  spew(folder / "x", s.file(0).substr(1));
  const auto shorter = Storage::create(s.info, folder / "x");
  CHECK(shorter->finish().error().code == "exists");
  CHECK(read_all(*shorter, 0, 5000).error().code == "changed");
  fs::remove(folder / "x");
  fs::create_directory(folder / "x");
  CHECK(read_all(*Storage::create(s.info, folder / "x"), 0, 5000).error().code == "changed");
}

TEST_CASE("hostile torrents and planted links: nothing outside the save folder is written or read") {
  const Folder outer;
  const std::vector<std::string> canaries = {"canary", "passwd", "top", "save.txt"};
  for (const auto& name : canaries) spew(outer / name, "canary");
  fs::create_directory(outer / "elsewhere");
  spew(outer / "elsewhere/f", "canary");
  const auto unharmed = [&] {
    for (const auto& name : canaries) {
      if (slurp(outer / name) != "canary") return false;
    }
    return slurp(outer / "elsewhere/f") == "canary" && tree_of(outer / "elsewhere").size() == 1;
  };
  const auto siblings = tree_of(outer.path());

  SUBCASE("names that lead out") {
    fs::create_directory(outer / "save");
    Sample s = make_sample({{.path = "1", .length = 100}, {.path = "2", .length = 100}, {.path = "3", .length = 100}},
                           16384, true);
    s.info->files[0].path = {"..", "..", "canary"};
    s.info->files[1].path = {outer / "passwd"};
    s.info->files[2].path = {"..\\top", "/", "..", ""};
    const auto storage = Storage::create(s.info, outer / "save/top");
    REQUIRE(write_all(*storage, 0, s.content));
    REQUIRE(storage->finish());
    for (const auto& name : tree_of(outer / "save")) CHECK(name.starts_with("top/"));
  }
  SUBCASE("the .part is a link to a file") {
    fs::create_directory(outer / "save");
    fs::create_symlink("../canary", outer / "save/x.part");
    const Sample s = single(100);
    const auto storage = Storage::create(s.info, outer / "save/x");
    const auto written = write_all(*storage, 0, s.content);
    CHECK(written.error().code == "symlink");
    CHECK_FALSE(storage->finish());
    CHECK(read_all(*storage, 0, 6).error().code == "symlink");
    CHECK(storage->pieces_with_data().all());  // what cannot be told is to be hashed
  }
  SUBCASE("the .part folder is a link") {
    fs::create_directory(outer / "save");
    fs::create_symlink("../elsewhere", outer / "save/top.part");
    const Sample s = make_sample({{.path = "f", .length = 10}, {.path = "g", .length = 10}}, 16384, true);
    CHECK(write_all(*Storage::create(s.info, outer / "save/top"), 0, s.content).error().code == "symlink");
  }
  SUBCASE("a folder or a file below it is a link") {
    fs::create_directories(outer / "save/top.part");
    fs::create_symlink("../../elsewhere", outer / "save/top.part/d");
    fs::create_symlink("../../canary", outer / "save/top.part/e");
    const Sample s = make_sample(
        {{.path = "d/f", .length = 10}, {.path = "e", .length = 10}, {.path = "d/new/f", .length = 10}}, 16384, true);
    const auto storage = Storage::create(s.info, outer / "save/top");
    CHECK(write_all(*storage, 0, ByteView(s.content).first(10)).error().code == "symlink");
    CHECK(write_all(*storage, 10, ByteView(s.content).first(10)).error().code == "symlink");
    CHECK(write_all(*storage, 20, ByteView(s.content).first(10)).error().code == "symlink");
    CHECK_FALSE(storage->finish());
  }
  SUBCASE("the target is a link: it is replaced, not followed") {
    fs::create_directory(outer / "save");
    fs::create_symlink("../canary", outer / "save/x");
    const Sample s = single(100);
    CHECK(write_all(*Storage::create(s.info, outer / "save/x"), 0, s.content).error().code == "exists");
    const auto storage = Storage::create(s.info, outer / "save/x", {.replace = true});
    REQUIRE(write_all(*storage, 0, s.content));
    REQUIRE(storage->finish());
    CHECK(slurp(outer / "save/x") == s.file(0));
    CHECK_FALSE(fs::is_symlink(outer / "save/x"));
  }
  SUBCASE("a folder of the target is a link when files are moved into it") {
    fs::create_directories(outer / "save/top");
    fs::create_symlink("../../elsewhere", outer / "save/top/d");
    const Sample s = make_sample({{.path = "d/f", .length = 10}, {.path = "g", .length = 10}}, 16384, true);
    const auto storage = Storage::create(s.info, outer / "save/top", {.replace = true});
    REQUIRE(write_all(*storage, 0, s.content));
    CHECK_FALSE(storage->finish());
  }
  SUBCASE("the save folder itself may be reached through a link") {
    fs::create_directory(outer / "save");
    fs::create_symlink("save", outer / "link");
    const Sample s = single(100);
    const auto storage = Storage::create(s.info, outer / "link/x");
    REQUIRE(write_all(*storage, 0, s.content));
    REQUIRE(storage->finish());
    CHECK(slurp(outer / "save/x") == s.file(0));
    fs::remove(outer / "link");
  }
  CHECK(unharmed());
  fs::remove_all(outer / "save");
  CHECK(tree_of(outer.path()) == siblings);
}

TEST_CASE("canary: the check above notices a file that was written through a link") {
  const Folder outer;
  spew(outer / "canary", "canary");
  fs::create_directory(outer / "save");
  fs::create_symlink("../canary", outer / "save/x.part");
  spew(outer / "save/x.part", "harmed");
  CHECK(slurp(outer / "canary") != "canary");
}

TEST_CASE("a FIFO, a socket or a folder in the place of a file is an error and nothing waits for it") {
  const Folder folder;
  const Sample s = single(100);
  ::mkfifo((folder / "x.part").c_str(), 0600);
  const auto storage = Storage::create(s.info, folder / "x");
  CHECK(write_all(*storage, 0, s.content).error().code == "not_a_file");
  CHECK(read_all(*storage, 0, 10).error().code == "not_a_file");
  CHECK(storage->stamps()->at(0) == FileStamp{});
}

TEST_CASE("no save folder, no permission: named, exit 7") {
  const Folder folder;
  const Sample s = single(100);
  const auto nowhere = Storage::create(s.info, folder / "none/x");
  CHECK(write_all(*nowhere, 0, s.content).error().exit == Exit::disk);
  CHECK(nowhere->check_space().error().exit == Exit::disk);
  CHECK(nowhere->place() == Place::nothing);
  CHECK_FALSE(nowhere->finish());
  fs::create_directory(folder / "closed");
  spew(folder / "closed/y.part", s.file(0));
  fs::permissions(folder / "closed/y.part", static_cast<fs::perms>(0444));
  fs::permissions(folder / "closed", static_cast<fs::perms>(0555));
  fs::permissions(folder.path(), fs::perms::all);
  {
    const AsNobody nobody;
    const auto refused = write_all(*Storage::create(s.info, folder / "closed/x"), 0, s.content);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "permission");
    CHECK(refused.error().message.find("closed/x: Permission denied") != std::string::npos);
    const auto read_only = Storage::create(s.info, folder / "closed/y");
    CHECK(read_all(*read_only, 0, 100) == s.file(0));
    CHECK(read_all(*read_only, 0, 100) == s.file(0));
    CHECK(write_all(*read_only, 0, s.content).error().code == "permission");
  }
  fs::permissions(folder / "closed", fs::perms::owner_all);
}

TEST_CASE("offsets beyond 2 and 4 GiB: sparse, found again by their data") {
  const Folder folder;
  Sample s;
  s.info->name = "big";
  s.info->piece_bytes = 16u << 20;
  s.info->bytes_total = (5ull << 30) + 77;
  s.info->files = {{.path = {"big"}, .length = s.info->bytes_total, .pad = false, .executable = false}};
  s.info->pieces.resize(321);
  const auto storage = Storage::create(s.info, folder / "big");
  const std::string bytes = "across";
  for (const std::uint64_t at : {(2ull << 30) - 3, (4ull << 30) - 3, (5ull << 30) + 71}) {
    REQUIRE(write_all(*storage, at, as_bytes(bytes)));
    CHECK(read_all(*storage, at, 6) == bytes);
  }
  CHECK(fs::file_size(folder / "big.part") == s.info->bytes_total);
  const Bitfield data = storage->pieces_with_data();
  CHECK(data.count() == 5);
  for (const std::size_t p : {127, 128, 255, 256, 320}) CHECK(data[p]);
  CHECK(storage->stamps()->at(0).bytes == s.info->bytes_total);
}

TEST_CASE("check_space: says what is needed and what is free; what is allocated already counts") {
  const Folder folder;
  Sample s;
  s.info->name = "huge";
  s.info->piece_bytes = 16u << 20;
  s.info->bytes_total = 1ull << 50;
  s.info->files = {{.path = {"huge"}, .length = s.info->bytes_total, .pad = false, .executable = false}};
  s.info->pieces.resize(std::size_t{1} << 26);
  const auto storage = Storage::create(s.info, folder / "huge");
  const auto space = storage->check_space();
  REQUIRE_FALSE(space);
  CHECK(space.error().exit == Exit::disk);
  CHECK(space.error().code == "disk_full");
  CHECK(space.error().message.starts_with("needs 1.0 PiB, /"));
  CHECK(space.error().message.ends_with(" free"));
  const Sample small = single(1 << 20);
  CHECK(Storage::create(small.info, folder / "small")->check_space());
}

TEST_CASE("too many open files in the process: others are closed first, and else it is said") {
  const Folder folder;
  std::vector<FileSpec> files;
  for (int i = 0; i < 20; ++i) files.push_back({.path = std::to_string(i), .length = 10});
  const Sample s = make_sample(files, 16384, true);
  const auto storage = Storage::create(s.info, folder / "top");
  REQUIRE(write_all(*storage, 0, ByteView(s.content).first(100)));  // ten are held
  std::vector<Descriptor> eaten;
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = open_descriptors() + 20;
  ::setrlimit(RLIMIT_NOFILE, &low);
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) eaten.emplace_back(fd);
  CHECK(errno == EMFILE);
  const auto rest = write_all(*storage, 100, ByteView(s.content).subspan(100));
  const auto fresh = write_all(*Storage::create(s.info, folder / "more"), 0, s.content);
  eaten.clear();
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(rest);
  REQUIRE_FALSE(fresh);
  CHECK(fresh.error().code == "too_many_files");
  CHECK(read_all(*storage, 0, s.content.size()) == std::string(as_text(s.content)));
}

TEST_CASE("writeback begins with every 16 MiB written to one file, and takes the place of no sync") {
  const Folder folder;
  constexpr std::uint64_t mib = 1 << 20;
  const Sample s = make_sample({{.path = "big", .length = 40 * mib}, {.path = "small", .length = 15 * mib}}, mib, true);
  const auto storage = Storage::create(s.info, folder / "x",
                                       {.begin_writeback = counting_writeback, .fdatasync = sometimes_failing_sync});
  Buffer bytes(mib);
  const iovec from{bytes.data(), bytes.size()};
  std::vector<int> begun;
  writebacks = 0;
  const auto write = [&](std::uint64_t at) {
    REQUIRE(storage->write(at * mib, {&from, 1}));
    begun.push_back(writebacks);
  };
  for (std::uint64_t i = 0; i < 15; ++i) write(40 + i);
  for (std::uint64_t i = 40; i-- > 0;) write(i);  // in any order
  for (std::size_t i = 0; i < begun.size(); ++i) {
    CAPTURE(i);
    CHECK(begun[i] == (i < 15 + 15 ? 0 : i < 15 + 31 ? 1 : 2));
  }
  fail_syncs = true;
  CHECK_FALSE(storage->sync());
  fail_syncs = false;
}

TEST_CASE("sync: an error is final, whatever comes later; an interrupted one is tried again") {
  const Folder folder;
  const Sample s = single(5000);
  fail_syncs = false;
  const auto storage = Storage::create(s.info, folder / "x", {.fdatasync = sometimes_failing_sync});
  REQUIRE(write_all(*storage, 0, ByteView(s.content).first(1000)));
  CHECK(storage->sync());
  CHECK(storage->sync());  // nothing to do
  REQUIRE(write_all(*storage, 1000, ByteView(s.content).subspan(1000)));
  fail_syncs = true;
  const auto first = storage->sync();
  REQUIRE_FALSE(first);
  CHECK(first.error().exit == Exit::disk);
  fail_syncs = false;
  CHECK_FALSE(storage->sync());
  CHECK_FALSE(storage->finish());
  REQUIRE(write_all(*storage, 0, s.content));
  CHECK_FALSE(storage->sync());
  CHECK(fs::exists(folder / "x.part"));
  CHECK_FALSE(fs::exists(folder / "x"));

  syncs_interrupted = 0;
  const auto patient = Storage::create(s.info, folder / "y", {.fdatasync = interrupted_sync});
  REQUIRE(write_all(*patient, 0, s.content));
  CHECK(patient->sync());
  CHECK(syncs_interrupted == 2);

  const auto never = Storage::create(s.info, folder / "z", {.fdatasync = failing_sync});
  REQUIRE(write_all(*never, 0, s.content));
  CHECK_FALSE(never->finish());
  CHECK_FALSE(never->sync());
  CHECK_FALSE(fs::exists(folder / "z"));

  const auto full = Storage::create(s.info, folder / "w", {.fdatasync = full_sync});
  REQUIRE(write_all(*full, 0, s.content));
  CHECK(full->sync().error().code == "disk_full");
}

TEST_CASE("sync: a file that is gone cannot be synced") {
  const Folder folder;
  std::vector<FileSpec> files;
  for (int i = 0; i < 3; ++i) files.push_back({.path = std::to_string(i), .length = 10});
  const Sample s = make_sample(files, 16384, true);
  const auto storage = Storage::create(s.info, folder / "top", {.open_files_max = 1});
  REQUIRE(write_all(*storage, 0, s.content));
  fs::remove(folder / "top.part/0");
  CHECK_FALSE(storage->sync());
}

TEST_CASE("finish: a file that was removed or replaced during the download does not get the name") {
  const Folder folder;
  const Sample s = single(5000);
  const auto storage = Storage::create(s.info, folder / "x");
  REQUIRE(write_all(*storage, 0, s.content));
  SUBCASE("removed") { fs::remove(folder / "x.part"); }
  SUBCASE("replaced") {
    spew(folder / "other", "other");
    fs::rename(folder / "other", folder / "x.part");
  }
  SUBCASE("replaced by a link") {
    spew(folder / "other", "other");
    fs::remove(folder / "x.part");
    fs::create_symlink("other", folder / "x.part");
  }
  const auto path = storage->finish();
  REQUIRE_FALSE(path);
  CHECK(path.error().exit == Exit::integrity);
  CHECK(path.error().code == "changed");
  CHECK_FALSE(fs::exists(folder / "x"));

  const Sample t = make_sample({{.path = "a", .length = 10}, {.path = "b", .length = 10}}, 16384, true);
  const auto small = Storage::create(t.info, folder / "top", {.open_files_max = 1});
  REQUIRE(write_all(*small, 0, t.content));
  fs::remove(folder / "top.part/a");  // not held open any more
  CHECK(small->finish().error().code == "changed");
  CHECK_FALSE(fs::exists(folder / "top"));
}

TEST_CASE("a seed's file that grows, shrinks, is replaced by something else or goes: changed, exit 6; stamps show it") {
  const Folder folder;
  const Sample s = single(100'000);
  const auto seed = [&] { return Storage::create(s.info, folder / "x", {.writable = false}); };
  spew(folder / "x", s.file(0));
  const auto storage = seed();
  CHECK(read_all(*storage, 50'000, 1000) == s.file(0).substr(50'000, 1000));
  CHECK(storage->finish() == folder / "x");
  const auto stamp = storage->stamps()->at(0);
  CHECK(stamp.bytes == 100'000);

  SUBCASE("grows") { std::ofstream(folder / "x", std::ios::app) << "more"; }
  SUBCASE("shrinks") { REQUIRE(::truncate((folder / "x").c_str(), 60'000) == 0); }
  SUBCASE("goes") { fs::remove(folder / "x"); }
  SUBCASE("becomes a folder") {
    fs::remove(folder / "x");
    fs::create_directory(folder / "x");
  }
  const auto now = storage->stamps();
  REQUIRE(now);
  CHECK(now->at(0) != stamp);
  const auto again = read_all(*seed(), 50'000, 1000);
  REQUIRE_FALSE(again);
  CHECK(again.error().exit == Exit::integrity);
  CHECK(again.error().code == "changed");
  CHECK(again.error().message == folder / "x" + " changed on disk since hashing; stopped sharing it");
  CHECK_FALSE(seed()->finish());
}

TEST_CASE("a seed's open file that shrinks gives an error, never a signal") {
  const Folder folder;
  const Sample s = single(100'000);
  spew(folder / "x", s.file(0));
  const auto storage = Storage::create(s.info, folder / "x", {.writable = false});
  CHECK(read_all(*storage, 0, 100'000));
  REQUIRE(::truncate((folder / "x").c_str(), 60'000) == 0);
  CHECK(read_all(*storage, 50'000, 1000));
  CHECK(read_all(*storage, 59'999, 2).error().code == "changed");
}

TEST_CASE(
    "a seed's files have the names that they have, be they safe or not, or the safe ones; the path may be a link") {
  const Folder folder;
  const std::vector<FileSpec> files = {{.path = "caf\xe9\r", .length = 1000},
                                       {.path = "A", .length = 10},
                                       {.path = "a", .length = 10},
                                       {.path = "..b/c\\d", .length = 20}};
  const Sample s = make_sample(files, 16384, true);
  fs::create_directories(folder / "real/..b");
  for (std::size_t i = 0; i < files.size(); ++i) spew(folder / ("real/" + files[i].path), s.file(i));
  fs::create_symlink("real", folder / "link");
  for (const char* path : {"real", "link", "link/"}) {
    CHECK(read_all(*Storage::create(s.info, folder / path, {.writable = false}), 0, s.content.size()) ==
          std::string(as_text(s.content)));
  }
  // The same torrent, downloaded by us: safe names.
  const auto down = Storage::create(s.info, folder / "down");
  REQUIRE(write_all(*down, 0, s.content));
  REQUIRE(down->finish());
  CHECK(fs::exists(folder / "down/caf__"));
  CHECK(read_all(*Storage::create(s.info, folder / "down", {.writable = false}), 0, s.content.size()) ==
        std::string(as_text(s.content)));
  // Names that lead out are never tried as they are.
  Sample hostile = make_sample({{.path = "x", .length = 4}, {.path = "y", .length = 4}}, 16384, true);
  hostile.info->files[0].path = {"..", "secret"};
  spew(folder / "secret", "1234");
  CHECK(read_all(*Storage::create(hostile.info, folder / "real", {.writable = false}), 0, 4).error().code == "changed");
  // Links inside a seeded folder are not followed either.
  fs::create_symlink("../secret", folder / "real/y");
  CHECK(read_all(*Storage::create(hostile.info, folder / "real", {.writable = false}), 4, 4).error().code == "changed");
}

TEST_CASE("four threads write and read different ranges while another syncs") {
  const Folder folder;
  std::vector<FileSpec> files;
  for (int i = 0; i < 32; ++i) files.push_back({.path = fmt::format("f{}", i), .length = 40'000});
  const Sample s = make_sample(files, 16384, true);
  const auto storage = Storage::create(s.info, folder / "top", {.open_files_max = 3});
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::size_t quarter = s.content.size() / 4;
      for (std::size_t at = t * quarter; at < (t + 1) * quarter; at += 1000) {
        const std::size_t length = std::min<std::size_t>(1000, (t + 1) * quarter - at);
        if (!write_all(*storage, at, ByteView(s.content).subspan(at, length))) ++failures;
        if (read_all(*storage, at, length) != std::string(as_text(s.content).substr(at, length))) ++failures;
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 20; ++i) {
      if (!storage->sync()) ++failures;
    }
  });
  for (auto& thread : threads) thread.join();
  CHECK(failures == 0);
  REQUIRE(storage->finish());
  CHECK(read_all(*storage, 0, s.content.size()) == std::string(as_text(s.content)));
}

TEST_CASE("a name of 255 bytes can be downloaded") {
  const Folder folder;
  const Sample s = single(100);
  const std::string target = folder / (std::string(251, 'n') + ".iso");
  const auto storage = Storage::create(s.info, target);
  REQUIRE(write_all(*storage, 0, s.content));
  CHECK(storage->finish() == target);
  CHECK(slurp(target) == s.file(0));
}
