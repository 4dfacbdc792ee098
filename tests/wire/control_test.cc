#include "wire/control.hh"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/random.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

InfoHash hash_of(std::uint8_t n) {
  InfoHash h;
  h.bytes.fill(n);
  return h;
}

Beat full_beat() {
  Beat b;
  b.node = "0123456789abcdef";
  b.name = "laptop \"é\" \\ \n";
  b.peer_id = hash_of(7);
  b.port = 6881;
  b.addresses = {*IpAddress::from("192.168.1.5"), *IpAddress::from("fd00::5")};
  b.sequence = 9'007'199'254'740'991;
  b.leaving = true;
  b.seed_until_stopped = true;
  BeatTorrent t;
  t.info_hash = hash_of(0xab);
  t.event = "started";
  t.left = 8'000'000'000'000;
  t.bytes_down = 1;
  t.bytes_up = 2;
  t.rate_down = 1234.4;
  t.rate_up = 0.6;
  t.peers = 3;
  t.pieces = 12;
  t.have = Buffer{0xff, 0xf0};
  t.gained = {{0, 4}, {7, 1}};
  t.checks = {{0, 4, true, {}}, {9, 1, false, {*Endpoint::from("1.2.3.4:5"), *Endpoint::from("[::1]:6")}}};
  b.torrents = {t, {}};
  b.torrents[1].complete = true;
  b.torrents[1].info_hash = hash_of(1);
  return b;
}

std::string why(const std::string& json) {
  const auto r = beat_from_json(json);
  return r ? "fine" : r.error().message;
}

std::string beat_with(const std::string& torrent) {
  return R"({"node":"0123456789abcdef","name":"n","peer_id":"0000000000000000000000000000000000000000","port":1,)"
         R"("sequence":1,"torrents":[)" +
         torrent + "]}";
}

const std::string hash40(40, 'a');

}  // namespace

TEST_CASE("hello is read back") {
  const Hello h{"0.1.0", "nas", "http://nas:6969", true};
  CHECK(to_json(h) == R"({"version":"0.1.0","name":"nas","url":"http://nas:6969","auth":true,"v":1})");
  const auto back = hello_from_json(to_json(h));
  REQUIRE(back);
  CHECK(back->version == h.version);
  CHECK(back->name == h.name);
  CHECK(back->url == h.url);
  CHECK(back->auth);
  CHECK(hello_from_json(R"({"version":"1","name":"x","later":[1,{"a":null}]})")->url.empty());
  const auto bad = hello_from_json(R"({"version":"1"})");
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == "bad_message");
  CHECK(bad.error().exit == Exit::other);
  CHECK(bad.error().message.find("name: expected a string") != std::string::npos);
}

TEST_CASE("a beat is read back with every field") {
  const auto b = full_beat();
  const auto json = to_json(b);
  CHECK(json.find('\n') == std::string::npos);
  const auto r = beat_from_json(json);
  REQUIRE_MESSAGE(r, (r ? "" : r.error().message));
  CHECK(r->node == b.node);
  CHECK(r->name == b.name);
  CHECK(r->peer_id == b.peer_id);
  CHECK(r->port == b.port);
  CHECK(r->addresses == b.addresses);
  CHECK(r->sequence == b.sequence);
  CHECK(r->leaving);
  CHECK(r->seed_until_stopped);
  REQUIRE(r->torrents.size() == 2);
  const auto& t = r->torrents[0];
  CHECK(t.info_hash == hash_of(0xab));
  CHECK(t.event == "started");
  CHECK(t.left == 8'000'000'000'000);
  CHECK(t.bytes_down == 1);
  CHECK(t.bytes_up == 2);
  CHECK(t.rate_down == 1234);
  CHECK(t.rate_up == 1);
  CHECK(t.peers == 3);
  CHECK(t.pieces == 12);
  CHECK_FALSE(t.complete);
  CHECK(t.have == b.torrents[0].have);
  REQUIRE(t.gained.size() == 2);
  CHECK(t.gained[1].first == 7);
  CHECK(t.gained[1].count == 1);
  REQUIRE(t.checks.size() == 2);
  CHECK(t.checks[0].count == 4);
  CHECK(t.checks[0].ok);
  CHECK_FALSE(t.checks[1].ok);
  CHECK(t.checks[1].from == b.torrents[0].checks[1].from);
  CHECK(r->torrents[1].complete);
  CHECK_FALSE(r->torrents[1].have);
  CHECK(json.find(R"("gained":[[0,4],[7,1]])") != std::string::npos);
  CHECK(json.find(R"("have":"//A=")") != std::string::npos);
  CHECK(json.find(R"("left":8000000000000)") != std::string::npos);
}

TEST_CASE("a beat reply is read back") {
  BeatReply r;
  r.sequence = 5;
  r.interval_ms = 2000;
  r.your_address = IpAddress::from("100.64.0.9");
  r.torrents = {{hash_of(2), {*Endpoint::from("1.2.3.4:5")}, true, 3, 4, 1.999}};
  const auto back = beat_reply_from_json(to_json(r));
  REQUIRE(back);
  CHECK(back->sequence == 5);
  CHECK(back->interval_ms == 2000);
  CHECK(back->your_address == r.your_address);
  REQUIRE(back->torrents.size() == 1);
  CHECK(back->torrents[0].peers == r.torrents[0].peers);
  CHECK(back->torrents[0].want_have);
  CHECK(back->torrents[0].seeders == 3);
  CHECK(back->torrents[0].leechers == 4);
  CHECK_FALSE(back->new_node);
  r.new_node = true;
  CHECK(beat_reply_from_json(to_json(r))->new_node);
  CHECK(back->torrents[0].copies == 1.99);  // not quite two copies are not two
  CHECK(beat_reply_from_json(R"({"sequence":1})")->interval_ms == 1000);
}

TEST_CASE("the status has exactly the shape that people script against") {
  Status s;
  s.tracker = {"0.1.0", "nas", "http://nas:6969", false};
  s.nodes = {{"0123456789abcdef",
              "pi",
              "leecher",
              "100.64.0.9:6881",
              {{hash_of(0x3f), "debian.iso", 32.3, 213'000'000, 10'171'187.2, 1'153'433.6, 2}},
              0,
              false},
             {"1.2.3.4:5", "aria2", "seeder", "1.2.3.4:5", {}, 61.25, true}};
  s.files = {{hash_of(0x3f), "debian.iso", 661'651'456, 1262, 524'288, 1.32, 1, 1, "magnet:?x",
              "http://nas:6969/t/debian.iso.torrent", true},
             {hash_of(0x40), "40", 0, 0, 0, 0, 0, 0, "", "", false}};
  const auto json = to_json(s);
  CHECK(json ==
        R"({"v":1,"tracker":{"version":"0.1.0","name":"nas","url":"http://nas:6969","auth":false},)"
        R"("nodes":[{"id":"0123456789abcdef","name":"pi","role":"leecher","addr":"100.64.0.9:6881",)"
        R"("files":[{"infohash":"3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f","name":"debian.iso","percent":32.3,)"
        R"("bytes_done":213000000,"rate_down":10171187,"rate_up":1153434,"peers":2}],"seen":0},)"
        R"({"id":"1.2.3.4:5","name":"aria2","role":"seeder","addr":"1.2.3.4:5","files":[],"seen":61.25,"plain":true}],)"
        R"("files":[{"infohash":"3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f","name":"debian.iso","bytes":661651456,)"
        R"("pieces":1262,"piece_bytes":524288,"copies":1.32,"seeders":1,"leechers":1,"magnet":"magnet:?x",)"
        R"("torrent_url":"http://nas:6969/t/debian.iso.torrent"},)"
        R"({"infohash":"4040404040404040404040404040404040404040","name":"40","bytes":0,"pieces":0,"piece_bytes":0,)"
        R"("copies":0,"seeders":0,"leechers":0,"magnet":"","torrent_url":"","catalogued":false}]})");
  const auto back = status_from_json(json);
  REQUIRE(back);
  CHECK(to_json(*back) == json);
  CHECK(back->nodes[1].plain);
  CHECK_FALSE(back->files[1].catalogued);

  const auto files = files_from_json(to_json(s.files));
  REQUIRE(files);
  REQUIRE(files->size() == 2);
  CHECK((*files)[0].bytes == 661'651'456);
  CHECK((*files)[0].catalogued);
  CHECK_FALSE(files_from_json("[]"));
}

TEST_CASE("numbers: integers exactly, hundredths cut, nothing that is not a number") {
  Status s;
  const auto percent = [&s](double value) {
    s.nodes = {{"i", "n", "leecher", "", {{hash_of(1), "f", value, 0, 0, 0, 0}}, 0, false}};
    const auto json = to_json(s);
    const auto at = json.find("\"percent\":") + 10;
    return json.substr(at, json.find(',', at) - at);
  };
  CHECK(percent(99.999) == "99.99");
  CHECK(percent(100) == "100");
  CHECK(percent(0.29) == "0.29");
  CHECK(percent(62.4) == "62.4");
  CHECK(percent(0) == "0");
  CHECK(percent(-1) == "0");
  CHECK(percent(std::numeric_limits<double>::quiet_NaN()) == "0");
  CHECK(percent(std::numeric_limits<double>::infinity()) == "90000000000000000");
  s.files = {{hash_of(1), "f", 18'446'744'073'709'551'615u, 0, 0, 0, 0, 0, "", "", true}};
  CHECK(to_json(s).find("\"bytes\":18446744073709551615") != std::string::npos);
  CHECK(status_from_json(to_json(s))->files[0].bytes == 18'446'744'073'709'551'615u);
}

TEST_CASE("integers beyond 2^53 come near, beyond the range they stay at its end") {
  const auto left = [](const std::string& n) {
    const auto r = beat_from_json(beat_with(R"({"infohash":")" + hash40 + R"(","left":)" + n + "}"));
    return r ? std::to_string(r->torrents[0].left) : r.error().message;
  };
  CHECK(left("9007199254740993") == "9007199254740992");
  CHECK(left("18446744073709551615") == "18446744073709551615");
  CHECK(left("1e300") == "18446744073709551615");
  CHECK(left("1e999") == "18446744073709551615");
  CHECK(left("12.9") == "12");
  CHECK(left("-1").find("torrents[0].left: expected an integer from 0") != std::string::npos);
  CHECK(left("\"5\"").find("torrents[0].left: expected an integer from 0") != std::string::npos);
  CHECK(left("null") == "0");
}

TEST_CASE("the first wrong field is named, with its place") {
  const auto torrent = [](const std::string& rest) {
    return why(beat_with(R"({"infohash":")" + hash40 + "\"," + rest + "}"));
  };
  CHECK(torrent(R"("pieces":3)") == "fine");
  CHECK(torrent(R"("pieces":4294967296)").find("torrents[0].pieces: expected a smaller integer") != std::string::npos);
  CHECK(torrent(R"("complete":1)").find("torrents[0].complete: expected true or false") != std::string::npos);
  CHECK(torrent(R"("have":"a")").find("torrents[0].have: expected base64") != std::string::npos);
  CHECK(torrent(R"("have":7)").find("torrents[0].have: expected a string") != std::string::npos);
  CHECK(torrent(R"("gained":7)").find("torrents[0].gained: expected an array") != std::string::npos);
  CHECK(torrent(R"("gained":[[1,1],[2]])").find("torrents[0].gained[1]: expected [first, count]") != std::string::npos);
  CHECK(torrent(R"("gained":[[1,0]])").find("torrents[0].gained[0]: expected a run") != std::string::npos);
  CHECK(torrent(R"("gained":[[4294967295,1]])").find("expected a run") != std::string::npos);
  CHECK(torrent(R"("gained":[[1,-1]])").find("torrents[0].gained[0][1]: expected an integer") != std::string::npos);
  CHECK(torrent(R"("checks":[{"first":4294967295,"count":4294967295}])").find("expected a run") != std::string::npos);
  CHECK(torrent(R"("checks":[{"first":0,"from":["nas:1"]}])").find("checks[0].from[0]: expected \"address:port\"") !=
        std::string::npos);
  CHECK(torrent(R"("rate_up":"fast")").find("rate_up: expected a finite number") != std::string::npos);
  CHECK(torrent(R"("rate_up":1e999)").find("rate_up: expected a finite number") != std::string::npos);
  CHECK(torrent(R"("event":5)").find("event: expected a string") != std::string::npos);
  CHECK(torrent(R"("event":"from the future")") == "fine");
  CHECK(why(beat_with("{}")).find("torrents[0].infohash: expected") != std::string::npos);
  CHECK(why(beat_with("3")).find("torrents[0].infohash: expected") != std::string::npos);
  CHECK(why(beat_with("{\"infohash\":\"abc\"}")).find("torrents[0].infohash: expected 40 hex digits") !=
        std::string::npos);
  CHECK(why("{}").find("node: expected a string") != std::string::npos);
  CHECK(why("[]").find("message: expected an object") != std::string::npos);
  CHECK(why(R"({"node":"xyz"})").find("node: expected 16 hex digits") != std::string::npos);
  CHECK(
      why(R"({"node":"0123456789abcdef","name":")" + std::string(256, 'n') + "\"}").find("name: expected a shorter") !=
      std::string::npos);
  CHECK_FALSE(beat_reply_from_json(R"({"sequence":1,"your_address":"nas"})"));
}

TEST_CASE("what is not one JSON value is refused") {
  for (const auto* bad : {"", " ", "{", "nonsense", "{\"a\":}", "{} {}", "{}x", "<html>", "\xff\xfe"}) {
    CAPTURE(bad);
    CHECK_FALSE(hello_from_json(bad));
    CHECK_FALSE(status_from_json(bad));
    CHECK_FALSE(api_error_from_json(bad));
  }
  CHECK(hello_from_json(" {\"version\":\"1\",\"name\":\"n\"}\r\n"));
  CHECK_FALSE(hello_from_json(std::string_view("{\"version\":\"1\",\"name\":\"n\"}\0", 27)));
}

TEST_CASE("depth and size are capped before anything is parsed") {
  const auto nested = [](int n) {
    return R"({"version":"1","name":"n","x":)" + std::string(static_cast<std::size_t>(n), '[') +
           std::string(static_cast<std::size_t>(n), ']') + "}";
  };
  CHECK(hello_from_json(nested(31)));
  const auto deep = hello_from_json(nested(32));
  REQUIRE_FALSE(deep);
  CHECK(deep.error().message.find("levels deep") != std::string::npos);
  CHECK_FALSE(status_from_json(std::string(1'000'000, '[')));
  CHECK_FALSE(status_from_json(std::string(3'999'999, '{')));
  CHECK(hello_from_json(std::string(1'100'000, '[')).error().message.find("bytes") != std::string::npos);
  CHECK_FALSE(status_from_json(std::string(5'000'000, ' ')));
  // Brackets within strings do not count.
  CHECK(hello_from_json(
      R"({"version":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\","name":"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{"})"));
}

TEST_CASE("lists are bounded") {
  std::string checks = "[", peers = "[";
  for (int i = 0; i < 2500; ++i) {
    checks += (i ? "," : "") + std::string(R"({"first":)") + std::to_string(i) + "}";
    peers += (i ? ",\"1.2.3.4:" : "\"1.2.3.4:") + std::to_string(i) + "\"";
  }
  const auto b = beat_from_json(beat_with(R"({"infohash":")" + hash40 + R"(","checks":)" + checks + "]}"));
  REQUIRE(b);
  CHECK(b->torrents[0].checks.size() == 200);
  CHECK(b->torrents[0].checks[7].count == 1);
  const auto r =
      beat_reply_from_json(R"({"sequence":1,"torrents":[{"infohash":")" + hash40 + R"(","peers":)" + peers + "]}]}");
  REQUIRE(r);
  CHECK(r->torrents[0].peers.size() == 2000);
}

TEST_CASE("errors of the API, and names that are not UTF-8") {
  const ApiError e{"not_found", "'x' is not shared here", "closest: y"};
  CHECK(to_json(e) == R"({"error":{"code":"not_found","message":"'x' is not shared here","hint":"closest: y"}})");
  const auto back = api_error_from_json(to_json(e));
  REQUIRE(back);
  CHECK(back->code == e.code);
  CHECK(back->message == e.message);
  CHECK(back->hint == e.hint);
  CHECK_FALSE(api_error_from_json("{\"error\":\"no\"}"));
  const auto odd = hello_from_json(to_json(Hello{"1",
                                                 "a\xff"
                                                 "b",
                                                 "", false}));
  REQUIRE(odd);
  CHECK(odd->name ==
        "a\xef\xbf\xbd"
        "b");
}

TEST_CASE("mutated messages never crash") {
  Random random(13);
  Status s;
  s.nodes = {{"id", "n", "seeder", "1.2.3.4:5", {{hash_of(1), "f", 1, 2, 3, 4, 5}}, 1, true}};
  s.files = {{hash_of(1), "f", 2, 3, 4, 5, 6, 7, "m", "u", false}};
  BeatReply reply;
  reply.torrents = {{hash_of(2), {*Endpoint::from("1.2.3.4:5")}, true, 3, 4, 1.5}};
  const std::vector<std::string> seeds = {to_json(full_beat()), to_json(s), to_json(reply),
                                          to_json(Hello{"1", "n", "u", true}), to_json(ApiError{"c", "m", "h"})};
  const std::vector<std::string> spice = {
      "null", "-1", "1e999", "[]", "{}", "\"", "\\u0000", "true", "18446744073709551616", ",", "[[", "0"};
  std::size_t good = 0;
  for (int run = 0; run < 30'000; ++run) {
    auto text = seeds[random.below(seeds.size())];
    for (auto n = random.below(4); n > 0 && !text.empty(); --n) {
      const auto at = random.below(text.size());
      switch (random.below(4)) {
        case 0:
          text.erase(at, 1 + random.below(10));
          break;
        case 1:
          text[at] = static_cast<char>(random.below(256));
          break;
        case 2:
          text.insert(at, spice[random.below(spice.size())]);
          break;
        default: {
          const auto colon = text.find(':', at);
          if (colon != text.npos) text.replace(colon + 1, 1 + random.below(6), spice[random.below(spice.size())]);
        }
      }
    }
    if (const auto b = beat_from_json(text)) {
      REQUIRE(beat_from_json(to_json(*b)).has_value());
      ++good;
    }
    if (const auto r = beat_reply_from_json(text)) good += beat_reply_from_json(to_json(*r)) ? 1 : 0;
    if (const auto r = status_from_json(text)) good += status_from_json(to_json(*r)) ? 1 : 0;
    files_from_json(text);
    hello_from_json(text);
    api_error_from_json(text);
  }
  CHECK(good > 3'000);
}

TEST_CASE("a delta comes back as it went") {
  StatusDelta d;
  StatusNode node;
  node.id = "0123456789abcdef";
  node.name = "pi \u202e";
  node.role = "leecher";
  node.address = "1.2.3.4:5";
  node.seen_s = 3.25;
  node.plain = true;
  node.files.push_back({hash_of(1), "a.iso", 12.5, 100, 7, 8, 9});
  d.nodes = {node};
  StatusFile file;
  file.info_hash = hash_of(1);
  file.name = "a.iso";
  file.bytes = 1ull << 60;
  file.copies = 1.25;
  d.files = {file};
  d.nodes_gone = {"x", "\"y\n"};
  d.files_gone = {{hash_of(2), "b.iso"}};
  StatusNotice joined{"joined", "pi", "1.2.3.4:5", "", "leecher", true, false, {}, 0};
  StatusNotice piece{"piece", "pi", "1.2.3.4:5", "a.iso", "", false, false, CheckedPieces{4, 2, false, {}}, 0};
  piece.pieces->from = {*Endpoint::from("6.6.6.6:6")};
  StatusNotice left{"left", "pi", "1.2.3.4:5", "", "", false, true, {}, 0};
  StatusNotice added{"file_added", "", "", "a.iso", "", false, false, {}, 1ull << 60};
  d.notices = {joined, piece, left, added};

  const auto json = to_json(d);
  CHECK(json.find('\n') == std::string::npos);  // it stands in one line of an event stream
  const auto back = delta_from_json(json);
  REQUIRE(back);
  CHECK(to_json(*back) == json);
  REQUIRE(back->nodes.size() == 1);
  CHECK(back->nodes[0].name == node.name);
  CHECK(back->nodes[0].seen_s == 3.25);
  CHECK(back->nodes[0].files[0].peers == 9);
  CHECK(back->files[0].bytes == file.bytes);
  CHECK(back->nodes_gone == d.nodes_gone);
  CHECK(back->files_gone[0].info_hash == hash_of(2));
  REQUIRE(back->notices.size() == 4);
  CHECK(back->notices[0].plain);
  CHECK(back->notices[1].pieces->count == 2);
  CHECK(back->notices[1].pieces->from == piece.pieces->from);
  CHECK(back->notices[2].silent);
  CHECK_FALSE(back->notices[2].pieces);
  CHECK(back->notices[3].bytes == added.bytes);

  CHECK(delta_from_json("{}")->nodes.empty());
  CHECK_FALSE(delta_from_json("[]"));
  CHECK_FALSE(delta_from_json(R"({"files_gone":[{"infohash":"00","name":"a"}]})"));
  CHECK_FALSE(delta_from_json(R"({"files_gone":[{"infohash":"0000000000000000000000000000000000000000"}]})"));
  CHECK_FALSE(delta_from_json(R"({"nodes_gone":[7]})"));
  CHECK_FALSE(delta_from_json(R"({"notices":[{"node":"pi"}]})"));
  CHECK_FALSE(delta_from_json(R"({"notices":[{"event":"piece","first":4294967295,"count":4294967295}]})"));
}
