#include "base/bitfield.hh"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.hh"

namespace swarm {

namespace {

/// The bits in use of the last byte; all eight when the last byte is full.
std::uint8_t last_byte_mask(std::size_t bits) {
  const auto used = bits % 8;
  return used == 0 ? 0xff : static_cast<std::uint8_t>(0xff << (8 - used));
}

}  // namespace

Bitfield::Bitfield(std::size_t bits, bool value) : bytes_((bits + 7) / 8), bits_(bits) { set_all(value); }

std::optional<Bitfield> Bitfield::from(ByteView bytes, std::size_t bits) {
  if (bytes.size() != (bits + 7) / 8) return std::nullopt;
  if (!bytes.empty() && (bytes.back() & ~last_byte_mask(bits)) != 0) return std::nullopt;
  Bitfield out;
  out.bytes_.assign(bytes.begin(), bytes.end());
  out.bits_ = bits;
  for (const auto b : bytes) out.count_ += static_cast<std::size_t>(std::popcount(b));
  return out;
}

void Bitfield::set(std::size_t i, bool value) {
  SWARM_CHECK(i < bits_);
  if ((*this)[i] == value) return;
  bytes_[i >> 3] ^= static_cast<std::uint8_t>(0x80 >> (i & 7));
  count_ = value ? count_ + 1 : count_ - 1;
}

void Bitfield::set_all(bool value) {
  std::fill(bytes_.begin(), bytes_.end(), value ? 0xff : 0);
  if (!bytes_.empty()) bytes_.back() &= last_byte_mask(bits_);
  count_ = value ? bits_ : 0;
}

std::size_t Bitfield::find(bool value, std::size_t from) const {
  const std::uint8_t flip = value ? 0 : 0xff;  // looking for 0 is looking for 1 in the complement
  for (std::size_t i = from; i < bits_;) {
    const auto at = i >> 3;
    const auto rest = static_cast<std::uint8_t>((bytes_[at] ^ flip) << (i & 7));
    if (rest != 0) return std::min(bits_, i + static_cast<std::size_t>(std::countl_zero(rest)));  // not a spare bit
    i = (at + 1) * 8;
    for (std::uint64_t word = 0; i / 8 + sizeof word <= bytes_.size(); i += 64) {  // 64 bits at a step where nothing is
      std::memcpy(&word, bytes_.data() + i / 8, sizeof word);
      if (word != (value ? 0 : ~std::uint64_t{0})) break;
    }
  }
  return bits_;
}

}  // namespace swarm
