// Announces: what the announce or the scrape of any client does, whichever way it came (HTTP, UDP): to the directory, to
// the live view, and in the reply.
//
// Rules
// 1. A peer is where its packet came from and the port that it says; an `ip` that it claims is not believed.
// 2. A reply names at most peers_max peers, peers_default when the client does not say how many it wants, none to one that
//    stopped.
// 3. A peer on the tracker's own machine is given to askers elsewhere at the address by which they found the tracker,
//    unless it says that it listens at others only. Rationale: what it announces from is 127.0.0.1, which is nobody else.
// 4. A scrape tells of at most scrape_max torrents, as many as fit into one over UDP (BEP 15).
#pragma once

#include <cstddef>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/digest.hh"
#include "base/endpoint.hh"
#include "base/instant.hh"
#include "core/tracker/catalogue.hh"
#include "core/tracker/directory.hh"
#include "core/tracker/nodes.hh"
#include "wire/announce.hh"

namespace swarm::core {

/// Who asks, and where it found the tracker.
struct Caller {
  Endpoint from, local;
  Instant now;
  bool here = false;  ///< on the tracker's own machine: by loopback, or by the address that it also came to

  Caller(const Endpoint& f, const Endpoint& l, Instant n)
      : from(f), local(l), now(n), here(f.address.is_loopback() || f.address == l.address) {}
};

class Announces {
 public:
  static constexpr std::size_t peers_default = 50, peers_max = 200;  ///< a reply
  static constexpr std::size_t scrape_max = 74;

  struct Policy {
    std::uint32_t interval_s = 120;
    bool catalogued_only = false;
  };

  /// All of them outlive this.
  Announces(Policy policy, const Catalogue& catalogue, Directory& directory, Nodes& nodes)
      : policy_(policy), catalogue_(catalogue), directory_(directory), nodes_(nodes) {}

  /// The reply, or a static text that says why there is none. The request's port is not 0.
  tl::expected<wire::AnnounceReply, std::string_view> on_announce(const wire::AnnounceRequest& request,
                                                                  const Caller& caller);
  wire::ScrapeEntry scrape(const InfoHash& torrent) const;
  std::vector<wire::AnnouncedPeer> peers_for(const Caller& caller, const InfoHash& torrent,
                                             const Directory::Asker& asker, std::size_t want) const;
  bool serves(const InfoHash& torrent) const {
    return !policy_.catalogued_only || catalogue_.name_of(torrent) != nullptr;
  }

 private:
  Endpoint reach(const Caller& caller, const Directory::Peer& peer) const;  ///< rule 3

  Policy policy_;
  const Catalogue& catalogue_;
  Directory& directory_;
  Nodes& nodes_;
};

}  // namespace swarm::core
