// A Client whose content comes from HTTP servers: what it asks for, and what it makes of the answers.
#include "core/torrent/web_seeds.hh"

#include <doctest/doctest.h>

#include <numeric>

#include "core/client.hh"
#include "peer_script.hh"

using namespace swarm;
using namespace swarm::core;

namespace {

Instant at(double s) { return Instant{} + from_seconds(s); }

/// A torrent with web seeds and no peers; the test is the driver.
struct Servers {
  explicit Servers(std::uint32_t count, std::uint32_t pieces = 64, ClientOptions options = client_options())
      : client(std::move(options), 7) {
    AddTorrent add;
    add.info = small_torrent(pieces);
    add.info.web_seeds = count;
    torrent = client.add(std::move(add), now);
    sent.assign(pieces * 2, 0);
  }
  std::vector<Fetch> take_fetches() {
    collect();
    return std::exchange(fetches, {});
  }
  /// What the client asked for since the last look; pieces whose blocks are all here come right.
  void collect() {
    Actions& a = client.actions();
    fetches.insert(fetches.end(), a.fetches.begin(), a.fetches.end());
    std::vector<PieceIndex> done;
    for (const Store& s : a.stores) {
      bytes_stored += s.bytes.length;
      auto& have = sent[number(s.block.piece) * 2 + s.block.begin / wire::block_bytes];
      have += s.bytes.length;
      if (sent[number(s.block.piece) * 2] == wire::block_bytes &&
          sent[number(s.block.piece) * 2 + 1] == wire::block_bytes)
        done.push_back(s.block.piece);
    }
    for (const Close& c : a.closes) closed.push_back(c.conn);
    for (const Notice& n : a.notices) {
      news += std::holds_alternative<WebSeedNews>(n) ? 1 : 0;
      bans += std::holds_alternative<PeerBanned>(n) ? 1 : 0;
    }
    a.clear();
    for (const PieceIndex p : done)
      wrong ? client.on_hash_failed(torrent, p, now) : client.on_stored(torrent, p, {}, now);
    if (!done.empty()) {
      if (wrong) std::fill(sent.begin(), sent.end(), 0);
      collect();
    }
  }
  void give(const Fetch& f, std::uint64_t bytes) {
    for (std::uint64_t left = bytes; left > 0;) {  // in odd portions, as a network would
      const auto now_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, 10'007));
      client.on_fetched(f.conn, {.bytes = {}, .handle = 1, .virtual_bytes = now_bytes}, now);
      collect();
      left -= now_bytes;
    }
  }
  void serve(const Fetch& f) {
    give(f, f.length);
    client.on_fetch_ended(f.conn, {}, now);
    collect();
  }

  Client client;
  TorrentId torrent{};
  Instant now = at(1);
  std::vector<std::uint32_t> sent;  ///< bytes of each block that were stored
  std::vector<Fetch> fetches;
  std::vector<ConnId> closed;
  std::uint64_t bytes_stored = 0;
  int news = 0, bans = 0;
  bool wrong = false;
};

}  // namespace

TEST_CASE("web seeds alone bring everything, each byte once") {
  for (const std::uint32_t servers : {1u, 3u}) {
    CAPTURE(servers);
    Servers s(servers);
    auto open = s.take_fetches();
    CHECK(open.size() == servers);
    std::uint64_t asked = 0;
    while (!open.empty()) {
      const Fetch f = open.back();
      open.pop_back();
      asked += f.length;
      s.serve(f);
      for (const Fetch& x : s.take_fetches()) open.push_back(x);
    }
    const auto stats = s.client.stats(s.torrent, s.now);
    CHECK(stats.phase == Phase::finishing);
    CHECK(stats.bytes_down == stats.bytes_total);
    CHECK(stats.bytes_wasted == 0);
    CHECK(asked == stats.bytes_total);
    CHECK(s.bytes_stored == stats.bytes_total);
    CHECK(s.closed.size() == servers);  // nothing more is wanted of them
  }
}

TEST_CASE("ranges are of adjacent blocks, over the ends of pieces") {
  Servers s(1);
  const auto first = s.take_fetches();
  REQUIRE(first.size() == 1);
  CHECK(first[0].length >= 32 * 1024);
  CHECK(first[0].offset % wire::block_bytes == 0);
  CHECK(first[0].web_seed == 0);
  CHECK(first[0].offset + first[0].length <= 64u * 32 * 1024);
}

TEST_CASE("a server that fails rests for ten seconds, then twenty, and what it was asked for is free for others") {
  Servers s(2);
  auto open = s.take_fetches();
  REQUIRE(open.size() == 2);
  s.give(open[0], open[0].length / 2);
  s.client.on_fetch_ended(open[0].conn, fail(Exit::unreachable, "hung_up", "hung up"), s.now);
  s.collect();
  CHECK(s.news == 1);
  const auto rests = open[0].conn;
  CHECK(s.take_fetches().empty());
  s.now += 9s;
  s.client.on_time(s.now);
  CHECK(s.take_fetches().empty());
  s.now += 2s;
  s.client.on_time(s.now);
  auto again = s.take_fetches();
  REQUIRE(again.size() == 1);
  CHECK(again[0].conn == rests);
  s.client.on_fetch_ended(rests, fail(Exit::unreachable, "hung_up", "hung up"), s.now);
  s.now += 15s;
  s.client.on_time(s.now);
  CHECK(s.take_fetches().empty());
  // The other one brings all of it meanwhile.
  std::vector<Fetch> todo{open[1]};
  while (!todo.empty()) {
    const Fetch f = todo.back();
    todo.pop_back();
    s.serve(f);
    for (const Fetch& x : s.take_fetches())
      if (x.conn != rests) todo.push_back(x);
  }
  CHECK(s.client.stats(s.torrent, s.now).phase == Phase::finishing);
}

TEST_CASE("a server that ignores ranges is asked again at once, for ascending ranges, each byte once") {
  Servers s(1, 300);
  const auto report = [&](const Fetch& f) {
    s.client.on_fetch_ended(f.conn, fail(Exit::unreachable, std::string(ignores_ranges), "ignores ranges"), s.now);
  };
  auto open = s.take_fetches();
  REQUIRE(open.size() == 1);
  CHECK_FALSE(open[0].in_order);
  report(open[0]);
  std::uint64_t at = 0, asked = 0;
  for (open = s.take_fetches(); !open.empty(); open = s.take_fetches()) {
    REQUIRE(open.size() == 1);
    CHECK(open[0].in_order);
    CHECK(open[0].offset == at);
    at += open[0].length;
    asked += open[0].length;
    s.serve(open[0]);
  }
  const auto stats = s.client.stats(s.torrent, s.now);
  CHECK(stats.phase == Phase::finishing);
  CHECK(asked == stats.bytes_total);
  CHECK(stats.bytes_wasted == 0);
  CHECK(s.news == 0);
}

TEST_CASE("that a server ignores ranges excuses it once") {
  Servers s(1);
  const auto report = [&](ConnId conn) {
    s.client.on_fetch_ended(conn, fail(Exit::unreachable, std::string(ignores_ranges), "ignores ranges"), s.now);
  };
  auto open = s.take_fetches();
  REQUIRE(open.size() == 1);
  report(open[0].conn);
  CHECK(s.take_fetches().size() == 1);
  CHECK(s.news == 0);
  report(open[0].conn);
  CHECK(s.take_fetches().empty());
  CHECK(s.news == 1);
  s.now += 11s;
  s.client.on_time(s.now);
  CHECK(s.take_fetches().size() == 1);
}

TEST_CASE("with a server that ignores ranges, a range that failed and a piece that was wrong are asked for anew") {
  Servers s(1, 300);
  auto open = s.take_fetches();
  REQUIRE(open.size() == 1);
  const auto conn = open[0].conn;
  s.client.on_fetch_ended(conn, fail(Exit::unreachable, std::string(ignores_ranges), "ignores ranges"), s.now);
  open = s.take_fetches();
  REQUIRE(open.size() == 1);
  s.give(open[0], 100'000);  // three pieces and a bit
  s.client.on_fetch_ended(conn, fail(Exit::unreachable, "stalled", "stalled"), s.now);
  s.now += 11s;
  s.client.on_time(s.now);
  open = s.take_fetches();
  REQUIRE(open.size() == 1);
  CHECK(open[0].offset == 98'304);  // six blocks came whole
  // Two blocks of wrong data, then what is right: the piece comes again when the end has been reached, from behind.
  s.wrong = true;
  const auto wrong_piece = open[0].offset;
  std::fill(s.sent.begin(), s.sent.end(), 0);
  s.give(open[0], 32 * 1024);
  s.wrong = false;
  Fetch f = open[0];
  s.give(f, f.length - 32 * 1024);
  s.client.on_fetch_ended(conn, {}, s.now);
  std::uint64_t at = f.offset + f.length;
  bool wrapped = false;
  for (open = s.take_fetches(); !open.empty(); open = s.take_fetches()) {
    if (open[0].offset < at) {
      CHECK_FALSE(wrapped);
      wrapped = true;
      CHECK(at == 300u * 32 * 1024);
      CHECK(open[0].offset == wrong_piece);
    }
    at = open[0].offset + open[0].length;
    s.serve(open[0]);
  }
  CHECK(wrapped);
  CHECK(s.client.stats(s.torrent, s.now).phase == Phase::finishing);
}

TEST_CASE("a range that ends short is an error, however politely it ends") {
  Servers s(1);
  const auto open = s.take_fetches();
  REQUIRE(open.size() == 1);
  s.give(open[0], open[0].length - 1);
  s.client.on_fetch_ended(open[0].conn, {}, s.now);
  CHECK(s.take_fetches().empty());
}

TEST_CASE("a server of wrong data is out after its third piece, and named") {
  Servers s(1);
  s.wrong = true;
  std::vector<Endpoint> named;
  for (int i = 0; i < 20 && s.closed.empty(); ++i) {
    for (const Fetch& f : s.take_fetches()) s.serve(f);
    s.now += 1s;
    s.client.on_time(s.now);
  }
  REQUIRE(s.closed.size() == 1);
  CHECK(s.bans == 1);
  CHECK(s.client.stats(s.torrent, s.now).peers_known == 0);  // what is banned is no peer
  CHECK(s.client.stats(s.torrent, s.now).web_seeds == 0);
  s.wrong = false;
  for (int i = 0; i < 1000; ++i) {
    s.now += 10s;
    s.client.on_time(s.now);
    CHECK(s.take_fetches().empty());
  }
}

TEST_CASE("what peers bring meanwhile is not fetched; a fetch that has become useless is ended") {
  Servers s(1, 4);
  const auto open = s.take_fetches();
  REQUIRE(open.size() == 1);
  PeerScript p(s.client, s.client.on_accepted(*Endpoint::from("10.0.0.9:5000"), s.now), true);
  p.greet(small_torrent(4).info_hash, "-XX0000-somebody-els", s.now);
  p.say(wire::HaveAll{}, s.now);
  p.say(wire::Unchoke{}, s.now);
  for (int i = 0; i < 20; ++i) {
    s.now += 1s;
    s.client.on_time(s.now);
    for (const auto& r : p.hear_all<wire::Request>(s.now)) {
      p.say_block(r.block, s.now);
      s.collect();
    }
  }
  CHECK(s.client.stats(s.torrent, s.now).phase == Phase::finishing);
  CHECK(std::count(s.closed.begin(), s.closed.end(), open[0].conn) >= 1);
}

TEST_CASE("the limit on downloading holds for web seeds too") {
  auto options = client_options();
  options.rate_down_max = 100'000;
  Servers s(1, 64, options);
  std::uint64_t asked = 0;
  for (int tick = 0; tick < 1000; ++tick) {  // 100 s
    for (const Fetch& f : s.take_fetches()) {
      asked += f.length;
      s.serve(f);
    }
    s.now += 100ms;
    s.client.on_time(s.now);
    if (s.client.stats(s.torrent, s.now).phase == Phase::finishing) break;
  }
  const double seconds = swarm::seconds(s.now - at(1));
  CHECK(static_cast<double>(asked) / seconds < 110'000);
  CHECK(static_cast<double>(asked) / seconds > 90'000);
}

TEST_CASE("how a web seed is named where an endpoint is told") {
  CHECK(web_seed_number(web_seed_endpoint(0)) == 0u);
  CHECK(web_seed_number(web_seed_endpoint(41)) == 41u);
  CHECK(!web_seed_number(*Endpoint::from("10.0.0.1:1")));
  CHECK(!web_seed_number(Endpoint{}));
}
