#include "cli/spool.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

using namespace swarm;
using namespace swarm::cli;

namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() {
    std::string name = "/tmp/swarm-spools-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  Environment environment() const {
    return [p = path](const std::string& name) { return name == "TMPDIR" ? std::optional(p) : std::nullopt; };
  }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
  std::string path;
};

}  // namespace

TEST_CASE("a spool is private, has a name of its own, and goes with all that is in it") {
  const Folder folder;
  {
    const auto a = Spool::create(folder.environment()), b = Spool::create(folder.environment());
    REQUIRE((a && b));
    CHECK((*a)->path() != (*b)->path());
    struct stat s {};
    REQUIRE(::stat((*a)->path().c_str(), &s) == 0);
    CHECK((s.st_mode & 07777) == 0700);
    fs::create_directories((*a)->path() + "/deep/er");
    std::ofstream((*a)->path() + "/deep/er/file") << "x";
    fs::create_symlink(folder.path, (*a)->path() + "/link");
    CHECK(folder.entries() == 2);
  }
  CHECK(folder.entries() == 0);
  CHECK(fs::exists(folder.path));  // the link was not followed
}

TEST_CASE("a folder that may not be written, or is none, is said with what to do") {
  const auto spool = Spool::create([](const std::string&) { return std::optional<std::string>("/proc/nowhere"); });
  REQUIRE(!spool);
  CHECK(spool.error().exit == Exit::disk);
  CHECK(spool.error().message.find("/proc/nowhere") != std::string::npos);
  CHECK(spool.error().hint.find("TMPDIR") != std::string::npos);
}

TEST_CASE("what a killed program left goes after a minute; what is in use, or is no spool, stays") {
  const Folder folder;
  const auto child = ::fork();
  if (child == 0) {
    const auto spool = Spool::create(folder.environment());
    ::_exit(spool ? 0 : 1);  // no destructor runs
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  const auto in_use = Spool::create(folder.environment());
  CHECK(folder.entries() == 2);
  std::ofstream(folder.path + "/swarm-spool-file") << "a file of that name";
  fs::create_directory(folder.path + "/other");
  fs::create_directory_symlink(folder.path + "/other", folder.path + "/swarm-spool-link");
  { const auto spool = Spool::create(folder.environment()); }
  CHECK(folder.entries() == 5);  // too young to go
  { const auto spool = Spool::create(folder.environment(), std::chrono::seconds(0)); }
  CHECK(folder.entries() == 4);
  CHECK(fs::exists((*in_use)->path()));
}
