#include "core/torrent/torrent.hh"

#include <algorithm>

namespace swarm::core {

using wire::PeerFault;

namespace {
constexpr Duration handshake_timeout = 10s;
constexpr Duration keep_alive_interval = 100s;
constexpr Duration idle_timeout = 150s;
constexpr std::size_t banned_max = 1000;
constexpr std::uint32_t strikes_of_last_source = 3;
}  // namespace

Torrent::Torrent(TorrentId id, AddTorrent add, Context& context, Instant now)
    : id_(id),
      info_(std::move(add.info)),
      context_(context),
      seed_(add.seed),
      known_(!add.magnet),
      choker_({}, context.random),
      discovery_(id, info_.trackers, context, now),
      next_tick_(now),
      fed_(now),
      bytes_down_before_(add.resume.bytes_down),
      bytes_up_before_(add.resume.bytes_up) {
  for (const Endpoint& e : add.peers) add_peer(e, true, now);
  begin(add.resume, add.wanted, add.sequential, now);
}

Torrent::Content::Content(const TorrentInfo& info, const Resume& resume, const Bitfield& wanted, bool sequential,
                          Random& random)
    : picker(info.pieces, random, info.piece_bytes),
      progress(info.bytes_total, info.piece_bytes,
               resume.verified.size() == info.pieces ? resume.verified : Bitfield(info.pieces), resume.unchecked,
               wanted),
      download(info.bytes_total, info.piece_bytes, picker) {
  picker.set_sequential(sequential);
  for (std::uint32_t i = 0; i < info.pieces; ++i)
    if (progress.missing(PieceIndex{i})) picker.want(PieceIndex{i});
}

void Torrent::begin(const Resume& resume, const Bitfield& wanted, bool sequential, Instant now) {
  content_.emplace(info_, resume, wanted, sequential, context_.random);
  if (info_.web_seeds > 0 && !content_->progress.whole()) context_.web_seeding.push_back(id_);
  if (!known_) {
    phase_ = Phase::metadata;
    metadata_.emplace();
    return;
  }
  metadata_.reset();
  if (info_.metadata && !info_.metadata->empty() && !info_.is_private) metadata_uploads_.emplace(info_.metadata);
  // Whoever wants the lowest piece first chooses for itself.
  if (context_.options.policy == Policy::spread && !sequential)
    turns_.emplace(info_.piece_bytes, content_->progress.verified(), context_.random);
  for (PieceIndex p : resume.unchecked)
    if (content_->progress.unchecked(p)) context_.actions.checks.push_back({id_, p});
  if (seed_ && content_->progress.whole()) {
    phase_ = Phase::whole;
    may_super_seed_ = info_.pieces > 0;
  } else {
    check_whole(now);
    if (phase_ == Phase::checking && content_->picker.pickable() > 0) phase_ = Phase::downloading;
  }
}

// ── the info dictionary ─────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::set_info(SetInfo set, Instant now) {
  if (known_ || stopping_ || phase_ == Phase::failed) return;
  known_ = true;
  phase_ = Phase::checking;
  info_ = std::move(set.info);
  bytes_down_before_ = set.resume.bytes_down;
  bytes_up_before_ = set.resume.bytes_up;
  begin(set.resume, set.wanted, set.sequential, now);
  for (Peer* p : peers_) {
    p->session.set_pieces(info_.pieces);
    p->has = Bitfield(info_.pieces);
    if (!p->ready || p->closing) continue;
    take_early(*p, now);
    const Bitfield& have = content_->progress.verified();
    for (std::size_t i = have.find(true); i < have.size(); i = have.find(true, i + 1))
      say(*p, wire::Have{PieceIndex{static_cast<std::uint32_t>(i)}});
    if (p->extended) introduce_extended(*p);
    join_turns(*p);
  }
  next_tick_ = std::min(next_tick_, now);
}

// ── pieces ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::on_stored(PieceIndex piece, std::span<const std::uint32_t> wrong_blocks, Instant now) {
  const bool on_disk = content_->progress.unchecked(piece);
  content_->progress.on_verified(piece, now);
  content_->picker.unwant(piece);
  for (const Download::Culprit& c : content_->download.on_right(piece, wrong_blocks)) strike(c.sender, c.blocks);
  notice(PieceChecked{id_, piece, true, on_disk, {}});
  discovery_.on_gained(piece);
  discovery_.on_checked(piece, true, {});
  for (Peer* p : peers_) {
    if (!p->ready || p->closing) continue;
    tell_have(*p, piece);
    if (p->has[piece] && !on_disk) {
      --p->wanted;
      update_interest(*p);
    }
  }
  if (turns_) turns_->on_mine(piece);
  check_whole(now);
  offer_turns(now);
}

void Torrent::on_hash_failed(PieceIndex piece, Instant now) {
  ++hash_failures_;
  PieceChecked told{id_, piece, false, content_->progress.unchecked(piece), {}};
  if (told.on_disk) {
    content_->progress.on_check_failed(piece);
    content_->picker.want(piece);
    if (phase_ == Phase::checking) phase_ = Phase::downloading;
    for (Peer* p : peers_)
      if (p->has[piece]) ++p->wanted, update_interest(*p);
  } else {
    bytes_wasted_ += content_->download.piece_size(piece);
    const std::vector<Sender> senders = content_->download.on_wrong(piece);
    for (const Sender& s : senders) told.from.push_back(s.endpoint);
    if (senders.size() == 1) strike(senders.front(), content_->download.block_count(piece));
  }
  tell_turns(wire::TurnsMessage::Kind::lacking, piece, nullptr);
  discovery_.on_checked(piece, false, told.from);
  notice(std::move(told));
  ask_all(now);
}

/// It was proved that this sender sent wrong bytes. It is banned at once, unless nobody else has what we need: then it may be
/// a fault of its machine that passes, and it has three tries.
void Torrent::strike(const Sender& sender, std::uint32_t blocks) {
  const std::uint32_t count = ++strikes_[sender.endpoint];
  auto at = std::find_if(peers_.begin(), peers_.end(), [&](const Peer* p) { return p->conn == sender.conn; });
  const bool other_source = std::any_of(peers_.begin(), peers_.end(), [&](const Peer* p) {
    return !p->closing && p->conn != sender.conn && (p->web_seed || (p->ready && p->wanted > 0));
  });
  if (!other_source && count < strikes_of_last_source) return;
  const bool web_seed = web_seed_number(sender.endpoint).has_value();
  const bool out = web_seed ? at == peers_.end() || (*at)->closing : discovery_.addresses().banned(sender.endpoint);
  if (!out) notice(PeerBanned{id_, sender.endpoint, blocks});  // told once
  ban(sender);
  if (at != peers_.end()) context_.close(**at, PeerFault::sent_wrong_data);
}

/// Neither its address nor its peer id is welcome any more. A web seed has neither, and is no peer to be known.
void Torrent::ban(const Sender& sender) {
  if (web_seed_number(sender.endpoint)) return;
  discovery_.addresses().ban(sender.endpoint);
  const bool one_host = !sender.endpoint.address.is_loopback();
  if (banned_addresses_.size() < banned_max && one_host) banned_addresses_.insert(sender.endpoint.address);
  const auto at = std::find_if(peers_.begin(), peers_.end(), [&](const Peer* p) { return p->conn == sender.conn; });
  if (at != peers_.end() && banned_ids_.size() < banned_max) banned_ids_.insert((*at)->id);
}

bool Torrent::banned(const Peer& peer) const {
  return banned_ids_.contains(peer.id) || banned_addresses_.contains(peer.endpoint.address) ||
         discovery_.addresses().banned(peer.endpoint);
}

void Torrent::check_whole(Instant now) {
  if (!content_->progress.whole() || !leeching()) return;
  phase_ = Phase::finishing;
  for (Peer* p : peers_) {
    if (p->web_seed) context_.close(*p, PeerFault::both_seeds);
    if (!p->ready) continue;
    release_requests(*p);
    update_interest(*p);
    send_waiting(*p);
  }
  context_.actions.finishes.push_back({id_});
  (void)now;
}

void Torrent::on_finished(Instant now) {
  if (phase_ != Phase::finishing) return;
  phase_ = Phase::whole;
  if (down_.total() > 0 && complete()) discovery_.on_completed(now);
  for (Peer* p : peers_) {
    update_interest(*p);
    if (p->ready && p->extended && !p->closing) introduce_extended(*p);  // upload_only from now on (BEP 21)
  }
  rechoke(now);
  notice(Finished{id_});
}

void Torrent::on_disk_failed(const Error& error, Instant now) {
  if (phase_ == Phase::failed) return;
  phase_ = Phase::failed;
  for (Peer* p : peers_) context_.close(*p, PeerFault::torrent_stopped);
  discovery_.on_gone(now);
  notice(Failed{id_, error});
  if (stopping_) save_when_due(now);
}

void Torrent::save_when_due(Instant now) {
  if (seed_ || !known_ || phase_ == Phase::whole || phase_ == Phase::finishing) return;
  if (stopping_) {
    if (!clean_save_asked_ && !content_->progress.saving()) {
      clean_save_asked_ = true;
      content_->progress.save_begun();
      context_.actions.saves.push_back({id_, true});
    }
    return;
  }
  const auto due = content_->progress.save_due();
  if (!due || *due > now || phase_ == Phase::failed) return;
  content_->progress.save_begun();
  context_.actions.saves.push_back({id_, false});
}

void Torrent::on_saved(Instant now) {
  content_->progress.on_saved();
  if (clean_save_asked_) clean_saved_ = true;
  save_when_due(now);
}

// ── discovery ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::add_peer(const Endpoint& peer, bool by_person, Instant now) {
  discovery_.add(peer, by_person, now);
  next_tick_ = std::min(next_tick_, now);
}

wire::AnnounceRequest Torrent::announce_request(wire::AnnounceEvent event) const {
  wire::AnnounceRequest r;
  r.info_hash = info_.info_hash;
  r.peer_id = context_.options.peer_id;
  r.port = context_.options.port;
  r.uploaded = up_.total();
  r.downloaded = down_.total();
  r.left = bytes_left();
  r.event = event;
  r.num_want = event == wire::AnnounceEvent::stopped ? 0 : 50;
  r.key = context_.options.node_id.substr(0, 8);
  return r;
}

/// Never 0 while something is missing, chosen or not: whoever has no byte left is a seed.
std::uint64_t Torrent::bytes_left() const {
  return known_ ? info_.bytes_total - content_->progress.bytes_verified() : wire::block_bytes;
}

void Torrent::on_announced(const std::string& url, const wire::AnnounceReply& reply, Instant now) {
  discovery_.on_announced(url, reply, complete(), now);
  connect_more(now);
}

void Torrent::on_announce_failed(const std::string& url, const std::string& why, Instant now) {
  discovery_.on_announce_failed(url, why, now);
}

void Torrent::fill(Heartbeat::Entry& entry, Instant now) const {
  wire::BeatTorrent& b = entry.beat;
  b.info_hash = info_.info_hash;
  b.left = bytes_left();
  b.bytes_down = down_.total();
  b.bytes_up = up_.total();
  b.rate_down = down_.rate(now);
  b.rate_up = up_.rate(now);
  b.peers =
      static_cast<std::uint32_t>(std::count_if(peers_.begin(), peers_.end(), [](const Peer* p) { return p->ready; }));
  b.pieces = info_.pieces;
  b.complete = complete();
  if (entry.want_have && known_ && !b.complete) b.have = to_buffer(content_->progress.verified().bytes());
}

void Torrent::on_beat_reply(const wire::BeatReplyTorrent& reply, Instant now) {
  discovery_.on_beat_reply(reply, complete(), now);
  connect_more(now);
}

bool Torrent::moving(Instant now) const {
  return leeching() || phase_ == Phase::metadata || phase_ == Phase::finishing || up_.rate(now) > 0 ||
         down_.rate(now) > 0;
}

PeerDiscovery::Connections Torrent::connections() const {
  PeerDiscovery::Connections have;
  have.far = turns_ && turns_->far();
  for (const Peer* p : peers_)
    if (!p->web_seed)
      ++have.all, have.half_open += p->ready ? 0u : 1u, have.nodes += p->ready && p->cooperative ? 1u : 0u;
  return have;
}

void Torrent::connect_more(Instant now) {
  if (stopping_ || phase_ == Phase::failed || phase_ == Phase::finishing) return;
  discovery_.connect_more(connections(), now);
}

// ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::on_time(Instant now) {
  save_when_due(now);
  if (choker_.next_round() <= now) rechoke(now);
  if (metadata_ && !stopping_ && metadata_->next_wake() && *metadata_->next_wake() <= now) ask_metadata_all(now);
  show_more(now);
  if (next_tick_ > now) return;
  next_tick_ = now + (quiet(now) ? quiet_tick : busy_tick);
  for (Peer* p : peers_) {
    look_after(*p, now);
    if (super_seed_ && p->ready) super_seed_->on_rate(p->conn, p->up.rate(now));
  }
  if (stopping_ || phase_ == Phase::failed) return;
  look_after_ourselves(now);
  ask_all(now);
  exchange_peers(now);
  if (turns_) {
    for (const Peer* p : peers_)
      turns_->on_traffic(
          p->conn,
          {p->up.total(), p->down.total(), leeching() && p->wanted > content_->download.all_begun().size(),
           p->peer_choking && p->am_interested},
          now);
    turns_->on_tick(now);
    offer_turns(now);
  }
  tell_orphans();
  connect_more(now);
  discovery_.want_peers((leeching() || phase_ == Phase::metadata) && peers_.size() < 5, now);
}

/// Nothing is under way, and nothing is to be said before somebody says something to us. Rationale: each time that an idle seed wakes
/// costs its machine as much as sending some blocks.
bool Torrent::quiet(Instant now) const {
  if (phase_ != Phase::whole || up_.rate(now) > 0 || (turns_ && turns_->in_flight() > 0)) return false;
  return std::all_of(peers_.begin(), peers_.end(), [&](const Peer* p) {
    const bool idle = now - p->last_received >= busy_tick && now - p->last_sent >= busy_tick;
    return p->ready && !p->closing && idle && !p->send.has_small() && p->uploads.empty();
  });
}

bool Torrent::waken(Instant now) {
  if (next_tick_ <= now + busy_tick) return false;
  next_tick_ = now + busy_tick;
  return true;
}

/// How long who gives by turns may be silent. Rationale: on a slow line that many share, the first byte of a block can be as long in
/// coming as a whole block otherwise is; asked of another too early, it comes twice.
Duration Torrent::patience(const Peer& peer) const {
  return std::clamp(2 * std::max(peer.requests.delay(), block_delay_), turn_timeout, stall_timeout);
}

void Torrent::look_after(Peer& peer, Instant now) {
  if (peer.closing) return;
  // Its blocks are free for others; what still comes from it is welcome.
  const bool silent = peer.waits && peer.requests.silent(now) > patience(peer);
  if (silent || peer.requests.waiting(now) > stall_timeout) give_back(peer, peer.requests.all());
  if (peer.web_seed) return;
  if (!peer.ready) {
    if (now - peer.since > handshake_timeout) context_.close(peer, PeerFault::handshake_timeout);
    return;
  }
  if (now - peer.last_received > idle_timeout) return context_.close(peer, PeerFault::idle_timeout);
  if (now - peer.last_sent > keep_alive_interval) {
    wire::append_keep_alive(peer.send.small());
    peer.last_sent = now;
    context_.announce(peer);
  }
  send_waiting(peer);
}

/// Turns are an agreement of many: were it to fail somewhere, by a fault of theirs or ours, we would wait for an offer for ever. So who
/// gets nothing for a while from neighbours that have what it lacks asks as if there were no turns, and goes on for a while.
void Torrent::look_after_ourselves(Instant now) {
  const bool could = leeching() && std::any_of(peers_.begin(), peers_.end(), [](const Peer* p) {
                       return p->ready && !p->closing && p->am_interested && !p->peer_choking;
                     });
  if (!could) fed_ = now;
  if (now - fed_ > hungry_after) freely_until_ = now + freely_for;
}

std::optional<Instant> Torrent::next_wake() const {
  const bool over = stopping_ || phase_ == Phase::failed;
  auto at = discovery_.next_wake(!over && discovery_.seeks_more(connections()), next_tick_);
  const auto earlier = [&](std::optional<Instant> t) {
    if (t && (!at || *t < *at)) at = t;
  };
  if (const auto due = content_->progress.save_due(); due && !seed_ && leeching() && !stopping_) earlier(*due);
  if (!over && super_seed_) earlier(super_seed_->next_wake());
  if (!over && metadata_) earlier(metadata_->next_wake());
  if (!over && !peers_.empty()) earlier(next_tick_), earlier(choker_.next_round());
  return at;
}

void Torrent::stop(Instant now) {
  if (std::exchange(stopping_, true)) return;
  for (Peer* p : peers_) context_.close(*p, PeerFault::torrent_stopped);
  discovery_.on_gone(now);
  save_when_due(now);
}

bool Torrent::stopped() const { return stopping_ && discovery_.stopped(); }
bool Torrent::saved() const { return seed_ || !known_ || clean_saved_ || phase_ == Phase::whole; }

// ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

Claims Torrent::claims() const {
  return {content_->progress.verified(), bytes_down_before_ + down_.total(), bytes_up_before_ + up_.total()};
}

TorrentStats Torrent::stats(Instant now) const {
  TorrentStats s;
  s.phase = phase_;
  if (metadata_) s.metadata_bytes = metadata_->bytes_total(), s.metadata_done = metadata_->bytes_done();
  s.pieces = content_->progress.pieces();
  s.pieces_verified = content_->progress.pieces_verified();
  s.pieces_unchecked = content_->progress.unchecked_count();
  s.bytes_total = content_->progress.bytes_wanted();
  s.bytes_verified = content_->progress.bytes_wanted_verified();
  s.bytes_done = s.bytes_verified + content_->progress.bytes_wanted_unchecked();
  s.bytes_down = down_.total();
  s.bytes_up = up_.total();
  s.bytes_wasted = bytes_wasted_;
  s.hash_failures = hash_failures_;
  s.rate_down = down_.rate(now);
  s.rate_up = up_.rate(now);
  for (const Peer* p : peers_) {
    if (!p->ready) {
      p->web_seed ? ++s.web_seeds : ++s.peers_connecting;
      continue;
    }
    ++s.peers;
    if (p->has.all()) ++s.seeds;
    if (info_.pieces > 0) s.best_peer = std::max(s.best_peer, double(p->has.count()) / info_.pieces);
  }
  s.peers_known = static_cast<std::uint32_t>(discovery_.addresses().size());
  s.connect_failures = discovery_.addresses().failures();
  s.last_unreachable = discovery_.addresses().last_failed();
  s.copies = content_->picker.copies();
  s.copies_elsewhere = std::max(s.seeds, discovery_.seeders_known());
  return s;
}

}  // namespace swarm::core
