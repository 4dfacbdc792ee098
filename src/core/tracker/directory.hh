// Directory: which peers announced which torrent, for any client (BEP 3, 7, 23, 48). Memory only: peers come back by themselves.
//
// Rules
// 1. A peer is an address and a port within a torrent; announcing again replaces what was known, `stopped` deletes it.
//    Rationale: the source address cannot be made up over TCP, a peer-id can.
// 2. A peer expires after the lifetime of its announce (two intervals; 45 s for heartbeats).
// 3. peers_for() gives a random sample, never the asker itself (by endpoint or id), never port 0, an unspecified, multicast or
//    link-local address, and no IPv6 to an asker on IPv4. Seeds are not given seeds. Rationale: each of those is a connection
//    that cannot come to anything.
// 4. A loopback address means this machine: it is given as it is to askers here; to others `reach` says where this machine is.
// 5. At torrents_max or peers_max a newcomer takes the place of a swarm whose peers all come from one address and that is not
//    kept; without one it is refused. Of 16 such swarms at random one whose address is the most frequent among them goes.
//    Rationale: a flood of random hashes comes from few addresses and so evicts itself, also when it announces each hash from
//    several ports; swarms of two addresses and more are real.
// 6. Kept swarms (those of the catalogue) are never evicted, nor forgotten when empty.
// 7. One address (one /64 in IPv6) has at most peers_per_address_max peers within a torrent, and at most
//    torrents_per_address_max torrents that began with it; more of either are refused, while those that are known may
//    announce again. Rationale: a reply is a sample, and one address shall not be able to fill it; both bounds leave room for
//    an office behind one address.
// Rule 7 counts in tables of fixed size (the first one by two hashes, of which the smaller count holds): a count is never too
// small, and too large by more than a few with a chance that nobody can raise, since the hashes are keyed.
// Complexity: announce, remove, counts O(1); peers_for O(peers looked at), at most 2,000; sweep a thirtieth of the table a
// call. Hashes are keyed, since strangers choose them. Memory <= 200 bytes a peer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/digest.hh"
#include "base/endpoint.hh"
#include "base/instant.hh"
#include "base/random.hh"
#include "wire/announce.hh"

namespace swarm::core {

class Directory {
 public:
  struct Limits {
    std::size_t torrents_max = 100'000;
    std::size_t peers_max = 1'000'000;
    std::uint16_t peers_per_address_max = 256;
    std::uint32_t torrents_per_address_max = 25'000;
  };
  struct Peer {
    Endpoint endpoint;  ///< source address and listening port
    PeerId id;
    bool seed : 1 = false;
    bool here : 1 = false;          ///< on the tracker's own machine
    bool can_be_given : 1 = false;  ///< rule 3, as far as it is not about who asks: found out once, when it announces
  };
  struct Asker {
    Endpoint endpoint;
    PeerId id;
    bool seed = false;
    bool here = false;
  };
  struct Counts {
    std::uint32_t seeds = 0, leechers = 0, downloaded = 0;
  };
  /// Where a peer on the tracker's machine is found from elsewhere.
  using Reach = std::function<Endpoint(const Peer&)>;

  Directory(Limits limits, Random& random);
  ~Directory();

  /// False: full (rule 5), or too many from this address (rule 7). `completed` counts a download.
  bool announce(const InfoHash& torrent, const Peer& peer, bool completed, Duration lifetime, Instant now);
  void remove(const InfoHash& torrent, const Endpoint& peer);
  std::vector<wire::AnnouncedPeer> peers_for(const InfoHash& torrent, const Asker& asker, std::size_t want,
                                             const Reach& reach, Instant now);
  Counts counts(const InfoHash& torrent) const;
  void keep(const InfoHash& torrent, bool on);  ///< rule 6
  void sweep(Instant now);                      ///< once a second: forgets the expired, all of them within 30 calls

  std::size_t peers() const { return peers_; }
  std::size_t torrents() const { return swarms_.size(); }

 private:
  struct Stored : Peer {
    std::uint32_t expires_s = 0;
  };
  struct Swarm;
  struct KeyedHash {
    std::uint64_t key;
    std::size_t operator()(const InfoHash& hash) const noexcept;
  };
  using Swarms = std::unordered_map<InfoHash, Swarm, KeyedHash>;
  using Entry = Swarms::value_type;

  class Crowds;
  Entry* find(const InfoHash& torrent) const;
  bool is_crowded(const Entry* swarm, std::uint64_t owner) const;
  bool make_room();
  void insert(Entry& swarm, const Stored& peer);
  void erase(Entry& swarm, std::uint32_t at);
  void settle(Entry& swarm);
  void drop(Entry& swarm);

  Limits limits_;
  Random& random_;
  Swarms swarms_;
  mutable Entry* last_ = nullptr;  ///< found last: an announce asks for its torrent three times
  std::vector<Entry*> singles_;    ///< what rule 5 may evict, in no order; each knows its place
  std::unique_ptr<Crowds> crowds_;
  std::size_t peers_ = 0;
  std::size_t next_bucket_ = 0;  ///< where the next sweep goes on
};

}  // namespace swarm::core
