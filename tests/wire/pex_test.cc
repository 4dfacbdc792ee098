#include "wire/pex.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

Endpoint at(std::string_view text) { return *Endpoint::from(text); }

PexMessage decoded(std::string_view text) {
  const auto m = decode_pex(as_bytes(text));
  REQUIRE(m);
  return *m;
}

using namespace std::string_literals;

}  // namespace

TEST_CASE("pex: all fields, to the byte") {
  PexMessage m;
  m.added = {{at("1.2.3.4:5"), pex_seed | pex_reachable}, {at("[2001:db8::1]:6"), pex_utp}, {at("9.8.7.6:65535"), 0}};
  m.dropped = {at("[2001:db8::2]:7"), at("1.1.1.1:8")};
  const auto v6 = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"s;
  CHECK(as_text(encode(m)) == "d5:added12:\1\2\3\4\0\5\x09\x08\x07\x06\xff\xff"s + "7:added.f2:\x12\0"s +
                                  "6:added618:" + v6 + "\1\0\6"s + "8:added6.f1:\4" + "7:dropped6:\1\1\1\1\0\x08"s +
                                  "8:dropped618:" + v6 + "\2\0\7"s + "e");
  const auto back = decode_pex(encode(m));
  REQUIRE(back);
  CHECK(back->added == std::vector<PexPeer>{m.added[0], m.added[2], m.added[1]});
  CHECK(back->dropped == std::vector<Endpoint>{m.dropped[1], m.dropped[0]});
  CHECK(as_text(encode(PexMessage{})) == "d5:added0:7:added.f0:6:added60:8:added6.f0:7:dropped0:8:dropped60:e");
}

TEST_CASE("pex: at most fifty and fifty are written") {
  PexMessage m;
  for (std::uint32_t i = 0; i < 80; ++i) {
    auto v6 = at("[2001:db8::1]:1");
    v6.address.bytes[14] = static_cast<std::uint8_t>(i);
    const auto one = i % 2 == 0 ? Endpoint{IpAddress::v4(0x0a000001 + i), 1} : v6;
    m.added.push_back({one, static_cast<std::uint8_t>(i)});
    m.dropped.push_back(one);
  }
  const auto back = decode_pex(encode(m));
  REQUIRE(back);
  REQUIRE(back->added.size() == 50);
  CHECK(back->dropped.size() == 50);
  for (const auto& peer : back->added) CHECK(std::ranges::find(m.added, peer) - m.added.begin() < 50);
}

TEST_CASE("pex: up to two hundred and two hundred are read") {
  std::string v4, v6;
  for (int i = 0; i < 300; ++i) {
    const auto low = static_cast<char>(i), high = static_cast<char>(1 + i / 256);
    v4 += "\x0a\0"s + high + low + "\0\1"s;
    v6 += "\x20\x01"s + std::string(12, '\0') + high + low + "\0\1"s;
  }
  const auto message =
      "d5:added1800:" + v4 + "6:added65400:" + v6 + "7:dropped1800:" + v4 + "8:dropped65400:" + v6 + "e";
  auto m = decoded(message);
  CHECK(m.added.size() == 200);
  CHECK(m.dropped.size() == 200);
  m = decoded("d5:added600:" + v4.substr(0, 600) + "6:added65400:" + v6 + "e");
  CHECK(m.added.size() == 200);
  CHECK(std::ranges::count_if(m.added, [](const PexPeer& p) { return p.endpoint.address.is_v4(); }) == 100);
}

TEST_CASE("pex: odd ones") {
  CHECK_FALSE(decode_pex(as_bytes("")));
  CHECK_FALSE(decode_pex(as_bytes("le")));
  CHECK(decoded("de").added.empty());
  CHECK(decoded("d5:addedi5e7:droppedlee").added.empty());
  // Port 0, no address, twice the same, half a peer; the flags stay with their peers.
  const auto m = decoded("d5:added28:\1\2\3\4\0\0\0\0\0\0\0\5\1\2\3\4\0\5\1\2\3\4\0\5\1\2\3\4"s +
                         "7:added.f4:\1\2\4\x08" + "7:dropped7:\1\2\3\4\0\6\1"s + "e");
  REQUIRE(m.added.size() == 1);
  CHECK(m.added[0].endpoint == at("1.2.3.4:5"));
  CHECK(m.added[0].flags == pex_utp);
  CHECK(m.dropped == std::vector{at("1.2.3.4:6")});
  const auto short_flags = decoded("d5:added12:\1\2\3\4\0\5\1\2\3\4\0\6"s + "7:added.f1:\x10" + "e");
  REQUIRE(short_flags.added.size() == 2);
  CHECK(short_flags.added[0].flags == pex_reachable);
  CHECK(short_flags.added[1].flags == 0);
  CHECK(decoded("d5:added6:\1\2\3\4\0\5"s + "7:added.f9:123456789e").added.size() == 1);
  CHECK(decoded("d5:added6:\1\2\3\4\0\5"s + "ejunk").added.size() == 1);
}

TEST_CASE("pex: any bytes") {
  Random random(11);
  PexMessage m;
  m.added = {{at("1.2.3.4:5"), 1}, {at("1.2.3.5:5"), 2}, {at("[::1]:6"), 4}};
  m.dropped = {at("1.2.3.6:5"), at("[::2]:6")};
  const auto good = encode(m);
  int read = 0;
  for (int run = 0; run < 20'000; ++run) {
    auto bytes = good;
    for (auto n = random.below(6); n > 0 && !bytes.empty(); --n) {
      const auto place = random.below(bytes.size());
      if (random.below(8) == 0)
        bytes.resize(place);
      else
        bytes[place] = static_cast<std::uint8_t>(random.next());
    }
    const auto one = decode_pex(bytes);
    if (!one) continue;
    ++read;
    REQUIRE(one->added.size() + one->dropped.size() <= bytes.size() / 6);
    const auto again = decode_pex(encode(*one));
    REQUIRE(again);
    REQUIRE(again->added == one->added);  // v4 came first, so the order stays
    REQUIRE(again->dropped == one->dropped);
  }
  CHECK(read > 5'000);
}
