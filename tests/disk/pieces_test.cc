#include "disk/pieces.hh"

#include <doctest/doctest.h>

#include <chrono>
#include <deque>
#include <map>
#include <thread>

#include "base/random.hh"
#include "disk/folder.hh"
#include "model/pieces.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;
using wire::block_bytes;
using Outcome = PieceResult::Outcome;

namespace {

struct Setup {
  explicit Setup(Sample s, StorageOptions options = {})
      : sample(std::move(s)),
        storage(Storage::create(sample.info, folder / "x", options)),
        queue(storage, sample.info) {}

  void add(std::uint32_t piece, std::uint32_t block, bool spoil = false) {
    const ByteView whole = sample.piece(piece);
    const std::uint32_t begin = block * block_bytes;
    const auto length = static_cast<std::uint32_t>(std::min<std::size_t>(block_bytes, whole.size() - begin));
    auto bytes = std::make_shared<Buffer>(to_buffer(whole.subspan(begin, length)));
    if (spoil) bytes->front() ^= 1;
    queue.add({PieceIndex{piece}, begin, length}, parts_of(*bytes, length / 3, bytes));
  }
  Result<PieceResult> run_one() {
    auto job = queue.next_job();
    REQUIRE(job);
    job->run();
    return queue.done(std::move(job));
  }

  Folder folder;
  Sample sample;
  std::shared_ptr<Storage> storage;
  PieceQueue queue;
};

}  // namespace

TEST_CASE("a piece that comes in order is written, hashed and right") {
  Setup t(single(200'000, 64 * 1024));
  for (std::uint32_t p = 0; p < t.sample.info->piece_count(); ++p) add_piece(t.queue, p, t.sample.piece(p));
  CHECK(t.queue.pending_bytes() == 200'000);
  std::uint64_t written = 0;
  for (auto& result : run_all(t.queue)) {
    REQUIRE(result);
    CHECK(result->outcome == Outcome::right);
    CHECK(result->wrong_blocks.empty());
    written += result->bytes_written;
  }
  CHECK(written == 200'000);
  CHECK(t.queue.idle());
  CHECK(slurp(t.storage->part_path()) == t.sample.file(0));
}

TEST_CASE("blocks in any order, in any batches, with liars among the senders: the same as the naive twin") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::uint32_t piece_bytes = static_cast<std::uint32_t>(1 + random.below(12)) * block_bytes;
    const std::vector<FileSpec> files = {
        {.path = "a", .length = 1 + random.below(300'000)},
        {.path = "b/empty", .length = 0},
        {.path = ".pad/1", .length = random.below(2) * random.below(40'000), .pad = true},
        {.path = "b/c", .length = 1 + random.below(200'000)}};
    Setup t(make_sample(files, piece_bytes, true, seed));
    const wire::Metainfo& info = *t.sample.info;
    model::Pieces twin(info);

    struct Todo {
      wire::BlockRef block;
      bool lie = false;
    };
    std::vector<Todo> todo;
    const auto add_piece_blocks = [&](std::uint32_t p, std::uint64_t liars_percent) {
      for (std::uint32_t begin = 0; begin < info.piece_size(PieceIndex{p}); begin += block_bytes) {
        const std::uint32_t length = std::min(block_bytes, info.piece_size(PieceIndex{p}) - begin);
        todo.push_back({{PieceIndex{p}, begin, length}, random.below(100) < liars_percent});
      }
    };
    for (std::uint32_t p = 0; p < info.piece_count(); ++p) add_piece_blocks(p, seed % 3 == 0 ? 0 : 10);
    random.shuffle(std::span(todo));

    std::map<std::uint32_t, model::Pieces::Result> expected;  // the twin judges at once, the queue when a job is back
    std::vector<std::unique_ptr<PieceJob>> running;
    std::size_t right = 0;
    const auto give_back = [&](std::size_t i) {
      running[i]->run();
      const auto result = t.queue.done(std::move(running[i]));
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      REQUIRE(result);
      const std::uint32_t p = number(result->piece);
      if (result->outcome == Outcome::more) return;
      REQUIRE(expected.contains(p));
      REQUIRE(static_cast<int>(result->outcome) == static_cast<int>(expected[p].outcome));
      REQUIRE(result->wrong_blocks == expected[p].wrong_blocks);
      expected.erase(p);
      if (result->outcome == Outcome::right) {
        ++right;
      } else {
        add_piece_blocks(p, random.below(3) == 0 ? 30 : 0);
        random.shuffle(std::span(todo));
      }
    };
    while (!todo.empty() || !running.empty() || !t.queue.idle()) {
      if (!todo.empty() && random.below(4) != 0) {
        const Todo next = todo.back();
        todo.pop_back();
        const std::uint64_t at = std::uint64_t{number(next.block.piece)} * info.piece_bytes + next.block.begin;
        auto bytes = std::make_shared<Buffer>(to_buffer(ByteView(t.sample.content).subspan(at, next.block.length)));
        // A lie about padding is none: padding reads as zeros whatever was sent.
        if (next.lie && !t.storage->extents().at(at, 1).pad) bytes->front() ^= 0x80;
        const auto judged = twin.add(next.block, *bytes);
        if (judged.outcome != model::Pieces::Outcome::more) expected[number(next.block.piece)] = judged;
        t.queue.add(next.block, parts_of(*bytes, random.below(next.block.length), bytes));
        if (random.below(8) == 0) t.queue.add(next.block, parts_of(*bytes, 0, bytes));  // once more: ignored
      } else if (running.size() < 2 && random.below(2) == 0) {
        if (auto job = t.queue.next_job()) running.push_back(std::move(job));
      } else if (!running.empty()) {
        give_back(random.below(running.size()));
      } else if (auto job = t.queue.next_job()) {
        running.push_back(std::move(job));
      }
    }
    CHECK(right == info.piece_count());
    CHECK(expected.empty());
    CHECK(read_all(*t.storage, 0, info.bytes_total) == std::string(as_text(twin.disk())));
    CHECK(t.queue.pending_bytes() == 0);
  }
}

TEST_CASE("canary: the twin tells a spoiled block from a good one") {
  const Sample sample = single(3 * block_bytes, 3 * block_bytes);
  model::Pieces twin(*sample.info);
  Buffer bad = to_buffer(sample.piece(0));
  bad[block_bytes + 5] ^= 1;
  const auto add = [&](const Buffer& from, std::uint32_t block) {
    return twin.add({PieceIndex{0}, block * block_bytes, block_bytes},
                    ByteView(from).subspan(block * block_bytes, block_bytes));
  };
  for (std::uint32_t b = 0; b < 2; ++b) CHECK(add(bad, b).outcome == model::Pieces::Outcome::more);
  CHECK(add(bad, 2).outcome == model::Pieces::Outcome::wrong);
  for (std::uint32_t b = 0; b < 2; ++b) add(sample.content, b);
  const auto judged = add(sample.content, 2);
  CHECK(judged.outcome == model::Pieces::Outcome::right);
  CHECK(judged.wrong_blocks == std::vector<std::uint32_t>{1});
}

TEST_CASE("wrong blocks are those of the last wrong attempt, and are told once") {
  Setup t(single(8 * block_bytes, 8 * block_bytes));
  const auto attempt = [&](std::vector<std::uint32_t> spoiled) {
    for (std::uint32_t b = 0; b < 8; ++b) {
      t.add(0, b, std::find(spoiled.begin(), spoiled.end(), b) != spoiled.end());
    }
    auto result = t.run_one();
    REQUIRE(result);
    return *result;
  };
  CHECK(attempt({1, 2}).outcome == Outcome::wrong);
  CHECK(attempt({0, 7}).outcome == Outcome::wrong);
  const PieceResult right = attempt({});
  CHECK(right.outcome == Outcome::right);
  CHECK(right.wrong_blocks == std::vector<std::uint32_t>{0, 7});
  CHECK(attempt({}).wrong_blocks.empty());
  CHECK(t.queue.idle());
}

TEST_CASE("what is kept of wrong attempts is bounded: the oldest of 65 is forgotten") {
  Setup t(single(70 * 2 * block_bytes, 2 * block_bytes));
  for (std::uint32_t p = 0; p < 65; ++p) {
    t.add(p, 0, true);
    t.add(p, 1);
    REQUIRE(t.run_one()->outcome == Outcome::wrong);
  }
  for (const std::uint32_t p : {0u, 1u, 64u}) {
    t.add(p, 0);
    t.add(p, 1);
    const auto result = t.run_one();
    CHECK(result->outcome == Outcome::right);
    CHECK(result->wrong_blocks.size() == (p == 0 ? 0 : 1));
  }
}

TEST_CASE("a piece gathers blocks while a job runs, and goes when it has 256 KiB or its last block") {
  Setup t(single(4 * 512 * 1024, 512 * 1024));
  t.add(0, 0);
  auto first = t.queue.next_job();  // nothing runs: at once, small as it is
  REQUIRE(first);
  CHECK_FALSE(t.queue.next_job());
  for (std::uint32_t b = 1; b < 20; ++b) t.add(0, b);
  CHECK_FALSE(t.queue.next_job());  // the same piece runs
  for (std::uint32_t b = 0; b < 15; ++b) t.add(1, b);
  CHECK_FALSE(t.queue.next_job());  // 240 KiB
  t.add(1, 15);
  auto second = t.queue.next_job();
  REQUIRE(second);
  first->run();
  CHECK(t.queue.done(std::move(first))->bytes_written == block_bytes);
  auto third = t.queue.next_job();  // all 19 that waited
  REQUIRE(third);
  third->run();
  CHECK(t.queue.done(std::move(third))->bytes_written == 19 * block_bytes);
  second->run();
  CHECK(t.queue.done(std::move(second))->bytes_written == 16 * block_bytes);
  t.add(2, 5);
  auto fourth = t.queue.next_job();
  REQUIRE(fourth);
  for (std::uint32_t b = 20; b < 32; ++b) t.add(0, b);  // 192 KiB, but the piece is complete
  auto fifth = t.queue.next_job();
  REQUIRE(fifth);
  fifth->run();
  CHECK(t.queue.done(std::move(fifth))->outcome == Outcome::right);
  fourth->run();
  CHECK(t.queue.done(std::move(fourth))->outcome == Outcome::more);
  CHECK(t.queue.idle());
}

TEST_CASE("more than half of the bound waits: pieces do not gather any longer; above it the queue is full") {
  Setup t(single(40u << 20, 512 * 1024));
  t.add(0, 0);
  auto job = t.queue.next_job();
  std::uint32_t piece = 1;
  while (t.queue.pending_bytes() <= PieceQueue::pending_bytes_max / 2) {
    CHECK_FALSE(t.queue.next_job());
    for (std::uint32_t b = 0; b < 15; ++b) t.add(piece, b);
    ++piece;
  }
  CHECK_FALSE(t.queue.full());
  auto second = t.queue.next_job();
  CHECK(second);
  for (; piece < 80; ++piece) {
    for (std::uint32_t b = 0; b < 15; ++b) t.add(piece, b);
  }
  CHECK(t.queue.full());
  for (auto* running : {&job, &second}) {
    (*running)->run();
    CHECK(t.queue.done(std::move(*running)));
  }
  run_all(t.queue);
  CHECK(t.queue.idle());
  CHECK_FALSE(t.queue.full());
}

TEST_CASE("check: right, wrong, missing, and after the blocks that were added before") {
  Setup t(single(3 * 64 * 1024, 64 * 1024));
  t.queue.check(PieceIndex{0});  // nothing is there
  CHECK_FALSE(t.queue.idle());
  CHECK(t.run_one()->outcome == Outcome::wrong);
  CHECK(t.queue.idle());
  for (std::uint32_t b = 0; b < 4; ++b) t.add(0, b);
  t.queue.check(PieceIndex{0});
  t.queue.check(PieceIndex{0});  // twice is once
  const auto stored = t.run_one();
  CHECK(stored->outcome == Outcome::right);
  CHECK(stored->bytes_written == 4 * block_bytes);
  const auto checked = t.run_one();
  CHECK(checked->outcome == Outcome::right);
  CHECK(checked->bytes_written == 0);
  CHECK_FALSE(t.queue.next_job());
  CHECK(t.queue.idle());
}

TEST_CASE("check: blocks go first, and at most two checks run at once") {
  Setup t(single(6 * 64 * 1024, 64 * 1024));
  for (std::uint32_t p = 0; p < 4; ++p) t.queue.check(PieceIndex{p});
  t.add(5, 0);
  std::vector<std::unique_ptr<PieceJob>> jobs;
  while (auto job = t.queue.next_job()) jobs.push_back(std::move(job));
  CHECK(jobs.size() == 3);
  jobs[0]->run();
  CHECK(t.queue.done(std::move(jobs[0]))->bytes_written == block_bytes);
  t.add(3, 0);  // a check that waits lets the block pass
  for (std::size_t i = 1; i < jobs.size(); ++i) {
    jobs[i]->run();
    CHECK(t.queue.done(std::move(jobs[i])));
  }
  CHECK(run_all(t.queue).size() == 3);
  CHECK(t.queue.idle());
}

TEST_CASE("check: a wrong one leaves the attempt that is under way, which then ends right") {
  Setup t(single(64 * 1024, 64 * 1024));
  t.add(0, 0);
  t.add(0, 3);
  CHECK(t.run_one()->outcome == Outcome::more);
  t.queue.check(PieceIndex{0});
  CHECK(t.run_one()->outcome == Outcome::wrong);
  t.add(0, 3);  // has it
  t.add(0, 1);
  t.add(0, 2);
  CHECK(t.run_one()->outcome == Outcome::right);
}

TEST_CASE("a disk error is told, drops the attempt, and the next one starts clean") {
  Setup t(single(128 * 1024, 64 * 1024));
  fs::create_directory(t.folder / "x.part");  // where the file shall be
  t.add(0, 0);
  t.add(1, 0);
  auto first = t.queue.next_job();
  t.add(0, 1);
  first->run();
  const auto result = t.queue.done(std::move(first));
  REQUIRE_FALSE(result);
  CHECK(result.error().exit == Exit::disk);
  run_all(t.queue);
  CHECK(t.queue.idle());
  CHECK(t.queue.pending_bytes() == 0);
}

TEST_CASE("a job keeps what it needs: queue and storage may go while it runs") {
  Folder folder;
  const Sample sample = single(64 * 1024);
  std::unique_ptr<PieceJob> job;
  {
    auto storage = Storage::create(sample.info, folder / "x");
    PieceQueue queue(storage, sample.info);
    add_piece(queue, 0, sample.piece(0));
    job = queue.next_job();
  }
  job->run();
  job.reset();
  CHECK(slurp(folder / "x.part") == sample.file(0));
}

TEST_CASE("two workers at once: every piece comes out right") {
  Setup t(single(24u << 20, 256 * 1024));
  const std::uint32_t pieces = t.sample.info->piece_count();
  Random random(5);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks;
  for (std::uint32_t p = 0; p < pieces; ++p) {
    for (std::uint32_t b = 0; b < 16; ++b) blocks.emplace_back(p, b);
  }
  // Mixed over 8 neighbouring pieces, as several peers would send them.
  for (std::size_t at = 0; at + 128 <= blocks.size(); at += 128) random.shuffle(std::span(blocks).subspan(at, 128));
  std::size_t right = 0;
  for (std::size_t at = 0; at < blocks.size() || !t.queue.idle();) {
    for (int i = 0; i < 40 && at < blocks.size(); ++i, ++at) t.add(blocks[at].first, blocks[at].second);
    auto a = t.queue.next_job();
    auto b = t.queue.next_job();
    std::thread worker([&] {
      if (b) b->run();
    });
    if (a) a->run();
    worker.join();
    for (auto* job : {&a, &b}) {
      if (!*job) continue;
      const auto result = t.queue.done(std::move(*job));
      REQUIRE(result);
      REQUIRE(result->outcome != Outcome::wrong);
      right += result->outcome == Outcome::right;
    }
  }
  CHECK(right == pieces);
  CHECK(slurp(t.storage->part_path()) == t.sample.file(0));
}

TEST_CASE("padding that is sent as something else counts as the zeros it is read as") {
  Setup t(make_sample({{.path = "a", .length = 10'000},
                       {.path = ".pad/1", .length = 55'536, .pad = true},
                       {.path = "b", .length = 70'000}},
                      64 * 1024, true));
  Buffer sent = to_buffer(t.sample.piece(0));
  std::fill(sent.begin() + 20'000, sent.end(), std::uint8_t{0xaa});
  add_piece(t.queue, 0, sent);
  CHECK(t.run_one()->outcome == Outcome::right);
  CHECK(read_all(*t.storage, 0, 64 * 1024) == std::string(as_text(t.sample.piece(0))));
  CHECK_FALSE(fs::exists(t.folder / "x.part/.pad"));
}

TEST_CASE("speed of one worker, in order" * doctest::skip(std::getenv("SWARM_SPEED") == nullptr)) {
  const std::size_t bytes = 256u << 20;
  Setup t(single(bytes, 1u << 20));
  const auto owner = std::make_shared<int>(0);
  std::vector<BlockPart> parts;
  const auto start = std::chrono::steady_clock::now();
  for (std::uint32_t p = 0; p < t.sample.info->piece_count(); ++p) {
    for (std::uint32_t b = 0; b < 64; ++b) {
      parts.assign({{owner, t.sample.piece(p).subspan(b * block_bytes, block_bytes)}});
      t.queue.add({PieceIndex{p}, b * block_bytes, block_bytes}, std::span(parts));
      if (b % 16 == 15) REQUIRE(t.run_one());
    }
  }
  const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MESSAGE("PieceQueue, one worker: " << static_cast<int>(static_cast<double>(bytes) / s / 1e6) << " MB/s");
}
