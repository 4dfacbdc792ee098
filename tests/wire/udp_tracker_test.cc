#include "wire/udp_tracker.hh"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/random.hh"
#include "support/allocations.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

template <std::size_t N>
Digest<N> counted(std::uint8_t first) {
  Digest<N> d;
  for (auto& byte : d.bytes) byte = first++;
  return d;
}

/// The bytes that these hex digits tell; spaces and what follows '|' up to the end of the line are for the reader.
Buffer hex(std::string_view text) {
  std::string digits;
  bool comment = false;
  for (const char c : text) {
    if (c == '|') comment = true;
    if (c == '\n') comment = false;
    if (!comment && c != ' ' && c != '\n') digits += c;
  }
  return *from_hex(digits);
}

std::string shown(ByteView bytes) { return to_hex(bytes); }

UdpAnnounce announce() {
  UdpAnnounce p;
  p.connection_id = 0x0123456789abcdef;
  p.transaction = 0xcafe0001;
  p.request.info_hash = counted<20>(0x10);
  p.request.peer_id = counted<20>(0x40);
  p.request.downloaded = 0x0102030405060708;
  p.request.left = 0x1112131415161718;
  p.request.uploaded = 0x2122232425262728;
  p.request.event = AnnounceEvent::started;
  p.request.key = "deadbeef";
  p.request.num_want = 50;
  p.request.port = 6881;
  return p;
}

// The tables of BEP 15, field by field.
const auto announce_bytes = hex(R"(
  0123456789abcdef                          | 0   connection_id
  00000001                                  | 8   action
  cafe0001                                  | 12  transaction_id
  101112131415161718191a1b1c1d1e1f20212223  | 16  info_hash
  404142434445464748494a4b4c4d4e4f50515253  | 36  peer_id
  0102030405060708                          | 56  downloaded
  1112131415161718                          | 64  left
  2122232425262728                          | 72  uploaded
  00000002                                  | 80  event
  00000000                                  | 84  IP address
  deadbeef                                  | 88  key
  00000032                                  | 92  num_want
  1ae1                                      | 96  port
)");

template <class Packet, class Decoded>
Packet as(const std::optional<Decoded>& decoded) {
  REQUIRE(decoded);
  REQUIRE(std::holds_alternative<Packet>(*decoded));
  return std::get<Packet>(*decoded);
}

}  // namespace

TEST_CASE("udp tracker: connect, to the byte") {
  CHECK(shown(encode(UdpConnect{0x01020304})) == shown(hex("0000041727101980 00000000 01020304")));
  CHECK(shown(encode(UdpConnected{0x01020304, 0xa1a2a3a4a5a6a7a8})) ==
        shown(hex("00000000 01020304 a1a2a3a4a5a6a7a8")));
  CHECK(as<UdpConnect>(decode_udp_request(encode(UdpConnect{7}))).transaction == 7);
  const auto reply = as<UdpConnected>(decode_udp_reply(encode(UdpConnected{7, 8}), UdpFamily::v4));
  CHECK(reply.transaction == 7);
  CHECK(reply.connection_id == 8);
  CHECK_FALSE(decode_udp_request(hex("0000041727101981 00000000 01020304")));  // another protocol
}

TEST_CASE("udp tracker: announce, to the byte") {
  CHECK(announce_bytes.size() == 98);
  CHECK(shown(encode(announce())) == shown(announce_bytes));
  const auto p = as<UdpAnnounce>(decode_udp_request(announce_bytes));
  CHECK(p.connection_id == 0x0123456789abcdef);
  CHECK(p.transaction == 0xcafe0001);
  CHECK(p.request.info_hash == counted<20>(0x10));
  CHECK(p.request.peer_id == counted<20>(0x40));
  CHECK(p.request.downloaded == 0x0102030405060708);
  CHECK(p.request.left == 0x1112131415161718u);
  CHECK(p.request.uploaded == 0x2122232425262728);
  CHECK(p.request.event == AnnounceEvent::started);
  CHECK(p.request.key == "deadbeef");
  CHECK(p.request.num_want == 50u);
  CHECK(p.request.port == 6881);
  CHECK(p.url_data.empty());
}

TEST_CASE("udp tracker: events have the numbers of BEP 15, others are none") {
  for (const auto& [event, number] : std::vector<std::pair<AnnounceEvent, std::uint8_t>>{{AnnounceEvent::none, 0},
                                                                                         {AnnounceEvent::completed, 1},
                                                                                         {AnnounceEvent::started, 2},
                                                                                         {AnnounceEvent::stopped, 3}}) {
    auto p = announce();
    p.request.event = event;
    const auto bytes = encode(p);
    CHECK(bytes[83] == number);
    CHECK(as<UdpAnnounce>(decode_udp_request(bytes)).request.event == event);
  }
  auto odd = announce_bytes;
  odd[83] = 4;
  CHECK(as<UdpAnnounce>(decode_udp_request(odd)).request.event == AnnounceEvent::none);
  odd[83] = 2, odd[80] = 1;
  CHECK(as<UdpAnnounce>(decode_udp_request(odd)).request.event == AnnounceEvent::none);
}

TEST_CASE("udp tracker: what is unknown has a number that misleads nobody") {
  auto p = announce();
  p.request.left.reset();
  p.request.num_want.reset();
  p.request.key.clear();
  const auto bytes = encode(p);
  CHECK(shown(ByteView(bytes).subspan(64, 8)) == "7fffffffffffffff");
  CHECK(shown(ByteView(bytes).subspan(88, 8)) == "00000000ffffffff");
  const auto back = as<UdpAnnounce>(decode_udp_request(bytes)).request;
  CHECK_FALSE(back.left);
  CHECK_FALSE(back.num_want);
  CHECK(back.key.empty());
  auto odd = announce_bytes;
  odd[64] = 0xff;  // "-1", as some clients say
  odd[92] = 0x80;
  odd[97] = odd[96] = 0;
  const auto read = as<UdpAnnounce>(decode_udp_request(odd)).request;
  CHECK_FALSE(read.left);
  CHECK_FALSE(read.num_want);
  CHECK(read.port == 0);
  p.request.left = ~std::uint64_t{0};
  p.request.num_want = 0x80000000;
  CHECK(shown(encode(p)) == shown(bytes));
}

TEST_CASE("udp tracker: a key is a number when it is written in hex") {
  const auto number = [](std::string key) {
    auto p = announce();
    p.request.key = std::move(key);
    return shown(ByteView(encode(p)).subspan(88, 4));
  };
  CHECK(number("1") == "00000001");
  CHECK(number("FFFFFFFF") == "ffffffff");
  CHECK(number("fffffffff") == "00000000");
  CHECK(number("-1") == "00000000");
  CHECK(number("0x1") == "00000000");
  CHECK(number("12 ") == "00000000");
  CHECK(number("xyz") == "00000000");
  auto p = announce();
  p.request.key = "1";
  CHECK(as<UdpAnnounce>(decode_udp_request(encode(p))).request.key == "00000001");
}

TEST_CASE("udp tracker: the path of the URL, with the examples of BEP 41") {
  auto p = announce();
  p.url_data = "/dir?a=b&c=d";
  const auto bytes = encode(p);
  const std::string option("\x02\x0c/dir?a=b&c=d");
  CHECK(as_text(ByteView(bytes).subspan(98)) == option);

  const auto url_of = [](std::string_view options) {
    auto datagram = announce_bytes;
    append(datagram, as_bytes(options));
    return as<UdpAnnounce>(decode_udp_request(datagram)).url_data;
  };
  using namespace std::string_literals;
  CHECK(url_of(option) == "/dir?a=b&c=d");
  CHECK(url_of(option + "\1\1\0"s) == "/dir?a=b&c=d");
  CHECK(url_of("\2\0"s).empty());
  CHECK(url_of("\1\2\1/\1\2\2ab"s) == "/ab");  // in parts, with padding between them
  CHECK(url_of("\2\1/\0\2\1x"s) == "/");       // what follows the end does not count
  CHECK(url_of("\3\2\2\2\2\1/"s) == "/");      // an unknown option is passed over by its length
  CHECK(url_of("\xff\0\2\1/"s) == "/");        // … which may be 0
  CHECK(url_of("\2\1/\2\3ab"s) == "/");        // cut off
  CHECK(url_of("\2\1/\2"s) == "/");            // cut off before the length
  CHECK(url_of("\2"s).empty());

  p.url_data = "/";
  CHECK(encode(p).size() == 98);
  p.url_data = "/" + std::string(254, 'a');
  CHECK(encode(p).size() == 98 + 2 + 255);
  p.url_data += "b";
  CHECK(encode(p).size() == 98 + 2 + 255 + 2 + 1);
  CHECK(as<UdpAnnounce>(decode_udp_request(encode(p))).url_data == p.url_data);
  p.url_data = std::string(udp_url_bytes_max, 'a');
  CHECK(encode(p).size() == 98 + 4 * 257);
  CHECK(as<UdpAnnounce>(decode_udp_request(encode(p))).url_data == p.url_data);
  p.url_data += "b";
  CHECK(encode(p).size() == 98);

  std::string flood;
  for (int i = 0; i < 200; ++i) flood += "\2\xff" + std::string(255, 'x');
  CHECK(url_of(flood).size() == udp_url_bytes_max);
}

TEST_CASE("udp tracker: announce replies of both families") {
  UdpAnnounced p;
  p.transaction = 0x01020304;
  p.reply.interval_s = 1800;
  p.reply.incomplete = 5;
  p.reply.complete = 6;
  p.reply.peers = {{*Endpoint::from("1.2.3.4:5"), {}},
                   {*Endpoint::from("[2001:db8::1]:6"), {}},
                   {*Endpoint::from("9.8.7.6:65535"), {}}};
  const auto v4 = encode(p, UdpFamily::v4);
  CHECK(shown(v4) == shown(hex(R"(
    00000001 01020304  | action, transaction_id
    00000708           | 8   interval
    00000005           | 12  leechers
    00000006           | 16  seeders
    01020304 0005      | 20  peer
    09080706 ffff      | 26  peer
  )")));
  const auto v6 = encode(p, UdpFamily::v6);
  CHECK(shown(v6) == shown(hex("00000001 01020304 00000708 00000005 00000006 20010db8000000000000000000000001 0006")));

  auto back = as<UdpAnnounced>(decode_udp_reply(v4, UdpFamily::v4));
  CHECK(back.transaction == 0x01020304);
  CHECK(back.reply.interval_s == 1800);
  CHECK(back.reply.incomplete == 5u);
  CHECK(back.reply.complete == 6u);
  REQUIRE(back.reply.peers.size() == 2);
  CHECK(back.reply.peers[0].endpoint.text() == "1.2.3.4:5");
  CHECK(back.reply.peers[1].endpoint.text() == "9.8.7.6:65535");
  back = as<UdpAnnounced>(decode_udp_reply(v6, UdpFamily::v6));
  REQUIRE(back.reply.peers.size() == 1);
  CHECK(back.reply.peers[0].endpoint.text() == "[2001:db8::1]:6");

  // Nobody's address, port 0, and half a peer at the end.
  const auto odd = hex("00000001 01020304 00000708 00000005 00000006 00000000 0005 01020304 0000 01020304 0007 0102");
  back = as<UdpAnnounced>(decode_udp_reply(odd, UdpFamily::v4));
  REQUIRE(back.reply.peers.size() == 1);
  CHECK(back.reply.peers[0].endpoint.text() == "1.2.3.4:7");
}

TEST_CASE("udp tracker: a reply stays within one small datagram, and not everything is kept") {
  UdpAnnounced p;
  for (std::uint32_t i = 0; i < 300; ++i) {
    p.reply.peers.push_back({{IpAddress::v4(0x0a000001 + i), 1}, {}});
    auto six = *IpAddress::from("2001:db8::");
    six.bytes[15] = static_cast<std::uint8_t>(i), six.bytes[14] = static_cast<std::uint8_t>(i >> 8);
    p.reply.peers.push_back({{six, 1}, {}});
  }
  CHECK(encode(p, UdpFamily::v4).size() == 20 + 6 * udp_peers_v4_max);
  CHECK(encode(p, UdpFamily::v6).size() == 20 + 18 * udp_peers_v6_max);
  CHECK(20 + 6 * udp_peers_v4_max <= 1232);
  CHECK(20 + 18 * udp_peers_v6_max <= 1232);
  auto huge = encode(UdpAnnounced{}, UdpFamily::v4);
  for (int i = 0; i < 10'000; ++i) append(huge, hex("01020304 0005"));
  CHECK(as<UdpAnnounced>(decode_udp_reply(huge, UdpFamily::v4)).reply.peers.size() == 2000);
}

TEST_CASE("udp tracker: scrape, to the byte") {
  const UdpScrape p{0x0123456789abcdef, 9, {counted<20>(0), counted<20>(0x20)}};
  const auto bytes = encode(p);
  CHECK(shown(bytes) == shown(hex("0123456789abcdef 00000002 00000009 000102030405060708090a0b0c0d0e0f10111213 "
                                  "202122232425262728292a2b2c2d2e2f30313233")));
  const auto back = as<UdpScrape>(decode_udp_request(bytes));
  CHECK(back.connection_id == p.connection_id);
  CHECK(back.transaction == 9);
  CHECK(back.hashes == p.hashes);
  CHECK_FALSE(decode_udp_request(ByteView(bytes).first(16)));  // nothing is asked

  const UdpScraped reply{9, {{counted<20>(1), 1, 2, 3}, {{}, 4, 5, 6}}};
  const auto answer = encode(reply);
  CHECK(shown(answer) == shown(hex(R"(
    00000002 00000009
    00000001 00000003 00000002  | seeders, completed, leechers
    00000004 00000006 00000005
  )")));
  const auto read = as<UdpScraped>(decode_udp_reply(answer, UdpFamily::v6));
  REQUIRE(read.entries.size() == 2);
  CHECK(read.entries[0].info_hash == InfoHash());
  CHECK(read.entries[0].complete == 1);
  CHECK(read.entries[0].incomplete == 2);
  CHECK(read.entries[0].downloaded == 3);
  CHECK(as<UdpScraped>(decode_udp_reply(ByteView(answer).first(8), UdpFamily::v4)).entries.empty());

  const UdpScrape many{1, 2, std::vector<InfoHash>(100)};
  CHECK(encode(many).size() == 16 + 20 * 74);
  auto flood = encode(many);
  for (int i = 0; i < 100; ++i) append(flood, counted<20>(1).view());
  CHECK(as<UdpScrape>(decode_udp_request(flood)).hashes.size() == 74);
  auto replies = encode(UdpScraped{});
  replies.resize(8 + 12 * 1000);
  CHECK(as<UdpScraped>(decode_udp_reply(replies, UdpFamily::v4)).entries.size() == 74);
}

TEST_CASE("udp tracker: errors") {
  const auto bytes = encode(UdpFailed{0x01020304, "no such torrent"});
  CHECK(shown(ByteView(bytes).first(8)) == "0000000301020304");
  CHECK(as_text(ByteView(bytes).subspan(8)) == "no such torrent");
  const auto back = as<UdpFailed>(decode_udp_reply(bytes, UdpFamily::v4));
  CHECK(back.transaction == 0x01020304);
  CHECK(back.message == "no such torrent");
  CHECK(as<UdpFailed>(decode_udp_reply(hex("00000003 01020304"), UdpFamily::v4)).message.empty());
  CHECK(encode(UdpFailed{1, std::string(1000, 'x')}).size() == 8 + 256);
  auto flood = bytes;
  flood.resize(60'000);
  CHECK(as<UdpFailed>(decode_udp_reply(flood, UdpFamily::v4)).message.size() == 256);
  CHECK(transaction_of(UdpReply(back)) == 0x01020304);
  // An announce reply without a body, over either family.
  for (const auto family : {UdpFamily::v4, UdpFamily::v6})
    CHECK(as<UdpNotListed>(decode_udp_reply(hex("00000001 01020304"), family)).transaction == 0x01020304);
}

TEST_CASE("udp tracker: cut off anywhere, nothing is read that is not there") {
  for (std::size_t n = 0; n < announce_bytes.size(); ++n) {
    CAPTURE(n);
    const Buffer part(announce_bytes.begin(), announce_bytes.begin() + static_cast<std::ptrdiff_t>(n));
    CHECK_FALSE(decode_udp_request(part));
  }
  const auto connect = encode(UdpConnect{5});
  for (std::size_t n = 0; n < connect.size(); ++n) CHECK_FALSE(decode_udp_request(ByteView(connect).first(n)));
  const auto scrape = encode(UdpScrape{1, 2, {counted<20>(0)}});
  for (std::size_t n = 0; n < scrape.size(); ++n) CHECK_FALSE(decode_udp_request(ByteView(scrape).first(n)));
  const auto connected = encode(UdpConnected{5, 6});
  for (std::size_t n = 0; n < connected.size(); ++n)
    CHECK_FALSE(decode_udp_reply(ByteView(connected).first(n), UdpFamily::v4));
  UdpAnnounced reply;
  reply.reply.peers = {{*Endpoint::from("1.2.3.4:5"), {}}, {*Endpoint::from("1.2.3.4:6"), {}}};
  const auto announced = encode(reply, UdpFamily::v4);
  for (std::size_t n = 0; n <= announced.size(); ++n) {
    const Buffer part(announced.begin(), announced.begin() + static_cast<std::ptrdiff_t>(n));
    const auto read = decode_udp_reply(part, UdpFamily::v4);
    REQUIRE(read.has_value() == (n == 8 || n >= 20));
    if (n >= 20) CHECK(std::get<UdpAnnounced>(*read).reply.peers.size() == (n - 20) / 6);
  }
}

TEST_CASE("udp tracker: longer datagrams are read, as BEP 15 asks") {
  auto connect = encode(UdpConnect{5});
  connect.resize(100);
  CHECK(as<UdpConnect>(decode_udp_request(connect)).transaction == 5);
  auto connected = encode(UdpConnected{5, 6});
  connected.resize(17);
  CHECK(as<UdpConnected>(decode_udp_reply(connected, UdpFamily::v6)).connection_id == 6);
}

TEST_CASE("udp tracker: any bytes; what is read is written and read again as the same") {
  Random random(15);
  UdpAnnounced reply;
  reply.reply.interval_s = 60, reply.reply.complete = 1, reply.reply.incomplete = 2;
  reply.reply.peers = {{*Endpoint::from("1.2.3.4:5"), {}}, {*Endpoint::from("[2001:db8::1]:6"), {}}};
  auto with_url = announce();
  with_url.url_data = "/announce?auth=" + std::string(300, 'k');
  const std::vector<Buffer> good = {encode(UdpConnect{1}),
                                    encode(announce()),
                                    encode(with_url),
                                    encode(UdpScrape{1, 2, {counted<20>(0), counted<20>(1)}}),
                                    encode(UdpConnected{1, 2}),
                                    encode(reply, UdpFamily::v4),
                                    encode(reply, UdpFamily::v6),
                                    encode(UdpScraped{1, {{{}, 1, 2, 3}}}),
                                    encode(UdpFailed{1, "no"})};
  std::size_t read = 0;
  for (int run = 0; run < 40'000; ++run) {
    auto bytes = good[random.below(good.size())];
    for (auto n = random.below(4); n > 0 && !bytes.empty(); --n) {
      const auto at = random.below(bytes.size());
      if (random.below(4) == 0)
        bytes.resize(at);
      else if (random.below(4) == 0)
        bytes.insert(bytes.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
      else
        bytes[at] = static_cast<std::uint8_t>(random.next());
    }
    std::optional<UdpRequest> request;
    const auto taken = test::bytes_allocated_by([&] { request = decode_udp_request(bytes); });
    REQUIRE(taken <= 4 * bytes.size() + 4096);
    if (request) {
      ++read;
      const auto once = std::visit([](const auto& p) { return encode(p); }, *request);
      const auto again = decode_udp_request(once);
      REQUIRE(again);
      REQUIRE(shown(std::visit([](const auto& p) { return encode(p); }, *again)) == shown(once));
    }
    for (const auto family : {UdpFamily::v4, UdpFamily::v6}) {
      const auto answer = decode_udp_reply(bytes, family);
      if (!answer) continue;
      ++read;
      REQUIRE(transaction_of(*answer) == load_u32(&bytes[4]));
      const auto* announced = std::get_if<UdpAnnounced>(&*answer);
      if (announced == nullptr) continue;
      const auto again = decode_udp_reply(encode(*announced, UdpFamily::v4), UdpFamily::v4);
      REQUIRE(std::get<UdpAnnounced>(*again).reply.interval_s == announced->reply.interval_s);
    }
  }
  CHECK(read > 10'000);
}
