// TrackerFinder: what -t means, and whether a swarm tracker is there: one hello to each.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "uv/http_client.hh"
#include "wire/control.hh"

namespace swarm::cli {

constexpr std::uint16_t tracker_port = 6969;

/// A tracker as a person named it.
struct TrackerAddress {
  std::string base;       ///< "http://nas:6969", where the API is asked; "udp://nas:6969" has none
  std::string announce;   ///< "http://nas:6969/announce", for torrents and other clients
  std::string label;      ///< "nas:6969"
  std::string typed;      ///< the shortest that -t takes: "nas"
  bool loopback = false;  ///< no other machine can use it

  bool udp() const { return base.starts_with("udp://"); }  ///< a plain tracker, without asking it
};

/// "nas", "nas:7000", "[::1]:7000", "http://nas:7000", "https://host/announce", "udp://host:port". A bare host means http
/// and port 6969. Exit::usage for what is none of them.
Result<TrackerAddress> parse_tracker(std::string_view text);

struct FoundTracker {
  TrackerAddress address;
  enum class Kind { swarm, plain, silent } kind = Kind::silent;
  wire::Hello hello;  ///< swarm
  Error error;        ///< silent: why; plain: what an API call to it comes to
};

/// Asks all at once; `done` is called once, on a later turn of the loop, with one entry per address, in order.
void find_trackers(uv::HttpClient& http, std::vector<TrackerAddress> addresses,
                   std::function<void(std::vector<FoundTracker>)> done);

/// UX.md: what to say when there is no tracker at all; `command` is what was typed, up to -t.
Error no_tracker_error(const std::string& command);
/// The error of a connection to a tracker, in UX.md's words.
Error tracker_error(const TrackerAddress& address, const Error& from_http);
/// The error behind a reply of the API that is not 2xx: the tracker's own words where it has some.
Error api_error(const TrackerAddress& address, const wire::HttpResponse& reply);

}  // namespace swarm::cli
