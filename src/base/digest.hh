// Fixed-size hashes as values: compared, ordered, printed and parsed.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hh"

namespace swarm {

/// N bytes of a hash, an info-hash or an id. Value-initialised to zeros.
template <std::size_t N>
struct Digest {
  std::array<std::uint8_t, N> bytes{};

  auto operator<=>(const Digest&) const = default;

  /// The view must be exactly N bytes long, else nothing.
  static std::optional<Digest> from(ByteView view) {
    if (view.size() != N) return std::nullopt;
    Digest d;
    std::memcpy(d.bytes.data(), view.data(), N);
    return d;
  }
  ByteView view() const { return bytes; }
};

using Sha1Digest = Digest<20>;
using Sha256Digest = Digest<32>;
using InfoHash = Sha1Digest;  ///< SHA-1 of the raw info dictionary (BEP 3)
using PeerId = Digest<20>;    ///< 20 bytes, "-SW0100-" and 12 random ones for ours

/// Lower-case hex, two digits a byte.
std::string to_hex(ByteView bytes);
/// Upper or lower case; nothing when the length is odd or a character is not a hex digit.
std::optional<Buffer> from_hex(std::string_view text);

template <std::size_t N>
std::string to_hex(const Digest<N>& d) {
  return to_hex(d.view());
}
template <std::size_t N>
std::optional<Digest<N>> digest_from_hex(std::string_view text) {
  auto bytes = from_hex(text);
  return bytes ? Digest<N>::from(*bytes) : std::nullopt;
}

}  // namespace swarm

template <std::size_t N>
struct std::hash<swarm::Digest<N>> {
  std::size_t operator()(const swarm::Digest<N>& d) const noexcept {
    std::size_t h = 0;
    std::memcpy(&h, d.bytes.data(), sizeof h);  // a hash is random enough where it starts
    std::size_t tail = 0;
    std::memcpy(&tail, d.bytes.data() + N - sizeof tail, sizeof tail);
    return h ^ tail * 0x9e3779b97f4a7c15u;
  }
};
