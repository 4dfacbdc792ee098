#include "wire/udp_tracker.hh"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string_view>

namespace swarm::wire {

namespace {

enum class Action : std::uint32_t { connect = 0, announce = 1, scrape = 2, error = 3 };

constexpr std::size_t connect_bytes = 16, announce_bytes = 98, scrape_bytes = 16;
constexpr std::size_t connected_bytes = 16, announced_bytes = 20, scraped_bytes = 8, failed_bytes = 8,
                      not_listed_bytes = 8;
constexpr std::size_t hash_bytes = 20, counts_bytes = 12;
constexpr std::size_t peers_kept_max = 2000;
constexpr std::size_t message_bytes_max = 256;

// Options of BEP 41. Kinds up to `nop` have no length byte, all others do.
constexpr std::uint8_t option_end = 0, option_nop = 1, option_url = 2;
constexpr std::size_t option_data_max = 255;

/// Positive for whoever reads it as signed, and not 0, which would make us a seed.
constexpr std::uint64_t left_unknown = std::numeric_limits<std::int64_t>::max();
constexpr std::uint32_t num_want_any = 0xffffffff;

/// Big-endian integers, one after the other.
class Writer {
 public:
  explicit Writer(std::size_t bytes) { out_.reserve(bytes); }
  Writer& u8(std::size_t v) {
    out_.push_back(static_cast<std::uint8_t>(v));
    return *this;
  }
  Writer& u16(std::uint16_t v) {
    std::array<std::uint8_t, 2> b{};
    store_u16(b.data(), v);
    return bytes(b);
  }
  Writer& u32(std::uint32_t v) {
    std::array<std::uint8_t, 4> b{};
    store_u32(b.data(), v);
    return bytes(b);
  }
  Writer& u64(std::uint64_t v) {
    std::array<std::uint8_t, 8> b{};
    store_u64(b.data(), v);
    return bytes(b);
  }
  Writer& action(Action a) { return u32(static_cast<std::uint32_t>(a)); }
  Writer& bytes(ByteView v) {
    append(out_, v);
    return *this;
  }
  Writer& peer(const Endpoint& e) {
    e.append_compact(out_);
    return *this;
  }
  Buffer take() { return std::move(out_); }

 private:
  Buffer out_;
};

/// The other way. Whoever reads has made sure of the length.
class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}
  std::uint16_t u16() { return load_u16(bytes(2).data()); }
  std::uint32_t u32() { return load_u32(bytes(4).data()); }
  std::uint64_t u64() { return load_u64(bytes(8).data()); }
  Digest<20> digest() { return *Digest<20>::from(bytes(20)); }
  ByteView bytes(std::size_t n) {
    const auto front = in_.first(n);
    in_ = in_.subspan(n);
    return front;
  }
  std::size_t left() const { return in_.size(); }
  ByteView rest() { return bytes(in_.size()); }

 private:
  ByteView in_;
};

std::uint32_t event_number(AnnounceEvent event) {
  switch (event) {
    case AnnounceEvent::completed:
      return 1;
    case AnnounceEvent::started:
      return 2;
    case AnnounceEvent::stopped:
      return 3;
    case AnnounceEvent::none:
      break;
  }
  return 0;
}

AnnounceEvent event_from(std::uint32_t number) {
  switch (number) {
    case 1:
      return AnnounceEvent::completed;
    case 2:
      return AnnounceEvent::started;
    case 3:
      return AnnounceEvent::stopped;
    default:
      return AnnounceEvent::none;
  }
}

std::uint32_t key_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, number, 16);
  return fault == std::errc() && stop == end ? number : 0;
}

std::string key_text(std::uint32_t number) {
  if (number == 0) return {};
  std::string text(8, '0');
  for (int i = 7; i >= 0; --i, number >>= 4) text[static_cast<std::size_t>(i)] = "0123456789abcdef"[number & 15];
  return text;
}

void write_url(Writer& out, std::string_view url) {
  if (url == "/" || url.size() > udp_url_bytes_max) return;
  while (!url.empty()) {
    const auto part = url.substr(0, option_data_max);
    out.u8(option_url).u8(part.size()).bytes(as_bytes(part));
    url.remove_prefix(part.size());
  }
}

/// What the URLData options hold together. An option that reaches beyond the datagram ends the reading, as the end does.
std::string read_url(Reader& in) {
  std::string url;
  while (in.left() > 0) {
    const auto kind = in.bytes(1)[0];
    if (kind == option_end) break;
    if (kind == option_nop) continue;
    if (in.left() == 0) break;
    const std::size_t size = in.bytes(1)[0];
    if (size > in.left()) break;
    const auto data = in.bytes(size);
    if (kind == option_url && url.size() + size <= udp_url_bytes_max) url += as_text(data);
  }
  return url;
}

UdpAnnounce read_announce(std::uint64_t connection_id, std::uint32_t transaction, Reader& in) {
  UdpAnnounce p;
  p.connection_id = connection_id;
  p.transaction = transaction;
  p.request.info_hash = in.digest();
  p.request.peer_id = in.digest();
  p.request.downloaded = in.u64();
  const auto left = in.u64();
  if (left < left_unknown) p.request.left = left;
  p.request.uploaded = in.u64();
  p.request.event = event_from(in.u32());
  in.u32();  // the IP address that the client claims to have
  p.request.key = key_text(in.u32());
  const auto num_want = in.u32();
  if (num_want <= 0x7fffffff) p.request.num_want = num_want;
  p.request.port = in.u16();
  p.url_data = read_url(in);
  return p;
}

UdpScrape read_scrape(std::uint64_t connection_id, std::uint32_t transaction, Reader& in) {
  UdpScrape p{connection_id, transaction, {}};
  while (in.left() >= hash_bytes && p.hashes.size() < udp_scrape_max) p.hashes.push_back(in.digest());
  return p;
}

UdpAnnounced read_announced(std::uint32_t transaction, Reader& in, UdpFamily family) {
  UdpAnnounced p;
  p.transaction = transaction;
  p.reply.interval_s = in.u32();
  p.reply.incomplete = in.u32();
  p.reply.complete = in.u32();
  const std::size_t stride = family == UdpFamily::v4 ? 6 : 18;
  while (in.left() >= stride && p.reply.peers.size() < peers_kept_max) {
    const auto peer = *Endpoint::from_compact(in.bytes(stride));
    if (peer.port != 0 && !peer.address.is_unspecified()) p.reply.peers.push_back({peer, {}});
  }
  return p;
}

UdpScraped read_scraped(std::uint32_t transaction, Reader& in) {
  UdpScraped p;
  p.transaction = transaction;
  while (in.left() >= counts_bytes && p.entries.size() < udp_scrape_max) {
    ScrapeEntry e;
    e.complete = in.u32();
    e.downloaded = in.u32();
    e.incomplete = in.u32();
    p.entries.push_back(e);
  }
  return p;
}

}  // namespace

Buffer encode(const UdpConnect& p) {
  return Writer(connect_bytes).u64(udp_protocol_id).action(Action::connect).u32(p.transaction).take();
}

Buffer encode(const UdpAnnounce& p) {
  const auto& r = p.request;
  Writer out(announce_bytes + p.url_data.size() + 8);
  out.u64(p.connection_id).action(Action::announce).u32(p.transaction);
  out.bytes(r.info_hash.view()).bytes(r.peer_id.view());
  out.u64(r.downloaded).u64(std::min(r.left.value_or(left_unknown), left_unknown)).u64(r.uploaded);
  out.u32(event_number(r.event)).u32(0).u32(key_number(r.key));
  out.u32(r.num_want && *r.num_want <= 0x7fffffff ? *r.num_want : num_want_any).u16(r.port);
  write_url(out, p.url_data);
  return out.take();
}

Buffer encode(const UdpScrape& p) {
  const auto count = std::min(p.hashes.size(), udp_scrape_max);
  Writer out(scrape_bytes + count * hash_bytes);
  out.u64(p.connection_id).action(Action::scrape).u32(p.transaction);
  for (std::size_t i = 0; i < count; ++i) out.bytes(p.hashes[i].view());
  return out.take();
}

Buffer encode(const UdpConnected& p) {
  return Writer(connected_bytes).action(Action::connect).u32(p.transaction).u64(p.connection_id).take();
}

Buffer encode(const UdpAnnounced& p, UdpFamily family) {
  const bool v4 = family == UdpFamily::v4;
  std::size_t room = v4 ? udp_peers_v4_max : udp_peers_v6_max;
  Writer out(announced_bytes + std::min(room, p.reply.peers.size()) * (v4 ? 6 : 18));
  out.action(Action::announce).u32(p.transaction).u32(p.reply.interval_s);
  out.u32(p.reply.incomplete.value_or(0)).u32(p.reply.complete.value_or(0));
  for (const auto& peer : p.reply.peers) {
    if (peer.endpoint.address.is_v4() != v4) continue;
    if (room-- == 0) break;
    out.peer(peer.endpoint);
  }
  return out.take();
}

Buffer encode(const UdpScraped& p) {
  const auto count = std::min(p.entries.size(), udp_scrape_max);
  Writer out(scraped_bytes + count * counts_bytes);
  out.action(Action::scrape).u32(p.transaction);
  for (std::size_t i = 0; i < count; ++i) {
    out.u32(p.entries[i].complete).u32(p.entries[i].downloaded).u32(p.entries[i].incomplete);
  }
  return out.take();
}

Buffer encode(const UdpFailed& p) {
  const auto message = std::string_view(p.message).substr(0, message_bytes_max);
  Writer out(failed_bytes + message.size());
  return out.action(Action::error).u32(p.transaction).bytes(as_bytes(message)).take();
}

std::optional<UdpRequest> decode_udp_request(ByteView datagram) {
  if (datagram.size() < connect_bytes) return std::nullopt;
  Reader in(datagram);
  const auto connection_id = in.u64();
  const auto action = Action{in.u32()};
  const auto transaction = in.u32();
  if (action == Action::connect && connection_id == udp_protocol_id) return UdpConnect{transaction};
  if (action == Action::announce && datagram.size() >= announce_bytes) {
    return read_announce(connection_id, transaction, in);
  }
  if (action == Action::scrape && datagram.size() >= scrape_bytes + hash_bytes) {
    return read_scrape(connection_id, transaction, in);
  }
  return std::nullopt;
}

std::optional<UdpReply> decode_udp_reply(ByteView datagram, UdpFamily family) {
  if (datagram.size() < failed_bytes) return std::nullopt;
  Reader in(datagram);
  const auto action = Action{in.u32()};
  const auto transaction = in.u32();
  switch (action) {
    case Action::connect:
      if (datagram.size() < connected_bytes) return std::nullopt;
      return UdpConnected{transaction, in.u64()};
    case Action::announce:
      if (datagram.size() == not_listed_bytes) return UdpNotListed{transaction};
      if (datagram.size() < announced_bytes) return std::nullopt;
      return read_announced(transaction, in, family);
    case Action::scrape:
      return read_scraped(transaction, in);
    case Action::error:
      return UdpFailed{transaction, std::string(as_text(in.rest()).substr(0, message_bytes_max))};
  }
  return std::nullopt;
}

std::uint32_t transaction_of(const UdpReply& reply) {
  return std::visit([](const auto& packet) { return packet.transaction; }, reply);
}

}  // namespace swarm::wire
