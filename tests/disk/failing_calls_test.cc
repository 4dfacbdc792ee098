// Every system call of a small download fails once (THREATS.md, row 15): it ends with a clear error, exit 7, or not at
// all; nothing that was verified is lost; the same command, run again, ends well.
#include "support/failing_calls.hh"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>

#include "disk/download.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;
using swarm::test::FailingCalls;

namespace {

constexpr std::uint32_t piece_bytes = 16384;

struct Scene {
  const char* name;
  Sample sample;
  StorageOptions options = {};
  std::function<void(const Scene&, const std::string& target)> before = {};  ///< what earlier runs did
  std::set<std::size_t> expected = {};                                       ///< files that are there at the end
};

std::vector<FileSpec> some_files() {
  return {{.path = "a", .length = 2 * piece_bytes + 700},
          {.path = "d/b", .length = piece_bytes},
          {.path = "d/empty", .length = 0},
          {.path = "d/e/run", .length = 900, .executable = true},
          {.path = "z", .length = piece_bytes}};
}

std::vector<Scene> scenes() {
  std::vector<Scene> list;
  list.push_back({.name = "one file", .sample = single(3 * piece_bytes + 5, piece_bytes), .expected = {0}});
  list.push_back({.name = "a folder",
                  .sample = make_sample(some_files(), piece_bytes, true),
                  .options = {.open_files_max = 2},
                  .expected = {0, 1, 2, 3, 4}});
  list.push_back({.name = "a folder that was stopped cleanly",
                  .sample = make_sample(some_files(), piece_bytes, true),
                  .before =
                      [](const Scene& s, const std::string& target) {
                        Download d{.sample = s.sample, .target = target, .pieces_max = 3, .stop_cleanly = true};
                        REQUIRE(d.run());
                      },
                  .expected = {0, 1, 2, 3, 4}});
  std::vector<FileSpec> many;
  for (int i = 0; i < 64; ++i) many.push_back({.path = fmt::format("{}/{}", i / 32, i), .length = 100});
  std::set<std::size_t> all;
  for (std::size_t i = 0; i < many.size(); ++i) all.insert(i);
  list.push_back({.name = "so many files that one sync is for all of them",
                  .sample = make_sample(many, piece_bytes, true),
                  .expected = all});
  list.push_back({.name = "chosen files",
                  .sample = make_sample(some_files(), piece_bytes, true),
                  .options = {.files = {false, true, true, false, false}},
                  .expected = {1, 2}});
  list.push_back({.name = "more files into the folder of an earlier run",
                  .sample = make_sample(some_files(), piece_bytes, true),
                  .options = {.files = {true, false, false, true, false}},
                  .before =
                      [](const Scene& s, const std::string& target) {
                        StorageOptions first;
                        first.files = {false, true, false, false, false};
                        REQUIRE(Download{.sample = s.sample, .target = target, .options = first}.run());
                      },
                  .expected = {0, 1, 3}});
  list.push_back({.name = "a folder that is replaced",
                  .sample = make_sample(some_files(), piece_bytes, true),
                  .options = {.replace = true},
                  .before =
                      [](const Scene&, const std::string& target) {
                        fs::create_directories(target + "/d");
                        spew(target + "/d/b", "old");
                      },
                  .expected = {0, 1, 2, 3, 4}});
  return list;
}

struct Mode {
  const char* name;
  int error;
  bool from_then_on;
};
std::vector<Mode> modes() {
  std::vector<Mode> list = {{"EIO", EIO, false}, {"ENOSPC", ENOSPC, false}, {"EIO from then on", EIO, true}};
  if (std::getenv("SWARM_BIG") != nullptr) {
    list.insert(list.end(),
                {{"EACCES", EACCES, false}, {"EMFILE", EMFILE, false}, {"ENOSPC from then on", ENOSPC, true}});
  }
  return list;
}

bool all_there(const Scene& scene, const std::string& target) {
  for (const std::size_t i : scene.expected) {
    std::string path = target;
    for (const auto& element : scene.sample.info->files[i].path) {
      if (scene.sample.info->folder) path += '/' + element;
    }
    if (!fs::exists(path) || slurp(path) != scene.sample.file(i)) return false;
  }
  return true;
}

Download download(const Scene& scene, const std::string& target) {
  return {.sample = scene.sample, .target = target, .options = scene.options, .save_every = 2};
}

/// What is wrong with how the n-th call's failure was met; nothing when all is as it should be.
std::string violation(const Scene& scene, const Mode& mode, std::size_t nth, std::string& failed) {
  const Folder folder;
  const std::string target = folder / "x";
  if (scene.before) scene.before(scene, target);
  Download first = download(scene, target);
  Result<void> done;
  {
    FailingCalls calls(nth, mode.error, mode.from_then_on);
    done = first.run();
    failed = calls.failed();
  }
  if (done) {
    const bool is_sync = failed == "fdatasync" || failed == "fsync" || failed == "syncfs";
    if (is_sync && first.finished) return failed + " failed and nobody noticed";
    if (!all_there(scene, target)) return "said to be done, and is not";
  } else {
    if (done.error().exit != Exit::disk) {
      return fmt::format("exit {}: {}", static_cast<int>(done.error().exit), done.error().message);
    }
    if (done.error().message.size() < 10) return "an error without a text";
    if (mode.error == ENOSPC && done.error().code == "permission") return "called a question of permission";
  }
  first.storage.reset();
  Download second = download(scene, target);
  if (const auto again = second.run(); !again) return "the same command fails: " + again.error().message;
  if (!all_there(scene, target)) return "the same command does not end well";
  // Files that were moved into a folder which is being replaced look like any that are to be replaced.
  for (std::uint32_t p = 0; !done && !scene.options.replace && p < first.verified.size(); ++p) {
    if (first.verified[std::size_t{p}] && !second.found_pieces[std::size_t{p}]) return fmt::format("piece {} lost", p);
  }
  if (fs::exists(target + ".part") && failed != "unlinkat" && !mode.from_then_on) return "a .part was left";
  return {};
}

struct Tally {
  std::size_t cases = 0, expected = 0, failures_met = 0;
  std::vector<std::string> violations = {};
  std::map<std::string, std::size_t> by_call = {};
};

Tally try_all(const Scene& scene) {
  std::vector<std::string> names;
  {
    const Folder folder;
    if (scene.before) scene.before(scene, folder / "x");
    const FailingCalls calls;
    REQUIRE(download(scene, folder / "x").run());
    names = calls.calls();
  }
  Tally tally;
  for (const Mode& mode : modes()) {
    tally.expected += names.size();
    for (std::size_t n = 1; n <= names.size(); ++n, ++tally.cases) {
      std::string failed;
      const std::string wrong = violation(scene, mode, n, failed);
      if (!wrong.empty()) {
        tally.violations.push_back(fmt::format("{}, call {} ({}), {}: {}", scene.name, n, failed, mode.name, wrong));
      }
      if (!failed.empty()) ++tally.failures_met;
      ++tally.by_call[failed];
    }
  }
  return tally;
}

}  // namespace

TEST_CASE("every system call of a download fails once: a clear error or success, nothing lost, and it resumes") {
  std::size_t cases = 0;
  std::map<std::string, std::size_t> by_call;
  for (const Scene& scene : scenes()) {
    const Tally tally = try_all(scene);
    for (const auto& wrong : tally.violations) CHECK_MESSAGE(false, wrong);
    CHECK(tally.cases == tally.expected);
    CHECK(tally.failures_met == tally.expected);  // the n-th call is the same one each time
    cases += tally.cases;
    for (const auto& [call, count] : tally.by_call) by_call[call] += count;
  }
  MESSAGE(cases, " failing calls");
  CHECK(cases > 2000);
  for (const std::string call :
       {"openat", "pwritev", "preadv", "fdatasync", "fsync", "syncfs", "fstat", "fstatat", "fstatvfs", "lseek",
        "fchmod", "mkdirat", "unlink", "unlinkat", "renameat", "renameat2"}) {
    CHECK_MESSAGE(by_call[call] > 0, call, " never failed");
  }
}

TEST_CASE("a file system without RENAME_NOREPLACE: the names are given all the same, and nothing is ever replaced") {
  for (const Scene& scene : scenes()) {
    if (scene.options.replace) continue;
    for (const bool taken : {false, true}) {
      const Folder folder;
      const std::string target = folder / "x";
      if (scene.before) scene.before(scene, target);
      const std::string clash = fs::exists(target) ? target + "/a" : target;
      Download get = download(scene, target);
      get.names = false;
      FailingCalls calls("renameat2", EINVAL);
      REQUIRE(get.run());
      CHECK(calls.failed().empty());
      if (taken) spew(clash, "mine");
      const auto path = get.storage->finish();
      if (taken) {
        REQUIRE_FALSE(path);
        CHECK(path.error().code == "exists");
        CHECK(slurp(clash) == "mine");
        fs::remove(clash);
        CHECK(get.storage->finish());  // nothing was lost by it
      }
      CHECK_MESSAGE(all_there(scene, target), scene.name);
      CHECK_FALSE(fs::exists(target + ".part"));
    }
  }
}

TEST_CASE("canary: a storage that ignores what fdatasync says is caught") {
  Scene scene{.name = "canary", .sample = single(3 * piece_bytes + 5, piece_bytes), .expected = {0}};
  scene.options.fdatasync = [](int fd) {
    (void)::fdatasync(fd);
    return 0;
  };
  const Tally tally = try_all(scene);
  CHECK(tally.cases == tally.expected);
  CHECK(std::any_of(tally.violations.begin(), tally.violations.end(), [](const std::string& text) {
    return text.find("fdatasync failed and nobody noticed") != std::string::npos;
  }));
}
