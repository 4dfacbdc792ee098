#include "base/sha1_pair.hh"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

// Only what is marked so may use these instructions: the program also runs where they are missing.
#define SWARM_SHA __attribute__((target("sha,sse4.1")))

namespace swarm {

namespace {

/// One digest on its way: registers, when all is inlined.
struct Lane {
  __m128i abcd, e;  ///< the state's words, the first in the highest place
  __m128i w[4];     ///< the last sixteen words of the message schedule, four at a time
};

/// The n-th four of the eighty rounds; n, and with it the round's constant and function, is known to the compiler.
template <int n>
SWARM_SHA inline __attribute__((always_inline)) void four_rounds(Lane& lane) {
  __m128i(&w)[4] = lane.w;
  if constexpr (n >= 4) {
    const __m128i mixed = _mm_xor_si128(_mm_sha1msg1_epu32(w[n % 4], w[(n + 1) % 4]), w[(n + 2) % 4]);
    w[n % 4] = _mm_sha1msg2_epu32(mixed, w[(n + 3) % 4]);
  }
  const __m128i input = n == 0 ? _mm_add_epi32(lane.e, w[0]) : _mm_sha1nexte_epu32(lane.e, w[n % 4]);
  lane.e = lane.abcd;
  lane.abcd = _mm_sha1rnds4_epu32(lane.abcd, input, n / 5);
}

template <int n = 0>
SWARM_SHA inline __attribute__((always_inline)) void all_rounds(Lane& a, Lane& b) {
  if constexpr (n < 20) {
    four_rounds<n>(a);
    four_rounds<n>(b);
    all_rounds<n + 1>(a, b);
  }
}

SWARM_SHA inline __attribute__((always_inline)) void load_state(Lane& lane, const std::uint32_t* state) {
  lane.abcd = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(state)), 0x1b);
  lane.e = _mm_set_epi32(static_cast<int>(state[4]), 0, 0, 0);
}
SWARM_SHA inline __attribute__((always_inline)) void store_state(const Lane& lane, std::uint32_t* state) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_shuffle_epi32(lane.abcd, 0x1b));
  state[4] = static_cast<std::uint32_t>(_mm_extract_epi32(lane.e, 3));
}
SWARM_SHA inline __attribute__((always_inline)) void load_block(Lane& lane, const std::uint8_t* data) {
  const __m128i reversed = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);  // big-endian, first word highest
  for (int i = 0; i < 4; ++i) {
    lane.w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data) + i), reversed);
  }
}
/// The state after a block is the sum of what it was and what the rounds made of it.
SWARM_SHA inline __attribute__((always_inline)) void add(Lane& lane, __m128i abcd, __m128i e) {
  lane.abcd = _mm_add_epi32(lane.abcd, abcd);
  lane.e = _mm_sha1nexte_epu32(lane.e, e);
}

}  // namespace

bool has_sha1_pair() noexcept {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSE4_1) == 0 || (c & bit_SSSE3) == 0) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
  }();
  return has;
}

SWARM_SHA void sha1_compress_pair(std::uint32_t* first, const std::uint8_t* first_data, std::uint32_t* second,
                                  const std::uint8_t* second_data, std::size_t blocks) noexcept {
  Lane a, b;
  load_state(a, first);
  load_state(b, second);
  for (std::size_t i = 0; i < blocks; ++i) {
    const Lane a_before = a, b_before = b;
    load_block(a, first_data + i * sha1_block_bytes);
    load_block(b, second_data + i * sha1_block_bytes);
    all_rounds(a, b);
    add(a, a_before.abcd, a_before.e);
    add(b, b_before.abcd, b_before.e);
  }
  store_state(a, first);
  store_state(b, second);
}

}  // namespace swarm

#else

#include "base/check.hh"

namespace swarm {

bool has_sha1_pair() noexcept { return false; }
void sha1_compress_pair(std::uint32_t*, const std::uint8_t*, std::uint32_t*, const std::uint8_t*,
                        std::size_t) noexcept {
  SWARM_CHECK(false);
}

}  // namespace swarm

#endif
