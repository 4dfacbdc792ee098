// Everything the core may ask of the world. One batch, reused; a driver drains it after every input, in the order of the
// members below. Carrying out an action never calls the core: whatever comes of it is given as a later input.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bitfield.hh"
#include "base/endpoint.hh"
#include "base/error.hh"
#include "base/ids.hh"
#include "wire/announce.hh"
#include "wire/http.hh"
#include "wire/peer_message.hh"

namespace swarm::core {

/// Bytes of a stream as a driver gives them to the core: either real ones, or a virtual run of payload that a simulated
/// network carries without bytes. `handle` is the driver's own name for where they lie.
struct Received {
  ByteView bytes;  ///< empty for a virtual run
  std::uint64_t handle = 0;
  std::uint32_t virtual_bytes = 0;  ///< length of a virtual run, else 0
};

/// A part of what on_received() is being given, by the driver's name for it.
struct Slice {
  std::uint64_t handle = 0;
  std::uint32_t offset = 0;  ///< from the start of the Received's bytes (or virtual run)
  std::uint32_t length = 0;
};

struct Connect {
  ConnId conn{};
  Endpoint to;
};
struct Close {
  ConnId conn{};
};

/// A fragment of a block arrived. Fragments of one block come in order on one connection; `at == 0` begins a block (and drops
/// an unfinished one of the same connection), and only when the fragment that ends it has come do its bytes count: the driver
/// then writes the block and extends the piece's digest. When the last block of a piece is in, on_stored or on_hash_failed
/// follows. The core hands out each block of an attempt at a piece once, whole, whoever sent it.
struct Store {
  TorrentId torrent{};
  ConnId conn{};
  wire::BlockRef block;
  std::uint32_t at = 0;  ///< bytes from the start of the block
  Slice bytes;
};

/// Hash this piece from the disk; on_stored (what stood there is right) or on_hash_failed follows.
struct Check {
  TorrentId torrent{};
  PieceIndex piece{};
};

/// Fetch the bytes [offset, offset + length) of the torrent from one of its web seeds (BEP 19). They come in order as
/// on_fetched(conn, …), then on_fetch_ended(conn, …) once. Close of this connection ends it without another word.
struct Fetch {
  ConnId conn{};
  TorrentId torrent{};
  std::uint32_t web_seed = 0;  ///< index into the torrent's list of them
  std::uint64_t offset = 0, length = 0;
  bool in_order = false;  ///< of a server that ignores ranges: what it sends goes on behind this one's end
};
/// The code of the error by which the driver tells that a web seed ignores ranges, when in_order is not set: WebSeed, rule 5.
inline constexpr std::string_view ignores_ranges = "ignores_ranges";

/// The info dictionary of a torrent that was added by its info-hash is complete: hash it. on_metadata_wrong follows, or set_info
/// when it is right and somebody has decided where to keep the content.
struct CheckMetadata {
  TorrentId torrent{};
  std::shared_ptr<const Buffer> info;
};

/// Send this request to this tracker; on_reply(id, …) follows exactly once, with a time-out of the driver's (15 s).
struct Exchange {
  RequestId id{};
  std::string url;  ///< scheme and authority; the request's target is in `request`
  wire::HttpRequest request;
};

/// Announce this by BEP 15 to a udp:// URL; on_announced(id, …) follows exactly once, with the protocol's own time-outs.
struct Announce {
  RequestId id{};
  std::string url;
  wire::AnnounceRequest request;
};

/// Write the checkpoint of this torrent: the driver takes Client::claims(torrent), syncs the data, then writes. Then
/// on_saved(torrent).
struct Save {
  TorrentId torrent{};
  bool clean = false;  ///< nothing comes after it: record sizes and times, so that the next start trusts it
};

/// All pieces are verified: sync, give the files their names, remove the checkpoint; on_finished follows.
struct Finish {
  TorrentId torrent{};
};

// What people and the control plane are told.
struct PieceChecked {
  TorrentId torrent{};
  PieceIndex piece{};
  bool ok = true;
  bool on_disk = false;        ///< found on the disk at resume, not downloaded now
  std::vector<Endpoint> from;  ///< when not ok: who sent parts of it (of web seeds: web_seed_endpoint())
};
struct PeerBanned {
  TorrentId torrent{};
  Endpoint peer;
  std::uint32_t blocks_wrong = 0;
};
struct TrackerNews {
  TorrentId torrent{};
  std::string url;
  bool ok = true;
  std::string text;  ///< warning or error, for a person
};
struct Finished {
  TorrentId torrent{};
};
struct Failed {  ///< this torrent stopped for good
  TorrentId torrent{};
  Error error;
};
struct PeerGone {
  TorrentId torrent{};
  Endpoint peer;
  wire::PeerFault why{};
};
struct WebSeedNews {  ///< a web seed failed; it is asked again later
  TorrentId torrent{};
  std::uint32_t web_seed = 0;
  Error error;
};
using Notice = std::variant<PieceChecked, PeerBanned, TrackerNews, Finished, Failed, PeerGone, WebSeedNews>;

struct Actions {
  std::vector<Connect> connects;
  std::vector<Store> stores;
  std::vector<Check> checks;
  std::vector<ConnId> sendable;  ///< next_outgoing() has something for these since it last had nothing
  std::vector<Close> closes;     ///< no event follows for them; what next_outgoing gave is sent first where possible
  std::vector<Fetch> fetches;
  std::vector<CheckMetadata> metadata;
  std::vector<Exchange> exchanges;
  std::vector<Announce> announces;
  std::vector<Save> saves;
  std::vector<Finish> finishes;
  std::vector<Notice> notices;

  void clear() {
    connects.clear(), stores.clear(), checks.clear(), sendable.clear(), closes.clear();
    fetches.clear(), metadata.clear(), exchanges.clear(), announces.clear();
    saves.clear(), finishes.clear(), notices.clear();
  }
};

/// What to send next on a connection, in order: small bytes, and ranges of verified pieces whose bytes the driver reads.
struct Outgoing {
  struct Segment {
    bool payload = false;
    std::uint32_t offset = 0;  ///< small bytes: where they start in `bytes`
    std::uint32_t length = 0;
    TorrentId torrent{};  ///< payload only
    PieceIndex piece{};
    std::uint32_t begin = 0;
  };
  Buffer bytes;
  std::vector<Segment> segments;
  std::size_t total = 0;  ///< bytes in all segments

  void clear() { bytes.clear(), segments.clear(), total = 0; }
};

}  // namespace swarm::core
