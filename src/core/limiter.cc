#include "core/limiter.hh"

#include <algorithm>

#include "wire/peer_message.hh"

namespace swarm::core {

namespace {

constexpr std::uint64_t rate_counted_max = 16'000'000'000;  // a second's worth of nano-tokens still fits 64 bits
constexpr std::uint64_t nano = 1'000'000'000;

}  // namespace

Limiter::Limiter(std::uint64_t rate_max) : rate_(rate_max > rate_counted_max ? 0 : rate_max), tokens_(tokens_max()) {}

std::uint64_t Limiter::available(Instant now) {
  if (rate_ == 0) return UINT64_MAX;
  fill(now);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(tokens_, 0));
}

void Limiter::take(std::uint64_t bytes, Instant now) {
  if (rate_ == 0) return;
  fill(now);
  tokens_ -= static_cast<std::int64_t>(bytes);
}

std::optional<Instant> Limiter::ready_at(Instant now) {
  if (rate_ == 0) return std::nullopt;
  fill(now);
  const std::int64_t lacking = std::int64_t{wire::block_bytes} - tokens_;
  if (lacking <= 0) return std::nullopt;
  const auto tokens = static_cast<std::uint64_t>(lacking);
  const std::uint64_t nano_rest = tokens % rate_ * nano;  // of the last second that begins
  Duration wait = std::chrono::seconds(tokens / rate_);
  if (nano_rest >= nano_tokens_) {
    wait += Duration((nano_rest - nano_tokens_ + rate_ - 1) / rate_);
  } else {
    wait -= Duration((nano_tokens_ - nano_rest) / rate_);
  }
  return now + wait;
}

void Limiter::set_rate(std::uint64_t rate_max, Instant now) {
  fill(now);
  const bool was_unlimited = rate_ == 0;
  rate_ = rate_max > rate_counted_max ? 0 : rate_max;
  tokens_ = was_unlimited ? tokens_max() : std::min(tokens_, tokens_max());
  nano_tokens_ = 0;
  filled_ = now;
}

void Limiter::fill(Instant now) {
  if (now <= filled_ || rate_ == 0) return;
  const auto passed = filled_ == Instant::min() ? Duration::zero() : now - filled_;
  filled_ = now;
  const auto whole = static_cast<std::uint64_t>(passed / 1s);
  const auto room = static_cast<std::uint64_t>(tokens_max() - tokens_);
  if (whole <= room / rate_) {
    const std::uint64_t nano_tokens = static_cast<std::uint64_t>((passed % 1s).count()) * rate_ + nano_tokens_;
    const std::uint64_t gained = whole * rate_ + nano_tokens / nano;
    nano_tokens_ = nano_tokens % nano;
    if (gained < room) {
      tokens_ += static_cast<std::int64_t>(gained);
      return;
    }
  }
  tokens_ = tokens_max();  // full: what comes now is spilt
  nano_tokens_ = 0;
}

std::int64_t Limiter::tokens_max() const {
  return static_cast<std::int64_t>(std::max<std::uint64_t>(rate_ / 10, wire::block_bytes));
}

}  // namespace swarm::core
