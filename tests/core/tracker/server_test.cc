#include "core/tracker/server.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/random.hh"
#include "base/sha256.hh"
#include "base/text.hh"
#include "core/tracker/torrents.hh"
#include "wire/announce.hh"
#include "wire/udp_tracker.hh"

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
  explicit Fixture(TrackerOptions o = options()) : server(std::move(o), {7}) {}

  wire::HttpResponse call(std::string method, std::string target, const char* from = "192.168.1.9:40000",
                          std::string_view body = {}, Endpoint local = tracker) {
    wire::HttpRequest r;
    r.method = std::move(method);
    r.target = std::move(target);
    r.headers.set("Host", host);
    for (const auto& [name, value] : headers) r.headers.set(name, value);
    r.body = to_buffer(body);
    auto reply = server.on_request(r, *Endpoint::from(from), local, now);
    follower = reply.follower;
    if (reply.change && saves_at_once) server.on_saved(true);
    change = std::move(reply.change);
    if (change) saves.push_back(change->save);
    return std::move(reply.response);
  }
  std::vector<TrackerSave> take_saves() { return std::exchange(saves, {}); }
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
  std::vector<std::pair<std::string, std::string>> headers;  ///< besides Host
  std::uint64_t sequence = 0;
  bool saves_at_once = true;  ///< as a driver with a fast disk
  std::optional<TrackerChange> change;
  std::optional<FollowerId> follower;
  std::vector<TrackerSave> saves;
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
       {"/x", "/api/v1/", "/api/v1/files/", "/t/", "/t/.torrent", "/t/x", "/api/v1/files/%zz", "/metrics/", "*", ""}) {
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
  auto saves = f.take_saves();
  REQUIRE(saves.size() == 1);
  CHECK(std::get<KeepFile>(saves[0]).name == "debian.iso");
  CHECK(std::get<KeepFile>(saves[0]).torrent == torrent_of({}));
  auto notices = f.server.take_notices();
  REQUIRE(notices.size() == 1);
  CHECK(std::get<FileAdded>(notices[0]).pieces == 10);

  CHECK(f.put("debian.iso", {}).status == 200);
  CHECK(f.take_saves().empty());
  CHECK(f.server.take_notices().empty());

  r = f.put("debian.iso", {.pieces = 20});
  CHECK(r.status == 409);
  CHECK(f.error_code(r) == "exists");
  CHECK(f.put("debian.iso", {.pieces = 20}, "?replace=0").status == 409);
  CHECK(f.put("debian.iso", {.pieces = 20}, "?x=y&replace=1").status == 200);
  CHECK(f.take_saves().size() == 1);
  CHECK(count<FileAdded>(f.server.take_notices()) == 1);

  files = wire::files_from_json(f.text("/api/v1/files"));
  REQUIRE(files);
  REQUIRE(files->size() == 1);
  CHECK((*files)[0].pieces == 20);
  CHECK((*files)[0].bytes == 20 * 16384);

  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 204);
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 404);
  saves = f.take_saves();
  REQUIRE(saves.size() == 1);
  CHECK(std::get<DropFile>(saves[0]).name == "debian.iso");
  CHECK(count<FileRemoved>(f.server.take_notices()) == 1);
  CHECK(f.get("/api/v1/files/debian.iso").status == 404);
}

TEST_CASE("names in URLs are decoded, and those that cannot be names are refused") {
  Fixture f;
  CHECK(f.put("a%20b%C3%A9", {}).status == 201);
  CHECK(std::get<KeepFile>(f.take_saves()[0]).name == "a b\xc3\xa9");
  CHECK(f.get("/t/a%20b%C3%A9.torrent").status == 200);
  for (const auto* bad : {"..", ".", "a%2Fb", "..%2F..%2Fetc%2Fpasswd", "%00", "a%0A", "%FF"}) {
    CAPTURE(bad);
    CHECK(f.put(bad, {}).status == 400);
    CHECK(f.error_code(f.put(bad, {})) == "bad_name");
  }
  CHECK(f.error_code(f.call("PUT", "/api/v1/files/x", "1.2.3.4:5", "not bencode")) == "not_a_torrent");
  CHECK(f.error_code(f.call("PUT", "/api/v1/files/x", "1.2.3.4:5", "")) == "not_a_torrent");
  CHECK(f.take_saves().empty());
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
  CHECK(f.take_saves().empty());
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
  CHECK(r.new_node);
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
  CHECK_FALSE(r.new_node);
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
  CHECK(f.announce(hash_of({.pieces = 2}), "10.0.0.4:1", 1).failure ==
        "this tracker has no room for more, try again later");
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

TEST_CASE("a change is seen once it is saved, and one that could not be saved never was") {
  Fixture f;
  f.put("debian.iso", {});
  f.server.take_notices();
  f.saves_at_once = false;

  CHECK(f.put("ubuntu.iso", {.pieces = 5}).status == 201);
  REQUIRE(f.change);
  CHECK(std::get<KeepFile>(f.change->save).name == "ubuntu.iso");
  CHECK(std::get<DropFile>(f.change->undo).name == "ubuntu.iso");
  CHECK(f.get("/t/ubuntu.iso.torrent").status == 404);
  CHECK(f.server.take_notices().empty());
  // Another change meanwhile would not know what it changes.
  CHECK(f.put("third", {.pieces = 6}).status == 503);
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 503);
  CHECK_FALSE(f.change);
  f.server.on_saved(false);
  CHECK(f.get("/t/ubuntu.iso.torrent").status == 404);
  CHECK(f.server.take_notices().empty());
  CHECK(f.server.status(f.now).files.size() == 1);

  // What is replaced stays until then, and so does what is deleted.
  CHECK(f.put("debian.iso", {.pieces = 7}, "?replace=1").status == 200);
  CHECK(std::get<KeepFile>(f.change->undo).torrent == torrent_of({}));
  CHECK(f.server.status(f.now).files[0].pieces == 10);
  f.server.on_saved(false);
  CHECK(f.server.status(f.now).files[0].pieces == 10);
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 204);
  CHECK(std::get<KeepFile>(f.change->undo).torrent == torrent_of({}));
  CHECK(f.get("/t/debian.iso.torrent").status == 200);
  f.server.on_saved(false);
  CHECK(f.get("/t/debian.iso.torrent").status == 200);
  CHECK(f.put("debian.iso", {}).status == 200);  // unchanged: nothing to save
  CHECK_FALSE(f.change);

  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 204);
  f.server.on_saved(true);
  CHECK(f.get("/t/debian.iso.torrent").status == 404);
  CHECK(count<FileRemoved>(f.server.take_notices()) == 1);
  f.server.on_saved(true);  // nothing waits
}

TEST_CASE("a file that is being shared may be deleted: its swarm goes on, by its hash") {
  Fixture f;
  f.put("debian.iso", {});
  f.beat(f.node(1, iso, true), "10.0.0.1:1");
  f.beat(f.node(2, iso, false), "10.0.0.2:1");
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 204);
  const auto reply = f.beat(f.node(2, iso, false), "10.0.0.2:1");
  CHECK(reply.torrents[0].peers.size() == 1);
  const auto status = f.server.status(f.now);
  CHECK(status.nodes.size() == 2);
  REQUIRE(status.files.size() == 1);
  CHECK_FALSE(status.files[0].catalogued);
  CHECK(status.files[0].name == to_hex(iso));
  CHECK(status.files[0].seeders == 1);
  // And may be put again.
  CHECK(f.put("debian.iso", {}).status == 201);
  CHECK(f.server.status(f.now).files[0].name == "debian.iso");
}

TEST_CASE("under two names, the swarm is kept until the last one goes") {
  Fixture f(small(1, 10));
  f.put("a", {});
  f.put("b", {});
  f.call("DELETE", "/api/v1/files/a");
  CHECK_FALSE(f.announce(hash_of({.pieces = 2}), "10.0.0.1:1", 1).failure.empty());  // the one place is taken
  f.call("DELETE", "/api/v1/files/b");
  CHECK(f.announce(hash_of({.pieces = 2}), "10.0.0.1:1", 1).failure.empty());
}

TEST_CASE("nodes alone") {
  Fixture f;
  f.put("debian.iso", {});
  f.beat(f.node(1, iso, true), "10.0.0.1:1");
  f.announce(iso, "10.0.0.2:1", 7000);
  const auto nodes = wire::status_from_json(f.text("/api/v1/nodes"));
  REQUIRE(nodes);
  CHECK(nodes->files.empty());
  REQUIRE(nodes->nodes.size() == 2);
  CHECK(nodes->nodes[0].role == "seeder");
  CHECK(nodes->nodes[0].address == "10.0.0.1:6881");
  CHECK(nodes->nodes[1].plain);
  CHECK(nodes->tracker.name == "nas");
}

TEST_CASE("--catalogued-only: announces and heartbeats count for the catalogue only, and at once for what is put") {
  auto o = options();
  o.catalogued_only = true;
  Fixture f(o);
  CHECK_FALSE(f.announce(iso, "10.0.0.1:1", 1).failure.empty());
  CHECK(f.beat(f.node(1, iso, true), "10.0.0.1:1").torrents.empty());
  CHECK(f.server.status(f.now).files.empty());
  f.put("debian.iso", {});
  CHECK(f.announce(iso, "10.0.0.1:1", 1).failure.empty());
  CHECK(f.beat(f.node(1, iso, true), "10.0.0.1:1").torrents.size() == 1);
  f.call("DELETE", "/api/v1/files/debian.iso");
  CHECK_FALSE(f.announce(iso, "10.0.0.1:1", 1).failure.empty());
}

TEST_CASE("--url with a path: links lie below it, whatever the request said") {
  auto o = options();
  o.url = "https://swarm.example/tracker//";
  Fixture f(o);
  f.host = "swarm.example";
  CHECK(f.put("debian.iso", {}).status == 201);
  const auto files = wire::files_from_json(f.text("/api/v1/files"));
  REQUIRE(files);
  CHECK((*files)[0].torrent_url == "https://swarm.example/tracker/t/debian.iso.torrent");
  CHECK((*files)[0].magnet.ends_with("&tr=https%3A%2F%2Fswarm.example%2Ftracker%2Fannounce"));
  CHECK(wire::parse_metainfo(f.get("/t/debian.iso.torrent").body, "x")->trackers[0][0] ==
        "https://swarm.example/tracker/announce");
  f.host = "other.example";
  CHECK(f.put("x", {.pieces = 3}).status == 403);  // not by a name that is ours
}

TEST_CASE("with a token, changes need it; hello says so") {
  auto o = options();
  o.token = "0123456789abcdef";
  Fixture f(o);
  CHECK(wire::hello_from_json(f.text("/api/v1/hello"))->auth);
  const auto refused = f.put("debian.iso", {});
  CHECK(refused.status == 401);
  CHECK(refused.headers.find("www-authenticate") == "Bearer");
  CHECK(f.error_code(refused) == "token_needed");
  CHECK_FALSE(f.change);
  f.headers = {{"Authorization", "Bearer 0123456789abcdeF"}};
  CHECK(f.error_code(f.put("debian.iso", {})) == "token_wrong");
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 401);  // not even whether it is there
  f.headers = {{"Authorization", "Bearer 0123456789abcdef"}};
  CHECK(f.put("debian.iso", {}).status == 201);
  f.headers.clear();
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 401);
  CHECK(f.get("/api/v1/files/debian.iso").status == 200);
  CHECK(f.beat(f.node(1, iso, true), "10.0.0.1:1").torrents.size() == 1);
  f.headers = {{"Authorization", "Bearer 0123456789abcdef"}};
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 204);
}

TEST_CASE("a page that a browser was led to by DNS may not write, nor may one of another origin") {
  Fixture f;
  f.host = "rebound.evil.example:6969";
  CHECK(f.error_code(f.put("debian.iso", {})) == "bad_host");
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso").status == 403);
  CHECK(f.announce(iso, "10.0.0.1:1", 1).failure.empty());  // clients call it as they like
  f.host = "nas:6969";
  f.headers = {{"Origin", "http://evil.example"}};
  CHECK(f.error_code(f.put("debian.iso", {})) == "other_origin");
  CHECK(f.call("POST", "/api/v1/announce", "10.0.0.1:1", to_json(f.node(1, iso, true))).status == 403);
  for (const auto* page : {"/", "/api/v1/status", "/api/v1/events", "/metrics"}) {
    CHECK_FALSE(f.get(page).headers.find("access-control-allow-origin"));
  }
  CHECK(f.call("OPTIONS", "/api/v1/files/debian.iso").status == 403);
}

TEST_CASE("the page for browsers: with a policy that lets nothing in but itself") {
  Fixture f;
  f.headers = {{"Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}};
  const auto page = f.get("/");
  CHECK(page.status == 200);
  CHECK(page.headers.find("content-type") == "text/html; charset=utf-8");
  CHECK(page.headers.find("x-content-type-options") == "nosniff");
  CHECK(page.headers.find("referrer-policy") == "no-referrer");
  const auto policy = std::string(page.headers.find("content-security-policy").value_or(""));
  CHECK(policy.starts_with("default-src 'none'; "));
  CHECK(policy.find("unsafe") == std::string::npos);
  const std::string html(as_text(page.body));
  // The hashes are those of what stands in the page, to the byte.
  for (const std::string tag : {"script", "style"}) {
    CAPTURE(tag);
    const auto begin = html.find("<" + tag + ">") + tag.size() + 2;
    const auto end = html.find("</" + tag + ">");
    REQUIRE(end != std::string::npos);
    const auto digest = sha256(as_bytes(html.substr(begin, end - begin)));
    CHECK(policy.find(tag + "-src 'sha256-" + to_base64(digest.view()) + "'") != std::string::npos);
  }
  for (const auto* hole : {"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "src=", "@import"}) {
    CAPTURE(hole);
    CHECK(html.find(hole) == std::string::npos);
  }
  CHECK(f.call("HEAD", "/").headers.find("content-type") == "text/html; charset=utf-8");
  auto o = options();
  o.dashboard = false;
  Fixture off(o);
  off.headers = f.headers;
  CHECK(off.get("/").headers.find("content-type") == "text/plain; charset=utf-8");
}

TEST_CASE("metrics count what happens, in a form that Prometheus reads") {
  Fixture f;
  f.put("debian.iso", {});
  auto seed = f.node(1, iso, true);
  seed.torrents[0].bytes_up = 5'000;  // before we knew it
  f.beat(seed, "10.0.0.1:1");
  seed.sequence = ++f.sequence;
  seed.torrents[0].bytes_up = 1'005'000;
  seed.torrents[0].bytes_down = 7;
  f.beat(seed, "10.0.0.1:1");
  seed.sequence = ++f.sequence;
  seed.torrents[0].bytes_up = 10;  // it began anew; a counter never goes back
  f.beat(seed, "10.0.0.1:1");
  f.announce(iso, "10.0.0.2:1", 7000);
  f.get("/nothing");
  f.server.on_process({123'456, 3});
  const auto r = f.get("/metrics");
  CHECK(r.headers.find("content-type") == "text/plain; version=0.0.4; charset=utf-8");
  std::map<std::string, std::string> values, types;
  for (const auto line : split(as_text(r.body), '\n')) {
    if (line.empty()) continue;
    const auto words = split(line, ' ');
    if (line.starts_with("# TYPE ")) types[std::string(words.at(2))] = words.at(3);
    if (line.starts_with('#')) continue;
    REQUIRE(words.size() == 2);
    values[std::string(words[0])] = words[1];
    CHECK(types.contains(std::string(words[0].substr(0, words[0].find('{')))));
  }
  CHECK(values["swarm_tracker_nodes{kind=\"swarm\"}"] == "1");
  CHECK(values["swarm_tracker_nodes{kind=\"plain\"}"] == "1");
  CHECK(values["swarm_tracker_torrents"] == "1");
  CHECK(values["swarm_tracker_peers"] == "2");
  CHECK(values["swarm_tracker_catalogue_files"] == "1");
  CHECK(values["swarm_tracker_catalogue_bytes"] == std::to_string(torrent_of({}).size()));
  CHECK(values["swarm_tracker_announces_total{protocol=\"http\"}"] == "1");
  CHECK(values["swarm_tracker_announces_total{protocol=\"udp\"}"] == "0");
  CHECK(values["swarm_tracker_announces_total{protocol=\"heartbeat\"}"] == "3");
  CHECK(values["swarm_tracker_node_bytes_total{direction=\"up\"}"] == "1000000");
  CHECK(values["swarm_tracker_node_bytes_total{direction=\"down\"}"] == "7");
  CHECK(values["swarm_tracker_requests_total{status=\"201\"}"] == "1");
  CHECK(values["swarm_tracker_requests_total{status=\"404\"}"] == "1");
  CHECK(values["swarm_tracker_requests_total{status=\"200\"}"] == "4");
  CHECK(values["process_resident_memory_bytes"] == "123456");
  CHECK(values["swarm_tracker_connections"] == "3");
  CHECK(types["swarm_tracker_peers"] == "gauge");
  CHECK(types["swarm_tracker_announces_total"] == "counter");
  auto o = options();
  o.metrics = false;
  CHECK(Fixture(o).get("/metrics").status == 404);
}

TEST_CASE("over UDP the same directory, in the same view") {
  Fixture f;
  const auto from = *Endpoint::from("10.0.0.7:5000");
  const auto connected = f.server.on_datagram(encode(wire::UdpConnect{1}), from, tracker, f.now);
  REQUIRE(connected);
  wire::UdpAnnounce a;
  a.connection_id =
      std::get<wire::UdpConnected>(*wire::decode_udp_reply(*connected, wire::UdpFamily::v4)).connection_id;
  a.request.info_hash = iso;
  a.request.peer_id = *PeerId::from(as_bytes("-qB4600-abcdefghijkl"));
  a.request.port = 6881;
  a.request.left = 0;
  REQUIRE(f.server.on_datagram(encode(a), from, tracker, f.now));
  CHECK(texts(f.announce(iso, "10.0.0.2:1", 7000).peers) == std::vector<std::string>{"10.0.0.7:6881"});
  CHECK(f.server.status(f.now).nodes.size() == 2);
  CHECK(f.text("/metrics").find("announces_total{protocol=\"udp\"} 1") != std::string::npos);
  CHECK(f.server.next_wake());
  // Two servers with different secrets do not know each other's ids.
  TrackerServer other(options(), {8});
  CHECK_FALSE(other.on_datagram(encode(a), from, tracker, f.now));
}

TEST_CASE("events: a snapshot, then deltas for each follower, until he is gone") {
  Fixture f;
  const auto take = [&f] {
    f.server.take_notices();
    std::string all;
    for (const auto& [id, bytes] : f.server.take_events()) all += as_text(bytes);
    return all;
  };
  const auto r = f.get("/api/v1/events");
  CHECK(r.headers.find("content-type") == "text/event-stream");
  CHECK(r.headers.find("cache-control") == "no-store");
  REQUIRE(f.follower);
  const auto id = *f.follower;
  CHECK(take().find("event: snapshot\ndata: {\"v\":1,\"tracker\":") != std::string::npos);
  CHECK(f.server.next_wake());

  const auto tick = [&] {
    f.now += 1s;
    f.server.on_time(f.now);
    return take();
  };
  CHECK(tick().empty());
  f.put("debian.iso", {});
  take();
  const auto delta = tick();
  CHECK(delta.find("event: delta\n") != std::string::npos);
  CHECK(delta.find("\"event\":\"file_added\",\"name\":\"debian.iso\"") != std::string::npos);
  CHECK(delta.find("\"torrent_url\":\"http://nas:6969/t/debian.iso.torrent\"") != std::string::npos);
  CHECK(tick().empty());

  f.headers = {{"Last-Event-ID", delta.substr(4, delta.find('\n') - 4)}};
  f.get("/api/v1/events");
  REQUIRE(f.follower);
  CHECK(take().find("snapshot") == std::string::npos);
  f.server.on_follower_gone(*f.follower);
  f.server.on_follower_gone(id);
  f.headers.clear();
  f.beat(f.node(1, iso, true), "10.0.0.1:1");
  CHECK(tick().empty());
  CHECK(f.call("HEAD", "/api/v1/events").status == 405);
  CHECK_FALSE(f.follower);

  for (std::size_t i = 0; i < 64; ++i) CHECK(f.get("/api/v1/events").status == 200);
  const auto full = f.get("/api/v1/events");
  CHECK(full.status == 503);
  CHECK(full.headers.find("retry-after"));
  CHECK_FALSE(f.follower);
  CHECK(f.text("/metrics").find("swarm_tracker_followers 64\n") != std::string::npos);
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
      "/api/v1/events",
      "/metrics",
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
    if (i % 50 == 0) f.now += 1s, f.server.on_time(f.now), f.take_saves(), f.server.take_notices();
    f.server.take_events();
    if (f.follower) f.server.on_follower_gone(*f.follower);
  }
  CHECK(wire::status_from_json(f.text("/api/v1/status")));
}
