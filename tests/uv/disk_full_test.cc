// A file system that is really full: a small tmpfs, where the tests may mount one.
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "disk/checkpoint.hh"
#include "nodes.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

class SmallDisk {
 public:
  explicit SmallDisk(const std::string& size) {
    mounted_ = ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const {
    if (!mounted_) MESSAGE("may not mount a tmpfs here: not tested");
    return mounted_;
  }
  std::string path(const std::string& below) const { return folder_.path(below); }

 private:
  TempFolder folder_;
  bool mounted_ = false;
};

}  // namespace

TEST_CASE("a disk that is too small is told before the first byte") {
  const SmallDisk disk("4m");
  if (!disk.mounted()) return;
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 8u << 20, 64 * 1024);
  Node seed(*loop), get(*loop);
  seed.driver.add_seed(content.seed());
  std::optional<Result<Added>> added;
  get.driver.add(content.download(disk.path("got.bin"), seed.driver),
                 [&](Result<Added> result) { added = std::move(result); });
  REQUIRE(run_until(*loop, [&] { return added.has_value(); }));
  REQUIRE_FALSE(*added);
  CHECK(added->error().exit == Exit::disk);
  CHECK(added->error().code == "disk_full");
  CHECK(added->error().message.starts_with("needs 8.0 MiB"));
}

TEST_CASE("a disk that fills up on the way stops the download; with room again it goes on, and nothing is lost") {
  const SmallDisk disk("12m");
  if (!disk.mounted()) return;
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 8u << 20, 64 * 1024);
  Node seed(*loop);
  seed.driver.add_seed(content.seed());
  const auto target = disk.path("got.bin");
  std::size_t before = 0;
  {
    auto slow = options();
    slow.client.rate_down_max = 8u << 20;
    Node get(*loop, slow);
    const auto added = add(*loop, get.driver, content.download(target, seed.driver));
    REQUIRE(run_until(*loop, [&] { return get.driver.verified(added.torrent).count() > 5; }));
    std::ofstream(disk.path("filler"), std::ios::binary) << std::string(8u << 20, 'x');  // as much as there is room for
    REQUIRE(run_until(*loop, [&] { return get.told<core::Failed>() != nullptr; }));
    const Error& error = get.told<core::Failed>()->error;
    CHECK(error.code == "disk_full");
    CHECK(error.exit == Exit::disk);
    CHECK(error.hint.find("resumes") != std::string::npos);
    CHECK(stop(*loop, get.driver));
    before = get.driver.verified(added.torrent).count();
    CHECK(before > 5);
  }
  std::filesystem::remove(disk.path("filler"));
  Node get(*loop);
  const auto added = add(*loop, get.driver, content.download(target, seed.driver));
  CHECK(added.pieces_verified + added.pieces_unchecked >= before);
  REQUIRE(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
  CHECK(read_all(target) == content.bytes);
  CHECK(get.driver.stats(added.torrent).bytes_down <= content.bytes.size() - before * 64 * 1024);
}
