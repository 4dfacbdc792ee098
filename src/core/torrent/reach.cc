#include "core/torrent/reach.hh"

#include <algorithm>
#include <utility>

namespace swarm::core {

void Reach::on_second(double rate, std::uint32_t served, Instant now) {
  const auto [lower, higher] = std::minmax({rate, std::exchange(last_rate_, rate)});
  if (trial_second_ == 1) {
    trial_second_ = 2;
    return;
  }
  if (trial_second_ == 2) judge(rate, now);
  if (served < served_max_ || lower == 0 || higher > more * lower || served_max_ >= most || now < not_before_) return;
  trial_second_ = 1;
  rate_before_ = higher;
  served_max_ *= 2;
}

/// The end of a trial.
void Reach::judge(double rate, Instant now) {
  trial_second_ = 0;
  if (rate >= more * rate_before_) return;
  served_max_ /= 2;
  not_before_ = now + hold;
}

}  // namespace swarm::core
