// The UDP tracker protocol (BEP 15, BEP 41), both sides: each datagram is one value.
//
//     client                              tracker
//     UdpConnect   (16 bytes)        ──►
//                                    ◄──  UdpConnected (16)                 a connection id, good for 60 s
//     UdpAnnounce  (98 + options)    ──►
//                                    ◄──  UdpAnnounced (20 + 6n or 18n)     or UdpFailed (8 + text), UdpNotListed (8)
//     UdpScrape    (16 + 20n)        ──►
//                                    ◄──  UdpScraped   (8 + 12n)            or UdpFailed
//
// A reader takes what is at least as long as its table in BEP 15 and passes over bytes behind it that make no whole
// entry: later extensions may have put them there. Nothing is allocated from a length that is told, only from bytes
// that came.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hh"
#include "base/digest.hh"
#include "wire/announce.hh"

namespace swarm::wire {

constexpr std::uint64_t udp_protocol_id = 0x41727101980;
constexpr std::size_t udp_scrape_max = 74;       ///< hashes in one scrape (BEP 15)
constexpr std::size_t udp_url_bytes_max = 1020;  ///< of a URL's path and query: four options of 255 bytes (BEP 41)
/// Peers written into one reply: it stays within the 1,232 bytes that pass every IPv6 path whole.
constexpr std::size_t udp_peers_v4_max = 200, udp_peers_v6_max = 66;

/// Of the datagram itself: over IPv6 a peer takes 18 bytes, over IPv4 six. Nothing in the bytes tells which.
enum class UdpFamily : std::uint8_t { v4, v6 };

// ── what a client sends ──

struct UdpConnect {
  std::uint32_t transaction = 0;
};

/// num_want and left: absent is "as many as you like" and "unknown" (-1 and the largest int64 on the wire). key: the
/// number that up to eight hex digits make; another text is sent as 0, and 0 is read as no key. What this protocol
/// has no room for (compact, no_peer_id, tracker_id) is neither written nor read. The client's own idea of its IP
/// address is written as 0 and not believed when read.
struct UdpAnnounce {
  std::uint64_t connection_id = 0;
  std::uint32_t transaction = 0;
  AnnounceRequest request;  ///< port 0 is not refused by the decoder: answer it with UdpFailed
  std::string url_data;     ///< path and query of the tracker's URL; empty and "/" send no option
};

struct UdpScrape {
  std::uint64_t connection_id = 0;
  std::uint32_t transaction = 0;
  std::vector<InfoHash> hashes;  ///< 1 … udp_scrape_max, and no more are written or kept
};

using UdpRequest = std::variant<UdpConnect, UdpAnnounce, UdpScrape>;

// ── what a tracker answers ──

struct UdpConnected {
  std::uint32_t transaction = 0;
  std::uint64_t connection_id = 0;
};

/// Of the reply: interval_s, complete, incomplete and peers; the rest has no place in this protocol.
struct UdpAnnounced {
  std::uint32_t transaction = 0;
  AnnounceReply reply;
};

struct UdpScraped {
  std::uint32_t transaction = 0;
  std::vector<ScrapeEntry> entries;  ///< in the order of the request; info_hash is not on the wire and stays zeros
};

struct UdpFailed {
  std::uint32_t transaction = 0;
  std::string message;  ///< at most 256 bytes are written or kept; not printable as it is
};

/// An announce reply that ends behind its transaction id: how opentracker answers for a torrent that its access list does
/// not allow. Not in BEP 15, and never written.
struct UdpNotListed {
  std::uint32_t transaction = 0;
};

using UdpReply = std::variant<UdpConnected, UdpAnnounced, UdpScraped, UdpFailed, UdpNotListed>;

Buffer encode(const UdpConnect& packet);
/// A url_data of more than udp_url_bytes_max is left out: a part of it would be another URL.
Buffer encode(const UdpAnnounce& packet);
Buffer encode(const UdpScrape& packet);
Buffer encode(const UdpConnected& packet);
/// Writes the peers of this family only, the first udp_peers_…_max of them.
Buffer encode(const UdpAnnounced& packet, UdpFamily family);
Buffer encode(const UdpScraped& packet);
Buffer encode(const UdpFailed& packet);

/// Nothing when the bytes are no request, which gets no answer (THREATS: bytes sent ≤ bytes received from an address
/// that may be forged). Whether the connection id is right is the tracker's to check, before anything else is believed.
std::optional<UdpRequest> decode_udp_request(ByteView datagram);
/// Nothing when the bytes are no reply. Peers with port 0 or without an address are dropped; at most 2,000 are kept.
std::optional<UdpReply> decode_udp_reply(ByteView datagram, UdpFamily family);
std::uint32_t transaction_of(const UdpReply& reply);

}  // namespace swarm::wire
