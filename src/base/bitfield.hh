// One bit per piece, in the order of the wire (BEP 3): bit 0 is the highest of the first byte; spare bits are always 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.hh"
#include "base/ids.hh"

namespace swarm {

class Bitfield {
 public:
  Bitfield() = default;
  explicit Bitfield(std::size_t bits, bool value = false);

  /// Exactly ceil(bits/8) bytes with spare bits 0, else nothing.
  static std::optional<Bitfield> from(ByteView bytes, std::size_t bits);

  std::size_t size() const { return bits_; }
  std::size_t count() const { return count_; }  ///< bits set; O(1)
  bool all() const { return count_ == bits_; }
  bool none() const { return count_ == 0; }
  bool operator[](std::size_t i) const { return bytes_[i >> 3] >> (7 - (i & 7)) & 1; }
  bool operator[](PieceIndex p) const { return (*this)[std::size_t{number(p)}]; }
  void set(std::size_t i, bool value = true);
  void set(PieceIndex p, bool value = true) { set(std::size_t{number(p)}, value); }
  void set_all(bool value);
  /// The first bit at or after `from` with this value, or size().
  std::size_t find(bool value, std::size_t from = 0) const;
  ByteView bytes() const { return bytes_; }

  bool operator==(const Bitfield&) const = default;

 private:
  Buffer bytes_;
  std::size_t bits_ = 0;
  std::size_t count_ = 0;
};

}  // namespace swarm
