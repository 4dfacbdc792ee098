#include "base/endpoint.hh"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace swarm {

namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

IpAddress mapped(ByteView four_bytes) {
  IpAddress a;
  std::copy(mapped_prefix.begin(), mapped_prefix.end(), a.bytes.begin());
  std::copy(four_bytes.begin(), four_bytes.end(), a.bytes.begin() + mapped_prefix.size());
  return a;
}

/// Digits only: 0 … 65535.
std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return port;
}

std::size_t mix(std::uint64_t h, std::uint64_t word) {
  h = (h ^ word) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 32;
}

}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) {
  std::array<std::uint8_t, 4> four{};
  store_u32(four.data(), host_order);
  return mapped(four);
}

std::optional<IpAddress> IpAddress::from(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != text.npos) return std::nullopt;
  std::copy(text.begin(), text.end(), terminated.begin());
  IpAddress a;
  if (inet_pton(AF_INET6, terminated.data(), a.bytes.data()) == 1) return a;
  std::array<std::uint8_t, 4> four{};
  if (inet_pton(AF_INET, terminated.data(), four.data()) == 1) return mapped(four);
  return std::nullopt;
}

bool IpAddress::is_v4() const { return load_u64(bytes.data()) == 0 && load_u32(&bytes[8]) == 0xffff; }

bool IpAddress::is_unspecified() const {
  const auto low = load_u64(&bytes[8]);
  return load_u64(bytes.data()) == 0 && (low == 0 || low == 0xffff'0000'0000);
}

bool IpAddress::is_loopback() const {
  return is_v4() ? bytes[12] == 127 : load_u64(bytes.data()) == 0 && load_u64(&bytes[8]) == 1;
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes[12] == 169 && bytes[13] == 254;
  return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const { return is_v4() ? bytes[12] >> 4 == 14 : bytes[0] == 0xff; }

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> out{};
  const auto* from = bytes.data() + (is_v4() ? mapped_prefix.size() : 0);
  return inet_ntop(is_v4() ? AF_INET : AF_INET6, from, out.data(), out.size());
}

std::optional<Endpoint> Endpoint::from(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed != (host.find(':') != host.npos)) return std::nullopt;
  const auto address = IpAddress::from(host);
  const auto port = parse_port(text.substr(colon + 1));
  if (!address || !port) return std::nullopt;
  return Endpoint{*address, *port};
}

std::optional<Endpoint> Endpoint::from_compact(ByteView bytes) {
  Endpoint e;
  if (bytes.size() == 6) {
    e.address = mapped(bytes.first(4));
  } else if (bytes.size() == 18) {
    std::copy_n(bytes.begin(), 16, e.address.bytes.begin());
  } else {
    return std::nullopt;
  }
  e.port = load_u16(&bytes[bytes.size() - 2]);
  return e;
}

void Endpoint::append_compact(Buffer& to) const {
  std::array<std::uint8_t, 18> all{};
  std::copy(address.bytes.begin(), address.bytes.end(), all.begin());
  store_u16(&all[16], port);
  append(to, ByteView(all).subspan(address.is_v4() ? mapped_prefix.size() : 0));
}

std::string Endpoint::text() const {
  return address.is_v4() ? fmt::format("{}:{}", address.text(), port) : fmt::format("[{}]:{}", address.text(), port);
}

std::optional<HostPort> parse_host_port(std::string_view text) {
  if (IpAddress::from(text)) return HostPort{std::string(text), 0};  // an IPv6 address without brackets has no port
  std::string_view host = text;
  std::optional<std::uint16_t> port = 0;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == text.npos) return std::nullopt;
    host = text.substr(1, close - 1);
    const auto rest = text.substr(close + 1);
    if (!rest.empty()) port = rest.front() == ':' ? parse_port(rest.substr(1)) : std::nullopt;
    if (const auto address = IpAddress::from(host); !address || host.find(':') == host.npos) return std::nullopt;
  } else if (const auto colon = text.find(':'); colon != text.npos) {
    host = text.substr(0, colon);
    port = parse_port(text.substr(colon + 1));
  }
  if (host.empty() || !port) return std::nullopt;
  return HostPort{std::string(host), *port};
}

}  // namespace swarm

std::size_t std::hash<swarm::IpAddress>::operator()(const swarm::IpAddress& a) const noexcept {
  return swarm::mix(swarm::load_u64(a.bytes.data()) * 31, swarm::load_u64(a.bytes.data() + 8));
}

std::size_t std::hash<swarm::Endpoint>::operator()(const swarm::Endpoint& e) const noexcept {
  return swarm::mix(std::hash<swarm::IpAddress>{}(e.address), e.port);
}
