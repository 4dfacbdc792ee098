#include "uv/workers.hh"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/check.hh"

namespace swarm::uv {

void Workers::size_pool() {
  const auto cores = std::max(2u, std::thread::hardware_concurrency());
  setenv("UV_THREADPOOL_SIZE", std::to_string(cores).c_str(), 0);  // a person's own setting stays
}

std::size_t Workers::threads() {
  // Once, as libuv does: to count the cores is to read a file.
  static const std::size_t threads = [] {
    size_pool();
    const char* text = std::getenv("UV_THREADPOOL_SIZE");
    const long wanted = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
    return static_cast<std::size_t>(std::clamp(wanted, 1L, 1024L));  // as libuv clamps it
  }();
  return threads;
}

void Workers::begin(Work* work) {
  work->owner = this;
  work->request.data = work;
  work->after = first_;
  if (first_ != nullptr) first_->before = work;
  first_ = work;
  ++count_;
  const int status = uv_queue_work(
      loop_.raw(), &work->request,
      [](uv_work_t* request) noexcept {
        Work& self = *static_cast<Work*>(request->data);
        self.job(self);
        self.finished.store(1, std::memory_order_release);
        self.finished.notify_all();
      },
      [](uv_work_t* request, int) noexcept {
        auto* self = static_cast<Work*>(request->data);
        if (Workers* owner = self->owner) {
          (self->before != nullptr ? self->before->after : owner->first_) = self->after;
          if (self->after != nullptr) self->after->before = self->before;
          --owner->count_;
          self->done(*self);  // may destroy the owner
          self->drop(*self);
        }
        self->free(self);
      });
  SWARM_CHECK(status == 0);
}

Workers::~Workers() {
  for (Work* work = first_; work != nullptr; work = work->after) {
    work->owner = nullptr;
    if (uv_cancel(reinterpret_cast<uv_req_t*>(&work->request)) != 0) work->finished.wait(0, std::memory_order_acquire);
  }
  // Only now, since what one job owns may be what another one used. A callback of the loop frees the rest.
  for (Work* work = first_; work != nullptr; work = work->after) work->drop(*work);
}

}  // namespace swarm::uv
