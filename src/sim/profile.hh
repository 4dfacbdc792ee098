// Profile: what lines the nodes of a run have: kinds of nodes, how many there are of each, and from which ranges a node's rates
// and round trip are drawn.
//
// Rules
// 1. The kinds share the nodes in proportion to their weights, exactly: chance decides about rates, not about how many are slow.
// 2. Within a kind each number is drawn evenly from its range, whole bytes and nanoseconds, the same on every machine.
// 3. Two nodes are the mean of their round trips apart: half of each one's own stands between it and the middle of the network.
// 4. Seeds have lines of their own when the profile says so, else they are drawn like the others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "base/instant.hh"
#include "base/random.hh"
#include "sim/network.hh"

namespace swarm::sim {

template <class T>
struct Range {
  T least{}, most{};
  friend bool operator==(const Range&, const Range&) = default;
};

struct NodeKind {
  std::string name;
  std::uint32_t weight = 1;
  Range<std::uint64_t> up, down;  ///< bytes/s, above 0
  Range<Duration> round_trip;     ///< between two nodes of this kind
  Duration jitter{};
  double loss = 0;          ///< 0 … 1, of packets
  std::uint64_t burst = 0;  ///< bytes that an idle line saves up (Line::burst)
  friend bool operator==(const NodeKind&, const NodeKind&) = default;
};

struct Profile {
  std::string name;  ///< as it was asked for: "wan", or a file
  std::vector<NodeKind> kinds;
  std::optional<NodeKind> seeds;
  std::optional<std::uint32_t> header_bytes;  ///< of each segment (Network::Options)
  friend bool operator==(const Profile&, const Profile&) = default;

  const NodeKind& kind_of(std::uint32_t node, std::uint32_t nodes) const;  ///< rule 1
};

/// "lan", "wan" or "mixed"; nothing for other names.
std::optional<Profile> known_profile(std::string_view name);
/// From a file's text: {"nodes": [{"name": "fibre", "share": 3, "up": "100Mbit", "down": ["100Mbit", "1Gbit"],
/// "rtt": ["5ms", "20ms"], "jitter": "1ms", "loss": "0.5%", "burst": "128KiB"}, …], "seeds": {…}, "header_bytes": 66}. Only up and
/// down are needed; a list of two is a range. At most 1 MiB and 64 kinds. Exit::usage, "bad_profile", with the place.
Result<Profile> profile_from_json(std::string_view text, std::string name);

Line draw_line(const NodeKind& kind, Random& random);

}  // namespace swarm::sim
