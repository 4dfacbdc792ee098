#include "core/tracker/udp_server.hh"

#include <algorithm>
#include <string>
#include <variant>

#include "wire/udp_tracker.hh"

namespace swarm::core {
namespace {

std::uint64_t minute_of(Instant now) { return static_cast<std::uint64_t>(now.time_since_epoch() / UdpServer::window); }

Sha1 keyed(const UdpServer::Key& key, std::uint8_t pad) {
  std::array<std::uint8_t, 64> block{};
  for (std::size_t i = 0; i < block.size(); ++i) {
    block[i] = static_cast<std::uint8_t>((i < key.size() ? key[i] : 0) ^ pad);
  }
  Sha1 hash;
  hash.update(block);
  return hash;
}

}  // namespace

UdpServer::UdpServer(const Key& key, Announces& announces)
    : inner_(keyed(key, 0x36)), outer_(keyed(key, 0x5c)), announces_(announces) {}

std::optional<Buffer> UdpServer::on_datagram(ByteView datagram, const Endpoint& from, const Endpoint& local,
                                             Instant now) {
  const auto request = wire::decode_udp_request(datagram);
  if (!request || from.port == 0) return std::nullopt;
  if (const auto* connect = std::get_if<wire::UdpConnect>(&*request)) {
    return encode(wire::UdpConnected{connect->transaction, id_of(from.address, minute_of(now))});
  }

  if (const auto* announce = std::get_if<wire::UdpAnnounce>(&*request)) {
    if (!knows(announce->connection_id, from.address, now)) return std::nullopt;
    ++announced_;
    if (announce->request.port == 0) {
      return encode(wire::UdpFailed{announce->transaction, "port is not within 1-65535"});
    }
    auto reply = announces_.on_announce(announce->request, Caller(from, local, now));
    if (!reply) return encode(wire::UdpFailed{announce->transaction, std::string(reply.error())});
    const auto family = from.address.is_v4() ? wire::UdpFamily::v4 : wire::UdpFamily::v6;
    return encode(wire::UdpAnnounced{announce->transaction, std::move(*reply)}, family);
  }

  const auto& scrape = std::get<wire::UdpScrape>(*request);
  if (!knows(scrape.connection_id, from.address, now)) return std::nullopt;
  wire::UdpScraped reply;
  reply.transaction = scrape.transaction;
  for (const auto& torrent : scrape.hashes) reply.entries.push_back(announces_.scrape(torrent));
  return encode(reply);
}

std::uint64_t UdpServer::id_of(const IpAddress& address, std::uint64_t minute) const {
  std::array<std::uint8_t, 24> text{};
  std::copy(address.bytes.begin(), address.bytes.end(), text.begin());
  store_u64(&text[16], minute);
  Sha1 inner = inner_, outer = outer_;
  inner.update(text);
  outer.update(inner.finish().view());
  return load_u64(outer.finish().bytes.data());
}

bool UdpServer::knows(std::uint64_t id, const IpAddress& address, Instant now) const {
  const auto minute = minute_of(now);
  return id == id_of(address, minute) || (minute > 0 && id == id_of(address, minute - 1));
}

}  // namespace swarm::core
