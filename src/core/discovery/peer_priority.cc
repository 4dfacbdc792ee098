#include "core/discovery/peer_priority.hh"

#include <algorithm>
#include <array>

#include "base/crc32c.hh"

namespace swarm::core {

namespace {

/// The whole first bytes, then every other bit: of a larger network only some of the bits tell its members apart.
void copy_masked(ByteView address, std::size_t whole_bytes, std::uint8_t* out) {
  for (std::size_t i = 0; i < address.size(); ++i) out[i] = address[i] & (i < whole_bytes ? 0xff : 0x55);
}

std::uint32_t of_ports(std::uint16_t a, std::uint16_t b) {
  std::array<std::uint8_t, 4> bytes{};
  store_u16(bytes.data(), std::min(a, b));
  store_u16(bytes.data() + 2, std::max(a, b));
  return crc32c(bytes);
}

}  // namespace

std::uint32_t peer_priority(const Endpoint& ours, const Endpoint& theirs) {
  if (ours.address == theirs.address) return of_ports(ours.port, theirs.port);
  const bool v4 = ours.address.is_v4() && theirs.address.is_v4();
  const auto a = ByteView(ours.address.bytes).last(v4 ? 4 : 16);
  const auto b = ByteView(theirs.address.bytes).last(v4 ? 4 : 16);
  // FF.FF.55.55, or FFFF:FFFF:FFFF:5555:…; one byte more for each that both have in common there and behind.
  const auto common = static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin());
  const std::size_t least = v4 ? 2 : 6;
  const auto whole = common < least ? least : common + 1;
  std::array<std::uint8_t, 32> both{};
  std::uint8_t *one = both.data(), *other = one + a.size(), *end = other + b.size();
  copy_masked(a, whole, one);
  copy_masked(b, whole, other);
  if (std::lexicographical_compare(other, end, one, other)) std::swap_ranges(one, other, other);
  return crc32c(ByteView(one, end));
}

}  // namespace swarm::core
