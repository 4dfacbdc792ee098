// Limiter: a token bucket for one direction of the whole process.
//
// Rules
// 1. Tokens (bytes) come at rate_max a second, up to a tenth of a second's worth but at least one block of 16 KiB.
// 2. A taker may overdraw by what it took last (messages are not cut); the debt is paid before anything more is given.
//    Rationale: exact over seconds, no fragments.
// 3. rate_max == 0: everything is allowed, nothing is counted. So it is above 16 GB/s, which nothing here reaches.
// Complexity: O(1). Exact: no token is lost or won by asking more often.
#pragma once

#include <cstdint>
#include <optional>

#include "base/instant.hh"

namespace swarm::core {

class Limiter {
 public:
  explicit Limiter(std::uint64_t rate_max = 0);
  std::uint64_t available(Instant now);  ///< bytes that may be taken now; UINT64_MAX when unlimited
  void take(std::uint64_t bytes, Instant now);
  /// When at least one block may be taken; nothing when it may already (or always).
  std::optional<Instant> ready_at(Instant now);
  void set_rate(std::uint64_t rate_max, Instant now);

 private:
  void fill(Instant now);
  std::int64_t tokens_max() const;

  std::uint64_t rate_ = 0;           ///< 0: unlimited
  std::int64_t tokens_ = 0;          ///< negative: debt
  std::uint64_t nano_tokens_ = 0;    ///< the part of a token that came already, in 1e-9
  Instant filled_ = Instant::min();  ///< tokens_ is right for this moment
};

}  // namespace swarm::core
