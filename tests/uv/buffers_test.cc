#include <fstream>
#include <thread>
#include <vector>

#include "nodes.hh"
#include "uv/block_assembly.hh"
#include "uv/receive_buffers.hh"
#include "uv/send_batch.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

/// As a socket would: so many bytes, the next of 0, 1, 2 …
std::uint32_t receive(ReceiveBuffers& buffers, std::size_t bytes) {
  static std::uint8_t next = 0;
  const auto room = buffers.room();
  REQUIRE(room.size() >= bytes);
  for (auto& byte : room.first(bytes)) byte = next++;
  return buffers.received(bytes);
}

core::Store store(std::uint32_t at, std::uint32_t length, std::uint32_t block_length = 100, std::uint32_t piece = 3) {
  return {.torrent = TorrentId{1},
          .conn = ConnId{1},
          .block = {PieceIndex{piece}, 0, block_length},
          .at = at,
          .bytes = {0, 0, length}};
}

std::string all(const std::vector<disk::BlockPart>& parts) {
  std::string out;
  for (const auto& part : parts) out += as_text(part.bytes);
  return out;
}

disk::BlockPart part(std::string_view text) {
  const auto own = std::make_shared<std::string>(text);
  return {own, as_bytes(*own)};
}

}  // namespace

TEST_CASE("what nobody keeps is written over; what somebody keeps is not") {
  ReceiveBuffers buffers;
  const auto first = buffers.room().data();
  receive(buffers, 1000);
  buffers.done();
  CHECK(buffers.room().data() == first);
  const auto from = receive(buffers, 1000);
  const auto kept = buffers.keep(from + 10, 100);
  buffers.done();
  CHECK(buffers.room().data() == first + 110);  // behind the last byte that is kept
  const Buffer before = to_buffer(kept.bytes);
  receive(buffers, 100'000);
  buffers.done();
  CHECK(to_buffer(kept.bytes) == before);
  CHECK(buffers.in_use() == 1);
}

TEST_CASE("the next buffer is taken when less than 16 KiB are left, and comes back from any thread") {
  ReceiveBuffers buffers;
  std::vector<disk::BlockPart> kept;
  const auto fill = [&] {
    const auto length = static_cast<std::uint32_t>(buffers.room().size());
    kept.push_back(buffers.keep(receive(buffers, length), length));
    buffers.done();
  };
  const auto length = static_cast<std::uint32_t>(ReceiveBuffers::buffer_bytes - ReceiveBuffers::room_min);
  kept.push_back(buffers.keep(receive(buffers, length), length));
  buffers.done();
  CHECK(buffers.room().size() == ReceiveBuffers::room_min);
  fill();
  CHECK(buffers.in_use() == 1);
  for (std::size_t i = 1; i < ReceiveBuffers::buffers_max; ++i) fill();
  CHECK(buffers.exhausted());
  CHECK(buffers.room().empty());
  std::thread([kept = std::move(kept)]() mutable { kept.clear(); }).join();
  CHECK(buffers.in_use() == 0);
  CHECK(buffers.room().size() == ReceiveBuffers::buffer_bytes);
}

TEST_CASE("buffers that are kept outlive their pool") {
  disk::BlockPart kept;
  {
    ReceiveBuffers buffers;
    kept = buffers.keep(receive(buffers, 5), 5);
  }
  CHECK(kept.bytes.size() == 5);
  kept = {};
}

TEST_CASE("a block is whole when its fragments came in order, from wherever") {
  BlockAssembly block;
  CHECK_FALSE(block.add(store(0, 40), part(std::string(40, 'a'))));
  CHECK_FALSE(block.add(store(40, 50), part(std::string(50, 'b'))));
  CHECK(block.add(store(90, 10), part(std::string(10, 'c'))));
  CHECK(all(block.parts()) == std::string(40, 'a') + std::string(50, 'b') + std::string(10, 'c'));
  block.clear();

  // A new beginning drops what was there; what does not fit behind it is dropped.
  CHECK_FALSE(block.add(store(40, 60), part(std::string(60, 'x'))));
  CHECK_FALSE(block.add(store(0, 40), part(std::string(40, 'a'))));
  CHECK_FALSE(block.add(store(50, 50), part(std::string(50, 'x'))));
  CHECK_FALSE(block.add(store(40, 60, 100, 4), part(std::string(60, 'x'))));
  CHECK_FALSE(block.add(store(0, 60), part(std::string(60, 'b'))));
  CHECK(block.add(store(60, 40), part(std::string(40, 'c'))));
  CHECK(all(block.parts()) == std::string(60, 'b') + std::string(40, 'c'));
}

TEST_CASE("fragments that lie side by side are one part; a detached block holds no receive buffer") {
  ReceiveBuffers buffers;
  BlockAssembly block;
  const auto from = receive(buffers, 60);
  CHECK_FALSE(block.add(store(0, 30), buffers.keep(from, 30)));
  CHECK_FALSE(block.add(store(30, 30), buffers.keep(from + 30, 30)));
  CHECK(block.parts().size() == 1);
  buffers.done();
  const auto before = all(block.parts());
  receive(buffers, ReceiveBuffers::buffer_bytes - 60);
  buffers.done();
  block.detach();
  CHECK(all(block.parts()) == before);
  CHECK(block.add(store(60, 40), part(std::string(40, 'c'))));
  CHECK(all(block.parts()) == before + std::string(40, 'c'));
}

TEST_CASE("a batch is the messages and what the disk holds between them") {
  const TempFolder folder;
  const Content content(folder.path(), 100'000, 16 * 1024);
  const auto storage = disk::Storage::create(content.info, content.path, {.writable = false});
  core::Outgoing out;
  out.bytes = to_buffer("headerheadertail");
  std::string expected;
  const auto small = [&](std::uint32_t offset, std::uint32_t length) {
    out.segments.push_back({.offset = offset, .length = length});
    out.total += length;
    expected += as_text(ByteView(out.bytes).subspan(offset, length));
  };
  const auto payload = [&](std::uint32_t piece, std::uint32_t begin, std::uint32_t length) {
    out.segments.push_back({.payload = true, .length = length, .piece = PieceIndex{piece}, .begin = begin});
    out.total += length;
    expected += as_text(ByteView(content.bytes).subspan(piece * 16 * 1024 + begin, length));
  };
  small(0, 6), payload(0, 0, 16 * 1024), small(6, 6), payload(1, 0, 16 * 1024);  // consecutive
  payload(3, 5, 100), payload(3, 105, 100), payload(1, 7, 1);                    // and not
  small(12, 4);
  SendPool pool;
  auto batch = pool.take(out.total);
  CHECK(pool.bytes_used() == SendPool::batch_bytes(1));  // two blocks, and a little
  REQUIRE(batch->fill(out, *storage, content.info->piece_bytes));
  CHECK(as_text(batch->bytes()) == expected);
  batch->sent = 10;
  CHECK(as_text(batch->unsent()) == expected.substr(10));
  batch.reset();
  CHECK(pool.bytes_used() == 0);

  const auto large = pool.take(1u << 20);  // larger than any batch of the pool: one peer's long list of messages
  CHECK(large->bytes().size() == 1u << 20);
  CHECK(pool.bytes_used() == 1u << 20);

  std::filesystem::resize_file(content.path, 10);
  CHECK_FALSE(pool.take(out.total)->fill(out, *disk::Storage::create(content.info, content.path, {.writable = false}),
                                         content.info->piece_bytes));
}
