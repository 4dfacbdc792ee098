// NatBox: a network address translator between some hosts and everybody else, for TCP (RFC 4787, RFC 5382).
//
// Rules
// 1. Mapping: one outside port for each inside endpoint, whomever it speaks to (endpoint-independent, RFC 4787 REQ-1), and the
//    same port number where that is free (port preservation, §4.2.1).
// 2. Filtering: a connection from outside to a mapped port is let in by the box's kind: always, from an address that the inside
//    endpoint has opened a connection to, or from the very endpoint. All others are dropped without an answer (RFC 5382 REQ-4).
// 3. A mapping, and each permission of rule 2, lasts 4 minutes after the last connection was opened by it (RFC 5382 REQ-5's
//    least for connections that come and go); streams that are established have their own entries and are never cut.
// Complexity: O(log mappings) each.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/endpoint.hh"
#include "base/instant.hh"

namespace swarm::sim {

/// What a box lets in, in the terms of RFC 4787 §5.
enum class Nat : std::uint8_t {
  none,                        ///< no box
  endpoint_independent,        ///< whoever speaks to a mapping
  address_dependent,           ///< who has an address that was spoken to through it
  address_and_port_dependent,  ///< the very endpoint that was spoken to
};

class NatBox {
 public:
  NatBox(const IpAddress& outside, Nat kind) : outside_(outside), kind_(kind) {}

  const IpAddress& outside() const { return outside_; }
  /// A connection is opened from inside: the port that it has outside.
  std::uint16_t on_opened(const Endpoint& inside, const Endpoint& to, Instant now);
  /// Who inside gets a connection from `from` to that outside port; nobody: it is dropped.
  std::optional<Endpoint> let_in(std::uint16_t port, const Endpoint& from, Instant now);

 private:
  static constexpr Duration lifetime = 4min;
  struct Mapping {
    Endpoint inside;
    Instant until{};
    std::map<Endpoint, Instant> spoken_to;  ///< and until when that counts
  };
  IpAddress outside_;
  Nat kind_;
  std::map<std::uint16_t, Mapping> by_port_;     ///< outside
  std::map<Endpoint, std::uint16_t> by_inside_;  ///< the same ones
};

}  // namespace swarm::sim
