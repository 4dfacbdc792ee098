// WebSeeds: the HTTP servers that hold a torrent's content (BEP 19): when each may be asked, and for how much.
//
// Rules
// 1. One range at a time from each server, of adjacent blocks that nobody was asked for (Download::next_run): each byte is
//    fetched once.
// 2. A range is what the server sends in two seconds at its rate, at first 1 MiB, at most 16 MiB. Rationale: the pause between
//    two ranges is one round trip, which long ranges make small; short ones leave the choice of pieces open.
// 3. Never more than its share of what is still free: the free bytes divided by twice the number of sources, but one piece at
//    least. Rationale: near the end a slow server must not sit on what others could bring.
// 4. After an error the server rests for 10 s, doubled with each further one up to 10 min; a range that came whole makes up for
//    all. One that sent wrong data is out for good, like a peer.
// 5. A server that ignores ranges sends each file from its start or not at all. The driver tells so once (ignores_ranges),
//    which is no error; from then on the ranges it is asked for ascend: each begins with the lowest free block at or behind
//    the last one's end, and when there is none any more, with the lowest of all. After a range that did not come whole they
//    begin anew. Rationale: the driver keeps its reply open between two ranges, so that all that lies ahead costs nothing
//    more; what lies behind costs the file from its start.
// A web seed takes part as a peer that has everything, is asked by ranges and never asks (Peer::web_seed). Where an endpoint
// is told, it stands as the unspecified address with its number, from 1 on, as the port.
#pragma once

#include <cstdint>
#include <optional>

#include "base/endpoint.hh"
#include "base/instant.hh"

namespace swarm::core {

/// What one web seed is doing.
struct WebSeed {
  std::uint32_t number = 0;              ///< index into the torrent's list
  std::uint64_t offset = 0, length = 0;  ///< the range under way, in bytes of the torrent; length 0: none
  std::uint64_t done = 0;                ///< bytes of it that came
  std::uint32_t errors = 0;              ///< in a row
  Instant rests_until = Instant::min();
  bool in_order = false;        ///< rule 5
  std::uint64_t next_from = 0;  ///< with in_order: bytes of the torrent

  bool busy() const { return length > 0; }
  bool ready(Instant now) const { return !busy() && rests_until <= now; }
  /// Rules 2 and 3: bytes to ask for.
  std::uint64_t next_length(double rate, std::uint64_t bytes_free, std::size_t sources,
                            std::uint32_t piece_bytes) const;
  void began(std::uint64_t from, std::uint64_t bytes) { offset = from, length = bytes, done = 0; }
  /// The range is over; rule 4 when it did not come whole.
  void ended(bool whole, Instant now);
  /// The driver has told rule 5, in place of an end. False when it was known.
  bool learn_in_order();
};

/// How a web seed is named where an endpoint is told, and back.
inline Endpoint web_seed_endpoint(std::uint32_t number) {
  return {IpAddress{}, static_cast<std::uint16_t>(number + 1)};
}
inline std::optional<std::uint32_t> web_seed_number(const Endpoint& endpoint) {
  if (endpoint.address != IpAddress{} || endpoint.port == 0) return std::nullopt;
  return endpoint.port - 1u;
}

}  // namespace swarm::core
