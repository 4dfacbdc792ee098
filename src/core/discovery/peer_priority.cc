#include "core/discovery/peer_priority.hh"

#include <algorithm>
#include <array>

#include "base/crc32c.hh"

namespace swarm::core {

namespace {

/// The whole first bytes, then every other bit: of a larger network only some of the bits tell its members apart.
Buffer masked(ByteView address, std::size_t whole_bytes) {
  Buffer out = to_buffer(address);
  for (std::size_t i = whole_bytes; i < out.size(); ++i) out[i] &= 0x55;
  return out;
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
  const auto one = masked(a, whole), other = masked(b, whole);
  auto both = std::min(one, other);
  append(both, std::max(one, other));
  return crc32c(both);
}

}  // namespace swarm::core
