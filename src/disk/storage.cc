#include "disk/storage.hh"

#include <algorithm>

#include "base/check.hh"
#include "disk/aside.hh"
#include "disk/data_ranges.hh"
#include "disk/torrent_files.hh"

namespace swarm::disk {

struct Storage::State {
  State(std::shared_ptr<const wire::Metainfo> info, std::string target, const StorageOptions& options)
      : files(std::move(info), std::move(target), options), aside(files) {}

  Result<FileStamp> stamp(FileIndex file);

  TorrentFiles files;
  Aside aside;
};

std::shared_ptr<Storage> Storage::create(std::shared_ptr<const wire::Metainfo> info, std::string target,
                                         StorageOptions options) {
  return std::shared_ptr<Storage>(new Storage(std::make_unique<State>(std::move(info), std::move(target), options)));
}

Storage::Storage(std::unique_ptr<State> state) : state_(std::move(state)) {}
Storage::~Storage() = default;

const std::string& Storage::part_path() const { return state_->files.part_path(); }
const std::string& Storage::target_path() const { return state_->files.target_path(); }
const Extents& Storage::extents() const { return state_->files.extents(); }
const std::vector<bool>& Storage::files() const { return state_->files.options().files; }
Bitfield Storage::wanted() const { return wanted_pieces(state_->files.info(), files()); }
Place Storage::place() { return state_->files.place(); }
bool Storage::merges() { return state_->files.merges(); }

Result<void> Storage::read(std::uint64_t offset, std::span<const iovec> into) {
  State& s = *state_;
  IovCursor cursor(into);
  std::uint64_t length = 0;
  for (const iovec& entry : into) length += entry.iov_len;
  Result<void> result;
  s.files.extents().each(offset, length, [&](const Extent& e) {
    if (e.pad) {
      cursor.zero(e.length);
    } else if (!s.files.is_chosen(e.file)) {
      result = s.aside.read(offset, e.length, cursor);
    } else if (auto open = s.files.to_read(e.file); !open) {
      result = tl::unexpected(std::move(open.error()));
    } else if (*open && (*open)->named && s.files.options().writable) {
      result = s.aside.read_named(**open, e, offset, cursor);
    } else {
      result = s.files.read(e.file, *open, e.offset, e.length, cursor);
    }
    offset += e.length;
    return result.has_value();
  });
  return result;
}

std::size_t Storage::read_cached(std::uint64_t offset, std::span<const iovec> into) {
  State& s = *state_;
  IovCursor cursor(into);
  std::uint64_t length = 0;
  for (const iovec& entry : into) length += entry.iov_len;
  if (s.aside.has_doubts_in(offset, length)) return 0;
  std::size_t total = 0;
  s.files.extents().each(offset, length, [&](const Extent& e) {
    std::uint64_t moved = e.length;
    if (e.pad) {
      cursor.zero(e.length);
    } else {
      const auto open = s.files.open_already(e.file);
      moved = open ? read_at_once(open->fd.get(), e.offset, e.length, cursor) : 0;
    }
    total += static_cast<std::size_t>(moved);
    return moved == e.length;
  });
  return total;
}

Result<void> Storage::write(std::uint64_t offset, std::span<const iovec> from) {
  State& s = *state_;
  SWARM_CHECK(s.files.options().writable);
  IovCursor cursor(from);
  std::uint64_t length = 0;
  for (const iovec& entry : from) length += entry.iov_len;
  Result<void> result;
  s.files.extents().each(offset, length, [&](const Extent& e) {
    if (e.pad) {
      cursor.advance(e.length);
    } else if (!s.files.is_chosen(e.file)) {
      result = s.aside.write(offset, e.length, cursor);
    } else if (auto open = s.files.to_write(e.file); !open) {
      result = tl::unexpected(std::move(open.error()));
    } else if ((*open)->named) {
      result = s.aside.meet_named(**open, e, offset, cursor);
    } else {
      result = s.files.write(e.file, **open, e.offset, e.length, cursor);
    }
    offset += e.length;
    return result.has_value();
  });
  return result;
}

Result<void> Storage::sync() { return state_->files.sync(); }

Result<std::string> Storage::finish() {
  if (auto complete = state_->files.complete(); !complete) return tl::unexpected(std::move(complete.error()));
  if (auto settled = state_->aside.settle(); !settled) return tl::unexpected(std::move(settled.error()));
  return state_->files.give_names();
}

Result<void> Storage::check_space() { return state_->files.check_space(); }

Bitfield Storage::pieces_with_data() {
  State& s = *state_;
  Bitfield pieces(s.files.info().piece_count());
  const auto mark = [&](std::uint64_t begin, std::uint64_t end) {  // bytes of the torrent; end > begin
    const std::uint64_t last = (end - 1) / s.files.info().piece_bytes;
    for (std::uint64_t p = begin / s.files.info().piece_bytes; p <= last; ++p) pieces.set(static_cast<std::size_t>(p));
  };
  for (std::uint32_t i = 0; i < s.files.info().files.size(); ++i) {
    const FileIndex file{i};
    if (s.files.info().files[i].pad || s.files.length(file) == 0 || !s.files.is_chosen(file)) continue;
    const std::uint64_t start = s.files.extents().start(file);
    const auto open = s.files.to_read(file);
    if (open && !*open) continue;
    if (!open || ((*open)->named && s.files.options().writable)) {  // reading will say what is wrong with it
      mark(start, start + s.files.length(file));
    } else {
      each_data((*open)->fd.get(), s.files.length(file),
                [&](std::uint64_t begin, std::uint64_t end) { mark(start + begin, start + end); });
    }
  }
  if (files().empty()) return pieces;
  if (const auto aside = s.files.to_read(s.files.side_file()); aside && *aside) {
    each_data((*aside)->fd.get(), s.files.extents().bytes_total(), mark);
  }
  return pieces;
}

void Storage::adopt() {
  const TorrentFiles& files = state_->files;
  if (files.options().writable && files.info().folder && place() == Place::part) state_->aside.adopt();
}

Result<std::vector<FileStamp>> Storage::stamps() {
  State& s = *state_;
  std::vector<FileStamp> stamps(s.files.info().files.size() + (files().empty() ? 0 : 1));
  s.files.look_afresh();
  for (std::uint32_t i = 0; i < stamps.size(); ++i) {
    auto stamp = s.stamp(FileIndex{i});
    if (!stamp) return tl::unexpected(std::move(stamp.error()));
    stamps[i] = *stamp;
  }
  // A piece in doubt lies elsewhere for the next run, which must not trust it.
  if (s.aside.has_doubts() && !s.files.at_target()) std::fill(stamps.begin(), stamps.end(), FileStamp{});
  return stamps;
}

bool Storage::is_still(const std::vector<FileStamp>& stamps, std::size_t first, std::size_t last) {
  State& s = *state_;
  s.files.look_afresh();
  for (; first < last; ++first) {
    const auto stamp = s.stamp(FileIndex{static_cast<std::uint32_t>(first)});
    if (!stamp || *stamp != stamps[first]) return false;
  }
  return true;
}

/// Zeros for what is not watched: padding, and what is not chosen.
Result<FileStamp> Storage::State::stamp(FileIndex file) {
  const auto& entries = files.info().files;
  if (file != files.side_file() && (entries[number(file)].pad || !files.is_chosen(file))) return FileStamp{};
  return files.stamp(file);
}

}  // namespace swarm::disk
