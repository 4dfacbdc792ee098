#include "core/torrent/progress.hh"

#include <algorithm>

namespace swarm::core {

namespace {
constexpr std::uint64_t save_bytes = 64u << 20;
constexpr Duration save_interval = 2s;
constexpr Duration first_save_interval = 200ms;
}  // namespace

Progress::Progress(std::uint64_t bytes_total, std::uint32_t piece_bytes, Bitfield verified,
                   const std::vector<PieceIndex>& unchecked)
    : bytes_total_(bytes_total),
      piece_bytes_(piece_bytes),
      verified_(std::move(verified)),
      unchecked_(verified_.size()) {
  for (std::size_t i = verified_.find(true); i < verified_.size(); i = verified_.find(true, i + 1))
    bytes_verified_ += size(PieceIndex{static_cast<std::uint32_t>(i)});
  for (PieceIndex p : unchecked) {
    if (verified_[p] || unchecked_[p]) continue;
    unchecked_.set(p);
    bytes_unchecked_ += size(p);
  }
}

void Progress::on_verified(PieceIndex piece, Instant now) {
  if (verified_[piece]) return;
  if (unchecked_[piece]) unchecked_.set(piece, false), bytes_unchecked_ -= size(piece);
  verified_.set(piece);
  bytes_verified_ += size(piece);
  if (bytes_unsaved_ == 0) first_unsaved_ = now;
  bytes_unsaved_ += size(piece);
}

void Progress::on_check_failed(PieceIndex piece) {
  if (!unchecked_[piece]) return;
  unchecked_.set(piece, false);
  bytes_unchecked_ -= size(piece);
}

std::optional<Instant> Progress::save_due() const {
  if (saving_ || bytes_unsaved_ == 0) return std::nullopt;
  if (bytes_unsaved_ >= save_bytes) return first_unsaved_;
  return first_unsaved_ + (saved_ ? save_interval : first_save_interval);
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
