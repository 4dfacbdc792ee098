// PieceWalk: every piece of a torrent hashed as it stands on the disk, by as many workers as come.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/check.hh"
#include "base/sha1.hh"
#include "disk/storage.hh"

namespace swarm::disk {

class PieceWalk {
 public:
  PieceWalk(std::shared_ptr<Storage> storage, std::shared_ptr<const wire::Metainfo> info)
      : storage_(std::move(storage)), info_(std::move(info)) {}

  /// Calls on_piece(index, digest) for each piece, on any worker's thread; without a digest when the data is not there
  /// or has another size. Ends when none is left, `cancel` is set or on_piece gives false. Errors are the disk's.
  template <class F>
  Result<void> work(const std::atomic<bool>& cancel, F on_piece) {
    std::call_once(prepared_, [this] { prepare(); });
    const std::uint32_t step = at_once();
    Buffer buffer(2 * chunk_bytes);
    while (!cancel) {
      const std::uint64_t first = next_.fetch_add(step);
      if (first >= info_->piece_count()) break;
      const auto end = static_cast<std::uint32_t>(std::min<std::uint64_t>(first + step, info_->piece_count()));
      for (auto p = static_cast<std::uint32_t>(first); p < end;) {
        if (lies_in_hole(p)) {
          if (!done(PieceIndex{p}, zero_digest(PieceIndex{p}), on_piece)) return {};
          ++p;
          continue;
        }
        std::uint32_t last = p + 1;
        while (last < end && !lies_in_hole(last)) ++last;
        auto went_on = shares_reads() ? hash_small(p, last, buffer, on_piece) : hash(p, last, buffer, cancel, on_piece);
        if (!went_on) return tl::unexpected(std::move(went_on.error()));
        if (!*went_on) return {};
        p = last;
      }
    }
    return {};
  }

  std::uint64_t bytes_done() const { return bytes_done_; }
  std::uint32_t pieces_done() const { return pieces_done_; }
  Storage& storage() { return *storage_; }
  const wire::Metainfo& info() const { return *info_; }

 private:
  /// Read at once: what is hashed next is still in the second-level cache, also when there are two of them. The kernel
  /// reads ahead of it, so a disk that turns sees requests as large as with more.
  static constexpr std::size_t chunk_bytes = 128 * 1024;
  /// Pieces up to this size are read and hashed two at a time (update_both). Larger ones are those of files that hardly
  /// fit into memory: their disk is what takes the time, and one that turns shall not go back and forth between them.
  static constexpr std::uint32_t pair_bytes_max = 4u << 20;
  static constexpr std::size_t sparse_files_max = 1024;  ///< looking for holes opens each file once more

  bool shares_reads() const { return info_->piece_bytes <= chunk_bytes / 2; }
  /// Pieces that a worker takes at a time.
  std::uint32_t at_once() const {
    if (shares_reads()) return static_cast<std::uint32_t>(chunk_bytes / info_->piece_bytes);
    return info_->piece_bytes <= pair_bytes_max ? 2 : 1;
  }
  bool lies_in_hole(std::uint32_t piece) const { return zeros_.size() > 0 && zeros_[piece]; }

  void prepare() {
    if (info_->files.size() > sparse_files_max) return;
    const Bitfield data = storage_->pieces_with_data();
    if (data.all()) return;
    zeros_ = Bitfield(data.size());
    for (std::size_t i = data.find(false); i < data.size(); i = data.find(false, i + 1)) zeros_.set(i);
    zero_first_ = digest_of_zeros(info_->piece_bytes);
    zero_last_ = digest_of_zeros(info_->piece_size(PieceIndex{info_->piece_count() - 1}));
  }
  static Sha1Digest digest_of_zeros(std::size_t length) {
    const Buffer zeros(chunk_bytes);
    Sha1 digest;
    for (; length > zeros.size(); length -= zeros.size()) digest.update(zeros);
    digest.update(ByteView(zeros).first(length));
    return digest.finish();
  }
  const Sha1Digest& zero_digest(PieceIndex p) const {
    return number(p) + 1 == info_->piece_count() ? zero_last_ : zero_first_;
  }

  template <class F>
  bool done(PieceIndex piece, std::optional<Sha1Digest> digest, F& on_piece) {
    const bool goes_on = on_piece(piece, std::move(digest));
    bytes_done_ += info_->piece_size(piece);
    ++pieces_done_;
    return goes_on;
  }

  Result<void> read(std::uint64_t at, ByteSpan into) {
    const iovec list{into.data(), into.size()};
    return storage_->read(at, {&list, 1});
  }

  /// Hashes the pieces [first, last), one or two, a chunk of each at a time. Gives false to stop.
  template <class F>
  Result<bool> hash(std::uint32_t first, std::uint32_t last, ByteSpan buffer, const std::atomic<bool>& cancel,
                    F& on_piece) {
    struct Lane {
      std::uint64_t at = 0, end = 0;  ///< bytes of the torrent; still to be read
      ByteSpan chunk;
      Sha1 digest;
      bool unreadable = false;
    };
    std::array<Lane, 2> lanes;
    for (std::uint32_t p = first; p < last; ++p) {
      Lane& lane = lanes[p - first];
      lane.at = std::uint64_t{p} * info_->piece_bytes;
      lane.end = lane.at + info_->piece_size(PieceIndex{p});
    }
    while (lanes[0].at < lanes[0].end || lanes[1].at < lanes[1].end) {
      if (cancel) return true;
      for (Lane& lane : lanes) {
        const ByteSpan room = buffer.subspan(&lane == &lanes[0] ? 0 : chunk_bytes, chunk_bytes);
        lane.chunk = room.first(static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), lane.end - lane.at)));
        if (auto done = read(lane.at, lane.chunk); !done) {
          if (done.error().exit != Exit::integrity) return tl::unexpected(std::move(done.error()));
          lane.unreadable = true;
          lane.chunk = {};
          lane.end = lane.at;
        }
        lane.at += lane.chunk.size();
      }
      update_both(lanes[0].digest, lanes[0].chunk, lanes[1].digest, lanes[1].chunk);
    }
    for (std::uint32_t p = first; p < last; ++p) {
      Lane& lane = lanes[p - first];
      const auto digest = lane.unreadable ? std::nullopt : std::optional(lane.digest.finish());
      if (!done(PieceIndex{p}, digest, on_piece)) return false;
    }
    return true;
  }

  /// Hashes the pieces [first, last), which together fit into a chunk, with one read. Gives false to stop.
  template <class F>
  Result<bool> hash_small(std::uint32_t first, std::uint32_t last, ByteSpan buffer, F& on_piece) {
    const std::uint64_t start = std::uint64_t{first} * info_->piece_bytes;
    const std::uint64_t end = std::min(std::uint64_t{last} * info_->piece_bytes, info_->bytes_total);
    const ByteSpan chunk = buffer.first(static_cast<std::size_t>(end - start));
    if (auto was_read = read(start, chunk); !was_read) {
      if (was_read.error().exit != Exit::integrity) return tl::unexpected(std::move(was_read.error()));
      if (last - first == 1) return done(PieceIndex{first}, std::nullopt, on_piece);
      for (std::uint32_t p = first; p < last; ++p) {  // one of them cannot be read; the others can
        auto went_on = hash_small(p, p + 1, buffer, on_piece);
        if (!went_on || !*went_on) return went_on;
      }
      return true;
    }
    const auto bytes_of = [&](std::uint32_t p) -> ByteView {
      if (p >= last) return {};
      const std::size_t offset = std::size_t{p - first} * info_->piece_bytes;
      return chunk.subspan(offset, info_->piece_size(PieceIndex{p}));
    };
    for (std::uint32_t p = first; p < last; p += 2) {
      Sha1 one, other;
      update_both(one, bytes_of(p), other, bytes_of(p + 1));
      if (!done(PieceIndex{p}, one.finish(), on_piece)) return false;
      if (p + 1 < last && !done(PieceIndex{p + 1}, other.finish(), on_piece)) return false;
    }
    return true;
  }

  std::shared_ptr<Storage> storage_;
  std::shared_ptr<const wire::Metainfo> info_;
  std::once_flag prepared_;
  Bitfield zeros_;  ///< pieces that lie in a hole, which nobody needs to read; empty when that is not known
  Sha1Digest zero_first_, zero_last_;
  std::atomic<std::uint64_t> next_ = 0;
  std::atomic<std::uint64_t> bytes_done_ = 0;
  std::atomic<std::uint32_t> pieces_done_ = 0;
};

}  // namespace swarm::disk
