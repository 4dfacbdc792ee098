#include "uv/signals.hh"

#include <csignal>

namespace swarm::uv {

Signals::Signals(Loop& loop, std::function<void(int)> on_signal) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    auto handle =
        make_handle<State, uv_signal_t>([&loop](uv_signal_t* signal) { return uv_signal_init(loop.raw(), signal); });
    if (!handle) continue;  // no descriptors: the signal keeps its default, which ends the process
    handle->on_signal = on_signal;
    uv_signal_start(
        handle.get(), [](uv_signal_t* signal, int number) noexcept { static_cast<State*>(signal)->on_signal(number); },
        number);
    uv_unref(reinterpret_cast<uv_handle_t*>(handle.get()));
    handles_.push_back(std::move(handle));
  }
}

void ignore_sigpipe() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace swarm::uv
