// Driver: the core on a real network and real disks. It owns the client, the peers' sockets and the torrents' files,
// gives the core every event and carries out every action (core/drive.hh). All on one loop; whatever blocks runs on
// workers.
//
// Bounds
// - received bytes wait for the disk in at most 80 buffers of 256 KiB (20 MiB); when they are used up, or a torrent's
//   PieceQueue is full, no peer's socket is read until half is free again;
// - bytes to send: one batch a connection, of at most 256 KiB, whose payload stays where it is on the disk;
// - sockets: at most 50 connects under way, `sockets_max` in all; then the visitor who has been silent for longest
//   makes room.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/endpoint.hh"
#include "base/error.hh"
#include "core/client.hh"
#include "disk/storage.hh"
#include "uv/http_client.hh"
#include "uv/loop.hh"
#include "uv/workers.hh"
#include "wire/metainfo.hh"

namespace swarm::uv {

struct DriverOptions {
  core::ClientOptions
      client;             ///< `port` is set by listen(); peer_id, node_id and addresses are too where they are empty
  std::string interface;  ///< a name or an address; empty: any
  std::uint16_t port_first = 6881, port_last = 6889;  ///< tried in this order; 0: any
  bool any_port = true;                               ///< take any other when all of those are in use
  std::uint32_t sockets_max = 2'000;
  Duration changed_every = 5s;  ///< how often seeds' files are looked at (ChangeWatch)
  Duration stop_within = 2800ms;
};

struct AddDownload {
  std::shared_ptr<const wire::Metainfo> info;
  std::string target;  ///< final path of the file or top folder; its folder exists
  disk::StorageOptions storage;
  std::vector<std::vector<std::string>> trackers;  ///< http(s) and udp announce URLs; empty: the torrent's own
  std::vector<std::string> swarm_trackers;         ///< base URLs that said hello
  std::vector<Endpoint> peers;
  std::vector<std::string> web_seeds;  ///< besides the torrent's own (BEP 19)
  std::vector<bool> files;             ///< which to fetch, by FileIndex; empty: all
  bool sequential = false;             ///< lowest piece first
};

/// A torrent of which only the info-hash is known.
struct AddMagnet {
  InfoHash info_hash;
  std::string name;  ///< what to call it until then
  std::vector<std::vector<std::string>> trackers;
  std::vector<std::string> swarm_trackers;
  std::vector<Endpoint> peers;
};

/// What add() found on the disk.
struct Added {
  TorrentId torrent{};
  bool resumed = false;  ///< an earlier run left something
  std::uint32_t pieces_verified = 0;
  std::uint32_t pieces_unchecked = 0;
};

struct AddSeed {
  std::shared_ptr<const wire::Metainfo> info;
  std::shared_ptr<disk::Storage> storage;  ///< not writable
  Bitfield verified;                       ///< as hashed
  std::vector<disk::FileStamp> stamps;     ///< what the files were when they were hashed; empty: not watched
  std::vector<std::vector<std::string>> trackers;
  std::vector<std::string> swarm_trackers;
  std::vector<Endpoint> peers;
};

class Driver {
 public:
  Driver(Loop& loop, DriverOptions options);
  ~Driver();  ///< at once: sockets closed, running jobs waited for, nothing saved. stop() is the polite way
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  /// Once, before everything else: takes a port and makes the client. Exit::disk "port_in_use" (UX.md), Exit::usage for
  /// --interface.
  Result<std::uint16_t> listen();

  /// Looks what is on the disk (a worker does), then adds it; `done` with Exit::disk when there is not enough room.
  void add(AddDownload download, std::function<void(Result<Added>)> done);
  TorrentId add_seed(AddSeed seed);
  /// Joins the swarm of an info-hash to get the info dictionary from its peers (BEP 9). `done` is called with it, once; its
  /// hash is right then, and Exit::integrity says that it is no torrent all the same. add() of the same info-hash goes on
  /// with the peers that were found; remove() gives it up.
  using Found = std::function<void(Result<std::shared_ptr<const wire::Metainfo>>)>;
  TorrentId add_magnet(AddMagnet magnet, Found done);
  /// --peer: resolves the host, then tells the client. Names that do not resolve are told as TrackerNews.
  void add_peer(TorrentId torrent, const HostPort& peer);
  /// `stopped` to trackers, a clean checkpoint.
  void remove(TorrentId torrent);
  /// Ends everything cleanly within `stop_within`, then calls `done(clean)` once. A second call ends it at once.
  void stop(std::function<void(bool clean)> done);

  /// Called with each notice, between inputs: it may call the driver.
  void set_notice(std::function<void(const core::Notice&)> on_notice);

  core::TorrentStats stats(TorrentId torrent) const;
  /// Of all torrents together: what web seeds sent only because they cannot leave it out (WebSeeds, rule 4).
  std::uint64_t web_bytes_dropped() const;
  const Bitfield& verified(TorrentId torrent) const;
  /// Where the torrent's bytes are now: `<target>.part`, or the final path once it is finished.
  std::string path(TorrentId torrent) const;
  /// To read verified pieces on a worker; it may outlive the driver.
  std::shared_ptr<disk::Storage> storage(TorrentId torrent) const;
  core::Client& client();  ///< to look at; commands go through the driver
  HttpClient& http();
  Workers& workers();
  std::uint16_t port() const;
  const core::ClientOptions& identity() const;  ///< as the client was made with: peer_id, node_id, addresses

  // What the core asks for (core::Driver); see core/actions.hh. Only carry_out() calls these.
  void connect(const core::Connect& connect);
  void store(const core::Store& store);
  void check(const core::Check& check);
  void send(ConnId conn);
  void close(const core::Close& close);
  void fetch(const core::Fetch& fetch);
  void check_metadata(core::CheckMetadata& metadata);
  void exchange(core::Exchange& exchange);
  void announce(core::Announce& announce);
  void save(const core::Save& save);
  void finish(const core::Finish& finish);
  void notice(core::Notice& notice);
  void wake_at(std::optional<Instant> at);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::uv
