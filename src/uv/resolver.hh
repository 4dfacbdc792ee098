// Lookup: a host's name asked once, on the worker pool. Dropping it before the answer forgets the question.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/endpoint.hh"
#include "base/error.hh"
#include "uv/loop.hh"

namespace swarm::uv {

class Lookup {
 public:
  /// IPv4 and IPv6, each once, in the order of RFC 6724; at least one. Errors: Exit::unreachable "no_such_host".
  using Done = std::function<void(Result<std::vector<IpAddress>>)>;

  /// `done` is called on a later turn of the loop and may destroy this. An address as text is given back as it stands.
  Lookup(Loop& loop, const std::string& host, Done done);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

 private:
  struct State;
  State* state_;  ///< owned by libuv until it answers; then nothing
};

}  // namespace swarm::uv
