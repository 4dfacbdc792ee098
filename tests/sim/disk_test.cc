#include "sim/disk.hh"

#include <doctest/doctest.h>

#include "sim/checks.hh"

using namespace swarm;
using namespace swarm::sim;

namespace {

Content content_of(std::uint64_t bytes, std::uint32_t piece_bytes) {
  Content c;
  c.info.bytes_total = bytes;
  c.info.piece_bytes = piece_bytes;
  c.info.pieces = static_cast<std::uint32_t>((bytes + piece_bytes - 1) / piece_bytes);
  return c;
}

Disk::Checkpoint claim(const Content& content, std::initializer_list<std::size_t> pieces, bool clean = false) {
  Disk::Checkpoint c;
  c.claims.verified = Bitfield(content.info.pieces);
  for (const auto p : pieces) c.claims.verified.set(p);
  c.clean = clean;
  return c;
}

const Content content = content_of(100 * 16'384 + 5, 4 * 16'384);

}  // namespace

TEST_CASE("content: counts its pieces and blocks") {
  CHECK(content.info.pieces == 26);
  CHECK(content.blocks_in_all() == 101);
  CHECK(content.piece_size(PieceIndex{25}) == 5);
  CHECK(content.blocks_in(PieceIndex{24}) == 4);
  CHECK(content.first_block(PieceIndex{2}) == 8);
  CHECK(content.block_size(PieceIndex{25}, 0) == 5);
}

TEST_CASE("disk: a write is there when it is done, not before") {
  Disk disk({.rate = 16'384'000, .latency = 1ms, .sync_latency = 1ms});
  CHECK(disk.write(content, 0, Tag::right, Instant(1s)) == Instant(1s + 2ms));
  CHECK(disk.write(content, 1, Tag::wrong, Instant(1s)) == Instant(1s + 3ms));
  CHECK(disk.pending_bytes(Instant(1s)) == 2 * 16'384);
  CHECK(disk.tag(content, 0, Instant(1s + 1ms)) == Tag::none);
  CHECK(disk.tag(content, 0, Instant(1s + 2ms)) == Tag::right);
  CHECK(disk.tag(content, 1, Instant(1s + 2ms)) == Tag::none);
  CHECK(disk.pending_bytes(Instant(1s + 3ms)) == 0);
  CHECK(disk.read(16'384'000, Instant(2s)) == Instant(3s + 1ms));
}

TEST_CASE("disk: a crash keeps what was written, a power cut what was synced, and between them chance decides") {
  int after_crash = 0, after_cut = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    for (const bool power : {false, true}) {
      Disk disk({.rate = 16'384'000, .latency = 1ms, .sync_latency = 1ms});
      disk.write(content, 0, Tag::right, Instant(0s));
      disk.begin_sync(content, Instant(10ms));
      disk.end_sync(content);
      disk.write(content, 1, Tag::right, Instant(20ms));
      disk.write(content, 2, Tag::right, Instant(29ms));
      if (power) {
        disk.on_power_cut(random, Instant(30ms));
      } else {
        disk.on_crash(random, Instant(30ms));
      }
      CHECK(disk.tag(content, 0, Instant(1s)) == Tag::right);
      if (power) {
        after_cut += disk.tag(content, 1, Instant(1s)) == Tag::right;
      } else {
        CHECK(disk.tag(content, 1, Instant(1s)) == Tag::right);
        after_crash += disk.tag(content, 2, Instant(1s)) == Tag::right;  // was under way
      }
    }
  }
  CHECK(after_crash > 70);
  CHECK(after_crash < 130);
  CHECK(after_cut > 70);
  CHECK(after_cut < 130);
}

TEST_CASE("disk: a sync covers what was written before it began, and nothing when it did not end") {
  Random random(1);
  int survived = 0;
  for (int i = 0; i < 100; ++i) {
    Disk disk({.rate = 0, .latency = {}, .sync_latency = 1ms});
    disk.write(content, 0, Tag::right, Instant(0s));
    disk.begin_sync(content, Instant(1s));
    disk.on_power_cut(random, Instant(1s));
    survived += disk.tag(content, 0, Instant(2s)) == Tag::right;
  }
  CHECK(survived > 20);
  CHECK(survived < 80);
}

TEST_CASE("disk: what a new process may trust") {
  Disk disk({.rate = 0, .latency = {}, .sync_latency = {}});
  for (std::uint32_t block = 0; block < 14; ++block) disk.write(content, block, Tag::right, Instant(0s));
  auto found = disk.find_progress(content, Instant(1s));  // no checkpoint: everything that holds data is hashed
  CHECK(found.verified.none());
  CHECK(found.unchecked == std::vector{PieceIndex{0}, PieceIndex{1}, PieceIndex{2}, PieceIndex{3}});

  disk.save(content, claim(content, {0, 2}));
  found = disk.find_progress(content, Instant(1s));  // data without a claim first
  CHECK(found.verified.none());
  CHECK(found.unchecked == std::vector{PieceIndex{1}, PieceIndex{3}, PieceIndex{0}, PieceIndex{2}});

  disk.save(content, claim(content, {0, 2}, true));
  found = disk.find_progress(content, Instant(1s));
  CHECK(found.verified.count() == 2);
  CHECK(found.verified[PieceIndex{2}]);
  CHECK(found.unchecked == std::vector{PieceIndex{1}, PieceIndex{3}});

  disk.write(content, 20, Tag::right, Instant(2s));  // touched since: not clean any more
  found = disk.find_progress(content, Instant(3s));
  CHECK(found.verified.none());
  CHECK(found.unchecked.size() == 5);

  disk.name(content);
  CHECK(disk.find_progress(content, Instant(3s)).verified.all());
  CHECK(disk.checkpoint(content) == nullptr);
}

TEST_CASE("checks: each finds what it is for, and names it") {
  World world(1);
  Checks checks(world);
  Disk disk({.rate = 0, .latency = {}, .sync_latency = {}});
  disk.fill(content);
  checks.on_whole(1, content, disk);
  checks.on_payload_leaves(1, Run{.length = 10}, true);
  checks.on_power_cut(1, content, disk);
  checks.equal(1, "bytes_up", 7, 7);
  CHECK(checks.all_right());
  CHECK(checks.asked() == 3);

  checks.on_payload_leaves(1, Run{.length = 10}, false);
  checks.on_payload_leaves(1, Run{.length = 10, .tag = Tag::wrong}, true);
  CHECK(checks.failures(Rule::verified) == 2);
  checks.equal(1, "bytes_up", 7, 8);
  CHECK(checks.failures(Rule::counted) == 1);
  disk.damage(content, 5);
  checks.on_whole(1, content, disk);
  CHECK(checks.failures(Rule::whole) == 1);
  Disk other({.rate = 0, .latency = {}, .sync_latency = {}});
  other.save(content, claim(content, {3}));
  checks.on_power_cut(2, content, other);
  CHECK(checks.failures(Rule::durable) == 1);
  CHECK_FALSE(checks.all_right());
  CHECK(checks.violations().size() == 5);
  CHECK(checks.violations()[4].find("host 2: S3") != std::string::npos);
}
