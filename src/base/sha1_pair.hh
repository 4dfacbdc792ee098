// Two SHA-1 states advanced side by side, by the processor's SHA instructions. What Sha1's update_both() is made of.
//
// A round of SHA-1 waits for the one before it, so a single digest leaves such a processor idle more than half of the
// time: the rounds of a second one fit in between. nettle feeds one digest at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swarm {

inline constexpr std::size_t sha1_block_bytes = 64;

bool has_sha1_pair() noexcept;  ///< does this processor have the instructions?

/// Feeds `blocks` whole blocks to each of two states of five words (FIPS 180-4, 6.1). Only where has_sha1_pair().
void sha1_compress_pair(std::uint32_t* first, const std::uint8_t* first_data, std::uint32_t* second,
                        const std::uint8_t* second_data, std::size_t blocks) noexcept;

}  // namespace swarm
