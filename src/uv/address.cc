#include "uv/address.hh"

#include <fmt/format.h>
#include <netinet/in.h>
#include <uv.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

namespace swarm::uv {

namespace {

struct NamedAddress {
  std::string name;
  IpAddress address;
};

/// Of all interfaces that are up. Link-local IPv6 addresses mean nothing without a zone and are left out.
std::vector<NamedAddress> interface_addresses() {
  uv_interface_address_t* found = nullptr;
  int count = 0;
  if (uv_interface_addresses(&found, &count) != 0) return {};
  std::vector<NamedAddress> out;
  for (const auto& one : std::span(found, static_cast<std::size_t>(count))) {
    const auto address = from_sockaddr(reinterpret_cast<const sockaddr*>(&one.address)).address;
    if (!address.is_link_local()) out.push_back({one.name, address});
  }
  uv_free_interface_addresses(found, count);
  std::stable_sort(out.begin(), out.end(), [](const NamedAddress& a, const NamedAddress& b) {
    return a.address.is_v4() && !b.address.is_v4();
  });
  return out;
}

}  // namespace

Result<Interface> find_interface(const std::string& name_or_address) {
  if (name_or_address.empty()) return Interface{};
  if (const auto address = IpAddress::from(name_or_address)) return Interface{*address};
  std::vector<std::string> names;
  const auto all = interface_addresses();
  for (const auto& one : all) {
    if (one.name == name_or_address) return Interface{one.address};
    if (std::find(names.begin(), names.end(), one.name) == names.end()) names.push_back(one.name);
  }
  if (name_or_address == "tailscale") {
    const auto at =
        std::find_if(all.begin(), all.end(), [](const NamedAddress& one) { return is_overlay(one.address); });
    if (at != all.end()) return Interface{at->address};
    return fail(Exit::usage, "no_such_interface",
                "no Tailscale address on this machine (100.64.0.0/10 or fd7a:115c:a1e0::/48)",
                fmt::format("Run 'tailscale up', or give an address or one of: {}", fmt::join(names, ", ")));
  }
  return fail(Exit::usage, "no_such_interface", fmt::format("no interface '{}' with an address", name_or_address),
              fmt::format("There are: {}", fmt::join(names, ", ")));
}

bool is_overlay(const IpAddress& address) {
  const auto& b = address.bytes;
  if (address.is_v4()) return b[12] == 100 && (b[13] & 0xc0) == 64;
  static constexpr std::uint8_t prefix[] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0};
  return std::equal(std::begin(prefix), std::end(prefix), b.begin());
}

std::vector<IpAddress> own_addresses() {
  std::vector<IpAddress> out;
  for (const auto& one : interface_addresses()) {
    if (!one.address.is_loopback()) out.push_back(one.address);
  }
  return out;
}

int family_of(const IpAddress& address) { return address.is_v4() ? AF_INET : AF_INET6; }

sockaddr_storage to_sockaddr(const Endpoint& endpoint, int family, socklen_t* length) {
  sockaddr_storage out{};
  if (family == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(out);
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.address.bytes.data() + 12, 4);
    *length = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(out);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    std::memcpy(&in.sin6_addr, endpoint.address.bytes.data(), 16);
    *length = sizeof in;
  }
  return out;
}

Endpoint from_sockaddr(const sockaddr* address) {
  Endpoint out;
  if (address->sa_family == AF_INET) {
    const auto& in = *reinterpret_cast<const sockaddr_in*>(address);
    out.address = IpAddress::v4(ntohl(in.sin_addr.s_addr));
    out.port = ntohs(in.sin_port);
  } else if (address->sa_family == AF_INET6) {
    const auto& in = *reinterpret_cast<const sockaddr_in6*>(address);
    std::memcpy(out.address.bytes.data(), &in.sin6_addr, 16);
    out.port = ntohs(in.sin6_port);
  }
  return out;
}

bool is_private(const IpAddress& address) {
  if (address.is_loopback() || address.is_link_local() || address.is_unspecified()) return true;
  const auto& b = address.bytes;
  if (!address.is_v4()) return (b[0] & 0xfe) == 0xfc;
  return b[12] == 0 || b[12] == 10 || (b[12] == 172 && (b[13] & 0xf0) == 16) || (b[12] == 192 && b[13] == 168) ||
         (b[12] == 100 && (b[13] & 0xc0) == 64) || (b[12] == 169 && b[13] == 254);
}

}  // namespace swarm::uv
