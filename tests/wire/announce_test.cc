#include "wire/announce.hh"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/random.hh"
#include "base/text.hh"
#include "wire/bencode.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

template <std::size_t N>
Digest<N> counted(std::uint8_t first) {
  Digest<N> d;
  for (auto& byte : d.bytes) byte = first++;
  return d;
}

const std::string hash_part = "info_hash=" + percent_encode(counted<20>(0).view());
const std::string id_part = "peer_id=-SW0100-abcdefghijkl";

std::string_view reason(std::string_view query) {
  const auto r = decode_announce_query(query);
  return r ? std::string_view("fine") : r.error();
}

}  // namespace

TEST_CASE("an announce query is read back as written") {
  AnnounceRequest r;
  r.info_hash = counted<20>(0xf0);
  r.peer_id = counted<20>(0x20);
  r.port = 6881;
  r.uploaded = 1'000'000'000'000;
  r.downloaded = 2;
  r.left = 18'000'000'000'000'000'000u;
  r.event = AnnounceEvent::completed;
  r.num_want = 80;
  r.compact = false;
  r.no_peer_id = true;
  r.key = "k&=%";
  r.tracker_id = "id 1";
  const auto back = decode_announce_query(encode_query(r));
  REQUIRE(back);
  CHECK(back->info_hash == r.info_hash);
  CHECK(back->peer_id == r.peer_id);
  CHECK(back->port == 6881);
  CHECK(back->uploaded == r.uploaded);
  CHECK(back->downloaded == 2);
  CHECK(back->left == r.left);
  CHECK(back->event == AnnounceEvent::completed);
  CHECK(back->num_want == 80);
  CHECK_FALSE(back->compact);
  CHECK(back->no_peer_id);
  CHECK(back->key == r.key);
  CHECK(back->tracker_id == r.tracker_id);
  for (const auto event : {AnnounceEvent::none, AnnounceEvent::started, AnnounceEvent::stopped}) {
    r.event = event;
    CHECK(decode_announce_query(encode_query(r))->event == event);
  }
}

TEST_CASE("a query as real clients write it") {
  const auto r = decode_announce_query(
      "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&peer_id=-TR3000-abcdefghijkl&port=51413&uploaded=0"
      "&downloaded=0&left=9223372036854775807&numwant=80&key=4b0fe8b5&compact=1&supportcrypto=1&event=started&ipv6=x");
  REQUIRE(r);
  CHECK(to_hex(r->info_hash) == "123456789abcdef123456789abcdef123456789a");
  CHECK(r->port == 51413);
  CHECK(r->event == AnnounceEvent::started);
  CHECK(r->compact);
  CHECK(r->key == "4b0fe8b5");
}

TEST_CASE("what is missing or malformed is named") {
  const auto base = hash_part + "&" + id_part;
  CHECK(reason(base + "&port=1") == "fine");
  CHECK(reason("") == "info_hash is missing");
  CHECK(reason("&&&=&a") == "info_hash is missing");
  CHECK(reason(hash_part) == "peer_id is missing");
  CHECK(reason(base) == "port is missing");
  for (const auto* port : {"0", "65536", "-1", "x", "", "80x", "99999999999999999999", "%30"}) {
    CAPTURE(port);
    CHECK(reason(base + "&port=" + port) == "port is not within 1-65535");
  }
  for (const std::string hash : {"abcdefghijklmnopqrs", "abcdefghijklmnopqrstu", "", "%0", "%zz23456789012345678901",
                                 "abcdefghijklmnopqrs%", "abcdefghijklmnopqrs%4"}) {
    CAPTURE(hash);
    CHECK(reason("info_hash=" + hash + "&" + id_part + "&port=1") == "info_hash is not 20 bytes");
    CHECK(reason(hash_part + "&peer_id=" + hash + "&port=1") == "peer_id is not 20 bytes");
  }
  CHECK(reason("info_hash=" + std::string(100'000, 'a') + "&" + id_part + "&port=1") == "info_hash is not 20 bytes");
}

TEST_CASE("what is not needed is taken with a pinch of salt") {
  const auto base = hash_part + "&" + id_part + "&port=1";
  CHECK_FALSE(decode_announce_query(base)->left);
  CHECK_FALSE(decode_announce_query(base + "&left=-1")->left);
  CHECK_FALSE(decode_announce_query(base + "&left=184467440737095516160")->left);
  CHECK(decode_announce_query(base + "&left=0")->left == 0u);
  CHECK(decode_announce_query(base + "&uploaded=x")->uploaded == 0);
  CHECK(decode_announce_query(base + "&event=paused")->event == AnnounceEvent::none);
  CHECK_FALSE(decode_announce_query(base + "&numwant=-1")->num_want);
  CHECK_FALSE(decode_announce_query(base + "&numwant=")->num_want);
  CHECK(decode_announce_query(base + "&numwant=0")->num_want == 0u);
  CHECK(decode_announce_query(base + "&numwant=99999999999999999999")->num_want == 0xffffffffu);
  CHECK(decode_announce_query(base)->compact);
  CHECK_FALSE(decode_announce_query(base + "&compact=0")->compact);
  CHECK(decode_announce_query(base + "&key=" + std::string(257, 'k'))->key.empty());
  CHECK(decode_announce_query(base + "&key=" + std::string(5000, 'k'))->key.empty());
  CHECK(decode_announce_query(base + "&key=%")->key.empty());
  CHECK(decode_announce_query(base + "&port=2&port=x")->port == 1);  // the first of its name counts
  CHECK(reason(std::string(100'000, '&') + base) == "fine");
}

TEST_CASE("scrape queries hold many hashes, and no more than we want") {
  std::string query;
  for (int i = 0; i < 100; ++i) {
    query += "&info_hash=" + percent_encode(counted<20>(static_cast<std::uint8_t>(i)).view());
  }
  CHECK(decode_scrape_query(query, 74).size() == 74);
  CHECK(decode_scrape_query(query, 200).size() == 100);
  CHECK(decode_scrape_query("info_hash=short&x=y&" + hash_part, 74) == std::vector{counted<20>(0)});
  CHECK(decode_scrape_query("", 74).empty());
}

TEST_CASE("replies: compact, by family, and as dictionaries") {
  AnnounceReply r;
  r.interval_s = 120;
  r.min_interval_s = 60;
  r.complete = 1;
  r.incomplete = 2;
  r.downloaded = 3;
  r.swarm_tracker = true;
  r.warning = "careful";
  r.tracker_id = "t";
  r.external_ip = IpAddress::from("9.8.7.6");
  r.peers = {{*Endpoint::from("1.2.3.4:5"), counted<20>(1)}, {*Endpoint::from("[2001:db8::1]:6"), PeerId()}};

  const auto compact = encode_reply(r, true, false);
  CHECK(as_text(compact) ==
        "d8:completei1e10:downloadedi3e11:external ip4:\x09\x08\x07\x06"
        "10:incompletei2e8:intervali120e"
        "12:min intervali60e5:peers6:\x01\x02\x03\x04" +
            std::string("\0\5", 2) +
            "6:peers618:" + std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x06", 18) +
            "5:swarmi1e10:tracker id1:t15:warning message7:carefule");
  auto back = decode_announce_reply(compact);
  REQUIRE(back);
  CHECK(back->interval_s == 120);
  CHECK(back->min_interval_s == 60);
  CHECK(back->complete == 1u);
  CHECK(back->incomplete == 2u);
  CHECK(back->downloaded == 3u);
  CHECK(back->swarm_tracker);
  CHECK(back->warning == "careful");
  CHECK(back->tracker_id == "t");
  CHECK(back->external_ip == r.external_ip);
  REQUIRE(back->peers.size() == 2);
  CHECK(back->peers[0].endpoint == r.peers[0].endpoint);
  CHECK(back->peers[0].id == PeerId());
  CHECK(back->peers[1].endpoint == r.peers[1].endpoint);

  back = decode_announce_reply(encode_reply(r, false, false));
  REQUIRE(back);
  REQUIRE(back->peers.size() == 2);
  CHECK(back->peers[0].endpoint == r.peers[0].endpoint);
  CHECK(back->peers[0].id == r.peers[0].id);
  CHECK(back->peers[1].endpoint == r.peers[1].endpoint);

  back = decode_announce_reply(encode_reply(r, false, true));
  REQUIRE(back);
  CHECK(back->peers[0].id == PeerId());

  CHECK(as_text(encode_reply(AnnounceReply(), true, false)) == "d5:peers0:e");
  r.external_ip = IpAddress::from("2001:db8::5");
  CHECK(decode_announce_reply(encode_reply(r, true, true))->external_ip == r.external_ip);
}

TEST_CASE("a failure stands alone") {
  AnnounceReply r;
  r.failure = "no";
  r.interval_s = 5;
  CHECK(as_text(encode_reply(r, true, false)) == "d14:failure reason2:noe");
  CHECK(decode_announce_reply(encode_failure("go away"))->failure == "go away");
  CHECK_FALSE(decode_announce_reply(as_bytes("d14:failure reason0:e"))->failure.empty());
  CHECK_FALSE(decode_announce_reply(as_bytes("d14:failure reasoni3ee"))->failure.empty());
}

TEST_CASE("replies of other trackers, odd ones too") {
  CHECK_FALSE(decode_announce_reply(as_bytes("<html>")));
  CHECK_FALSE(decode_announce_reply(as_bytes("le")));
  CHECK_FALSE(decode_announce_reply({}));
  auto r = decode_announce_reply(as_bytes("d8:intervali-5e5:peersi3ee"));
  REQUIRE(r);
  CHECK(r->interval_s == 0);
  CHECK(r->peers.empty());
  CHECK_FALSE(r->complete);
  CHECK(decode_announce_reply(as_bytes("d8:intervali99999999999ee"))->interval_s == 0xffffffffu);
  // A stray byte behind whole peers, a peer with port 0, and 0.0.0.0.
  r = decode_announce_reply(as_bytes(std::string_view("d5:peers19:\1\2\3\4\0\5\1\2\3\4\0\0\0\0\0\0\0\5xe", 31)));
  REQUIRE(r);
  REQUIRE(r->peers.size() == 1);
  CHECK(r->peers[0].endpoint.text() == "1.2.3.4:5");
  // Dictionaries with a host name, without a port, with a port out of range, and a good one with a short id.
  r =
      decode_announce_reply(as_bytes("d5:peersld2:ip9:some.host4:porti1eed2:ip7:1.2.3.4ed2:ip7:1.2.3.44:porti65536eei5e"
                                     "d2:ip7:1.2.3.47:peer id2:ab4:porti9eeee"));
  REQUIRE(r);
  REQUIRE(r->peers.size() == 1);
  CHECK(r->peers[0].endpoint.text() == "1.2.3.4:9");
}

TEST_CASE("at most 2,000 peers are kept") {
  AnnounceReply r;
  for (std::uint32_t i = 0; i < 3000; ++i) r.peers.push_back({{IpAddress::v4(0x0a000001 + i), 1}, {}});
  CHECK(decode_announce_reply(encode_reply(r, true, false))->peers.size() == 2000);
  CHECK(decode_announce_reply(encode_reply(r, false, false))->peers.size() == 2000);
}

TEST_CASE("scrapes are sorted, each hash once, and read back") {
  const auto body = encode_scrape({{counted<20>(9), 1, 2, 3}, {counted<20>(1), 4, 5, 6}, {counted<20>(9), 1, 2, 3}});
  const auto back = decode_scrape(body);
  REQUIRE(back);
  REQUIRE(back->size() == 2);
  CHECK((*back)[0].info_hash == counted<20>(1));
  CHECK((*back)[0].complete == 4);
  CHECK((*back)[0].incomplete == 5);
  CHECK((*back)[0].downloaded == 6);
  CHECK((*back)[1].info_hash == counted<20>(9));
  CHECK(as_text(encode_scrape({})) == "d5:filesdee");
  CHECK_FALSE(decode_scrape(as_bytes("nonsense")));
  CHECK_FALSE(decode_scrape(as_bytes("de")));
  CHECK(decode_scrape(as_bytes("d5:filesd3:abcd8:completei1eeee"))->empty());
}

TEST_CASE("scrape URLs: the examples of BEP 48") {
  CHECK(scrape_url("http://example.com/announce") == "http://example.com/scrape");
  CHECK(scrape_url("http://example.com/x/announce") == "http://example.com/x/scrape");
  CHECK(scrape_url("http://example.com/announce.php") == "http://example.com/scrape.php");
  CHECK(scrape_url("http://example.com/announce?x2%0644") == "http://example.com/scrape?x2%0644");
  CHECK_FALSE(scrape_url("http://example.com/a"));
  CHECK_FALSE(scrape_url("http://example.com/announce?x=2/4"));
  CHECK_FALSE(scrape_url("http://example.com/x%064announce"));
  CHECK_FALSE(scrape_url("announce"));
}

TEST_CASE("mutated queries and replies never crash") {
  Random random(12);
  AnnounceReply reply;
  reply.interval_s = 60;
  reply.peers = {{*Endpoint::from("1.2.3.4:5"), counted<20>(1)}, {*Endpoint::from("[::1]:6"), {}}};
  const std::vector<std::string> seeds = {
      hash_part + "&" + id_part + "&port=6881&left=100&event=started&numwant=50&compact=0&key=abc&trackerid=%41",
      std::string(as_text(encode_reply(reply, true, false))), std::string(as_text(encode_reply(reply, false, false))),
      std::string(as_text(encode_scrape({{counted<20>(3), 1, 2, 3}})))};
  std::size_t good = 0;
  for (int run = 0; run < 40'000; ++run) {
    auto text = seeds[random.below(seeds.size())];
    for (auto n = random.below(4); n > 0 && !text.empty(); --n) {
      const auto at = random.below(text.size());
      if (random.below(3) == 0)
        text.erase(at, 1 + random.below(8));
      else if (random.below(2) == 0)
        text[at] = static_cast<char>(random.below(256));
      else
        text.insert(at, text.substr(random.below(text.size()), random.below(20)));
    }
    if (const auto r = decode_announce_query(text)) {
      REQUIRE(r->port != 0);
      REQUIRE(decode_announce_query(encode_query(*r)).has_value());
      ++good;
    }
    decode_scrape_query(text, 74);
    decode_scrape(as_bytes(text));
    if (const auto r = decode_announce_reply(as_bytes(text))) {
      REQUIRE(decode_announce_reply(encode_reply(*r, true, true)).has_value());
      ++good;
    }
  }
  CHECK(good > 1'000);
}
