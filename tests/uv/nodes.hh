// Whole drivers for tests: a file with its torrent, a node that listens, and what people do with them.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/random.hh"
#include "base/sha1.hh"
#include "support.hh"
#include "uv/descriptor.hh"
#include "uv/driver.hh"

namespace swarm::uv {

/// A file with content that no two pieces share, and its torrent.
struct Content {
  std::string path;
  Buffer bytes;
  std::shared_ptr<const wire::Metainfo> info;

  Content(const std::string& folder, std::size_t size, std::uint32_t piece_bytes)
      : path(folder + "/content.bin"), bytes(size) {
    Random(size).fill(bytes);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(size));
    wire::NewInfo fresh;
    fresh.name = "content.bin";
    fresh.piece_bytes = piece_bytes;
    fresh.files.push_back({.path = {"content.bin"}, .length = size});
    for (std::size_t at = 0; at < size; at += piece_bytes) {
      fresh.pieces.push_back(sha1(ByteView(bytes).subspan(at, std::min<std::size_t>(piece_bytes, size - at))));
    }
    auto parsed = wire::parse_info(wire::write_info(fresh), "test");
    REQUIRE(parsed);
    info = std::make_shared<const wire::Metainfo>(std::move(*parsed));
  }

  AddSeed seed() const {
    AddSeed add;
    add.info = info;
    add.storage = disk::Storage::create(info, path, {.writable = false});
    add.verified = Bitfield(info->piece_count(), true);
    add.stamps = *add.storage->stamps();
    return add;
  }
  AddDownload download(const std::string& target, const Driver& from) const {
    AddDownload add;
    add.info = info;
    add.target = target;
    add.peers = {{IpAddress::v4(0x7f000001), from.port()}};
    return add;
  }
};

inline Buffer read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline DriverOptions options() {
  DriverOptions o;
  o.client.agent = "swarm/test";
  o.client.node_name = "test";
  o.interface = "127.0.0.1";
  o.port_first = 0;
  return o;
}

/// Nothing of it is in memory any more, where the file system lives on a disk.
inline void evict(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(file);
  REQUIRE(::fsync(file.get()) == 0);
  REQUIRE(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
}

/// A driver that listens, and what it told.
struct Node {
  Driver driver;
  std::vector<core::Notice> notices;

  explicit Node(Loop& loop, DriverOptions o = options()) : driver(loop, std::move(o)) {
    driver.set_notice([this](const core::Notice& notice) { notices.push_back(notice); });
    REQUIRE(driver.listen());
  }
  template <class N>
  const N* told() const {
    for (const auto& notice : notices) {
      if (const auto* n = std::get_if<N>(&notice)) return n;
    }
    return nullptr;
  }
};

inline Added add(Loop& loop, Driver& driver, AddDownload download) {
  std::optional<Result<Added>> added;
  driver.add(std::move(download), [&](Result<Added> result) { added = std::move(result); });
  REQUIRE(run_until(loop, [&] { return added.has_value(); }));
  REQUIRE(*added);
  return **added;
}

inline bool stop(Loop& loop, Driver& driver) {
  std::optional<bool> clean;
  driver.stop([&](bool c) { clean = c; });
  REQUIRE(run_until(loop, [&] { return clean.has_value(); }));
  return *clean;
}

}  // namespace swarm::uv
