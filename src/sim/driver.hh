// Driver: one node of the simulated world: the core's client between a simulated network and a simulated disk. The second model of
// core::Driver beside uv's: where that one has sockets, files and a clock, this one has numbers.
//
// Like the real one it hands the core one input, then takes everything; it never calls the core while it carries out actions, and
// what comes of an action comes later, in virtual time. It lives as long as the process that it stands for: a crash destroys it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/client.hh"
#include "core/drive.hh"
#include "sim/checks.hh"
#include "sim/content.hh"
#include "sim/disk.hh"
#include "sim/flat_map.hh"
#include "sim/free_rider.hh"
#include "sim/network.hh"
#include "sim/tracker.hh"
#include "sim/world.hh"

namespace swarm::sim {

/// Known bugs, planted on purpose: the checks must catch them.
enum class Canary : std::uint8_t {
  none,
  accept_wrong,      ///< a digest is called right whatever it is
  serve_unverified,  ///< a piece is called stored, and HAVE said, when its first block is there
  skip_sync,         ///< a checkpoint is written without syncing what it claims
  wrong_byte,        ///< now and then a run leaves with a wrong byte, though the right ones stand on the disk
  lost_wake_up,      ///< now and then the driver forgets when the core wanted to be woken
};

/// What a node did, over all its lives.
struct Ledger {
  std::uint64_t payload_sent = 0, payload_received = 0;  ///< bytes
  std::uint64_t pieces_right = 0, pieces_wrong = 0;      ///< judged after a download
  std::uint64_t checks_right = 0, checks_wrong = 0;      ///< judged as found on the disk
  std::uint32_t lives = 0;
  std::vector<Endpoint> banned;
  std::optional<Instant> whole_at;
};

class Driver final : public Process {
 public:
  struct Options {
    core::ClientOptions client;
    std::uint64_t random_seed = 0;
    double lies = 0;     ///< the share of runs that leave with wrong bytes
    bool honest = true;  ///< S1 and S2 must hold here
    bool gives = true;   ///< false: a free rider, whose unchokes get lost on the way to the network
    Canary canary = Canary::none;
    std::uint64_t disk_pending_max = 16u << 20;  ///< above it nothing more is read from the network
  };
  Driver(World& world, Network& network, Host& host, Disk& disk, Checks& checks, Ledger& ledger,
         const std::map<Endpoint, Tracker*>& trackers, Options options);

  TorrentId add(const Content& content, core::AddTorrent torrent);
  void stop();
  core::Client& client() { return client_; }
  /// The core's sums of this life against what really passed here.
  void audit();

  // Process: what the network has to say.
  void on_accepted(StreamEnd end, const Endpoint& from) override;
  void on_connected(ConnId conn, StreamEnd end) override;
  void on_connect_failed(ConnId conn) override;
  void on_received(ConnId conn, ByteView small) override;
  void on_received(ConnId conn, const Run& run) override;
  void on_closed(ConnId conn) override;
  void on_room(ConnId conn) override;

  // core::Driver: what the core asks for.
  void connect(const core::Connect& connect);
  void close(const core::Close& close);
  void store(const core::Store& store);
  void check(const core::Check& check);
  void send(ConnId conn);
  void fetch(const core::Fetch& fetch);
  void check_metadata(core::CheckMetadata& metadata);
  void exchange(core::Exchange& exchange);
  void announce(core::Announce& announce);
  void save(const core::Save& save);
  void finish(const core::Finish& finish);
  void notice(core::Notice& notice);
  void wake_at(std::optional<Instant> at);

 private:
  struct Conn {
    StreamEnd end;          ///< no stream while connecting
    bool has_more = false;  ///< next_outgoing() had something when it was last asked
    bool listed = false;    ///< in sendable_
    // The block that is arriving.
    wire::BlockRef block;
    std::uint32_t block_done = 0;
    Tag block_tag = Tag::none;
    FreeRider free_rider;  ///< what it said so far, where the node is one
  };
  struct Attempt {  ///< at one piece
    std::vector<Tag> tags;
    std::uint32_t blocks = 0;
  };
  struct Torrent {
    const Content* content = nullptr;
    Bitfield judged;  ///< pieces that were judged right in this life, or may be trusted from an earlier one
    FlatMap<std::uint32_t, Attempt> attempts;          ///< by piece, at most those that the core has begun
    std::map<std::uint32_t, std::vector<Tag>> failed;  ///< the last attempt that failed, until the piece comes right
    std::deque<Disk::Checkpoint> saving;               ///< what each save under way will claim, oldest first
    std::uint64_t payload_sent = 0, payload_received = 0;
  };
  struct Asked {  ///< an exchange under way
    wire::HttpRequest request;
    Tracker* tracker = nullptr;
    std::uint32_t incarnation = 0;
    Result<wire::HttpResponse> reply = wire::HttpResponse{};
  };

  template <class F>
  void later(Instant at, F what);
  void after_input();
  void pull(ConnId conn);
  void say(Conn& conn, ByteView small);
  void put(Torrent& torrent, StreamEnd end, const core::Outgoing::Segment& segment);
  void on_block(TorrentId id, const wire::BlockRef& block, Tag tag);
  void judge(TorrentId id, PieceIndex piece);
  void judge_found(TorrentId id, PieceIndex piece);
  void bound_pending();
  void set_reading(bool reading);
  void on_saved(TorrentId id, bool synced);
  void on_named(TorrentId id);
  void travel(std::uint32_t id, void (Driver::*arrive)(std::uint32_t), Duration again = 1s);
  void ask(std::uint32_t id);
  void answer(std::uint32_t id);
  void give_up(std::uint32_t id);
  void reply(std::uint32_t id);
  void on_wake(Instant at);
  Torrent& torrent(TorrentId id) { return torrents_[number(id)]; }

  World& world_;
  Network& network_;
  Host& host_;
  Disk& disk_;
  Checks& checks_;
  Ledger& ledger_;
  const std::map<Endpoint, Tracker*>& trackers_;
  Options options_;
  Random chance_;  ///< of this node's own deeds, apart from the core's
  core::Client client_;
  FlatMap<std::uint32_t, Conn> conns_;      ///< ordered: it is walked
  std::vector<Torrent> torrents_;           ///< by TorrentId
  std::vector<ConnId> sendable_, sending_;  ///< to be pulled from, and those that are just now
  std::map<std::uint32_t, Asked> asked_;
  core::Outgoing out_;
  Run arriving_;                       ///< the run that the core is being given,
  std::uint64_t arriving_handle_ = 0;  ///< and its name
  Instant checked_until_{};
  Instant wake_at_ = Instant::max();  ///< the earliest wake-up that is under way
  bool reading_ = true;
};

static_assert(core::Driver<Driver>);

}  // namespace swarm::sim
