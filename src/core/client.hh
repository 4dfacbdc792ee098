// Client: one BitTorrent process, without its sockets, files, threads or clock.
//
// Give it one input, then take everything it asks for (actions(), next_outgoing(), next_wake()); see drive.hh. It owns the
// parts and passes events between them; the parts decide. Not thread-safe: one loop owns it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bitfield.hh"
#include "base/digest.hh"
#include "base/endpoint.hh"
#include "base/error.hh"
#include "base/ids.hh"
#include "base/instant.hh"
#include "core/actions.hh"
#include "wire/control.hh"

namespace swarm::core {

/// How a node chooses pieces, and to whom it gives them, among swarm nodes.
enum class Policy : std::uint8_t {
  spread,  ///< givers offer pieces by turns (torrent/turns.hh)
  rarest,  ///< rarest first, asked of all neighbours at a time, as by any other client
};

struct ClientOptions {
  PeerId peer_id;
  std::string node_id;  ///< 16 hex digits; for swarm trackers
  std::string node_name;
  std::string agent;                 ///< "swarm/0.1.0": extension handshake and User-Agent
  std::uint16_t port = 0;            ///< where the driver listens
  std::vector<IpAddress> addresses;  ///< of this host, for heartbeats; own addresses are never connected to
  std::uint64_t rate_up_max = 0;     ///< bytes/s for the process; 0: unlimited
  std::uint64_t rate_down_max = 0;
  std::uint32_t peers_max = 200;  ///< connections per torrent
  Policy policy = Policy::spread;
};

/// What a torrent is, as far as the core must know: piece digests and file paths stay with the driver.
struct TorrentInfo {
  InfoHash info_hash;
  std::string name;
  std::uint64_t bytes_total = 0;
  std::uint32_t piece_bytes = 0;
  std::uint32_t pieces = 0;
  bool is_private = false;
  std::vector<std::vector<std::string>> trackers;  ///< BEP 12 tiers: http, https and udp URLs
  std::uint32_t web_seeds = 0;                     ///< how many; the driver knows their addresses
  /// The raw info dictionary, for peers that ask for it (BEP 9); nothing: it is not given.
  std::shared_ptr<const Buffer> metadata;
};

/// What is on the disk already (disk/checkpoint.hh finds it).
struct Resume {
  Bitfield verified;  ///< trusted as it is (clean stop, cached hashes of a seed); empty: nothing
  std::vector<PieceIndex>
      unchecked;  ///< on the disk as it seems: hashed in this order before they are served, never asked for before
  std::uint64_t bytes_down = 0, bytes_up = 0;  ///< of earlier runs
};

struct AddTorrent {
  TorrentInfo info;
  Resume resume;
  std::vector<std::string>
      swarm_trackers;           ///< base URLs ("http://nas:6969") that said hello: heartbeats instead of announces
  std::vector<Endpoint> peers;  ///< --peer
  bool magnet = false;  ///< only info_hash, name and trackers are known: the info dictionary comes from peers (BEP 9)
  bool seed = false;    ///< data is complete and served from its own place: no Finish, no Save of claims
  Bitfield wanted;      ///< pieces to fetch; empty: all. The torrent is whole when these are verified
  bool sequential = false;  ///< lowest piece first
};

/// What set_info() tells of a torrent that was added by its info-hash only.
struct SetInfo {
  TorrentInfo info;
  Resume resume;
  Bitfield wanted;
  bool sequential = false;
};

enum class Phase : std::uint8_t {
  metadata,  ///< known by its info-hash: the info dictionary is being fetched, then waits for set_info()
  checking,  ///< only pieces on the disk are being hashed so far, nothing is wanted yet
  downloading,
  finishing,  ///< all verified; sync and rename under way
  whole,      ///< under its own name (or a seed)
  failed,
};

struct TorrentStats {
  Phase phase = Phase::checking;
  std::uint32_t pieces = 0, pieces_verified = 0, pieces_unchecked = 0;  ///< of the wanted ones, as the bytes below
  std::uint64_t bytes_total = 0, bytes_done = 0;        ///< bytes_done: verified, and on the disk but unchecked
  std::uint64_t metadata_bytes = 0, metadata_done = 0;  ///< of the info dictionary; 0 until a peer has said
  std::uint64_t bytes_verified = 0;
  std::uint64_t bytes_down = 0, bytes_up = 0;  ///< payload in this run
  std::uint64_t bytes_wasted = 0;              ///< payload that was not needed or was wrong
  std::uint64_t hash_failures = 0;
  double rate_down = 0, rate_up = 0;  ///< payload bytes/s
  std::uint32_t peers = 0, peers_connecting = 0, peers_known = 0, seeds = 0;
  std::uint32_t web_seeds = 0;  ///< that are not out for good
  std::uint64_t connect_failures = 0;
  double copies = 0;     ///< among connected peers (without us): least availability + fraction of pieces above it
  double best_peer = 0;  ///< 0 … 1: the best single peer's share
  std::uint32_t copies_elsewhere = 0;  ///< whole copies at other nodes, as far as known (peers and the tracker)
  std::optional<Endpoint> last_unreachable;
};

/// What a checkpoint may claim, taken at one moment.
struct Claims {
  Bitfield verified;
  std::uint64_t bytes_down = 0, bytes_up = 0;  ///< all runs together
};

class Client {
 public:
  Client(ClientOptions options, std::uint64_t random_seed);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The person's commands.
  TorrentId add(AddTorrent torrent, Instant now);
  void add_peer(TorrentId torrent, const Endpoint& peer, Instant now);
  void remove(TorrentId torrent, Instant now);  ///< says `stopped`, closes its connections, saves cleanly
  /// Ends everything: `stopped` to trackers, connections closed, clean checkpoints. stopped() is true when all was acknowledged.
  void stop(Instant now);
  bool stopped() const;

  // Give …
  void on_connected(ConnId conn, Instant now);
  void on_connect_failed(ConnId conn, Instant now);
  ConnId on_accepted(const Endpoint& from, Instant now);  ///< the driver's name for it from now on
  /// Bytes arrived. They stay valid until the actions were drained; what must live longer is named in Store.
  void on_received(ConnId conn, const Received& received, Instant now);
  void on_sent(ConnId conn, std::size_t bytes,
               Instant now);                 ///< of what next_outgoing gave, so many more left the process
  void on_closed(ConnId conn, Instant now);  ///< by the peer or by an error; not after a Close action
  /// The piece stands on the disk and its digest is right. `wrong_blocks`: indexes (in 16 KiB blocks) that were different in
  /// the last attempt that failed, when there was one.
  void on_stored(TorrentId torrent, PieceIndex piece, std::span<const std::uint32_t> wrong_blocks, Instant now);
  void on_hash_failed(TorrentId torrent, PieceIndex piece, Instant now);
  void on_disk_failed(TorrentId torrent, const Error& error, Instant now);  ///< reading or writing; the torrent stops
  void on_saved(TorrentId torrent, Instant now);
  void on_finished(TorrentId torrent, Instant now);
  void on_reply(RequestId request, const Result<wire::HttpResponse>& reply, Instant now);
  void on_announced(RequestId request, const Result<wire::AnnounceReply>& reply, Instant now);
  /// The next bytes of a Fetch, as for on_received. More than was asked for is a mistake of the driver.
  void on_fetched(ConnId conn, const Received& received, Instant now);
  /// All of it came, or an error; `ignores_ranges` is one that teaches (WebSeed, rule 5).
  void on_fetch_ended(ConnId conn, const Result<void>& ended, Instant now);
  void on_metadata_wrong(TorrentId torrent, Instant now);  ///< its hash is another
  void set_info(TorrentId torrent, SetInfo info, Instant now);
  void on_time(Instant now);

  // … then take everything.
  Actions& actions();  ///< drained by the driver, which clears it
  /// Moves out what may be sent now on this connection, up to about `bytes_max` (whole messages; more than that only when the
  /// first one is longer). Nothing when there is nothing, or no budget; then `sendable` names the connection when that changes.
  void next_outgoing(ConnId conn, std::size_t bytes_max, Instant now, Outgoing& out);
  std::optional<Instant> next_wake() const;

  // Look.
  Claims claims(TorrentId torrent) const;
  TorrentStats stats(TorrentId torrent, Instant now) const;
  const Bitfield& verified(TorrentId torrent) const;
  std::optional<TorrentId> find(const InfoHash& info_hash) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::core
