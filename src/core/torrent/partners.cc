#include "core/torrent/partners.hh"

#include <algorithm>
#include <utility>

namespace swarm::core {

void Partners::on_neighbour(ConnId conn, bool near) {
  Neighbour n;
  n.conn = conn;
  n.near = near;
  neighbours_.push_back(n);
  settle();
}

void Partners::on_gone(ConnId conn) {
  Neighbour* n = find(conn);
  if (n == nullptr) return;
  set(*n, State::none);
  std::erase_if(says_, [&](const Say& s) { return s.conn == conn; });
  neighbours_.erase(neighbours_.begin() + (n - neighbours_.data()));
  settle();
}

void Partners::set_whole(ConnId conn, bool whole) {
  Neighbour* n = find(conn);
  if (n == nullptr || n->whole == whole) return;
  n->whole = whole;
  settle();
}

void Partners::set_self_whole(bool whole) {
  if (self_whole_ == whole) return;
  self_whole_ = whole;
  settle();
}

void Partners::set_shunned(ConnId conn, bool shunned) {
  Neighbour* n = find(conn);
  if (n == nullptr || n->shunned == shunned) return;
  if (n->state != State::none) say(*n, false);
  n->shunned = shunned;
  settle();
}

void Partners::set_doubted(ConnId conn, bool doubted) {
  Neighbour* n = find(conn);
  if (n == nullptr || n->doubted == doubted) return;
  const State state = n->state;
  set(*n, State::none);
  n->doubted = doubted;
  set(*n, state);
}

void Partners::on_pair(ConnId conn, std::uint8_t partners, Instant now) {
  Neighbour* n = find(conn);
  if (n == nullptr) return;
  n->partners = partners;
  if (n->state == State::paired) return;
  if (n->state == State::asked) return set(*n, State::paired);
  if (!useful(*n)) return say(*n, false);
  if (count() + asked_ >= (n->refused ? most : wanted) && !all()) {
    Neighbour* const richest = find_richest();
    if (!std::exchange(n->refused, true) || richest == nullptr || richest->partners < partners + 2)
      return say(*n, false);
    set(*richest, State::none);
    richest->not_before = now + refused_for;
    say(*richest, false);
  }
  set(*n, State::paired);
  say(*n, true);
}

void Partners::on_part(ConnId conn, std::uint8_t partners, Instant now) {
  Neighbour* n = find(conn);
  if (n == nullptr) return;
  n->partners = partners;
  n->not_before = now + refused_for;
  set(*n, State::none);
}

std::optional<Partners::Say> Partners::next_say(Instant now) {
  if (says_.empty() && !all() && asked_ == 0 && count() < wanted) {
    if (Neighbour* n = choose(now)) {
      n->since = now;
      set(*n, State::asked);
      say(*n, true);
    }
  }
  if (says_.empty()) return std::nullopt;
  const Say next = says_.front();
  says_.pop_front();
  return next;
}

void Partners::on_tick(Instant now) {
  for (Neighbour& n : neighbours_) {
    if (n.state != State::asked || now - n.since <= answered_within) continue;
    set(n, State::none);
    n.not_before = now + silent_for;
    say(n, false);  // should it agree yet
  }
  if (std::exchange(told_, count()) == count()) return;
  for (const Neighbour& n : neighbours_)
    if (n.state == State::paired) say(n, true);
}

bool Partners::is_partner(ConnId conn) const {
  const Neighbour* n = const_cast<Partners*>(this)->find(conn);
  return n != nullptr && (all() ? useful(*n) : n->state == State::paired);
}

/// Whom to ask, by rules 4 and 5.
Partners::Neighbour* Partners::choose(Instant now) {
  const auto taken = std::count_if(neighbours_.begin(), neighbours_.end(),
                                   [](const Neighbour& n) { return n.near && n.state != State::none; });
  const bool prefer_near = taken + far_min < wanted;
  Neighbour* best = nullptr;
  std::uint64_t equals = 0;
  for (Neighbour& n : neighbours_) {
    if (n.state != State::none || !useful(n) || n.not_before > now) continue;
    const bool first = n.near == prefer_near;
    if (best == nullptr || (first && best->near != prefer_near)) {
      best = &n, equals = 1;
    } else if (first == (best->near == prefer_near) && random_.below(++equals) == 0) {
      best = &n;
    }
  }
  return best;
}

Partners::Neighbour* Partners::find_richest() {
  Neighbour* best = nullptr;
  for (Neighbour& n : neighbours_)
    if (n.state == State::paired && (best == nullptr || n.partners > best->partners)) best = &n;
  return best;
}

/// After a change in who is useful: a pair of two that are whole is none, on both sides and without a word.
void Partners::settle() {
  useful_ = 0;
  changed_ = true;
  for (Neighbour& n : neighbours_) useful(n) ? void(++useful_) : set(n, State::none);
}

void Partners::set(Neighbour& n, State state) {
  const auto count = [&](int change) {
    if (n.state == State::asked) asked_ += static_cast<std::uint32_t>(change);
    if (n.state == State::paired) (n.doubted ? doubted_ : paired_) += static_cast<std::uint32_t>(change);
  };
  count(-1);
  n.state = state;
  if (state == State::paired) n.refused = false;
  changed_ = true;
  count(1);
}

void Partners::say(const Neighbour& n, bool pair) {
  says_.push_back({n.conn, pair, static_cast<std::uint8_t>(std::min(count(), 255u))});
}

Partners::Neighbour* Partners::find(ConnId conn) {
  const auto at =
      std::find_if(neighbours_.begin(), neighbours_.end(), [&](const Neighbour& n) { return n.conn == conn; });
  return at == neighbours_.end() ? nullptr : &*at;
}

}  // namespace swarm::core
