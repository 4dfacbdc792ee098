#include "core_pair.hh"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/check.hh"
#include "core/drive.hh"
#include "support/small_client.hh"

namespace swarm::bench {

using namespace swarm::core;

namespace {

constexpr std::size_t socket_bytes = 256 * 1024;  ///< given and received at once
constexpr Duration turn = 1ms;
constexpr int turns_idle_max = 60'000;

ClientOptions options_of(std::uint32_t index) {
  ClientOptions o = client_options();
  o.peer_id = peer_id("-SW0100-" + std::to_string(100'000'000'000 + index));
  o.addresses = {IpAddress::v4(0x0a000001 + index)};
  return o;
}

}  // namespace

/// One process: its client, and the driver that carries out what it asks for.
struct CorePair::Node {
  struct Far {
    Node* node = nullptr;  ///< nothing: the connection is closed
    ConnId conn{};
    bool sendable = false;
  };

  Node(World& w, std::uint32_t i) : world(w), index(i), client(options_of(i), i + 1) {}

  void connect(const Connect& connect);
  void close(const Close& close) { ends[number(close.conn)].node = nullptr; }
  void store(const Store& store);
  void check(const Check& check) { stored.push_back(check.piece); }
  void send(ConnId conn) { ends[number(conn)].sendable = true; }
  void fetch(const Fetch&) {}
  void check_metadata(CheckMetadata&) {}
  void exchange(Exchange&) {}
  void announce(Announce&) {}
  void save(const Save&) { saves = true; }
  void finish(const Finish&) { finishes = true; }
  void notice(Notice&) {}
  void wake_at(std::optional<Instant> at) { wake = at.value_or(Instant::max()); }

  bool step();
  bool pull(ConnId conn);

  World& world;
  std::uint32_t index;
  Client client;
  TorrentId torrent{};
  std::vector<Far> ends;               ///< by connection
  std::vector<std::uint32_t> missing;  ///< bytes of each piece
  std::vector<ConnId> opened;
  std::vector<PieceIndex> stored;
  bool saves = false, finishes = false, finished = false;
  Instant wake = Instant::max();
  Outgoing out;
};

struct CorePair::World {
  Instant now = Instant{} + 1s;
  TorrentInfo info;
  std::vector<std::unique_ptr<Node>> nodes;  ///< the downloader is the first
  Buffer wire = Buffer(socket_bytes + 2 * wire::block_bytes_served_max);
};

void CorePair::Node::connect(const Connect& connect) {
  Node& far = *world.nodes.at(connect.to.address.bytes[15] - 1u);
  const auto conn = far.client.on_accepted({IpAddress::v4(0x0a000001 + index), 5000}, world.now);
  if (ends.size() <= number(connect.conn)) ends.resize(number(connect.conn) + 1);
  if (far.ends.size() <= number(conn)) far.ends.resize(number(conn) + 1);
  ends[number(connect.conn)] = {&far, conn, true};
  far.ends[number(conn)] = {this, connect.conn, true};
  opened.push_back(connect.conn);
}

void CorePair::Node::store(const Store& store) {
  if (store.at + store.bytes.length != store.block.length) return;
  auto& left = missing[number(store.block.piece)];
  left -= store.block.length;
  if (left == 0) stored.push_back(store.block.piece);
}

/// Everything that this node can do now; false when that was nothing.
bool CorePair::Node::step() {
  bool did = false;
  for (const ConnId conn : std::exchange(opened, {})) client.on_connected(conn, world.now), did = true;
  for (const PieceIndex piece : std::exchange(stored, {})) {
    client.on_stored(torrent, piece, {}, world.now);
    carry_out(client, *this), did = true;
  }
  if (std::exchange(saves, false)) client.on_saved(torrent, world.now), did = true;
  if (std::exchange(finishes, false)) client.on_finished(torrent, world.now), finished = did = true;
  if (world.now >= wake) client.on_time(world.now);
  carry_out(client, *this);
  for (std::uint32_t i = 0; i < ends.size(); ++i) {
    if (ends[i].node != nullptr && std::exchange(ends[i].sendable, false)) did |= pull(ConnId{i});
  }
  return did;
}

/// What this connection gives now, received at its other end.
bool CorePair::Node::pull(ConnId conn) {
  client.next_outgoing(conn, socket_bytes, world.now, out);
  if (out.total == 0) return carry_out(client, *this), false;
  Far& end = ends[number(conn)];
  end.sendable = true;
  std::size_t used = 0;
  for (const auto& segment : out.segments) {
    if (!segment.payload) std::copy_n(out.bytes.begin() + segment.offset, segment.length, world.wire.begin() + used);
    used += segment.length;
    SWARM_CHECK(used <= world.wire.size());
  }
  client.on_sent(conn, used, world.now);
  carry_out(client, *this);
  if (end.node == nullptr) return true;
  end.node->client.on_received(end.conn, {.bytes = ByteView(world.wire).first(used), .handle = 1}, world.now);
  carry_out(end.node->client, *end.node);
  return true;
}

CorePair::CorePair(std::uint32_t seeds, std::uint32_t pieces, std::uint32_t piece_bytes)
    : world_(std::make_unique<World>()) {
  SWARM_CHECK(seeds < 200);
  World& w = *world_;
  w.info = small_torrent(pieces, piece_bytes);
  for (std::uint32_t i = 0; i <= seeds; ++i) w.nodes.push_back(std::make_unique<Node>(w, i));
  for (std::uint32_t i = 0; i <= seeds; ++i) {
    Node& node = *w.nodes[i];
    AddTorrent add;
    add.info = w.info;
    node.missing.assign(pieces, piece_bytes);
    if (i != 0) {
      add.seed = true;
      add.resume.verified = Bitfield(pieces, true);
    }
    for (std::uint32_t k = 1; i == 0 && k <= seeds; ++k) add.peers.push_back({IpAddress::v4(0x0a000001 + k), 6881});
    node.torrent = node.client.add(std::move(add), w.now);
    carry_out(node.client, node);
  }
}

CorePair::~CorePair() = default;

bool CorePair::transfer() {
  World& w = *world_;
  for (int idle = 0; !w.nodes[0]->finished && idle < turns_idle_max; ++idle) {
    for (const auto& node : w.nodes) {
      if (node->step()) idle = 0;
    }
    w.now += turn;
  }
  return w.nodes[0]->finished;
}

std::uint64_t CorePair::bytes() const { return world_->info.bytes_total; }

}  // namespace swarm::bench
