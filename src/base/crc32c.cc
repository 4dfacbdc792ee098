#include "base/crc32c.hh"

#include <array>

namespace swarm {

namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // 0x1edc6f41, lowest bit first

constexpr std::array<std::uint32_t, 256> table = [] {
  std::array<std::uint32_t, 256> t{};
  for (std::uint32_t i = 0; i < t.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    t[i] = crc;
  }
  return t;
}();

}  // namespace

// A byte at a time: what is hashed here is eight to thirty-two bytes long.
std::uint32_t crc32c(ByteView bytes) noexcept {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const auto byte : bytes) crc = crc >> 8 ^ table[(crc ^ byte) & 0xff];
  return ~crc;
}

}  // namespace swarm
