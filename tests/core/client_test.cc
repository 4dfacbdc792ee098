// Scenes: a Client and peers that a test plays, byte for byte.
#include "core/client.hh"

#include <doctest/doctest.h>

#include "core/discovery/peer_priority.hh"
#include "peer_script.hh"
#include "wire/announce.hh"
#include "wire/pex.hh"

using namespace swarm;
using namespace swarm::core;
using wire::BlockRef;
using wire::PeerFault;

namespace {

Instant at(double s) { return Instant{} + from_seconds(s); }
constexpr std::uint32_t block = wire::block_bytes;

Endpoint endpoint(std::string_view text) { return *Endpoint::from(text); }

struct Scene {
  explicit Scene(std::uint32_t pieces = 4, AddTorrent add = {}) : client(client_options(), 1) {
    add.info = small_torrent(pieces);
    torrent = client.add(std::move(add), at(0));
  }
  static AddTorrent seeding(std::uint32_t pieces) {
    AddTorrent add;
    add.resume.verified = Bitfield(pieces, true);
    add.seed = true;
    return add;
  }

  /// A peer that came to us, said hello and has everything; unchokes us when asked to.
  PeerScript join(std::string_view id, std::string_view address, bool has_all, bool fast = true) {
    PeerScript p(client, client.on_accepted(endpoint(address), now), fast);
    p.greet(small_torrent(4).info_hash, id, now);
    if (has_all) fast ? p.say(wire::HaveAll{}, now) : p.say(wire::BitfieldBits{full()}, now);
    if (!has_all && fast) p.say(wire::HaveNone{}, now);
    return p;
  }
  ByteView full() {
    all = Bitfield(client.stats(torrent, now).pieces, true);
    return all.bytes();
  }
  bool closed(const PeerScript& p) {
    const auto& c = client.actions().closes;
    return std::any_of(c.begin(), c.end(), [&](const Close& x) { return x.conn == p.conn(); });
  }
  template <class N>
  std::vector<N> notices() {
    std::vector<N> some;
    for (const Notice& n : client.actions().notices)
      if (const N* x = std::get_if<N>(&n)) some.push_back(*x);
    return some;
  }
  /// The peer sends all that it is asked for; gives the pieces that became complete.
  std::vector<PieceIndex> serve(PeerScript& p) {
    std::vector<PieceIndex> done;
    for (const auto& r : p.hear_all<wire::Request>(now)) {
      p.say_block(r.block, now);
      if (r.block.begin == block) done.push_back(r.block.piece);
    }
    return done;
  }

  Client client;
  TorrentId torrent{};
  Instant now = at(1);
  Bitfield all;
};

}  // namespace

TEST_CASE("a seed whose peers are silent wakes every five seconds, and sooner once one of them asks") {
  Scene s(4, Scene::seeding(4));
  PeerScript p = s.join("-XX0100-aaaaaaaaaaaa", "10.0.0.9:5000", false);
  p.hear(s.now);
  const auto sleep = [&] {
    const Instant before = s.now;
    s.now = std::max(*s.client.next_wake(), before);
    s.client.on_time(s.now);
    p.hear(s.now);
    return s.now - before;
  };
  for (int i = 0; i < 4; ++i) sleep();
  const Instant quiet_from = s.now;
  int wakes = 0;
  while (s.now < quiet_from + 60s) sleep(), ++wakes;
  CHECK(wakes <= 13);
  p.say(wire::Interested{}, s.now);
  CHECK(*s.client.next_wake() <= s.now + 1s);
  p.hear(s.now);
  for (int i = 0; i < 3; ++i) {
    p.say(wire::Request{{PieceIndex{0}, 0, block}}, s.now);  // and does not take it: it is not quiet
    CHECK(*s.client.next_wake() <= s.now + 1s);
    s.now = *s.client.next_wake();
    s.client.on_time(s.now);
  }
}

TEST_CASE("a seed answers as soon as the info-hash is known, then names itself and says what it has") {
  Scene s(4, Scene::seeding(4));
  PeerScript p(s.client, s.client.on_accepted(endpoint("10.0.0.9:5000"), s.now));
  wire::Handshake h;
  h.info_hash = small_torrent(4).info_hash;
  h.peer_id = peer_id("-SW0100-somebody-els");
  h.fast = true;
  const auto bytes = wire::encode(h);
  p.say_raw(ByteView(bytes).first(48), s.now);  // Transmission waits for the answer here
  p.hear(s.now);
  CHECK(p.named);
  p.say_raw(ByteView(bytes).subspan(48), s.now);
  const auto said = p.hear(s.now);
  REQUIRE(said.size() == 1);
  CHECK(std::holds_alternative<wire::HaveAll>(said[0]));
}

TEST_CASE("a lone seed shows strangers its pieces bit by bit (BEP 16), and everything as soon as a swarm node comes") {
  Client client(client_options(), 1);
  AddTorrent add = Scene::seeding(200);
  add.info = small_torrent(200);
  client.add(std::move(add), at(0));
  PeerScript p(client, client.on_accepted(endpoint("10.0.0.9:5000"), at(1)));
  p.greet(small_torrent(200).info_hash, "-XX0000-somebody-els", at(1));
  p.say(wire::HaveNone{}, at(1));
  p.say(wire::Interested{}, at(1));
  std::vector<bool> shown(200);
  const auto listen = [&](Instant now) {
    bool everything = false;
    for (const auto& m : p.hear(now)) {
      if (const auto* have = std::get_if<wire::Have>(&m)) shown[number(have->piece)] = true;
      everything |= std::holds_alternative<wire::HaveAll>(m);
    }
    CHECK(!everything);
    return std::count(shown.begin(), shown.end(), true);
  };
  const auto at_first = listen(at(1));
  CHECK(at_first == 128);  // 4 MiB
  const auto hidden = static_cast<std::uint32_t>(std::find(shown.begin(), shown.end(), false) - shown.begin());
  const auto open = static_cast<std::uint32_t>(std::find(shown.begin(), shown.end(), true) - shown.begin());
  p.say(wire::Request{{PieceIndex{hidden}, 0, block}}, at(1));
  CHECK(p.hear_all<wire::Reject>(at(1)).size() == 1);
  p.say(wire::Request{{PieceIndex{open}, 0, block}}, at(1));
  CHECK(p.hear_all<wire::Reject>(at(1)).empty());
  CHECK(p.payload.size() == 1);
  p.say(wire::Have{PieceIndex{open}}, at(1));
  CHECK(listen(at(1)) == at_first + 1);  // alone, it has nobody to pass it on to

  PeerScript node(client, client.on_accepted(endpoint("10.0.0.10:5000"), at(2)));
  node.greet(small_torrent(200).info_hash, "-SW0100-another-node", at(2));
  node.say(wire::HaveNone{}, at(2));
  CHECK(node.hear_all<wire::HaveAll>(at(2)).size() == 1);
  CHECK(listen(at(2)) == 200);
}

TEST_CASE("a connection for an unknown torrent, to ourselves, or of garbage is closed") {
  Scene s(4, Scene::seeding(4));
  PeerScript other(s.client, s.client.on_accepted(endpoint("10.0.0.9:5000"), s.now));
  other.greet(InfoHash{}, "-XX0000-somebody-els", s.now);
  CHECK(s.closed(other));
  auto self = s.join("-SW0100-client-under", "10.0.0.9:5001", true);
  CHECK(s.closed(self));
  PeerScript garbage(s.client, s.client.on_accepted(endpoint("10.0.0.9:5002"), s.now));
  garbage.say_raw(as_bytes("GET / HTTP/1.1\r\n"), s.now);
  CHECK(s.closed(garbage));
  PeerScript silent(s.client, s.client.on_accepted(endpoint("10.0.0.9:5003"), s.now));
  s.client.on_time(s.now + 11s);
  CHECK(s.closed(silent));
}

TEST_CASE("a cooperative peer is unchoked at once, and gets what it asks for from verified pieces only") {
  AddTorrent add;
  add.resume.verified = Bitfield(4);
  add.resume.verified.set(std::size_t{0});
  add.resume.unchecked = {PieceIndex{1}};
  Scene s(4, std::move(add));
  auto p = s.join("-SW0100-another-node", "10.0.0.9:5000", false);
  p.hear(s.now);
  p.say(wire::Interested{}, s.now);
  CHECK(p.hear_all<wire::Unchoke>(s.now).size() == 1);
  p.say(wire::Request{{PieceIndex{0}, 0, block}}, s.now);
  p.say(wire::Request{{PieceIndex{1}, 0, block}}, s.now);  // on the disk, not verified yet
  p.say(wire::Request{{PieceIndex{2}, 0, block}}, s.now);  // missing
  const auto rejected = p.hear_all<wire::Reject>(s.now);
  CHECK(rejected.size() == 2);
  REQUIRE(p.payload.size() == 1);
  CHECK(p.payload[0] == BlockRef{PieceIndex{0}, 0, block});
  s.client.on_stored(s.torrent, PieceIndex{1}, {}, s.now);  // the check went well
  CHECK(p.hear_all<wire::Have>(s.now).size() == 1);
  p.say(wire::Request{{PieceIndex{1}, block, block}}, s.now);
  p.hear(s.now);
  CHECK(p.payload.size() == 2);
}

TEST_CASE("requests beyond a piece close the connection, whatever overflow they hope for") {
  for (BlockRef bad : {BlockRef{PieceIndex{4}, 0, block}, BlockRef{PieceIndex{0}, 0xffffffff, block},
                       BlockRef{PieceIndex{0}, block, block + 1}, BlockRef{PieceIndex{0}, 0, 0}}) {
    Scene s(4, Scene::seeding(4));
    auto p = s.join("-SW0100-another-node", "10.0.0.9:5000", false);
    p.say(wire::Interested{}, s.now);
    p.say(wire::Request{bad}, s.now);
    CHECK(s.closed(p));
  }
}

TEST_CASE("a download asks, stores, and says HAVE only once a piece is stored") {
  Scene s(4);
  auto seed = s.join("-XX0000-a-plain-seed", "10.0.0.2:6881", true);
  auto other = s.join("-XX0000-another-one1", "10.0.0.3:6881", false);
  CHECK(seed.hear_all<wire::Interested>(s.now).size() == 1);
  other.hear(s.now);
  seed.say(wire::Unchoke{}, s.now);
  s.client.actions().clear();
  const auto done = s.serve(seed);
  CHECK(done.size() == 4);  // 8 blocks fit into the first window
  CHECK(s.client.actions().stores.size() == 8);
  CHECK(other.hear_all<wire::Have>(s.now).empty());
  CHECK(s.client.claims(s.torrent).verified.none());
  s.client.on_stored(s.torrent, done[0], {}, s.now);
  CHECK(other.hear_all<wire::Have>(s.now).size() == 1);
  CHECK(s.client.claims(s.torrent).verified.count() == 1);
  for (std::size_t i = 1; i < done.size(); ++i) s.client.on_stored(s.torrent, done[i], {}, s.now);
  CHECK(s.client.actions().finishes.size() == 1);
  CHECK(s.client.stats(s.torrent, s.now).phase == Phase::finishing);
  s.client.on_finished(s.torrent, s.now);
  CHECK(s.client.stats(s.torrent, s.now).phase == Phase::whole);
  CHECK(s.closed(seed));  // two seeds have nothing to say to each other
  CHECK(s.notices<Finished>().size() == 1);
}

TEST_CASE("each block received lets more be asked, without any timer") {
  Scene s(2000);
  auto seed = s.join("-XX0000-a-plain-seed", "10.0.0.2:6881", true, false);
  seed.say(wire::Unchoke{}, s.now);
  auto first = seed.hear_all<wire::Request>(s.now);
  CHECK(first.size() == 16);
  s.now += 1ms;
  seed.say_block(first[0].block, s.now);
  CHECK(seed.hear_all<wire::Request>(s.now).size() == 2);  // one came, the window grew by one
}

TEST_CASE("a bitfield may come late, in place of many HAVEs, and says all that the peer has") {
  Scene s(16);
  auto p = s.join("A2-1-36-0-somebody-e", "10.0.0.2:6881", false, false);
  p.say(wire::Unchoke{}, s.now);
  p.say(wire::Have{PieceIndex{3}}, s.now);
  CHECK(p.hear_all<wire::Request>(s.now).size() == 2);
  Bitfield late(16);
  for (std::size_t i = 0; i < 8; ++i) late.set(i);
  p.say(wire::BitfieldBits{late.bytes()}, s.now);
  CHECK_FALSE(s.closed(p));
  s.client.on_time(s.now + 2s);
  CHECK(p.hear_all<wire::Request>(s.now).size() == 14);  // the other seven pieces
}

TEST_CASE("without the fast extension a choke forgets what was asked; with it each request is rejected") {
  for (bool fast : {false, true}) {
    Scene s(4);
    auto seed = s.join("-XX0000-a-plain-seed", "10.0.0.2:6881", true, fast);
    seed.say(wire::Unchoke{}, s.now);
    const auto asked = seed.hear_all<wire::Request>(s.now);
    REQUIRE(asked.size() == 8);
    seed.say(wire::Choke{}, s.now);
    if (fast)
      for (const auto& r : asked) seed.say(wire::Reject{r.block}, s.now);
    seed.say(wire::Unchoke{}, s.now);
    CHECK(seed.hear_all<wire::Request>(s.now).size() == 8);
  }
}

TEST_CASE("blocks that nobody asked for are thrown away and not punished") {
  Scene s(4);
  auto seed = s.join("-XX0000-a-plain-seed", "10.0.0.2:6881", true);
  seed.say_block({PieceIndex{0}, 0, block}, s.now);
  CHECK(s.client.actions().stores.empty());
  CHECK_FALSE(s.closed(seed));
  CHECK(s.client.stats(s.torrent, s.now).bytes_wasted == block);
}

TEST_CASE("a fragmented block becomes stores that join without a gap, whatever the cuts") {
  Scene s(4);
  auto seed = s.join("-XX0000-a-plain-seed", "10.0.0.2:6881", true);
  seed.say(wire::Unchoke{}, s.now);
  const BlockRef b = seed.hear_all<wire::Request>(s.now).front().block;
  Buffer bytes;
  wire::append_piece_header(bytes, b);
  bytes.resize(bytes.size() + b.length);
  s.client.actions().clear();
  for (std::size_t i = 0, n = 1; i < bytes.size(); i += n, n = n * 3 + 1)
    seed.say_raw(ByteView(bytes).subspan(i, std::min(n, bytes.size() - i)), s.now);
  std::uint32_t next = 0;
  for (const Store& st : s.client.actions().stores) {
    CHECK(st.block == b);
    CHECK(st.at == next);
    next += st.bytes.length;
  }
  CHECK(next == b.length);
}

TEST_CASE("one sender of a wrong piece is proof: banned, named, never taken again") {
  Scene s(4);
  auto liar = s.join("-XX0000-a-liar-liar1", "10.0.0.2:6881", true);
  auto honest = s.join("-XX0000-an-honest-1", "10.0.0.3:6881", true);
  liar.say(wire::Unchoke{}, s.now);
  const auto done = s.serve(liar);
  REQUIRE_FALSE(done.empty());
  s.client.actions().clear();
  s.client.on_hash_failed(s.torrent, done[0], s.now);
  CHECK(s.closed(liar));
  const auto checked = s.notices<PieceChecked>();
  REQUIRE(checked.size() == 1);
  CHECK_FALSE(checked[0].ok);
  REQUIRE(checked[0].from.size() == 1);
  CHECK(checked[0].from[0].address.text() == "10.0.0.2");
  CHECK(s.notices<PeerBanned>().size() == 1);
  CHECK(s.client.claims(s.torrent).verified.none());
  auto again = s.join("-XX0000-a-liar-liar2", "10.0.0.2:7000", true);
  CHECK(s.closed(again));
  honest.say(wire::Unchoke{}, s.now);
  const auto asked = honest.hear_all<wire::Request>(s.now);
  CHECK(std::any_of(asked.begin(), asked.end(), [&](const auto& r) { return r.block.piece == done[0]; }));
}

TEST_CASE("the only source has three tries before it is banned") {
  Scene s(64);
  auto seed = s.join("-XX0000-a-plain-seed", "10.0.0.2:6881", true, false);
  seed.say(wire::Unchoke{}, s.now);
  const auto done = s.serve(seed);
  REQUIRE(done.size() >= 3);
  s.client.on_hash_failed(s.torrent, done[0], s.now);
  s.client.on_hash_failed(s.torrent, done[1], s.now);
  CHECK_FALSE(s.closed(seed));
  s.client.on_hash_failed(s.torrent, done[2], s.now);
  CHECK(s.closed(seed));
}

TEST_CASE("a wrong piece of two senders is fetched from one, and the blocks' digests convict the right one") {
  Scene s(1);
  auto a = s.join("-XX0000-sender-a-aaa", "10.0.0.2:6881", true, false);
  auto b = s.join("-XX0000-sender-b-bbb", "10.0.0.3:6881", true, false);
  a.say(wire::Unchoke{}, s.now);
  auto asked = a.hear_all<wire::Request>(s.now);
  REQUIRE(asked.size() == 2);
  a.say_block(asked[0].block, s.now);
  a.say(wire::Choke{}, s.now);  // the second block is free again
  b.say(wire::Unchoke{}, s.now);
  auto rest = b.hear_all<wire::Request>(s.now);
  REQUIRE(rest.size() == 1);
  b.say_block(rest[0].block, s.now);
  s.client.actions().clear();
  s.client.on_hash_failed(s.torrent, PieceIndex{0}, s.now);
  CHECK(s.notices<PieceChecked>().at(0).from.size() == 2);
  CHECK(s.notices<PeerBanned>().empty());  // suspicion is not proof
  auto alone = b.hear_all<wire::Request>(s.now);
  REQUIRE(alone.size() == 2);  // the whole piece, from one
  a.say(wire::Unchoke{}, s.now);
  CHECK(a.hear_all<wire::Request>(s.now).empty());
  for (const auto& r : alone) b.say_block(r.block, s.now);
  const std::uint32_t wrong[] = {asked[0].block.begin / block};
  s.client.on_stored(s.torrent, PieceIndex{0}, wrong, s.now);
  const auto banned = s.notices<PeerBanned>();
  REQUIRE(banned.size() == 1);
  CHECK(banned[0].peer.address.text() == "10.0.0.2");
}

TEST_CASE("endgame: the last block is asked of a second peer, and cancelled where it is not needed any more") {
  Scene s(1);
  auto slow = s.join("-XX0000-a-slow-peer1", "10.0.0.2:6881", true, false);
  auto quick = s.join("-XX0000-a-quick-peer", "10.0.0.3:6881", true, false);
  slow.say(wire::Unchoke{}, s.now);
  auto asked = slow.hear_all<wire::Request>(s.now);
  REQUIRE(asked.size() == 2);
  quick.say(wire::Unchoke{}, s.now);
  auto doubled = quick.hear_all<wire::Request>(s.now);
  REQUIRE(doubled.size() == 1);
  quick.say_block(doubled[0].block, s.now);
  const auto cancelled = slow.hear_all<wire::Cancel>(s.now);
  REQUIRE(cancelled.size() == 1);
  CHECK(cancelled[0].block == doubled[0].block);
  s.client.actions().clear();
  slow.say_block(doubled[0].block, s.now);  // it crossed the cancel
  CHECK(s.client.actions().stores.empty());
}

TEST_CASE("of two connections to one peer the one that the higher id opened stays") {
  for (bool we_are_higher : {true, false}) {
    Scene s(4);
    const std::string_view id = we_are_higher ? "-AA0000-a-lower-peer" : "-ZZ0000-a-higher-one";
    s.client.add_peer(s.torrent, endpoint("10.0.0.2:6881"), s.now);
    s.client.on_time(s.now);
    REQUIRE(s.client.actions().connects.size() == 1);
    const ConnId ours = s.client.actions().connects[0].conn;
    s.client.on_connected(ours, s.now);
    PeerScript out(s.client, ours);
    out.greet(small_torrent(4).info_hash, id, s.now);
    auto in = s.join(id, "10.0.0.2:50000", false);
    CHECK(s.closed(out) == !we_are_higher);
    CHECK(s.closed(in) == we_are_higher);
  }
}

TEST_CASE("a seed that was idle tells its tracker as soon as somebody fetches from it") {
  AddTorrent add = Scene::seeding(4);
  add.swarm_trackers = {"http://nas:6969"};
  Scene s(4, std::move(add));
  REQUIRE(s.client.actions().exchanges.size() == 1);
  wire::HttpResponse ok;
  ok.body = to_buffer(wire::to_json(wire::BeatReply{1, 1000, {}, false, {}}));
  s.client.on_reply(s.client.actions().exchanges[0].id, ok, at(0.1));
  s.client.actions().clear();
  CHECK(*s.client.next_wake() > at(9));
  auto p = s.join("-SW0100-another-node", "10.0.0.9:5000", false);
  p.say(wire::Interested{}, s.now);
  p.say(wire::Request{{PieceIndex{0}, 0, block}}, s.now);
  p.hear(s.now);
  for (int i = 0; i < 3 && s.client.actions().exchanges.empty(); ++i) {
    s.now = *s.client.next_wake();
    s.client.on_time(s.now);
  }
  CHECK(s.client.actions().exchanges.size() == 1);
  CHECK(s.now < at(3));
}

TEST_CASE("a seed whose only reader came and went within a second tells its tracker soon") {
  bool reader_closes = false;
  SUBCASE("the reader leaves") { reader_closes = true; }
  SUBCASE("the reader is whole, so the seed leaves it") {}
  AddTorrent add = Scene::seeding(4);
  add.swarm_trackers = {"http://nas:6969"};
  Scene s(4, std::move(add));
  wire::HttpResponse ok;
  ok.body = to_buffer(wire::to_json(wire::BeatReply{1, 1000, {}, false, {}}));
  s.client.on_reply(s.client.actions().exchanges[0].id, ok, at(0.1));
  s.client.actions().clear();
  auto p = s.join("-SW0100-another-node", "10.0.0.9:5000", false);
  p.say(wire::Interested{}, s.now);
  p.say(wire::Request{{PieceIndex{0}, 0, block}}, s.now);
  p.hear(s.now);
  REQUIRE(s.client.stats(s.torrent, s.now).bytes_up == block);
  if (reader_closes) {
    s.client.on_closed(p.conn(), s.now);
  } else {
    for (std::uint32_t i = 0; i < 4; ++i) p.say(wire::Have{PieceIndex{i}}, s.now);
    REQUIRE(s.client.actions().closes.size() == 1);
  }
  for (int i = 0; i < 3 && s.client.actions().exchanges.empty(); ++i) {
    s.now = *s.client.next_wake();
    s.client.on_time(s.now);
  }
  CHECK(s.client.actions().exchanges.size() == 1);
  CHECK(s.now < at(3));
}

TEST_CASE("connections are opened to fifty strangers, but to twenty swarm nodes only") {
  const auto opened = [](std::string_view kind) {
    Scene s(4);
    for (int i = 1; i <= 80; ++i)
      s.client.add_peer(s.torrent, endpoint("10.0.1." + std::to_string(i) + ":6881"), s.now);
    std::size_t count = 0;
    for (int second = 0; second < 20; ++second, s.now += 1s) {
      s.client.on_time(s.now);
      const auto connects = s.client.actions().connects;
      s.client.actions().clear();
      for (const Connect& c : connects) {
        s.client.on_connected(c.conn, s.now);
        PeerScript p(s.client, c.conn);
        p.greet(small_torrent(4).info_hash, std::string(kind) + std::to_string(10000 + ++count), s.now);
        p.say(wire::HaveNone{}, s.now);
      }
    }
    CHECK((!s.client.next_wake() || *s.client.next_wake() > s.now - 1s));
    return count;
  };
  CHECK(opened("-AA0000-someone") == 50);
  CHECK(opened("-SW0100-another") == 20);
}

TEST_CASE("an unreachable peer is tried again later and later") {
  Scene s(4);
  s.client.add_peer(s.torrent, endpoint("10.0.0.2:6881"), s.now);
  int tries = 0;
  for (int i = 0; i < 6000; ++i) {
    s.client.on_time(s.now);
    for (const Connect& c : s.client.actions().connects) ++tries, s.client.on_connect_failed(c.conn, s.now);
    s.client.actions().clear();
    s.now += 100ms;
  }
  CHECK(tries >= 8);  // 600 s: 1, 2, 4 … 120 s apart, less at random
  CHECK(tries <= 20);
  CHECK(s.client.stats(s.torrent, s.now).connect_failures == static_cast<std::uint64_t>(tries));
}

TEST_CASE("--down holds requests back, exactly over seconds") {
  ClientOptions o = client_options();
  o.rate_down_max = 1 << 20;
  Client client(o, 1);
  AddTorrent add;
  add.info = small_torrent(2000);
  const TorrentId t = client.add(std::move(add), at(0));
  Instant now = at(1);
  PeerScript p(client, client.on_accepted(endpoint("10.0.0.2:6881"), now));
  p.greet(small_torrent(4).info_hash, "-XX0000-a-plain-seed", now);
  p.say(wire::HaveAll{}, now);
  p.say(wire::Unchoke{}, now);
  for (int i = 0; i < 1000; ++i) {
    for (const auto& r : p.hear_all<wire::Request>(now)) p.say_block(r.block, now);
    client.actions().clear();
    now += 10ms;
    if (auto w = client.next_wake(); w && *w <= now) client.on_time(now);
  }
  const double got = static_cast<double>(client.stats(t, now).bytes_down);
  CHECK(got == doctest::Approx(10.0 * (1 << 20)).epsilon(0.03));
}

TEST_CASE("a clean stop says stopped, saves once, and is done when that was answered") {
  AddTorrent add;
  Client client(client_options(), 1);
  add.info = small_torrent(4);
  add.info.trackers = {{"http://tracker:6969/announce"}};
  const TorrentId t = client.add(std::move(add), at(0));
  REQUIRE(client.actions().exchanges.size() == 1);
  const Exchange first = client.actions().exchanges[0];
  CHECK(first.url == "http://tracker:6969");
  CHECK(first.request.target.find("event=started") != std::string::npos);
  client.actions().clear();
  wire::HttpResponse ok;
  wire::AnnounceReply reply;
  reply.interval_s = 1800;
  ok.body = wire::encode_reply(reply, true, true);
  client.on_reply(first.id, ok, at(1));
  client.stop(at(2));
  REQUIRE(client.actions().saves.size() == 1);
  CHECK(client.actions().saves[0].clean);
  REQUIRE(client.actions().exchanges.size() == 1);
  const Exchange last = client.actions().exchanges[0];
  CHECK(last.request.target.find("event=stopped") != std::string::npos);
  CHECK_FALSE(client.stopped());
  client.on_saved(t, at(2));
  CHECK_FALSE(client.stopped());
  client.on_reply(last.id, ok, at(2.1));
  CHECK(client.stopped());
}

TEST_CASE("a checkpoint is asked for soon after the first piece, then every two seconds, one at a time") {
  Scene s(64);
  auto seed = s.join("-XX0000-a-plain-seed", "10.0.0.2:6881", true, false);
  seed.say(wire::Unchoke{}, s.now);
  const auto done = s.serve(seed);
  REQUIRE(done.size() >= 2);
  s.client.on_stored(s.torrent, done[0], {}, s.now);
  s.client.actions().clear();
  s.client.on_time(s.now + 150ms);
  CHECK(s.client.actions().saves.empty());
  s.client.on_time(s.now + 250ms);
  CHECK(s.client.actions().saves.size() == 1);
  s.client.on_stored(s.torrent, done[1], {}, s.now + 2200ms);
  s.client.on_time(s.now + 9s);
  CHECK(s.client.actions().saves.size() == 1);
  s.client.on_saved(s.torrent, s.now + 9s);
  CHECK(s.client.actions().saves.size() == 2);
}

TEST_CASE("a disk that fails stops the torrent: connections closed, the reason told") {
  Scene s(4);
  auto seed = s.join("-XX0000-a-plain-seed", "10.0.0.2:6881", true);
  s.client.on_disk_failed(s.torrent, Error{Exit::disk, "disk_full", "no space", ""}, s.now);
  CHECK(s.closed(seed));
  REQUIRE(s.notices<Failed>().size() == 1);
  CHECK(s.notices<Failed>()[0].error.exit == Exit::disk);
  CHECK(s.client.stats(s.torrent, s.now).phase == Phase::failed);
}

namespace {
wire::ExtendedHandshake pex_hello(std::uint16_t port) {
  wire::ExtendedHandshake hello;
  hello.messages = {{std::string(wire::ut_pex.name), 9}};
  hello.port = port;
  return hello;
}
}  // namespace

TEST_CASE("peers hear of each other (BEP 11), and are connected to when they are told of; not in a private torrent") {
  for (const bool is_private : {false, true}) {
    CAPTURE(is_private);
    Client client(client_options(), 1);
    AddTorrent add = Scene::seeding(4);
    add.info = small_torrent(4);
    add.info.is_private = is_private;
    client.add(std::move(add), at(0));
    const auto join = [&](std::string_view id, std::string_view address, std::uint16_t port) {
      PeerScript p(client, client.on_accepted(endpoint(address), at(1)), true);
      p.greet(small_torrent(4).info_hash, id, at(1));
      p.say(wire::HaveNone{}, at(1));
      const Buffer hello = wire::encode(pex_hello(port));
      p.say(wire::Extended{0, hello}, at(1));
      return p;
    };
    auto one = join("-XX0000-somebody-els", "10.0.0.9:5000", 7000);
    auto other = join("-XX0000-another-peer", "10.0.0.10:5000", 7001);
    client.actions().clear();
    client.on_time(at(2));
    client.on_time(at(4.5));
    std::vector<wire::PexMessage> heard;
    for (const auto& m : one.hear_all<wire::Extended>(at(4.5)))
      if (m.id == 9) heard.push_back(*wire::decode_pex(m.payload));
    if (is_private) {
      CHECK(heard.empty());
    } else {
      REQUIRE(heard.size() == 1);
      REQUIRE(heard[0].added.size() == 1);
      CHECK(heard[0].added[0].endpoint == endpoint("10.0.0.10:7001"));
    }
    client.actions().clear();
    const Buffer told = wire::encode(wire::PexMessage{{{endpoint("10.0.0.77:6881"), 0}}, {}});
    one.say(wire::Extended{wire::ut_pex.id, told}, at(5));
    client.on_time(at(6));
    const auto& connects = client.actions().connects;
    const bool dialled = std::any_of(connects.begin(), connects.end(),
                                     [](const Connect& c) { return c.to == endpoint("10.0.0.77:6881"); });
    CHECK(dialled == !is_private);
  }
}

TEST_CASE("when all places are taken, a newcomer of higher priority (BEP 40) gets the place of the least") {
  auto options = client_options();
  options.peers_max = 2;
  options.addresses = {endpoint("10.0.0.1:1").address};
  Client client(options, 1);
  AddTorrent add = Scene::seeding(4);
  add.info = small_torrent(4);
  client.add(std::move(add), at(0));
  std::vector<std::pair<std::uint32_t, ConnId>> all;
  for (int i = 2; i < 12; ++i) {
    const auto from = endpoint("10." + std::to_string(i) + ".0.1:5000");
    PeerScript p(client, client.on_accepted(from, at(1)), true);
    p.greet(small_torrent(4).info_hash, "-XX0000-somebody-e-" + std::to_string(i), at(1));
    all.emplace_back(peer_priority({options.addresses[0], options.port}, from), p.conn());
  }
  std::sort(all.rbegin(), all.rend());
  std::vector<ConnId> closed;
  for (const Close& c : client.actions().closes) closed.push_back(c.conn);
  CHECK(closed.size() == 8);
  for (std::size_t i = 0; i < 2; ++i) CHECK(std::count(closed.begin(), closed.end(), all[i].second) == 0);
}

TEST_CASE("sequential: pieces are begun in their order, by all peers together, whatever is rare") {
  constexpr std::uint32_t pieces = 60;
  AddTorrent add;
  add.sequential = true;
  Scene s(pieces, std::move(add));
  auto a = s.join("-XX0000-peer-of-all-1", "10.0.0.8:5000", true);
  auto b = s.join("-XX0000-peer-of-all-2", "10.0.0.9:5000", true);
  // The last pieces are the rarest: somebody who lets nobody fetch has all others.
  PeerScript stingy(s.client, s.client.on_accepted(endpoint("10.0.0.10:5000"), s.now));
  stingy.greet(small_torrent(pieces).info_hash, "-XX0000-has-much-of-it", s.now);
  Bitfield much(pieces, true);
  for (std::size_t piece = pieces / 2; piece < pieces; ++piece) much.set(piece, false);
  stingy.say(wire::BitfieldBits{much.bytes()}, s.now);
  std::vector<std::uint32_t> begun, in_order;
  const auto serve = [&](PeerScript& peer) {
    for (const auto& asked : peer.hear_all<wire::Request>(s.now)) {
      const auto piece = asked.block.piece;
      if (std::ranges::find(begun, number(piece)) == begun.end()) begun.push_back(number(piece));
      peer.say_block(asked.block, s.now);
      if (asked.block.begin == block) s.client.on_stored(s.torrent, piece, {}, s.now);
    }
  };
  a.say(wire::Unchoke{}, s.now);
  b.say(wire::Unchoke{}, s.now);
  for (int round = 0; round < 1'000 && begun.size() < pieces; ++round) {
    serve(round % 3 == 0 ? b : a);
    s.now += 10ms;
  }
  for (std::uint32_t piece = 0; piece < pieces; ++piece) in_order.push_back(piece);
  CHECK(begun == in_order);
}
