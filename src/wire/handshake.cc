#include "wire/handshake.hh"

#include <algorithm>
#include <string_view>

namespace swarm::wire {

namespace {

constexpr std::string_view prefix =
    "\x13"
    "BitTorrent protocol";
static_assert(prefix.size() == handshake_prefix_bytes);

// The reserved bytes stand behind the prefix; BEP 10, 6 and 5 name a byte and a bit each.
constexpr std::size_t reserved_at = handshake_prefix_bytes;
constexpr std::size_t hash_at = reserved_at + 8;
constexpr std::uint8_t extended_bit = 0x10;  // of byte 5
constexpr std::uint8_t fast_bit = 0x04;      // of byte 7
constexpr std::uint8_t dht_bit = 0x01;       // of byte 7

}  // namespace

std::array<std::uint8_t, handshake_bytes> encode(const Handshake& h) {
  std::array<std::uint8_t, handshake_bytes> out{};
  std::copy(prefix.begin(), prefix.end(), out.begin());
  if (h.extended) out[reserved_at + 5] |= extended_bit;
  if (h.fast) out[reserved_at + 7] |= fast_bit;
  if (h.dht) out[reserved_at + 7] |= dht_bit;
  std::copy(h.info_hash.bytes.begin(), h.info_hash.bytes.end(), out.begin() + hash_at);
  std::copy(h.peer_id.bytes.begin(), h.peer_id.bytes.end(), out.begin() + handshake_until_hash_bytes);
  return out;
}

bool is_handshake_prefix(ByteView start) {
  const auto n = std::min(start.size(), prefix.size());
  return as_text(start.first(n)) == prefix.substr(0, n);
}

Handshake decode_handshake_start(std::span<const std::uint8_t, handshake_until_hash_bytes> bytes) {
  Handshake h;
  h.extended = (bytes[reserved_at + 5] & extended_bit) != 0;
  h.fast = (bytes[reserved_at + 7] & fast_bit) != 0;
  h.dht = (bytes[reserved_at + 7] & dht_bit) != 0;
  std::copy(bytes.begin() + hash_at, bytes.end(), h.info_hash.bytes.begin());
  return h;
}

}  // namespace swarm::wire
