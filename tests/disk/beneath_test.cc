#include "disk/beneath.hh"

#include <doctest/doctest.h>

#include <array>
#include <cerrno>

#include "disk/folder.hh"

using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

/// errno of opening, 0 when it opened.
int try_open(int folder, const std::string& path, int flags, Resolve resolve) {
  return open_beneath(folder, path, flags, 0644, resolve) ? 0 : errno;
}

}  // namespace

TEST_CASE("open_beneath: the kernel's way and the walk open the same and refuse the same") {
  const Folder outer;
  fs::create_directories(outer / "save/a/b");
  spew(outer / "save/a/b/file", "inside");
  spew(outer / "canary", "outside");
  fs::create_symlink("../canary", outer / "save/link-out");
  fs::create_symlink("a", outer / "save/link-in");
  fs::create_symlink("file", outer / "save/a/b/link-file");
  ::mkfifo((outer / "save/fifo").c_str(), 0644);
  const Descriptor save(::open((outer / "save").c_str(), O_PATH | O_DIRECTORY));
  REQUIRE(save);

  for (const Resolve resolve : {Resolve::by_kernel, Resolve::by_walk}) {
    CAPTURE(static_cast<int>(resolve));
    const auto open = [&](const std::string& path, int flags) { return try_open(save.get(), path, flags, resolve); };
    CHECK(open("a/b/file", O_RDONLY) == 0);
    CHECK(open("a//b/./file", O_RDONLY) == 0);
    CHECK(open(".", O_RDONLY | O_DIRECTORY) == 0);
    CHECK(open("a/b", O_PATH | O_DIRECTORY) == 0);
    CHECK(open("a/b/file", O_PATH) == 0);
    CHECK(open("a/b/new", O_RDWR | O_CREAT | O_EXCL) == 0);
    fs::remove(outer / "save/a/b/new");
    CHECK(open("fifo", O_RDWR) == 0);  // and does not wait for anybody
    CHECK(open("a/b/none", O_RDONLY) == ENOENT);
    CHECK(open("none/file", O_RDONLY) == ENOENT);
    CHECK(open("a/b/file/x", O_RDONLY) == ENOTDIR);
    CHECK(open("a/b/file", O_PATH | O_DIRECTORY) == ENOTDIR);
    for (const int flags : {O_RDONLY, O_RDWR, O_PATH, O_RDWR | O_CREAT, O_PATH | O_DIRECTORY, O_RDONLY | O_DIRECTORY}) {
      CHECK(open("link-out", flags) == ELOOP);
      CHECK(open("link-in/b/file", flags) == ELOOP);
      CHECK(open("a/b/link-file", flags) == ELOOP);
      CHECK(open("../canary", flags) == EXDEV);
      CHECK(open("a/../../canary", flags) == EXDEV);
      CHECK(open("a/..", flags) == EXDEV);
      CHECK(open(outer / "canary", flags) == EXDEV);
      CHECK(open("", flags) == EXDEV);
    }
  }
  CHECK(slurp(outer / "canary") == "outside");
}

TEST_CASE("open_beneath: a path longer than PATH_MAX is opened in steps, with no link among them") {
  const Folder outer;
  std::string path;
  const std::string element(200, 'd');
  Descriptor at(::open(outer.path().c_str(), O_PATH | O_DIRECTORY));
  const Descriptor top(::open(outer.path().c_str(), O_PATH | O_DIRECTORY));
  for (int i = 0; i < 60; ++i) {
    REQUIRE(::mkdirat(at.get(), element.c_str(), 0755) == 0);
    at = open_beneath(at.get(), element, O_PATH | O_DIRECTORY);
    path += element + '/';
  }
  for (const Resolve resolve : {Resolve::by_kernel, Resolve::by_walk}) {
    CHECK(try_open(top.get(), path + "file", O_RDWR | O_CREAT, resolve) == 0);
    CHECK(try_open(top.get(), path + "none", O_RDWR, resolve) == ENOENT);
  }
  CHECK(try_open(top.get(), std::string(5000, 'x'), O_RDONLY, Resolve::by_kernel) == ENAMETOOLONG);
  CHECK(try_open(top.get(), "none/" + path + "file", O_RDONLY, Resolve::by_kernel) == ENOENT);
  REQUIRE(::symlinkat(element.c_str(), top.get(), "link") == 0);
  CHECK(try_open(top.get(), "link/" + path.substr(element.size() + 1) + "file", O_RDONLY, Resolve::by_kernel) == ELOOP);
}

TEST_CASE("canary: plain openat would have followed the link") {
  const Folder outer;
  fs::create_directory(outer / "save");
  spew(outer / "canary", "outside");
  fs::create_symlink("../canary", outer / "save/link");
  const Descriptor save(::open((outer / "save").c_str(), O_PATH | O_DIRECTORY));
  const Descriptor followed(::openat(save.get(), "link", O_RDONLY | O_CLOEXEC));
  CHECK(followed);
  CHECK_FALSE(open_beneath(save.get(), "link", O_RDONLY));
}

TEST_CASE("IovCursor: windows, zeros and empty entries") {
  char a[4] = {1, 1, 1, 1}, b[3] = {2, 2, 2};
  const std::vector<iovec> list = {{a, 4}, {nullptr, 0}, {b, 3}};
  IovCursor cursor(list);
  std::array<iovec, IovCursor::window_max> window;
  CHECK(cursor.window(window, 100) == 2);
  CHECK(cursor.window(window, 3) == 1);
  CHECK(window[0].iov_len == 3);
  cursor.advance(3);
  cursor.zero(2);
  CHECK(a[3] == 0);
  CHECK(b[0] == 0);
  CHECK(b[1] == 2);
  CHECK(cursor.window(window, 100) == 1);
  CHECK(window[0].iov_len == 2);
  cursor.zero(50);
  CHECK(b[2] == 0);
  CHECK(cursor.window(window, 100) == 0);
  CHECK(split_path("a/b/c") == std::pair<std::string, std::string>{"a/b", "c"});
  CHECK(split_path("/c") == std::pair<std::string, std::string>{"/", "c"});
  CHECK(split_path("c") == std::pair<std::string, std::string>{".", "c"});
}
