// What lies beside the files of a torrent: halves of pieces of files that nobody chose, and pieces in doubt.
#include "disk/aside.hh"

#include <doctest/doctest.h>

#include "disk/folder.hh"

using namespace swarm;
using namespace swarm::disk;
using namespace swarm::disk::test;

namespace {

constexpr std::uint32_t piece_bytes = 16384;
constexpr std::uint64_t tail = 100;  ///< of a, in piece 3; the rest of the piece is b's

/// a (pieces 0-3) has its name already, b (3-6) is fetched, c (6-7) is not chosen.
struct Merge {
  explicit Merge(bool with_a = true) {
    fs::create_directory(folder / "top");
    if (with_a) spew(folder / "top/a", sample.file(0));
  }
  Extent extent(std::uint64_t offset, std::uint64_t length) const { return files.extents().at(offset, length); }
  OpenFile& a() { return **files.to_read(FileIndex{0}); }

  Result<void> meet(std::uint64_t offset, ByteView bytes) {
    const iovec list{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    IovCursor from({&list, 1});
    return aside.meet_named(a(), extent(offset, bytes.size()), offset, from);
  }
  Result<void> write(std::uint64_t offset, ByteView bytes) {
    const iovec list{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    IovCursor from({&list, 1});
    return aside.write(offset, bytes.size(), from);
  }
  std::string read(std::uint64_t offset, std::size_t length, bool named) {
    std::string text(length, '?');
    const iovec list{text.data(), text.size()};
    IovCursor into({&list, 1});
    const auto done =
        named ? aside.read_named(a(), extent(offset, length), offset, into) : aside.read(offset, length, into);
    return done ? text : done.error().code;
  }
  ByteView bytes(std::uint64_t offset, std::size_t length) const {
    return ByteView(sample.content).subspan(static_cast<std::size_t>(offset), length);
  }

  const Folder folder;
  const Sample sample = make_sample({{.path = "a", .length = 3 * piece_bytes + tail},
                                     {.path = "b", .length = 3 * piece_bytes},
                                     {.path = "c", .length = piece_bytes}},
                                    piece_bytes, true);
  TorrentFiles files{sample.info, folder / "top", {.files = {true, true, false}}};
  Aside aside{files};
};

constexpr std::uint64_t in_piece_3 = 3 * piece_bytes;

}  // namespace

TEST_CASE("aside: a byte lies at its offset of the torrent, what was never written is zeros, no other file appears") {
  Merge m;
  const std::uint64_t start = m.files.extents().start(FileIndex{2});
  REQUIRE(m.write(start + 10, m.bytes(start + 10, 300)));
  CHECK(m.read(start + 10, 300, false) == as_text(m.bytes(start + 10, 300)));
  CHECK(m.read(start, 10, false) == std::string(10, '\0'));
  CHECK(m.read(start + 310, 50, false) == std::string(50, '\0'));  // behind its end
  const auto names = tree_of(m.folder.path());
  REQUIRE(names.size() == 4);
  CHECK(names[0] == "top.part/");
  CHECK(slurp(m.folder / names[1]).substr(static_cast<std::size_t>(start) + 10) == as_text(m.bytes(start + 10, 300)));
  CHECK(names[2] == "top/");
  CHECK(names[3] == "top/a");
}

TEST_CASE("aside: bytes that a file with a name holds already are dropped") {
  Merge m;
  REQUIRE(m.meet(in_piece_3, m.bytes(in_piece_3, tail)));
  CHECK_FALSE(m.aside.has_doubts());
  CHECK_FALSE(fs::exists(m.folder / "top.part"));  // nothing had to be kept
  CHECK(m.aside.settle());
}

TEST_CASE("aside: other bytes put their piece in doubt, and touch no file with a name") {
  Merge m;
  const Buffer wrong(40, 0x5a);
  REQUIRE(m.meet(in_piece_3 + 20, wrong));
  CHECK(m.aside.has_doubts());
  CHECK(slurp(m.folder / "top/a") == m.sample.file(0));
  // The piece reads as what came for it, on top of what stands in the file; pieces before it come from the file.
  const std::string file = m.sample.file(0);
  const std::string expected =
      file.substr(2 * piece_bytes, piece_bytes + 20) + std::string(40, 0x5a) + file.substr(in_piece_3 + 60, tail - 60);
  CHECK(m.read(2 * piece_bytes, piece_bytes + tail, true) == expected);

  SUBCASE("a liar's bytes: the right ones come in their place") {
    REQUIRE(m.meet(in_piece_3 + 20, m.bytes(in_piece_3 + 20, 40)));
    CHECK(m.read(in_piece_3, tail, true) == as_text(m.bytes(in_piece_3, tail)));
    CHECK(m.aside.settle());
    CHECK_FALSE(m.aside.has_doubts());
  }
  SUBCASE("they were right: the file is another") {
    const auto settled = m.aside.settle();
    REQUIRE_FALSE(settled);
    CHECK(settled.error().exit == Exit::disk);
    CHECK(settled.error().code == "exists");
    CHECK(m.aside.has_doubts());
  }
}

TEST_CASE("aside: a piece of nothing but files with names cannot be in doubt") {
  Merge m;
  const auto met = m.meet(0, Buffer(10, 1));
  REQUIRE_FALSE(met);
  CHECK(met.error().code == "exists");
  CHECK_FALSE(m.aside.has_doubts());
  CHECK_FALSE(fs::exists(m.folder / "top.part"));
}

TEST_CASE("aside: what belongs to a file that is chosen now goes into its holes, never over data") {
  Merge m(false);
  // Written when a and b were not chosen; since then b was, and got newer bytes of its own.
  const std::uint64_t b = m.files.extents().start(FileIndex{1});
  REQUIRE(m.write(0, m.bytes(0, 4096)));
  REQUIRE(m.write(b, Buffer(8192, 7)));
  const auto open = m.files.to_write(FileIndex{1});
  REQUIRE(open);
  const Buffer newer(4096, 9);
  const iovec list{const_cast<std::uint8_t*>(newer.data()), newer.size()};
  IovCursor from({&list, 1});
  REQUIRE(m.files.write(FileIndex{1}, **open, 0, newer.size(), from));
  m.aside.adopt();
  CHECK(slurp(m.folder / "top.part/a") == as_text(m.bytes(0, 4096)));
  CHECK(slurp(m.folder / "top.part/b") == std::string(4096, 9) + std::string(4096, 7));
  CHECK_FALSE(fs::exists(m.folder / "top.part/c"));
}
