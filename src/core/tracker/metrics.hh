// Metrics: the tracker's counters as /metrics shows them, in the text format of Prometheus (version 0.0.4).
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace swarm::core {

/// What only the driver knows; zeros are left out.
struct ProcessFacts {
  std::uint64_t resident_bytes = 0;
  std::uint64_t connections = 0;  ///< over TCP
};

/// Gauges are as of now; what ends in _total counts from the start of the process and never goes back.
struct Metrics {
  std::string version;
  std::uint64_t nodes = 0, plain_nodes = 0;
  std::uint64_t torrents = 0, peers = 0;
  std::uint64_t catalogue_files = 0, catalogue_bytes = 0;  ///< bytes of the .torrent files
  std::uint64_t followers = 0;
  std::uint64_t http_announces_total = 0, udp_announces_total = 0, beats_total = 0;
  std::uint64_t bytes_down_total = 0, bytes_up_total = 0;  ///< as nodes tell
  std::map<int, std::uint64_t> requests_total;             ///< by status
  ProcessFacts process;
};

std::string metrics_text(const Metrics& metrics);

}  // namespace swarm::core
