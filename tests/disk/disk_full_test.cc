// Disks without room: a small tmpfs in a mount namespace of its own where the tests may make one, and limits elsewhere.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <csignal>
#include <set>
#include <string>
#include <thread>

#include "disk/checkpoint.hh"
#include "disk/folder.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

/// Runs f(path) with a tmpfs of this size and so many inodes at a path that only f sees. False when that is not allowed
/// here.
template <class F>
bool on_small_disk(const std::string& options, F f) {
  const Folder folder;
  bool mounted = false;
  std::thread([&] {  // a thread has mounts of its own after this; they go with it
    mounted = ::unshare(CLONE_FS | CLONE_NEWNS) == 0 &&
              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              ::mount("small", folder.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
    if (mounted) f(folder.path());
  })
      .join();
  if (!mounted) MESSAGE("not allowed to mount a tmpfs here; the limits below test the same errors");
  return mounted;
}

/// Files of this process may not grow beyond so many bytes while this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit low{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &low);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("a disk that fills up: exit 7, nothing lost, and the same download ends when there is room again") {
  on_small_disk("size=512k", [](const std::string& disk) {
    const Sample s = single(1 << 20, 64 * 1024);
    Checkpoint c{.info_hash = s.info->info_hash,
                 .name = "x",
                 .bytes_total = s.info->bytes_total,
                 .piece_bytes = s.info->piece_bytes,
                 .boot_id = this_boot_id(),
                 .stamps = {},
                 .verified = Bitfield(16),
                 .durable = Bitfield(16),
                 .trackers = {}};
    const std::string progress = checkpoint_path(disk + "/x");
    {
      const auto storage = Storage::create(s.info, disk + "/x");
      const auto space = storage->check_space();
      REQUIRE_FALSE(space);
      CHECK(space.error().message == "needs 1.0 MiB, " + disk + " has 512.0 KiB free");
      CHECK(space.error().exit == Exit::disk);

      PieceQueue queue(storage, s.info);
      REQUIRE(write_checkpoint(progress, c));
      bool full = false;
      for (std::uint32_t p = 0; p < 16; ++p) {
        add_piece(queue, p, s.piece(p));
        for (const auto& result : run_all(queue)) {
          if (result) {
            REQUIRE(result->outcome == PieceResult::Outcome::right);
            c.verified.set(result->piece);
            continue;
          }
          full = true;
          CHECK(result.error().exit == Exit::disk);
          CHECK(result.error().code == "disk_full");
          CHECK(result.error().message.starts_with("needs "));
          CHECK(result.error().message.find(disk + " has 0 B free") != std::string::npos);
          CHECK(result.error().hint == "nothing lost, the same command resumes");
        }
      }
      CHECK(full);
      CHECK(c.verified.count() >= 6);
      const auto written = write_checkpoint(progress, c);  // no room for this either: the old one stays
      REQUIRE_FALSE(written);
      CHECK(written.error().code == "disk_full");
      CHECK(read_checkpoint(progress)->verified.none());
      CHECK_FALSE(fs::exists(progress + ".tmp"));
      CHECK(storage->sync());
      CHECK(queue.idle());
    }
    REQUIRE(::mount("small", disk.c_str(), "tmpfs", MS_REMOUNT, "size=4m") == 0);
    const auto storage = Storage::create(s.info, disk + "/x");
    CHECK(storage->check_space());
    PieceQueue queue(storage, s.info);
    Bitfield have(16);
    for (const PieceIndex p : find_progress(*storage, *s.info).unchecked) queue.check(p);
    for (const auto& result : run_all(queue)) {
      if (result->outcome == PieceResult::Outcome::right) have.set(result->piece);
    }
    CHECK(have == c.verified);  // every piece that was right is still there
    for (std::uint32_t p = 0; p < 16; ++p) {
      if (!have[std::size_t{p}]) add_piece(queue, p, s.piece(p));
    }
    for (const auto& result : run_all(queue)) CHECK(result->outcome == PieceResult::Outcome::right);
    CHECK(storage->finish() == disk + "/x");
    CHECK(slurp(disk + "/x") == s.file(0));
  });
}

TEST_CASE("room for 0 to 40 more pages: whatever fails says disk_full, and what was there stays") {
  for (int pages = 1; pages <= 40; pages += 3) {
    on_small_disk("size=" + std::to_string(pages * 4) + "k", [&](const std::string& disk) {
      const Sample s = make_sample(
          {{.path = "a", .length = 20'000}, {.path = "d/b", .length = 50'000}, {.path = "d/c", .length = 1}}, 16384,
          true);
      const auto storage = Storage::create(s.info, disk + "/top");
      PieceQueue queue(storage, s.info);
      std::set<std::uint32_t> right;
      for (std::uint32_t p = 0; p < s.info->piece_count(); ++p) {
        add_piece(queue, p, s.piece(p));
        for (const auto& result : run_all(queue)) {
          if (!result) {
            CHECK(result.error().code == "disk_full");
          } else if (result->outcome == PieceResult::Outcome::right) {
            right.insert(number(result->piece));
          }
        }
      }
      for (const std::uint32_t p : right) {
        CHECK(read_all(*storage, std::uint64_t{p} * 16384, s.piece(p).size()) == std::string(as_text(s.piece(p))));
      }
      if (right.size() == s.info->piece_count()) {
        CHECK(storage->finish());
      } else {
        CHECK_FALSE(fs::exists(disk + "/top"));
      }
    });
  }
}

TEST_CASE("no inode for another file or folder: disk_full") {
  on_small_disk("size=1m,nr_inodes=4", [](const std::string& disk) {  // the root, the top folder, two more
    const Sample s = make_sample(
        {{.path = "1", .length = 10}, {.path = "2", .length = 10}, {.path = "d/3", .length = 10}}, 16384, true);
    const auto storage = Storage::create(s.info, disk + "/top");
    CHECK(write_all(*storage, 0, ByteView(s.content).first(20)));
    const auto third = write_all(*storage, 20, ByteView(s.content).subspan(20));
    REQUIRE_FALSE(third);
    CHECK(third.error().code == "disk_full");
    CHECK(third.error().message.find("no room on") != std::string::npos);  // bytes there are
    CHECK(write_checkpoint(disk + "/progress", {}).error().code == "disk_full");
  });
}

TEST_CASE("a file that may not grow: told as such, what was written stays") {
  const Folder folder;
  const Sample s = single(200'000, 64 * 1024);
  const auto storage = Storage::create(s.info, folder / "x");
  {
    const FileSizeLimit limit(100'000);
    CHECK(write_all(*storage, 0, ByteView(s.content).first(64 * 1024)));
    const auto over = write_all(*storage, 64 * 1024, ByteView(s.content).subspan(64 * 1024));
    REQUIRE_FALSE(over);
    CHECK(over.error().exit == Exit::disk);
    CHECK(over.error().code == "file_too_big");
    CHECK_FALSE(storage->finish());
  }
  CHECK(read_all(*storage, 0, 100'000) == s.file(0).substr(0, 100'000));
  REQUIRE(write_all(*storage, 64 * 1024, ByteView(s.content).subspan(64 * 1024)));
  CHECK(storage->finish());
  CHECK(slurp(folder / "x") == s.file(0));
}
