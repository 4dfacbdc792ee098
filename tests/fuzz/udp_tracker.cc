// Any bytes as a datagram of the UDP tracker protocol, to a tracker and to a client: what is read is written and read
// again as the same.
#include "wire/udp_tracker.hh"

#include <variant>

#include "base/check.hh"
#include "fuzz/target.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

bool check_request(ByteView datagram) {
  const auto request = decode_udp_request(datagram);
  if (!request) return false;
  const auto encoded = [](const auto& packet) { return encode(packet); };
  const auto once = std::visit(encoded, *request);
  SWARM_CHECK(once.size() <= datagram.size() + 8);  // the padding of options may go, their lengths may be told anew
  const auto again = decode_udp_request(once);
  SWARM_CHECK(again && again->index() == request->index() && std::visit(encoded, *again) == once);
  if (const auto* announce = std::get_if<UdpAnnounce>(&*request)) {
    SWARM_CHECK(announce->url_data.size() <= udp_url_bytes_max && datagram.size() >= 98);
  }
  return true;
}

bool check_reply(ByteView datagram, UdpFamily family) {
  const auto reply = decode_udp_reply(datagram, family);
  if (!reply) return false;
  SWARM_CHECK(transaction_of(*reply) == load_u32(&datagram[4]));
  if (const auto* announced = std::get_if<UdpAnnounced>(&*reply)) {
    const std::size_t stride = family == UdpFamily::v4 ? 6 : 18;
    SWARM_CHECK(announced->reply.peers.size() <= (datagram.size() - 20) / stride);
    for (const auto& peer : announced->reply.peers) {
      SWARM_CHECK(peer.endpoint.port != 0 && !peer.endpoint.address.is_unspecified());
    }
    const auto once = encode(*announced, family);
    const auto again = decode_udp_reply(once, family);
    SWARM_CHECK(again && encode(std::get<UdpAnnounced>(*again), family) == once);
  }
  if (const auto* scraped = std::get_if<UdpScraped>(&*reply)) SWARM_CHECK(scraped->entries.size() <= udp_scrape_max);
  if (const auto* failed = std::get_if<UdpFailed>(&*reply)) SWARM_CHECK(failed->message.size() <= 256);
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView datagram{data, size};
  const bool request = check_request(datagram);
  const bool v4 = check_reply(datagram, UdpFamily::v4);
  const bool v6 = check_reply(datagram, UdpFamily::v6);
  SWARM_CHECK(v4 == v6);
  test::accepted += request || v4 ? 1 : 0;
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  UdpAnnounce announce;
  announce.connection_id = 0x1234;
  announce.transaction = 7;
  announce.request.port = 6881;
  announce.request.key = "deadbeef";
  announce.url_data = "/announce?auth=" + std::string(300, 'k');
  UdpAnnounced announced;
  announced.reply.interval_s = 1800;
  announced.reply.peers = {{*Endpoint::from("1.2.3.4:5"), {}}, {*Endpoint::from("[2001:db8::1]:6"), {}}};
  std::vector<std::string> out;
  for (const Buffer& datagram :
       {encode(UdpConnect{1}), encode(announce), encode(UdpScrape{1, 2, {InfoHash(), InfoHash()}}),
        encode(UdpConnected{1, 2}), encode(announced, UdpFamily::v4), encode(announced, UdpFamily::v6),
        encode(UdpScraped{1, {{{}, 1, 2, 3}}}), encode(UdpFailed{1, "no such torrent"})}) {
    out.emplace_back(as_text(datagram));
  }
  return out;
}
