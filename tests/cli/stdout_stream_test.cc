#include "cli/stdout_stream.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "base/random.hh"
#include "base/sha1.hh"
#include "cli/stdin_reader.hh"
#include "uv/signals.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

constexpr std::uint32_t piece_bytes = 64u << 10;

/// A file of random bytes in a folder of its own, as a torrent whose storage reads it.
struct Content {
  explicit Content(std::size_t size) : bytes(size, 0) {
    std::string name = "/tmp/swarm-stream-XXXXXX";
    folder = ::mkdtemp(name.data());
    Random random(size + 1);
    for (auto& b : bytes) b = static_cast<char>(random.next());
    std::ofstream(folder + "/x", std::ios::binary) << bytes;
    auto m = std::make_shared<wire::Metainfo>();
    m->name = "x";
    m->piece_bytes = piece_bytes;
    m->bytes_total = size;
    m->files.push_back({.path = {"x"}, .length = size, .pad = false, .executable = false});
    m->pieces.resize((size + piece_bytes - 1) / piece_bytes);
    info = m;
    storage = disk::Storage::create(info, folder + "/x", {.writable = false});
  }
  ~Content() { std::filesystem::remove_all(folder); }

  std::string folder, bytes;
  std::shared_ptr<const wire::Metainfo> info;
  std::shared_ptr<disk::Storage> storage;
};

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Pipe() {
    for (const int fd : ends) {
      if (fd >= 0) ::close(fd);
    }
  }
  void close(int which) { ::close(std::exchange(ends[static_cast<std::size_t>(which)], -1)); }
  std::array<int, 2> ends{-1, -1};
};

std::string read_all(int fd) {
  std::string out;
  std::array<char, 65536> block{};
  for (ssize_t n = 0; (n = ::read(fd, block.data(), block.size())) > 0;)
    out.append(block.data(), static_cast<std::size_t>(n));
  return out;
}

/// A loop with workers, and how the stream ended.
struct Bench {
  std::unique_ptr<uv::Loop> loop = std::move(*uv::Loop::create());
  uv::Workers workers{*loop};
  std::optional<Result<void>> ended;

  std::unique_ptr<StdoutStream> stream(const Content& c, int fd, std::uint64_t begin, std::uint64_t end) {
    return std::make_unique<StdoutStream>(*loop, workers, fd, c.storage, begin, end, piece_bytes,
                                          [this](Result<void> r) {
                                            CHECK(!ended);
                                            ended = std::move(r);
                                          });
  }
  void until_ended() {
    while (!ended && loop->run_once()) {
    }
    REQUIRE(ended.has_value());
  }
};

}  // namespace

TEST_CASE("a stream gives exactly its range, in order, whatever the order in which pieces are verified") {
  const Content c(3 * StdoutStream::chunk_bytes + 12'345);
  for (const auto& [begin, end] : {std::pair<std::uint64_t, std::uint64_t>{0, c.bytes.size()},
                                   {piece_bytes - 1, 2 * piece_bytes + 1},
                                   {5, 6},
                                   {c.bytes.size() - 1, c.bytes.size()}}) {
    Bench b;
    Pipe pipe;
    std::string got;
    std::thread reader([&] { got = read_all(pipe.ends[0]); });
    auto stream = b.stream(c, pipe.ends[1], begin, end);
    Bitfield verified(c.info->piece_count());
    std::vector<std::size_t> order(verified.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    Random random(begin);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    for (const auto piece : order) {
      verified.set(piece);
      stream->on_verified(verified);
      b.loop->run_once(false);
    }
    b.until_ended();
    pipe.close(1);
    reader.join();
    CHECK(b.ended->has_value());
    CHECK(stream->bytes_written() == end - begin);
    CHECK(got == c.bytes.substr(begin, end - begin));
  }
}

TEST_CASE("nothing that is not verified is written") {
  const Content c(4 * piece_bytes);
  Bench b;
  Pipe pipe;
  auto stream = b.stream(c, pipe.ends[1], 0, c.bytes.size());
  Bitfield verified(4);
  verified.set(std::size_t{1});
  verified.set(std::size_t{2});
  stream->on_verified(verified);
  CHECK(b.workers.under_way() == 0);
  CHECK(stream->bytes_written() == 0);
  verified.set(std::size_t{0});
  std::string got;
  std::thread reader([&] { got = read_all(pipe.ends[0]); });
  stream->on_verified(verified);
  while (stream->bytes_written() < 3 * piece_bytes) b.loop->run_once();
  CHECK(!b.ended);
  CHECK(b.workers.under_way() == 0);
  pipe.close(1);
  reader.join();
  CHECK(got == c.bytes.substr(0, 3 * piece_bytes));
}

TEST_CASE("a reader that stands still holds up neither the loop nor memory, and gets the rest when it goes on") {
  const Content c(4 * StdoutStream::chunk_bytes);
  Bench b;
  Pipe pipe;
  const int room = ::fcntl(pipe.ends[1], F_SETPIPE_SZ, 1 << 16);
  REQUIRE(room == 1 << 16);
  auto stream = b.stream(c, pipe.ends[1], 0, c.bytes.size());
  stream->on_verified(Bitfield(c.info->piece_count(), true));
  while (stream->bytes_written() < static_cast<std::uint64_t>(room)) b.loop->run_once();
  CHECK(stream->bytes_written() == static_cast<std::uint64_t>(room));
  for (int i = 0; i < 5; ++i) b.loop->run_once();  // turns go on
  CHECK(stream->bytes_written() == static_cast<std::uint64_t>(room));
  CHECK((::fcntl(pipe.ends[1], F_GETFL) & O_NONBLOCK) == 0);
  std::string got;
  std::thread reader([&] { got = read_all(pipe.ends[0]); });
  b.until_ended();
  pipe.close(1);
  reader.join();
  CHECK(got == c.bytes);
}

TEST_CASE("a reader that left is noticed, while writing and while there is nothing to write") {
  uv::ignore_sigpipe();
  const Content c(4 * StdoutStream::chunk_bytes);
  SUBCASE("while writing") {
    Bench b;
    Pipe pipe;
    auto stream = b.stream(c, pipe.ends[1], 0, c.bytes.size());
    stream->on_verified(Bitfield(c.info->piece_count(), true));
    while (stream->bytes_written() == 0) b.loop->run_once();
    pipe.close(0);
    b.until_ended();
  }
  SUBCASE("while waiting") {
    Bench b;
    Pipe pipe;
    auto stream = b.stream(c, pipe.ends[1], 0, c.bytes.size());
    stream->look_at_reader();
    CHECK(!b.ended);
    pipe.close(0);
    stream->look_at_reader();
    REQUIRE(b.ended.has_value());
    CHECK(b.ended->error().code == "reader_left");
  }
}

TEST_CASE("files, a full device and a spool that cannot be read") {
  const Content c(2 * StdoutStream::chunk_bytes + 1);
  SUBCASE("a regular file takes all") {
    Bench b;
    const int fd = ::open((c.folder + "/out").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    auto stream = b.stream(c, fd, 0, c.bytes.size());
    stream->on_verified(Bitfield(c.info->piece_count(), true));
    b.until_ended();
    CHECK(b.ended->has_value());
    CHECK(::lseek(fd, 0, SEEK_SET) == 0);
    CHECK(read_all(fd) == c.bytes);
    ::close(fd);
  }
  SUBCASE("a full device") {
    Bench b;
    const int fd = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    auto stream = b.stream(c, fd, 0, c.bytes.size());
    stream->on_verified(Bitfield(c.info->piece_count(), true));
    b.until_ended();
    REQUIRE(!b.ended->has_value());
    CHECK(b.ended->error().exit == Exit::disk);
    CHECK(b.ended->error().code == "cannot_write");
    ::close(fd);
  }
  SUBCASE("the spool was tampered with") {
    Bench b;
    Pipe pipe;
    std::filesystem::resize_file(c.folder + "/x", 100);
    auto stream = b.stream(c, pipe.ends[1], 0, c.bytes.size());
    stream->on_verified(Bitfield(c.info->piece_count(), true));
    b.until_ended();
    REQUIRE(!b.ended->has_value());
    CHECK(b.ended->error().exit == Exit::integrity);
    CHECK(stream->bytes_written() == 0);
  }
  SUBCASE("nothing at all") {
    Bench b;
    Pipe pipe;
    auto stream = b.stream(c, pipe.ends[1], 7, 7);
    b.until_ended();
    CHECK(b.ended->has_value());
  }
}

TEST_CASE("a stream that is destroyed while a job is under way is told of nothing") {
  const Content c(4 * StdoutStream::chunk_bytes);
  Bench b;
  Pipe pipe;
  auto stream = b.stream(c, pipe.ends[1], 0, c.bytes.size());
  stream->on_verified(Bitfield(c.info->piece_count(), true));
  CHECK(b.workers.under_way() == 1);
  stream.reset();
  while (b.workers.under_way() != 0) b.loop->run_once();
  CHECK(!b.ended);
}

TEST_CASE("what comes on a descriptor stands in the file, however it comes") {
  const Content c(3 * (1u << 20) + 17);
  Bench b;
  Pipe pipe;
  std::optional<Result<std::uint64_t>> read;
  StdinReader reader(b.workers, pipe.ends[0], c.folder + "/in", [&](Result<std::uint64_t> r) { read = std::move(r); });
  std::thread writer([&] {
    Random random(1);
    for (std::size_t at = 0; at < c.bytes.size();) {
      const auto n = std::min<std::size_t>(1 + random.below(300'000), c.bytes.size() - at);
      const auto w = ::write(pipe.ends[1], c.bytes.data() + at, n);
      if (w > 0) at += static_cast<std::size_t>(w);
    }
    pipe.close(1);
  });
  while (!read) b.loop->run_once();
  writer.join();
  REQUIRE(read->has_value());
  CHECK(**read == c.bytes.size());
  std::ifstream in(c.folder + "/in", std::ios::binary);
  CHECK(std::string(std::istreambuf_iterator<char>(in), {}) == c.bytes);
  CHECK((std::filesystem::status(c.folder + "/in").permissions() & std::filesystem::perms::others_read) ==
        std::filesystem::perms::none);

  SUBCASE("a file that is there already is not written to") {
    Pipe other;
    other.close(1);
    read.reset();
    StdinReader again(b.workers, other.ends[0], c.folder + "/in",
                      [&](Result<std::uint64_t> r) { read = std::move(r); });
    while (!read) b.loop->run_once();
    CHECK(read->error().exit == Exit::disk);
  }
  SUBCASE("a sender that stands still does not keep the end waiting") {
    Pipe silent;
    bool told = false;
    {
      StdinReader waits(b.workers, silent.ends[0], c.folder + "/in2",
                        [&](const Result<std::uint64_t>&) { told = true; });
      for (int i = 0; i < 3; ++i) b.loop->run_once();
    }
    while (b.workers.under_way() != 0) b.loop->run_once();
    CHECK(!told);
  }
}
