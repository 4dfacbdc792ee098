#include "disk/checkpoint.hh"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <ctime>

#include "base/text.hh"
#include "disk/folder.hh"
#include "disk/sealed_json.hh"
#include "disk/small_file.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

Checkpoint some_checkpoint() {
  Checkpoint c;
  Random random(11);
  random.fill(c.info_hash.bytes);
  c.name = "debian.iso";
  c.bytes_total = 661'651'456;
  c.piece_bytes = 512 * 1024;
  c.boot_id = "0f1e2d3c-1111-2222-3333-444455556666";
  c.clean = true;
  c.stamps = {{.bytes = 661'651'456, .mtime_ns = 1'763'817'393'123'456'789, .inode = ~0ull}};
  c.verified = Bitfield(1262);
  c.durable = Bitfield(1262);
  for (std::size_t i = 0; i < 1262; i += 3) c.verified.set(i);
  for (std::size_t i = 0; i < 1262; i += 6) c.durable.set(i);
  c.bytes_down = (1ull << 53) - 1;
  c.bytes_up = 7;
  c.files = {true, false, false, true, true, false, false, false, true};
  c.trackers = {{"http://nas:6969/announce", "udp://x:1"}, {}, {"http://\"quoted\\"}};
  return c;
}

bool same(const Checkpoint& a, const Checkpoint& b) {
  return a.info_hash == b.info_hash && a.name == b.name && a.bytes_total == b.bytes_total &&
         a.piece_bytes == b.piece_bytes && a.boot_id == b.boot_id && a.clean == b.clean && a.stamps == b.stamps &&
         a.verified == b.verified && a.durable == b.durable && a.bytes_down == b.bytes_down &&
         a.bytes_up == b.bytes_up && a.trackers == b.trackers && a.files == b.files;
}

/// The same object under a right checksum, with something in it replaced.
std::string forged(const std::string& json, const std::string& what, const std::string& by) {
  std::string rest = json.substr(12 + 40);
  const std::size_t at = rest.find(what);
  REQUIRE(at != std::string::npos);
  rest.replace(at, what.size(), by);
  return "{\"checksum\":\"" + to_hex(sha1(as_bytes(rest))) + rest;
}

}  // namespace

TEST_CASE("a checkpoint comes back as it was written") {
  const Checkpoint c = some_checkpoint();
  const auto back = checkpoint_from_json(to_json(c));
  REQUIRE(back);
  CHECK(same(*back, c));
  CHECK(to_json(*back) == to_json(c));
  CHECK(to_json(c).find("\"name\":\"debian.iso\"") != std::string::npos);  // people read it too
}

TEST_CASE("every single flipped bit, every cut and every byte too many is found") {
  const std::string json = to_json(some_checkpoint());
  REQUIRE(checkpoint_from_json(json));
  std::size_t flips = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit, ++flips) {
      std::string bad = json;
      bad[i] = static_cast<char>(bad[i] ^ 1 << bit);
      const auto read = checkpoint_from_json(bad);
      REQUIRE_FALSE(read);
      REQUIRE(read.error().exit == Exit::integrity);
    }
  }
  CHECK(flips == json.size() * 8);
  for (std::size_t length = 0; length < json.size(); ++length)
    REQUIRE_FALSE(checkpoint_from_json(json.substr(0, length)));
  CHECK_FALSE(checkpoint_from_json(json + " "));
  CHECK_FALSE(checkpoint_from_json(json + json));
}

TEST_CASE("canary: without the checksum many flipped bits would go unnoticed") {
  const std::string json = to_json(some_checkpoint());
  std::size_t unnoticed = 0;
  for (std::size_t i = 60; i < json.size(); ++i) {
    std::string rest = json.substr(12 + 40);
    rest[i - 52] = static_cast<char>(rest[i - 52] ^ 1);
    unnoticed += checkpoint_from_json("{\"checksum\":\"" + to_hex(sha1(as_bytes(rest))) + rest).has_value();
  }
  CHECK(unnoticed > 100);
}

TEST_CASE("text under a right checksum that is not a checkpoint: refused, never believed") {
  const std::string json = to_json(some_checkpoint());
  CHECK(checkpoint_from_json(forged(json, "debian", "Debian")));  // forging works
  const std::vector<std::pair<std::string, std::string>> table = {
      {"\"swarm_progress\":1", "\"swarm_progress\":2"},
      {"\"swarm_progress\":1", "\"swarm_progress\":\"1\""},
      {"\"bytes_total\":661651456", "\"bytes_total\":661651456.5"},
      {"\"bytes_total\":661651456", "\"bytes_total\":-1"},
      {"\"bytes_total\":661651456", "\"bytes_total\":1e300"},
      {"\"bytes_total\":661651456", "\"bytes_total\":6616514560"},  // another number of pieces
      {"\"piece_bytes\":524288", "\"piece_bytes\":0"},
      {"\"piece_bytes\":524288", "\"piece_bytes\":4294967296"},
      {"\"piece_bytes\":524288", "\"piece_bytes\":262144"},
      {"\"piece_bytes\":524288", "\"piece_bytes\":null"},
      {"\"clean\":true", "\"clean\":1"},
      {"\"clean\":true,", ""},
      {"\"verified\":\"", "\"verified\":\"AAAA"},
      {"\"verified\":\"", "\"verified\":\"*"},
      {"\"durable\":\"", "\"durable\":\"A"},
      {"\"stamps\":\"", "\"stamps\":\"AAAA"},
      {"\"trackers\":[", "\"trackers\":[[[[[1]]]],"},
      {"\"trackers\":[", "\"trackers\":[7,"},
      {"\"trackers\":[", "\"trackers\":[[7],"},
      {"\"trackers\":[", "\"trackers\":{},\"x\":["},
      {"\"info_hash\":\"", "\"info_hash\":\"00"},
      {"\"clean\":true", "\"clean\":true}"},
      {"\",\"swarm_progress", "\"\"swarm_progress"},
  };
  for (const auto& row : table) {
    CAPTURE(row.second);
    CHECK_FALSE(checkpoint_from_json(forged(json, row.first, row.second)));
  }
  std::string deep = "\",\"a\":" + std::string(1 << 20, '[') + "}";
  CHECK_FALSE(checkpoint_from_json("{\"checksum\":\"" + to_hex(sha1(as_bytes(deep))) + deep));
  std::string quoted = forged(json, "debian.iso", "[[[[[[\\\"[[[[{{{{");  // brackets in a text are no depth
  CHECK(checkpoint_from_json(quoted));
}

TEST_CASE("a name or a tracker of any bytes is made printable and does no harm") {
  Checkpoint c = some_checkpoint();
  c.name = std::string("caf\xe9\n\0\"\\ \u202e", 13);
  c.trackers = {{"http://x/\xff"}};
  const auto back = checkpoint_from_json(to_json(c));
  REQUIRE(back);
  CHECK(is_utf8(back->name));
  CHECK(back->name.starts_with("caf"));
  CHECK(to_json(*back) == to_json(c));
}

TEST_CASE("numbers beyond 2^53 are cut, not wrapped") {
  Checkpoint c = some_checkpoint();
  c.bytes_down = ~0ull;
  CHECK(checkpoint_from_json(to_json(c))->bytes_down == 1ull << 53);
}

TEST_CASE("oversize: neither read nor parsed") {
  const Folder folder;
  const std::string path = folder / "x.progress.json";
  const std::string json = to_json(some_checkpoint());
  spew(path, json);
  REQUIRE(::truncate(path.c_str(), (64 << 20) + 1) == 0);
  CHECK(read_checkpoint(path).error().exit == Exit::integrity);
  CHECK_FALSE(checkpoint_from_json(json + std::string(64u << 20, ' ')));
}

TEST_CASE("a torrent of two million pieces and a million files fits") {
  Checkpoint c = some_checkpoint();
  c.piece_bytes = 16384;
  c.bytes_total = 2'000'000ull * 16384;
  c.verified = Bitfield(2'000'000, true);
  c.durable = c.verified;
  c.stamps.assign(1'000'000, c.stamps[0]);
  const std::string json = to_json(c);
  CHECK(json.size() < sealed_bytes_max);
  const auto back = checkpoint_from_json(json);
  REQUIRE(back);
  CHECK(same(*back, c));
}

TEST_CASE("write, read, replace, remove; links are replaced, not followed; what is in the way is told") {
  const Folder folder;
  const std::string path = checkpoint_path(folder / "x");
  CHECK(path == folder / "x.progress.json");
  CHECK(read_checkpoint(path).error().exit == Exit::not_found);
  const Checkpoint c = some_checkpoint();
  spew(folder / "canary", "canary");
  fs::create_symlink("canary", path + ".tmp");
  REQUIRE(write_checkpoint(path, c));
  CHECK(same(*read_checkpoint(path), c));
  REQUIRE(remove_checkpoint(path));
  REQUIRE(remove_checkpoint(path));
  fs::create_symlink("canary", path);
  CHECK_FALSE(read_checkpoint(path));
  REQUIRE(write_checkpoint(path, c));
  CHECK(read_checkpoint(path));
  CHECK(slurp(folder / "canary") == "canary");
  CHECK(tree_of(folder.path()) == std::vector<std::string>{"canary", "x.progress.json"});

  fs::create_directories(folder / "y.progress.json/full");
  CHECK(write_checkpoint(folder / "y.progress.json", c).error().exit == Exit::disk);
  CHECK(read_checkpoint(folder / "y.progress.json").error().exit == Exit::integrity);
  CHECK(remove_checkpoint(folder / "y.progress.json").error().exit == Exit::disk);
  CHECK_FALSE(fs::exists(folder / "y.progress.json.tmp"));
  CHECK(write_checkpoint(folder / "none/z.progress.json", c).error().exit == Exit::disk);
  fs::create_directories(folder / "w.progress.json.tmp/full");
  CHECK(write_checkpoint(folder / "w.progress.json", c).error().exit == Exit::disk);
  CHECK(this_boot_id().size() == 36);
}

TEST_CASE("settle: waits one tick for a file written just now, gives up where ticks are seconds") {
  using namespace std::chrono;
  const auto now = [] { return duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count(); };
  const auto took = [&](std::int64_t mtime, int wait_max_ms, bool expected) {
    const auto start = steady_clock::now();
    CHECK(settle({{.bytes = 1, .mtime_ns = mtime, .inode = 1}}, milliseconds(wait_max_ms)) == expected);
    return duration<double, std::milli>(steady_clock::now() - start).count();
  };
  const std::int64_t fresh = now() | 1;
  took(fresh, 1000, true);
  CHECK(now() - fresh >= 20'000'000);  // whatever is written from here on gets another time
  CHECK(took(now() - 1'000'000'001, 0, true) < 500);
  CHECK(took(now() + 3'600'000'000'000, 0, true) < 500);                 // an hour ahead: no write gets that time soon
  CHECK(took(now() / 1'000'000'000 * 1'000'000'000, 200, false) < 150);  // whole seconds: a coarse clock, up to 2 s
  CHECK(settle({}, milliseconds(0)));
}

TEST_CASE("a checkpoint on a file system with a coarse clock is not written as a clean one") {
  const Folder folder;
  Checkpoint c = some_checkpoint();
  c.stamps[0].mtime_ns = std::int64_t{std::time(nullptr)} * 1'000'000'000;
  REQUIRE(write_checkpoint(folder / "x", c));
  CHECK_FALSE(read_checkpoint(folder / "x")->clean);
  c.stamps[0].mtime_ns -= 10'000'000'000;
  REQUIRE(write_checkpoint(folder / "x", c));
  CHECK(read_checkpoint(folder / "x")->clean);
}
