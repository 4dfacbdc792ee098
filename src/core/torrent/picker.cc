#include "core/torrent/picker.hh"

#include <algorithm>
#include <bit>

#include "base/check.hh"

namespace swarm::core {

namespace {

/// How many of the rarest pieces are tried one by one before all pieces in common are compared. When none of so many fits,
/// few pieces are in common and walking them is cheaper.
constexpr std::uint32_t tries_max = 256;

/// Calls visit(piece) for each bit that both have, lowest first, until it gives false.
template <class Visit>
void for_common(const Bitfield& a, const Bitfield& b, Visit visit) {
  const ByteView x = a.bytes(), y = b.bytes();
  for (std::size_t at = 0; at < x.size(); at += 8) {
    std::uint64_t word = 0;
    if (at + 8 <= x.size()) {
      word = load_u64(&x[at]) & load_u64(&y[at]);
    } else {
      for (std::size_t i = at; i < x.size(); ++i) word |= std::uint64_t(x[i] & y[i]) << (56 - 8 * (i - at));
    }
    while (word != 0) {
      const int bit = std::countl_zero(word);
      if (!visit(static_cast<std::uint32_t>(at * 8) + static_cast<std::uint32_t>(bit))) return;
      word &= ~(std::uint64_t{1} << (63 - bit));
    }
  }
}

}  // namespace

Picker::Picker(std::uint32_t pieces, Random& random, std::uint32_t piece_bytes)
    : random_(random),
      run_pieces_(std::max(1u, run_bytes / std::max(1u, piece_bytes))),
      position_(pieces),
      base_(pieces),
      start_(2),
      pieces_of_(1, pieces),
      pickable_(pieces) {
  order_.reserve(pieces);
}

void Picker::set_sequential(bool on) { sequential_ = on; }

void Picker::on_have(PieceIndex piece) { move_up(number(piece)); }

void Picker::on_bitfield(const Bitfield& has) {
  SWARM_CHECK(has.size() == base_.size());
  if (has.all()) {
    ++everywhere_;
    return;
  }
  for_common(has, has, [this](std::uint32_t piece) { return move_up(piece), true; });
}

void Picker::on_gone(const Bitfield& had) {
  SWARM_CHECK(had.size() == base_.size());
  if (had.all() && everywhere_ > 0) {  // whoever it was that had all: the sums are the same
    --everywhere_;
    return;
  }
  for_common(had, had, [this](std::uint32_t piece) { return move_down(piece), true; });
}

void Picker::want(PieceIndex piece) {
  const std::uint32_t p = number(piece);
  if (pickable_[piece]) return;
  // The first of each higher bucket steps behind its last, so that the gap at the end travels down to this piece's bucket.
  const std::uint32_t bucket = base_[p];
  std::uint32_t gap = start_.back()++;
  order_.push_back(p);
  for (std::size_t b = start_.size() - 2; b > bucket; --b) {
    const std::uint32_t first = start_[b]++;
    if (first != gap) place(order_[first], gap);
    gap = first;
  }
  place(p, gap);
  pickable_.set(piece);
  mix_into(gap, bucket);
}

void Picker::unwant(PieceIndex piece) {
  if (!pickable_[piece]) return;
  const std::uint32_t p = number(piece);
  std::uint32_t gap = position_[p];
  for (std::size_t b = base_[p] + 1; b < start_.size(); ++b) {  // the last of each bucket fills the gap below it
    const std::uint32_t last = --start_[b];
    if (last != gap) place(order_[last], gap);
    gap = last;
  }
  order_.pop_back();
  pickable_.set(piece, false);
}

std::optional<PieceIndex> Picker::pick(const Bitfield& peer_has) {
  SWARM_CHECK(peer_has.size() == base_.size());
  std::uint32_t found = none;
  if (sequential_) {
    for_common(peer_has, pickable_, [&found](std::uint32_t piece) { return found = piece, false; });
  } else {
    const auto tries = std::min<std::size_t>(order_.size(), tries_max);
    for (std::size_t i = 0; i < tries && found == none; ++i) {
      if (peer_has[std::size_t{order_[i]}]) found = order_[i];
    }
    if (found == none && order_.size() > tries) found = rarest_in_common(peer_has);
    if (found != none && run_pieces_ > 1) found = in_run(found, peer_has);
  }
  if (found == none) return std::nullopt;
  picked_ = found;
  unwant(PieceIndex{found});
  return PieceIndex{found};
}

std::optional<PieceIndex> Picker::lowest(PieceIndex from) const {
  const auto at = pickable_.find(true, number(from));
  if (at >= pickable_.size()) return std::nullopt;
  return PieceIndex{static_cast<std::uint32_t>(at)};
}

bool Picker::take(PieceIndex piece) {
  if (!pickable_[piece]) return false;
  unwant(piece);
  return true;
}

std::uint32_t Picker::availability(PieceIndex piece) const { return base_[number(piece)] + everywhere_; }

std::uint32_t Picker::pickable() const { return static_cast<std::uint32_t>(order_.size()); }

bool Picker::interesting(const Bitfield& peer_has) const {
  if (order_.empty() || peer_has.none()) return false;
  if (peer_has.all()) return true;
  bool any = false;
  for_common(peer_has, pickable_, [&any](std::uint32_t) { return any = true, false; });
  return any;
}

double Picker::copies() const {
  if (base_.empty()) return 0;
  std::size_t least = 0;
  while (pieces_of_[least] == 0) ++least;
  const auto above = static_cast<double>(base_.size() - pieces_of_[least]);
  return static_cast<double>(least + everywhere_) + above / static_cast<double>(base_.size());
}

void Picker::move_up(std::uint32_t piece) {
  const std::uint32_t bucket = base_[piece]++;
  reach(bucket + 1);
  --pieces_of_[bucket], ++pieces_of_[bucket + 1];
  if (!pickable_[PieceIndex{piece}]) return;
  const std::uint32_t edge = --start_[bucket + 1];
  swap(position_[piece], edge);
  mix_into(edge, bucket + 1);
}

void Picker::move_down(std::uint32_t piece) {
  SWARM_CHECK(base_[piece] > 0);
  const std::uint32_t bucket = base_[piece]--;
  --pieces_of_[bucket], ++pieces_of_[bucket - 1];
  if (!pickable_[PieceIndex{piece}]) return;
  const std::uint32_t edge = start_[bucket]++;
  swap(position_[piece], edge);
  mix_into(edge, bucket - 1);
}

void Picker::place(std::uint32_t piece, std::uint32_t position) {
  order_[position] = piece;
  position_[piece] = position;
}

void Picker::swap(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t at_a = order_[a], at_b = order_[b];
  place(at_b, a);
  place(at_a, b);
}

/// A newcomer changes places with any of its bucket, itself included: a bucket in random order stays so.
void Picker::mix_into(std::uint32_t position, std::uint32_t bucket) {
  const std::uint32_t first = start_[bucket];
  swap(position, first + static_cast<std::uint32_t>(random_.below(start_[bucket + 1] - first)));
}

/// Makes a bucket for this availability.
void Picker::reach(std::uint32_t availability) {
  while (start_.size() < availability + 2u) start_.push_back(static_cast<std::uint32_t>(order_.size()));
  if (pieces_of_.size() < availability + 1u) pieces_of_.resize(availability + 1u);
}

/// The order is rarest first: of all pieces in common, the one that stands nearest to the front.
std::uint32_t Picker::rarest_in_common(const Bitfield& peer_has) const {
  std::uint32_t nearest = none;
  for_common(peer_has, pickable_,
             [&](std::uint32_t piece) { return nearest = std::min(nearest, position_[piece]), true; });
  return nearest == none ? none : order_[nearest];
}

/// Rule 6: which piece to take for this one. O(pieces of a run).
std::uint32_t Picker::in_run(std::uint32_t piece, const Bitfield& peer_has) const {
  const auto as_good = [&](std::uint32_t other) {
    return other < pieces() && pickable_[std::size_t{other}] && peer_has[std::size_t{other}] &&
           base_[other] == base_[piece];
  };
  if (const std::uint32_t behind = picked_ + 1; behind % run_pieces_ != 0 && as_good(behind)) return behind;
  while (piece % run_pieces_ != 0 && as_good(piece - 1)) --piece;
  return piece;
}

}  // namespace swarm::core
