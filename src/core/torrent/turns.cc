#include "core/torrent/turns.hh"

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "base/check.hh"

namespace swarm::core {

namespace {

constexpr std::uint32_t not_trusted = 1u << 30;  ///< comes behind all partners
constexpr std::uint32_t steps = 32;              ///< rule 4

void smooth(Duration& mean, Duration sample) { mean += (sample - mean) / (mean == Duration{} ? 1 : 8); }

/// Calls visit(piece) for each bit of a that b has not, from this word on and round, until it gives false.
template <class Visit>
void for_missing(const Bitfield& a, const Bitfield& b, std::size_t first_word, Visit visit) {
  const ByteView x = a.bytes(), y = b.bytes();
  const std::size_t words = (x.size() + 7) / 8;
  for (std::size_t i = 0; i < words; ++i) {
    const std::size_t at = 8 * ((first_word + i) % words);
    std::uint64_t word = 0;
    if (at + 8 <= x.size()) {
      word = load_u64(&x[at]) & ~load_u64(&y[at]);
    } else {
      for (std::size_t k = at; k < x.size(); ++k) word |= std::uint64_t(x[k] & ~y[k] & 0xff) << (56 - 8 * (k - at));
    }
    while (word != 0) {
      const int bit = std::countl_zero(word);
      if (!visit(static_cast<std::uint32_t>(at * 8) + static_cast<std::uint32_t>(bit))) return;
      word &= ~(std::uint64_t{1} << (63 - bit));
    }
  }
}

}  // namespace

Turns::Turns(std::uint32_t piece_bytes, const Bitfield& mine, Random& random)
    : piece_bytes_(piece_bytes),
      mine_(mine),
      whole_at_first_(mine.all()),
      random_(random),
      partners_(random),
      held_(mine.size()),
      given_(mine.size()),
      gifted_(mine.size()),
      kept_(mine.size()) {
  partners_.set_self_whole(mine_.all());
}

// ── neighbours ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Turns::on_neighbour(ConnId conn, const Bitfield& has, bool near) {
  SWARM_CHECK(!knows(conn));
  Neighbour n;
  n.conn = conn;
  n.closed = n.taken = n.unwanted = n.joined = Bitfield(mine_.size());
  neighbours_.push_back(std::move(n));
  conns_.push_back(conn);
  partners_.on_neighbour(conn, near);
  if (mine_.size() == 0) ++whole_;
  on_bitfield(conn, has);
  neighbours_.back().gaining = 0;
}

void Turns::on_gone(ConnId conn) {
  Neighbour* n = find(conn);
  if (n == nullptr) return;
  for (std::uint32_t p = 0; p < mine_.size(); ++p) set(*n, p, State::lacking);
  std::erase_if(turns_, [&](const Turn& t) { return t.conn == conn; });
  if (mine_.size() == 0) --whole_;
  conns_.erase(conns_.begin() + (n - neighbours_.data()));
  neighbours_.erase(neighbours_.begin() + (n - neighbours_.data()));
  partners_.on_gone(conn);
  dirty_ = true;
}

void Turns::set_open(ConnId conn, bool open) {
  Neighbour* n = find(conn);
  if (n == nullptr || n->open == open) return;
  n->open = open;
  dirty_ = true;
  if (open) return;
  std::erase_if(turns_, [&](const Turn& t) {
    if (t.conn != conn) return false;
    set(*n, t.piece, State::lacking);
    return true;
  });
  n->to_ask = 0;
}

void Turns::on_bitfield(ConnId conn, const Bitfield& has) {
  Neighbour* n = find(conn);
  if (n == nullptr) return;
  SWARM_CHECK(has.size() == mine_.size());
  for (std::uint32_t p = 0; p < mine_.size(); ++p) {
    if (has[std::size_t{p}]) {
      on_have(conn, PieceIndex{p});
    } else if (n->state(p) == State::has) {
      set(*n, p, State::lacking);
    }
  }
  dirty_ = true;
}

void Turns::on_have(ConnId conn, PieceIndex piece) {
  Neighbour* n = find(conn);
  if (n == nullptr) return;
  const std::uint32_t p = number(piece);
  const auto turn =
      std::find_if(turns_.begin(), turns_.end(), [&](const Turn& t) { return t.conn == conn && t.piece == p; });
  std::optional<Gift> gift;
  if (turn != turns_.end() && turn->first) gift = Gift{.conn = conn, .piece = p, .offered = turn->since, .came = {}};
  end_turn(*n, p, true);
  set(*n, p, State::has);
  const auto its = std::count_if(gifts_.begin(), gifts_.end(), [&](const Gift& g) { return g.conn == conn; });
  if (!gift || its >= gifts_max) return;
  gift->passed_on = held_[p] > 1;
  gifts_.push_back(*gift);
  gifted_.set(std::size_t{p});
}

void Turns::on_taken(ConnId conn, PieceIndex piece) {
  Neighbour* n = find(conn);
  if (n == nullptr || n->state(number(piece)) == State::has) return;
  const bool offered = end_turn(*n, number(piece), false);
  set(*n, number(piece), State::taken);
  if (offered) n->joined.set(std::size_t{number(piece)});  // in vain, or there is no more to ask for
}

void Turns::on_unwanted(ConnId conn, PieceIndex piece) {
  Neighbour* n = find(conn);
  if (n == nullptr || n->state(number(piece)) == State::has) return;
  end_turn(*n, number(piece), false);
  set(*n, number(piece), State::unwanted);
}

void Turns::on_lacking(ConnId conn, PieceIndex piece) {
  Neighbour* n = find(conn);
  if (n == nullptr || n->state(number(piece)) == State::has) return;
  if (end_turn(*n, number(piece), false)) ++n->misses;
  set(*n, number(piece), State::lacking);
}

void Turns::on_asked(ConnId conn, PieceIndex piece, bool last, Instant now) {
  const auto turn = std::find_if(turns_.begin(), turns_.end(),
                                 [&](const Turn& t) { return t.conn == conn && t.piece == number(piece); });
  if (turn == turns_.end()) return;
  if (!std::exchange(turn->asked, true)) delay_min_ = std::min(delay_min_, now - turn->since), dirty_ = true;
  if (!last || std::exchange(turn->asked_to_end, true)) return;
  --find(conn)->to_ask;
  dirty_ = true;
}

/// Rule 8.
void Turns::on_traffic(ConnId conn, const Traffic& traffic, Instant now) {
  Neighbour* n = find(conn);
  if (n == nullptr) return;
  sent_ += traffic.took - std::exchange(n->took, traffic.took);
  const auto begin = [&] { n->judged_from = now, n->before = traffic; };
  if (n->shunned_until) {
    if (now < *n->shunned_until) return;
    n->shunned_until.reset();
    n->choked_from = now;
    partners_.set_shunned(conn, false);
    return begin();
  }
  if (!traffic.chokes || n->choked_from == Instant{}) n->choked_from = now;
  const bool chokes_long = now - n->choked_from >= doubted_after;
  if (chokes_long != std::exchange(n->chokes_long, chokes_long)) dirty_ = true;
  if (!traffic.could_give || !n->partner || n->judged_from == Instant{}) return begin();
  if (now - n->judged_from < judged_after) return;
  const std::uint64_t took = traffic.took - n->before.took, gave = traffic.gave - n->before.gave;
  const bool enough = took >= judged_pieces * piece_bytes_, chokes = now - n->choked_from >= choked_for;
  if (!enough && !chokes) return;
  begin();
  if (!chokes && gave >= took / least_share) return;
  n->shunned_until = now + shunned_for;
  partners_.set_shunned(conn, true);
}

// ── ourselves ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Turns::on_mine(PieceIndex piece) {
  mine_.set(piece);
  if (mine_.all()) partners_.set_self_whole(true);
  dirty_ = true;
}

void Turns::on_tick(Instant now) {
  const auto is_void = [&](const Turn& t) { return !t.asked && now - t.since > answered_within; };
  for (auto t = std::find_if(turns_.begin(), turns_.end(), is_void); t != turns_.end();
       t = std::find_if(turns_.begin(), turns_.end(), is_void)) {
    on_lacking(t->conn, PieceIndex{t->piece});
  }
  for (Neighbour& n : neighbours_) {
    n.misses = 0;
    n.gained = std::exchange(n.gaining, 0);
    partners_.set_doubted(n.conn, n.in_doubt(now));
  }
  partners_.on_tick(now);
  look_at_reach(now);
  dirty_ = true;
}

std::optional<Turns::Offer> Turns::next_offer(double rate, Instant now) {
  if (partners_.take_changed()) {
    for (Neighbour& n : neighbours_) n.partner = partners_.is_partner(n.conn);
    dirty_ = true;
  }
  see_gifts(now);
  rate_max_ = std::max(rate_max_, rate);
  if (!dirty_ || !selective()) return std::nullopt;
  const double delay = delay_min_ == Duration::max() ? 0 : seconds(delay_min_);
  const auto turns_max =
      std::max<std::uint32_t>(partners_.all() ? turns_min_in_mesh : turns_min,
                              static_cast<std::uint32_t>(rate * (seconds(ahead) + 2 * delay) / piece_bytes_));
  const std::uint32_t served = count_served();
  const bool idle = served == 0;
  const bool reaching = far() && reach_.served_max() > Reach::least;
  const bool all_in_doubt = std::all_of(neighbours_.begin(), neighbours_.end(), [now](const Neighbour& n) {
    return !n.open || !n.partner || n.closed.all() || n.in_doubt(now);
  });
  const bool no_seconds = std::any_of(turns_.begin(), turns_.end(),
                                      [&](const Turn& t) { return t.first && now - t.since < gift_comes_in_; });
  candidates_.clear();
  for (std::uint32_t i = 0; i < neighbours_.size(); ++i) {
    const Neighbour& n = neighbours_[i];
    if (!n.open || n.to_ask >= turns_max || n.has == mine_.size() || n.misses >= misses_max) continue;
    const bool trusted = n.partner && (all_in_doubt || !n.in_doubt(now));
    const bool reached = reaching && served < reach_.served_max() && !n.shunned_until && !n.in_doubt(now);
    if (!trusted && !idle && !reached) continue;
    const auto load = reaching ? static_cast<std::uint32_t>(n.has * steps / mine_.size()) : n.under_way;
    candidates_.push_back({load + n.misses + (trusted ? 0 : not_trusted), random_.next(), i});
  }
  if (begins_enough(now)) return std::nullopt;
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.load, a.lot, a.at) < std::tie(b.load, b.lot, b.at);
  });
  for (const Candidate& c : candidates_) {
    Neighbour& n = neighbours_[c.at];
    const auto piece = piece_for(n);
    if (!piece) continue;
    const bool first = held_[*piece] == (kept_[std::size_t{*piece}] ? 1u : 0u);
    if (!first && (no_seconds || fed_by_others(n, *piece))) continue;
    forget_gift(*piece);  // from now on nobody can tell who passed it on
    for (Turn& t : turns_)
      if (t.piece == *piece) t.first = false;
    set(n, *piece, State::taken);
    return offer(n, *piece, first, now);
  }
  for (const Candidate& c : candidates_) {
    if (!idle || no_seconds || c.load >= not_trusted) break;
    Neighbour& n = neighbours_[c.at];
    const auto piece = piece_to_join(n);
    if (!piece || fed_by_others(n, *piece)) continue;
    n.joined.set(std::size_t{*piece});
    return offer(n, *piece, false, now);
  }
  dirty_ = false;
  return std::nullopt;
}

Turns::Offer Turns::offer(Neighbour& n, std::uint32_t piece, bool first, Instant now) {
  if (given_[piece] < UINT16_MAX) ++given_[piece];
  ++n.to_ask;
  turns_.push_back({n.conn, piece, now, first});
  return {n.conn, PieceIndex{piece}};
}

/// Rule 12.
bool Turns::begins_enough(Instant now) const {
  const auto begins = [this](const Candidate& c) {
    const Neighbour& n = neighbours_[c.at];
    return c.load < not_trusted && n.under_way + n.misses == 0 && n.has == 0 && lacks_any(n);
  };
  if (std::none_of(candidates_.begin(), candidates_.end(), begins)) return false;
  const auto begun = std::count_if(turns_.begin(), turns_.end(),
                                   [now](const Turn& t) { return !t.asked_to_end && now - t.since < begun_within; });
  const auto farther = far() ? static_cast<std::size_t>(delay_min_ / far_from) : 1;
  return static_cast<std::size_t>(begun) >= begun_at_a_time * std::min(farther, begun_farther_max);
}

std::uint32_t Turns::count_served() const {
  const auto served =
      std::count_if(neighbours_.begin(), neighbours_.end(), [](const Neighbour& n) { return n.to_ask > 0; });
  return static_cast<std::uint32_t>(served);
}

/// Rule 14.
void Turns::look_at_reach(Instant now) {
  if (now - second_began_ < 1s) return;
  const double rate = static_cast<double>(std::exchange(sent_, 0)) / seconds(now - std::exchange(second_began_, now));
  if (far()) reach_.on_second(rate, count_served(), now);
}

bool Turns::lacks_any(const Neighbour& n) const {
  bool any = false;
  for_missing(mine_, n.closed, 0, [&](std::uint32_t) { return !(any = true); });
  return any;
}

/// Rule 13.
bool Turns::fed_by_others(const Neighbour& n, std::uint32_t piece) const {
  if (!whole_at_first_ || partners_.all() || 2 * whole_ >= neighbours_.size()) return false;
  const std::uint32_t kept = kept_[std::size_t{piece}] ? 1 : 0;
  return held_[piece] - kept >= spread_enough && n.under_way > 0 && 2.0 * n.gained * piece_bytes_ >= rate_max_;
}

/// Rule 11.
std::optional<std::uint32_t> Turns::piece_to_join(const Neighbour& n) {
  std::optional<std::uint32_t> found;
  std::uint64_t equals = 0;
  for_missing(n.taken, n.joined, 0, [&](std::uint32_t p) {
    const bool ours =
        std::any_of(turns_.begin(), turns_.end(), [&](const Turn& t) { return t.conn == n.conn && t.piece == p; });
    if (mine_[std::size_t{p}] && !ours && random_.below(++equals) == 0) found = p;
    return true;
  });
  return found;
}

/// Rule 9: what has become of the first gifts since the last call.
void Turns::see_gifts(Instant now) {
  for (std::size_t i = 0; i < gifts_.size();) {
    Gift& g = gifts_[i];
    if (!g.came) {
      g.came = now;
      const Duration took = now - g.offered;  // one slow line shall not pull the mean far
      smooth(gift_comes_in_, gift_comes_in_ == Duration{} ? took : std::min(took, 2 * gift_comes_in_));
    }
    if (g.passed_on) {
      smooth(passed_on_in_, now - *g.came);
      if (g.kept) {
        Neighbour& n = *find(g.conn);
        n.keeps = 0;
        n.doubted_until = Instant{};
        dirty_ = true;
      }
      forget_gift(g.piece);  // the next one has its place
      continue;
    }
    if (!g.kept && now - *g.came > kept_for + 2 * passed_on_in_) {
      g.kept = true;
      kept_.set(std::size_t{g.piece});
      Neighbour& n = *find(g.conn);
      if (++n.keeps >= kept_max) n.keeps = 0, n.doubted_until = now + shunned_for;
      dirty_ = true;
    }
    ++i;
  }
}

void Turns::forget_gift(std::uint32_t piece) {
  if (!gifted_[std::size_t{piece}]) return;
  std::erase_if(gifts_, [piece](const Gift& g) { return g.piece == piece; });
  gifted_.set(std::size_t{piece}, false);
  kept_.set(std::size_t{piece}, false);
}

bool Turns::in_doubt(ConnId conn, Instant now) const {
  const Neighbour* n = find(conn);
  return n != nullptr && n->in_doubt(now);
}

bool Turns::shunned(ConnId conn) const {
  const Neighbour* n = find(conn);
  return n != nullptr && n->shunned_until.has_value();
}

std::uint32_t Turns::load(ConnId conn) const {
  const Neighbour* n = find(conn);
  return n == nullptr ? 0 : n->under_way;
}

/// Rule 3, and what is kept of rule 9.
std::optional<std::uint32_t> Turns::piece_for(const Neighbour& n) {
  std::optional<std::uint32_t> best;
  std::uint64_t equals = 0;
  std::uint32_t looked_at = 0;
  const std::size_t words = (mine_.bytes().size() + 7) / 8;
  for_missing(mine_, n.closed, words > 1 ? random_.below(words) : 0, [&](std::uint32_t p) {
    const auto rank = [this](std::uint32_t piece) {
      const std::uint32_t kept = kept_[std::size_t{piece}] ? 1 : 0;
      return std::pair(held_[piece] - kept, given_[piece] - kept);
    };
    if (!best || rank(p) < rank(*best)) {
      best = p, equals = 1;
    } else if (rank(p) == rank(*best) && random_.below(++equals) == 0) {
      best = p;
    }
    return ++looked_at < looked_at_max;
  });
  return best;
}

/// The one place where the state of a piece at a neighbour changes.
void Turns::set(Neighbour& n, std::uint32_t piece, State state) {
  const State old = n.state(piece);
  if (old == state) return;
  const auto holds = [](State s) { return s == State::taken || s == State::has; };
  held_[piece] += (holds(state) ? 1u : 0u) - (holds(old) ? 1u : 0u);
  if (gifted_[std::size_t{piece}] && holds(state) != holds(old)) {
    const auto gift = std::find_if(gifts_.begin(), gifts_.end(), [&](const Gift& g) { return g.piece == piece; });
    if (gift->conn != n.conn) gift->passed_on |= holds(state);
    if (gift->conn == n.conn) forget_gift(piece);  // it has gone, or lost it
  }
  const bool was_whole = n.has == mine_.size();
  if (old == State::has) --n.has;
  if (state == State::has) ++n.has, ++n.gaining;
  const bool is_whole = n.has == mine_.size();
  if (was_whole && !is_whole) --whole_;
  if (is_whole && !was_whole) ++whole_;
  if (was_whole != is_whole) partners_.set_whole(n.conn, is_whole);
  n.under_way += (state == State::taken ? 1u : 0u) - (old == State::taken ? 1u : 0u);
  if (old == State::taken) n.joined.set(std::size_t{piece}, false);
  const auto mark = [&](Bitfield& pieces, bool was, bool is) {
    if (was != is) pieces.set(std::size_t{piece}, is);
  };
  mark(n.closed, old != State::lacking, state != State::lacking);
  mark(n.taken, old == State::taken, state == State::taken);
  mark(n.unwanted, old == State::unwanted, state == State::unwanted);
  dirty_ = true;
}

Turns::State Turns::Neighbour::state(std::uint32_t piece) const {
  const std::size_t p = piece;
  if (!closed[p]) return State::lacking;
  return taken[p] ? State::taken : unwanted[p] ? State::unwanted : State::has;
}

/// True when there was one.
bool Turns::end_turn(Neighbour& n, std::uint32_t piece, bool given) {
  if (n.state(piece) != State::taken) return false;  // what a turn is for is, and no turn outlives that
  const auto at =
      std::find_if(turns_.begin(), turns_.end(), [&](const Turn& t) { return t.conn == n.conn && t.piece == piece; });
  if (at == turns_.end()) return false;
  if (!at->asked_to_end) --n.to_ask;
  turns_.erase(at);
  if (!given && given_[piece] > 0) --given_[piece];
  dirty_ = true;
  return true;
}

Turns::Neighbour* Turns::find(ConnId conn) {
  const auto at = std::find(conns_.begin(), conns_.end(), conn);
  return at == conns_.end() ? nullptr : &neighbours_[static_cast<std::size_t>(at - conns_.begin())];
}

const Turns::Neighbour* Turns::find(ConnId conn) const { return const_cast<Turns*>(this)->find(conn); }

}  // namespace swarm::core
