// Nodes: who is in the swarm and how far: swarm nodes by their heartbeats, other clients ("plain") by their announces.
//
// Rules
// 1. A node is what beats under one id; a plain client is what announces from one address and port. A plain client that
//    announces one torrent over two addresses with one peer-id is shown once. swarm's own announces are not shown: beats follow.
// 2. A beat that is older than the last one is not looked at, but counts as a sign of life.
// 3. Bitmaps: `have` replaces, `gained` adds to what is known; without anything to add to, the bitmap is asked for.
//    Pieces are counted only in agreement with the catalogue, or with the first node where the catalogue knows nothing.
// 4. Percent from the bytes left where the size is known, else from the bitmap; 100 only when the node says that it is whole.
// 5. The seeders are those that are whole in everything they share.
// 6. A node that is silent for max(3 s, 3 beats) is shown with its age, and forgotten after 60 s; a plain client is shown with
//    its age and forgotten, torrent by torrent, after two intervals.
// 7. At most nodes_max nodes, plain_max plain clients (plain_per_address_max from one address), shares_max torrents a node,
//    all_shares_max torrents over all of them and bitmap_bytes_max of bitmaps are kept; what is beyond is served by the
//    directory all the same, and not shown.
// 8. bytes_down and bytes_up are sums over all nodes of what each moved since its first beat about a torrent. They never go
//    back, since a monitor takes what does for a restart.
// Complexity: a beat O(torrents × log nodes + pieces gained); a bitmap O(pieces); view O(nodes); sweep O(nodes).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bitfield.hh"
#include "base/digest.hh"
#include "base/endpoint.hh"
#include "base/instant.hh"
#include "core/tracker/copies.hh"
#include "core/tracker/notices.hh"
#include "wire/announce.hh"
#include "wire/control.hh"

namespace swarm::core {

class Nodes {
 public:
  static constexpr std::size_t nodes_max = 20'000;
  static constexpr std::size_t plain_max = 4'096;
  static constexpr std::size_t plain_per_address_max = 64;
  static constexpr std::size_t shares_max = 1'000;
  static constexpr std::size_t all_shares_max = 200'000;
  static constexpr std::size_t bitmap_bytes_max = 256u << 20;
  static constexpr std::size_t holders_told_max = 4'000, holders_bytes_max = 2u << 20;

  /// What else is known of a torrent. Zeros where nothing is.
  struct Facts {
    std::string name;  ///< in the catalogue, or the info-hash in hex
    std::uint64_t bytes = 0;
    std::uint32_t pieces = 0;
  };
  using FactsOf = std::function<Facts(const InfoHash&)>;

  Nodes(FactsOf facts, Notices& notices);

  /// `interval` is between beats, as the node was told.
  void on_beat(const wire::Beat& beat, const Endpoint& peer, Duration interval, Instant now);
  /// `interval` is between announces, as the client was told.
  void on_announce(const wire::AnnounceRequest& request, const Endpoint& peer, Duration interval, Instant now);
  void sweep(Instant now);

  bool wants_have(const std::string& node, const InfoHash& torrent) const;  ///< rule 3
  std::optional<Endpoint> endpoint(const std::string& node) const;          ///< as of its last beat
  const std::vector<IpAddress>* addresses(const PeerId& id) const;          ///< as declared in its beats
  double copies(const InfoHash& torrent) const;
  std::uint32_t pieces(const InfoHash& torrent) const;                     ///< 0: unknown
  std::vector<InfoHash> torrents() const;                                  ///< that anybody here has
  std::vector<wire::StatusNode> view(std::size_t max, Instant now) const;  ///< seeders first, then by name
  /// At most holders_told_max of them, with at most holders_bytes_max of bitmaps: the reply stays within what its readers take.
  wire::PieceHolders holders(const InfoHash& torrent) const;
  std::size_t size() const { return nodes_.size(); }
  std::size_t plain() const { return plain_.size(); }
  bool empty() const { return nodes_.empty() && plain_.empty(); }
  std::uint64_t bytes_down() const { return bytes_down_; }  ///< rule 8
  std::uint64_t bytes_up() const { return bytes_up_; }

 private:
  struct Share {  ///< one torrent at one node
    bool whole = false;
    std::optional<Bitfield> have;  ///< counted in Copies; nothing when whole or unknown
    std::uint32_t pieces = 0;      ///< as the node says
    std::optional<std::uint64_t> left;
    double rate_down = 0, rate_up = 0;
    std::uint32_t peers = 0;
    std::uint64_t bytes_down = 0, bytes_up = 0;  ///< as told last
    PeerId id;                                   ///< plain: some clients use another for each torrent
    Instant seen;                                ///< plain: rule 6
  };
  struct Node {
    std::string id, name;
    Endpoint endpoint;
    bool plain = false;
    std::uint64_t sequence = 0;
    Duration every{};  ///< expected between signs of life
    Instant seen;
    PeerId peer_id;
    std::vector<IpAddress> addresses;
    std::map<InfoHash, Share> shares;

    bool is_seeder() const;
    std::string role() const { return is_seeder() ? "seeder" : "leecher"; }
    std::string address() const { return endpoint.text(); }
  };
  struct Held {  ///< one torrent over all nodes
    Copies copies;
    std::uint32_t shares = 0;
  };

  void on_beat_torrent(Node& node, const wire::BeatTorrent& t, Instant now);
  void on_pieces(Share& share, Held& held, const wire::BeatTorrent& t);
  void agree_on(Held& held, const InfoHash& torrent, std::uint32_t pieces);
  Share* share_of(Node& node, const InfoHash& torrent);
  void note_new(const Node& node, const std::string& file, bool whole);
  void set_whole(Share& share, Held& held, bool whole);
  void set_have(Share& share, Held& held, std::optional<Bitfield> have);
  void drop_share(Node& node, std::map<InfoHash, Share>::iterator share);
  void drop(Node& node, bool silent);
  bool has_room_for_plain(const IpAddress& address) const;
  bool bitmap_fits(std::uint32_t pieces) const { return bitmap_bytes_ + pieces / 8 < bitmap_bytes_max; }
  wire::StatusNode status_of(const Node& node, Instant now) const;
  wire::StatusNodeFile status_of(const InfoHash& torrent, const Share& share) const;

  FactsOf facts_;
  Notices& notices_;
  std::map<std::string, Node> nodes_;
  std::map<Endpoint, Node> plain_;
  std::unordered_map<IpAddress, std::size_t> plain_at_;        ///< how many of plain_, by address
  std::map<PeerId, std::string> ids_;                          ///< of nodes_, for addresses()
  std::map<std::pair<InfoHash, PeerId>, Endpoint> plain_ids_;  ///< of plain_, for rule 1
  std::map<InfoHash, Held> torrents_;
  std::size_t bitmap_bytes_ = 0;
  std::size_t shares_ = 0;  ///< of all nodes
  std::uint64_t bytes_down_ = 0, bytes_up_ = 0;
};

}  // namespace swarm::core
