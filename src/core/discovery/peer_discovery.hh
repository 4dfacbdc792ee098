// PeerDiscovery: all that tells one torrent of peers, and whom to connect to next: its trackers (announces, or heartbeats to
// swarm's own), the person, other peers. It routes between the announcer, the heartbeats and the address book.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/context.hh"
#include "core/discovery/announcer.hh"
#include "core/discovery/heartbeat.hh"
#include "core/torrent/address_book.hh"

namespace swarm::core {

class PeerDiscovery {
 public:
  static constexpr std::size_t peers_sought = 50;  ///< we open connections up to so many; more may come to us
  static constexpr std::size_t half_open_max = 16;
  /// Where swarm nodes are met, up to so many: more than twice the partners that each of them wants (core/torrent/partners.hh), so that it finds
  /// them. More would cost a message each for every piece, and bring nothing.
  static constexpr std::size_t nodes_sought = 20;
  /// The same where all nodes are far away (core/torrent/turns.hh, rule 14).
  static constexpr std::size_t peers_sought_far = 100, nodes_sought_far = 64;
  struct Connections {
    std::size_t all = 0;
    std::size_t half_open = 0;  ///< without a handshake
    std::size_t nodes = 0;      ///< that are swarm nodes
    bool far = false;           ///< these are
  };

  PeerDiscovery(TorrentId torrent, std::vector<std::vector<std::string>> trackers, Context& context, Instant now);

  AddressBook& addresses() { return addresses_; }
  const AddressBook& addresses() const { return addresses_; }
  /// Our own addresses are left out.
  void add(const Endpoint& peer, bool by_person, Instant now);
  std::uint32_t priority(const Endpoint& peer) const;  ///< BEP 40
  bool near(const IpAddress& peer) const;              ///< in a network of ours: one /24, or one /64 of IPv6
  /// Opens connections while more are sought.
  void connect_more(Connections have, Instant now);
  bool seeks_more(const Connections& have) const;

  // Trackers. `seeding`: this torrent is complete, so that one of the seeders counted is ourselves.
  std::optional<Announcer::Ask> next_ask(Instant now) { return announcer_.next_ask(now); }
  void on_announced(const std::string& url, const wire::AnnounceReply& reply, bool seeding, Instant now);
  void on_announce_failed(const std::string& url, const std::string& why, Instant now);
  std::vector<std::string> take_swarm_trackers() { return announcer_.take_swarm_trackers(); }
  void attach(Heartbeat& heartbeat);
  void on_beat_reply(const wire::BeatReplyTorrent& reply, bool seeding, Instant now);
  void want_peers(bool lacking, Instant now) { announcer_.want_peers(lacking, now); }
  std::uint32_t seeders_known() const { return seeders_known_; }  ///< at the trackers' last word, without us

  // What the trackers are told of.
  void on_gained(PieceIndex piece);
  void on_checked(PieceIndex piece, bool ok, const std::vector<Endpoint>& from);
  void on_completed(Instant now);
  void on_gone(Instant now);  ///< the torrent stops: `stopped`
  bool stopped() const { return announcer_.stopped(); }

  /// For the trackers, and for addresses when `dialling` (not before `tick`).
  std::optional<Instant> next_wake(bool dialling, Instant tick) const;

 private:
  void notice(TrackerNews news) { context_.actions.notices.push_back(std::move(news)); }

  TorrentId torrent_;
  Context& context_;
  AddressBook addresses_;
  Announcer announcer_;
  std::vector<Heartbeat*> heartbeats_;
  std::uint32_t seeders_known_ = 0;
  std::string trouble_;  ///< the last one told, so that it is told once
  bool stopping_ = false;
};

}  // namespace swarm::core
