// What a torrent says and hears about turns (core/torrent/turns.hh): the messages, and what follows from them for its requests.
#include <algorithm>

#include "core/torrent/torrent.hh"

namespace swarm::core {

using Kind = wire::TurnsMessage::Kind;

// ── giving ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// From now on this peer takes part; once its extension handshake has said so and the pieces are known.
void Torrent::join_turns(Peer& peer) {
  if (!turns_ || peer.theirs.turns == 0 || !peer.ready || peer.closing || turns_->knows(peer.conn)) return;
  turns_->on_neighbour(peer.conn, peer.has, discovery_.near(peer.endpoint.address));
  turns_->set_open(peer.conn, !peer.am_choking);
  if (selective_) say_turns(peer, Kind::wait, {});
  say_taken(peer);
}

/// Tells a peer which of its pieces are on their way to us, if it gives by turns: nobody else has a use for it.
void Torrent::say_taken(Peer& peer) {
  if (!turns_ || !peer.waits || peer.theirs.turns == 0 || !turns_->knows(peer.conn)) return;
  pieces_.clear();
  for (const PieceIndex p : content_->download.all_begun())
    if (peer.has[p]) pieces_.push_back(p);
  say_turns(peer, Kind::taken, pieces_);
}

/// After every input: whoever has a turn now is offered its piece.
void Torrent::offer_turns(Instant now) {
  if (!turns_ || stopping_ || phase_ == Phase::failed) return;
  if (turns_->selective() != selective_) {
    selective_ = turns_->selective();
    for (Peer* p : peers_)
      if (turns_->knows(p->conn)) say_turns(*p, selective_ ? Kind::wait : Kind::ask, {});
  }
  while (const auto s = turns_->partners().next_say(now)) {
    const auto at = std::find_if(peers_.begin(), peers_.end(), [&](const Peer* p) { return p->conn == s->conn; });
    say_turns(**at, {s->pair ? Kind::pair : Kind::part, {}, s->partners});
  }
  while (const auto offer = turns_->next_offer(up_.rate(now), now)) {
    const auto at = std::find_if(peers_.begin(), peers_.end(), [&](const Peer* p) { return p->conn == offer->conn; });
    const PieceIndex piece[] = {offer->piece};
    say_turns(**at, Kind::offer, piece);
  }
}

void Torrent::say_turns(Peer& peer, const wire::TurnsMessage& message) {
  if (!peer.ready || peer.closing || peer.theirs.turns == 0) return;
  say(peer, wire::Extended{peer.theirs.turns, wire::encode(message)});
}

void Torrent::say_turns(Peer& peer, Kind kind, std::span<const PieceIndex> pieces) {
  const bool bare = kind == Kind::ask || kind == Kind::wait;
  for (std::size_t i = 0; i < pieces.size() || (bare && i == 0); i += wire::turns_pieces_max) {
    const auto some = pieces.subspan(i, std::min(pieces.size() - i, wire::turns_pieces_max));
    say_turns(peer, wire::TurnsMessage{kind, {some.begin(), some.end()}});
  }
}

/// Tells all neighbours that have this piece, but one.
void Torrent::tell_turns(Kind kind, PieceIndex piece, const Peer* except) {
  if (!turns_) return;
  const PieceIndex pieces[] = {piece};
  // Who is giving it already goes on; it would take the word for a turn that came to nothing.
  const auto gives = [&](const Peer& p) {
    return std::find(p.granted.begin(), p.granted.end(), piece) != p.granted.end() ||
           content_->download.asked_of(piece, p.conn);
  };
  for (Peer* p : peers_) {
    if (p == except || !p->has[piece] || !turns_->knows(p->conn)) continue;
    if (kind != Kind::lacking || !gives(*p)) say_turns(*p, kind, pieces);
  }
}

// ── what is heard ───────────────────────────────────────────────────────────────────────────────────────────────────────────

void Torrent::on_turns(Peer& peer, const wire::TurnsMessage& message, Instant now) {
  if (!turns_) return;
  if (message.kind == Kind::pair) return turns_->partners().on_pair(peer.conn, message.partners, now);
  if (message.kind == Kind::part) return turns_->partners().on_part(peer.conn, message.partners, now);
  if (message.kind == Kind::ask || message.kind == Kind::wait) {
    peer.waits = message.kind == Kind::wait;
    if (!peer.waits) peer.granted.clear();  // free blocks of begun pieces: they come first (Download, rule 1)
    peer.refill = true;
    if (peer.waits) say_taken(peer), tell_orphans();
    return;
  }
  for (const PieceIndex p : message.pieces) {
    if (message.kind == Kind::offer) on_offer(peer, p);
    if (message.kind == Kind::taken) turns_->on_taken(peer.conn, p);
    if (message.kind == Kind::unwanted) turns_->on_unwanted(peer.conn, p);
    if (message.kind == Kind::lacking) turns_->on_lacking(peer.conn, p);
  }
}

/// Ask for it, or say why not; of what somebody else gives already, for the rest. What stands on our disk already needs no word: HAVE is
/// on its way. Nor does an offer of one that chokes us: it can not be asked, and its offer would keep all others from giving the piece.
void Torrent::on_offer(Peer& peer, PieceIndex piece) {
  const PieceIndex pieces[] = {piece};
  if (content_->progress.verified()[piece] || !peer.has[piece] || peer.peer_choking) return;
  const bool mine = std::find(peer.granted.begin(), peer.granted.end(), piece) != peer.granted.end();
  if (mine || content_->download.asked_of(piece, peer.conn)) return;
  if (!leeching() || stopping_ || (!content_->progress.missing(piece) && !content_->download.begun(piece)))
    return say_turns(peer, Kind::unwanted, pieces);
  const bool told = granted(piece);
  if (peer.granted.size() >= granted_max || !content_->download.grant(piece, peer.conn))
    return say_turns(peer, Kind::taken, pieces);
  peer.granted.push_back(piece);
  if (!told) tell_turns(Kind::taken, piece, &peer);
  peer.refill = true;
  look_at_end();
}

/// With the last piece begun, several may give one piece: its blocks are asked of whoever has room first.
void Torrent::look_at_end() {
  const bool last = content_->picker.pickable() == 0;
  if (std::exchange(last_pieces_, last) || !last) return;
  for (const PieceIndex p : content_->download.all_begun())
    if (content_->download.has_free(p)) tell_turns(Kind::lacking, p, nullptr);
}

bool Torrent::granted(PieceIndex piece) const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const Peer* p) {
    return std::find(p->granted.begin(), p->granted.end(), piece) != p->granted.end();
  });
}

/// Nobody was found for the rest of a begun piece: whoever has it may offer it, whatever was said before. Rationale: a piece that was
/// begun by asking stays unfinished when those who have it come to give by turns; it must not depend on who changes its mind when.
void Torrent::tell_orphans() {
  if (!turns_ || !leeching() || content_->download.free_blocks() == 0) return;
  for (const PieceIndex p : content_->download.all_begun())
    if (content_->download.has_free(p) && !granted(p)) tell_turns(Kind::lacking, p, nullptr);
}

/// The next blocks of what this peer has offered. Its turn ends with its request for the last one; where others have that, a word does.
void Torrent::ask_granted(Peer& peer, std::size_t most) {
  while (most > 0 && !peer.granted.empty()) {
    const PieceIndex piece = peer.granted.front();
    const std::size_t before = blocks_.size();
    content_->download.next_of(piece, peer.conn, most, blocks_);
    most -= blocks_.size() - before;
    if (content_->download.has_free(piece)) continue;
    peer.granted.erase(peer.granted.begin());
    const bool to_end =
        blocks_.size() > before && blocks_.back().begin + blocks_.back().length == content_->download.piece_size(piece);
    const PieceIndex pieces[] = {piece};
    if (!to_end) say_turns(peer, Kind::taken, pieces);
  }
}

/// These will not come from there: what is free of them anybody may offer.
void Torrent::give_back(Peer& peer, std::span<const wire::BlockRef> blocks) {
  std::vector<PieceIndex> pieces = std::exchange(peer.granted, {});
  for (const wire::BlockRef& b : blocks) {
    content_->download.release(b, peer.conn);
    pieces.push_back(b.piece);
  }
  if (!turns_ || !leeching()) return;
  std::sort(pieces.begin(), pieces.end());
  pieces.erase(std::unique(pieces.begin(), pieces.end()), pieces.end());
  for (const PieceIndex p : pieces)
    if (content_->download.has_free(p)) tell_turns(Kind::lacking, p, nullptr);
}

}  // namespace swarm::core
