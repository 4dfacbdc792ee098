#include "disk/extents.hh"

#include <doctest/doctest.h>

#include "base/random.hh"

using namespace swarm;
using namespace swarm::disk;

TEST_CASE("extents: every byte is in the file where counting by hand finds it") {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<wire::FileEntry> files(1 + random.below(12));
    std::vector<std::pair<std::uint32_t, std::uint64_t>> bytes;  // by byte of the torrent: file and offset
    for (std::uint32_t i = 0; i < files.size(); ++i) {
      files[i].length = random.below(3) == 0 ? 0 : random.below(9);
      files[i].pad = random.below(4) == 0;
      for (std::uint64_t k = 0; k < files[i].length; ++k) bytes.emplace_back(i, k);
    }
    const Extents extents(files);
    REQUIRE(extents.bytes_total() == bytes.size());
    for (std::size_t offset = 0; offset < bytes.size(); ++offset) {
      for (std::size_t length = 1; offset + length <= bytes.size(); ++length) {
        std::size_t at = offset;
        const bool whole = extents.each(offset, length, [&](const Extent& e) {
          REQUIRE(e.length > 0);
          REQUIRE(e.pad == files[number(e.file)].pad);
          REQUIRE(extents.start(e.file) + e.offset == at);
          for (std::uint64_t k = 0; k < e.length; ++k, ++at) {
            REQUIRE(bytes[at] == std::pair{number(e.file), e.offset + k});
          }
          return true;
        });
        REQUIRE(whole);
        REQUIRE(at == offset + length);
      }
    }
  }
}

TEST_CASE("extents: each() stops when it is told to") {
  const Extents extents({{.path = {"a"}, .length = 5, .pad = false, .executable = false},
                         {.path = {"b"}, .length = 5, .pad = true, .executable = false}});
  int calls = 0;
  CHECK_FALSE(extents.each(0, 10, [&](const Extent&) { return ++calls > 5; }));
  CHECK(calls == 1);
  CHECK(extents.has_padding());
  CHECK_FALSE(Extents({}).has_padding());
}
