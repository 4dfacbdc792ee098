// udp_load ADDRESS PORT SECONDS HASHES: announces over UDP (BEP 15) as fast as a tracker answers; prints one line of JSON.
// udp_load hashes COUNT: the info-hashes that it announces, in hex, for a tracker that serves only those it is told.
//
// After one connect it keeps `in_flight` announces on the way, of random peers (the port and the id are theirs, the address is ours)
// for random ones of the info-hashes; what gets no answer within a while counts as lost and its place is used again.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/random.hh"
#include "wire/udp_tracker.hh"

using namespace swarm;

namespace {

constexpr unsigned in_flight = 64;
constexpr std::size_t answer_bytes_max = 2048;
using Clock = std::chrono::steady_clock;

std::vector<InfoHash> hashes(std::size_t count) {
  Random random(2024);
  std::vector<InfoHash> out(count);
  for (auto& hash : out) random.fill(hash.bytes);
  return out;
}

/// One system call's worth of datagrams.
struct Datagrams {
  std::array<std::array<std::uint8_t, answer_bytes_max>, in_flight> bytes{};
  std::array<iovec, in_flight> parts{};
  std::array<mmsghdr, in_flight> headers{};

  Datagrams() {
    for (unsigned i = 0; i < in_flight; ++i) {
      parts[i] = {bytes[i].data(), answer_bytes_max};
      headers[i].msg_hdr.msg_iov = &parts[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

std::optional<std::uint64_t> connect_to_tracker(int socket) {
  std::array<std::uint8_t, answer_bytes_max> answer{};
  for (int attempt = 0; attempt < 20; ++attempt) {
    const auto request = encode(wire::UdpConnect{7});
    if (send(socket, request.data(), request.size(), 0) < 0) continue;
    const auto n = recv(socket, answer.data(), answer.size(), 0);
    if (n < 0) continue;
    const auto reply = wire::decode_udp_reply(ByteView(answer).first(static_cast<std::size_t>(n)), wire::UdpFamily::v4);
    if (reply && std::holds_alternative<wire::UdpConnected>(*reply))
      return std::get<wire::UdpConnected>(*reply).connection_id;
  }
  return std::nullopt;
}

int load(int socket, double seconds, const std::vector<InfoHash>& torrents) {
  const auto id = connect_to_tracker(socket);
  if (!id) return std::fputs("no answer to connect\n", stderr), 1;
  wire::UdpAnnounce announce{*id, 0, {}, {}};
  announce.request.port = 1;
  announce.request.left = 1;
  announce.request.num_want = 50;
  const Buffer pattern = encode(announce);
  Datagrams out, in;
  for (unsigned i = 0; i < in_flight; ++i) {
    std::copy(pattern.begin(), pattern.end(), out.bytes[i].begin());
    out.parts[i].iov_len = pattern.size();
  }
  Random random(1);
  std::uint32_t transaction = 0;
  std::uint64_t answered = 0, refused = 0, bytes = 0, lost = 0;
  unsigned waiting = 0;
  const auto began = Clock::now();
  const auto until = began + std::chrono::duration<double>(seconds);
  auto now = began;
  for (; now < until; now = Clock::now()) {
    const unsigned more = in_flight - waiting;
    for (unsigned i = 0; i < more; ++i) {  // the layout is BEP 15's
      auto* datagram = out.bytes[i].data();
      store_u32(datagram + 12, ++transaction);
      const auto& torrent = torrents[random.below(torrents.size())];
      std::copy(torrent.bytes.begin(), torrent.bytes.end(), datagram + 16);
      store_u64(datagram + 44, random.next());                                            // peer id
      store_u32(datagram + 88, static_cast<std::uint32_t>(random.next()));                // key
      store_u16(datagram + 96, static_cast<std::uint16_t>(1024 + random.below(64'000)));  // port
    }
    if (more != 0) {
      const int sent = sendmmsg(socket, out.headers.data(), more, 0);
      if (sent > 0) waiting += static_cast<unsigned>(sent);
    }
    const int came = recvmmsg(socket, in.headers.data(), in_flight, MSG_WAITFORONE, nullptr);
    if (came <= 0) {
      lost += std::exchange(waiting, 0u);
      continue;
    }
    for (int i = 0; i < came; ++i) {
      const auto at = static_cast<unsigned>(i);
      bytes += in.headers[at].msg_len;
      ++(in.bytes[at][3] == 1 ? answered : refused);
    }
    waiting -= std::min(waiting, static_cast<unsigned>(came));
  }
  const double took = std::chrono::duration<double>(now - began).count();
  std::printf("{\"announces_per_s\":%.0f,\"answered\":%llu,\"refused\":%llu,\"lost\":%llu,\"reply_bytes\":%.1f}\n",
              static_cast<double>(answered) / took, static_cast<unsigned long long>(answered),
              static_cast<unsigned long long>(refused), static_cast<unsigned long long>(lost),
              static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(1, answered)));
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count == 3 && std::string_view(words[1]) == "hashes") {
    for (const auto& hash : hashes(std::strtoull(words[2], nullptr, 10))) {
      for (const auto byte : hash.bytes) std::printf("%02x", byte);
      std::puts("");
    }
    return 0;
  }
  if (count != 5) return std::fputs("udp_load ADDRESS PORT SECONDS HASHES | udp_load hashes COUNT\n", stderr), 2;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(words[2])));
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, words[1], &to.sin_addr) != 1 ||
      connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    return std::perror(words[1]), 1;
  }
  const timeval patience{0, 200'000};
  const int buffer = 4 << 20;
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  return load(socket, std::atof(words[3]), hashes(std::strtoull(words[4], nullptr, 10)));
}
