#include "uv/loop.hh"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "base/check.hh"
#include "uv/signals.hh"
#include "uv/workers.hh"

namespace swarm::uv {

namespace {

/// Every peer is a descriptor, and the usual soft limit is 1,024.
void raise_descriptor_limit() {
  constexpr rlim_t wanted = 65'536;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create() {
  ignore_sigpipe();
  raise_descriptor_limit();
  Workers::size_pool();
  std::unique_ptr<Loop> loop(new Loop);
  if (const int status = uv_loop_init(&loop->loop_); status != 0) {
    return fail(Exit::other, "no_loop", fmt::format("cannot start the event loop: {}", uv_strerror(status)),
                "raise the limit of open files (ulimit -n)");
  }
  loop->made_ = true;
  return loop;
}

Loop::~Loop() {
  if (!made_) return;
  uv_walk(
      &loop_, [](uv_handle_t* handle, void*) noexcept { SWARM_CHECK(uv_is_closing(handle)); }, nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);  // close callbacks free the memory
  SWARM_CHECK(uv_loop_close(&loop_) == 0);
}

Instant Loop::now() const { return Instant(Duration(static_cast<std::int64_t>(uv_hrtime()))); }

void Loop::run() { uv_run(&loop_, UV_RUN_DEFAULT); }

bool Loop::run_once(bool wait) { return uv_run(&loop_, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT) != 0; }

void Loop::stop() { uv_stop(&loop_); }

}  // namespace swarm::uv
