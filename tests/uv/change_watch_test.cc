#include "uv/change_watch.hh"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "support.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

/// A folder of so many small files as a seed has them.
ChangeWatch::Files folder_of(const std::string& path, std::size_t count) {
  std::filesystem::create_directory(path);
  auto info = std::make_shared<wire::Metainfo>();
  info->folder = true;
  info->piece_bytes = 16384;
  for (std::size_t i = 0; i < count; ++i) {
    std::ofstream(path + '/' + std::to_string(i)) << "content";
    info->files.push_back({.path = {std::to_string(i)}, .length = 7, .pad = false, .executable = false});
    info->bytes_total += 7;
  }
  info->pieces.resize(static_cast<std::size_t>((info->bytes_total + 16383) / 16384));
  const auto storage = disk::Storage::create(info, path, {.writable = false});
  auto stamps = storage->stamps();
  REQUIRE(stamps);
  return {storage, std::make_shared<const std::vector<disk::FileStamp>>(std::move(*stamps))};
}

}  // namespace

TEST_CASE("changes: all files are looked at, so many at a time, and each change is seen") {
  const auto loop = make_loop();
  const TempFolder folder;
  Workers workers(*loop);
  const std::size_t half = ChangeWatch::files_max / 2;
  std::vector<ChangeWatch::Files> torrents = {folder_of(folder.path("a"), half + 100),
                                              {},  // a magnet link, or one that is not watched
                                              folder_of(folder.path("b"), half + 100),
                                              folder_of(folder.path("c"), 1),
                                              folder_of(folder.path("d"), ChangeWatch::files_max + 1)};
  std::vector<std::size_t> asked;
  std::multiset<std::size_t> changed;
  ChangeWatch watch(*loop, workers, 1ms,
                    {.torrents = [&] { return torrents.size(); },
                     .files =
                         [&](std::size_t i) {
                           asked.push_back(i);
                           return torrents[i];
                         },
                     .on_changed =
                         [&](std::size_t i) {
                           changed.insert(i);
                           torrents[i].stamps = nullptr;  // as one that is not shared any more
                         },
                     .on_looked = [] {}});
  watch.start();
  REQUIRE(run_until(*loop, [&] { return asked.size() >= 16; }));
  CHECK(changed.empty());
  // A round ends where it has looked at its share, in the middle of a torrent or behind it; the next one goes on there.
  CHECK(std::vector(asked.begin(), asked.begin() + 8) == std::vector<std::size_t>{0, 1, 2, 2, 3, 4, 4, 0});

  std::filesystem::remove(folder.path("b") + '/' + std::to_string(half + 99));
  std::filesystem::rename(folder.path("c"), folder.path("old"));  // whole, and another one in its place
  std::filesystem::copy(folder.path("old"), folder.path("c"));
  std::ofstream(folder.path("d") + "/0") << "other bytes";
  REQUIRE(run_until(*loop, [&] { return changed.size() >= 3; }));
  asked.clear();
  REQUIRE(run_until(*loop, [&] { return asked.size() >= 10; }));
  CHECK(changed == std::multiset<std::size_t>{2, 3, 4});
  watch.stop();
}
