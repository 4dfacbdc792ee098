#include "core/tracker/copies.hh"

#include "base/check.hh"

namespace swarm::core {

void Copies::add(const Bitfield& has) {
  SWARM_CHECK(has.size() == pieces_);
  for (auto i = has.find(true); i < has.size(); i = has.find(true, i + 1)) gain(static_cast<std::uint32_t>(i));
}

void Copies::remove(const Bitfield& had) {
  SWARM_CHECK(had.size() == pieces_);
  for (auto i = had.find(true); i < had.size(); i = had.find(true, i + 1)) lose(static_cast<std::uint32_t>(i));
}

void Copies::gain(std::uint32_t piece) {
  allocate();
  const auto before = available_[piece]++;
  SWARM_CHECK(before < nodes_max);
  if (pieces_at_.size() < before + 2u) pieces_at_.resize(before + 2u);
  --pieces_at_[before];
  ++pieces_at_[before + 1u];
  if (pieces_at_[least_] == 0) ++least_;  // it was the last piece of the rarest, and is now one more
}

void Copies::lose(std::uint32_t piece) {
  SWARM_CHECK(!available_.empty() && available_[piece] > 0);
  const auto after = --available_[piece];
  --pieces_at_[after + 1u];
  ++pieces_at_[after];
  if (after < least_) least_ = after;
}

void Copies::allocate() {
  if (!available_.empty()) return;
  available_.resize(pieces_);
  pieces_at_.assign(1, pieces_);
}

double Copies::value() const {
  if (available_.empty()) return whole_;
  return whole_ + least_ + static_cast<double>(pieces_ - pieces_at_[least_]) / pieces_;
}

}  // namespace swarm::core
