#include "core/torrent/torrent.hh"

#include <algorithm>

#include "base/check.hh"
#include "wire/extended.hh"

namespace swarm::core {

using wire::PeerFault;

namespace {
constexpr Duration handshake_timeout = 10s;
constexpr Duration keep_alive_interval = 100s;
constexpr Duration idle_timeout = 150s;
constexpr Duration stall_timeout = 30s;  ///< asked and nothing came: others may take its blocks
constexpr std::size_t banned_max = 1000;
constexpr std::uint32_t strikes_of_last_source = 3;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;
}  // namespace

Torrent::Torrent(TorrentId id, AddTorrent add, Context& context, Instant now)
    : id_(id),
      info_(std::move(add.info)),
      context_(context),
      seed_(add.seed),
      choker_({}, context.random),
      discovery_(id, info_.trackers, context, now),
      next_tick_(now),
      bytes_down_before_(add.resume.bytes_down),
      bytes_up_before_(add.resume.bytes_up) {
  for (const Endpoint& e : add.peers) add_peer(e, true, now);
  begin(add.resume, add.wanted, add.sequential, now);
}

Torrent::Content::Content(const TorrentInfo& info, const Resume& resume, const Bitfield& wanted, bool sequential,
                          Random& random)
    : picker(info.pieces, random),
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
  for (PieceIndex p : resume.unchecked)
    if (content_->progress.unchecked(p)) context_.actions.checks.push_back({id_, p});
  if (seed_ && content_->progress.whole()) {
    phase_ = Phase::whole;
  } else {
    check_whole(now);
    if (phase_ == Phase::checking && content_->picker.pickable() > 0) phase_ = Phase::downloading;
  }
}

// ── connections ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::attach(Peer& peer) {
  peers_.push_back(&peer);
  peer.session.set_pieces(info_.pieces);
  peer.has = Bitfield(info_.pieces);
}

void Torrent::attach_web_seed(Peer& peer, std::uint32_t number, Instant now) {
  peer.web_seed = WebSeed{.number = number};
  peer.peer_choking = false;
  peer.am_interested = true;
  attach(peer);
  peer.has.set_all(true);
  content_->picker.on_bitfield(peer.has);
  ask(peer, now);
}

void Torrent::on_connected(Peer& peer, Instant now) {
  peer.last_received = now;
  greet(peer);
}

void Torrent::greet(Peer& peer) {
  if (std::exchange(peer.greeted, true)) return;
  wire::Handshake ours;
  ours.info_hash = info_.info_hash;
  ours.peer_id = context_.options.peer_id;
  ours.fast = true;
  ours.extended = true;
  append(peer.send.small(), wire::encode(ours));
  context_.announce(peer);
}

void Torrent::on_opened(Peer& peer, const wire::Handshake& handshake, Instant) {
  if (handshake.info_hash != info_.info_hash) return context_.close(peer, PeerFault::unknown_torrent);
  if (stopping_ || phase_ == Phase::failed) return context_.close(peer, PeerFault::torrent_stopped);
  if (!peer.outgoing && peers_.size() > context_.options.peers_max)
    return context_.close(peer, PeerFault::too_many_peers);
  peer.fast = handshake.fast;
  peer.extended = handshake.extended;
  greet(peer);  // some clients wait for ours before they send their peer id
}

void Torrent::on_named(Peer& peer, const PeerId& id, Instant now) {
  peer.id = id;
  if (id == context_.options.peer_id) {
    if (peer.outgoing) discovery_.addresses().ban(peer.endpoint);
    return context_.close(peer, PeerFault::self_connection);
  }
  if (banned(peer)) return context_.close(peer, PeerFault::sent_wrong_data);
  settle_duplicates(peer);
  if (peer.closing) return;
  peer.ready = true;
  peer.cooperative = as_text(id.view()).starts_with("-SW");
  peer.since = now;
  if (peer.outgoing) discovery_.addresses().on_connected(peer.endpoint), peer.listens = peer.endpoint;
  introduce(peer);
}

/// Two connections to one peer: the one that the higher peer id opened stays; of two in one direction, the older.
void Torrent::settle_duplicates(Peer& peer) {
  for (Peer* other : peers_) {
    if (other == &peer || !other->ready || other->closing || other->id != peer.id) continue;
    const bool we_are_higher = context_.options.peer_id > peer.id;
    const bool keep_new = peer.outgoing != other->outgoing && peer.outgoing == we_are_higher;
    return context_.close(keep_new ? *other : peer, PeerFault::duplicate_connection);
  }
}

/// What a peer hears first: what we have, then who we are.
void Torrent::introduce(Peer& peer) {
  const Bitfield& have = content_->progress.verified();
  if (peer.fast && have.all()) {
    say(peer, wire::HaveAll{});
  } else if (peer.fast && have.none()) {
    say(peer, wire::HaveNone{});
  } else if (!have.none()) {
    say(peer, wire::BitfieldBits{have.bytes()});
  }
  if (peer.extended) {
    wire::ExtendedHandshake ours;
    ours.client = context_.options.agent;
    if (context_.options.port != 0) ours.port = context_.options.port;
    ours.request_queue = Uploads::reqq;
    ours.your_ip = peer.endpoint.address;
    ours.upload_only = phase_ == Phase::whole;
    const Buffer payload = wire::encode(ours);
    say(peer, wire::Extended{0, payload});
  }
  context_.announce(peer);
}

void Torrent::on_message(Peer& peer, const wire::PeerMessage& message) {
  const auto negotiated = [&] {
    if (peer.fast) return true;
    context_.close(peer, PeerFault::not_negotiated);
    return false;
  };
  std::visit(Overloaded{
                 [&](const wire::Choke&) {
                   peer.peer_choking = true;
                   if (!peer.fast) release_requests(peer);  // with the fast extension each one is rejected
                 },
                 [&](const wire::Unchoke&) {
                   peer.peer_choking = false;
                   peer.refill = true;
                 },
                 [&](const wire::Interested&) {
                   peer.peer_interested = true;
                   rechoke_ = true;
                 },
                 [&](const wire::NotInterested&) {
                   peer.peer_interested = false;
                   rechoke_ = true;
                 },
                 [&](const wire::Have& m) {
                   if (number(m.piece) >= info_.pieces) return context_.close(peer, PeerFault::bad_piece_index);
                   if (peer.has[m.piece]) return;
                   peer.has.set(m.piece);
                   content_->picker.on_have(m.piece);
                   if (content_->progress.missing(m.piece)) ++peer.wanted;
                   update_interest(peer);
                   if (peer.requests.size() == 0) peer.refill = true;
                 },
                 [&](const wire::BitfieldBits& m) {  // at any time: aria2 sends one in place of many HAVEs
                   auto has = Bitfield::from(m.bytes, info_.pieces);
                   if (!has) return context_.close(peer, PeerFault::bad_bitfield);
                   set_has(peer, std::move(*has));
                 },
                 [&](const wire::HaveAll&) {
                   if (negotiated()) set_has(peer, Bitfield(info_.pieces, true));
                 },
                 [&](const wire::HaveNone&) {
                   if (negotiated()) set_has(peer, Bitfield(info_.pieces));
                 },
                 [&](const wire::Request& m) { on_request(peer, m.block); },
                 [&](const wire::Cancel& m) {
                   if (peer.uploads.cancel(m.block) && peer.fast) say(peer, wire::Reject{m.block});
                 },
                 [&](const wire::Reject& m) {
                   if (negotiated() && peer.requests.drop(m.block)) content_->download.release(m.block, peer.conn);
                 },
                 [&](const wire::Suggest&) { (void)negotiated(); },
                 [&](const wire::AllowedFast&) { (void)negotiated(); },
                 [&](const wire::Port&) {},
                 [&](const wire::Extended& m) { on_extended(peer, m); },
             },
             message);
}

void Torrent::set_has(Peer& peer, Bitfield has) {
  content_->picker.on_gone(peer.has);
  peer.has = std::move(has);
  content_->picker.on_bitfield(peer.has);
  peer.wanted = 0;
  for (std::size_t i = peer.has.find(true); i < peer.has.size(); i = peer.has.find(true, i + 1))
    if (content_->progress.missing(PieceIndex{static_cast<std::uint32_t>(i)})) ++peer.wanted;
  update_interest(peer);
  if (peer.requests.size() == 0) peer.refill = true;
}

void Torrent::update_interest(Peer& peer) {
  const bool interested = peer.wanted > 0 && leeching();
  if (peer.ready && interested != peer.am_interested) {
    peer.am_interested = interested;
    if (interested) {
      say(peer, wire::Interested{});
      peer.refill = true;
    } else {
      say(peer, wire::NotInterested{});
    }
  }
  if (peer.ready && content_->progress.whole() && peer.has.all() && phase_ == Phase::whole)
    context_.close(peer, PeerFault::both_seeds);
}

void Torrent::on_request(Peer& peer, const wire::BlockRef& block) {
  if (!valid(block) || block.length > wire::block_bytes_served_max) return context_.close(peer, PeerFault::bad_request);
  // Only what was verified ever leaves (S2); a choked peer gets nothing.
  if (content_->progress.verified()[block.piece] && !peer.am_choking && peer.uploads.add(block))
    return context_.announce(peer);
  if (peer.fast) say(peer, wire::Reject{block});
}

void Torrent::on_extended(Peer& peer, const wire::Extended& message) {
  if (message.id != 0) return;  // we offered no messages of our own
  const auto theirs = wire::decode_extended_handshake(message.payload);
  if (!theirs) return context_.close(peer, PeerFault::bad_extension);
  if (theirs->request_queue) peer.requests.set_peer_limit(*theirs->request_queue);
  if (theirs->port && *theirs->port != 0 && !peer.outgoing) {
    peer.listens = Endpoint{peer.endpoint.address, *theirs->port};
    add_peer(*peer.listens, false, peer.since);
    discovery_.addresses().on_connected(*peer.listens);
  }
  peer.upload_only = theirs->upload_only;
}

void Torrent::on_payload(Peer& peer, const Session::Payload& fragment, const Received& in, Instant now) {
  const wire::BlockRef& block = fragment.block;
  if (fragment.at == 0) {
    if (!valid(block)) return context_.close(peer, PeerFault::bad_request);
    peer.taking = peer.requests.pending(block);
  }
  peer.taking =
      peer.taking && content_->download.needs(block) && leeching();  // once lost, the rest of this copy is of no use
  const bool last = fragment.at + fragment.length == block.length;
  peer.down.add(fragment.length, now);
  down_.add(fragment.length, now);
  if (!peer.taking) {  // late, cancelled or never asked for: thrown away, not punished
    bytes_wasted_ += fragment.length;
    // When the block is needed it was asked for anew while this copy came: the answer to that is still to come.
    if (last && !content_->download.needs(block) && peer.requests.drop(block)) peer.refill = true;
    return;
  }
  context_.actions.stores.push_back(
      {id_, peer.conn, block, fragment.at, {in.handle, fragment.offset, fragment.length}});
  if (!last) return;
  peer.requests.received(block, peer.down.rate(now), now);
  peer.refill = true;
  others_.clear();
  content_->download.on_block(block, {peer.conn, peer.listens.value_or(peer.endpoint)}, others_);
  for (ConnId c : others_) {
    auto other = std::find_if(peers_.begin(), peers_.end(), [&](const Peer* p) { return p->conn == c; });
    if (other == peers_.end() || !(*other)->requests.drop(block)) continue;
    say(**other, wire::Cancel{block});
    if ((*other)->web_seed && (*other)->requests.size() == 0) end_fetch(**other, now);
    ask(**other, now);
  }
}

void Torrent::on_read(Peer& peer, Instant now) {
  if (std::exchange(peer.refill, false)) ask(peer, now);
  if (std::exchange(rechoke_, false)) rechoke(now);
}

void Torrent::on_gone(Peer& peer, PeerFault why, Instant now) {
  std::erase(peers_, &peer);
  release_requests(peer);
  content_->download.on_gone(peer.conn);
  content_->picker.on_gone(peer.has);
  if (const auto at = peer.outgoing ? peer.endpoint : peer.listens; at && !peer.web_seed) {
    const bool hopeless = why == PeerFault::both_seeds || why == PeerFault::duplicate_connection;
    peer.ready      ? discovery_.addresses().on_gone(*at, !hopeless, now)
    : peer.outgoing ? discovery_.addresses().on_failed(*at, now)
                    : void();
  }
  if (why != PeerFault::none && peer.ready) notice(PeerGone{id_, peer.endpoint, why});
  rechoke(now);
  ask_all(now);
  next_tick_ = std::min(next_tick_, now + 1s);
}

void Torrent::next_outgoing(Peer& peer, std::size_t bytes_max, Instant now, Outgoing& out) {
  const std::uint64_t budget = context_.up.available(now);
  const std::size_t payload = peer.send.take(peer.uploads, id_, bytes_max, budget, out);
  if (budget == 0 && !peer.uploads.empty()) context_.up_waiting = true;
  if (out.total == 0) {
    peer.announced = false;
    return;
  }
  peer.last_sent = now;
  if (payload == 0) return;
  context_.up.take(payload, now);
  peer.up.add(payload, now);
  up_.add(payload, now);
}

void Torrent::say(Peer& peer, const wire::PeerMessage& message) {
  if (peer.closing || peer.web_seed) return;
  wire::append_message(peer.send.small(), message);
  context_.announce(peer);
  if (peer.send.overflown()) context_.close(peer, PeerFault::too_many_requests);
}

bool Torrent::valid(const wire::BlockRef& block) const {
  return number(block.piece) < info_.pieces && block.length > 0 &&
         std::uint64_t{block.begin} + block.length <= content_->download.piece_size(block.piece);
}

// ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::ask(Peer& peer, Instant now) {
  if (peer.web_seed) return ask_web_seed(peer, now);
  if (!peer.ready || peer.closing || peer.peer_choking || !peer.am_interested || !leeching() || stopping_) return;
  std::uint64_t most = peer.requests.room();
  if (peer.requests.waiting(now) > stall_timeout) most = 0;
  const std::uint64_t budget = context_.down.available(now);
  if (budget == 0 && most > 0) context_.down_waiting = true;
  if (budget != UINT64_MAX) most = std::min(most, (budget + wire::block_bytes - 1) / wire::block_bytes);
  if (most == 0) return;
  blocks_.clear();
  content_->download.next(peer.conn, peer.has, static_cast<std::size_t>(most), peer.requests.size() == 0, blocks_);
  for (const wire::BlockRef& b : blocks_) {
    peer.requests.asked(b, now);
    context_.down.take(b.length, now);
    say(peer, wire::Request{b});
  }
}

void Torrent::ask_web_seed(Peer& peer, Instant now) {
  WebSeed& seed = *peer.web_seed;
  if (peer.closing || !seed.ready(now) || !leeching() || stopping_) return;
  const std::uint64_t budget = context_.down.available(now);
  if (budget == 0) {
    context_.down_waiting = true;
    return;
  }
  const auto sources = static_cast<std::size_t>(std::count_if(
      peers_.begin(), peers_.end(), [](const Peer* p) { return p->web_seed || (p->ready && p->wanted > 0); }));
  const std::uint64_t free = std::uint64_t{content_->picker.pickable()} * info_.piece_bytes +
                             std::uint64_t{content_->download.free_blocks()} * wire::block_bytes;
  const auto bytes = std::min(budget, seed.next_length(peer.down.rate(now), free, sources, info_.piece_bytes));
  blocks_.clear();
  content_->download.next_run(peer.conn, bytes, blocks_);
  if (blocks_.empty()) return;
  std::uint64_t length = 0;
  for (const wire::BlockRef& b : blocks_) {
    peer.requests.asked(b, now);
    length += b.length;
  }
  context_.down.take(length, now);
  const wire::BlockRef& first = blocks_.front();
  seed.began(std::uint64_t{number(first.piece)} * info_.piece_bytes + first.begin, length);
  context_.actions.fetches.push_back({peer.conn, id_, seed.number, seed.offset, seed.length});
}

void Torrent::on_fetched(Peer& peer, const Received& in, Instant now) {
  WebSeed& seed = *peer.web_seed;
  const auto bytes = static_cast<std::uint32_t>(in.bytes.empty() ? in.virtual_bytes : in.bytes.size());
  for (std::uint32_t offset = 0; offset < bytes && seed.done < seed.length;) {
    const std::uint64_t at = seed.offset + seed.done;
    const PieceIndex piece{static_cast<std::uint32_t>(at / info_.piece_bytes)};
    const auto within = static_cast<std::uint32_t>(at % info_.piece_bytes);
    wire::BlockRef block{piece, within - within % wire::block_bytes, 0};
    block.length = std::min(wire::block_bytes, content_->download.piece_size(piece) - block.begin);
    Session::Payload fragment{block, within - block.begin, offset, 0};
    fragment.length = std::min(bytes - offset, block.length - fragment.at);
    offset += fragment.length;
    seed.done += fragment.length;
    on_payload(peer, fragment, in, now);
  }
  peer.last_received = now;
  peer.refill = false;
}

/// All that it would still bring has come from elsewhere.
void Torrent::end_fetch(Peer& peer, Instant now) {
  if (!peer.web_seed->busy()) return;
  peer.web_seed->ended(true, now);
  context_.actions.closes.push_back({peer.conn});
}

void Torrent::on_fetch_ended(Peer& peer, bool whole, Instant now) {
  peer.web_seed->ended(whole && peer.web_seed->done == peer.web_seed->length, now);
  release_requests(peer);
  ask_all(now);
}

void Torrent::ask_all(Instant now) {
  for (Peer* p : peers_) ask(*p, now);
}

void Torrent::give_all() {
  for (Peer* p : peers_)
    if (!p->uploads.empty()) context_.announce(*p);
}

void Torrent::release_requests(Peer& peer) {
  for (const wire::BlockRef& b : peer.requests.drop_all()) content_->download.release(b, peer.conn);
}

// ── giving ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::rechoke(Instant now) {
  candidates_.clear();
  for (const Peer* p : peers_) {
    if (!p->ready || p->closing) continue;
    candidates_.push_back({p->conn, p->peer_interested, p->cooperative, !p->am_choking, p->requests.snubbed(now),
                           p->down.rate(now), p->up.rate(now), p->since, p->unchoked_since});
  }
  std::vector<ConnId> open = choker_.decide(candidates_, complete(), now);
  std::sort(open.begin(), open.end());
  for (Peer* p : peers_) {
    if (!p->ready || p->closing) continue;
    const bool unchoked = std::binary_search(open.begin(), open.end(), p->conn);
    if (unchoked && p->am_choking) {
      p->am_choking = false;
      p->unchoked_since = now;
      say(*p, wire::Unchoke{});
    } else if (!unchoked && !p->am_choking) {
      choke(*p);
    }
  }
}

void Torrent::choke(Peer& peer) {
  peer.am_choking = true;
  say(peer, wire::Choke{});
  for (const wire::BlockRef& b : peer.uploads.drop_all())
    if (peer.fast) say(peer, wire::Reject{b});
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
    if (!p->has[piece]) {
      say(*p, wire::Have{piece});
    } else if (!on_disk) {
      --p->wanted;
      update_interest(*p);
    }
  }
  check_whole(now);
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
  if (!discovery_.addresses().banned(sender.endpoint)) notice(PeerBanned{id_, sender.endpoint, blocks});  // told once
  discovery_.addresses().ban(sender.endpoint);
  const bool one_host = !sender.endpoint.address.is_loopback() && !web_seed_number(sender.endpoint);
  if (banned_addresses_.size() < banned_max && one_host) banned_addresses_.insert(sender.endpoint.address);
  if (at == peers_.end()) return;
  if (banned_ids_.size() < banned_max && !(*at)->web_seed) banned_ids_.insert((*at)->id);
  context_.close(**at, PeerFault::sent_wrong_data);
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
  }
  context_.actions.finishes.push_back({id_});
  (void)now;
}

void Torrent::on_finished(Instant now) {
  if (phase_ != Phase::finishing) return;
  phase_ = Phase::whole;
  if (down_.total() > 0 && complete()) discovery_.on_completed(now);
  for (Peer* p : peers_) update_interest(*p);
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
  if (seed_ || phase_ == Phase::whole || phase_ == Phase::finishing) return;
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
  r.left = info_.bytes_total - content_->progress.bytes_verified();
  r.event = event;
  r.num_want = event == wire::AnnounceEvent::stopped ? 0 : 50;
  r.key = context_.options.node_id.substr(0, 8);
  return r;
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
  b.left = info_.bytes_total - content_->progress.bytes_verified();
  b.bytes_down = down_.total();
  b.bytes_up = up_.total();
  b.rate_down = down_.rate(now);
  b.rate_up = up_.rate(now);
  b.peers =
      static_cast<std::uint32_t>(std::count_if(peers_.begin(), peers_.end(), [](const Peer* p) { return p->ready; }));
  b.pieces = info_.pieces;
  b.complete = complete();
  if (entry.want_have && !b.complete) b.have = to_buffer(content_->progress.verified().bytes());
}

void Torrent::on_beat_reply(const wire::BeatReplyTorrent& reply, Instant now) {
  discovery_.on_beat_reply(reply, complete(), now);
  connect_more(now);
}

bool Torrent::moving(Instant now) const {
  return leeching() || phase_ == Phase::finishing || up_.rate(now) > 0 || down_.rate(now) > 0;
}

void Torrent::connect_more(Instant now) {
  if (stopping_ || phase_ == Phase::failed || phase_ == Phase::finishing) return;
  std::size_t connections = 0, half_open = 0;
  for (const Peer* p : peers_)
    if (!p->web_seed) ++connections, half_open += p->ready ? 0 : 1;
  discovery_.connect_more(connections, half_open, now);
}

// ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::on_time(Instant now) {
  save_when_due(now);
  if (choker_.next_round() <= now) rechoke(now);
  if (next_tick_ > now) return;
  next_tick_ = now + 1s;
  for (Peer* p : peers_) look_after(*p, now);
  if (stopping_ || phase_ == Phase::failed) return;
  ask_all(now);
  connect_more(now);
  discovery_.want_peers(leeching() && peers_.size() < 5, now);
}

void Torrent::look_after(Peer& peer, Instant now) {
  if (peer.closing) return;
  if (peer.requests.waiting(now) >
      stall_timeout)  // its blocks are free for others; what still comes from it is welcome
    for (const wire::BlockRef& b : peer.requests.all()) content_->download.release(b, peer.conn);
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
}

std::optional<Instant> Torrent::next_wake() const {
  const bool over = stopping_ || phase_ == Phase::failed;
  auto at = discovery_.next_wake(!over && peers_.size() < PeerDiscovery::peers_sought, next_tick_);
  const auto earlier = [&](std::optional<Instant> t) {
    if (t && (!at || *t < *at)) at = t;
  };
  if (const auto due = content_->progress.save_due(); due && !seed_ && leeching() && !stopping_) earlier(*due);
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
bool Torrent::saved() const { return seed_ || clean_saved_ || phase_ == Phase::whole; }

// ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

Claims Torrent::claims() const {
  return {content_->progress.verified(), bytes_down_before_ + down_.total(), bytes_up_before_ + up_.total()};
}

TorrentStats Torrent::stats(Instant now) const {
  TorrentStats s;
  s.phase = phase_;
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
