#include <doctest/doctest.h>
#include <sys/stat.h>

#include "disk/checkpoint.hh"
#include "disk/folder.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

SeedCacheKey some_key() {
  return {.path = "/data/caf\xe9/debian.iso",
          .piece_bytes = 65536,
          .stamps = {{.bytes = 100'000, .mtime_ns = 1'763'817'393'000'000'001, .inode = 5},
                     {.bytes = 100'000, .mtime_ns = 1'763'817'393'000'000'002, .inode = 6}}};
}

std::vector<Sha1Digest> some_digests() {
  std::vector<Sha1Digest> digests(4);
  Random random(3);
  for (auto& d : digests) random.fill(d.bytes);
  return digests;
}

std::string only_file(const std::string& folder) { return folder + '/' + tree_of(folder).at(0); }

}  // namespace

TEST_CASE("seed cache: given back for exactly what it was made of, and for nothing else") {
  const Folder outer;
  const std::string folder = outer / "state/of/seeds";
  CHECK_FALSE(read_seed_cache(folder, some_key()));
  REQUIRE(write_seed_cache(folder, some_key(), some_digests()));
  CHECK(read_seed_cache(folder, some_key()) == some_digests());
  struct stat s {};
  REQUIRE(::stat(only_file(folder).c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0600);
  REQUIRE(::stat(folder.c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0700);

  const auto other = [&](auto change) {
    SeedCacheKey key = some_key();
    change(key);
    return read_seed_cache(folder, key).has_value();
  };
  CHECK_FALSE(other([](SeedCacheKey& k) { k.path += "2"; }));
  CHECK_FALSE(other([](SeedCacheKey& k) { k.piece_bytes *= 2; }));
  CHECK_FALSE(other([](SeedCacheKey& k) { k.stamps[0].bytes += 1; }));
  CHECK_FALSE(other([](SeedCacheKey& k) { k.stamps[1].mtime_ns += 1; }));
  CHECK_FALSE(other([](SeedCacheKey& k) { k.stamps[1].inode += 1; }));
  CHECK_FALSE(other([](SeedCacheKey& k) { k.stamps.pop_back(); }));
  CHECK_FALSE(other([](SeedCacheKey& k) { k.stamps.clear(); }));

  SeedCacheKey changed = some_key();
  changed.stamps[0].mtime_ns += 7;
  REQUIRE(write_seed_cache(folder, changed, some_digests()));  // the same path: replaced
  CHECK(tree_of(folder).size() == 1);
  CHECK_FALSE(read_seed_cache(folder, some_key()));
  CHECK(read_seed_cache(folder, changed));
}

TEST_CASE("seed cache: every flipped byte is found, and a wrong number of digests") {
  const Folder folder;
  REQUIRE(write_seed_cache(folder.path(), some_key(), some_digests()));
  const std::string path = only_file(folder.path());
  const std::string text = slurp(path);
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string bad = text;
    bad[i] = static_cast<char>(bad[i] ^ 1 << i % 8);
    spew(path, bad);
    REQUIRE_FALSE(read_seed_cache(folder.path(), some_key()));
  }
  spew(path, text);
  CHECK(read_seed_cache(folder.path(), some_key()));
  REQUIRE(write_seed_cache(folder.path(), some_key(), std::vector<Sha1Digest>(3)));
  CHECK_FALSE(read_seed_cache(folder.path(), some_key()));
}

TEST_CASE("seed cache: at most 512 entries, other files are left alone, a folder that cannot be made is told") {
  const Folder folder;
  spew(folder / "mine.txt", "mine");
  SeedCacheKey key = some_key();
  for (int i = 0; i < 515; ++i) {
    key.path = "/f" + std::to_string(i);
    REQUIRE(write_seed_cache(folder.path(), key, some_digests()));
  }
  CHECK(tree_of(folder.path()).size() == 512 + 1);
  CHECK(slurp(folder / "mine.txt") == "mine");
  CHECK(read_seed_cache(folder.path(), key));
  CHECK(write_seed_cache(folder / "mine.txt/x", key, some_digests()).error().exit == Exit::disk);
}
