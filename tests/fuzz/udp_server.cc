// Any datagrams, one after the other, to the tracker's UDP server: it answers with more than it got only who shows the
// id that it gave to his address, and keeps no more than its limits.
//
// An input is records: a byte of flags (bits 0-1: which of four addresses, bit 2: IPv6, bit 3: show the right id in the
// datagram's first eight bytes, bits 4-5: time that passes before it), a byte of length, and so many bytes.
#include "core/tracker/udp_server.hh"

#include <algorithm>
#include <array>
#include <variant>

#include "base/check.hh"
#include "base/random.hh"
#include "core/tracker/notices.hh"
#include "fuzz/target.hh"
#include "wire/udp_tracker.hh"

using namespace swarm;
using namespace swarm::core;

namespace {

constexpr std::size_t torrents_max = 3, peers_max = 5;
constexpr std::uint8_t is_v6 = 4, right_id = 8;

Endpoint sender(std::uint8_t flags) {
  const std::uint8_t host = flags & 3;
  if ((flags & is_v6) == 0) return {IpAddress::v4(0x0a000001u + host), static_cast<std::uint16_t>(5000 + host)};
  std::array<std::uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8};
  bytes[15] = host;
  return {IpAddress{bytes}, 5000};
}

struct Tracker {
  Random random{1};
  Directory directory{{.torrents_max = torrents_max, .peers_max = peers_max}, random};
  Catalogue catalogue;
  Notices notices;
  Nodes nodes{[](const InfoHash&) { return Nodes::Facts(); }, notices};
  Announces announces{{}, catalogue, directory, nodes};
  UdpServer server{{1, 2, 3}, announces};
  Instant now{1h};
  const Endpoint local = *Endpoint::from("192.168.1.1:6969");

  std::uint64_t connect(const Endpoint& from) {
    const auto answer = server.on_datagram(encode(wire::UdpConnect{9}), from, local, now);
    SWARM_CHECK(answer && answer->size() == 16);
    return load_u64(&(*answer)[8]);
  }

  void give(Buffer datagram, std::uint8_t flags) {
    constexpr std::array<Duration, 4> passes = {Duration(0), 1s, 59s, 121s};
    const Endpoint from = sender(flags);
    const bool shows_id = (flags & right_id) != 0 && datagram.size() >= 8;
    if (shows_id) store_u64(datagram.data(), connect(from));
    if ((flags & right_id) == 0) now += passes[flags >> 4 & 3];  // an id shown is one that is known
    const auto request = wire::decode_udp_request(datagram);
    const auto answer = server.on_datagram(datagram, from, local, now);
    SWARM_CHECK(directory.torrents() <= torrents_max && directory.peers() <= peers_max);
    if (!answer) {
      SWARM_CHECK(!request || !(shows_id || std::holds_alternative<wire::UdpConnect>(*request)));
      return;
    }
    SWARM_CHECK(request.has_value());  // what is no request is answered with silence
    const bool connects = std::holds_alternative<wire::UdpConnect>(*request);
    if (!shows_id) SWARM_CHECK(connects && answer->size() <= datagram.size());
    const auto family = from.address.is_v4() ? wire::UdpFamily::v4 : wire::UdpFamily::v6;
    const auto reply = wire::decode_udp_reply(*answer, family);
    SWARM_CHECK(reply && wire::transaction_of(*reply) == load_u32(&datagram[12]));
    SWARM_CHECK(answer->size() <= 1232);
    test::accepted += connects ? 0 : 1;
  }
};

std::string record(std::uint8_t flags, const Buffer& datagram) {
  return std::string{static_cast<char>(flags), static_cast<char>(datagram.size())} + std::string(as_text(datagram));
}

Buffer announce(std::uint8_t torrent, std::uint16_t port, std::uint64_t left) {
  wire::UdpAnnounce a;
  a.transaction = 7;
  a.request.info_hash.bytes.fill(torrent);
  a.request.peer_id.bytes.fill(static_cast<std::uint8_t>(port));
  a.request.port = port;
  a.request.left = left;
  return encode(a);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Tracker tracker;
  for (ByteView input{data, size}; input.size() >= 2;) {
    const std::uint8_t flags = input[0];
    const std::size_t length = std::min<std::size_t>(input[1], input.size() - 2);
    tracker.give(Buffer(input.begin() + 2, input.begin() + 2 + static_cast<std::ptrdiff_t>(length)), flags);
    input = input.subspan(2 + length);
  }
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  std::string swarm, full;
  for (std::uint8_t host = 0; host < 4; ++host) {
    swarm += record(right_id | host, announce(1, static_cast<std::uint16_t>(6881 + host), host));
    full += record(right_id | host, announce(host, 6881, 1)) + record(right_id | is_v6 | host, announce(host, 6881, 0));
  }
  InfoHash one;
  one.bytes.fill(1);
  const Buffer scrape = encode(wire::UdpScrape{0, 2, {one, InfoHash()}});
  return {record(0, encode(wire::UdpConnect{1})), swarm + record(right_id, scrape), full,
          record(0, announce(1, 6881, 1)) + record(16, scrape),
          swarm + record(48, encode(wire::UdpConnect{2})) + swarm};
}
