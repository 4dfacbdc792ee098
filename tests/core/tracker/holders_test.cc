// GET /api/v1/files/NAME/pieces, through the server: what beats told is what is answered.
#include <doctest/doctest.h>

#include "base/bitfield.hh"
#include "base/text.hh"
#include "core/tracker/nodes.hh"
#include "core/tracker/server.hh"
#include "core/tracker/torrents.hh"
#include "wire/control.hh"

using namespace swarm;
using namespace swarm::core;

namespace {

struct Fixture {
  static TrackerOptions options() {
    TrackerOptions o;
    o.version = "0.1.0";
    o.name = "nas";
    return o;
  }
  TrackerServer server{options(), {7}};
  Instant now{1h};
  std::uint64_t sequence = 0;

  wire::HttpResponse call(std::string method, std::string target, std::string_view body = {}) {
    wire::HttpRequest r;
    r.method = std::move(method);
    r.target = std::move(target);
    r.headers.set("Host", "nas:6969");
    r.body = to_buffer(body);
    auto reply = server.on_request(r, *Endpoint::from("192.168.1.9:40000"), *Endpoint::from("192.168.1.1:6969"), now);
    if (reply.change) server.on_saved(true);
    return std::move(reply.response);
  }
  Result<wire::PieceHolders> holders(const std::string& name) {
    const auto r = call("GET", "/api/v1/files/" + name + "/pieces");
    if (r.status != 200) return fail(Exit::other, std::to_string(r.status), "status");
    return wire::piece_holders_from_json(as_text(r.body));
  }
  void beat(std::uint8_t n, const InfoHash& hash, std::uint32_t pieces, const std::string& bits) {
    wire::Beat b;
    b.node = std::string(15, '0') + static_cast<char>('0' + n);
    b.name = "node" + std::to_string(n);
    b.peer_id.bytes.fill(n);
    b.port = static_cast<std::uint16_t>(6880 + n);
    b.sequence = ++sequence;
    b.torrents = {{}};
    auto& t = b.torrents[0];
    t.info_hash = hash;
    t.pieces = pieces;
    t.complete = bits == "whole";
    t.left = t.complete ? 0 : 5;
    if (!t.complete) {
      Bitfield have(bits.size());
      for (std::size_t i = 0; i < bits.size(); ++i) have.set(i, bits[i] == '1');
      t.have.emplace(have.bytes().begin(), have.bytes().end());
    }
    REQUIRE(call("POST", "/api/v1/announce", to_json(b)).status == 200);
  }
};

}  // namespace

TEST_CASE("who holds which pieces: whole copies first, then by how much they have") {
  Fixture f;
  InfoHash hash;
  hash.bytes.fill(9);
  const auto name = to_hex(hash);
  CHECK(f.holders(name).error().code == "404");
  f.beat(1, hash, 10, "0000000001");
  f.beat(2, hash, 10, "whole");
  f.beat(3, hash, 10, "1111100000");
  const auto p = f.holders(name);
  REQUIRE(p.has_value());
  CHECK(p->info_hash == hash);
  CHECK(p->pieces == 10);
  CHECK(p->left_out == 0);
  REQUIRE(p->holders.size() == 3);
  CHECK(p->holders[0].name == "node2");
  CHECK((p->holders[0].whole && !p->holders[0].have));
  CHECK(p->holders[1].name == "node3");
  CHECK(p->holders[1].address == "192.168.1.9:6883");
  CHECK(p->holders[1].have == Buffer{0xf8, 0});
  CHECK(p->holders[2].have == Buffer{0, 0x40});
}

TEST_CASE("the address takes reads only, and knows what is not there") {
  Fixture f;
  CHECK(f.call("GET", "/api/v1/files/debian.iso/pieces").status == 404);
  CHECK(f.call("DELETE", "/api/v1/files/debian.iso/pieces").status / 100 == 4);
  CHECK(f.call("PUT", "/api/v1/files/debian.iso/pieces", "d").status / 100 == 4);
  CHECK(f.call("GET", "/api/v1/files//pieces").status / 100 == 4);
  CHECK(f.call("GET", "/api/v1/files/pieces").status == 404);
}

TEST_CASE("what does not fit into a reply is counted") {
  Notices notices;
  Nodes nodes([](const InfoHash& h) { return Nodes::Facts{to_hex(h), 0, 0}; }, notices);
  InfoHash hash;
  const std::uint32_t pieces = 8 * 700'000;  // three such bitmaps are more than holders_bytes_max
  for (std::uint8_t n = 1; n <= 5; ++n) {
    wire::Beat b;
    b.node = std::string(15, '0') + static_cast<char>('0' + n);
    b.name = "node";
    b.sequence = 1;
    b.torrents = {{}};
    b.torrents[0].info_hash = hash;
    b.torrents[0].pieces = pieces;
    b.torrents[0].left = 1;
    b.torrents[0].have.emplace(pieces / 8, static_cast<std::uint8_t>(n));
    nodes.on_beat(b, {IpAddress::v4(0x0a000000u + n), 6881}, 1s, Instant{1h});
  }
  const auto p = nodes.holders(hash);
  CHECK(p.holders.size() == 2);
  CHECK(p.left_out == 3);
  const auto text = to_json(p);
  CHECK(text.size() < 4u << 20);
  const auto back = wire::piece_holders_from_json(text);
  REQUIRE(back.has_value());
  CHECK(back->holders[1].have == p.holders[1].have);
  CHECK(back->left_out == 3);
}

TEST_CASE("replies that lie are refused with the field's name") {
  const auto why = [](const std::string& text) {
    const auto p = wire::piece_holders_from_json(text);
    return p ? std::string() : p.error().message;
  };
  const std::string head =
      R"({"infohash":"3f1c000000000000000000000000000000000001","name":"x","pieces":9,"holders":[{"id":"a","name":"b","addr":"c")";
  CHECK(why(head + "}]}").empty());
  CHECK(why(head + R"(,"have":"//8="}]})").find("holders[0].have") != std::string::npos);  // spare bits
  CHECK(why(head + R"(,"have":"/w=="}]})").find("holders[0].have") != std::string::npos);  // too short
  CHECK(why(head + R"(,"have":"/4A="}]})").empty());
  CHECK(why(head + R"(,"whole":1}]})").find("holders[0].whole") != std::string::npos);
  CHECK(!why("{}").empty());
  CHECK(!why(R"({"infohash":"xyz","name":"x","pieces":1})").empty());
}
