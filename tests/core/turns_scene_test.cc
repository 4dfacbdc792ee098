// Scenes of giving by turns: a Client, and swarm nodes that a test plays, byte for byte.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "core/client.hh"
#include "peer_script.hh"
#include "wire/turns.hh"

using namespace swarm;
using namespace swarm::core;
using wire::TurnsMessage;
using Kind = wire::TurnsMessage::Kind;

namespace {

constexpr std::uint32_t pieces = 8;
constexpr std::uint8_t their_id = 77;  ///< under which the played nodes want sw_turns
Instant at(double s) { return Instant{} + from_seconds(s); }

/// What a node was told in one breath.
struct Heard {
  std::vector<TurnsMessage> turns;
  std::vector<wire::BlockRef> requests;
  std::vector<PieceIndex> haves;

  std::vector<PieceIndex> all(Kind kind) const {
    std::vector<PieceIndex> some;
    for (const auto& m : turns)
      if (m.kind == kind) some.insert(some.end(), m.pieces.begin(), m.pieces.end());
    return some;
  }
  bool says(Kind kind) const {
    return std::any_of(turns.begin(), turns.end(), [&](const auto& m) { return m.kind == kind; });
  }
};

struct Scene {
  explicit Scene(bool seed, Policy policy = Policy::spread, bool sequential = false,
                 std::uint32_t piece_bytes = 2 * wire::block_bytes)
      : client(options(policy), 1) {
    AddTorrent add;
    add.info = small_torrent(pieces, piece_bytes);
    add.seed = seed;
    add.sequential = sequential;
    if (seed) add.resume.verified = Bitfield(pieces, true);
    torrent = client.add(std::move(add), at(0));
  }
  static ClientOptions options(Policy policy) {
    ClientOptions o = client_options();
    o.policy = policy;
    return o;
  }

  /// A swarm node that has these pieces, unchokes us and wants something.
  PeerScript join(int number, std::initializer_list<std::uint32_t> has, bool turns = true) {
    PeerScript p(client, client.on_accepted(*Endpoint::from("10.0.0." + std::to_string(number) + ":5000"), now));
    p.greet(small_torrent(pieces).info_hash, "-SW0100-node-" + std::to_string(1'000'000 + number), now);
    Bitfield bits(pieces);
    for (const auto i : has) bits.set(std::size_t{i});
    p.say(wire::BitfieldBits{bits.bytes()}, now);
    wire::ExtendedHandshake h;
    if (turns) h.messages = {{"sw_turns", their_id}};
    const Buffer payload = wire::encode(h);
    p.say(wire::Extended{0, payload}, now);
    p.say(wire::Interested{}, now);
    p.say(wire::Unchoke{}, now);
    return p;
  }
  Heard hear(PeerScript& p) {
    Heard heard;
    for (const auto& m : p.hear(now)) {
      if (const auto* x = std::get_if<wire::Request>(&m)) heard.requests.push_back(x->block);
      if (const auto* x = std::get_if<wire::Have>(&m)) heard.haves.push_back(x->piece);
      const auto* x = std::get_if<wire::Extended>(&m);
      if (!x || x->id != their_id) continue;
      const auto said = wire::decode_turns(x->payload, pieces);
      REQUIRE(said);
      heard.turns.push_back(*said);
    }
    return heard;
  }
  void say(PeerScript& p, Kind kind, std::vector<PieceIndex> some = {}) {
    const Buffer payload = wire::encode(TurnsMessage{kind, std::move(some)});
    p.say(wire::Extended{wire::sw_turns.id, payload}, now);
  }
  void ask(PeerScript& p, PieceIndex piece) {
    for (std::uint32_t begin = 0; begin < 2 * wire::block_bytes; begin += wire::block_bytes)
      p.say(wire::Request{{piece, begin, wire::block_bytes}}, now);
  }

  Client client;
  TorrentId torrent{};
  Instant now = at(1);
};

std::vector<PieceIndex> list(std::initializer_list<std::uint32_t> some) {
  std::vector<PieceIndex> all;
  for (const auto p : some) all.push_back(PieceIndex{p});
  return all;
}

}  // namespace

TEST_CASE("a seed with two downloading nodes tells them to wait, and offers each piece once before any twice") {
  Scene s(true);
  auto a = s.join(1, {});
  CHECK_FALSE(s.hear(a).says(Kind::wait));  // alone it may ask as it likes
  auto b = s.join(2, {});
  std::set<PieceIndex> given;
  bool told_a = false, told_b = false;
  for (std::uint32_t round = 0; round < pieces; ++round) {
    for (auto* node : {&a, &b}) {
      const Heard heard = s.hear(*node);
      (node == &a ? told_a : told_b) |= heard.says(Kind::wait);
      for (const PieceIndex p : heard.all(Kind::offer)) {
        if (given.size() < pieces) CHECK(given.insert(p).second);
        s.ask(*node, p);
        node->say(wire::Have{p}, s.now);
      }
    }
  }
  CHECK(told_a);
  CHECK(told_b);
  CHECK(a.payload.size() + b.payload.size() >= 2 * pieces);
  CHECK(given.size() == pieces);
}

TEST_CASE(
    "a node that gives by turns is asked for what it offers, and others that have the piece hear that it is taken") {
  Scene t(false);
  auto one = t.join(1, {}), two = t.join(2, {});
  t.say(one, Kind::wait);
  t.say(two, Kind::wait);
  for (const std::uint32_t p : {0u, 1u, 2u}) one.say(wire::Have{PieceIndex{p}}, t.now);
  for (const std::uint32_t p : {1u, 2u, 3u}) two.say(wire::Have{PieceIndex{p}}, t.now);
  CHECK(t.hear(one).requests.empty());
  CHECK(t.hear(two).requests.empty());

  t.say(one, Kind::offer, list({1}));
  const Heard asked = t.hear(one);
  REQUIRE(asked.requests.size() == 2);
  CHECK(asked.requests[0].piece == PieceIndex{1});
  CHECK_FALSE(asked.says(Kind::taken));
  CHECK(t.hear(two).all(Kind::taken) == list({1}));

  // Crossing offers: it says again that it has no need, and asks for nothing twice.
  t.say(two, Kind::offer, list({1}));
  const Heard refused = t.hear(two);
  CHECK(refused.requests.empty());
  CHECK(refused.all(Kind::taken) == list({1}));
  t.say(one, Kind::offer, list({1}));
  CHECK(t.hear(one).requests.empty());

  // A neighbour that comes to have it while it is on its way hears so too.
  auto three = t.join(3, {1});
  t.say(three, Kind::wait);
  CHECK(t.hear(three).all(Kind::taken) == list({1}));

  // The giver goes: the piece is lacking again, and the next one may give it.
  t.client.on_closed(one.conn(), t.now);
  CHECK(t.hear(two).all(Kind::lacking) == list({1}));
  t.say(two, Kind::offer, list({1}));
  CHECK(t.hear(two).requests.size() == 2);
}

TEST_CASE(
    "what one gives already is asked of another for the rest, and who is not asked to the end hears that it is over") {
  Scene t(false, Policy::spread, false, 16 * wire::block_bytes);
  auto one = t.join(1, {}), two = t.join(2, {}), three = t.join(3, {});
  for (auto* node : {&one, &two, &three}) {
    t.say(*node, Kind::wait);
    node->say(wire::Have{PieceIndex{1}}, t.now);
    t.hear(*node);
  }
  t.say(one, Kind::offer, list({1}));
  std::set<std::uint32_t> asked;
  const auto ask = [&](PeerScript& node) {
    const Heard heard = t.hear(node);
    for (const auto& r : heard.requests) CHECK(asked.insert(r.begin).second);
    return heard;
  };
  CHECK(ask(one).requests.size() == 4);
  CHECK(t.hear(two).all(Kind::taken) == list({1}));
  t.say(two, Kind::offer, list({1}));  // it knows, and has nothing else
  const Heard second = ask(two);
  CHECK(second.requests.size() == 4);
  CHECK_FALSE(second.says(Kind::taken));
  CHECK(t.hear(three).all(Kind::taken) == list({1}));  // once
  // As the blocks of the second come it is asked for all that is left, the last one too.
  for (std::uint32_t i = 4; asked.size() < 16; ++i) {
    two.say_block({PieceIndex{1}, i * wire::block_bytes, wire::block_bytes}, t.now += 1ms);
    CHECK_FALSE(ask(two).says(Kind::taken));
    REQUIRE(i < 16);
  }
  one.say_block({PieceIndex{1}, 0, wire::block_bytes}, t.now);
  const Heard over = ask(one);
  CHECK(over.requests.empty());
  CHECK(over.all(Kind::taken) == list({1}));
  t.say(three, Kind::offer, list({1}));
  CHECK(ask(three).all(Kind::taken) == list({1}));
}

TEST_CASE("who gives freely is not told what is on its way; who begins to give by turns hears of all of it") {
  Scene t(false);
  auto one = t.join(1, {0, 1, 2, 3, 4, 5, 6, 7}), two = t.join(2, {1, 6});
  CHECK(t.hear(one).requests.size() == 2 * pieces);
  CHECK(t.hear(two).all(Kind::taken).empty());
  two.say(wire::Have{PieceIndex{3}}, t.now);
  CHECK(t.hear(two).turns.empty());
  t.say(two, Kind::wait);
  CHECK(t.hear(two).all(Kind::taken) == list({1, 3, 6}));
  two.say(wire::Have{PieceIndex{4}}, t.now);
  CHECK(t.hear(two).all(Kind::taken) == list({4}));
  CHECK(t.hear(one).all(Kind::taken).empty());
}

TEST_CASE("an offer of what is not wanted is refused for good") {
  // A scene whose torrent wants piece 5 only.
  struct Chosen : Scene {
    Chosen() : Scene(false) {
      client.remove(torrent, now);
      AddTorrent some;
      some.info = small_torrent(pieces);
      some.wanted = Bitfield(pieces);
      some.wanted.set(std::size_t{5});
      torrent = client.add(std::move(some), now);
    }
  } t;
  auto p = t.join(1, {});
  t.say(p, Kind::wait);
  for (std::uint32_t i = 0; i < pieces; ++i) p.say(wire::Have{PieceIndex{i}}, t.now);
  t.hear(p);
  t.say(p, Kind::offer, list({4}));
  CHECK(t.hear(p).all(Kind::unwanted) == list({4}));
  t.say(p, Kind::offer, list({5}));
  CHECK(t.hear(p).requests.size() == 2);
}

TEST_CASE("a giver that falls silent for five seconds loses its turn, and what still comes is welcome") {
  Scene s(false);
  auto one = s.join(1, {}), two = s.join(2, {});
  s.say(one, Kind::wait);
  s.say(two, Kind::wait);
  one.say(wire::Have{PieceIndex{1}}, s.now);
  two.say(wire::Have{PieceIndex{1}}, s.now);
  s.say(one, Kind::offer, list({1}));
  s.hear(one), s.hear(two);
  for (int i = 1; i <= 4; ++i) s.client.on_time(s.now = at(1 + i));
  CHECK_FALSE(s.hear(two).says(Kind::lacking));
  for (int i = 5; i <= 7; ++i) s.client.on_time(s.now = at(1 + i));
  CHECK(s.hear(two).says(Kind::lacking));
  one.say_block({PieceIndex{1}, 0, wire::block_bytes}, s.now);
  s.say(two, Kind::offer, list({1}));
  const Heard rest = s.hear(two);
  REQUIRE(rest.requests.size() == 1);
  CHECK(rest.requests[0].begin == wire::block_bytes);
}

TEST_CASE("a giver keeps its turn as long as bytes come from it, however slowly") {
  Scene s(false);
  auto one = s.join(1, {}), two = s.join(2, {});
  s.say(one, Kind::wait);
  s.say(two, Kind::wait);
  for (auto* node : {&one, &two}) node->say(wire::Have{PieceIndex{1}}, s.now);
  s.say(one, Kind::offer, list({1}));
  CHECK(s.hear(one).requests.size() == 2);
  s.hear(two);
  Buffer block;
  wire::append_piece_header(block, {PieceIndex{1}, 0, wire::block_bytes});
  one.say_raw(block, s.now);
  const Buffer some(1000, 0x55);
  for (int i = 1; i <= 12; ++i) {
    one.say_raw(some, s.now = at(1 + i));
    s.client.on_time(s.now);
  }
  CHECK_FALSE(s.hear(two).says(Kind::lacking));
  for (int i = 13; i <= 18; ++i) s.client.on_time(s.now = at(1 + i));
  CHECK(s.hear(two).says(Kind::lacking));
}

TEST_CASE("whoever chokes us may offer what it likes: it keeps nobody else from giving that") {
  Scene s(false);
  auto one = s.join(1, {}), two = s.join(2, {});
  s.say(one, Kind::wait);
  s.say(two, Kind::wait);
  for (auto* node : {&one, &two}) node->say(wire::Have{PieceIndex{1}}, s.now);
  one.say(wire::Choke{}, s.now);
  s.say(one, Kind::offer, list({1}));
  CHECK(s.hear(one).requests.empty());
  CHECK_FALSE(s.hear(two).says(Kind::taken));
  s.say(two, Kind::offer, list({1}));
  CHECK(s.hear(two).requests.size() == 2);
}

TEST_CASE("whoever is given nothing for ten seconds by those who have what it lacks asks them freely for a while") {
  Scene s(false);
  auto one = s.join(1, {});
  s.say(one, Kind::wait);
  for (const std::uint32_t p : {1u, 2u}) one.say(wire::Have{PieceIndex{p}}, s.now);
  s.client.on_time(s.now);
  for (int i = 1; i <= 9; ++i) s.client.on_time(s.now = at(1 + i));
  CHECK(s.hear(one).requests.empty());
  for (int i = 10; i <= 12; ++i) s.client.on_time(s.now = at(1 + i));
  const Heard freely = s.hear(one);
  CHECK(freely.requests.size() == 4);
  CHECK(freely.all(Kind::taken).empty());
  // It was fed: from now on it waits for its turn again.
  for (const auto& block : freely.requests) one.say_block(block, s.now);
  for (int i = 13; i <= 22; ++i) s.client.on_time(s.now = at(1 + i));
  one.say(wire::Have{PieceIndex{3}}, s.now);
  CHECK(s.hear(one).requests.empty());
}

TEST_CASE("what is left of a piece that was begun by asking is open to offers once its givers give by turns") {
  AddTorrent add;
  add.info = small_torrent(pieces, 1 << 20);  // more blocks than are asked for at first
  Scene s(false);
  s.client.remove(s.torrent, s.now);
  s.torrent = s.client.add(std::move(add), s.now);
  auto one = s.join(1, {1}), two = s.join(2, {});
  const std::size_t asked = s.hear(one).requests.size();
  CHECK(asked > 0);
  CHECK(asked < 64);
  s.say(two, Kind::wait);
  two.say(wire::Have{PieceIndex{1}}, s.now);
  CHECK(s.hear(two).all(Kind::taken) == list({1}));
  s.say(one, Kind::wait);
  CHECK(s.hear(two).all(Kind::lacking) == list({1}));
  s.say(two, Kind::offer, list({1}));
  CHECK(s.hear(two).requests.size() > 0);
}

TEST_CASE("whoever does not speak of turns hears nothing of them, and is served as it asks") {
  Scene s(true);
  auto a = s.join(1, {}, false), b = s.join(2, {}), c = s.join(3, {});
  CHECK(s.hear(a).turns.empty());
  CHECK(s.hear(b).says(Kind::wait));
  s.ask(a, PieceIndex{3});
  s.hear(a);
  CHECK(a.payload.size() == 2);
}

TEST_CASE("plain rarest first, and whoever takes the lowest piece first, do without turns") {
  for (const bool sequential : {false, true}) {
    Scene s(false, sequential ? Policy::spread : Policy::rarest, sequential);
    auto p = s.join(1, {0, 1, 2});
    for (const auto& m : p.hear(s.now)) {
      if (const auto* x = std::get_if<wire::Extended>(&m); x && x->id == 0) {
        const auto theirs = wire::decode_extended_handshake(x->payload);
        REQUIRE(theirs);
        for (const auto& [name, id] : theirs->messages) CHECK(name != "sw_turns");
      }
    }
    s.say(p, Kind::wait);  // nobody asked
    CHECK(s.hear(p).turns.empty());
    p.say(wire::Have{PieceIndex{7}}, s.now);
    CHECK_FALSE(s.client.actions().closes.size() > 0);
  }
}

TEST_CASE("nonsense about turns ends the connection") {
  Scene s(true);
  auto p = s.join(1, {});
  const Buffer payload = {2, 0, 0, 0, pieces};  // one piece too far
  p.say(wire::Extended{wire::sw_turns.id, payload}, s.now);
  REQUIRE(s.client.actions().closes.size() == 1);
  CHECK(s.client.actions().closes[0].conn == p.conn());
}
