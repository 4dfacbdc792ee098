// UdpTrackers: announces to trackers that speak UDP (BEP 15): the names, the socket and the clock around the machines of
// core/discovery/udp_announce.hh.
//
// Rules
// 1. A host's addresses are kept for 5 min, 256 hosts at most. Rationale: a thousand torrents of one tracker ask for it
//    once.
// 2. A host with IPv4 and IPv6 addresses is announced to by both, since a tracker that takes the address of a peer from
//    the packet knows two swarms then. Their peers are merged.
// 3. The second answer is waited for 2 s after the first; it is not worth a later start of the download.
// 4. Of several addresses of a family the first is taken; one that does not answer goes to the end of the list.
// 5. The answers must come from the address and port that were asked.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hh"
#include "uv/address.hh"
#include "uv/loop.hh"
#include "wire/announce.hh"

namespace swarm::uv {

class UdpTrackers {
 public:
  using Done = std::function<void(const Result<wire::AnnounceReply>&)>;

  explicit UdpTrackers(Loop& loop, Interface interface = {});
  ~UdpTrackers();  ///< drops what is under way; no `done` is called any more
  UdpTrackers(const UdpTrackers&) = delete;
  UdpTrackers& operator=(const UdpTrackers&) = delete;

  /// `done`, which must not destroy this, is called exactly once, on a later turn of the loop, within 60 s and what looking up the name takes (3 s when
  /// the event is `stopped`). A refusal by the tracker is a reply with `failure`. Errors: Exit::unreachable, Exit::usage
  /// "bad_url" for what is no udp:// URL with a port, Exit::disk when there is no socket to be had.
  void announce(const std::string& url, wire::AnnounceRequest request, Done done);
  /// These are the addresses of a host, for the next 5 min, as if its name had been looked up.
  void know(const std::string& host, std::vector<IpAddress> addresses);
  std::size_t under_way() const;  ///< bounded by who asks: the core asks once a torrent and tracker

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::uv
