// The floor: what this machine needs to move, hash and store a file when there is no protocol at all.
//
//     floor send ADDRESS PORT FILE            waits for one downloader and gives it the file by sendfile
//     floor get ADDRESS PORT FILE BYTES       receives it into FILE; a second thread hashes and writes each mebibyte
//
// What a downloader may not go without is here: every byte goes through TCP, through SHA-1 (the same one that swarm uses) and to the
// file, which is synced at the end. Nothing else is.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

#include "base/sha1.hh"

namespace {

constexpr std::size_t piece_bytes = 1 << 20;
constexpr std::size_t ring_pieces = 16;  ///< received and not yet written

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in address(const char* ip, const char* port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) give_up(ip);
  return a;
}

void send_file(const sockaddr_in& at, const char* path) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || listen(listener, 1) != 0)
    give_up("listen");
  std::puts("listening");
  std::fflush(stdout);
  const int peer = accept(listener, nullptr, nullptr), file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (peer < 0 || file < 0 || fstat(file, &status) != 0) give_up(path);
  for (off_t offset = 0; offset < status.st_size;) {
    if (sendfile(peer, file, &offset, piece_bytes) <= 0) give_up("sendfile");
  }
  close(peer);
}

/// Pieces between the thread that receives and the one that hashes and writes.
struct Ring {
  std::array<std::unique_ptr<std::uint8_t[]>, ring_pieces> pieces;
  std::mutex lock;
  std::condition_variable changed;
  std::size_t received = 0, written = 0;

  template <class Holds>
  void await(Holds holds) {
    std::unique_lock held(lock);
    changed.wait(held, holds);
  }
  void advance(std::size_t& count) {
    const std::lock_guard held(lock);
    ++count;
    changed.notify_all();
  }
};

void get_file(const sockaddr_in& from, const char* path, std::size_t bytes) {
  const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (connect(peer, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 || file < 0) give_up("connect");
  Ring ring;
  for (auto& piece : ring.pieces) piece = std::make_unique<std::uint8_t[]>(piece_bytes);
  const std::size_t pieces = (bytes + piece_bytes - 1) / piece_bytes;
  const auto length = [&](std::size_t i) { return std::min(piece_bytes, bytes - i * piece_bytes); };

  std::thread writer([&] {
    for (std::size_t i = 0; i < pieces; ++i) {
      ring.await([&] { return ring.received > i; });
      const auto* data = ring.pieces[i % ring_pieces].get();
      const auto digest = swarm::sha1({data, length(i)});
      if (digest.bytes[0] == 0 && digest.bytes == decltype(digest.bytes){}) give_up("a digest of zeros");
      for (std::size_t done = 0; done < length(i);) {
        const auto n = pwrite(file, data + done, length(i) - done, static_cast<off_t>(i * piece_bytes + done));
        if (n <= 0) give_up("pwrite");
        done += static_cast<std::size_t>(n);
      }
      ring.advance(ring.written);
    }
  });
  for (std::size_t i = 0; i < pieces; ++i) {
    ring.await([&] { return i < ring.written + ring_pieces; });
    auto* data = ring.pieces[i % ring_pieces].get();
    for (std::size_t done = 0; done < length(i);) {
      const auto n = recv(peer, data + done, length(i) - done, 0);
      if (n <= 0) give_up("recv");
      done += static_cast<std::size_t>(n);
    }
    ring.advance(ring.received);
  }
  writer.join();
  if (fsync(file) != 0) give_up("fsync");  // costs nothing in memory, and on a disk it is part of having the file
}

}  // namespace

int main(int count, char** words) {
  const std::string_view mode = count > 1 ? words[1] : "";
  if (mode == "send" && count == 5) return send_file(address(words[2], words[3]), words[4]), 0;
  if (mode == "get" && count == 6)
    return get_file(address(words[2], words[3]), words[4], std::strtoull(words[5], nullptr, 10)), 0;
  return std::fputs("floor send ADDRESS PORT FILE | floor get ADDRESS PORT FILE BYTES\n", stderr), 2;
}
