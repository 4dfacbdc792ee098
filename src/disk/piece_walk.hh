// PieceWalk: every piece of a torrent hashed as it stands on the disk, by as many workers as come.
#pragma once

#include <algorithm>
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
    const std::uint32_t step = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(chunk_bytes / info_->piece_bytes));
    Buffer buffer(chunk_bytes);
    while (!cancel) {
      const std::uint64_t first = next_.fetch_add(step);
      if (first >= info_->piece_count()) break;
      const auto end = static_cast<std::uint32_t>(std::min<std::uint64_t>(first + step, info_->piece_count()));
      for (auto p = static_cast<std::uint32_t>(first); p < end;) {
        if (zeros_.size() > 0 && zeros_[p]) {
          if (!done(PieceIndex{p}, zero_digest(PieceIndex{p}), on_piece)) return {};
          ++p;
          continue;
        }
        // Small pieces are read several at a time, up to the next one that is known.
        std::uint32_t last = p + 1;
        while (last < end && !(zeros_.size() > 0 && zeros_[last])) ++last;
        auto went_on = hash(p, last, buffer, cancel, on_piece);
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
  /// Read at once: what is hashed next is still in the second-level cache. The kernel reads ahead of it, so a disk that
  /// turns sees requests as large as with more.
  static constexpr std::size_t chunk_bytes = 128 * 1024;
  static constexpr std::size_t sparse_files_max = 1024;  ///< looking for holes opens each file once more

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

  /// Hashes the pieces [first, last). Gives false to stop.
  template <class F>
  Result<bool> hash(std::uint32_t first, std::uint32_t last, ByteSpan buffer, const std::atomic<bool>& cancel,
                    F& on_piece) {
    const std::uint64_t end = std::min(std::uint64_t{last} * info_->piece_bytes, info_->bytes_total);
    std::uint64_t at = std::uint64_t{first} * info_->piece_bytes;
    Sha1 digest;
    for (std::uint32_t p = first; at < end && !cancel;) {
      ByteSpan chunk = buffer.first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), end - at)));
      const iovec into{chunk.data(), chunk.size()};
      if (auto read = storage_->read(at, {&into, 1}); !read) {
        if (read.error().exit != Exit::integrity) return tl::unexpected(std::move(read.error()));
        if (last - first == 1) return done(PieceIndex{first}, std::nullopt, on_piece);
        return hash_one_by_one(first, last, buffer, cancel, on_piece);
      }
      at += chunk.size();
      while (!chunk.empty()) {
        const std::uint64_t piece_end = std::uint64_t{p} * info_->piece_bytes + info_->piece_size(PieceIndex{p});
        const std::uint64_t chunk_start = at - chunk.size();
        const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), piece_end - chunk_start));
        digest.update(chunk.first(part));
        chunk = chunk.subspan(part);
        if (chunk_start + part < piece_end) break;
        if (!done(PieceIndex{p++}, digest.finish(), on_piece)) return false;
      }
    }
    return true;
  }

  /// One of these pieces cannot be read; the others can. Pieces that share a chunk fit into it whole, so that none of
  /// them was told before the read failed.
  template <class F>
  Result<bool> hash_one_by_one(std::uint32_t first, std::uint32_t last, ByteSpan buffer,
                               const std::atomic<bool>& cancel, F& on_piece) {
    for (std::uint32_t p = first; p < last && !cancel; ++p) {
      auto went_on = hash(p, p + 1, buffer, cancel, on_piece);
      if (!went_on || !*went_on) return went_on;
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
