// long_link NAMESPACE NAMESPACE MBIT ROUND_TRIP_MS: a long fat link between two network namespaces, in user space.
//
// Each namespace gets a TUN interface "long0" (its addresses are the caller's to set, once "ready" was printed). What enters one comes
// out of the other after half the round trip, at no more than the rate, behind a queue of queue_ms; what finds the queue full is dropped,
// as a router does. It runs until its standard input ends, and the interfaces go with it.
//
// Packets may be as large as the kernel's segmentation makes them (TUNSETOFFLOAD): the rate counts their bytes, and one system call moves
// up to 64 KiB, so that the link and not this program is the limit.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t offload_header_bytes = 10;  ///< struct virtio_net_hdr, whose header is not C++
constexpr std::size_t packet_bytes_max = 65'536 + offload_header_bytes;
constexpr double queue_ms = 40;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

int open_tun(const std::string& name_space) {
  const int there = open(("/run/netns/" + name_space).c_str(), O_RDONLY | O_CLOEXEC);
  if (there < 0 || setns(there, CLONE_NEWNET) != 0) give_up(name_space.c_str());
  close(there);
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq wish{};
  wish.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  std::strncpy(wish.ifr_name, "long0", IFNAMSIZ - 1);
  if (tun < 0 || ioctl(tun, TUNSETIFF, &wish) != 0) give_up("/dev/net/tun");
  if (ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) give_up("TUNSETOFFLOAD");
  return tun;
}

/// What is on its way in one direction.
struct Direction {
  int from = -1, to = -1;
  double bytes_per_ns = 0;
  Clock::duration delay{};

  struct Packet {
    Clock::time_point due;
    std::vector<std::uint8_t> bytes;
  };
  std::deque<Packet> packets;                    ///< bounded by the rate, the delay and queue_ms
  std::vector<std::vector<std::uint8_t>> spare;  ///< memory of packets that are through
  Clock::time_point free_at{};                   ///< when the link has sent what it was given
  std::uint64_t dropped = 0;

  void take(Clock::time_point now) {
    for (int i = 0; i < 64; ++i) {
      std::vector<std::uint8_t> bytes;
      if (!spare.empty()) bytes = std::move(spare.back()), spare.pop_back();
      bytes.resize(packet_bytes_max);
      const auto n = read(from, bytes.data(), bytes.size());
      if (n <= 0) return spare.push_back(std::move(bytes));
      bytes.resize(static_cast<std::size_t>(n));
      const auto start = std::max(now, free_at);
      if (start - now > std::chrono::duration<double, std::milli>(queue_ms)) {
        ++dropped;
        spare.push_back(std::move(bytes));
        continue;
      }
      free_at = start + std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(n) / bytes_per_ns));
      packets.push_back({free_at + delay, std::move(bytes)});
    }
  }
  void give(Clock::time_point now) {
    while (!packets.empty() && packets.front().due <= now) {
      auto& bytes = packets.front().bytes;
      if (write(to, bytes.data(), bytes.size()) < 0 && errno == EAGAIN) return;
      spare.push_back(std::move(bytes));
      packets.pop_front();
    }
  }
};

}  // namespace

int main(int count, char** words) {
  if (count != 5) return std::fputs("long_link NAMESPACE NAMESPACE MBIT ROUND_TRIP_MS\n", stderr), 2;
  const std::array<int, 2> tuns{open_tun(words[1]), open_tun(words[2])};
  const double bytes_per_ns = std::atof(words[3]) * 1e6 / 8 / 1e9;
  const auto delay =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(std::atof(words[4]) / 2));
  std::array<Direction, 2> directions;
  for (std::size_t i = 0; i < 2; ++i) {
    directions[i].from = tuns[i];
    directions[i].to = tuns[1 - i];
    directions[i].bytes_per_ns = bytes_per_ns;
    directions[i].delay = delay;
  }
  std::puts("ready");
  std::fflush(stdout);
  std::array<pollfd, 3> watched{pollfd{tuns[0], POLLIN, 0}, pollfd{tuns[1], POLLIN, 0},
                                pollfd{STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    auto now = Clock::now();
    timespec wait{1, 0};
    for (const auto& d : directions) {
      if (d.packets.empty()) continue;
      const auto left = std::max(d.packets.front().due - now, Clock::duration::zero());
      const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
      if (ns < wait.tv_sec * 1'000'000'000 + wait.tv_nsec)
        wait = {0, static_cast<long>(std::min<std::int64_t>(ns, 999'999'999))};
    }
    if (ppoll(watched.data(), watched.size(), &wait, nullptr) < 0 && errno != EINTR) give_up("ppoll");
    if (watched[2].revents != 0) break;
    now = Clock::now();
    for (auto& d : directions) d.take(now), d.give(now);
  }
  std::printf("%llu and %llu packets dropped\n", static_cast<unsigned long long>(directions[0].dropped),
              static_cast<unsigned long long>(directions[1].dropped));
}
