#include <fmt/format.h>

#include <mutex>
#include <optional>
#include <utility>

#include "base/check.hh"
#include "base/text.hh"
#include "disk/piece_walk.hh"
#include "disk/sources.hh"

namespace swarm::disk {
namespace {

/// As much of a torrent as reading its files needs.
std::shared_ptr<const wire::Metainfo> as_metainfo(const Source& source, std::uint32_t piece_bytes) {
  auto info = std::make_shared<wire::Metainfo>();
  info->name = source.name;
  info->folder = source.folder;
  info->piece_bytes = piece_bytes;
  info->bytes_total = source.bytes_total;
  info->files = source.files;
  info->pieces.resize(static_cast<std::size_t>((source.bytes_total + piece_bytes - 1) / piece_bytes));
  return info;
}

}  // namespace

struct Hasher::State {
  State(Source given, std::uint32_t piece_bytes)
      : source(std::move(given)),
        torrent(as_metainfo(source, piece_bytes)),
        walk(Storage::create(torrent, source.absolute, {.writable = false}), torrent),
        pieces(torrent->pieces.size()) {}

  Source source;
  std::shared_ptr<const wire::Metainfo> torrent;
  PieceWalk walk;
  std::vector<Sha1Digest> pieces;
  std::atomic<bool> complete = false;
  std::atomic<bool> failed = false;
  std::mutex mutex;
  std::optional<Error> error;  ///< the first one

  Result<void> stop(Error e) {
    const std::lock_guard lock(mutex);
    if (!error) error = std::move(e);
    failed = true;
    return tl::unexpected(*error);
  }
  Result<void> changed();
};

Hasher::Hasher(Source source, std::uint32_t piece_bytes) {
  SWARM_CHECK(piece_bytes > 0 && source.bytes_total > 0);
  state_ = std::make_unique<State>(std::move(source), piece_bytes);
}
Hasher::~Hasher() = default;

Result<void> Hasher::work(const std::atomic<bool>& cancel) {
  State& s = *state_;
  bool gone = false;
  auto walked = s.walk.work(cancel, [&](PieceIndex piece, const std::optional<Sha1Digest>& digest) {
    if (digest) s.pieces[number(piece)] = *digest;
    gone = !digest;
    return !gone && !s.failed;
  });
  if (!walked) return s.stop(std::move(walked.error()));
  if (gone) return s.changed();
  if (s.failed) {
    const std::lock_guard lock(s.mutex);
    return tl::unexpected(*s.error);
  }
  if (s.walk.pieces_done() < s.pieces.size()) return {};  // cancelled, or another worker has the last one
  const auto stamps = s.walk.storage().stamps();
  if (!stamps) return s.stop(stamps.error());
  if (*stamps != s.source.stamps) return s.changed();
  s.complete = true;
  return {};
}

/// Names the file that is not what it was.
Result<void> Hasher::State::changed() {
  std::string path = source.path;
  const auto stamps = walk.storage().stamps();
  for (std::size_t i = 0; stamps && i < stamps->size(); ++i) {
    if ((*stamps)[i] == source.stamps[i]) continue;
    if (source.folder) {
      for (const std::string& element : source.files[i].path) path += '/' + element;
    }
    break;
  }
  return stop({Exit::integrity, "changed", fmt::format("{} changed on disk while hashing", printable(path)),
               "try again when nobody writes to it"});
}

std::uint64_t Hasher::bytes_done() const { return state_->walk.bytes_done(); }
bool Hasher::complete() const { return state_->complete; }
const std::vector<Sha1Digest>& Hasher::pieces() const { return state_->pieces; }
const Source& Hasher::source() const { return state_->source; }

}  // namespace swarm::disk
