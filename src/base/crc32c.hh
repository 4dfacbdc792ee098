// CRC-32C (Castagnoli; RFC 3720, B.4): what BEP 40 and BEP 42 mix addresses with. It protects nothing from an attacker.
#pragma once

#include <cstdint>

#include "base/bytes.hh"

namespace swarm {

std::uint32_t crc32c(ByteView bytes) noexcept;

}  // namespace swarm
