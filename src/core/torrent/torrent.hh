// Torrent: one torrent of a client. It owns the parts (picker, download, progress, choker, peer discovery) and routes what
// happens to the ones whom it concerns; what to do is their decision. The connections belong to the client.
//
// HAVE, once a piece is stored
// 1. A neighbour that lacks the piece hears of it at once, unless rule 2 has it wait. Rationale: it can ask for it.
// 2. One that gives by turns hears of it with the next message to it, at the latest on the next tick, within a second, or when
//    have_bytes_max wait for it, if it has the piece, or waits for our offers and is no partner (Partners). Rationale: who has it
//    only takes the piece off what is on its way to us (Turns, rule 4); who is no partner is offered it by others, or by us once
//    our line is idle (Turns, rule 7), and learns only how many have it. By itself each piece would cost every neighbour a packet,
//    at N neighbours N sends here and N receives there, which a message that goes to it anyway carries for nothing.
// 3. When the last piece is in, all that waits goes out at once. Rationale: of two that are whole, one can end the connection as soon
//    as it knows.
// 4. Any other that has the piece is not told of it. Rationale: it has no use for that; upload_only (BEP 21) tells it the end.
// Complexity: O(neighbours) a piece and neighbour. What waits lies in the neighbour's send queue, in the order in which it was said.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/client.hh"
#include "core/context.hh"
#include "core/discovery/peer_discovery.hh"
#include "core/peer/peer.hh"
#include "core/torrent/choker.hh"
#include "core/torrent/download.hh"
#include "core/torrent/metadata.hh"
#include "core/torrent/metadata_uploads.hh"
#include "core/torrent/picker.hh"
#include "core/torrent/progress.hh"
#include "core/torrent/super_seed.hh"
#include "core/torrent/turns.hh"
#include "wire/extended.hh"
#include "wire/turns.hh"
#include "wire/ut_metadata.hh"

namespace swarm::core {

class Torrent {
 public:
  Torrent(TorrentId id, AddTorrent add, Context& context, Instant now);

  // Connections: attached from the first moment that they are known to be for this torrent until on_gone.
  void attach(Peer& peer);
  void attach_web_seed(Peer& peer, std::uint32_t number, Instant now);
  void on_connected(Peer& peer, Instant now);  ///< ours to it: the transport is up
  void on_opened(Peer& peer, const wire::Handshake& handshake, Instant now);
  void on_named(Peer& peer, const PeerId& id, Instant now);
  void on_message(Peer& peer, const wire::PeerMessage& message, Instant now);
  void on_payload(Peer& peer, const Session::Payload& fragment, const Received& in, Instant now);
  void on_read(Peer& peer, Instant now);  ///< all of an input was dealt with
  void on_gone(Peer& peer, wire::PeerFault why, Instant now);
  void on_fetched(Peer& web_seed, const Received& in, Instant now);
  void on_fetch_ended(Peer& web_seed, const Result<void>& how, Instant now);
  void next_outgoing(Peer& peer, std::size_t bytes_max, Instant now, Outgoing& out);

  // Of a torrent that was added by its info-hash only.
  void on_metadata_wrong(Instant now);
  void set_info(SetInfo set, Instant now);

  // Disk.
  void on_stored(PieceIndex piece, std::span<const std::uint32_t> wrong_blocks, Instant now);
  void on_hash_failed(PieceIndex piece, Instant now);
  void on_disk_failed(const Error& error, Instant now);
  void on_saved(Instant now);
  void on_finished(Instant now);

  // Discovery.
  void add_peer(const Endpoint& peer, bool by_person, Instant now);
  std::optional<Announcer::Ask> next_ask(Instant now) { return discovery_.next_ask(now); }
  wire::AnnounceRequest announce_request(wire::AnnounceEvent event) const;
  void on_announced(const std::string& url, const wire::AnnounceReply& reply, Instant now);
  void on_announce_failed(const std::string& url, const std::string& why, Instant now);
  std::vector<std::string> take_swarm_trackers() { return discovery_.take_swarm_trackers(); }
  void attach(Heartbeat& heartbeat) { discovery_.attach(heartbeat); }
  void fill(Heartbeat::Entry& entry, Instant now) const;
  void on_beat_reply(const wire::BeatReplyTorrent& reply, Instant now);
  bool moving(Instant now) const;

  void ask_all(Instant now);  ///< the download limiter has let go
  void give_all();            ///< the upload limiter has

  void stop(Instant now);
  bool stopped() const;  ///< the trackers know
  bool saved() const;    ///< nothing more is to be written
  void on_time(Instant now);
  std::optional<Instant> next_wake() const;
  bool waken(Instant now);  ///< a peer has said something; true when next_wake() is sooner now

  Claims claims() const;
  TorrentStats stats(Instant now) const;
  TorrentId id() const { return id_; }
  const TorrentInfo& info() const { return info_; }
  const Bitfield& verified() const { return content_->progress.verified(); }
  bool failed() const { return phase_ == Phase::failed; }

 private:
  void greet(Peer& peer);
  static constexpr Duration busy_tick = 1s, quiet_tick = 5s;
  static constexpr Duration stall_timeout = 30s;  ///< asked and no block came: others may take its blocks
  static constexpr Duration turn_timeout = 5s;    ///< asked who gives by turns, and not a byte came: the same, at least
  static constexpr Duration hungry_after = 10s;   ///< not a byte from anybody, though some have what we lack
  static constexpr Duration freely_for = 10s;     ///< and then nobody's offers are waited for
  static constexpr std::size_t granted_max = 256;      ///< offers of one peer
  static constexpr std::size_t have_bytes_max = 1400;  ///< of HAVEs that wait for one peer: what a packet holds

  void introduce(Peer& peer);
  void introduce_extended(Peer& peer);
  void show_more(Instant now);
  void say(Peer& peer, const wire::PeerMessage& message);
  void tell_have(Peer& peer, PieceIndex piece);
  void send_waiting(Peer& peer);
  void set_has(Peer& peer, Bitfield has, Instant now);
  bool keep_early(Peer& peer, const wire::PeerMessage& message);
  void take_early(Peer& peer, Instant now);
  void update_interest(Peer& peer);
  void ask(Peer& peer, Instant now);
  void ask_web_seed(Peer& peer, Instant now);
  void tell_begun(PieceIndex piece, const Peer* except);
  void end_fetch(Peer& peer, Instant now);
  void release_requests(Peer& peer);
  bool indifferent(const Peer& peer) const;
  void rechoke(Instant now);
  void choke(Peer& peer);
  void on_request(Peer& peer, const wire::BlockRef& block, Instant now);
  void on_extended(Peer& peer, const wire::Extended& message, Instant now);
  void on_introduced(Peer& peer, const wire::ExtendedHandshake& theirs, Instant now);
  void on_metadata(Peer& peer, const wire::MetadataMessage& message, Instant now);
  void ask_metadata(Peer& peer, Instant now);
  void ask_metadata_all(Instant now);
  void give_metadata(Peer& peer, std::uint32_t piece);
  void join_turns(Peer& peer);
  void offer_turns(Instant now);
  void on_turns(Peer& peer, const wire::TurnsMessage& message, Instant now);
  void on_offer(Peer& peer, PieceIndex piece);
  bool granted(PieceIndex piece) const;
  void tell_orphans();
  void look_at_end();
  void ask_granted(Peer& peer, std::size_t most);
  void give_back(Peer& peer, std::span<const wire::BlockRef> blocks);
  void say_taken(Peer& peer);
  void say_turns(Peer& peer, wire::TurnsMessage::Kind kind, std::span<const PieceIndex> pieces);
  void say_turns(Peer& peer, const wire::TurnsMessage& message);
  void tell_turns(wire::TurnsMessage::Kind kind, PieceIndex piece, const Peer* except);
  void settle_duplicates(Peer& peer);
  Peer& least_of_all(Peer& newcomer);
  void on_pex(Peer& peer, const wire::PexMessage& message, Instant now);
  void exchange_peers(Instant now);
  void strike(const Sender& sender, std::uint32_t blocks);
  void ban(const Sender& sender);
  bool banned(const Peer& peer) const;
  PeerDiscovery::Connections connections() const;
  void connect_more(Instant now);
  void look_after(Peer& peer, Instant now);
  Duration patience(const Peer& peer) const;
  void look_after_ourselves(Instant now);
  void check_whole(Instant now);
  void save_when_due(Instant now);
  void begin(const Resume& resume, const Bitfield& wanted, bool sequential, Instant now);
  void notice(Notice n) { context_.actions.notices.push_back(std::move(n)); }
  bool quiet(Instant now) const;
  bool valid(const wire::BlockRef& block) const;
  std::uint64_t bytes_left() const;
  bool complete() const { return known_ && content_->progress.complete(); }
  bool leeching() const { return phase_ == Phase::checking || phase_ == Phase::downloading; }

  TorrentId id_;
  TorrentInfo info_;
  Context& context_;
  bool seed_;
  bool known_;  ///< the info dictionary
  Phase phase_ = Phase::checking;
  bool stopping_ = false, clean_save_asked_ = false, clean_saved_ = false;

  /// What depends on the info dictionary; of no pieces while that is unknown.
  struct Content {
    Content(const TorrentInfo& info, const Resume& resume, const Bitfield& wanted, bool sequential, Random& random);
    Picker picker;
    Progress progress;
    Download download;
  };
  std::optional<Content> content_;                   ///< never empty
  std::optional<Metadata> metadata_;                 ///< while the info dictionary is unknown
  bool may_super_seed_ = false;                      ///< whole from the start, and nobody has connected yet
  std::optional<SuperSeed> super_seed_;              ///< made for the first peer
  std::optional<MetadataUploads> metadata_uploads_;  ///< when it is known and may be given
  std::optional<Turns> turns_;                       ///< once the pieces are known, unless the policy is another
  bool last_pieces_ = false;                         ///< every piece that is wanted is begun
  bool selective_ = false;                           ///< the neighbours were told to wait for offers
  Choker choker_;
  PeerDiscovery discovery_;

  std::vector<Peer*> peers_;     ///< attached, in the order in which they came
  std::set<PeerId> banned_ids_;  ///< with banned_addresses_: bounded by banned_max
  std::set<IpAddress> banned_addresses_;
  std::map<Endpoint, std::uint32_t> strikes_;  ///< bounded like the address book
  bool rechoke_ = false;
  Instant next_tick_{};
  Instant fed_{};           ///< a byte that we lacked came, or nobody was there who could send one
  Instant freely_until_{};  ///< it was too long ago: until then nobody's offers are waited for
  Meter down_, up_;
  Duration block_delay_{};  ///< from asking for a block to its end, smoothed over the last ones of all peers
  std::uint64_t bytes_down_before_, bytes_up_before_;
  std::uint64_t bytes_wasted_ = 0, hash_failures_ = 0;

  std::vector<wire::BlockRef> blocks_;      ///< reused by ask()
  std::vector<ConnId> others_;              ///< reused by on_payload()
  std::vector<PieceIndex> pieces_;          ///< reused by say_taken()
  std::vector<ChokeCandidate> candidates_;  ///< reused by rechoke()
};

}  // namespace swarm::core
