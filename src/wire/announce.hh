// The HTTP tracker protocol (BEP 3, 7, 23, 48), both sides: queries and bencoded replies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/bytes.hh"
#include "base/digest.hh"
#include "base/endpoint.hh"

namespace swarm::wire {

enum class AnnounceEvent : std::uint8_t { none, started, stopped, completed };

struct AnnounceRequest {
  InfoHash info_hash;
  PeerId peer_id;
  std::uint16_t port = 0;
  std::uint64_t uploaded = 0;
  std::uint64_t downloaded = 0;
  std::optional<std::uint64_t> left;  ///< absent or unreadable: nothing
  AnnounceEvent event = AnnounceEvent::none;
  std::optional<std::uint32_t> num_want;
  bool compact = true;  ///< absent counts as true
  bool no_peer_id = false;
  std::string key;
  std::string tracker_id;
};

/// The query that follows '?', percent-encoded.
std::string encode_query(const AnnounceRequest& r);
/// A static text for `failure reason` when a field that is needed is missing or malformed.
tl::expected<AnnounceRequest, std::string_view> decode_announce_query(std::string_view query);
/// Every info_hash of a scrape query, at most `max`.
std::vector<InfoHash> decode_scrape_query(std::string_view query, std::size_t max);

struct AnnouncedPeer {
  Endpoint endpoint;
  PeerId id;  ///< zeros when unknown (compact replies)
};

struct AnnounceReply {
  std::string failure;  ///< not empty: nothing else counts
  std::string warning;
  std::uint32_t interval_s = 0;      ///< 0: not given
  std::uint32_t min_interval_s = 0;  ///< 0: not given
  std::optional<std::uint32_t> complete, incomplete, downloaded;
  std::vector<AnnouncedPeer> peers;
  std::optional<IpAddress> external_ip;
  std::string tracker_id;
  bool swarm_tracker = false;  ///< key "swarm": this tracker also takes heartbeats at /api/v1/announce (ours)
};

/// IPv4 peers go to `peers` (compact or dictionaries as asked), IPv6 ones to `peers6` (or dictionaries).
Buffer encode_reply(const AnnounceReply& r, bool compact, bool no_peer_id);
Buffer encode_failure(std::string_view reason);
/// Nothing when the body is not bencode or not a dictionary. At most 2,000 peers are kept.
std::optional<AnnounceReply> decode_announce_reply(ByteView body);

struct ScrapeEntry {
  InfoHash info_hash;
  std::uint32_t complete = 0, incomplete = 0, downloaded = 0;
};
Buffer encode_scrape(const std::vector<ScrapeEntry>& entries);
std::optional<std::vector<ScrapeEntry>> decode_scrape(ByteView body);
/// …/announce… → …/scrape… in the last path part only (BEP 48), or nothing.
std::optional<std::string> scrape_url(std::string_view announce_url);

}  // namespace swarm::wire
