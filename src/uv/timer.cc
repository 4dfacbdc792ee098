#include "uv/timer.hh"

#include <algorithm>
#include <utility>

namespace swarm::uv {

Timer::Timer(Loop& loop, std::function<void()> on_time)
    : state_(make_handle<State, uv_timer_t>([&loop](uv_timer_t* timer) { return uv_timer_init(loop.raw(), timer); })) {
  state_->on_time = std::move(on_time);
  state_->data = state_.get();
}

void Timer::start(Duration after) { begin(after, {}); }
void Timer::every(Duration period) { begin(period, period); }
void Timer::stop() { uv_timer_stop(state_.get()); }
bool Timer::running() const { return uv_is_active(reinterpret_cast<const uv_handle_t*>(state_.get())) != 0; }
void Timer::unref() { uv_unref(reinterpret_cast<uv_handle_t*>(state_.get())); }

void Timer::begin(Duration after, Duration period) {
  // The loop's time is a truncated and possibly old reading of the same clock: count from the true one.
  uv_update_time(state_->loop);
  const auto at_ns = uv_hrtime() + static_cast<std::uint64_t>(std::max<std::int64_t>(after.count(), 0));
  const auto at_ms = (at_ns + 999'999) / 1'000'000;
  const auto now_ms = uv_now(state_->loop);
  const auto period_ms = static_cast<std::uint64_t>((period.count() + 999'999) / 1'000'000);
  uv_timer_start(
      state_.get(), [](uv_timer_t* timer) noexcept { static_cast<State*>(timer)->on_time(); },
      at_ms > now_ms ? at_ms - now_ms : 0, period_ms);
}

}  // namespace swarm::uv
