// Who hears of a piece that we have, and when (core/torrent/torrent.hh, HAVE): nodes that a test plays, fetched for as a driver does,
// only when the client says that something is to be sent to them.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/random.hh"
#include "core/client.hh"
#include "core/torrent/partners.hh"
#include "peer_script.hh"
#include "wire/turns.hh"

using namespace swarm;
using namespace swarm::core;

namespace {

constexpr std::size_t have_bytes = 9, packet_bytes = 1400;
constexpr std::uint8_t turns_id = 77;  // under which nodes want to hear of turns

/// A client whose pieces are all on its disk and still to be checked, so that a test decides when it has which; and its neighbours.
struct Scene {
  struct Node {
    Node(Client& client, ConnId conn, Bitfield has, bool turns)
        : script(client, conn), has(std::move(has)), turns(turns) {}
    PeerScript script;
    Bitfield has;
    bool turns;
    bool partner = false;  ///< or few enough neighbours are there for all to be partners
    std::map<PieceIndex, Instant>
        owed;  ///< the naive twin: what it was not told yet though it may know, and since when
    std::set<PieceIndex> told;
    std::size_t sends = 0;
  };

  explicit Scene(std::uint32_t pieces) : info(small_torrent(pieces)), client(client_options(), 1) {
    AddTorrent add;
    add.info = info;
    for (std::uint32_t p = 0; p < pieces; ++p) add.resume.unchecked.push_back(PieceIndex{p});
    torrent = client.add(std::move(add), now);
  }

  Node& join(Bitfield has, bool turns) {
    const auto number = static_cast<std::uint32_t>(nodes.size() + 1);
    const ConnId conn = client.on_accepted({IpAddress::v4(0x0a000001 + number), 5000}, now);
    nodes.push_back(std::make_unique<Node>(client, conn, has, turns));
    PeerScript& p = nodes.back()->script;
    p.greet(info.info_hash, "-SW0100-node-" + std::to_string(1'000'000 + number), now);
    p.say(wire::BitfieldBits{has.bytes()}, now);
    wire::ExtendedHandshake h;
    if (turns) h.messages = {{"sw_turns", turns_id}};
    const Buffer payload = wire::encode(h);
    p.say(wire::Extended{0, payload}, now);
    return *nodes.back();
  }

  /// Whom the client asks to be a partner agrees.
  void agree(Node& node, const wire::PeerMessage& m) {
    const auto* extended = std::get_if<wire::Extended>(&m);
    if (!extended || extended->id != turns_id) return;
    const auto said = wire::decode_turns(extended->payload, info.pieces);
    REQUIRE(said.has_value());
    if (said->kind != wire::TurnsMessage::Kind::pair || std::exchange(node.partner, true)) return;
    const Buffer payload = wire::encode(wire::TurnsMessage{wire::TurnsMessage::Kind::pair, {}, 1});
    node.script.say(wire::Extended{wire::sw_turns.id, payload}, now);
  }

  /// What a driver does after each input.
  void deliver() {
    while (!client.actions().sendable.empty()) {
      const std::vector<ConnId> sendable = std::exchange(client.actions().sendable, {});
      for (const auto& node : nodes) {
        if (std::find(sendable.begin(), sendable.end(), node->script.conn()) == sendable.end()) continue;
        const auto messages = node->script.hear(now);
        if (!messages.empty()) ++node->sends;
        for (const auto& m : messages) {
          agree(*node, m);
          const auto* have = std::get_if<wire::Have>(&m);
          if (!have) continue;
          CHECK(node->told.insert(have->piece).second);  // of each piece once
          node->owed.erase(have->piece);
        }
        if (!messages.empty()) CHECK(node->owed.empty());  // whatever goes out takes along what waits
      }
    }
    for (const auto& node : nodes)
      for (const auto& [piece, since] : node->owed) CHECK(now - since <= 1s);
  }

  bool may_wait(const Node& node, PieceIndex piece) const {
    const auto by_turns = std::count_if(nodes.begin(), nodes.end(), [](const auto& n) { return n->turns; });
    const bool partner = node.partner || by_turns <= Partners::all_up_to;
    return node.turns && (node.has[piece] || !partner);
  }

  void store(PieceIndex piece) {
    for (const auto& node : nodes)
      if (may_wait(*node, piece)) node->owed[piece] = now;
    client.on_stored(torrent, piece, {}, now);
    deliver();
    for (const auto& node : nodes)
      if (!node->has[piece] && !may_wait(*node, piece)) CHECK(node->told.contains(piece));
  }

  void pass(Duration time) {
    const Instant end = now + time;
    for (auto wake = client.next_wake(); wake && *wake <= end; wake = client.next_wake()) {
      now = std::max(now, *wake);
      client.on_time(now);
      deliver();
    }
    now = end;
    deliver();
  }

  TorrentInfo info;
  Instant now = Instant{} + 1s;
  Client client;
  TorrentId torrent{};
  std::vector<std::unique_ptr<Node>> nodes;
};

}  // namespace

TEST_CASE(
    "who has a piece hears that we have it within a second, with all others at once; who lacks it hears of each at "
    "once") {
  constexpr std::uint32_t pieces = 100;
  Scene s(pieces);
  Scene::Node& whole = s.join(Bitfield(pieces, true), true);
  Scene::Node& empty = s.join(Bitfield(pieces), true);
  Scene::Node& stranger = s.join(Bitfield(pieces, true), false);
  s.pass(3s);
  const std::size_t before[] = {whole.sends, empty.sends, stranger.sends};
  for (std::uint32_t p = 0; p < pieces / 2; ++p) s.store(PieceIndex{p});
  CHECK(whole.sends - before[0] == 0);
  CHECK(empty.sends - before[1] == pieces / 2);
  s.pass(1s);
  CHECK(whole.sends - before[0] == 1);
  CHECK(whole.told.size() == pieces / 2);
  CHECK(stranger.sends - before[2] == 0);
}

TEST_CASE("in a crowd partners hear of each piece at once; the others within a second, though they lack it") {
  constexpr std::uint32_t pieces = 100;
  Scene s(pieces);
  for (int i = 0; i < 14; ++i) s.join(Bitfield(pieces), i < 13);
  s.pass(3s);
  const auto partners = std::count_if(s.nodes.begin(), s.nodes.end(), [](const auto& n) { return n->partner; });
  CHECK(partners == Partners::wanted);
  std::vector<std::size_t> before;
  for (const auto& n : s.nodes) before.push_back(n->sends);
  for (std::uint32_t p = 0; p < pieces / 2; ++p) s.store(PieceIndex{p});
  for (std::size_t i = 0; i < s.nodes.size(); ++i) {
    const Scene::Node& n = *s.nodes[i];
    CHECK(n.sends - before[i] == (n.partner || !n.turns ? pieces / 2 : 0));
  }
  s.pass(1s);
  for (const auto& n : s.nodes) CHECK(n->told.size() == pieces / 2);
}

TEST_CASE("no more waits for a node than fills a packet") {
  constexpr std::uint32_t pieces = 1000;
  Scene s(pieces);
  Scene::Node& whole = s.join(Bitfield(pieces, true), true);
  s.pass(3s);
  const std::size_t before = whole.sends;
  for (std::uint32_t p = 0; p < pieces - 1; ++p) {
    s.store(PieceIndex{p});
    CHECK(whole.owed.size() * have_bytes < packet_bytes + have_bytes);
  }
  CHECK(whole.sends - before == pieces * have_bytes / packet_bytes);
}

TEST_CASE("with the last piece everybody hears of all, and of two that are whole one ends the connection") {
  constexpr std::uint32_t pieces = 20;
  Scene s(pieces);
  Scene::Node& whole = s.join(Bitfield(pieces, true), true);
  Bitfield some(pieces, true);
  some.set(std::size_t{0}, false);
  Scene::Node& other = s.join(some, true);
  s.pass(3s);
  for (std::uint32_t p = 0; p < pieces; ++p) s.store(PieceIndex{p});
  CHECK(whole.told.size() == pieces);
  CHECK(other.told.size() == pieces);
  s.client.on_finished(s.torrent, s.now);
  REQUIRE(s.client.actions().closes.size() == 1);
  CHECK(s.client.actions().closes[0].conn == whole.script.conn());
}

TEST_CASE(
    "whatever happens in between: of each piece once, at once or within a second, and with anything else that is "
    "said") {
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    CAPTURE(seed);
    constexpr std::uint32_t pieces = 200;
    Random random(seed);
    Scene s(pieces);
    for (int i = 0; i < 12; ++i) {
      Bitfield has(pieces);
      for (std::size_t p = 0; p < pieces; ++p) has.set(p, random.below(12) < static_cast<std::uint64_t>(i));
      s.join(has, i % 3 != 0);
    }
    s.pass(3s);
    std::vector<PieceIndex> missing;
    for (std::uint32_t p = 0; p < pieces; ++p) missing.push_back(PieceIndex{p});
    std::size_t waited = 0;
    while (!missing.empty()) {
      Scene::Node& node = *s.nodes[random.below(s.nodes.size())];
      const std::size_t at = random.below(missing.size());
      switch (random.below(6)) {
        case 0:  // it has one more now
          node.has.set(missing[at]);
          node.script.say(wire::Have{missing[at]}, s.now);
          break;
        case 1:  // it asks for what we lack, and is told so
          node.script.say(wire::Request{{missing[at], 0, wire::block_bytes}}, s.now);
          s.deliver();
          CHECK(node.owed.empty());
          break;
        case 2:
          s.pass(from_seconds(0.001 * static_cast<double>(random.below(700))));
          break;
        default:
          s.store(missing[at]);
          missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(at));
      }
      s.deliver();
      for (const auto& n : s.nodes) waited += n->owed.size();
    }
    CHECK(waited > 100);
    for (const auto& n : s.nodes) {
      CHECK(n->owed.empty());
      if (n->turns) CHECK(n->told.size() == pieces);
    }
  }
}
