#include "disk/sources.hh"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "disk/checkpoint.hh"
#include "disk/descriptor.hh"
#include "disk/folder.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

std::vector<std::string> paths_of(const Source& source) {
  std::vector<std::string> out;
  for (const auto& file : source.files) {
    std::string path;
    for (const auto& element : file.path) path += (path.empty() ? "" : "/") + element;
    out.push_back(path);
  }
  return out;
}

/// A folder with these files, their contents random.
Sample planted(const Folder& folder, const std::vector<FileSpec>& files, std::uint32_t piece_bytes) {
  const Sample s = make_sample(files, piece_bytes, true);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const fs::path path = folder / ("top/" + files[i].path);
    fs::create_directories(path.parent_path());
    spew(path, s.file(i));
  }
  return s;
}

Result<void> hash_with(Hasher& hasher, std::size_t workers) {
  const std::atomic<bool> cancel = false;
  std::vector<Result<void>> results(workers);
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = hasher.work(cancel); });
  for (auto& thread : threads) thread.join();
  for (auto& result : results) {
    if (!result) return result;
  }
  return {};
}

Bitfield verify(const std::shared_ptr<Storage>& storage, const Sample& s) {
  Verifier verifier(storage, s.info);
  const std::atomic<bool> cancel = false;
  std::thread other([&] { CHECK(verifier.work(cancel)); });
  CHECK(verifier.work(cancel));
  other.join();
  REQUIRE(verifier.complete());
  CHECK(verifier.bytes_done() == s.info->bytes_total);
  return verifier.right();
}

std::vector<std::size_t> wrong_ones(const Bitfield& right) {
  std::vector<std::size_t> out;
  for (std::size_t i = right.find(false); i < right.size(); i = right.find(false, i + 1)) out.push_back(i);
  return out;
}

}  // namespace

TEST_CASE("scan: by path bytes, any names, executable; links, sockets and FIFOs left out") {
  const Folder folder;
  fs::create_directories(folder / "top/b/c");
  fs::create_directories(folder / "top/empty folder");
  for (const char* name : {"b/c/2", "b/c/1", "b-", "b0", "a", "caf\xe9", "b/z\n"})
    spew(folder / ("top/" + std::string(name)), name);
  spew(folder / "top/empty", "");
  fs::permissions(folder / "top/a", fs::perms::owner_all);
  fs::create_symlink("a", folder / "top/link");
  fs::create_symlink("b", folder / "top/link-to-folder");
  ::mkfifo((folder / "top/fifo").c_str(), 0600);
  for (const std::string& path : {folder / "top", folder / "top/", folder / "top/b/.."}) {
    const auto source = scan(path);
    REQUIRE(source);
    CHECK(source->name == "top");
    CHECK(source->absolute == fs::canonical(folder / "top").string());
    CHECK(source->path == path);
    CHECK(source->folder);
    CHECK(paths_of(*source) ==
          std::vector<std::string>{"a", "b-", "b/c/1", "b/c/2", "b/z\n", "b0", "caf\xe9", "empty"});
    CHECK(source->bytes_total == 1 + 2 + 5 + 5 + 4 + 2 + 4);
    CHECK(source->files[0].executable);
    CHECK_FALSE(source->files[1].executable);
    REQUIRE(source->stamps.size() == 8);
    CHECK(source->stamps[0].bytes == 1);
    CHECK(source->stamps[0].inode != 0);
  }
}

TEST_CASE("scan: one file, also through a link, whose name is the person's") {
  const Folder folder;
  spew(folder / "real.iso", "content");
  fs::create_symlink("real.iso", folder / "latest.iso");
  const auto source = scan(folder / "latest.iso");
  REQUIRE(source);
  CHECK_FALSE(source->folder);
  CHECK(source->name == "latest.iso");
  CHECK(source->absolute == fs::canonical(folder / "real.iso").string());
  CHECK(paths_of(*source) == std::vector<std::string>{"latest.iso"});
  CHECK(source->bytes_total == 7);
}

TEST_CASE("scan: missing 3, unreadable 7, empty 2, each named") {
  const Folder folder;
  const auto error = [](const std::string& path) {
    const auto source = scan(path);
    REQUIRE_FALSE(source);
    return source.error();
  };
  CHECK(error(folder / "none").exit == Exit::not_found);
  CHECK(error(folder / "none").message == folder / "none" + " does not exist");
  spew(folder / "empty", "");
  CHECK(error(folder / "empty/x").exit == Exit::not_found);
  CHECK(error(folder / "empty").exit == Exit::usage);
  CHECK(error(folder / "empty").message == folder / "empty" + " is empty");
  fs::create_directories(folder / "d/e");
  CHECK(error(folder / "d").exit == Exit::usage);
  spew(folder / "d/e/nothing", "");
  CHECK(error(folder / "d").exit == Exit::usage);
  ::mkfifo((folder / "fifo").c_str(), 0600);
  CHECK(error(folder / "fifo").exit == Exit::usage);

  spew(folder / "file", "secret");
  spew(folder / "d/e/file", "secret");
  fs::permissions(folder.path(), fs::perms::all);
  fs::permissions(folder / "file", fs::perms::none);
  const auto unreadable = [&](const std::string& path, const std::string& named) {
    const bool root = ::geteuid() == 0;
    if (root) REQUIRE(::seteuid(65534) == 0);
    const auto source = scan(path);
    if (root) REQUIRE(::seteuid(0) == 0);
    REQUIRE_FALSE(source);
    CHECK(source.error().exit == Exit::disk);
    CHECK(source.error().message == "cannot read " + named + ": Permission denied");
  };
  unreadable(folder / "file", folder / "file");
  fs::permissions(folder / "d/e/file", fs::perms::none);
  unreadable(folder / "d", folder / "d/e/file");
  fs::permissions(folder / "d/e", fs::perms::none);
  unreadable(folder / "d", folder / "d/e");
  unreadable(folder / "d/e/file", folder / "d/e/file");
  fs::permissions(folder / "d", fs::perms::none);
  unreadable(folder / "d", folder / "d");
  fs::permissions(folder / "d", fs::perms::owner_all);
  fs::permissions(folder / "d/e", fs::perms::owner_all);
}

TEST_CASE("scan: a tree deeper than PATH_MAX, then hashed") {
  const Folder folder;
  fs::create_directory(folder / "top");
  {
    int at = ::open((folder / "top").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const std::string element(100, 'd');
    for (int i = 0; i < 100; ++i) {
      REQUIRE(::mkdirat(at, element.c_str(), 0755) == 0);
      const int next = ::openat(at, element.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
      ::close(at);
      at = next;
    }
    const int file = ::openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK(::write(file, "deep down", 9) == 9);
    ::close(file);
    ::close(at);
  }
  auto source = scan(folder / "top");
  REQUIRE(source);
  CHECK(source->files.at(0).path.size() == 101);
  Hasher hasher(*source, 16384);
  REQUIRE(hash_with(hasher, 1));
  CHECK(hasher.pieces().at(0) == sha1(as_bytes("deep down")));
}

TEST_CASE("hasher: pieces that span files, by one and by three workers, small and large pieces") {
  const std::vector<FileSpec> files = {{.path = "a", .length = 1},
                                       {.path = "b/c", .length = 100'000},
                                       {.path = "b/d", .length = 0},
                                       {.path = "e", .length = 3'000'000},
                                       {.path = "f/\xff", .length = 7'777}};
  for (const std::uint32_t piece_bytes : {16384u, 60'000u, 100'000u, 300'000u, 1u << 20, 4u << 20, 5u << 20}) {
    const Folder folder;
    const Sample s = planted(folder, files, piece_bytes);
    for (const std::size_t workers : {1, 3}) {
      Hasher hasher(*scan(folder / "top"), piece_bytes);
      CHECK_FALSE(hasher.complete());
      REQUIRE(hash_with(hasher, workers));
      CHECK(hasher.complete());
      CHECK(hasher.bytes_done() == s.info->bytes_total);
      CHECK(hasher.pieces() == s.info->pieces);
      CHECK(hasher.source().bytes_total == s.info->bytes_total);
    }
  }
}

TEST_CASE("hasher: holes are not read, their digests are right all the same") {
  const Folder folder;
  spew(folder / "sparse", "start");
  REQUIRE(::truncate((folder / "sparse").c_str(), (6ll << 30) + 100) == 0);
  const Descriptor fd(::open((folder / "sparse").c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(::pwrite(fd.get(), "end", 3, (5ll << 30)) == 3);
  Hasher hasher(*scan(folder / "sparse"), 1 << 20);
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(hash_with(hasher, 1));
  const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MESSAGE("6 GiB of holes: " << s << " s");
  Buffer piece(1 << 20);
  CHECK(hasher.pieces()[1] == sha1(piece));
  CHECK(hasher.pieces()[6 << 10] == sha1(ByteView(piece).first(100)));
  std::copy_n("start", 5, piece.begin());
  CHECK(hasher.pieces()[0] == sha1(piece));
  std::fill_n(piece.begin(), 5, std::uint8_t{0});
  std::copy_n("end", 3, piece.begin());
  CHECK(hasher.pieces()[5 << 10] == sha1(piece));
  CHECK(s < 3);
}

TEST_CASE("hasher: one file that is one hole") {
  const Folder folder;
  spew(folder / "zeros", "");
  REQUIRE(::truncate((folder / "zeros").c_str(), 1000) == 0);
  Hasher hasher(*scan(folder / "zeros"), 1 << 20);
  REQUIRE(hash_with(hasher, 2));
  CHECK(hasher.pieces() == std::vector<Sha1Digest>{sha1(Buffer(1000))});
}

TEST_CASE("hasher: a file that is not what scan() saw any more is named, whatever happened to it") {
  const std::vector<FileSpec> files = {{.path = "a", .length = 100'000}, {.path = "d/b", .length = 200'000}};
  using Change = std::function<void(const std::string&)>;
  const std::vector<Change> changes = {
      [](const std::string& p) { std::ofstream(p, std::ios::app) << "!"; },
      [](const std::string& p) { REQUIRE(::truncate(p.c_str(), 5) == 0); },
      [](const std::string& p) { fs::remove(p); },
      [](const std::string& p) {
        const Descriptor fd(::open(p.c_str(), O_WRONLY | O_CLOEXEC));
        REQUIRE(::pwrite(fd.get(), "!", 1, 77) == 1);
      },
      [](const std::string& p) {
        fs::copy_file(p, p + "2");
        fs::rename(p + "2", p);
      },
  };
  for (const Change& change : changes) {
    const Folder folder;
    planted(folder, files, 65536);
    Hasher hasher(*scan(folder / "top"), 65536);
    change(folder / "top/d/b");
    const auto result = hash_with(hasher, 2);
    REQUIRE_FALSE(result);
    CHECK(result.error().exit == Exit::integrity);
    CHECK(result.error().code == "changed");
    CHECK(result.error().message == folder / "top/d/b" + " changed on disk while hashing");
    CHECK_FALSE(hasher.complete());
  }
}

TEST_CASE("hasher: a write within the same tick as the one before scan() is noticed") {
  for (int round = 0; round < 10; ++round) {
    const Folder folder;
    spew(folder / "f", "first");
    Hasher hasher(*scan(folder / "f"), 16384);
    const Descriptor fd(::open((folder / "f").c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(::pwrite(fd.get(), "F", 1, 0) == 1);
    REQUIRE_FALSE(hash_with(hasher, 1));
  }
}

TEST_CASE("hasher: cancelled at once, and not complete") {
  const Folder folder;
  spew(folder / "f", std::string(1 << 20, 'x'));
  Hasher hasher(*scan(folder / "f"), 16384);
  const std::atomic<bool> cancel = true;
  CHECK(hasher.work(cancel));
  CHECK_FALSE(hasher.complete());
  CHECK(hasher.bytes_done() == 0);
}

TEST_CASE("what was hashed is what the cache gives back; a change misses it") {
  const Folder folder;
  planted(folder, {{.path = "a", .length = 100'000}, {.path = "b", .length = 50'000}}, 65536);
  const auto source = scan(folder / "top");
  Hasher hasher(*source, 65536);
  REQUIRE(hash_with(hasher, 1));
  const auto key = [](const Source& s) { return SeedCacheKey{s.absolute, 65536, s.stamps}; };
  REQUIRE(write_seed_cache(folder / "cache", key(*source), hasher.pieces()));
  CHECK(read_seed_cache(folder / "cache", key(*scan(folder / "top"))) == hasher.pieces());
  const Descriptor fd(::open((folder / "top/a").c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(::pwrite(fd.get(), "!", 1, 0) == 1);
  CHECK_FALSE(read_seed_cache(folder / "cache", key(*scan(folder / "top"))));
}

namespace {

void find_what_is_wrong(std::uint32_t piece_bytes) {
  const std::vector<FileSpec> files = {{.path = "a", .length = std::uint64_t{3} * piece_bytes},
                                       {.path = "b", .length = std::uint64_t{2} * piece_bytes + 5},
                                       {.path = "c", .length = piece_bytes}};
  const Folder folder;
  const Sample s = planted(folder, files, piece_bytes);
  const auto standing = [&] { return Storage::create(s.info, folder / "top"); };
  const auto seed = [&] { return Storage::create(s.info, folder / "top", {.writable = false}); };
  CHECK(verify(standing(), s).all());
  CHECK(verify(seed(), s).all());

  SUBCASE("a flipped byte") {
    std::string bytes = s.file(1);
    bytes[piece_bytes] ^= 1;
    spew(folder / "top/b", bytes);
    CHECK(wrong_ones(verify(standing(), s)) == std::vector<std::size_t>{4});
    CHECK(wrong_ones(verify(seed(), s)) == std::vector<std::size_t>{4});
  }
  SUBCASE("a byte too many") {
    std::ofstream(folder / "top/b", std::ios::app) << "!";
    CHECK(wrong_ones(verify(standing(), s)) == std::vector<std::size_t>{5});
    CHECK(wrong_ones(verify(seed(), s)) == std::vector<std::size_t>{3, 4, 5});
  }
  SUBCASE("cut") {
    REQUIRE(::truncate((folder / "top/b").c_str(), piece_bytes) == 0);
    CHECK(wrong_ones(verify(standing(), s)) == std::vector<std::size_t>{4, 5});
  }
  SUBCASE("gone") {
    fs::remove(folder / "top/b");
    CHECK(wrong_ones(verify(standing(), s)) == std::vector<std::size_t>{3, 4, 5});
    CHECK(wrong_ones(verify(seed(), s)) == std::vector<std::size_t>{3, 4, 5});
  }
}

}  // namespace

TEST_CASE("verifier: right, damaged, missing, short and long files") { find_what_is_wrong(65536); }
TEST_CASE("verifier: the same with pieces that are read in parts, two at a time") { find_what_is_wrong(200'000); }

TEST_CASE("verifier: zeros that are missing are wrong, also where a hole would hash right") {
  const Folder folder;
  Sample s = single(8 * 65536);
  std::fill(s.content.begin() + 65536, s.content.end(), std::uint8_t{0});
  s.hash();
  spew(folder / "file", s.file(0).substr(0, 65536));
  REQUIRE(::truncate((folder / "file").c_str(), 4 * 65536) == 0);
  CHECK(wrong_ones(verify(Storage::create(s.info, folder / "file"), s)) == std::vector<std::size_t>{4, 5, 6, 7});
  REQUIRE(::truncate((folder / "file").c_str(), 8 * 65536) == 0);
  CHECK(verify(Storage::create(s.info, folder / "file"), s).all());
  CHECK(verify(Storage::create(s.info, folder / "file", {.writable = false}), s).all());
  CHECK(verify(Storage::create(s.info, folder / "nothing"), s).none());
}

TEST_CASE("verifier: a folder in the place of a file, and an error that is the disk's") {
  const Folder folder;
  const Sample s = single(65536);
  fs::create_directory(folder / "x");
  CHECK(verify(Storage::create(s.info, folder / "x"), s).none());
  fs::create_directory(folder / "y.part");
  Verifier verifier(Storage::create(s.info, folder / "y"), s.info);
  const std::atomic<bool> cancel = false;
  CHECK(verifier.work(cancel).error().exit == Exit::disk);
}

TEST_CASE("speed of hashing" * doctest::skip(std::getenv("SWARM_SPEED") == nullptr)) {
  const Folder folder;
  spew(folder / "big", std::string(512u << 20, 'x'));
  for (const std::size_t workers : {1, 2}) {
    Hasher hasher(*scan(folder / "big"), 1 << 20);
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(hash_with(hasher, workers));
    const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    MESSAGE("Hasher, " << workers << " workers: " << static_cast<int>(512.0 * 1.048576 / s) << " MB/s");
  }
}
