#include "disk/open_budget.hh"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "disk/descriptor.hh"
#include "disk/folder.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

StorageOptions options(bool writable, const std::shared_ptr<OpenBudget>& budget) {
  StorageOptions o;
  o.writable = writable;
  o.budget = budget;
  return o;
}

/// The torrent `n` of many: every other one is a folder of three files.
Sample sample(std::size_t n) {
  if (n % 2 == 0) return single(5'000, 16'384, n + 1);
  return make_sample({{.path = "a", .length = 1'000}, {.path = "b/c", .length = 2'000}, {.path = "d", .length = 300}},
                     16'384, true, n + 1);
}

/// Many torrents, written, and closed again.
struct Shelf {
  explicit Shelf(std::size_t count) {
    for (std::size_t n = 0; n < count; ++n) {
      samples.push_back(sample(n));
      const auto storage = Storage::create(samples[n].info, path(n));
      REQUIRE(write_all(*storage, 0, samples[n].content));
      REQUIRE(storage->finish());
    }
  }
  std::string path(std::size_t n) const { return folder / fmt::format("t{}", n); }
  std::vector<std::shared_ptr<Storage>> seeds(const std::shared_ptr<OpenBudget>& budget) const {
    std::vector<std::shared_ptr<Storage>> out;
    for (std::size_t n = 0; n < samples.size(); ++n) {
      out.push_back(Storage::create(samples[n].info, path(n), options(false, budget)));
    }
    return out;
  }
  bool reads(Storage& seed, std::size_t n) const {
    const auto text = read_all(seed, 0, samples[n].content.size());
    return text && *text == as_text(samples[n].content);
  }

  Folder folder;
  std::vector<Sample> samples;
};

}  // namespace

TEST_CASE("budget: who was used longest ago lets go, until it fits") {
  const auto budget = std::make_shared<OpenBudget>(10);
  std::string order;
  bool b_busy = false;
  OpenBudget::Share a(budget, [&]() -> std::optional<std::size_t> { return order += 'a', 0; });
  OpenBudget::Share b(budget, [&]() -> std::optional<std::size_t> {
    order += 'b';
    return b_busy ? std::nullopt : std::optional<std::size_t>(1);  // keeps one that it cannot open again
  });
  {
    OpenBudget::Share c(budget, [&]() -> std::optional<std::size_t> { return order += 'c', 0; });
    a.holds(4);
    b.holds(4);
    c.holds(2);
    CHECK(order.empty());
    CHECK(budget->held() == 10);
    a.holds(4);
    c.holds(4);  // b is the oldest now
    CHECK(order == "b");
    CHECK(budget->held() == 9);
    c.holds(10);  // b gives what it can, which is nothing more, and a all
    CHECK(order == "bba");
    CHECK(budget->held() == 11);
  }
  CHECK(budget->held() == 1);
  b_busy = true;
  a.holds(30);
  CHECK(order == "bbab");
  CHECK(budget->held() == 31);  // nobody waits for one that is busy, and nobody closes his own
  b_busy = false;
  a.let_others_go();
  CHECK(order == "bbabb");
}

TEST_CASE("budget: a hundred seeds are read by the descriptors of a few") {
  const Shelf shelf(100);
  const auto budget = std::make_shared<OpenBudget>(8);
  const auto before = open_descriptors();
  auto seeds = shelf.seeds(budget);
  std::size_t most = 0;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t n = 0; n < seeds.size(); ++n) {
      REQUIRE(shelf.reads(*seeds[n], n));
      REQUIRE(seeds[n]->stamps());
      most = std::max(most, open_descriptors() - before);
    }
  }
  CHECK(most > 1);
  CHECK(most <= 8);
  CHECK(budget->held() == open_descriptors() - before);
  seeds.clear();
  CHECK(budget->held() == 0);
  CHECK(open_descriptors() == before);
}

TEST_CASE("budget: workers that read many seeds at once keep to it, but for what each has in its hands") {
  constexpr std::size_t threads = 4;
  const Shelf shelf(40);
  const auto budget = std::make_shared<OpenBudget>(8);
  const auto before = open_descriptors();
  auto seeds = shelf.seeds(budget);
  std::atomic<std::size_t> wrong = 0, most = 0;
  std::vector<std::thread> workers;
  for (std::size_t t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      Random random(t + 1);
      for (int i = 0; i < 1'500; ++i) {
        const auto n = static_cast<std::size_t>(random.below(seeds.size()));
        if (!shelf.reads(*seeds[n], n)) ++wrong;
        auto seen = most.load();
        for (const auto now = budget->held(); now > seen && !most.compare_exchange_weak(seen, now);) {
        }
      }
    });
  }
  for (auto& worker : workers) worker.join();
  CHECK(wrong == 0);
  CHECK(most <= 8 + threads * 5);  // a folder's: base, top, three files
  REQUIRE(shelf.reads(*seeds[0], 0));
  CHECK(open_descriptors() - before <= 8);
}

TEST_CASE("budget: downloads give their files, keep their folders, and lose nothing") {
  constexpr std::size_t count = 12;
  const Folder folder;
  const auto budget = std::make_shared<OpenBudget>(count * 2 + 2);
  std::vector<Sample> samples;
  std::vector<std::shared_ptr<Storage>> downloads;
  const auto before = open_descriptors();
  for (std::size_t n = 0; n < count; ++n) {
    samples.push_back(sample(n));
    downloads.push_back(Storage::create(samples[n].info, folder / fmt::format("t{}", n), options(true, budget)));
  }
  for (std::size_t at = 0; at < 5'000; at += 100) {  // a little of each in turn
    for (std::size_t n = 0; n < count; ++n) {
      if (at >= samples[n].content.size()) continue;
      REQUIRE(write_all(*downloads[n], at, ByteView(samples[n].content).subspan(at, 100)));
      CHECK(open_descriptors() - before <= count * 2 + 2);
      if (at % 1'000 == 0) REQUIRE(downloads[n]->sync());
    }
  }
  for (std::size_t n = 0; n < count; ++n) {
    REQUIRE(downloads[n]->finish());
    CHECK(read_all(*downloads[n], 0, samples[n].content.size()) == std::string(as_text(samples[n].content)));
  }
}

TEST_CASE("budget: what changed while a seed had let go is found out, and a folder put in its place is read as it is") {
  const Shelf shelf(2);
  const auto budget = std::make_shared<OpenBudget>(2);
  const auto seeds = shelf.seeds(budget);
  REQUIRE(shelf.reads(*seeds[1], 1));
  const auto stamps = seeds[1]->stamps();
  REQUIRE(shelf.reads(*seeds[0], 0));  // takes the descriptors of the other
  fs::rename(shelf.path(1), shelf.path(1) + ".old");
  CHECK(read_all(*seeds[1], 0, 10).error().code == "changed");
  fs::copy(shelf.path(1) + ".old", shelf.path(1), fs::copy_options::recursive);
  CHECK(shelf.reads(*seeds[1], 1));
  const auto now = seeds[1]->stamps();
  REQUIRE((stamps && now));
  CHECK(*now != *stamps);  // so that the driver stops sharing it
}

TEST_CASE("budget: a process without any descriptor left takes those of other storages") {
  const Shelf shelf(10);
  const auto budget = std::make_shared<OpenBudget>(1'000);
  const auto seeds = shelf.seeds(budget);
  for (std::size_t n = 0; n < 9; ++n) REQUIRE(shelf.reads(*seeds[n], n));
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = open_descriptors() + 20;
  ::setrlimit(RLIMIT_NOFILE, &low);
  std::vector<Descriptor> eaten;
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) eaten.emplace_back(fd);
  const bool read = shelf.reads(*seeds[9], 9);
  eaten.clear();
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(read);
  for (std::size_t n = 0; n < 10; ++n) CHECK(shelf.reads(*seeds[n], n));
}
