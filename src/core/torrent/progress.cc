#include "core/torrent/progress.hh"

#include <algorithm>

namespace swarm::core {

namespace {
constexpr std::uint64_t save_bytes = 64u << 20;
constexpr Duration save_interval = 2s, full_save_interval = 500ms, first_save_interval = 200ms;
}  // namespace

Progress::Progress(std::uint64_t bytes_total, std::uint32_t piece_bytes, Bitfield verified,
                   const std::vector<PieceIndex>& unchecked, const Bitfield& wanted)
    : bytes_total_(bytes_total),
      piece_bytes_(piece_bytes),
      verified_(std::move(verified)),
      unchecked_(verified_.size()),
      wanted_(wanted) {
  for (std::uint32_t i = 0; i < verified_.size(); ++i) {
    const PieceIndex p{i};
    const std::uint32_t bytes = size(p);
    sum(p, [here = verified_[p], bytes](Sums& s) {
      ++s.pieces, s.bytes += bytes;
      here ? void(s.bytes_verified += bytes) : void(++s.left);
    });
  }
  for (PieceIndex p : unchecked) {
    if (verified_[p] || unchecked_[p]) continue;
    unchecked_.set(p);
    sum(p, [bytes = size(p)](Sums& s) { s.bytes_unchecked += bytes; });
  }
}

void Progress::on_verified(PieceIndex piece, Instant now) {
  if (verified_[piece]) return;
  on_check_failed(piece);  // it is not unchecked any more
  verified_.set(piece);
  sum(piece, [bytes = size(piece)](Sums& s) { --s.left, s.bytes_verified += bytes; });
  if (bytes_unsaved_ == 0) first_unsaved_ = now;
  bytes_unsaved_ += size(piece);
}

void Progress::on_check_failed(PieceIndex piece) {
  if (!unchecked_[piece]) return;
  unchecked_.set(piece, false);
  sum(piece, [bytes = size(piece)](Sums& s) { s.bytes_unchecked -= bytes; });
}

/// Counts a change of a piece where it belongs.
template <class Change>
void Progress::sum(PieceIndex piece, Change change) {
  change(all_);
  if (wanted(piece)) change(wanted_only_);
}

std::optional<Instant> Progress::save_due() const {
  if (saving_ || bytes_unsaved_ == 0) return std::nullopt;
  if (!saved_) return first_unsaved_ + first_save_interval;
  return first_unsaved_ + (bytes_unsaved_ >= save_bytes ? full_save_interval : save_interval);
}

void Progress::save_begun() {
  saving_ = saved_ = true;
  bytes_unsaved_ = 0;
}

void Progress::on_saved() { saving_ = false; }

std::uint32_t Progress::size(PieceIndex piece) const {
  const std::uint64_t start = std::uint64_t{number(piece)} * piece_bytes_;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(piece_bytes_, bytes_total_ - start));
}

}  // namespace swarm::core
