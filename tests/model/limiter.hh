// The limiter's naive twin: one signed sum of nano-tokens, so that nothing is ever rounded. Good for rates and sums up to 1 GB.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/instant.hh"

namespace model {

struct Limiter {
  explicit Limiter(std::int64_t rate_max) : rate(rate_max), nano_tokens(nano_tokens_max()) {}

  static constexpr std::int64_t nano = 1'000'000'000;
  std::int64_t rate;
  std::int64_t nano_tokens;
  swarm::Instant filled{};

  std::int64_t nano_tokens_max() const { return std::max<std::int64_t>(rate / 10, 16'384) * nano; }

  void fill(swarm::Instant now) {
    for (; filled < now; filled += std::min<swarm::Duration>(now - filled, swarm::Duration(1'000'000))) {
      const auto step = std::min<swarm::Duration>(now - filled, swarm::Duration(1'000'000));
      nano_tokens = std::min(nano_tokens + step.count() * rate, nano_tokens_max());
    }
  }
  std::uint64_t available(swarm::Instant now) {
    fill(now);
    return nano_tokens <= 0 ? 0 : static_cast<std::uint64_t>(nano_tokens / nano);
  }
  void take(std::uint64_t bytes, swarm::Instant now) {
    fill(now);
    nano_tokens -= static_cast<std::int64_t>(bytes) * nano;
  }
};

}  // namespace model
