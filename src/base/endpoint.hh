// Where a peer is: an IPv4 or IPv6 address and a port.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hh"

namespace swarm {

/// An address; IPv4 is kept in its mapped form (::ffff:a.b.c.d), so that a dual-stack socket's peers compare equal.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  static IpAddress v4(std::uint32_t host_order);
  static std::optional<IpAddress> from(std::string_view text);  ///< dotted quad, or IPv6 without brackets
  bool is_v4() const;
  bool is_unspecified() const;  ///< 0.0.0.0 or ::
  bool is_loopback() const;
  bool is_link_local() const;
  bool is_multicast() const;
  std::string text() const;
  auto operator<=>(const IpAddress&) const = default;
};

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  /// "1.2.3.4:5", "[::1]:5"; nothing when the port is missing or out of 0 … 65535.
  static std::optional<Endpoint> from(std::string_view text);
  /// 6 bytes (BEP 23) or 18 bytes (BEP 7); other lengths give nothing.
  static std::optional<Endpoint> from_compact(ByteView bytes);
  void append_compact(Buffer& to) const;  ///< 6 or 18 bytes by family
  std::string text() const;
  auto operator<=>(const Endpoint&) const = default;
};

/// "host", "host:port", "[v6]:port" as people type it; `port` 0 when absent. Nothing when the port is not a number in
/// range or the host is empty.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
std::optional<HostPort> parse_host_port(std::string_view text);

}  // namespace swarm

template <>
struct std::hash<swarm::IpAddress> {
  std::size_t operator()(const swarm::IpAddress& a) const noexcept;
};
template <>
struct std::hash<swarm::Endpoint> {
  std::size_t operator()(const swarm::Endpoint& e) const noexcept;
};
