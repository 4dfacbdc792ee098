#include "sim/free_rider.hh"

#include <doctest/doctest.h>

#include "base/random.hh"
#include "wire/handshake.hh"

using namespace swarm;
using namespace swarm::sim;

namespace {

void put(Buffer& out, std::uint32_t length, std::initializer_list<std::uint8_t> body) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(length >> shift));
  out.insert(out.end(), body);
}

}  // namespace

TEST_CASE("free rider: all passes but unchoke, however the stream is cut") {
  Buffer said(68, 0x13), expected;
  put(said, 0, {});               // keep-alive
  put(said, 5, {4, 0, 0, 0, 9});  // have
  expected = said;
  put(said, 1, {1});  // unchoke
  Buffer rest;
  put(rest, 1, {0});                                       // choke
  put(rest, 9 + 16384, {7, 0, 0, 0, 1, 0, 0, 0x40, 0});    // a block: its payload goes another way
  put(rest, 2, {20, 1});                                   // an extension message of two bytes
  put(rest, 13, {6, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1});  // request
  said.insert(said.end(), rest.begin(), rest.end());
  put(said, 1, {1});
  expected.insert(expected.end(), rest.begin(), rest.end());
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    FreeRider rider;
    Buffer passed;
    for (std::size_t at = 0; at < said.size();) {
      const auto length = std::min<std::size_t>(said.size() - at, round == 0 ? said.size() : 1 + random.below(40));
      const Buffer& now = rider.filter(ByteView(said).subspan(at, length));
      passed.insert(passed.end(), now.begin(), now.end());
      at += length;
    }
    CHECK(passed == expected);
  }
}
