// Random bytes fit for keys, ids and seeds: mbedTLS CTR-DRBG over the kernel's entropy.
#pragma once

#include <cstdint>

#include "base/bytes.hh"

namespace swarm::uv {

/// Fills all of it, or stops the program: nothing safe can be done without entropy. Any thread.
void random_bytes(ByteSpan bytes) noexcept;
std::uint64_t random_u64() noexcept;

}  // namespace swarm::uv
