#include "core/discovery/peer_priority.hh"

#include <doctest/doctest.h>

#include "base/crc32c.hh"
#include "base/digest.hh"
#include "base/random.hh"

using namespace swarm;
using core::peer_priority;

namespace {

Endpoint at(std::string_view text) { return *Endpoint::from(text); }

std::uint32_t of(std::string_view hex) { return crc32c(*from_hex(hex)); }

}  // namespace

TEST_CASE("peer priority: the examples of BEP 40") {
  CHECK(of("624C14007BD50000") == 0xec2d7224);
  CHECK(peer_priority(at("123.213.32.10:1"), at("98.76.54.32:2")) == 0xec2d7224);
  CHECK(peer_priority(at("98.76.54.32:2"), at("123.213.32.10:1")) == 0xec2d7224);
  CHECK(peer_priority(at("123.213.32.10:1"), at("123.213.32.234:2")) == 0x99568189);
  CHECK(peer_priority(at("123.213.32.234:2"), at("123.213.32.10:1")) == 0x99568189);
}

TEST_CASE("peer priority: the nearer, the more of the address counts") {
  // The same /16: FF.FF.FF.55.
  CHECK(peer_priority(at("10.1.2.255:1"), at("10.1.3.255:1")) == of("0a010255"
                                                                    "0a010355"));
  // The same /24: all of it.
  CHECK(peer_priority(at("10.1.2.255:1"), at("10.1.2.254:1")) == of("0a0102fe"
                                                                    "0a0102ff"));
  // The same address: the ports, the lower one first.
  CHECK(peer_priority(at("230.12.123.3:1234"), at("230.12.123.3:300")) == of("012c04d2"));
  CHECK(peer_priority(at("[ffff::1]:1234"), at("[ffff::1]:300")) == of("012c04d2"));
}

TEST_CASE("peer priority: IPv6, from /48 on byte by byte") {
  CHECK(peer_priority(at("[2001:db8:1:ffff:ffff:ffff:ffff:ffff]:1"), at("[2001:db8:2:ffff:ffff:ffff:ffff:ffff]:1")) ==
        of("20010db8000155555555555555555555"
           "20010db8000255555555555555555555"));
  CHECK(peer_priority(at("[2001:db8:1:ffff:ffff:ffff:ffff:ffff]:1"), at("[2001:db8:1:feff:ffff:ffff:ffff:ffff]:1")) ==
        of("20010db80001fe555555555555555555"
           "20010db80001ff555555555555555555"));
  CHECK(peer_priority(at("[2001:db8:1:ffff:ffff:ffff:ffff:ffff]:1"), at("[2001:db8:1:fffe:ffff:ffff:ffff:ffff]:1")) ==
        of("20010db80001fffe5555555555555555"
           "20010db80001ffff5555555555555555"));
  CHECK(peer_priority(at("[2001:db8::1]:1"), at("[2001:db8::2]:1")) == of("20010db8000000000000000000000001"
                                                                          "20010db8000000000000000000000002"));
}

TEST_CASE("peer priority: both ends compute the same, also of two families") {
  Random random(40);
  for (int run = 0; run < 5000; ++run) {
    const auto any = [&] {
      Endpoint e;
      e.port = static_cast<std::uint16_t>(random.next());
      if (random.below(2) == 0) {
        e.address = IpAddress::v4(0x0a000000 | static_cast<std::uint32_t>(random.below(4) << random.below(24)));
      } else {
        e.address = *IpAddress::from("2001:db8::");
        e.address.bytes[random.below(16)] = static_cast<std::uint8_t>(random.below(4));
      }
      return e;
    };
    const auto a = any(), b = any();
    REQUIRE(peer_priority(a, b) == peer_priority(b, a));
    if (a.address == b.address) continue;
    auto other_port = b;
    ++other_port.port;
    REQUIRE(peer_priority(a, other_port) == peer_priority(a, b));
  }
}
