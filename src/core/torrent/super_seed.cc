#include "core/torrent/super_seed.hh"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/check.hh"

namespace swarm::core {

SuperSeed::SuperSeed(std::uint32_t pieces, std::uint32_t piece_bytes, Random& random)
    : piece_bytes_(piece_bytes), pieces_(pieces), unseen_(pieces) {
  SWARM_CHECK(pieces > 0 && piece_bytes > 0);
  std::vector<std::uint32_t> order(pieces);
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(std::span(order));
  for (std::uint32_t i = 0; i < pieces; ++i) {
    pieces_[i].order = order[i];
    rarest_.insert(rank(i));
  }
}

bool SuperSeed::on_peer(ConnId conn, bool swarm_node, Instant) {
  if (swarm_node) end();
  Peer peer;
  peer.hidden = active_;
  peer.has = peer.shown = Bitfield(pieces_.size());
  const bool fresh = peers_.emplace(conn, std::move(peer)).second;
  SWARM_CHECK(fresh);
  return active_;
}

void SuperSeed::on_bitfield(ConnId conn, const Bitfield& has, Instant now) {
  const auto it = peers_.find(conn);
  if (it == peers_.end()) return;
  SWARM_CHECK(has.size() == pieces_.size());
  for (auto i = has.find(true); i < has.size(); i = has.find(true, i + 1)) {
    got(conn, it->second, static_cast<std::uint32_t>(i), now);
  }
}

void SuperSeed::on_have(ConnId conn, PieceIndex piece, Instant now) {
  const auto it = peers_.find(conn);
  if (it != peers_.end() && number(piece) < pieces_.size()) got(conn, it->second, number(piece), now);
}

void SuperSeed::on_rate(ConnId conn, double bytes_per_second) {
  const auto it = peers_.find(conn);
  if (it != peers_.end()) it->second.rate = bytes_per_second;
}

void SuperSeed::on_gone(ConnId conn) {
  const auto it = peers_.find(conn);
  if (it == peers_.end()) return;
  Peer& peer = it->second;
  while (!peer.window.empty()) leave_window(peer, peer.window.begin()->first);
  for (auto i = peer.has.find(true); i < peer.has.size(); i = peer.has.find(true, i + 1)) {
    count(static_cast<std::uint32_t>(i), -1, 0);
  }
  peers_.erase(it);
}

std::optional<SuperSeed::Shown> SuperSeed::next_show(Instant now) {
  if (!active_) return next_revealed();
  for (auto& [conn, peer] : peers_) {
    while (!peer.by_time.empty() && peer.by_time.begin()->first <= now) {
      leave_window(peer, peer.by_time.begin()->second);
    }
  }
  for (auto& [conn, peer] : peers_) {
    if (window_full(peer)) continue;
    const auto piece = rarest_for(peer);
    if (!piece) continue;
    peer.shown.set(*piece);
    peer.window[*piece] = {false, now + fetched_within};
    peer.by_time.insert({now + fetched_within, *piece});
    count(*piece, 0, +1);
    return Shown{conn, PieceIndex{*piece}};
  }
  return std::nullopt;
}

std::optional<Instant> SuperSeed::next_wake() const {
  std::optional<Instant> wake;
  if (!active_) return wake;
  for (const auto& [conn, peer] : peers_) {
    if (peer.by_time.empty() || peer.shown.all()) continue;
    const auto at = peer.by_time.begin()->first;
    wake = wake ? std::min(*wake, at) : at;
  }
  return wake;
}

bool SuperSeed::is_shown(ConnId conn, PieceIndex piece) const {
  const auto it = peers_.find(conn);
  if (it == peers_.end() || number(piece) >= pieces_.size()) return false;
  return !it->second.hidden || it->second.shown[piece];
}

/// Rule 3, and the piece.
std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t> SuperSeed::rank(std::uint32_t piece) const {
  const Piece& p = pieces_[piece];
  return {p.at_peers, p.under_way, p.order, piece};
}

/// The one place where the counts of a piece change.
void SuperSeed::count(std::uint32_t piece, int at_peers, int under_way) {
  Piece& p = pieces_[piece];
  rarest_.erase(rank(piece));
  if (p.at_peers == 0 && at_peers > 0) --unseen_;
  p.at_peers += static_cast<std::uint32_t>(at_peers);
  p.under_way += static_cast<std::uint32_t>(under_way);
  if (p.at_peers == 0 && at_peers < 0) ++unseen_;
  rarest_.insert(rank(piece));
}

void SuperSeed::got(ConnId conn, Peer& peer, std::uint32_t piece, Instant now) {
  if (peer.has[piece]) return;
  peer.has.set(piece);
  count(piece, +1, 0);
  if (const auto mine = peer.window.find(piece); mine != peer.window.end()) {
    mine->second.fetched = true;
    count(piece, 0, -1);
    const bool elsewhere = pieces_[piece].at_peers > 1 || peers_.size() == 1;
    if (elsewhere)
      leave_window(peer, piece);
    else
      set_leaving(peer, piece, now + spread_within);
  }
  for (auto& [other_conn, other] : peers_) {
    const auto waiting = other.window.find(piece);
    if (other_conn != conn && waiting != other.window.end() && waiting->second.fetched) leave_window(other, piece);
  }
  if (unseen_ == 0 || peer.has.all()) end();
}

void SuperSeed::leave_window(Peer& peer, std::uint32_t piece) {
  const auto it = peer.window.find(piece);
  if (!it->second.fetched) count(piece, 0, -1);
  peer.by_time.erase({it->second.leaves_at, piece});
  peer.window.erase(it);
}

void SuperSeed::set_leaving(Peer& peer, std::uint32_t piece, Instant at) {
  Waiting& waiting = peer.window.at(piece);
  peer.by_time.erase({waiting.leaves_at, piece});
  peer.by_time.insert({at, piece});
  waiting.leaves_at = at;
}

void SuperSeed::end() {
  active_ = false;
  for (auto& [conn, peer] : peers_) {
    while (!peer.window.empty()) leave_window(peer, peer.window.begin()->first);
  }
}

bool SuperSeed::window_full(const Peer& peer) const {
  const auto held = peer.window.size();
  const auto bytes = std::max(static_cast<double>(window_bytes_min), peer.rate * seconds(window_time));
  return held >= window_pieces_min && static_cast<double>(held) * piece_bytes_ >= bytes;
}

std::optional<std::uint32_t> SuperSeed::rarest_for(const Peer& peer) const {
  if (!peer.hidden || peer.shown.all()) return std::nullopt;
  for (const auto& entry : rarest_) {
    const auto piece = std::get<3>(entry);
    if (!peer.has[piece] && !peer.shown[piece]) return piece;
  }
  return std::nullopt;
}

/// Also what a peer has already: else it would not see that we are a seed (and leave, if it is one).
std::optional<SuperSeed::Shown> SuperSeed::next_revealed() {
  for (auto& [conn, peer] : peers_) {
    if (!peer.hidden) continue;
    const auto piece = peer.shown.find(false);
    if (piece < peer.shown.size()) {
      peer.shown.set(piece);
      return Shown{conn, PieceIndex{static_cast<std::uint32_t>(piece)}};
    }
    peer.hidden = false;
  }
  return std::nullopt;
}

}  // namespace swarm::core
