// Many files, and files that change while they are served: what must stay linear stays so, and nothing is made up.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "disk/download.hh"
#include "disk/sources.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

/// Milliseconds of this process's work, not of the clock on the wall: the machine may be busy.
template <class F>
double cpu_ms(F f) {
  const std::clock_t start = std::clock();
  f();
  return 1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

/// Milliseconds are promised for a release only.
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__)
constexpr bool release = false;
#elif defined(__has_feature)
constexpr bool release = !__has_feature(address_sanitizer);
#else
constexpr bool release = true;
#endif

Sample many_files(std::size_t count, std::uint64_t length = 10) {
  std::vector<FileSpec> files;
  for (std::size_t i = 0; i < count; ++i) {
    files.push_back({.path = fmt::format("folder {}/{}/file {}", i % 100, i / 100 % 100, i), .length = length});
  }
  return make_sample(files, 16384, true);
}

}  // namespace

TEST_CASE("10,000 files: written, found again, named and served again, each step in linear time") {
  struct Times {
    double write, resume, finish, look, choose;
  };
  const auto times = [](std::size_t count) {
    const Sample s = many_files(count);
    const Folder folder;
    Times t{};
    auto storage = Storage::create(s.info, folder / "top");
    t.write = cpu_ms([&] { REQUIRE(write_all(*storage, 0, s.content)); });
    storage.reset();
    t.resume = cpu_ms([&] {
      storage = Storage::create(s.info, folder / "top");
      CHECK(find_progress(*storage, *s.info).unchecked.size() == s.info->piece_count());
      CHECK(storage->check_space());
    });
    t.finish = cpu_ms([&] { REQUIRE(storage->finish()); });
    t.look = cpu_ms([&] {
      const auto seed = Storage::create(s.info, folder / "top", {.writable = false});
      CHECK(seed->stamps()->size() == count);
      Verifier verifier(seed, s.info);
      const std::atomic<bool> cancel = false;
      REQUIRE(verifier.work(cancel));
      CHECK(verifier.right().all());
    });
    t.choose = cpu_ms([&] {
      StorageOptions options;
      options.files.assign(count, false);
      for (std::size_t i = 0; i < count; i += 2) options.files[i] = true;
      const auto half = Storage::create(s.info, folder / "half", options);
      CHECK(half->wanted().all());
      CHECK(half->check_space());
      REQUIRE(write_all(*half, 0, s.content));
      REQUIRE(half->finish());
    });
    MESSAGE(fmt::format("{} files: write {:.0f}, resume {:.0f}, finish {:.0f}, verify {:.0f}, half of them {:.0f} ms",
                        count, t.write, t.resume, t.finish, t.look, t.choose));
    return t;
  };
  const Times small = times(1250), large = times(10'000);
  // 8 times the work: linear takes 8 times as long, quadratic 64 times.
  const auto linear = [](double a, double b) { return b < 24 * std::max(a, 2.0); };
  CHECK(linear(small.write, large.write));
  CHECK(linear(small.resume, large.resume));
  CHECK(linear(small.finish, large.finish));
  CHECK(linear(small.look, large.look));
  CHECK(linear(small.choose, large.choose));
  if (release) CHECK(large.resume < 1000);
  if (release) CHECK(large.look < 1000);
}

TEST_CASE("a million files: read, named and chosen from in 3 s") {
  wire::NewInfo fresh;
  fresh.name = "top";
  fresh.folder = true;
  fresh.piece_bytes = 1 << 20;
  for (int i = 0; i < 1'000'000; ++i) {
    fresh.files.push_back({.path = {fmt::format("{:06}", i)}, .length = 3});
  }
  fresh.pieces.resize(3);
  const Buffer bytes = wire::write_info(fresh);
  fresh = {};
  std::size_t wanted = 0;
  const double ms = cpu_ms([&] {
    auto info = wire::parse_info(bytes, "a million files");
    REQUIRE(info);
    const auto shared = std::make_shared<const wire::Metainfo>(std::move(*info));
    StorageOptions options;
    options.files.assign(1'000'000, false);
    options.files.back() = true;
    const Folder folder;
    const auto storage = Storage::create(shared, folder / "top", options);
    wanted = storage->wanted().count();
    CHECK(storage->place() == Place::nothing);
    CHECK(storage->check_space());
  });
  MESSAGE(fmt::format("a million files: {:.0f} ms", ms));
  CHECK(wanted == 1);
  if (release) CHECK(ms < 3000);
}

TEST_CASE("a seed's file changes at the k-th read: right bytes, or an error with exit 6; and the stamps always tell") {
  enum class Change { truncated, replaced, removed, rewritten, grown, folder, link };
  const std::size_t places = std::getenv("SWARM_BIG") != nullptr ? 1000 : 24;
  std::size_t cases = 0, refused = 0, right = 0;
  const Sample s = make_sample({{.path = "a", .length = 40'000}, {.path = "b", .length = 90'000}}, 16384, true);
  for (const Change change : {Change::truncated, Change::replaced, Change::removed, Change::rewritten, Change::grown,
                              Change::folder, Change::link}) {
    for (std::size_t k = 0; k < places; ++k, ++cases) {
      const Folder folder;
      Random random(1 + k);
      fs::create_directory(folder / "top");
      spew(folder / "top/a", s.file(0));
      spew(folder / "top/b", s.file(1));
      const auto seed = Storage::create(s.info, folder / "top", {.writable = false, .open_files_max = 1 + k % 2});
      const auto before = seed->stamps();
      REQUIRE(before);
      settle(*before, std::chrono::milliseconds(100));
      const std::string path = folder / (k % 3 == 0 ? "top/a" : "top/b");
      const std::string text = slurp(path);
      for (std::size_t i = 0; i < 8; ++i) {
        if (i == k % 8) {
          switch (change) {
            case Change::truncated:
              REQUIRE(::truncate(path.c_str(), static_cast<off_t>(random.below(text.size()))) == 0);
              break;
            case Change::replaced:
              spew(folder / "other", std::string(text.size(), 'x'));
              fs::rename(folder / "other", path);
              break;
            case Change::removed:
              fs::remove(path);
              break;
            case Change::rewritten:
              spew(path, std::string(text.size(), 'x'));
              break;
            case Change::grown:
              std::ofstream(path, std::ios::app) << "more";
              break;
            case Change::folder:
              fs::remove(path);
              fs::create_directory(path);
              break;
            case Change::link:
              fs::rename(path, folder / "elsewhere");
              fs::create_symlink("../elsewhere", path);
              break;
          }
        }
        const std::size_t at = random.below(s.content.size() - 1), length = 1 + random.below(s.content.size() - at);
        const auto read = read_all(*seed, at, length);
        if (!read) {
          CHECK(read.error().exit == Exit::integrity);
          CHECK(read.error().code == "changed");
          CHECK(i >= k % 8);
          ++refused;
        } else if (*read == as_text(s.content).substr(at, length)) {
          ++right;
        } else {
          // Only what was put there by the very change can be read instead, until somebody looks at the stamps.
          CHECK((change == Change::rewritten || change == Change::replaced));
        }
      }
      const auto after = seed->stamps();
      REQUIRE(after);
      CHECK(*after != *before);
    }
  }
  CHECK(cases == 7 * places);
  CHECK(refused > places);
  CHECK(right > places);
}
