#include "wire/extended.hh"

#include <doctest/doctest.h>

#include "base/digest.hh"
#include "support/allocations.hh"
#include "support/dies.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

std::optional<ExtendedHandshake> decoded(std::string_view text) { return decode_extended_handshake(as_bytes(text)); }

using Messages = std::vector<std::pair<std::string, std::uint8_t>>;

}  // namespace

TEST_CASE("extended handshake: written in canonical order") {
  ExtendedHandshake h;
  CHECK(as_text(encode(h)) == "d1:mdee");
  h.messages = {{"ut_pex", 2}, {"ut_metadata", 1}};
  h.client = "swarm 0.1";
  h.port = 6881;
  h.request_queue = 2000;
  h.your_ip = IpAddress::v4(0x01020304);
  h.metadata_bytes = 12345;
  h.upload_only = true;
  CHECK(as_text(encode(h)) ==
        "d1:md11:ut_metadatai1e6:ut_pexi2ee13:metadata_sizei12345e1:pi6881e4:reqqi2000e11:upload_onlyi1e1:v9:swarm 0.1"
        "6:yourip4:\x01\x02\x03\x04"
        "e");
}

TEST_CASE("extended handshake: both ways") {
  ExtendedHandshake h;
  h.messages = {{"ut_metadata", 1}, {"ut_pex", 0}};
  h.client = "x";
  h.port = 1;
  h.request_queue = 0xffffffff;
  h.your_ip = *IpAddress::from("fd7a::1");
  h.metadata_bytes = -1;
  h.upload_only = true;
  const auto back = decode_extended_handshake(encode(h));
  REQUIRE(back);
  CHECK(back->messages == h.messages);
  CHECK(back->client == h.client);
  CHECK(back->port == h.port);
  CHECK(back->request_queue == h.request_queue);
  CHECK(back->your_ip == h.your_ip);
  CHECK(back->metadata_bytes == -1);  // judged by who asks for the metadata
  CHECK(back->upload_only);
  h.your_ip = IpAddress::v4(0x7f000001);
  CHECK(decode_extended_handshake(encode(h))->your_ip == h.your_ip);
}

TEST_CASE("extended handshake: nothing of it is required") {
  const auto h = decoded("de");
  REQUIRE(h);
  CHECK(h->messages.empty());
  CHECK(h->client.empty());
  CHECK_FALSE(h->port);
  CHECK_FALSE(h->request_queue);
  CHECK_FALSE(h->your_ip);
  CHECK_FALSE(h->metadata_bytes);
  CHECK_FALSE(h->upload_only);
}

TEST_CASE("extended handshake: no dictionary is no handshake") {
  for (const std::string bad : {"", "le", "i1e", "4:spam", "d", "d1:m", "dxe", "d1:mi1e"}) {
    CAPTURE(bad);
    CHECK_FALSE(decoded(bad));
  }
  CHECK_FALSE(decoded("d1:m" + std::string(101, 'l') + std::string(101, 'e') + "e"));
  CHECK(decoded("dejunk"));
}

TEST_CASE("extended handshake: fields of a wrong type or out of range are as if absent") {
  for (const std::string text : {"d1:mi1ee", "d1:mlee", "d1:m1:xe"}) CHECK(decoded(text)->messages.empty());
  CHECK(decoded("d1:md1:ai-1e1:bi256e1:c1:x1:di255e1:ei0eee")->messages == Messages{{"d", 255}, {"e", 0}});
  CHECK(decoded("d1:md1:ai1e1:ai2e1:bi3eee")->messages == Messages{{"a", 1}, {"b", 3}});  // the first of two
  for (const std::string text : {"d1:pi0ee", "d1:pi65536ee", "d1:pi-1ee", "d1:p4:6881e"})
    CHECK_FALSE(decoded(text)->port);
  for (const std::string text : {"d4:reqqi-1ee", "d4:reqqi4294967296ee", "d4:reqqlee"})
    CHECK_FALSE(decoded(text)->request_queue);
  for (const std::string text :
       {"d6:yourip3:abce", "d6:yourip17:0123456789abcdef0e", "d6:youripi1ee", "d6:yourip0:e"}) {
    CHECK_FALSE(decoded(text)->your_ip);
  }
  CHECK_FALSE(decoded("d13:metadata_size3:100e")->metadata_bytes);
  CHECK_FALSE(decoded("d11:upload_only1:1e")->upload_only);
  CHECK_FALSE(decoded("d11:upload_onlyi0ee")->upload_only);
  CHECK(decoded("d1:vi1ee")->client.empty());
}

TEST_CASE("extended handshake: what is kept is bounded") {
  std::string many = "d1:md";
  for (int i = 0; i < 5000; ++i) many += "5:a" + std::to_string(1000 + i) + "i1e";
  CHECK_FALSE(decoded(many + "ee"));  // more values than anybody sends
  many.resize(5 + 100 * 10);
  many += "e1:v300:" + std::string(300, 'v') + "e";
  const auto h = decoded(many);
  REQUIRE(h);
  CHECK(h->messages.size() == 64);
  CHECK(h->client == std::string(128, 'v'));
  CHECK(decoded("d1:md65:" + std::string(65, 'a') + "i1e1:bi2eee")->messages == Messages{{"b", 2}});
  CHECK(test::bytes_allocated_by([&] { decoded("d1:v99999999:x"); }) < 64 * 1024);
}

TEST_CASE("extended handshake: one id a name, or it is a bug") {
  ExtendedHandshake h;
  h.messages = {{"ut_pex", 1}, {"ut_pex", 2}};
  CHECK(test::dies([&] { encode(h); }));
}

TEST_CASE("extension messages: each has a name and an id of its own") {
  for (std::size_t i = 0; i < extension_messages.size(); ++i) {
    CHECK(extension_messages[i].id == i + 1);  // 0 is the handshake
  }
  CHECK(ut_metadata.name == "ut_metadata");
  CHECK(ut_pex.name == "ut_pex");
  CHECK(lt_donthave.name == "lt_donthave");
  CHECK(upload_only.name == "upload_only");
  CHECK(sw_turns.name == "sw_turns");
}

TEST_CASE("lt_donthave is four bytes, upload_only is one") {
  CHECK(to_hex(encode_dont_have(PieceIndex{0x01020304})) == "01020304");
  CHECK(decode_dont_have(encode_dont_have(PieceIndex{0xfffffffe})) == PieceIndex{0xfffffffe});
  const Buffer bytes(6);
  for (const std::size_t n : {0, 1, 3, 5, 6}) CHECK_FALSE(decode_dont_have(ByteView(bytes).first(n)));
  CHECK(to_hex(encode_upload_only(true)) == "01");
  CHECK(to_hex(encode_upload_only(false)) == "00");
  CHECK(decode_upload_only(encode_upload_only(false)) == false);
  CHECK(decode_upload_only(Buffer{7}) == true);
  CHECK_FALSE(decode_upload_only({}));
  CHECK_FALSE(decode_upload_only(ByteView(bytes).first(2)));
}
