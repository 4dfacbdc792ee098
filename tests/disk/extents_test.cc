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

TEST_CASE("bytes_beside: the same as asking each byte of a wanted piece whose file it is") {
  Random random(9);
  for (int round = 0; round < 300; ++round) {
    wire::Metainfo info;
    std::vector<bool> choice(1 + random.below(12));
    std::vector<std::uint32_t> file_of;  // by byte of the torrent
    info.piece_bytes = static_cast<std::uint32_t>(1 + random.below(20));
    for (std::uint32_t i = 0; i < choice.size(); ++i) {
      wire::FileEntry file;
      file.length = random.below(40);
      file.pad = random.below(5) == 0;
      info.files.push_back(file);
      choice[i] = random.below(2) == 0;
      file_of.insert(file_of.end(), file.length, i);
    }
    info.bytes_total = file_of.size();
    info.pieces.resize((file_of.size() + info.piece_bytes - 1) / info.piece_bytes);
    const Bitfield wanted = wanted_pieces(info, choice);
    std::uint64_t naive = 0;
    for (std::size_t at = 0; at < file_of.size(); ++at) {
      if (wanted[at / info.piece_bytes] && !choice[file_of[at]] && !info.files[file_of[at]].pad) ++naive;
    }
    CHECK(bytes_beside(info, Extents(info.files), choice) == naive);
  }
}
