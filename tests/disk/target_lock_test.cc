#include "disk/target_lock.hh"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "disk/folder.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

TEST_CASE("a target has one owner, who is named to the second, and whose lock goes with it") {
  const Folder folder;
  const auto target = folder / "big.bin";
  {
    auto first = TargetLock::take(target);
    REQUIRE(first.has_value());
    CHECK(first->held());
    CHECK(fs::exists(target + ".lock"));
    const auto second = TargetLock::take(target);
    REQUIRE(!second.has_value());
    CHECK(second.error().exit == Exit::disk);
    CHECK(second.error().code == "busy");
    CHECK(second.error().message == target + " is being fetched by process " + std::to_string(::getpid()));
    CHECK(TargetLock::take(target + "2")->held());
  }
  CHECK(fs::is_empty(folder.path()));
  CHECK(TargetLock::take(target)->held());
}

TEST_CASE("a lock that a killed process left holds nobody back, and goes in the end") {
  const Folder folder;
  const auto target = folder / "big.bin";
  const auto child = ::fork();
  if (child == 0) {
    auto lock = TargetLock::take(target);
    ::_exit(lock && lock->held() ? 0 : 1);  // no destructor runs
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  REQUIRE(fs::exists(target + ".lock"));
  CHECK(TargetLock::take(target)->held());
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("what the file says of its owner is not trusted with the terminal") {
  const Folder folder;
  const auto target = folder / "big.bin";
  auto first = TargetLock::take(target);
  REQUIRE(first.has_value());
  std::ofstream(target + ".lock") << "12\x1b[31m otherhost\n";
  CHECK(TargetLock::take(target).error().message.find("\x1b") == std::string::npos);
  CHECK(TargetLock::take(target).error().message.find("on otherhost") != std::string::npos);
  std::ofstream(target + ".lock") << "";
  CHECK(TargetLock::take(target).error().message == target + " is being fetched by another process");
  std::ofstream(target + ".lock") << std::string(5000, 'x');
  CHECK(TargetLock::take(target).error().message == target + " is being fetched by another process");
}

TEST_CASE("where no lock can be made there is none, and no error") {
  const Folder folder;
  CHECK(!TargetLock::take(folder / "no/such/folder")->held());
  fs::create_symlink("elsewhere", folder / "a.lock");
  CHECK(!TargetLock::take(folder / "a")->held());
  CHECK(!fs::exists(folder / "elsewhere"));
}

TEST_CASE("many that come and go at once never hold it together") {
  const Folder folder;
  const auto target = folder / "big.bin";
  std::atomic<int> inside{0}, most{0}, times{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        auto lock = TargetLock::take(target);
        if (!lock || !lock->held()) continue;
        const int now = ++inside;
        if (now > most) most = now;
        ++times;
        --inside;
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK(most == 1);
  CHECK(times > 100);
  CHECK(fs::is_empty(folder.path()));
}
