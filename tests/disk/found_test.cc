#include <doctest/doctest.h>

#include <cerrno>
#include <set>

#include "disk/checkpoint.hh"
#include "disk/descriptor.hh"
#include "disk/folder.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

std::vector<std::uint32_t> numbers(const std::vector<PieceIndex>& pieces) {
  std::vector<std::uint32_t> out;
  for (const PieceIndex p : pieces) out.push_back(number(p));
  return out;
}

Bitfield bits(std::size_t size, std::initializer_list<std::size_t> set) {
  Bitfield b(size);
  for (const std::size_t i : set) b.set(i);
  return b;
}

/// A download of ten pieces of which 0 … 4 and half of 5 are on the disk; 0, 1, 2 and 7 are claimed, 0 and 1 as
/// durable. (7 is claimed but shows no data: a file system that stores zeros as holes.)
struct Interrupted {
  Interrupted() {
    REQUIRE(write_all(*storage(), 0, ByteView(sample.content).first(5 * 64 * 1024 + 32 * 1024)));
    c.info_hash = sample.info->info_hash;
    c.name = "x";
    c.bytes_total = sample.info->bytes_total;
    c.piece_bytes = sample.info->piece_bytes;
    c.boot_id = this_boot_id();
    c.verified = bits(10, {0, 1, 2, 7});
    c.durable = bits(10, {0, 1});
    c.bytes_down = 100;
    c.bytes_up = 7;
  }
  std::shared_ptr<Storage> storage() const { return Storage::create(sample.info, folder / "x"); }
  void stop_cleanly() {
    c.clean = true;
    c.stamps = *storage()->stamps();
  }
  Found found() const {
    REQUIRE(write_checkpoint(checkpoint_path(folder / "x"), c));
    return find_progress(*storage(), *sample.info);
  }

  Folder folder;
  Sample sample = single(10 * 64 * 1024);
  Checkpoint c;
};

}  // namespace

TEST_CASE("nothing there: nothing to hash") {
  const Folder folder;
  const Sample s = single(100'000);
  const Found found = find_progress(*Storage::create(s.info, folder / "x"), *s.info);
  CHECK_FALSE(found.anything);
  CHECK(found.verified.size() == 2);
  CHECK(found.verified.none());
  CHECK(found.unchecked.empty());
}

TEST_CASE("after a clean stop: what was verified is trusted, nothing is hashed") {
  Interrupted t;
  t.stop_cleanly();
  const Found found = t.found();
  CHECK(found.anything);
  CHECK(found.verified == bits(10, {0, 1, 2, 7}));
  CHECK(found.unchecked.empty());
  CHECK(found.bytes_down == 100);
  CHECK(found.bytes_up == 7);
}

TEST_CASE("after a clean stop and a byte flipped in the same millisecond: all that was claimed is hashed") {
  for (int round = 0; round < 20; ++round) {
    Interrupted t;
    t.stop_cleanly();
    REQUIRE(write_checkpoint(checkpoint_path(t.folder / "x"), t.c));
    const Descriptor part(::open((t.folder / "x.part").c_str(), O_WRONLY | O_CLOEXEC));
    const char flipped = static_cast<char>(t.sample.content[70'000] ^ 1);
    REQUIRE(::pwrite(part.get(), &flipped, 1, 70'000) == 1);
    const Found found = find_progress(*t.storage(), *t.sample.info);
    REQUIRE(found.verified.none());
    REQUIRE(numbers(found.unchecked) == std::vector<std::uint32_t>{3, 4, 5, 0, 1, 2, 7});
  }
}

TEST_CASE("canary: a flipped byte under the old stamp would be trusted") {
  Interrupted t;
  t.stop_cleanly();
  REQUIRE(write_checkpoint(checkpoint_path(t.folder / "x"), t.c));
  const std::string part = t.folder / "x.part";
  const auto time = fs::last_write_time(part);
  const Descriptor fd(::open(part.c_str(), O_WRONLY | O_CLOEXEC));
  const char flipped = static_cast<char>(t.sample.content[70'000] ^ 1);
  REQUIRE(::pwrite(fd.get(), &flipped, 1, 70'000) == 1);
  fs::last_write_time(part, time);  // what a write within the same tick would look like
  CHECK(find_progress(*t.storage(), *t.sample.info).verified.count() == 4);
}

TEST_CASE("after a kill, same boot: data without a claim first, then the claims; nothing is trusted") {
  Interrupted t;
  const Found found = t.found();
  CHECK(found.verified.none());
  CHECK(numbers(found.unchecked) == std::vector<std::uint32_t>{3, 4, 5, 0, 1, 2, 7});
}

TEST_CASE("another boot: only durable claims count as claims") {
  Interrupted t;
  t.c.boot_id = "another";
  const Found found = t.found();
  CHECK(found.verified.none());
  CHECK(numbers(found.unchecked) == std::vector<std::uint32_t>{2, 3, 4, 5, 0, 1});
  t.c.boot_id = "";
  CHECK(numbers(t.found().unchecked) == std::vector<std::uint32_t>{2, 3, 4, 5, 0, 1});
}

TEST_CASE("a clean stop, then another boot: what is durable is trusted, the rest is hashed") {
  Interrupted t;
  t.stop_cleanly();
  t.c.boot_id = "another";
  const Found found = t.found();
  CHECK(found.verified == bits(10, {0, 1}));
  CHECK(numbers(found.unchecked) == std::vector<std::uint32_t>{2, 3, 4, 5});
}

TEST_CASE("missing, damaged, foreign or clean without stamps: every piece that has data is hashed") {
  Interrupted t;
  const std::vector<std::uint32_t> with_data = {0, 1, 2, 3, 4, 5};
  SUBCASE("missing") {
    const Found found = find_progress(*t.storage(), *t.sample.info);
    CHECK(found.anything);
    CHECK(found.bytes_down == 0);
    CHECK(numbers(found.unchecked) == with_data);
  }
  SUBCASE("damaged") {
    spew(checkpoint_path(t.folder / "x"), to_json(t.c).substr(1));
    CHECK(numbers(find_progress(*t.storage(), *t.sample.info).unchecked) == with_data);
  }
  SUBCASE("of another torrent") {
    t.stop_cleanly();
    t.c.info_hash.bytes[0] ^= 1;
    CHECK(numbers(t.found().unchecked) == with_data);
  }
  SUBCASE("of another size") {
    t.stop_cleanly();
    t.c.bytes_total += 1;
    t.c.verified = Bitfield(11, true);
    t.c.durable = Bitfield(11, true);
    CHECK(numbers(t.found().unchecked) == with_data);
  }
  SUBCASE("clean, but no stamps") {
    t.c.clean = true;
    const Found found = t.found();
    CHECK(found.verified.none());
    CHECK(numbers(found.unchecked) == std::vector<std::uint32_t>{3, 4, 5, 0, 1, 2, 7});
  }
}

TEST_CASE("a .part that was replaced by another file of the same size and time is noticed by its inode") {
  Interrupted t;
  t.stop_cleanly();
  const std::string part = t.folder / "x.part";
  const auto time = fs::last_write_time(part);
  fs::copy_file(part, t.folder / "copy");
  fs::last_write_time(t.folder / "copy", time);
  fs::rename(t.folder / "copy", part);
  CHECK(t.found().verified.none());
}

TEST_CASE("only the finished file is there: all of it is hashed, holes and all, whatever a checkpoint says") {
  Interrupted t;
  t.stop_cleanly();
  fs::rename(t.folder / "x.part", t.folder / "x");
  const Found found = t.found();
  CHECK(found.anything);
  CHECK(found.verified.none());
  CHECK(found.unchecked.size() == 10);
}

TEST_CASE("durable claims are never more than what was synced: syncs fail at every point") {
  // The order of DESIGN.md §6, as a driver keeps it: note what is verified, sync, and only then claim it as durable.
  static std::set<std::uint64_t> synced_inodes;
  static int syncs_left = 0;
  struct Disk {
    static int sync(int fd) {
      if (syncs_left-- <= 0) {
        errno = EIO;
        return -1;
      }
      struct stat s {};
      ::fstat(fd, &s);
      synced_inodes.insert(s.st_ino);
      return 0;
    }
  };
  int checked = 0;
  for (int fail_at = 0; fail_at < 12; ++fail_at) {
    const Folder folder;
    std::vector<FileSpec> files;
    for (int i = 0; i < 6; ++i) files.push_back({.path = std::to_string(i), .length = 64 * 1024});
    const Sample s = make_sample(files, 64 * 1024, true);
    const auto storage = Storage::create(s.info, folder / "top", {.open_files_max = 2, .fdatasync = Disk::sync});
    PieceQueue queue(storage, s.info);
    syncs_left = fail_at;
    Checkpoint c{.info_hash = s.info->info_hash,
                 .name = "top",
                 .bytes_total = s.info->bytes_total,
                 .piece_bytes = s.info->piece_bytes,
                 .boot_id = "b",
                 .stamps = {},
                 .verified = Bitfield(6),
                 .durable = Bitfield(6),
                 .trackers = {}};
    bool broken = false;
    for (std::uint32_t p = 0; p < 6; ++p) {
      synced_inodes.clear();
      add_piece(queue, p, s.piece(p));
      for (const auto& result : run_all(queue)) {
        if (result && result->outcome == PieceResult::Outcome::right) c.verified.set(result->piece);
      }
      if (p % 2 == 0) continue;
      const Bitfield before = c.verified;
      const bool good = storage->sync().has_value();
      CHECK_FALSE((broken && good));  // an error is final
      broken = broken || !good;
      if (good) c.durable = before;
      REQUIRE(write_checkpoint(checkpoint_path(folder / "top"), c));
      const auto read = read_checkpoint(checkpoint_path(folder / "top"));
      const auto stamps = storage->stamps();
      for (std::uint32_t i = p - 1; i <= p; ++i) {
        const bool durable = read->durable[std::size_t{i}];
        CHECK((!durable || synced_inodes.contains((*stamps)[i].inode)));
        ++checked;
      }
    }
    CHECK(broken == (fail_at < 6));
  }
  CHECK(checked == 12 * 6);
}
