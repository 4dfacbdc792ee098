#include "core/tracker/metrics.hh"

#include <fmt/format.h>

#include <iterator>
#include <string_view>

namespace swarm::core {
namespace {

class Text {
 public:
  /// The lines that come before the values of one metric.
  Text& metric(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    return *this;
  }
  Text& value(std::uint64_t value) {
    fmt::format_to(std::back_inserter(text_), "{} {}\n", name_, value);
    return *this;
  }
  /// Labels' values are words of ours and need no escapes.
  Text& value(std::string_view label, std::string_view word, std::uint64_t value) {
    fmt::format_to(std::back_inserter(text_), "{}{{{}=\"{}\"}} {}\n", name_, label, word, value);
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  std::string_view name_;
};

}  // namespace

std::string metrics_text(const Metrics& m) {
  Text t;
  t.metric("swarm_tracker_build_info", "gauge", "Always 1; the version is in the label.");
  t.value("version", m.version, 1);
  t.metric("swarm_tracker_nodes", "gauge", "Nodes in the live view: swarm's own, and other clients.");
  t.value("kind", "swarm", m.nodes).value("kind", "plain", m.plain_nodes);
  t.metric("swarm_tracker_torrents", "gauge", "Torrents that somebody announces or that are in the catalogue.");
  t.value(m.torrents);
  t.metric("swarm_tracker_peers", "gauge", "Peers over all torrents.").value(m.peers);
  t.metric("swarm_tracker_catalogue_files", "gauge", "Names in the catalogue.").value(m.catalogue_files);
  t.metric("swarm_tracker_catalogue_bytes", "gauge", "Bytes of the .torrent files in the catalogue.");
  t.value(m.catalogue_bytes);
  t.metric("swarm_tracker_followers", "gauge", "Connections that follow /api/v1/events.").value(m.followers);
  t.metric("swarm_tracker_announces_total", "counter", "Announces, by how they came.");
  t.value("protocol", "http", m.http_announces_total).value("protocol", "udp", m.udp_announces_total);
  t.value("protocol", "heartbeat", m.beats_total);
  t.metric("swarm_tracker_node_bytes_total", "counter", "Payload that swarm's nodes say they moved.");
  t.value("direction", "down", m.bytes_down_total).value("direction", "up", m.bytes_up_total);
  t.metric("swarm_tracker_requests_total", "counter", "HTTP requests, by the status of the answer.");
  for (const auto& [status, count] : m.requests_total) t.value("status", fmt::format("{}", status), count);
  if (m.process.connections != 0) {
    t.metric("swarm_tracker_connections", "gauge", "Open TCP connections.").value(m.process.connections);
  }
  if (m.process.resident_bytes != 0) {
    t.metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.");
    t.value(m.process.resident_bytes);
  }
  return t.take();
}

}  // namespace swarm::core
