// SHA-1 as a value: fed in order, copied in the middle, finished once. Pure; no allocation.
#pragma once

#include <cstddef>

#include "base/bytes.hh"
#include "base/digest.hh"

namespace swarm {

class Sha1 {
 public:
  Sha1() noexcept;
  void update(ByteView bytes) noexcept;
  /// The digest of all that was fed. The object starts afresh afterwards.
  Sha1Digest finish() noexcept;

  /// As first.update(first_bytes) and second.update(second_bytes), of two different objects. Where the processor has SHA
  /// instructions, two digests so fed take hardly longer than one: as far as both go, bytes that begin at whole blocks.
  friend void update_both(Sha1& first, ByteView first_bytes, Sha1& second, ByteView second_bytes) noexcept;

 private:
  alignas(8) unsigned char state_[128];  ///< the library's context; its size is checked in sha1.cc
};

Sha1Digest sha1(ByteView bytes) noexcept;

}  // namespace swarm
