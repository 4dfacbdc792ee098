#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
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

namespace {

/// Two ends of a stream, with room for little in between.
struct Ends {
  Descriptor near, far;
  Ends() {
    std::array<int, 2> both{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both.data()) == 0);
    near = Descriptor(both[0]);
    far = Descriptor(both[1]);
    const int bytes = 1;  // the kernel takes its minimum, a few KiB
    setsockopt(near.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
  std::string arrived() const {
    std::string all;
    std::array<char, 4096> bytes;
    for (ssize_t n = 0; (n = ::recv(far.get(), bytes.data(), bytes.size(), 0)) > 0;) all.append(bytes.data(), n);
    return all;
  }
};

/// What the core would give, and what it is on the wire.
struct Pulled {
  core::Outgoing out;
  std::string expected;

  void small(std::string_view text) {
    out.segments.push_back(
        {.offset = static_cast<std::uint32_t>(out.bytes.size()), .length = static_cast<std::uint32_t>(text.size())});
    append(out.bytes, as_bytes(text));
    out.total += text.size();
    expected += text;
  }
  void payload(const Buffer& all, std::uint32_t piece, std::uint32_t begin, std::uint32_t length) {
    out.segments.push_back({.payload = true, .length = length, .piece = PieceIndex{piece}, .begin = begin});
    out.total += length;
    expected += as_text(ByteView(all).subspan(piece * 16 * 1024 + begin, length));
  }
};

/// Sends a batch through the ends and gives what arrived; counts how often the socket was full.
std::string send_all(SendBatch& batch, const Ends& ends, SendBatch::Reading reading, int* full) {
  std::string all;
  for (*full = 0;; ++*full) {
    const auto outcome = batch.send(ends.near.get(), reading);
    const auto arrived = ends.arrived();
    CHECK(batch.take_sent() == arrived.size());
    all += arrived;
    if (outcome != SendBatch::Outcome::full) {
      CHECK(outcome == SendBatch::Outcome::sent);
      return all;
    }
  }
}

}  // namespace

TEST_CASE("a batch is the messages and what the disk holds between them, however little a socket takes") {
  const TempFolder folder;
  const Content content(folder.path(), 100'000, 16 * 1024);
  const auto storage = disk::Storage::create(content.info, content.path, {.writable = false});
  Pulled pulled;
  pulled.small("header"), pulled.payload(content.bytes, 0, 0, 16 * 1024);
  pulled.small("header"), pulled.payload(content.bytes, 1, 0, 16 * 1024);            // behind the one before
  pulled.payload(content.bytes, 3, 5, 100), pulled.payload(content.bytes, 1, 7, 1);  // and not
  pulled.small("tail");
  const Ends ends;
  SendBatch batch;
  batch.begin(pulled.out, Instant{});
  CHECK(pulled.out.segments.empty());
  CHECK(batch.has_payload());
  batch.read_from(storage, content.info->piece_bytes);
  int full = 0;
  CHECK(send_all(batch, ends, SendBatch::Reading::waiting, &full) == pulled.expected);
  CHECK(full >= 2);

  // It is used again, for messages alone.
  Pulled more;
  more.small("more");
  batch.begin(more.out, Instant{});
  CHECK_FALSE(batch.has_payload());
  CHECK(send_all(batch, ends, SendBatch::Reading::waiting, &full) == "more");
}

TEST_CASE("a batch whose file or socket has ended says which") {
  const auto loop = make_loop();  // which makes the process ignore SIGPIPE
  const TempFolder folder;
  const Content content(folder.path(), 100'000, 16 * 1024);
  const auto storage = disk::Storage::create(content.info, content.path, {.writable = false});
  Ends ends;
  SendBatch batch;
  const auto begin = [&](std::uint32_t piece) {
    Pulled pulled;
    pulled.payload(content.bytes, piece, 0, 1000);
    batch.begin(pulled.out, Instant{});
    batch.read_from(storage, content.info->piece_bytes);
  };
  begin(1);
  CHECK(batch.send(ends.near.get(), SendBatch::Reading::waiting) == SendBatch::Outcome::sent);
  std::filesystem::resize_file(content.path, 16 * 1024 + 500);
  begin(1);
  CHECK(batch.send(ends.near.get(), SendBatch::Reading::waiting) == SendBatch::Outcome::unreadable);
  CHECK(batch.error().exit == Exit::integrity);
  CHECK(ends.arrived().size() == 1000);  // no byte of what was not there
  ends.far.close();
  begin(0);
  CHECK(batch.send(ends.near.get(), SendBatch::Reading::waiting) == SendBatch::Outcome::ended);
}

TEST_CASE("payload over the end of a file, and padding, is sent as if it were one file") {
  const TempFolder folder;
  wire::NewInfo fresh;
  fresh.name = "folder";
  fresh.folder = true;
  fresh.piece_bytes = 16 * 1024;
  fresh.files = {{.path = {"a"}, .length = 1000},
                 {.path = {"b"}, .length = 3000},
                 {.path = {".pad", "96"}, .length = 96, .pad = true},
                 {.path = {"c"}, .length = 5000}};
  Buffer all(9096);
  Random(1).fill(all);
  std::fill(all.begin() + 4000, all.begin() + 4096, std::uint8_t{0});
  fresh.pieces = {sha1(all)};
  auto parsed = wire::parse_info(wire::write_info(fresh), "test");
  REQUIRE(parsed);
  const auto info = std::make_shared<const wire::Metainfo>(std::move(*parsed));
  const auto path = folder.path("folder");
  std::filesystem::create_directory(path);
  const auto put = [&](const char* name, std::size_t from, std::size_t length) {
    std::ofstream(path + "/" + name, std::ios::binary)
        .write(reinterpret_cast<const char*>(all.data()) + from, static_cast<std::streamsize>(length));
  };
  put("a", 0, 1000), put("b", 1000, 3000), put("c", 4096, 5000);
  const auto storage = disk::Storage::create(info, path, {.writable = false});

  Pulled pulled;
  pulled.payload(all, 0, 0, 9096);
  const Ends ends;
  SendBatch batch;
  batch.begin(pulled.out, Instant{});
  batch.read_from(storage, info->piece_bytes);
  int full = 0;
  CHECK(send_all(batch, ends, SendBatch::Reading::waiting, &full) == pulled.expected);
}

TEST_CASE("what is not in the page cache is left to a worker: nobody waits for it here") {
  const auto waits = [] {
    rusage used{};
    getrusage(RUSAGE_THREAD, &used);
    return used.ru_nvcsw;
  };
  const TempFolder folder;
  const Content content(folder.path(), 1u << 20, 64 * 1024);
  const auto storage = disk::Storage::create(content.info, content.path, {.writable = false});
  const auto batch_of = [&](std::uint32_t length) {
    Pulled pulled;
    pulled.small("header"), pulled.payload(content.bytes, 4, 0, length), pulled.small("tail");
    auto batch = std::make_unique<SendBatch>();
    batch->begin(pulled.out, Instant{});
    batch->read_from(storage, 16 * 1024);
    return std::pair(std::move(batch), pulled.expected);
  };
  const Ends ends;
  auto [first, all] = batch_of(1000);  // a file that is not open yet has to be opened
  CHECK(first->send(ends.near.get(), SendBatch::Reading::cached) == SendBatch::Outcome::cold);
  CHECK(ends.arrived() == "header");
  int full = 0;
  CHECK(first->send(ends.near.get(), SendBatch::Reading::waiting) == SendBatch::Outcome::sent);
  CHECK("header" + ends.arrived() == all);

  std::array<std::uint8_t, 1> byte{};
  const iovec into{byte.data(), byte.size()};
  if (storage->read_cached(0, {&into, 1}) == 0) return;  // a file system that cannot say
  auto [warm, expected] = batch_of(100'000);
  CHECK(send_all(*warm, ends, SendBatch::Reading::cached, &full) == expected);

  evict(content.path);
  if (storage->read_cached(512 * 1024, {&into, 1}) != 0) return;  // one that has no disk
  const auto before = waits();
  auto [cold, same] = batch_of(100'000);
  CHECK(cold->send(ends.near.get(), SendBatch::Reading::cached) == SendBatch::Outcome::cold);
  CHECK(waits() == before);  // what it asked of the disk, if anything, it did not wait for
  CHECK(cold->take_sent() == 6);
  CHECK(ends.arrived() == "header");
  CHECK("header" + send_all(*cold, ends, SendBatch::Reading::waiting, &full) == same);
}
