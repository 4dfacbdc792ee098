#include "core/torrent/metadata.hh"

#include <algorithm>

#include "base/check.hh"

namespace swarm::core {

namespace {

constexpr std::uint32_t turn_doublings_max = 10;    // 17 hours
constexpr std::uint32_t patience_halvings_max = 6;  // 156 ms

}  // namespace

void Metadata::on_offered(ConnId conn, std::int64_t bytes, Instant now) {
  const auto known = peers_.find(conn);
  if (known != peers_.end() && known->second.bytes == bytes) return;
  leave(conn);
  settle(now);
  if (bytes >= 1 && bytes <= wire::metadata_bytes_max && !refused_.contains(conn)) {
    peers_[conn].bytes = static_cast<std::uint32_t>(bytes);
    join(conn, peers_[conn], now);
  }
  settle(now);
}

std::optional<std::uint32_t> Metadata::next(ConnId conn, Instant now) {
  settle(now);
  const auto it = peers_.find(conn);
  if (it == peers_.end()) return std::nullopt;
  Peer& peer = it->second;
  Source* const source = source_of(conn, peer);
  if (source == nullptr || !source->active || now < peer.rests_until) return std::nullopt;
  if (std::erase_if(peer.asks, [now](const Ask& ask) { return now >= ask.at + lost_after; }) > 0) {
    peer.rests_until = now + rest;
    return std::nullopt;
  }
  if (peer.asks.size() >= asks_max) return std::nullopt;
  for (const auto& [from, piece] : source->askable) {
    if (from > now) break;
    const auto index = piece;
    if (std::ranges::find(peer.asks, index, &Ask::piece) != peer.asks.end()) continue;
    peer.asks.push_back({index, now});
    Piece& asked = source->pieces[index];
    if (from != Instant::min()) ++asked.unanswered;
    asked.asked_of = conn;
    set_askable(*source, index, now + ask_another_after / (1u << std::min(asked.unanswered, patience_halvings_max)));
    return index;
  }
  return std::nullopt;
}

void Metadata::on_data(ConnId conn, const wire::MetadataData& data, Instant now) {
  const auto it = peers_.find(conn);
  if (it == peers_.end() || !take_ask(conn, it->second, data.piece)) return settle(now);
  Source& source = *source_of(conn, it->second);
  const bool contradicts = (data.bytes_total != 0 && data.bytes_total != source.bytes) ||
                           data.bytes.size() != wire::metadata_piece_size(source.bytes, data.piece);
  Piece& piece = source.pieces[data.piece];
  if (contradicts) {
    leave(conn);
    refused_.insert(conn);
  } else if (is_missing(source, data.piece)) {
    source.askable.erase({piece.askable_from, data.piece});
    piece.bytes = to_buffer(data.bytes);
    piece.from = conn;
    source.bytes_done += static_cast<std::uint32_t>(data.bytes.size());
    source.progress_at = now;
  }
  settle(now);
}

void Metadata::on_reject(ConnId conn, std::uint32_t piece, Instant now) {
  const auto it = peers_.find(conn);
  if (it != peers_.end() && take_ask(conn, it->second, piece)) it->second.rests_until = now + rest;
  settle(now);
}

void Metadata::on_gone(ConnId conn, Instant now) {
  leave(conn);
  refused_.erase(conn);
  settle(now);
}

std::shared_ptr<const Buffer> Metadata::complete() {
  if (std::ranges::any_of(sources_, &Source::checking)) return nullptr;
  const auto source =
      std::ranges::find_if(sources_, [](const Source& s) { return s.active && s.bytes_done == s.bytes; });
  if (source == sources_.end()) return nullptr;
  auto whole = std::make_shared<Buffer>();
  whole->reserve(source->bytes);
  for (Piece& piece : source->pieces) {
    append(*whole, piece.bytes);
    piece.bytes = {};  // so that both together are never much more than one
    source->contributors.push_back(piece.from);
  }
  std::ranges::sort(source->contributors);
  auto& from = source->contributors;
  from.erase(std::unique(from.begin(), from.end()), from.end());
  source->checking = true;
  return whole;
}

std::vector<ConnId> Metadata::on_wrong(Instant now) {
  const auto source = std::ranges::find_if(sources_, &Source::checking);
  SWARM_CHECK(source != sources_.end());
  const auto contributors = std::move(source->contributors);
  if (contributors.size() > 1) everyone_alone_ = true;
  end_turn(*source);
  wait(source, now);
  if (contributors.size() == 1 && peers_.contains(contributors[0])) {
    leave(contributors[0]);
    refused_.insert(contributors[0]);
  }
  if (everyone_alone_) split(now);
  settle(now);
  return contributors;
}

std::uint32_t Metadata::bytes_total() const { return farthest() == nullptr ? 0 : farthest()->bytes; }

std::uint32_t Metadata::bytes_done() const { return farthest() == nullptr ? 0 : farthest()->bytes_done; }

std::optional<Instant> Metadata::next_wake() const {
  std::optional<Instant> wake;
  const auto consider = [&wake](Instant at) { wake = wake ? std::min(*wake, at) : at; };
  if (somebody_waits()) {
    for (const Source& source : sources_) {
      if (source.active && !source.checking) consider(turn_end(source));
    }
  }
  for (const auto& [conn, peer] : peers_) {
    const Source* const source = source_of(conn, peer);
    if (source == nullptr || !source->active || source->askable.empty()) continue;
    const bool full = peer.asks.size() >= asks_max;
    const auto able = full ? std::max(peer.rests_until, peer.asks.front().at + lost_after) : peer.rests_until;
    for (const auto& [from, piece] : source->askable) {
      const auto mine = std::ranges::find(peer.asks, piece, &Ask::piece);
      // Its own ask is in the way until that counts as lost.
      consider(std::max({able, from, mine == peer.asks.end() ? from : mine->at + lost_after}));
      if (mine == peer.asks.end()) break;
    }
  }
  return wake;
}

bool Metadata::belongs(const Source& source, ConnId conn, const Peer& peer) {
  return source.bytes == peer.bytes && (!source.alone || *source.alone == conn);
}

Metadata::Source* Metadata::source_of(ConnId conn, const Peer& peer) {
  const auto it = std::ranges::find_if(sources_, [&](const Source& s) { return belongs(s, conn, peer); });
  return it == sources_.end() ? nullptr : &*it;
}

const Metadata::Source* Metadata::source_of(ConnId conn, const Peer& peer) const {
  const auto it = std::ranges::find_if(sources_, [&](const Source& s) { return belongs(s, conn, peer); });
  return it == sources_.end() ? nullptr : &*it;
}

const Metadata::Source* Metadata::farthest() const {
  const Source* best = nullptr;
  for (const Source& source : sources_) {
    if (source.active && (best == nullptr || source.bytes_done > best->bytes_done)) best = &source;
  }
  return best;
}

bool Metadata::has_peers(const Source& source) const {
  return std::ranges::any_of(peers_, [&](const auto& p) { return belongs(source, p.first, p.second); });
}

std::size_t Metadata::active_sources() const {
  return static_cast<std::size_t>(std::ranges::count(sources_, true, &Source::active));
}

bool Metadata::somebody_waits() const { return active_sources() < sources_.size(); }

/// When it has to make room, given that somebody waits. A complete one gives nothing up: it waits for its check only.
Instant Metadata::turn_end(const Source& source) const {
  if (source.bytes_done == source.bytes) return Instant::max();
  const auto longest = std::ranges::find(sources_, false, &Source::active);  // they wait in order
  const auto contested = longest == sources_.end() ? source.began : std::max(source.began, longest->waits_since);
  const auto length = turn * (1u << std::min(source.turns - 1, turn_doublings_max));
  return std::min(contested + length, source.progress_at + stalled_after);
}

/// This peer has just come to offer its size.
void Metadata::join(ConnId conn, const Peer& peer, Instant now) {
  if (source_of(conn, peer) != nullptr) return;
  Source& source = sources_.emplace_back();
  source.bytes = peer.bytes;
  source.waits_since = now;
  if (everyone_alone_) source.alone = conn;
}

/// Rule 5: nobody shares a source any more. What is complete already still has its check.
void Metadata::split(Instant now) {
  for (auto it = sources_.begin(); it != sources_.end();) {
    const auto source = it++;
    if (source->alone || (source->active && source->bytes_done == source->bytes)) continue;
    end_turn(*source);
    sources_.erase(source);
  }
  for (const auto& [conn, peer] : peers_) join(conn, peer, now);
}

void Metadata::leave(ConnId conn) {
  const auto it = peers_.find(conn);
  if (it == peers_.end()) return;
  drop_asks(conn, it->second);
  peers_.erase(it);
}

/// Sources without peers go, and places go to those that wait. What is being checked stays until it was.
void Metadata::settle(Instant now) {
  sources_.remove_if([this](const Source& s) { return !s.checking && (s.alone || !s.active) && !has_peers(s); });
  fill_places(now);
  if (!somebody_waits()) return;
  sources_.remove_if([this](const Source& s) { return s.active && s.bytes_done < s.bytes && !has_peers(s); });
  fill_places(now);
  while (make_room(now)) fill_places(now);  // ends: a turn that begins now is not over now
}

void Metadata::fill_places(Instant now) {
  auto places = sources_at_a_time - active_sources();
  for (auto it = sources_.begin(); it != sources_.end() && places > 0; ++it) {
    if (it->active) continue;
    begin_turn(*it, now);
    --places;
  }
}

/// Ends the turn that is over first, if somebody waits and one is over.
bool Metadata::make_room(Instant now) {
  if (!somebody_waits()) return false;
  auto first = sources_.end();
  for (auto it = sources_.begin(); it != sources_.end(); ++it) {
    if (!it->active || it->checking || now < turn_end(*it)) continue;
    if (first == sources_.end() || turn_end(*it) < turn_end(*first)) first = it;
  }
  if (first == sources_.end()) return false;
  end_turn(*first);
  wait(first, now);
  return true;
}

void Metadata::wait(Sources::iterator source, Instant now) {
  source->waits_since = now;
  sources_.splice(sources_.end(), sources_, source);
}

void Metadata::begin_turn(Source& source, Instant now) {
  source.active = true;
  source.began = source.progress_at = now;
  ++source.turns;
  const auto count = wire::metadata_pieces(source.bytes);
  source.pieces.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) source.askable.insert(source.askable.end(), {Instant::min(), i});
}

void Metadata::end_turn(Source& source) {
  for (auto& [conn, peer] : peers_) {
    if (source_of(conn, peer) == &source) peer.asks.clear();
  }
  source.active = source.checking = false;
  source.pieces = {};
  source.askable.clear();
  source.contributors.clear();
  source.bytes_done = 0;
}

bool Metadata::is_missing(const Source& source, std::uint32_t piece) {
  return source.askable.contains({source.pieces[piece].askable_from, piece});
}

void Metadata::set_askable(Source& source, std::uint32_t piece, Instant from) {
  Piece& p = source.pieces[piece];
  source.askable.erase({p.askable_from, piece});
  source.askable.insert({from, piece});
  p.askable_from = from;
}

/// Ends the peer's ask for this piece; false when there was none. The piece, if missing, may be asked of anybody at once.
bool Metadata::take_ask(ConnId conn, Peer& peer, std::uint32_t piece) {
  const auto ask = std::ranges::find(peer.asks, piece, &Ask::piece);
  if (ask == peer.asks.end()) return false;
  peer.asks.erase(ask);
  Source* const source = source_of(conn, peer);
  SWARM_CHECK(source != nullptr && source->active);
  if (is_missing(*source, piece) && source->pieces[piece].asked_of == conn) {
    set_askable(*source, piece, Instant::min());
  }
  return true;
}

void Metadata::drop_asks(ConnId conn, Peer& peer) {
  while (!peer.asks.empty()) take_ask(conn, peer, peer.asks.front().piece);
}

}  // namespace swarm::core
