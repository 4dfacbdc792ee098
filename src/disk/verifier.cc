#include <mutex>
#include <optional>
#include <utility>

#include "base/check.hh"
#include "disk/piece_walk.hh"
#include "disk/sources.hh"

namespace swarm::disk {

struct Verifier::State {
  State(std::shared_ptr<Storage> storage, std::shared_ptr<const wire::Metainfo> info_)
      : info(std::move(info_)), walk(std::move(storage), info), right(info->piece_count(), 0) {}

  std::shared_ptr<const wire::Metainfo> info;
  PieceWalk walk;
  std::vector<std::uint8_t> right;  ///< by piece; each written by one worker
  std::once_flag measured;
  Result<void> measuring;
  Bitfield wrong_size;  ///< pieces that lie where a file ends too early or too late

  void measure();
};

Verifier::Verifier(std::shared_ptr<Storage> storage, std::shared_ptr<const wire::Metainfo> info)
    : state_(std::make_unique<State>(std::move(storage), std::move(info))) {}
Verifier::~Verifier() = default;

Result<void> Verifier::work(const std::atomic<bool>& cancel) {
  State& s = *state_;
  std::call_once(s.measured, [&s] { s.measure(); });
  if (!s.measuring) return s.measuring;
  return s.walk.work(cancel, [&s](PieceIndex piece, const std::optional<Sha1Digest>& digest) {
    s.right[number(piece)] = digest && *digest == s.info->pieces[number(piece)] && !s.wrong_size[piece];
    return true;
  });
}

/// Digests alone would not see a byte too many at the end of a file, nor missing zeros.
void Verifier::State::measure() {
  wrong_size = Bitfield(info->piece_count());
  const auto stamps = walk.storage().stamps();
  if (!stamps) {
    measuring = tl::unexpected(stamps.error());
    return;
  }
  const Extents& extents = walk.storage().extents();
  for (std::size_t i = 0; i < stamps->size(); ++i) {
    const std::uint64_t length = info->files[i].length;
    const std::uint64_t size = (*stamps)[i].bytes;
    if (info->files[i].pad || length == 0 || size == length) continue;
    const std::uint64_t start = extents.start(FileIndex{static_cast<std::uint32_t>(i)});
    const std::uint64_t first = (start + std::min(size, length - 1)) / info->piece_bytes;
    const std::uint64_t last = (start + length - 1) / info->piece_bytes;
    for (std::uint64_t p = first; p <= last; ++p) wrong_size.set(static_cast<std::size_t>(p));
  }
}

std::uint64_t Verifier::bytes_done() const { return state_->walk.bytes_done(); }
bool Verifier::complete() const { return state_->walk.pieces_done() == state_->info->piece_count(); }

Bitfield Verifier::right() const {
  SWARM_CHECK(complete());
  Bitfield right(state_->right.size());
  for (std::size_t i = 0; i < state_->right.size(); ++i) {
    if (state_->right[i] != 0) right.set(i);
  }
  return right;
}

}  // namespace swarm::disk
