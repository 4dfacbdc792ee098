// TrackerServer: what `swarm tracker` answers, without its sockets and files: routes HTTP requests to the directory (announces
// of any client), the catalogue (names → .torrent) and the nodes (heartbeats), and makes the live view of them.
//
// Routes: /announce /scrape (BEP 3, 7, 23, 48) · /api/v1/hello · POST /api/v1/announce · GET /api/v1/files ·
// GET/PUT/DELETE /api/v1/files/NAME · /api/v1/nodes · /api/v1/status · /t/NAME.torrent · /healthz · /readyz.
// Errors of the API are {"error":{"code","message","hint"}}; of announces a bencoded failure reason. HEAD works like GET.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/endpoint.hh"
#include "base/error.hh"
#include "base/instant.hh"
#include "wire/control.hh"
#include "wire/http.hh"

namespace swarm::core {

struct TrackerOptions {
  std::string version;             ///< "0.1.0"
  std::string name;                ///< of this host
  std::string url;                 ///< --url, or empty: from the request's Host
  std::uint32_t interval_s = 120;  ///< for plain clients
  std::uint32_t max_torrents = 100'000;
  std::uint32_t max_peers = 1'000'000;
  bool catalogued_only = false;
};

// What the tracker's console is told.
struct NodeJoined {
  std::string name, address, role;
  bool plain = false;
};
struct NodeLeft {
  std::string name, address;
  bool silent = false;
};  ///< silent: no sign of life any more
struct NodeShares {
  std::string name, address, file;
};  ///< a whole copy at a node
struct NodeGets {
  std::string name, address, file;
};
struct NodeCompleted {
  std::string name, address, file;
};
struct NodeChecked {
  std::string name, address, file;
  wire::CheckedPieces pieces;
};
struct FileAdded {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint32_t pieces = 0, piece_bytes = 0;
};
struct FileRemoved {
  std::string name;
};
using TrackerNotice =
    std::variant<NodeJoined, NodeLeft, NodeShares, NodeGets, NodeCompleted, NodeChecked, FileAdded, FileRemoved>;

/// To be made durable before the reply to the request is sent: the state folder's NAME.torrent, written or removed.
struct KeepFile {
  std::string name;
  Buffer torrent;
};
struct DropFile {
  std::string name;
};
using TrackerSave = std::variant<KeepFile, DropFile>;

class TrackerServer {
 public:
  TrackerServer(TrackerOptions options, std::uint64_t random_seed);
  ~TrackerServer();

  /// A .torrent that the state folder held at start. An error names what is wrong with it.
  Result<void> load(const std::string& name, ByteView torrent);
  /// `from` is the address the connection came from; `local` the one it came to.
  wire::HttpResponse on_request(const wire::HttpRequest& request, const Endpoint& from, const Endpoint& local,
                                Instant now);
  void on_time(Instant now);
  std::optional<Instant> next_wake() const;

  std::vector<TrackerSave> take_saves();
  std::vector<TrackerNotice> take_notices();  ///< bounded: at most 10,000 wait, then the oldest good piece checks go
  wire::Status status(Instant now) const;     ///< the live view; `tracker.url` as configured or empty

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::core
