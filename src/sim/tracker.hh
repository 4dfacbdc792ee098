// Tracker: a host of the simulated network that runs the same TrackerServer as `swarm tracker` does. What it must keep is kept in a
// state folder that outlives the process; nodes and peers are not.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/bytes.hh"
#include "base/endpoint.hh"
#include "core/tracker/server.hh"
#include "sim/network.hh"
#include "sim/world.hh"

namespace swarm::sim {

class Tracker {
 public:
  /// Starts at once. The endpoint's address is the host's.
  Tracker(World& world, Host& host, std::uint16_t port);

  void start();
  void crash();
  bool running() const { return server_ != nullptr; }
  std::uint32_t incarnation() const { return incarnation_; }

  /// A request has arrived; running() is true.
  wire::HttpResponse on_request(const wire::HttpRequest& request, const Endpoint& from);
  Host& host() { return host_; }
  std::string url() const { return "http://" + local_.text(); }
  core::TrackerServer& server() { return *server_; }
  const std::map<std::string, Buffer>& catalogue() const { return state_; }

 private:
  void wake();

  World& world_;
  Host& host_;
  Endpoint local_;
  std::unique_ptr<core::TrackerServer> server_;
  std::map<std::string, Buffer> state_;  ///< the state folder: name → .torrent
  std::uint32_t incarnation_ = 0;
  Instant wake_at_ = Instant::max();  ///< the earliest wake-up that is under way
};

}  // namespace swarm::sim
