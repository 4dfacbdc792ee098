// TrackerServer: what `swarm tracker` answers, without its sockets and files: routes HTTP requests to the directory (announces
// of any client), the catalogue (names → .torrent) and the nodes (heartbeats), and makes the live view of them.
//
// Routes: /announce /scrape (BEP 3, 7, 23, 48) · /api/v1/hello · POST /api/v1/announce · GET /api/v1/files ·
// GET/PUT/DELETE /api/v1/files/NAME · /api/v1/nodes · /api/v1/status · /api/v1/events · /t/NAME.torrent · /healthz · /readyz ·
// /metrics · / (a page for browsers, a text for others). BEP 15 over UDP: on_datagram().
// Errors of the API are {"error":{"code","message","hint"}}; of announces a bencoded failure reason. HEAD works like GET.
//
// Rules
// 1. The catalogue changes only once the driver says that the change is durable (on_saved); until then everybody sees the old
//    state, and after a refusal there is nothing to take back. One change at a time: another one meanwhile is told 503.
// 2. Who may change it: core/tracker/gate.hh.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/endpoint.hh"
#include "base/error.hh"
#include "base/instant.hh"
#include "core/tracker/metrics.hh"
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
  std::string token;               ///< that changes of the catalogue need; empty: none
  std::vector<std::string> names;  ///< by which this machine is known besides `name`, for gate.hh's rule 2
  bool dashboard = true, metrics = true;
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

/// The state folder's NAME.torrent, to be written or removed.
struct KeepFile {
  std::string name;
  Buffer torrent;
};
struct DropFile {
  std::string name;
};
using TrackerSave = std::variant<KeepFile, DropFile>;
/// What a request changes in the catalogue.
struct TrackerChange {
  TrackerSave save;
  TrackerSave undo;  ///< brings the folder back to what it was, should only a part of `save` have come about
};

enum class FollowerId : std::uint64_t {};  ///< a connection that follows the events; never used again
struct ToFollower {
  FollowerId follower;
  Buffer bytes;
};

struct TrackerReply {
  wire::HttpResponse response;
  std::optional<TrackerChange> change;  ///< to be made durable and told by on_saved() before the response is sent
  std::optional<FollowerId> follower;   ///< the response has no end: take_events() has what follows its head
};

class TrackerServer {
 public:
  /// `secret` is random, of full strength, and new at each start.
  TrackerServer(TrackerOptions options, const std::array<std::uint8_t, 32>& secret);
  ~TrackerServer();

  /// A .torrent that the state folder held at start. An error names what is wrong with it.
  Result<void> load(const std::string& name, ByteView torrent);
  /// `from` is the address the connection came from; `local` the one it came to.
  TrackerReply on_request(const wire::HttpRequest& request, const Endpoint& from, const Endpoint& local, Instant now);
  /// The change of the last reply that had one is durable, or it is not and the folder is (or will be) as before.
  void on_saved(bool durable);
  /// A datagram and its answer, or nothing (core/tracker/udp_server.hh).
  std::optional<Buffer> on_datagram(ByteView datagram, const Endpoint& from, const Endpoint& local, Instant now);
  void on_follower_gone(FollowerId follower);
  void on_process(const ProcessFacts& facts);  ///< for the next /metrics
  void on_time(Instant now);
  std::optional<Instant> next_wake() const;

  /// To be taken after every input; what a follower cannot take is the driver's to bound (core/tracker/events.hh).
  std::vector<ToFollower> take_events();
  std::vector<TrackerNotice> take_notices();  ///< bounded: at most 10,000 wait, then the oldest good piece checks go
  wire::Status status(Instant now) const;     ///< the live view; `tracker.url` as configured or empty

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::core
