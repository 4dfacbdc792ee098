#include "core/tracker/server.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.hh"
#include "base/text.hh"
#include "core/tracker/torrents.hh"
#include "wire/announce.hh"

using namespace swarm;
using namespace swarm::core;
using namespace swarm::test;

namespace {

const Endpoint tracker = *Endpoint::from("192.168.1.1:6969");

TrackerOptions options() {
  TrackerOptions o;
  o.version = "0.1.0";
  o.name = "nas";
  return o;
}

TrackerOptions small(std::uint32_t max_torrents, std::uint32_t max_peers) {
  auto o = options();
  o.max_torrents = max_torrents;
  o.max_peers = max_peers;
  return o;
}

struct Fixture {
  explicit Fixture(TrackerOptions o = options()) : server(std::move(o), 7) {}

  wire::HttpResponse call(std::string method, std::string target, const char* from = "192.168.1.9:40000",
                          std::string_view body = {}, Endpoint local = tracker) {
    wire::HttpRequest r;
    r.method = std::move(method);
    r.target = std::move(target);
    r.headers.set("Host", host);
    r.body = to_buffer(body);
    return server.on_request(r, *Endpoint::from(from), local, now);
  }
  wire::HttpResponse get(std::string target, const char* from = "192.168.1.9:40000") {
    return call("GET", target, from);
  }
  std::string text(std::string target) {
    const auto r = get(target);
    return std::string(as_text(r.body));
  }
  wire::HttpResponse put(const std::string& name, const TorrentOf& t, const char* query = "") {
    return call("PUT", "/api/v1/files/" + name + query, "192.168.1.9:1", as_text(torrent_of(t)));
  }
  std::string error_code(const wire::HttpResponse& r) {
    const auto e = wire::api_error_from_json(as_text(r.body));
    return e ? e->code : "none";
  }

  wire::AnnounceReply announce(const InfoHash& hash, const char* from, std::uint16_t port, std::string rest = "&left=5",
                               const char* id = "-TR3000-abcdefghijkl") {
    wire::AnnounceRequest a;
    a.info_hash = hash;
    a.peer_id = *PeerId::from(as_bytes(id));
    a.port = port;
    const auto r = get("/announce?" + wire::encode_query(a) + rest, from);
    CHECK(r.status == 200);
    auto reply = wire::decode_announce_reply(r.body);
    REQUIRE(reply);
    return *reply;
  }

  wire::Beat node(std::uint8_t n, const InfoHash& hash, bool complete, std::uint64_t left = 5) {
    wire::Beat b;
    b.node = std::string(15, '0') + static_cast<char>('0' + n);
    b.name = "node" + std::to_string(n);
    b.peer_id.bytes.fill(n);
    b.port = 6881;
    b.sequence = ++sequence;
    b.torrents = {{}};
    b.torrents[0].info_hash = hash;
    b.torrents[0].complete = complete;
    b.torrents[0].left = complete ? 0 : left;
    b.torrents[0].pieces = 10;
    return b;
  }
  wire::BeatReply beat(const wire::Beat& b, const char* from, Endpoint local = tracker) {
    const auto r = call("POST", "/api/v1/announce", from, to_json(b), local);
    CHECK(r.status == 200);
    const auto reply = wire::beat_reply_from_json(as_text(r.body));
    REQUIRE(reply);
    return *reply;
  }

  TrackerServer server;
  Instant now{1h};
  std::string host = "nas:6969";
  std::uint64_t sequence = 0;
};

template <class Notice>
std::size_t count(const std::vector<TrackerNotice>& all) {
  return static_cast<std::size_t>(
      std::ranges::count_if(all, [](auto& n) { return std::holds_alternative<Notice>(n); }));
}

std::vector<std::string> texts(const std::vector<wire::AnnouncedPeer>& peers) {
  std::vector<std::string> out;
  for (const auto& p : peers) out.push_back(p.endpoint.text());
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> texts(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> out;
  for (const auto& e : endpoints) out.push_back(e.text());
  std::ranges::sort(out);
  return out;
}

const InfoHash iso = hash_of({});

}  // namespace

TEST_CASE("hello, health, the front page, and what is not there") {
  Fixture f;
  const auto hello = wire::hello_from_json(f.text("/api/v1/hello"));
  REQUIRE(hello);
  CHECK(hello->version == "0.1.0");
  CHECK(hello->name == "nas");
  CHECK(hello->url == "http://nas:6969");
  CHECK_FALSE(hello->auth);
  CHECK(f.get("/healthz").status == 200);
  CHECK(f.get("/readyz").status == 200);
  CHECK(f.text("/").find("swarm get NAME -t http://nas:6969") != std::string::npos);
  CHECK(f.get("/").headers.find("content-type") == "text/plain; charset=utf-8");
  for (const auto* nothing :
       {"/x", "/api/v1/", "/api/v1/files/", "/t/", "/t/.torrent", "/t/x", "/api/v1/files/%zz", "/metrics", "*", ""}) {
    CAPTURE(nothing);
    CHECK(f.get(nothing).status == 404);
    CHECK(f.error_code(f.get(nothing)) == "not_found");
  }
  CHECK(f.call("POST", "/announce").status == 405);
  CHECK(f.call("GET", "/api/v1/announce").status == 405);
  CHECK(f.call("POST", "/api/v1/files/a").headers.find("allow") == "GET, HEAD, PUT, DELETE");
  CHECK(f.call("CONNECT", "evil:1").status == 405);
  CHECK(f.call("HEAD", "/healthz").status == 200);
}

TEST_CASE("links begin with the configured URL, else with a sound Host, else with the address") {
  auto with_url = options();
  with_url.url = "https://swarm.example/";
  Fixture configured(with_url);
  CHECK(wire::hello_from_json(configured.text("/api/v1/hello"))->url == "https://swarm.example");
  CHECK(configured.server.status(configured.now).tracker.url == "https://swarm.example");
  Fixture f;
  CHECK(f.server.status(f.now).tracker.url.empty());
  for (const auto* evil : {"a/b", "a b", "\"><script>", "user@host", "", "a?b", "a#b", "nas:99999"}) {
    CAPTURE(evil);
    f.host = evil;
    CHECK(wire::hello_from_json(f.text("/api/v1/hello"))->url == "http://192.168.1.1:6969");
  }
  f.host = "[::1]:6969";
  CHECK(wire::hello_from_json(f.text("/api/v1/hello"))->url == "http://[::1]:6969");
}

TEST_CASE("the catalogue: put, list, get, replace, delete, and what is to be saved") {
  Fixture f;
  auto r = f.put("debian.iso", {});
  CHECK(r.status == 201);
  auto files = wire::files_from_json(as_text(r.body));
  REQUIRE(files);
  CHECK((*files)[0].magnet ==
        "magnet:?xt=urn:btih:" + to_hex(iso) + "&dn=debian.iso&tr=http%3A%2F%2Fnas%3A6969%2Fannounce");
  CHECK((*files)[0].torrent_url == "http://nas:6969/t/debian.iso.torrent");
  auto saves = f.server.take_saves();
  REQUIRE(saves.size() == 1);
  CHECK(std::get<KeepFile>(saves[0]).name == "debian.iso");
  CHECK(std::get<KeepFile>(saves[0]).torrent == torrent_of({}));
  auto notices = f.server.take_notices();
  REQUIRE(notices.size() == 1);
  CHECK(std::get<FileAdded>(notices[0]).pieces == 10);

  CHECK(f.put("debian.iso", {}).status == 200);
  CHECK(f.server.take_saves().empty());
  CHECK(f.server.take_notices().empty());

  r = f.put("debian.iso", {.pieces = 20});
  CHECK(r.status == 409);
  CHECK(f.error_code(r) == "exists");
  CHECK(f.put("debian.iso", {.pieces = 20}, "?replace=0").status == 409);
  CHECK(f.put("debian.iso", {.pieces = 20}, "?x=y&replace=1").status == 200);
  CHECK(f.server.take_saves().size() == 1);
  CHECK(count<FileAdded>(f.server.take_notices()) == 1);

  files = wire::files_from_json(f.text("/api/v1/files"));
  REQUIRE(files);
  REQUIRE(files->size() == 1);
  CHECK((*files)[0].pieces == 20);
  CHECK((*files)[0].bytes == 20 * 16384);

  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 204);
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 404);
  saves = f.server.take_saves();
  REQUIRE(saves.size() == 1);
  CHECK(std::get<DropFile>(saves[0]).name == "debian.iso");
  CHECK(count<FileRemoved>(f.server.take_notices()) == 1);
  CHECK(f.get("/api/v1/files/debian.iso").status == 404);
}

TEST_CASE("names in URLs are decoded, and those that cannot be names are refused") {
  Fixture f;
  CHECK(f.put("a%20b%C3%A9", {}).status == 201);
  CHECK(std::get<KeepFile>(f.server.take_saves()[0]).name == "a b\xc3\xa9");
  CHECK(f.get("/t/a%20b%C3%A9.torrent").status == 200);
  for (const auto* bad : {"..", ".", "a%2Fb", "..%2F..%2Fetc%2Fpasswd", "%00", "a%0A", "%FF"}) {
    CAPTURE(bad);
    CHECK(f.put(bad, {}).status == 400);
    CHECK(f.error_code(f.put(bad, {})) == "bad_name");
  }
  CHECK(f.error_code(f.call("PUT", "/api/v1/files/x", "1.2.3.4:5", "not bencode")) == "not_a_torrent");
  CHECK(f.error_code(f.call("PUT", "/api/v1/files/x", "1.2.3.4:5", "")) == "not_a_torrent");
  CHECK(f.server.take_saves().empty());
}

TEST_CASE("an unknown name is answered with the nearest one") {
  Fixture f;
  f.put("debian.iso", {});
  for (const auto* target : {"/api/v1/files/debain.iso", "/t/debain.iso.torrent"}) {
    const auto r = f.get(target);
    CHECK(r.status == 404);
    const auto e = wire::api_error_from_json(as_text(r.body));
    REQUIRE(e);
    CHECK(e->code == "not_found");
    CHECK(e->message == "'debain.iso' is not shared here");
    CHECK(e->hint == "closest: debian.iso");
  }
  CHECK(wire::api_error_from_json(f.text("/api/v1/files/windows"))->hint == "'swarm status' shows what is");
}

TEST_CASE("a .torrent is handed out with this tracker first, unless it is there already or private") {
  Fixture f;
  const TorrentOf other{.trackers = {{"http://other/announce"}}};
  f.put("a", other);
  for (const auto* target : {"/t/a.torrent", "/api/v1/files/a"}) {
    const auto r = f.get(target);
    CHECK(r.status == 200);
    CHECK(r.headers.find("content-type") == "application/x-bittorrent");
    const auto m = wire::parse_metainfo(r.body, "a");
    REQUIRE(m);
    CHECK(m->info_hash == hash_of(other));
    CHECK(m->trackers ==
          std::vector<std::vector<std::string>>{{"http://nas:6969/announce"}, {"http://other/announce"}});
  }
  const TorrentOf ours{.pieces = 3, .trackers = {{"http://x/announce"}, {"http://nas:6969/announce"}}};
  f.put("b", ours);
  CHECK(f.get("/t/b.torrent").body == torrent_of(ours));
  const TorrentOf secret{.pieces = 4, .is_private = true, .trackers = {{"http://x/announce"}}};
  f.put("c", secret);
  CHECK(f.get("/t/c.torrent").body == torrent_of(secret));
  f.put("d", {.pieces = 5});
  CHECK(wire::parse_metainfo(f.get("/t/d.torrent").body, "d")->trackers.size() == 1);
}

TEST_CASE("the catalogue comes back at a start, silently; what is damaged is named") {
  Fixture f;
  CHECK(f.server.load("debian.iso", torrent_of({})));
  const auto bad = f.server.load("broken", as_bytes("d8:announce"));
  REQUIRE_FALSE(bad);
  CHECK(bad.error().message.find("broken") != std::string::npos);
  CHECK_FALSE(f.server.load("a/b", torrent_of({})));
  CHECK(f.server.take_saves().empty());
  CHECK(f.server.take_notices().empty());
  const auto status = f.server.status(f.now);
  REQUIRE(status.files.size() == 1);
  CHECK(status.files[0].name == "debian.iso");
  CHECK(status.files[0].magnet == "magnet:?xt=urn:btih:" + to_hex(iso) + "&dn=debian.iso");
  CHECK(status.files[0].torrent_url.empty());
}

TEST_CASE("announces of two clients: each learns of the other") {
  Fixture f;
  auto r = f.announce(iso, "10.0.0.1:1", 6881, "&left=0&event=started", "-LT2080-abcdefghijkl");
  CHECK(r.failure.empty());
  CHECK(r.interval_s == 120);
  CHECK(r.min_interval_s == 60);
  CHECK(r.complete == 1u);
  CHECK(r.incomplete == 0u);
  CHECK(r.swarm_tracker);
  CHECK(r.external_ip == IpAddress::from("10.0.0.1"));
  CHECK(r.peers.empty());
  r = f.announce(iso, "10.0.0.2:1", 6882);
  REQUIRE(r.peers.size() == 1);
  CHECK(r.peers[0].endpoint.text() == "10.0.0.1:6881");
  CHECK(r.complete == 1u);
  CHECK(r.incomplete == 1u);
  r = f.announce(iso, "10.0.0.2:1", 6882, "&left=0&compact=0&event=completed");
  CHECK(r.peers.empty());  // seeds are not given seeds
  CHECK(r.downloaded == 1u);
  r = f.announce(iso, "10.0.0.3:1", 1, "&left=1&compact=0", "-TR3000-zzzzzzzzzzzz");
  REQUIRE(r.peers.size() == 2);
  r = f.announce(iso, "10.0.0.2:1", 6882, "&left=0&event=stopped");
  CHECK(r.peers.empty());
  CHECK(r.complete == 1u);
}

TEST_CASE("compact=0 gives dictionaries with ids, no_peer_id without") {
  Fixture f;
  f.announce(iso, "10.0.0.1:1", 6881, "&left=0", "-LT2080-abcdefghijkl");
  wire::AnnounceRequest a;
  a.info_hash = iso;
  a.peer_id = *PeerId::from(as_bytes("-TR3000-abcdefghijkl"));
  a.port = 5;
  a.compact = false;
  CHECK(as_text(f.get("/announce?" + wire::encode_query(a)).body).find("7:peer id20:-LT2080-abcdefghijkl") !=
        std::string_view::npos);
  a.no_peer_id = true;
  CHECK(as_text(f.get("/announce?" + wire::encode_query(a)).body).find("7:peer id") == std::string_view::npos);
}

TEST_CASE("numwant: 50 by default, 200 at most, 0 for none") {
  Fixture f;
  for (std::uint16_t i = 1; i <= 300; ++i) f.announce(iso, "10.0.0.1:1", i, "&left=1", "-TR3000-zzzzzzzzzzzz");
  CHECK(f.announce(iso, "10.0.0.2:1", 1).peers.size() == 50);
  CHECK(f.announce(iso, "10.0.0.2:1", 1, "&numwant=7").peers.size() == 7);
  CHECK(f.announce(iso, "10.0.0.2:1", 1, "&numwant=4294967295").peers.size() == 200);
  CHECK(f.announce(iso, "10.0.0.2:1", 1, "&numwant=99999999999999999999999").peers.size() == 200);
  CHECK(f.announce(iso, "10.0.0.2:1", 1, "&numwant=-1").peers.size() == 50);
  CHECK(f.announce(iso, "10.0.0.2:1", 1, "&numwant=0").peers.empty());
}

TEST_CASE("malformed announces get a bencoded reason and leave nothing behind") {
  Fixture f;
  const std::string id = "&peer_id=-TR3000-abcdefghijkl&port=";
  for (const auto& target :
       {std::string("/announce"), "/announce?info_hash=abcdefghijklmnopqrs" + id + "1",
        "/announce?info_hash=abcdefghijklmnopqrst" + id + "0",
        "/announce?info_hash=abcdefghijklmnopqrst" + id + "70000",
        "/announce?info_hash=%zzcdefghijklmnopqrst" + id + "1", "/announce?info_hash=abcdefghijklmnopqrs%4" + id + "1",
        "/announce?" + std::string(100'000, 'q')}) {
    const auto r = f.get(target);
    CHECK(r.status == 200);
    const auto reply = wire::decode_announce_reply(r.body);
    REQUIRE(reply);
    CHECK_FALSE(reply->failure.empty());
  }
  CHECK(f.server.status(f.now).nodes.empty());
  CHECK(f.announce(iso, "10.0.0.1:1", 1, "&left=99999999999999999999999999").failure.empty());
}

TEST_CASE("IPv6 askers get both families, IPv4 askers theirs") {
  Fixture f;
  f.announce(iso, "[2001:db8::1]:1", 6881, "&left=1", "-LT2080-abcdefghijkl");
  f.announce(iso, "10.0.0.1:1", 6881, "&left=1", "-LT2080-bbbbbbbbbbbb");
  const auto v4 = f.announce(iso, "10.0.0.9:1", 1);
  REQUIRE(v4.peers.size() == 1);
  CHECK(v4.peers[0].endpoint.text() == "10.0.0.1:6881");
  CHECK(f.announce(iso, "[2001:db8::9]:1", 1, "&left=1", "-LT2080-cccccccccccc").peers.size() == 3);
}

TEST_CASE("scrape counts, as BEP 48 wants it") {
  Fixture f;
  f.announce(iso, "10.0.0.1:1", 1, "&left=0&event=completed");
  f.announce(iso, "10.0.0.2:1", 1, "&left=7");
  const auto hash = percent_encode(iso.view());
  const auto reply =
      wire::decode_scrape(f.get("/scrape?info_hash=" + hash + "&info_hash=" + percent_encode(Buffer(20))).body);
  REQUIRE(reply);
  REQUIRE(reply->size() == 2);
  CHECK((*reply)[1].complete == 1);
  CHECK((*reply)[1].incomplete == 1);
  CHECK((*reply)[1].downloaded == 1);
  CHECK(wire::decode_announce_reply(f.get("/scrape").body)->failure == "info_hash is missing");
}

TEST_CASE("catalogued only: others are refused") {
  auto o = options();
  o.catalogued_only = true;
  Fixture f(o);
  CHECK(f.announce(iso, "10.0.0.1:1", 1).failure == "this tracker serves only the torrents of its catalogue");
  CHECK(f.beat(f.node(1, iso, true), "10.0.0.1:1").torrents.empty());
  f.put("a", {});
  CHECK(f.announce(iso, "10.0.0.1:1", 1).failure.empty());
  CHECK(f.beat(f.node(1, iso, true), "10.0.0.1:1").torrents.size() == 1);
}

TEST_CASE("heartbeats: nodes learn of each other, of plain clients, and of the swarm") {
  Fixture f;
  f.put("debian.iso", {});
  f.server.take_notices();
  auto r = f.beat(f.node(1, iso, true), "10.0.0.1:40000");
  CHECK(r.sequence == 1);
  CHECK(r.interval_ms == 1000);
  CHECK(r.your_address == IpAddress::from("10.0.0.1"));
  REQUIRE(r.torrents.size() == 1);
  CHECK(r.torrents[0].peers.empty());
  CHECK_FALSE(r.torrents[0].want_have);
  CHECK(r.torrents[0].copies == 1);

  f.announce(iso, "10.0.0.3:1", 7000, "&left=5", "A2-1-36-0-abcdefghij");
  auto b = f.node(2, iso, false, 16384 * 5);
  r = f.beat(b, "10.0.0.2:40000");
  CHECK(texts(r.torrents[0].peers) == std::vector<std::string>{"10.0.0.1:6881", "10.0.0.3:7000"});
  CHECK(r.torrents[0].want_have);
  CHECK(r.torrents[0].seeders == 1);
  CHECK(r.torrents[0].leechers == 2);
  b = f.node(2, iso, false, 16384 * 5);
  b.torrents[0].have = Buffer{0xf8, 0};
  r = f.beat(b, "10.0.0.2:40000");
  CHECK_FALSE(r.torrents[0].want_have);
  CHECK(r.torrents[0].copies == 1.5);
  CHECK(texts(f.beat(f.node(1, iso, true), "10.0.0.1:40000").torrents[0].peers) ==
        std::vector<std::string>{"10.0.0.2:6881", "10.0.0.3:7000"});
  // A plain client finds the nodes too.
  CHECK(f.announce(iso, "10.0.0.3:1", 7000, "&left=5", "A2-1-36-0-abcdefghij").peers.size() == 2);

  const auto status = wire::status_from_json(f.text("/api/v1/status"));
  REQUIRE(status);
  REQUIRE(status->nodes.size() == 3);
  CHECK(status->nodes[0].name == "node1");
  CHECK(status->nodes[0].role == "seeder");
  CHECK(status->nodes[1].name == "aria2");
  CHECK(status->nodes[1].plain);
  CHECK(status->nodes[2].files[0].percent == 50);
  REQUIRE(status->files.size() == 1);
  CHECK(status->files[0].copies == 1.5);
  CHECK(status->files[0].seeders == 1);
  CHECK(status->files[0].leechers == 2);
  CHECK(wire::status_from_json(f.text("/api/v1/nodes"))->nodes.size() == 3);

  const auto notices = f.server.take_notices();
  CHECK(count<NodeJoined>(notices) == 3);
  CHECK(count<NodeShares>(notices) == 1);
  CHECK(count<NodeGets>(notices) == 2);

  auto leaving = f.node(2, iso, false);
  leaving.leaving = true;
  r = f.beat(leaving, "10.0.0.2:40000");
  CHECK(r.torrents[0].leechers == 1);
  CHECK(count<NodeLeft>(f.server.take_notices()) == 1);
}

TEST_CASE("a torrent that nobody put in the catalogue is shown by its hash") {
  Fixture f;
  auto b = f.node(1, iso, false);
  b.torrents[0].have = Buffer{0xff, 0x80};
  f.beat(b, "10.0.0.1:1");
  const auto status = f.server.status(f.now);
  REQUIRE(status.files.size() == 1);
  CHECK_FALSE(status.files[0].catalogued);
  CHECK(status.files[0].name == to_hex(iso));
  CHECK(status.files[0].pieces == 10);
  CHECK(status.files[0].copies == doctest::Approx(0.9));
  CHECK(status.files[0].magnet == "magnet:?xt=urn:btih:" + to_hex(iso));
  CHECK(status.files[0].leechers == 1);
}

TEST_CASE("nodes expire: from replies after 45 s, from the view after 60 s") {
  Fixture f;
  f.beat(f.node(1, iso, true), "10.0.0.1:1");
  CHECK(f.server.next_wake() == f.now + 1s);
  const auto pass = [&f](int seconds) {
    for (int i = 0; i < seconds; ++i) f.now += 1s, f.server.on_time(f.now);
  };
  pass(44);
  CHECK(f.server.status(f.now).files[0].seeders == 1);
  pass(1);
  CHECK(f.server.status(f.now).files[0].seeders == 0);
  CHECK(f.server.status(f.now).nodes.size() == 1);
  CHECK(f.announce(iso, "10.0.0.9:1", 1, "&left=1&event=stopped").peers.empty());
  pass(15);
  CHECK(f.server.status(f.now).nodes.empty());
  CHECK_FALSE(f.server.next_wake());
  const auto notices = f.server.take_notices();
  REQUIRE(count<NodeLeft>(notices) == 1);
  CHECK(std::get<NodeLeft>(notices.back()).silent);
}

TEST_CASE("a node that moves is found at its new place only") {
  Fixture f;
  f.beat(f.node(1, iso, true), "10.0.0.1:1");
  f.beat(f.node(1, iso, true), "10.0.0.77:1");
  const auto r = f.announce(iso, "10.0.0.9:1", 1);
  REQUIRE(r.peers.size() == 1);
  CHECK(r.peers[0].endpoint.text() == "10.0.0.77:6881");
}

TEST_CASE("a node on the tracker's machine is reachable from elsewhere and from here") {
  Fixture f;
  const auto loopback = *Endpoint::from("127.0.0.1:6969");
  f.beat(f.node(1, iso, true), "127.0.0.1:40000", loopback);
  // From elsewhere: at the address by which the asker found the tracker.
  CHECK(texts(f.beat(f.node(2, iso, false), "192.168.1.9:1").torrents[0].peers) ==
        std::vector<std::string>{"192.168.1.1:6881"});
  CHECK(texts(f.announce(iso, "192.168.1.8:1", 1).peers) ==
        std::vector<std::string>{"192.168.1.1:6881", "192.168.1.9:6881"});
  // From here: as it came.
  auto r = f.beat(f.node(3, iso, false), "127.0.0.1:40001", loopback);
  CHECK(std::ranges::count(texts(r.torrents[0].peers), "127.0.0.1:6881") == 0);  // node3 itself has that place
  auto third = f.node(3, iso, false);
  third.port = 7001;
  r = f.beat(third, "127.0.0.1:40001", loopback);
  CHECK(std::ranges::count(texts(r.torrents[0].peers), "192.168.1.9:6881") == 1);
}

TEST_CASE("declared addresses count for a node that does not listen where the asker came in") {
  Fixture f;
  const auto loopback = *Endpoint::from("127.0.0.1:6969");
  auto b = f.node(1, iso, true);
  b.addresses = {*IpAddress::from("127.0.0.1"), *IpAddress::from("fd00::5"), *IpAddress::from("100.64.0.3")};
  f.beat(b, "127.0.0.1:40000", loopback);
  CHECK(f.announce(iso, "192.168.1.8:1", 1).peers[0].endpoint.text() == "100.64.0.3:6881");
  b.addresses.push_back(tracker.address);
  f.beat(b, "127.0.0.1:40000", loopback);
  CHECK(f.announce(iso, "192.168.1.8:1", 1).peers[0].endpoint.text() == "192.168.1.1:6881");
  // By the machine's own outer address it is on this machine as well.
  f.beat(b, "192.168.1.1:40000");
  CHECK(texts(f.announce(iso, "127.0.0.1:1", 1).peers) == std::vector<std::string>{"192.168.1.1:6881"});
}

TEST_CASE("malformed heartbeats are refused with the field's name") {
  Fixture f;
  for (const auto* body : {"", "x", "[]", "{}", "{\"node\":5}"}) {
    const auto r = f.call("POST", "/api/v1/announce", "10.0.0.1:1", body);
    CHECK(r.status == 400);
    CHECK(f.error_code(r) == "bad_message");
  }
  const auto r = f.call("POST", "/api/v1/announce", "10.0.0.1:1", std::string(1'000'000, '['));
  CHECK(r.status == 400);
  CHECK(f.server.status(f.now).nodes.empty());
}

TEST_CASE("a full tracker says so, and still serves whom it knows") {
  Fixture f(small(2, 3));
  f.announce(iso, "10.0.0.1:1", 1);
  f.announce(iso, "10.0.0.2:1", 1);
  f.announce(iso, "10.0.0.3:1", 1);
  CHECK(f.announce(hash_of({.pieces = 2}), "10.0.0.4:1", 1).failure == "this tracker is full, try again later");
  CHECK(f.announce(iso, "10.0.0.2:1", 1).failure.empty());
  CHECK(f.beat(f.node(4, iso, false), "10.0.0.4:1").torrents[0].peers.size() == 3);
}

TEST_CASE("many nodes are asked to beat more slowly") {
  Fixture f;
  wire::BeatReply r;
  for (int i = 0; i < 3000; ++i) {
    auto b = f.node(1, iso, false);
    b.torrents.clear();
    Buffer id(8);
    store_u64(id.data(), static_cast<std::uint64_t>(i));
    b.node = to_hex(id);
    r = f.beat(b, "10.0.0.1:1");
  }
  CHECK(r.interval_ms == 2999);
}

TEST_CASE("names from the network cannot break the JSON or the page") {
  Fixture f;
  f.put("%22%3E%3Cscript%3E%5C", {});
  const auto status = wire::status_from_json(f.text("/api/v1/status"));
  REQUIRE(status);
  CHECK(status->files[0].name == "\"><script>\\");
  CHECK(f.get("/t/%22%3E%3Cscript%3E%5C.torrent").headers.find("content-disposition") ==
        "attachment; filename*=UTF-8''%22%3E%3Cscript%3E%5C.torrent");
  CHECK(f.get("/").headers.find("x-content-type-options") == "nosniff");
}

TEST_CASE("any request at all is answered") {
  Fixture f(small(50, 200));
  Random random(9);
  const std::vector<std::string> targets = {
      "/announce?info_hash=abcdefghijklmnopqrst&peer_id=-TR3000-abcdefghijkl&port=6881&left=0&event=started",
      "/scrape?info_hash=abcdefghijklmnopqrst",
      "/api/v1/files/debian.iso?replace=1",
      "/t/debian.iso.torrent",
      "/api/v1/status",
      "/"};
  const std::vector<std::string> methods = {"GET", "GET", "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"};
  const std::vector<std::string> bodies = {std::string(as_text(torrent_of({}))), to_json(f.node(1, iso, false)), ""};
  for (int i = 0; i < 20'000; ++i) {
    auto target = targets[random.below(targets.size())];
    auto body = bodies[random.below(bodies.size())];
    for (auto n = random.below(4); n > 0; --n) {
      const auto at = random.below(target.size());
      if (random.below(2) == 0)
        target[at] = static_cast<char>(random.below(256));
      else
        target.erase(at, 1);
      if (target.empty()) target = "/";
      if (!body.empty() && random.below(2) == 0) body[random.below(body.size())] = static_cast<char>(random.below(256));
    }
    const auto r = f.call(methods[random.below(methods.size())], random.below(8) == 0 ? "/api/v1/announce" : target,
                          random.below(2) == 0 ? "10.0.0.1:5" : "[2001:db8::1]:5", body);
    REQUIRE(r.status >= 200);
    REQUIRE(r.status < 600);
    if (i % 50 == 0) f.now += 1s, f.server.on_time(f.now), f.server.take_saves(), f.server.take_notices();
  }
  CHECK(wire::status_from_json(f.text("/api/v1/status")));
}
