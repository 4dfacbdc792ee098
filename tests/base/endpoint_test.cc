#include "base/endpoint.hh"

#include <doctest/doctest.h>

#include <string>
#include <unordered_set>

using namespace swarm;

namespace {

IpAddress ip(std::string_view text) {
  const auto address = IpAddress::from(text);
  REQUIRE(address);
  return *address;
}

Endpoint endpoint(std::string_view text) {
  const auto e = Endpoint::from(text);
  REQUIRE(e);
  return *e;
}

}  // namespace

TEST_CASE("addresses from and to text") {
  CHECK(ip("1.2.3.4") == IpAddress::v4(0x01020304));
  CHECK(ip("::ffff:1.2.3.4") == ip("1.2.3.4"));
  CHECK(ip("1.2.3.4").is_v4());
  CHECK_FALSE(ip("::1").is_v4());
  for (const std::string text : {"1.2.3.4", "0.0.0.0", "255.255.255.255", "::", "::1", "fd7a:115c:a1e0::1",
                                 "1111:2222:3333:4444:5555:6666:7777:8888"}) {
    CHECK(ip(text).text() == text);
  }
  CHECK(ip("2001:DB8:0:0::1").text() == "2001:db8::1");
  for (const std::string bad :
       {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4x", "host", ":", ":::", "1::2::3",
        "[::1]", "fe80::1%eth0", "1111:2222:3333:4444:5555:6666:7777:8888:9999",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000"}) {
    CAPTURE(bad);
    CHECK_FALSE(IpAddress::from(bad));
  }
  CHECK_FALSE(IpAddress::from(std::string_view("1.2.3.4\0x", 9)));
}

TEST_CASE("what an address is for") {
  struct Row {
    std::string text;
    bool unspecified, loopback, link_local, multicast;
  };
  for (const auto& row :
       {Row{"0.0.0.0", true, false, false, false}, Row{"::", true, false, false, false},
        Row{"127.0.0.1", false, true, false, false}, Row{"127.255.0.9", false, true, false, false},
        Row{"::1", false, true, false, false}, Row{"128.0.0.1", false, false, false, false},
        Row{"169.254.0.1", false, false, true, false}, Row{"169.253.0.1", false, false, false, false},
        Row{"fe80::1", false, false, true, false}, Row{"febf::1", false, false, true, false},
        Row{"fec0::1", false, false, false, false}, Row{"224.0.0.1", false, false, false, true},
        Row{"239.255.255.255", false, false, false, true}, Row{"240.0.0.1", false, false, false, false},
        Row{"ff02::1", false, false, false, true}, Row{"2001:db8::1", false, false, false, false}}) {
    CAPTURE(row.text);
    const auto a = ip(row.text);
    CHECK(a.is_unspecified() == row.unspecified);
    CHECK(a.is_loopback() == row.loopback);
    CHECK(a.is_link_local() == row.link_local);
    CHECK(a.is_multicast() == row.multicast);
  }
}

TEST_CASE("endpoints from and to text") {
  CHECK(endpoint("1.2.3.4:5") == Endpoint{IpAddress::v4(0x01020304), 5});
  for (const std::string text : {"1.2.3.4:5", "[::1]:65535", "0.0.0.0:0"}) CHECK(endpoint(text).text() == text);
  for (const std::string bad :
       {"", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:+1", "1.2.3.4:1x", "1.2.3.4: 1", "::1:5",
        "::1", "[::1]", "[1.2.3.4]:5", "[]:5", "[::1:5", "host:5", ":5"}) {
    CAPTURE(bad);
    CHECK_FALSE(Endpoint::from(bad));
  }
}

TEST_CASE("compact endpoints (BEP 23, BEP 7)") {
  const Buffer six = {1, 2, 3, 4, 0x1a, 0xe1};
  CHECK(Endpoint::from_compact(six)->text() == "1.2.3.4:6881");
  Buffer eighteen(18);
  eighteen[15] = 1;
  eighteen[17] = 80;
  CHECK(Endpoint::from_compact(eighteen)->text() == "[::1]:80");

  Buffer out;
  Endpoint::from_compact(six)->append_compact(out);
  Endpoint::from_compact(eighteen)->append_compact(out);
  CHECK(ByteView(out).first(6)[4] == 0x1a);
  CHECK(to_buffer(ByteView(out).first(6)) == six);
  CHECK(to_buffer(ByteView(out).subspan(6)) == eighteen);
  for (std::size_t n = 0; n < 24; ++n) CHECK(Endpoint::from_compact(Buffer(n)).has_value() == (n == 6 || n == 18));
}

TEST_CASE("hosts as people type them") {
  struct Row {
    std::string text;
    std::string host;
    std::uint16_t port;
  };
  for (const auto& row :
       {Row{"nas", "nas", 0}, Row{"nas:6969", "nas", 6969}, Row{"nas.local:1", "nas.local", 1},
        Row{"1.2.3.4", "1.2.3.4", 0}, Row{"1.2.3.4:80", "1.2.3.4", 80}, Row{"::1", "::1", 0},
        Row{"fd7a::1", "fd7a::1", 0}, Row{"[::1]", "::1", 0}, Row{"[::1]:6969", "::1", 6969}, Row{"nas:0", "nas", 0}}) {
    CAPTURE(row.text);
    const auto h = parse_host_port(row.text);
    REQUIRE(h);
    CHECK(h->host == row.host);
    CHECK(h->port == row.port);
  }
  for (const std::string bad : {"", ":6969", "nas:", "nas:x", "nas:65536", "nas:-1", "nas:1:2", "[::1", "[::1]x",
                                "[::1]:", "[::1]:x", "[nas]:1", "[1.2.3.4]:1", "[]", "[]:1", ":::"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_host_port(bad));
  }
}

TEST_CASE("neighbouring endpoints hash apart") {
  std::unordered_set<std::size_t> hashes;
  for (std::uint32_t host = 0; host < 100; ++host) {
    for (std::uint16_t port = 0; port < 100; ++port) {
      hashes.insert(std::hash<Endpoint>{}({IpAddress::v4(0x0a000000 + host), port}));
    }
  }
  CHECK(hashes.size() == 10000);
}
