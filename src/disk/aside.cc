#include "disk/aside.hh"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "disk/data_ranges.hh"
#include "disk/disk_error.hh"

namespace swarm::disk {

namespace {

constexpr std::uint64_t chunk_bytes = 256 * 1024;  ///< held in memory at a time

/// Does a file hold, at this place, the next `length` bytes of the list?
bool holds(const OpenFile& file, std::uint64_t offset, std::uint64_t length, IovCursor bytes) {
  std::array<std::uint8_t, 16 * 1024> buffer;
  while (length > 0) {
    std::array<iovec, IovCursor::window_max> window;
    const int count = bytes.window(window, std::min<std::uint64_t>(buffer.size(), length));
    std::size_t part = 0;
    for (int i = 0; i < count; ++i) part += window[i].iov_len;
    const iovec into{buffer.data(), part};
    IovCursor here({&into, 1});
    int error = 0;
    if (part == 0 || read_at(file.fd.get(), offset, part, here, &error) < part) return false;
    const std::uint8_t* at = buffer.data();
    for (int i = 0; i < count; at += window[i++].iov_len) {
      if (std::memcmp(at, window[i].iov_base, window[i].iov_len) != 0) return false;
    }
    bytes.advance(part);
    offset += part;
    length -= part;
  }
  return true;
}

}  // namespace

Result<void> Aside::read(std::uint64_t offset, std::uint64_t length, IovCursor& into) {
  const FileIndex side = files_.side_file();
  const auto open = files_.to_read(side);
  return open ? files_.read(side, *open, offset, length, into) : tl::unexpected(open.error());
}

Result<void> Aside::write(std::uint64_t offset, std::uint64_t length, IovCursor& from) {
  const FileIndex side = files_.side_file();
  const auto open = files_.to_write(side);
  return open ? files_.write(side, **open, offset, length, from) : tl::unexpected(open.error());
}

Result<void> Aside::read_named(const OpenFile& named, const Extent& extent, std::uint64_t offset, IovCursor& into) {
  return each_piece(extent, offset, [&](PieceIndex piece, std::uint64_t done, std::uint64_t length) -> Result<void> {
    if (is_in_doubt(piece)) return read(offset + done, length, into);
    int error = 0;
    const std::uint64_t moved = read_at(named.fd.get(), extent.offset + done, length, into, &error);
    if (error != 0) return tl::unexpected(system_error("read", files_.shown(extent.file), error));
    if (moved < length) return tl::unexpected(files_.changed(extent.file));
    return {};
  });
}

Result<void> Aside::meet_named(const OpenFile& named, const Extent& extent, std::uint64_t offset, IovCursor& from) {
  return each_piece(extent, offset, [&](PieceIndex piece, std::uint64_t done, std::uint64_t length) -> Result<void> {
    if (!is_in_doubt(piece)) {
      if (is_all_named(piece)) return tl::unexpected(files_.exists());
      if (holds(named, extent.offset + done, length, from)) {
        from.advance(length);
        return {};
      }
      if (auto kept = put_in_doubt(piece); !kept) return kept;
    }
    return write(offset + done, length, from);
  });
}

/// Calls f(piece, bytes of the extent before it, length) for the part of each piece in an extent, until one fails.
template <class F>
Result<void> Aside::each_piece(const Extent& extent, std::uint64_t offset, F f) const {
  const std::uint64_t piece_bytes = files_.info().piece_bytes;
  Result<void> result;
  for (std::uint64_t done = 0; done < extent.length && result;) {
    const std::uint64_t piece = (offset + done) / piece_bytes;
    const std::uint64_t length = std::min((piece + 1) * piece_bytes - offset, extent.length) - done;
    result = f(PieceIndex{static_cast<std::uint32_t>(piece)}, done, length);
    done += length;
  }
  return result;
}

bool Aside::has_doubts() {
  const std::lock_guard lock(mutex_);
  return !in_doubt_.empty();
}

bool Aside::has_doubts_in(std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t piece_bytes = files_.info().piece_bytes;
  const std::lock_guard lock(mutex_);
  const auto first = in_doubt_.lower_bound(PieceIndex{static_cast<std::uint32_t>(offset / piece_bytes)});
  return first != in_doubt_.end() && number(*first) * piece_bytes < offset + length;
}

bool Aside::is_in_doubt(PieceIndex piece) {
  const std::lock_guard lock(mutex_);
  return in_doubt_.contains(piece);
}

/// The file of an extent, when it has its name already.
TorrentFiles::Open Aside::named_of(const Extent& extent) {
  if (extent.pad || !files_.is_chosen(extent.file)) return nullptr;
  auto open = files_.to_read(extent.file);
  return open && *open && (*open)->named ? std::move(*open) : nullptr;
}

/// Nothing of this piece could be written anywhere: whoever fetches it does so because what stands there is different.
bool Aside::is_all_named(PieceIndex piece) {
  const auto& info = files_.info();
  return files_.extents().each(std::uint64_t{number(piece)} * info.piece_bytes, info.piece_size(piece),
                               [&](const Extent& e) { return e.pad || named_of(e) != nullptr; });
}

/// Copies what the files with names hold of a piece, so that from now on all of it can be read, and written, aside.
Result<void> Aside::put_in_doubt(PieceIndex piece) {
  auto copied = each_named_chunk(piece,
                                 [&](const OpenFile& named, const Extent& e, std::uint64_t done, std::uint64_t offset,
                                     const iovec& bytes) -> Result<void> {
                                   IovCursor into({&bytes, 1}), from({&bytes, 1});
                                   int error = 0;
                                   read_at(named.fd.get(), e.offset + done, bytes.iov_len, into, &error);
                                   if (error != 0)
                                     return tl::unexpected(system_error("read", files_.shown(e.file), error));
                                   return write(offset, bytes.iov_len, from);
                                 });
  if (!copied) return copied;
  const std::lock_guard lock(mutex_);
  in_doubt_.insert(piece);
  return {};
}

Result<void> Aside::settle() {
  std::set<PieceIndex> doubts;
  {
    const std::lock_guard lock(mutex_);
    doubts = in_doubt_;
  }
  for (const PieceIndex piece : doubts) {
    auto same = each_named_chunk(piece,
                                 [&](const OpenFile& named, const Extent& e, std::uint64_t done, std::uint64_t offset,
                                     const iovec& bytes) -> Result<void> {
                                   IovCursor into({&bytes, 1});
                                   const bool equal =
                                       read(offset, bytes.iov_len, into) &&
                                       holds(named, e.offset + done, bytes.iov_len, IovCursor({&bytes, 1}));
                                   return equal ? Result<void>() : tl::unexpected(files_.exists());
                                 });
    if (!same) return same;
  }
  const std::lock_guard lock(mutex_);
  in_doubt_.clear();
  return {};
}

/// Calls f(file, extent, bytes of the extent before it, its offset in the torrent, room for it) for each chunk of a
/// piece that lies in a file with a name, until one fails. The room is zeros.
template <class F>
Result<void> Aside::each_named_chunk(PieceIndex piece, F f) {
  const auto& info = files_.info();
  Result<void> result;
  Buffer buffer;
  std::uint64_t offset = std::uint64_t{number(piece)} * info.piece_bytes;
  files_.extents().each(offset, info.piece_size(piece), [&](const Extent& e) {
    const auto open = named_of(e);
    for (std::uint64_t done = 0; open && done < e.length && result; done += buffer.size()) {
      buffer.assign(static_cast<std::size_t>(std::min(chunk_bytes, e.length - done)), 0);
      result = f(*open, e, done, offset + done, iovec{buffer.data(), buffer.size()});
    }
    offset += e.length;
    return result.has_value();
  });
  return result;
}

void Aside::adopt() {
  const auto side = files_.to_read(files_.side_file());
  if (!side || !*side) return;
  const int fd = (*side)->fd.get();
  each_data(fd, files_.extents().bytes_total(), [&](std::uint64_t begin, std::uint64_t end) {
    files_.extents().each(begin, end - begin, [&](const Extent& e) {
      if (!e.pad && files_.is_chosen(e.file)) copy_out(fd, begin, e);
      begin += e.length;
      return true;
    });
  });
}

/// Copies an extent, which starts at `offset` in the torrent, to where its file has a hole: data there is newer.
void Aside::copy_out(int side, std::uint64_t offset, const Extent& extent) {
  const auto there = files_.to_read(extent.file);
  if (!there || (*there && (*there)->named)) return;
  Buffer buffer;
  for (std::uint64_t done = 0; done < extent.length; done += buffer.size()) {
    buffer.assign(static_cast<std::size_t>(std::min<std::uint64_t>(4096, extent.length - done)), 0);
    const auto begin = static_cast<off_t>(extent.offset + done);
    const off_t data = *there ? ::lseek((*there)->fd.get(), begin, SEEK_DATA) : -1;
    if (*there && data < 0 && errno != ENXIO) return;
    if (data >= 0 && data < begin + static_cast<off_t>(buffer.size())) continue;
    const iovec bytes{buffer.data(), buffer.size()};
    IovCursor into({&bytes, 1}), from({&bytes, 1});
    int error = 0;
    read_at(side, offset + done, buffer.size(), into, &error);
    // Zeros are what a hole reads as; the data around the end of another file's bytes shows as such.
    if (error != 0 || std::all_of(buffer.begin(), buffer.end(), [](std::uint8_t b) { return b == 0; })) continue;
    const auto open = files_.to_write(extent.file);
    if (!open || !files_.write(extent.file, **open, extent.offset + done, buffer.size(), from)) return;
  }
}

}  // namespace swarm::disk
