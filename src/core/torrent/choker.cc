#include "core/torrent/choker.hh"

#include <algorithm>
#include <tuple>

namespace swarm::core {

namespace {

constexpr Duration round_every = 10s;
constexpr Duration turn = 30s;  ///< of a seed's regular slot, and of the optimistic one
constexpr Duration new_for = 30s;
constexpr std::uint64_t new_weight = 3;

}  // namespace

Choker::Choker(Options options, Random& random) : options_(options), random_(random) {}

const std::vector<ConnId>& Choker::decide(std::span<const ChokeCandidate> candidates, bool seeding, Instant now) {
  unchoked_.clear();
  const auto room = [this] { return options_.slots_max - std::min<std::size_t>(options_.slots_max, unchoked_.size()); };
  const auto seat_cooperative = [&](bool interested, bool unchoked) {
    for (const auto& c : candidates) {
      if (c.cooperative && c.interested == interested && c.unchoked == unchoked && room() > 0)
        unchoked_.push_back(c.conn);
    }
  };

  seat_cooperative(true, true);
  seat_cooperative(true, false);

  recognise(candidates);
  const bool round = now >= round_at_;
  seat_regulars(seeding, round, std::min<std::size_t>(options_.slots_strangers, room()), now);
  if (room() > 0) seat_optimistic(now);
  if (round) round_at_ = now + round_every;

  seat_cooperative(false, true);
  return unchoked_;
}

Instant Choker::next_round() const {
  if (strangers_.empty()) return Instant::max();
  return optimistic_ ? std::min(round_at_, optimistic_at_) : round_at_;
}

/// Keeps what is known of the strangers that are still here and interested, and meets the new ones.
void Choker::recognise(std::span<const ChokeCandidate> candidates) {
  std::vector<Stranger> known = std::move(strangers_);
  std::sort(known.begin(), known.end(), [](const auto& a, const auto& b) { return a.conn < b.conn; });
  strangers_.clear();
  for (const auto& c : candidates) {
    if (c.cooperative || !c.interested) continue;
    Stranger s{.conn = c.conn};
    const auto before = std::lower_bound(known.begin(), known.end(), c.conn,
                                         [](const Stranger& a, ConnId conn) { return a.conn < conn; });
    if (before != known.end() && before->conn == c.conn) s = *before;
    s.now = &c;
    strangers_.push_back(s);
  }
}

/// Rules 2, 4 and 5: sorts who may have a slot by who shall, and seats as many as there are slots.
void Choker::seat_regulars(bool seeding, bool round, std::size_t slots, Instant now) {
  std::vector<Stranger*> incumbents, waiting;
  for (auto& s : strangers_) {
    if (!s.now->snubbed) (s.regular ? incumbents : waiting).push_back(&s);
    s.regular = false;
  }
  std::sort(waiting.begin(), waiting.end(), [this](const Stranger* a, const Stranger* b) {
    const bool a_sits = a->conn == optimistic_, b_sits = b->conn == optimistic_;  // the optimistic one can wait
    return std::tie(a_sits, a->served, a->now->connected, a->conn) <
           std::tie(b_sits, b->served, b->now->connected, b->conn);
  });

  std::vector<Stranger*> order = incumbents;
  const auto rate = [seeding](const Stranger* s) { return seeding ? s->now->rate_to : s->now->rate_from; };
  const auto faster = [&rate](const Stranger* a, const Stranger* b) { return rate(a) > rate(b); };
  if (!round) {
    order.insert(order.end(), waiting.begin(), waiting.end());
  } else if (!seeding) {
    order.insert(order.end(), waiting.begin(), waiting.end());
    std::stable_sort(order.begin(), order.end(), faster);
  } else {
    const auto in_turn = [now](const Stranger* s) { return s->now->unchoked && now - s->now->unchoked_since < turn; };
    const auto over = std::stable_partition(order.begin(), order.end(), in_turn);
    std::stable_sort(over, order.end(), faster);
    const auto staying = (order.end() - over) / 2;
    order.insert(over + staying, waiting.begin(), waiting.end());
  }

  order.resize(std::min(order.size(), slots));
  for (Stranger* s : order) {
    s->regular = true;
    s->served = now;
    unchoked_.push_back(s->conn);
  }
}

/// Rule 3.
void Choker::seat_optimistic(Instant now) {
  Stranger* holder = nullptr;
  std::uint64_t lots = 0;
  const auto lots_of = [now](const Stranger& s) { return now - s.now->connected < new_for ? new_weight : 1; };
  for (auto& s : strangers_) {
    if (s.regular) continue;
    if (s.conn == optimistic_) {
      holder = &s;
    } else {
      lots += lots_of(s);
    }
  }
  if ((holder == nullptr || now >= optimistic_at_) && lots > 0) {
    std::uint64_t drawn = random_.below(lots);
    for (auto& s : strangers_) {
      if (s.regular || s.conn == optimistic_) continue;
      if (drawn < lots_of(s)) {
        holder = &s;
        break;
      }
      drawn -= lots_of(s);
    }
    optimistic_at_ = now + turn;
  }
  optimistic_ = holder == nullptr ? std::nullopt : std::optional(holder->conn);
  if (holder == nullptr) return;
  if (now >= optimistic_at_) optimistic_at_ = now + turn;  // nobody else to turn to
  holder->served = now;
  unchoked_.push_back(holder->conn);
}

}  // namespace swarm::core
