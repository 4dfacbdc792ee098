// Handle: a libuv handle that is owned. Dropping it closes it; its memory goes in the close callback, on a later turn
// of the loop, so that a callback may drop the very handle that it was called for.
#pragma once

#include <uv.h>

#include <memory>
#include <utility>

namespace swarm::uv {

/// H is a libuv handle, or a struct that inherits the libuv handle Raw and adds what its callbacks need.
template <class H, class Raw = H>
struct CloseHandle {
  void operator()(H* handle) const noexcept {
    handle->data = nullptr;  // callbacks that still come find no owner
    uv_close(reinterpret_cast<uv_handle_t*>(static_cast<Raw*>(handle)),
             [](uv_handle_t* closed) noexcept { delete static_cast<H*>(reinterpret_cast<Raw*>(closed)); });
  }
};

template <class H, class Raw = H>
using Handle = std::unique_ptr<H, CloseHandle<H, Raw>>;

/// A handle on which `init(handle)`, a uv_*_init, was called; nothing when that failed, with the error in *status.
template <class H, class Raw = H, class Init>
Handle<H, Raw> make_handle(Init&& init, int* status = nullptr) {
  auto fresh = std::make_unique<H>();
  const int result = std::forward<Init>(init)(fresh.get());
  if (status != nullptr) *status = result;
  if (result != 0) return {};  // never initialised: nothing to close
  fresh->data = nullptr;
  return Handle<H, Raw>(fresh.release());
}

}  // namespace swarm::uv
