#include "disk/extents.hh"

#include <algorithm>

#include "base/check.hh"

namespace swarm::disk {

Bitfield wanted_pieces(const wire::Metainfo& info, const std::vector<bool>& files) {
  if (files.empty()) return Bitfield(info.piece_count(), true);
  SWARM_CHECK(files.size() == info.files.size());
  Bitfield wanted(info.piece_count());
  std::uint64_t start = 0;
  std::uint64_t next = 0;  // the pieces before this one are settled, so that many files in one piece cost no more
  for (std::size_t i = 0; i < files.size(); start += info.files[i++].length) {
    const std::uint64_t length = info.files[i].length;
    if (!files[i] || info.files[i].pad || length == 0) continue;
    next = std::max(next, start / info.piece_bytes);
    for (const std::uint64_t last = (start + length - 1) / info.piece_bytes; next <= last; ++next) {
      wanted.set(static_cast<std::size_t>(next));
    }
  }
  return wanted;
}

std::uint64_t bytes_beside(const wire::Metainfo& info, const Extents& extents, const std::vector<bool>& files) {
  const Bitfield wanted = wanted_pieces(info, files);
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < info.files.size(); ++i) {
    if (files.empty() || files[i] || info.files[i].pad || info.files[i].length == 0) continue;
    const std::uint64_t start = extents.start(FileIndex{i}), end = start + info.files[i].length;
    const std::uint64_t first = start / info.piece_bytes, last = (end - 1) / info.piece_bytes;
    // No other pieces of such a file than its first and last one can hold a byte of another.
    if (wanted[static_cast<std::size_t>(first)]) bytes += std::min(end, (first + 1) * info.piece_bytes) - start;
    if (last != first && wanted[static_cast<std::size_t>(last)]) bytes += end - last * info.piece_bytes;
  }
  return bytes;
}

Extents::Extents(const std::vector<wire::FileEntry>& files) {
  starts_.reserve(files.size() + 1);
  pad_.reserve(files.size());
  for (const wire::FileEntry& file : files) {
    starts_.push_back(bytes_total_);
    pad_.push_back(file.pad);
    bytes_total_ += file.length;
    has_padding_ = has_padding_ || (file.pad && file.length > 0);
  }
  starts_.push_back(bytes_total_);
}

Extent Extents::at(std::uint64_t offset, std::uint64_t length) const {
  SWARM_CHECK(offset < bytes_total_);
  // The last file that starts at or before the offset is never an empty one: those start where their successor does.
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
  const auto file = static_cast<std::size_t>(next - starts_.begin()) - 1;
  return {.file = FileIndex{static_cast<std::uint32_t>(file)},
          .offset = offset - starts_[file],
          .length = std::min(length, *next - offset),
          .pad = pad_[file]};
}

}  // namespace swarm::disk
