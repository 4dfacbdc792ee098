#include "core/torrent/web_seeds.hh"

#include <algorithm>
#include <utility>

namespace swarm::core {

namespace {
constexpr std::uint64_t first_range = 1u << 20, range_max = 16u << 20;
constexpr Duration rest_first = 10s, rest_max = 10min;
}  // namespace

std::uint64_t WebSeed::next_length(double rate, std::uint64_t bytes_free, std::size_t sources,
                                   std::uint32_t piece_bytes) const {
  const auto by_rate = std::clamp(static_cast<std::uint64_t>(2 * rate), first_range, range_max);
  const std::uint64_t share = bytes_free / (2 * std::max<std::size_t>(sources, 1));
  return std::min(by_rate, std::max<std::uint64_t>(share, piece_bytes));
}

void WebSeed::ended(bool whole, Instant now) {
  next_from = whole && done == length ? offset + length : 0;
  length = 0;
  if (whole) {
    errors = 0;
    return;
  }
  rests_until = now + std::min(rest_max, rest_first * (1 << std::min(errors, 6u)));
  ++errors;
}

bool WebSeed::learn_in_order() {
  if (std::exchange(in_order, true)) return false;
  length = 0;
  return true;
}

}  // namespace swarm::core
