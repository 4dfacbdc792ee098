// The control plane's JSON messages (over cJSON): what nodes and the tracker tell each other, and what people read.
//
// Readers cap size (1 MiB; 4 MiB for status and its deltas) and depth (32) before parsing, ignore unknown keys, and give an Error
// (Exit::other, "bad_message") that names the first wrong field. Writers give one line without a line end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "base/digest.hh"
#include "base/endpoint.hh"
#include "base/error.hh"

namespace swarm::wire {

/// GET /api/v1/hello
struct Hello {
  std::string version;  ///< of the program
  std::string name;     ///< of the host that runs the tracker
  std::string url;      ///< base of the links it hands out, "http://nas:6969"
  bool auth = false;    ///< writes need a token
};

/// Consecutive pieces with one result of the SHA-1 check.
struct CheckedPieces {
  std::uint32_t first = 0;
  std::uint32_t count = 1;
  bool ok = true;
  std::vector<Endpoint> from;  ///< when not ok: who sent it, as far as known
};

struct PieceRun {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

/// One torrent in a heartbeat.
struct BeatTorrent {
  InfoHash info_hash;
  std::string event;  ///< "", "started", "completed", "stopped"
  std::uint64_t left = 0, bytes_down = 0, bytes_up = 0;
  double rate_down = 0, rate_up = 0;  ///< bytes/s
  std::uint32_t peers = 0;
  std::uint32_t pieces = 0;  ///< piece count of the torrent; 0 while unknown (magnet)
  bool complete = false;
  std::optional<Buffer> have;         ///< the whole bitmap (wire order), when asked for or first
  std::vector<PieceRun> gained;       ///< since the last acknowledged beat
  std::vector<CheckedPieces> checks;  ///< since the last acknowledged beat; at most 200 entries
};

/// POST /api/v1/announce: a node's heartbeat.
struct Beat {
  std::string node;  ///< id: 16 hex digits, new per process
  std::string name;
  PeerId peer_id;
  std::uint16_t port = 0;
  std::vector<IpAddress> addresses;  ///< where the node may be reached, besides the address the beat comes from
  std::uint64_t sequence = 0;        ///< +1 per beat
  bool leaving = false;              ///< the process ends
  bool seed_until_stopped = false;   ///< role stays although it is whole
  std::vector<BeatTorrent> torrents;
};

struct BeatReplyTorrent {
  InfoHash info_hash;
  std::vector<Endpoint> peers;
  bool want_have = false;  ///< the tracker does not know this node's bitmap: send the whole one
  std::uint32_t seeders = 0, leechers = 0;
  double copies = 0;  ///< in the whole swarm, this node included
};

struct BeatReply {
  std::uint64_t sequence = 0;  ///< acknowledges the beat
  std::uint32_t interval_ms = 1000;
  std::optional<IpAddress> your_address;
  bool new_node = false;  ///< the tracker had not heard of this node: it restarted, or forgot a silent one
  std::vector<BeatReplyTorrent> torrents;
};

/// One file of the catalogue and of the live view.
struct StatusFile {
  InfoHash info_hash;
  std::string name;
  std::uint64_t bytes = 0;
  std::uint32_t pieces = 0, piece_bytes = 0;
  double copies = 0;
  std::uint32_t seeders = 0, leechers = 0;
  std::string magnet, torrent_url;
  bool catalogued = true;  ///< false: announced by somebody, without a .torrent here
};
struct StatusNodeFile {
  InfoHash info_hash;
  std::string name;
  double percent = 0;
  std::uint64_t bytes_done = 0;
  double rate_down = 0, rate_up = 0;
  std::uint32_t peers = 0;
};
struct StatusNode {
  std::string id, name;
  std::string role;     ///< "seeder" or "leecher"
  std::string address;  ///< "ip:port"
  std::vector<StatusNodeFile> files;
  double seen_s = 0;   ///< seconds since the last sign of life
  bool plain = false;  ///< only announces (another client): percent from `left`, no rates
};
struct Status {
  Hello tracker;
  std::vector<StatusNode> nodes;
  std::vector<StatusFile> files;
};

/// GET /api/v1/files/NAME/pieces: who holds which pieces.
struct PieceHolder {
  std::string id, name, address;  ///< as in StatusNode
  bool whole = false;
  std::optional<Buffer> have;  ///< the bitmap (wire order) of one that is not whole; nothing where it is not known
};
struct PieceHolders {
  InfoHash info_hash;
  std::string name;
  std::uint32_t pieces = 0;
  std::vector<PieceHolder> holders;
  std::uint64_t left_out = 0;  ///< holders beyond what fits into a reply
};

/// What happened, in the words of the tracker's log. Only what an event has is written.
struct StatusNotice {
  std::string event;  ///< "joined", "left", "shares", "gets", "completed", "piece", "file_added" or "file_removed"
  std::string node, address, file;
  std::string role;     ///< joined
  bool plain = false;   ///< joined: another client
  bool silent = false;  ///< left: without saying so
  std::optional<CheckedPieces> pieces;
  std::uint64_t bytes = 0;  ///< file_added
};
struct StatusFileKey {
  InfoHash info_hash;
  std::string name;
};
/// GET /api/v1/events: what is different from the event before. Nodes and files that are new or have changed come whole.
struct StatusDelta {
  std::vector<StatusNode> nodes;
  std::vector<StatusFile> files;
  std::vector<std::string> nodes_gone;  ///< ids
  std::vector<StatusFileKey> files_gone;
  std::vector<StatusNotice> notices;
};

struct ApiError {
  std::string code, message, hint;
};

std::string to_json(const Hello&);
std::string to_json(const Beat&);
std::string to_json(const BeatReply&);
std::string to_json(const Status&);  ///< the exact shape of `swarm status --json` (v:1)
std::string to_json(const StatusDelta&);
std::string to_json(const std::vector<StatusFile>&);
std::string to_json(const PieceHolders&);
std::string to_json(const ApiError&);
Result<Hello> hello_from_json(std::string_view);
Result<Beat> beat_from_json(std::string_view);
Result<BeatReply> beat_reply_from_json(std::string_view);
Result<Status> status_from_json(std::string_view);
Result<StatusDelta> delta_from_json(std::string_view);
Result<std::vector<StatusFile>> files_from_json(std::string_view);
Result<PieceHolders> piece_holders_from_json(std::string_view);  ///< bitmaps have the right length, or are not there
std::optional<ApiError> api_error_from_json(std::string_view);

}  // namespace swarm::wire
