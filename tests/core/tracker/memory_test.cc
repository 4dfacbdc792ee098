// How much memory the directory takes a peer. A program of its own, since it counts every allocation.
#include <doctest/doctest.h>
#include <malloc.h>

#include <cstdlib>
#include <new>

#include "core/tracker/directory.hh"

namespace {

std::size_t live = 0, most = 0;  ///< bytes as the allocator hands them out, with its rounding

void* allocate(std::size_t bytes) {
  void* p = std::malloc(bytes);
  if (p == nullptr) std::abort();
  live += malloc_usable_size(p);
  most = live > most ? live : most;
  return p;
}

void release(void* p) {
  if (p != nullptr) live -= malloc_usable_size(p);
  std::free(p);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }

using namespace swarm;

TEST_CASE("200,000 peers take at most 200 bytes each, in swarms of any size, also while the table grows") {
  for (const std::uint32_t swarm_size : {200'000u, 1'000u, 50u, 15u, 2u}) {
    CAPTURE(swarm_size);
    const auto before = live;
    most = live;
    Random random(1);
    core::Directory directory({200'000, 1'000'000}, random);
    InfoHash hash;
    for (std::uint32_t i = 0; i < 200'000; ++i) {
      if (i % swarm_size == 0) random.fill(hash.bytes);
      const core::Directory::Peer peer{{IpAddress::v4(0x0a000000 + i), 6881}, PeerId(), i % 3 == 0, false};
      REQUIRE(directory.announce(hash, peer, false, 240s, Instant(1h)));
    }
    REQUIRE(directory.peers() == 200'000);
    const auto bytes = static_cast<double>(live - before) / 200'000;
    const auto bytes_most = static_cast<double>(most - before) / 200'000;
    MESSAGE(swarm_size << " peers a swarm: " << bytes << " bytes a peer, at most " << bytes_most << " on the way");
    CHECK(bytes <= 200);
    CHECK(bytes_most <= 200);
    for (int i = 0; i < 40; ++i) directory.sweep(Instant(2h));
    CHECK(directory.peers() == 0);
    CHECK(directory.torrents() == 0);
  }
}

TEST_CASE("100,000 lone peers, each with a torrent of its own") {
  const auto before = live;
  Random random(1);
  core::Directory directory({}, random);
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    InfoHash hash;
    random.fill(hash.bytes);
    REQUIRE(directory.announce(hash, {{IpAddress::v4(i + 1), 1}, PeerId()}, false, 240s, Instant(1h)));
  }
  const auto bytes = static_cast<double>(live - before) / 100'000;
  MESSAGE(bytes << " bytes a torrent with one peer");
  CHECK(bytes <= 200);
}
