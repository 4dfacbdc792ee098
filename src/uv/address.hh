// Addresses between the core's and the socket's form, and what --interface means.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "base/endpoint.hh"
#include "base/error.hh"

namespace swarm::uv {

/// The address that sockets are bound to; nothing: any, IPv4 and IPv6 alike.
using Interface = std::optional<IpAddress>;

/// Empty: nothing. An address as it stands, or the first usable address (IPv4 before IPv6) of the interface with this name, or
/// for "tailscale" the first that is_overlay, on whatever interface. Exit::usage "no_such_interface", naming those that there
/// are.
Result<Interface> find_interface(const std::string& name_or_address);

/// What Tailscale gives to machines: 100.64.0.0/10 (RFC 6598, shared with carriers) and fd7a:115c:a1e0::/48.
bool is_overlay(const IpAddress& address);

/// Of this host, without loopback, link-local and those that are down.
std::vector<IpAddress> own_addresses();

/// For a socket of `family`: AF_INET takes only IPv4, AF_INET6 takes both (IPv4 as ::ffff:a.b.c.d). Length in *length.
sockaddr_storage to_sockaddr(const Endpoint& endpoint, int family, socklen_t* length);
int family_of(const IpAddress& address);  ///< AF_INET or AF_INET6
Endpoint from_sockaddr(const sockaddr* address);
/// Not reachable from the Internet: RFC 1918, 100.64/10, loopback, link-local, fc00::/7 and the like.
bool is_private(const IpAddress& address);

}  // namespace swarm::uv
