#include "base/crc32c.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

using namespace swarm;

TEST_CASE("crc32c: the vectors of RFC 3720, B.4") {
  CHECK(crc32c(as_bytes("123456789")) == 0xe3069283);
  CHECK(crc32c({}) == 0);
  Buffer bytes(32);
  CHECK(crc32c(bytes) == 0x8a9136aa);
  std::ranges::fill(bytes, std::uint8_t{0xff});
  CHECK(crc32c(bytes) == 0x62a8ab43);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  CHECK(crc32c(bytes) == 0x46dd794e);
  std::ranges::reverse(bytes);
  CHECK(crc32c(bytes) == 0x113fdb5c);
}
