#include "uv/resolver.hh"

#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.hh"
#include "base/text.hh"
#include "uv/address.hh"

namespace swarm::uv {

struct Lookup::State : uv_getaddrinfo_t {
  std::string host;
  Done done;
  Lookup* owner = nullptr;
};

namespace {

Result<std::vector<IpAddress>> answer(const std::string& host, int status, const addrinfo* found) {
  std::vector<IpAddress> out;
  for (; found != nullptr; found = found->ai_next) {
    if (found->ai_family != AF_INET && found->ai_family != AF_INET6) continue;
    const auto address = from_sockaddr(found->ai_addr).address;
    if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(address);
  }
  if (!out.empty()) return out;
  const bool unknown = status == 0 || status == UV_EAI_NONAME || status == UV_EAI_NODATA || status == UV_EINVAL;
  const auto why = unknown ? std::string() : fmt::format(" ({})", uv_strerror(status));
  return fail(Exit::unreachable, "no_such_host", fmt::format("cannot find host {}{}", printable(host), why),
              "check the spelling, or give its address");
}

}  // namespace

Lookup::Lookup(Loop& loop, const std::string& host, Done done) : state_(new State) {
  state_->host = host;
  state_->done = std::move(done);
  state_->owner = this;
  const uv_getaddrinfo_cb on_answer = [](uv_getaddrinfo_t* request, int status, addrinfo* found) noexcept {
    const std::unique_ptr<State> state(static_cast<State*>(request));
    auto result = state->owner != nullptr ? answer(state->host, status, found) : Result<std::vector<IpAddress>>{};
    uv_freeaddrinfo(found);
    if (state->owner == nullptr) return;
    state->owner->state_ = nullptr;
    state->done(std::move(result));
  };
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;  // else each address comes once per kind of socket
  // An address needs no name server, but takes the same way, so that there is only one. libuv refuses names that are
  // too long for the DNS at once; then an empty one, which exists nowhere, takes the way.
  if (uv_getaddrinfo(loop.raw(), state_, on_answer, host.c_str(), nullptr, &hints) != 0) {
    SWARM_CHECK(uv_getaddrinfo(loop.raw(), state_, on_answer, ".invalid", nullptr, &hints) == 0);
  }
}

Lookup::~Lookup() {
  if (state_ == nullptr) return;
  state_->owner = nullptr;
  uv_cancel(reinterpret_cast<uv_req_t*>(state_));  // when it runs already, its answer is dropped
}

}  // namespace swarm::uv
