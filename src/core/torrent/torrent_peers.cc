// What a torrent's peers say and are told, blocks included. Its life, its pieces and its trackers: torrent.cc.
#include <algorithm>

#include "core/torrent/torrent.hh"

namespace swarm::core {

using wire::PeerFault;

namespace {
constexpr std::size_t early_haves_max = 65'536;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;
}  // namespace

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
  if (!peer.outgoing && peers_.size() > context_.options.peers_max) {
    Peer& least = least_of_all(peer);
    context_.close(least, PeerFault::too_many_peers);
    if (&least == &peer) return;
  }
  peer.fast = handshake.fast;
  peer.extended = handshake.extended;
  greet(peer);  // some clients wait for ours before they send their peer id
}

/// Whose place is free for another, a newcomer among them: the one with the lowest priority (BEP 40).
Peer& Torrent::least_of_all(Peer& newcomer) {
  Peer* least = &newcomer;
  for (Peer* p : peers_) {
    if (!p->ready || p->closing) continue;
    if (discovery_.priority(p->endpoint) < discovery_.priority(least->endpoint)) least = p;
  }
  return *least;
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
  // A second copy somewhere leaves nothing to economise; nodes of one owner get all there is at once.
  const bool no_need = peer.cooperative || discovery_.seeders_known() > 0;
  if (std::exchange(may_super_seed_, false) && !no_need)
    super_seed_.emplace(info_.pieces, info_.piece_bytes, context_.random);
  const bool hidden = super_seed_ && super_seed_->on_peer(peer.conn, no_need, peer.since);
  if (peer.fast && have.all() && known_ && !hidden) {
    say(peer, wire::HaveAll{});
  } else if (peer.fast && (have.none() || hidden)) {
    say(peer, wire::HaveNone{});
  } else if (!have.none() && !hidden) {
    say(peer, wire::BitfieldBits{have.bytes()});
  }
  if (peer.extended) introduce_extended(peer);
  context_.announce(peer);
}

void Torrent::on_message(Peer& peer, const wire::PeerMessage& message, Instant now) {
  if (!known_ && keep_early(peer, message)) return;
  const auto negotiated = [&] {
    if (peer.fast) return true;
    context_.close(peer, PeerFault::not_negotiated);
    return false;
  };
  std::visit(Overloaded{
                 [&](const wire::Choke&) {
                   peer.peer_choking = true;
                   // With the fast extension each request is rejected; what was only offered is not.
                   peer.fast ? give_back(peer, {}) : release_requests(peer);
                 },
                 [&](const wire::Unchoke&) {
                   peer.peer_choking = false;
                   peer.refill = true;
                 },
                 [&](const wire::Interested&) {
                   peer.peer_interested = true;
                   rechoke_ = rechoke_ || !indifferent(peer);
                 },
                 [&](const wire::NotInterested&) {
                   peer.peer_interested = false;
                   rechoke_ = rechoke_ || !indifferent(peer);
                 },
                 [&](const wire::Have& m) {
                   if (number(m.piece) >= info_.pieces) return context_.close(peer, PeerFault::bad_piece_index);
                   if (turns_) turns_->on_have(peer.conn, m.piece);
                   if (peer.has[m.piece]) return;
                   peer.has.set(m.piece);
                   if (turns_ && peer.waits && content_->download.begun(m.piece)) {
                     const PieceIndex pieces[] = {m.piece};
                     if (turns_->knows(peer.conn)) say_turns(peer, wire::TurnsMessage::Kind::taken, pieces);
                   }
                   content_->picker.on_have(m.piece);
                   if (super_seed_) super_seed_->on_have(peer.conn, m.piece, now);
                   if (content_->progress.missing(m.piece)) ++peer.wanted;
                   update_interest(peer);
                   if (peer.requests.size() == 0) peer.refill = true;
                 },
                 [&](const wire::BitfieldBits& m) {  // at any time: aria2 sends one in place of many HAVEs
                   auto has = Bitfield::from(m.bytes, info_.pieces);
                   if (!has) return context_.close(peer, PeerFault::bad_bitfield);
                   set_has(peer, std::move(*has), now);
                 },
                 [&](const wire::HaveAll&) {
                   if (negotiated()) set_has(peer, Bitfield(info_.pieces, true), now);
                 },
                 [&](const wire::HaveNone&) {
                   if (negotiated()) set_has(peer, Bitfield(info_.pieces), now);
                 },
                 [&](const wire::Request& m) { on_request(peer, m.block, now); },
                 [&](const wire::Cancel& m) {
                   if (peer.uploads.cancel(m.block) && peer.fast) say(peer, wire::Reject{m.block});
                 },
                 [&](const wire::Reject& m) {
                   if (negotiated() && peer.requests.drop(m.block)) give_back(peer, std::span(&m.block, 1));
                 },
                 [&](const wire::Suggest&) { (void)negotiated(); },
                 [&](const wire::AllowedFast&) { (void)negotiated(); },
                 [&](const wire::Port&) {},
                 [&](const wire::Extended& m) { on_extended(peer, m, now); },
             },
             message);
}

/// As long as the number of pieces is unknown, what a peer has cannot be judged.
bool Torrent::keep_early(Peer& peer, const wire::PeerMessage& message) {
  Peer::Early& early = peer.early;
  return std::visit(Overloaded{
                        [&](const wire::Have& m) {
                          if (early.have.size() < early_haves_max) early.have.push_back(m.piece);
                          return true;
                        },
                        [&](const wire::BitfieldBits& m) {
                          early.bitfield = to_buffer(m.bytes);
                          return true;
                        },
                        [&](const wire::HaveAll&) { return early.all = true; },
                        [](const wire::HaveNone&) { return true; },
                        [](const auto&) { return false; },
                    },
                    message);
}

void Torrent::take_early(Peer& peer, Instant now) {
  const Peer::Early early = std::exchange(peer.early, {});
  Bitfield has(info_.pieces, early.all);
  if (!early.bitfield.empty()) {
    auto told = Bitfield::from(early.bitfield, info_.pieces);
    if (!told) return context_.close(peer, PeerFault::bad_bitfield);
    has = std::move(*told);
  }
  for (const PieceIndex p : early.have) {
    if (number(p) >= info_.pieces) return context_.close(peer, PeerFault::bad_piece_index);
    has.set(p);
  }
  set_has(peer, std::move(has), now);
}

void Torrent::set_has(Peer& peer, Bitfield has, Instant now) {
  content_->picker.on_gone(peer.has);
  peer.has = std::move(has);
  content_->picker.on_bitfield(peer.has);
  if (turns_) turns_->on_bitfield(peer.conn, peer.has), say_taken(peer);
  if (super_seed_ && peer.ready) super_seed_->on_bitfield(peer.conn, peer.has, now);
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
  // Neither wants anything of the other (BEP 21: also when one has but a part, and wants no more).
  if (peer.ready && phase_ == Phase::whole && (peer.has.all() || peer.upload_only))
    context_.close(peer, PeerFault::both_seeds);
}

void Torrent::on_request(Peer& peer, const wire::BlockRef& block, Instant now) {
  if (!valid(block) || block.length > wire::block_bytes_served_max) return context_.close(peer, PeerFault::bad_request);
  // Only what was verified ever leaves (S2); a choked peer gets nothing.
  const bool shown = !super_seed_ || super_seed_->is_shown(peer.conn, block.piece);
  const bool to_its_end = block.begin + block.length == content_->download.piece_size(block.piece);
  if (turns_) turns_->on_asked(peer.conn, block.piece, to_its_end, now);
  if (content_->progress.verified()[block.piece] && shown && !peer.am_choking && peer.uploads.add(block))
    return context_.announce(peer);
  if (peer.fast) say(peer, wire::Reject{block});
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
  peer.requests.heard(now);
  fed_ = now;
  context_.actions.stores.push_back(
      {id_, peer.conn, block, fragment.at, {in.handle, fragment.offset, fragment.length}});
  if (!last) return;
  peer.requests.received(block, peer.down.rate(now), now);
  block_delay_ += (peer.requests.delay() - block_delay_) / 8;
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
  show_more(now);
  offer_turns(now);
}

/// Super-seeding (BEP 16): pieces that somebody may know of by now.
void Torrent::show_more(Instant now) {
  if (!super_seed_) return;
  while (const auto show = super_seed_->next_show(now)) {
    const auto at = std::find_if(peers_.begin(), peers_.end(), [&](const Peer* p) { return p->conn == show->conn; });
    if (at != peers_.end()) say(**at, wire::Have{show->piece});
  }
}

void Torrent::on_gone(Peer& peer, PeerFault why, Instant now) {
  std::erase(peers_, &peer);
  if (turns_) turns_->on_gone(peer.conn);
  release_requests(peer);
  content_->download.on_gone(peer.conn);
  if (metadata_) metadata_->on_gone(peer.conn, now), ask_metadata_all(now);
  if (metadata_uploads_) metadata_uploads_->on_gone(peer.conn);
  if (super_seed_ && peer.ready) super_seed_->on_gone(peer.conn), show_more(now);
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
  offer_turns(now);
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

/// Rules 1, 2 and 4 of HAVE.
void Torrent::tell_have(Peer& peer, PieceIndex piece) {
  const bool by_turns = turns_ && turns_->knows(peer.conn);
  if (peer.has[piece] && !by_turns) return;
  const bool may_wait = by_turns && (peer.has[piece] || (selective_ && !turns_->partners().is_partner(peer.conn)));
  if (!may_wait || peer.send.small().size() >= have_bytes_max) return say(peer, wire::Have{piece});
  if (!peer.closing) wire::append_message(peer.send.small(), wire::Have{piece});
}

void Torrent::send_waiting(Peer& peer) {
  if (peer.send.has_small()) context_.announce(peer);
}

bool Torrent::valid(const wire::BlockRef& block) const {
  return number(block.piece) < info_.pieces && block.length > 0 &&
         std::uint64_t{block.begin} + block.length <= content_->download.piece_size(block.piece);
}

// ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::ask(Peer& peer, Instant now) {
  if (peer.web_seed) return ask_web_seed(peer, now);
  if (!peer.ready || peer.closing || peer.peer_choking || !peer.am_interested || !leeching() || stopping_) return;
  const bool in_turn = peer.waits && now >= freely_until_;
  if (in_turn && peer.granted.empty()) return;
  std::uint64_t most = in_turn ? peer.requests.room_in_turn(peer.down.rate(now)) : peer.requests.room();
  if (peer.requests.waiting(now) > stall_timeout) most = 0;
  const std::uint64_t budget = context_.down.available(now);
  if (budget == 0 && most > 0) context_.down_waiting = true;
  if (budget != UINT64_MAX) most = std::min(most, (budget + wire::block_bytes - 1) / wire::block_bytes);
  if (most == 0) return;
  blocks_.clear();
  in_turn ? ask_granted(peer, static_cast<std::size_t>(most))
          : content_->download.next(peer.conn, peer.has, static_cast<std::size_t>(most), peer.requests.size() == 0,
                                    blocks_);
  for (const wire::BlockRef& b : blocks_) {
    if (!in_turn && b.begin == 0) tell_begun(b.piece, &peer);
    peer.requests.asked(b, now);
    context_.down.take(b.length, now);
    say(peer, wire::Request{b});
  }
}

/// Who gives by turns must not offer what is on its way already. Nobody else has a use for that word, and whoever begins to
/// give by turns is told of all that is begun (on_turns).
void Torrent::tell_begun(PieceIndex piece, const Peer* except) {
  const bool waits = std::any_of(peers_.begin(), peers_.end(), [](const Peer* p) { return p->waits; });
  if (waits) tell_turns(wire::TurnsMessage::Kind::taken, piece, except);
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
  seed.in_order ? content_->download.next_run(peer.conn, bytes, seed.next_from, blocks_)
                : content_->download.next_run(peer.conn, bytes, blocks_);
  if (blocks_.empty()) return;
  std::uint64_t length = 0;
  for (const wire::BlockRef& b : blocks_) {
    if (b.begin == 0) tell_begun(b.piece, nullptr);
    peer.requests.asked(b, now);
    length += b.length;
  }
  context_.down.take(length, now);
  const wire::BlockRef& first = blocks_.front();
  seed.began(std::uint64_t{number(first.piece)} * info_.piece_bytes + first.begin, length);
  context_.actions.fetches.push_back({peer.conn, id_, seed.number, seed.offset, seed.length, seed.in_order});
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

void Torrent::on_fetch_ended(Peer& peer, const Result<void>& how, Instant now) {
  WebSeed& seed = *peer.web_seed;
  if (how || how.error().code != ignores_ranges || !seed.learn_in_order()) {
    seed.ended(how && seed.done == seed.length, now);
    if (!how) notice(WebSeedNews{id_, seed.number, how.error()});
  }
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

void Torrent::release_requests(Peer& peer) { give_back(peer, peer.requests.drop_all()); }

// ── giving ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Whatever it wants just now changes nothing in who is unchoked: it is a swarm node, is unchoked already and remains so. Mostly all are.
bool Torrent::indifferent(const Peer& peer) const {
  const bool strangers = choker_.next_round() < Instant::max();
  if (strangers || !choker_.has_room_for(peers_.size())) return false;
  return !peer.ready || peer.closing || (peer.cooperative && !peer.am_choking);
}

void Torrent::rechoke(Instant now) {
  const auto nothing_to_decide = [this](const Peer* p) { return indifferent(*p); };
  if (!peers_.empty() && std::all_of(peers_.begin(), peers_.end(), nothing_to_decide)) return;
  candidates_.clear();
  for (const Peer* p : peers_) {
    if (!p->ready || p->closing) continue;
    candidates_.push_back({p->conn, p->peer_interested, p->cooperative && !(turns_ && turns_->shunned(p->conn)),
                           !p->am_choking, p->requests.snubbed(now), p->down.rate(now), p->up.rate(now), p->since,
                           p->unchoked_since});
  }
  std::vector<ConnId> open = choker_.decide(candidates_, complete(), now);
  std::sort(open.begin(), open.end());
  for (Peer* p : peers_) {
    if (!p->ready || p->closing) continue;
    const bool unchoked = std::binary_search(open.begin(), open.end(), p->conn);
    if (unchoked && p->am_choking) {
      p->am_choking = false;
      p->unchoked_since = now;
      if (turns_) turns_->set_open(p->conn, true);
      say(*p, wire::Unchoke{});
    } else if (!unchoked && !p->am_choking) {
      choke(*p);
    }
  }
}

void Torrent::choke(Peer& peer) {
  peer.am_choking = true;
  if (turns_) turns_->set_open(peer.conn, false);
  say(peer, wire::Choke{});
  for (const wire::BlockRef& b : peer.uploads.drop_all())
    if (peer.fast) say(peer, wire::Reject{b});
}

}  // namespace swarm::core
