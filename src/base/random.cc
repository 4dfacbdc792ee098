#include "base/random.hh"

#include <bit>

#include "base/check.hh"

namespace swarm {

// xoshiro256** 1.0 by David Blackman and Sebastiano Vigna, its state filled by splitmix64 as they advise.
Random::Random(std::uint64_t seed) noexcept {
  for (auto& word : state_) {
    seed += 0x9e3779b97f4a7c15u;
    std::uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    word = z ^ z >> 31;
  }
}

std::uint64_t Random::next() noexcept {
  const auto result = std::rotl(state_[1] * 5, 7) * 9;
  const auto t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) noexcept {
  SWARM_CHECK(bound > 0);
  // 2^64 mod bound numbers, the lowest, are refused, so that the rest divides evenly. Whether one is among them is nearly always
  // plain without a division: they are all below the bound.
  for (;;) {
    const auto n = next();
    if (n >= bound || n >= (0 - bound) % bound) return n % bound;
  }
}

double Random::unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

void Random::fill(ByteSpan bytes) noexcept {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i, word >>= 8) {
    if (i % 8 == 0) word = next();
    bytes[i] = static_cast<std::uint8_t>(word);  // lowest byte first, on every machine
  }
}

}  // namespace swarm
