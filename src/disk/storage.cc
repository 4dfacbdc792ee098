#include "disk/storage.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>

#include "base/check.hh"
#include "base/text.hh"
#include "disk/disk_error.hh"
#include "disk/open_files.hh"
#include "disk/tree.hh"

namespace swarm::disk {
namespace {

constexpr const char* resumes = "nothing lost, the same command resumes";
constexpr std::size_t many_files = 64;  ///< from so many on, one syncfs is cheaper than waiting for each file's journal

std::int64_t mtime_ns(const struct stat& s) {
  return std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
}

/// Bytes of a file that need no new room on the disk, by the larger of what the file system counts and what it shows as
/// data (a compressed file counts less, a preallocated one shows less).
std::uint64_t bytes_allocated(int fd, const struct stat& s) {
  std::uint64_t data = 0;
  for (off_t at = 0; at < s.st_size;) {
    const off_t start = ::lseek(fd, at, SEEK_DATA);
    if (start < 0) {
      if (errno != ENXIO) data = static_cast<std::uint64_t>(s.st_size);
      break;
    }
    const off_t end = ::lseek(fd, start, SEEK_HOLE);
    if (end <= start) break;
    data += static_cast<std::uint64_t>(end - start);
    at = end;
  }
  return std::max(data, static_cast<std::uint64_t>(s.st_blocks) * 512);
}

/// Choosing all files of a folder, or the file of a torrent without one, is no choice.
StorageOptions with_real_choice(StorageOptions options, const wire::Metainfo& info) {
  SWARM_CHECK(options.files.empty() || options.files.size() == info.files.size());
  bool all = true;
  for (std::size_t i = 0; i < options.files.size(); ++i) all = all && (options.files[i] || info.files[i].pad);
  if (all || !info.folder || !options.writable) options.files.clear();
  return options;
}

/// One storage alone stays within the budget, too: what its folders and its side file take is left free.
std::size_t files_max(const StorageOptions& options) {
  constexpr std::size_t besides = 4;
  if (!options.budget) return options.open_files_max;
  const std::size_t all = options.budget->descriptors_max();
  return std::min(options.open_files_max, all - std::min(all, besides));
}

}  // namespace

struct Storage::State {
  State(std::shared_ptr<const wire::Metainfo> info_, std::string target, const StorageOptions& options_)
      : info(std::move(info_)),
        options(with_real_choice(options_, *info)),
        extents(info->files),
        tree(*info, std::move(target), options),
        open_files(files_max(options)),
        written(info->files.size() + 1, false),
        unsynced(info->files.size() + 1, false) {
    if (options.budget) share.emplace(options.budget, [this] { return let_go(); });
  }

  const std::shared_ptr<const wire::Metainfo> info;
  const StorageOptions options;
  const Extents extents;

  std::mutex mutex;  ///< guards what follows; never held while data moves
  Tree tree;
  OpenFiles open_files;
  std::shared_ptr<OpenFile> aside;       ///< rule 4; never closed, for finish() takes its name away
  std::set<std::uint32_t> in_doubt;      ///< rule 6: pieces that lie aside whole; at most two a file
  std::vector<bool> written;             ///< by file, then the side file: by this process
  std::vector<bool> unsynced;            ///< by file: written since the last sync
  std::vector<FileIndex> unsynced_list;  ///< the same as a list
  bool unsynced_closed = false;          ///< one of them was closed before it was synced
  bool may_write = false;                ///< the target was looked at
  std::optional<Error> sync_error;       ///< for good

  std::mutex sync_mutex;  ///< one sync at a time; taken before `mutex`

  std::optional<OpenBudget::Share> share;  ///< goes first, for it calls let_go()

  /// Holds the lock for what may open something, and tells the budget at the end.
  class Opening {
   public:
    explicit Opening(State& state) : state_(state), lock_(state.mutex) {}
    ~Opening() {
      if (state_.share) state_.share->holds(state_.held());
    }
    Opening(const Opening&) = delete;
    Opening& operator=(const Opening&) = delete;

   private:
    State& state_;
    const std::lock_guard<std::mutex> lock_;
  };

  std::size_t held() const { return open_files.size() + tree.held() + (aside ? 1 : 0); }

  /// For another storage that needs descriptors.
  std::optional<std::size_t> let_go() {
    const std::unique_lock lock(mutex, std::try_to_lock);
    if (!lock) return std::nullopt;
    close_files();
    tree.let_go();
    return held();
  }
  void close_files() {
    open_files.clear([this](FileIndex f) { remember_closing(f); });
  }

  std::uint64_t length(FileIndex file) const {
    return file == tree.aside() ? extents.bytes_total() : info->files[number(file)].length;
  }
  bool is_chosen(FileIndex file) const { return options.files.empty() || options.files[number(file)]; }

  std::string shown(FileIndex file) {
    const std::lock_guard lock(mutex);
    return tree.shown(file);
  }
  void remember_closing(FileIndex file) { unsynced_closed = unsynced_closed || unsynced[number(file)]; }

  /// A file to read from. Null when a .part does not have it yet.
  Result<std::shared_ptr<OpenFile>> to_read(FileIndex file) {
    const Opening opening(*this);
    if (auto held = find_open(file)) return held;
    const bool target = tree.at_target();
    bool writable = !target;  // what is read may soon be written; one descriptor serves both
    Place found = Place::nothing;
    Descriptor fd = retry_without_others([&] { return tree.open(file, writable ? O_RDWR : O_RDONLY, &found); });
    if (!fd && writable && (errno == EACCES || errno == EROFS)) {
      writable = false;
      fd = tree.open(file, O_RDONLY, &found);
    }
    const int error = fd ? 0 : errno;
    if (error == ENOENT && (!target || file == tree.aside() || tree.merges())) return nullptr;
    errno = error;
    if (!fd) return tl::unexpected(target ? unreadable(file) : system_error("read", tree.shown(file), errno));
    return keep(file, std::move(fd), writable && found == Place::part, found);
  }

  /// A file to write to, or one that has its name already (rule 6).
  Result<std::shared_ptr<OpenFile>> to_write(FileIndex file) {
    const Opening opening(*this);
    if (!may_write) {
      // A name that is taken is better known before the download than after it.
      if (!tree.merges() && (tree.place() == Place::target || (!options.replace && tree.target_exists()))) {
        return tl::unexpected(exists_error(tree.target_path()));
      }
      may_write = true;
    }
    if (auto held = find_open(file); held && (held->writable || held->named)) return held;
    Place found = Place::nothing;
    Descriptor fd = retry_without_others([&] { return tree.create(file, &found); });
    if (!fd && (errno == ENOSPC || errno == EDQUOT)) return tl::unexpected(full());
    if (!fd) return tl::unexpected(system_error("write", tree.shown(file), errno));
    return keep(file, std::move(fd), found == Place::part, found);
  }

  std::shared_ptr<OpenFile> find_open(FileIndex file) { return file == tree.aside() ? aside : open_files.find(file); }

  template <class Open>
  Descriptor retry_without_others(Open open) {
    Descriptor fd = open();
    if (!fd && errno == EMFILE) {
      close_files();
      if (share) share->let_others_go();
      fd = open();
    }
    return fd;
  }

  Result<std::shared_ptr<OpenFile>> keep(FileIndex file, Descriptor fd, bool writable, Place found) {
    struct stat s {};
    if (::fstat(fd.get(), &s) != 0) return tl::unexpected(system_error("read", tree.shown(file), errno));
    const bool regular = S_ISREG(s.st_mode);
    if (!options.writable && (!regular || static_cast<std::uint64_t>(s.st_size) != length(file))) {
      return tl::unexpected(changed(file));
    }
    if (!regular) {
      if (found == Place::target) return tl::unexpected(changed(file));
      return fail(Exit::disk, "not_a_file", fmt::format("{} is not a regular file", printable(tree.shown(file))));
    }
    auto open = std::make_shared<OpenFile>(OpenFile{std::move(fd), writable, found == Place::target});
    if (file == tree.aside()) {
      aside = open;
    } else {
      open_files.put(file, open, [this](FileIndex f) { remember_closing(f); });
    }
    return open;
  }

  /// What stands at the target is not (any more) what it should be.
  Error changed(FileIndex file) const {
    return {Exit::integrity, "changed",
            options.writable
                ? fmt::format("{} is different", printable(tree.shown(file)))
                : fmt::format("{} changed on disk since hashing; stopped sharing it", printable(tree.shown(file)))};
  }
  Error unreadable(FileIndex file) const {
    const int error = errno;
    const bool gone = error == ENOENT || error == ENOTDIR || error == ELOOP || error == EISDIR;
    return gone ? changed(file) : system_error("read", tree.shown(file), error);
  }

  /// Call with the lock held.
  Error full() {
    const std::uint64_t needed = bytes_needed();
    return tree.base() ? disk_full(tree.base().get(), needed, resumes)
                       : Error{Exit::disk, "disk_full", "no room on the disk", resumes};
  }

  /// Bytes that the .part still needs room for. Call with the lock held.
  std::uint64_t bytes_needed() {
    std::uint64_t needed = 0;
    for (std::uint32_t i = 0; i < info->files.size(); ++i) {
      if (info->files[i].pad || !is_chosen(FileIndex{i})) continue;
      const std::uint64_t allocated = bytes_there(FileIndex{i});
      needed += length(FileIndex{i}) - std::min(allocated, length(FileIndex{i}));
    }
    if (options.files.empty()) return needed;
    const std::uint64_t beside = bytes_beside();
    return needed + beside - std::min(bytes_there(tree.aside()), beside);
  }
  std::uint64_t bytes_there(FileIndex file) {
    struct stat s {};
    Place found = Place::nothing;
    const Descriptor fd = tree.open(file, O_RDONLY, &found);
    if (!fd || ::fstat(fd.get(), &s) != 0) return 0;
    // One that has its name is whole, however little room the file system gave it.
    return found == Place::target ? static_cast<std::uint64_t>(s.st_size) : bytes_allocated(fd.get(), s);
  }
  /// Of the wanted pieces, what belongs to files that are not chosen: only of their first and last piece can that be.
  std::uint64_t bytes_beside() const {
    const Bitfield wanted = wanted_pieces(*info, options.files);
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < info->files.size(); ++i) {
      if (info->files[i].pad || is_chosen(FileIndex{i}) || info->files[i].length == 0) continue;
      const std::uint64_t start = extents.start(FileIndex{i}), end = start + info->files[i].length;
      const std::uint64_t first = start / info->piece_bytes, last = (end - 1) / info->piece_bytes;
      if (wanted[static_cast<std::size_t>(first)]) bytes += std::min(end, (first + 1) * info->piece_bytes) - start;
      if (last != first && wanted[static_cast<std::size_t>(last)]) bytes += end - last * info->piece_bytes;
    }
    return bytes;
  }

  void mark_unsynced(FileIndex file) {
    const std::lock_guard lock(mutex);
    if (unsynced[number(file)]) return;
    written[number(file)] = true;
    unsynced[number(file)] = true;
    unsynced_list.push_back(file);
  }

  int sync_file(const OpenFile& open) const {
    while (true) {
      if (options.fdatasync(open.fd.get()) == 0) return 0;
      if (errno != EINTR) return errno;
    }
  }

  tl::unexpected<Error> stick(Error error) {
    const std::lock_guard lock(mutex);
    if (!sync_error) sync_error = std::move(error);
    return tl::unexpected(*sync_error);
  }
  tl::unexpected<Error> stick_sync_of(FileIndex file, int error) {
    const std::lock_guard lock(mutex);
    // A file system that allocates late finds out late that there is no room.
    const bool no_room = error == ENOSPC || error == EDQUOT;
    if (!sync_error) sync_error = no_room ? full() : system_error("sync", tree.shown(file), error);
    return tl::unexpected(*sync_error);
  }

  Result<void> sync_file_system() {
    int folder = -1;
    {
      const std::lock_guard lock(mutex);
      if (tree.base()) folder = tree.base().get();  // open as long as the tree is
    }
    if (folder < 0 || ::syncfs(folder) == 0) return {};
    return stick(system_error("sync", tree.part_path(), errno));
  }

  Result<void> read_part(FileIndex file, const std::shared_ptr<OpenFile>& open, std::uint64_t offset,
                         std::uint64_t length, IovCursor& into);
  Result<void> write_part(FileIndex file, const OpenFile& open, std::uint64_t offset, std::uint64_t length,
                          IovCursor& from);
  Result<void> read_aside(std::uint64_t offset, std::uint64_t length, IovCursor& into);
  Result<void> write_aside(std::uint64_t offset, std::uint64_t length, IovCursor& from);
  Result<void> read_named(const OpenFile& named, const Extent& extent, std::uint64_t offset, IovCursor& into);
  Result<void> meet_named(const OpenFile& named, const Extent& extent, std::uint64_t offset, IovCursor& from);
  bool is_in_doubt(std::uint32_t piece) {
    const std::lock_guard lock(mutex);
    return in_doubt.contains(piece);
  }
  bool is_all_named(PieceIndex piece);
  Result<void> put_aside(PieceIndex piece);
  Result<void> settle_doubts();
  Result<void> sync_written();
  Result<void> complete_file(FileIndex file);
  Result<bool> is_still_there(FileIndex file);
  Result<void> check_lengths();
};

std::shared_ptr<Storage> Storage::create(std::shared_ptr<const wire::Metainfo> info, std::string target,
                                         StorageOptions options) {
  return std::shared_ptr<Storage>(new Storage(std::make_unique<State>(std::move(info), std::move(target), options)));
}

Storage::Storage(std::unique_ptr<State> state) : state_(std::move(state)) {}
Storage::~Storage() = default;

const std::string& Storage::part_path() const { return state_->tree.part_path(); }
const std::string& Storage::target_path() const { return state_->tree.target_path(); }
const Extents& Storage::extents() const { return state_->extents; }

const std::vector<bool>& Storage::files() const { return state_->options.files; }
Bitfield Storage::wanted() const { return wanted_pieces(*state_->info, state_->options.files); }

Place Storage::place() {
  const State::Opening opening(*state_);
  return state_->tree.place();
}

bool Storage::merges() {
  const State::Opening opening(*state_);
  return state_->tree.merges();
}

Result<void> Storage::read(std::uint64_t offset, std::span<const iovec> into) {
  State& s = *state_;
  IovCursor cursor(into);
  std::uint64_t length = 0;
  for (const iovec& entry : into) length += entry.iov_len;
  Result<void> result;
  s.extents.each(offset, length, [&](const Extent& e) {
    if (e.pad) {
      cursor.zero(e.length);
    } else if (!s.is_chosen(e.file)) {
      result = s.read_aside(offset, e.length, cursor);
    } else if (auto open = s.to_read(e.file); !open) {
      result = tl::unexpected(std::move(open.error()));
    } else if (*open && (*open)->named && s.options.writable) {
      result = s.read_named(**open, e, offset, cursor);
    } else {
      result = s.read_part(e.file, *open, e.offset, e.length, cursor);
    }
    offset += e.length;
    return result.has_value();
  });
  return result;
}

Result<void> Storage::State::read_aside(std::uint64_t offset, std::uint64_t length, IovCursor& into) {
  const auto open = to_read(tree.aside());
  return open ? read_part(tree.aside(), *open, offset, length, into) : tl::unexpected(open.error());
}

/// Reads a range of one file, or of the side file; `open` is null when it is not there yet.
Result<void> Storage::State::read_part(FileIndex file, const std::shared_ptr<OpenFile>& open, std::uint64_t offset,
                                       std::uint64_t length, IovCursor& into) {
  int error = 0;
  const std::uint64_t moved = open ? read_at(open->fd.get(), offset, length, into, &error) : 0;
  if (error != 0) return tl::unexpected(system_error("read", shown(file), error));
  if (moved == length) return {};
  // A .part is short, or not there at all, until it is whole, be it that it may be written or not.
  if (open && open->named) {
    const std::lock_guard lock(mutex);
    return tl::unexpected(changed(file));
  }
  into.zero(length - moved);
  return {};
}

/// Reads what stands at its name, but for pieces in doubt, which lie aside.
Result<void> Storage::State::read_named(const OpenFile& named, const Extent& extent, std::uint64_t offset,
                                        IovCursor& into) {
  for (std::uint64_t done = 0; done < extent.length;) {
    const auto piece = static_cast<std::uint32_t>((offset + done) / info->piece_bytes);
    const std::uint64_t end = (std::uint64_t{piece} + 1) * info->piece_bytes;
    const std::uint64_t part = std::min(end - offset, extent.length) - done;
    if (is_in_doubt(piece)) {
      if (auto read = read_aside(offset + done, part, into); !read) return read;
    } else {
      int error = 0;
      const std::uint64_t moved = read_at(named.fd.get(), extent.offset + done, part, into, &error);
      if (error != 0) return tl::unexpected(system_error("read", shown(extent.file), error));
      const std::lock_guard lock(mutex);
      if (moved < part) return tl::unexpected(changed(extent.file));
    }
    done += part;
  }
  return {};
}

Result<void> Storage::write(std::uint64_t offset, std::span<const iovec> from) {
  State& s = *state_;
  SWARM_CHECK(s.options.writable);
  IovCursor cursor(from);
  std::uint64_t length = 0;
  for (const iovec& entry : from) length += entry.iov_len;
  Result<void> result;
  s.extents.each(offset, length, [&](const Extent& e) {
    if (e.pad) {
      cursor.advance(e.length);
    } else if (!s.is_chosen(e.file)) {
      result = s.write_aside(offset, e.length, cursor);
    } else if (auto open = s.to_write(e.file); !open) {
      result = tl::unexpected(std::move(open.error()));
    } else if ((*open)->named) {
      result = s.meet_named(**open, e, offset, cursor);
    } else {
      result = s.write_part(e.file, **open, e.offset, e.length, cursor);
    }
    offset += e.length;
    return result.has_value();
  });
  return result;
}

Result<void> Storage::State::write_aside(std::uint64_t offset, std::uint64_t length, IovCursor& from) {
  const auto open = to_write(tree.aside());
  return open ? write_part(tree.aside(), **open, offset, length, from) : tl::unexpected(open.error());
}

/// Writes a range of one file of the .part, or of the side file.
Result<void> Storage::State::write_part(FileIndex file, const OpenFile& open, std::uint64_t offset,
                                        std::uint64_t length, IovCursor& from) {
  int error = 0;
  write_at(open.fd.get(), offset, length, from, &error);
  // Only after the write: a sync that ran in between would have taken the mark without covering all the bytes.
  mark_unsynced(file);
  if (error == ENOSPC || error == EDQUOT) {
    const std::lock_guard lock(mutex);
    return tl::unexpected(full());
  }
  if (error != 0) return tl::unexpected(system_error("write", shown(file), error));
  return {};
}

namespace {

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

/// Rule 6, for bytes of the torrent that start at `offset`.
Result<void> Storage::State::meet_named(const OpenFile& named, const Extent& extent, std::uint64_t offset,
                                        IovCursor& from) {
  for (std::uint64_t done = 0; done < extent.length;) {
    const PieceIndex piece{static_cast<std::uint32_t>((offset + done) / info->piece_bytes)};
    const std::uint64_t end = (std::uint64_t{number(piece)} + 1) * info->piece_bytes;
    const std::uint64_t part = std::min(end - offset, extent.length) - done;
    if (!is_in_doubt(number(piece))) {
      if (is_all_named(piece)) return tl::unexpected(exists_error(tree.target_path()));
      if (holds(named, extent.offset + done, part, from)) {
        from.advance(part);
        done += part;
        continue;
      }
      if (auto kept = put_aside(piece); !kept) return kept;
    }
    if (auto written = write_aside(offset + done, part, from); !written) return written;
    done += part;
  }
  return {};
}

/// Nothing of this piece could be written anywhere: whoever fetches it does so because what stands there is different.
bool Storage::State::is_all_named(PieceIndex piece) {
  return extents.each(std::uint64_t{number(piece)} * info->piece_bytes, info->piece_size(piece), [&](const Extent& e) {
    if (e.pad) return true;
    if (!is_chosen(e.file)) return false;
    const auto open = to_read(e.file);
    return open && *open && (*open)->named;
  });
}

/// Copies what the files with names hold of a piece, so that from now on all of it can be read, and written, aside.
Result<void> Storage::State::put_aside(PieceIndex piece) {
  Result<void> result;
  Buffer buffer;
  std::uint64_t offset = std::uint64_t{number(piece)} * info->piece_bytes;
  extents.each(offset, info->piece_size(piece), [&](const Extent& e) {
    const auto open = e.pad || !is_chosen(e.file) ? nullptr : to_read(e.file);
    if (open && *open && (*open)->named) {
      for (std::uint64_t done = 0; done < e.length && result; done += buffer.size()) {
        buffer.assign(static_cast<std::size_t>(std::min<std::uint64_t>(1u << 18, e.length - done)), 0);
        const iovec bytes{buffer.data(), buffer.size()};
        IovCursor into({&bytes, 1}), from({&bytes, 1});
        int error = 0;
        read_at((*open)->fd.get(), e.offset + done, buffer.size(), into, &error);
        result = error == 0 ? write_aside(offset + done, buffer.size(), from)
                            : tl::unexpected(system_error("read", shown(e.file), error));
      }
    }
    offset += e.length;
    return result.has_value();
  });
  if (!result) return result;
  const std::lock_guard lock(mutex);
  in_doubt.insert(number(piece));
  return {};
}

/// All pieces are right now, so a piece that is not what the files with names hold says that one of these is another.
Result<void> Storage::State::settle_doubts() {
  Buffer buffer;
  for (const std::uint32_t piece : in_doubt) {
    std::uint64_t offset = std::uint64_t{piece} * info->piece_bytes;
    const bool same = extents.each(offset, info->piece_size(PieceIndex{piece}), [&](const Extent& e) {
      bool equal = true;
      const auto open = e.pad || !is_chosen(e.file) ? nullptr : to_read(e.file);
      if (open && *open && (*open)->named) {
        for (std::uint64_t done = 0; done < e.length && equal; done += buffer.size()) {
          buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(1u << 18, e.length - done)));
          const iovec bytes{buffer.data(), buffer.size()};
          IovCursor into({&bytes, 1});
          equal = read_aside(offset + done, buffer.size(), into) &&
                  holds(**open, e.offset + done, buffer.size(), IovCursor({&bytes, 1}));
        }
      }
      offset += e.length;
      return equal;
    });
    if (!same) return tl::unexpected(exists_error(tree.target_path()));
  }
  const std::lock_guard lock(mutex);
  in_doubt.clear();
  return {};
}

Result<void> Storage::sync() {
  const std::lock_guard lock(state_->sync_mutex);
  return state_->sync_written();
}

Result<void> Storage::State::sync_written() {
  std::vector<FileIndex> files;
  std::vector<std::shared_ptr<OpenFile>> open_ones;  // nobody closes these before they are synced
  bool some_closed = false;
  {
    const std::lock_guard lock(mutex);
    if (sync_error) return tl::unexpected(*sync_error);
    files.swap(unsynced_list);
    std::swap(some_closed, unsynced_closed);
    for (const FileIndex file : files) {
      unsynced[number(file)] = false;
      open_ones.push_back(find_open(file));
    }
  }
  // A file that was closed may have lost its error with its inode; the file system itself remembers it for as long as
  // the save folder is open (Linux 5.8).
  if (some_closed) {
    if (auto synced = sync_file_system(); !synced) return synced;
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto open = open_ones[i] ? Result<std::shared_ptr<OpenFile>>(std::move(open_ones[i])) : to_read(files[i]);
    if (!open) return stick(std::move(open.error()));
    const int error = *open ? sync_file(**open) : ENOENT;
    if (error != 0) return stick_sync_of(files[i], error);
  }
  const Opening opening(*this);
  if (const int error = files.empty() ? 0 : tree.sync_folders()) {
    sync_error = system_error("sync the folder of", tree.part_path(), error);
    return tl::unexpected(*sync_error);
  }
  return {};
}

Result<std::string> Storage::finish() {
  State& s = *state_;
  const std::lock_guard sync_lock(s.sync_mutex);
  {
    const State::Opening opening(s);
    if (s.sync_error) return tl::unexpected(*s.sync_error);
    if (s.tree.at_target() && !s.tree.merges()) {
      if (auto right = s.check_lengths(); !right) return tl::unexpected(std::move(right.error()));
      return s.tree.target_path();
    }
  }
  if (s.info->files.size() >= many_files) {
    if (auto synced = s.sync_file_system(); !synced) return tl::unexpected(std::move(synced.error()));
  }
  // Every file, not only those that this process wrote: one that was killed may have left data that was never synced.
  for (std::uint32_t i = 0; i < s.info->files.size(); ++i) {
    if (s.info->files[i].pad || !s.is_chosen(FileIndex{i})) continue;
    if (auto done = s.complete_file(FileIndex{i}); !done) return tl::unexpected(std::move(done.error()));
  }
  // Open from here on, for it is about to lose its name.
  if (const auto aside = s.to_read(s.tree.aside()); !aside) return tl::unexpected(aside.error());
  if (auto settled = s.settle_doubts(); !settled) return tl::unexpected(std::move(settled.error()));
  if (auto synced = s.sync_written(); !synced) return tl::unexpected(std::move(synced.error()));
  const State::Opening opening(s);
  if (!s.tree.part_exists()) return s.tree.target_path();  // every file had its name already
  if (const int error = s.tree.sync_folders(true)) {
    s.sync_error = system_error("sync the folder of", s.tree.part_path(), error);
    return tl::unexpected(*s.sync_error);
  }
  if (const int error = s.tree.move_to_target()) {
    if (error == EEXIST) return tl::unexpected(exists_error(s.tree.target_path()));
    return tl::unexpected(system_error("rename", s.tree.part_path(), error));
  }
  s.open_files.clear([](FileIndex) {});  // those were open for writing
  s.may_write = false;
  return s.tree.target_path();
}

/// Makes one file of the .part what it shall be when it has its name: there, as long as it should be, with its mode,
/// durable.
Result<void> Storage::State::complete_file(FileIndex file) {
  const auto still_there = is_still_there(file);
  if (!still_there) return tl::unexpected(still_there.error());
  if (!*still_there) {
    return fail(Exit::integrity, "changed",
                fmt::format("{} was removed or replaced during the download", printable(shown(file))),
                "the same command fetches again what is missing");
  }
  auto open = to_write(file);
  if (!open) return tl::unexpected(std::move(open.error()));
  const int fd = (*open)->fd.get();
  struct stat st {};
  if (::fstat(fd, &st) != 0) return tl::unexpected(system_error("read", shown(file), errno));
  if ((*open)->named) {  // it was hashed; but its digests do not tell whether it is longer than it should be
    if (static_cast<std::uint64_t>(st.st_size) == length(file)) return {};
    return tl::unexpected(exists_error(tree.target_path()));
  }
  if (static_cast<std::uint64_t>(st.st_size) != length(file) &&
      ::ftruncate(fd, static_cast<off_t>(length(file))) != 0) {
    return tl::unexpected(system_error("set the length of", shown(file), errno));
  }
  int error = 0;
  if (info->files[number(file)].executable) {
    // Whoever may read it may run it, as far as the umask let them read. vfat and its like cannot say so: no reason to
    // fail.
    if (::fchmod(fd, (st.st_mode | (st.st_mode & 0444) >> 2) & 07777) == 0) error = ::fsync(fd) == 0 ? 0 : errno;
  }
  if (error == 0) error = sync_file(**open);
  if (error != 0) return stick_sync_of(file, error);
  return {};
}

/// Is the name still that of the file which was written, as far as that can be told? What was verified must be what
/// gets the final name.
Result<bool> Storage::State::is_still_there(FileIndex file) {
  const std::lock_guard lock(mutex);
  if (!written[number(file)]) return true;
  const Descriptor named = retry_without_others([&] { return tree.open(file, O_PATH); });
  if (!named && (errno == EMFILE || errno == ENFILE)) return true;  // it cannot be told
  struct stat by_name {
  }, by_descriptor{};
  if (!named && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return false;
  if (!named || ::fstat(named.get(), &by_name) != 0) {
    return tl::unexpected(system_error("look at", tree.shown(file), errno));
  }
  const auto held = open_files.find(file);
  if (!held || ::fstat(held->fd.get(), &by_descriptor) != 0) return true;
  return by_name.st_ino == by_descriptor.st_ino && by_name.st_dev == by_descriptor.st_dev;
}

/// A finished download that is found again: its digests do not tell whether a file is longer than it should be.
Result<void> Storage::State::check_lengths() {
  for (std::uint32_t i = 0; i < info->files.size(); ++i) {
    if (info->files[i].pad) continue;
    struct stat st {};
    const Descriptor fd = tree.open(FileIndex{i}, O_PATH);
    if (!fd || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode) ||
        static_cast<std::uint64_t>(st.st_size) != length(FileIndex{i})) {
      return tl::unexpected(options.writable ? exists_error(tree.target_path()) : changed(FileIndex{i}));
    }
  }
  return {};
}

Result<void> Storage::check_space() {
  State& s = *state_;
  const State::Opening opening(s);
  const Descriptor& base = s.tree.base();
  if (!base) return tl::unexpected(system_error("open the folder of", s.tree.target_path(), errno));
  if (s.tree.at_target() && !s.tree.merges()) return {};
  struct statvfs fs {};
  if (::fstatvfs(base.get(), &fs) != 0 || fs.f_blocks == 0) return {};  // a tmpfs without a limit says 0
  const std::uint64_t needed = s.bytes_needed();
  if (needed <= std::uint64_t{fs.f_bavail} * fs.f_frsize) return {};
  return tl::unexpected(disk_full(base.get(), needed, "make room there, or choose another folder with -d"));
}

namespace {

/// Calls f(begin, end) for each range of a file that holds data; for all `length` bytes when that cannot be told.
template <class F>
void each_data(int fd, std::uint64_t length, F&& f) {
  for (off_t at = 0; static_cast<std::uint64_t>(at) < length;) {
    const off_t start = ::lseek(fd, at, SEEK_DATA);
    if (start < 0) {
      if (errno != ENXIO) f(std::uint64_t{0}, length);
      return;
    }
    const off_t end = ::lseek(fd, start, SEEK_HOLE);
    if (end <= start || static_cast<std::uint64_t>(start) >= length) return;
    f(static_cast<std::uint64_t>(start), std::min(static_cast<std::uint64_t>(end), length));
    at = end;
  }
}

}  // namespace

Bitfield Storage::pieces_with_data() {
  State& s = *state_;
  Bitfield pieces(s.info->piece_count());
  const auto mark = [&](std::uint64_t begin, std::uint64_t end) {  // bytes of the torrent; end > begin
    const std::uint64_t last = (end - 1) / s.info->piece_bytes;
    for (std::uint64_t p = begin / s.info->piece_bytes; p <= last; ++p) pieces.set(static_cast<std::size_t>(p));
  };
  for (std::uint32_t i = 0; i < s.info->files.size(); ++i) {
    const FileIndex file{i};
    if (s.info->files[i].pad || s.length(file) == 0 || !s.is_chosen(file)) continue;
    const std::uint64_t start = s.extents.start(file);
    const auto open = s.to_read(file);
    if (open && !*open) continue;
    if (!open || ((*open)->named && s.options.writable)) {  // reading will say what is wrong with it
      mark(start, start + s.length(file));
    } else {
      each_data((*open)->fd.get(), s.length(file),
                [&](std::uint64_t begin, std::uint64_t end) { mark(start + begin, start + end); });
    }
  }
  if (s.options.files.empty()) return pieces;
  if (const auto aside = s.to_read(s.tree.aside()); aside && *aside) {
    each_data((*aside)->fd.get(), s.extents.bytes_total(), mark);
  }
  return pieces;
}

void Storage::adopt() {
  State& s = *state_;
  if (!s.options.writable || !s.info->folder || place() != Place::part) return;
  const auto aside = s.to_read(s.tree.aside());
  if (!aside || !*aside) return;
  Buffer buffer;
  // Where the file has data already, that is newer.
  const auto copy = [&](FileIndex file, std::uint64_t at, std::uint64_t offset, std::uint64_t length) {
    const auto there = s.to_read(file);
    if (!there || (*there && (*there)->named)) return;
    for (std::uint64_t done = 0; done < length; done += buffer.size()) {
      buffer.assign(static_cast<std::size_t>(std::min<std::uint64_t>(4096, length - done)), 0);
      const auto begin = static_cast<off_t>(at + done);
      const off_t data = *there ? ::lseek((*there)->fd.get(), begin, SEEK_DATA) : -1;
      if (*there && data < 0 && errno != ENXIO) return;
      if (data >= 0 && data < begin + static_cast<off_t>(buffer.size())) continue;
      const iovec bytes{buffer.data(), buffer.size()};
      IovCursor into({&bytes, 1}), from({&bytes, 1});
      int error = 0;
      read_at((*aside)->fd.get(), offset + done, buffer.size(), into, &error);
      // Zeros are what a hole reads as; the data around the end of another file's bytes shows as such.
      if (error != 0 || std::all_of(buffer.begin(), buffer.end(), [](std::uint8_t b) { return b == 0; })) continue;
      const auto open = s.to_write(file);
      if (!open || !s.write_part(file, **open, at + done, buffer.size(), from)) return;
    }
  };
  each_data((*aside)->fd.get(), s.extents.bytes_total(), [&](std::uint64_t begin, std::uint64_t end) {
    s.extents.each(begin, end - begin, [&](const Extent& e) {
      if (!e.pad && s.is_chosen(e.file)) copy(e.file, e.offset, begin, e.length);
      begin += e.length;
      return true;
    });
  });
}

Result<std::vector<FileStamp>> Storage::stamps() {
  State& s = *state_;
  std::vector<FileStamp> stamps(s.info->files.size() + (s.options.files.empty() ? 0 : 1));
  for (std::uint32_t i = 0; i < stamps.size(); ++i) {
    const FileIndex file{i};
    const State::Opening opening(s);
    if (file != s.tree.aside() && (s.info->files[i].pad || !s.is_chosen(file))) continue;
    const Descriptor fd = s.retry_without_others([&] { return s.tree.open(file, O_PATH); });
    struct stat st {};
    if (fd && ::fstat(fd.get(), &st) == 0) {
      if (S_ISREG(st.st_mode)) stamps[i] = {static_cast<std::uint64_t>(st.st_size), mtime_ns(st), st.st_ino};
    } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
      return tl::unexpected(system_error("look at", s.tree.shown(file), errno));
    }
  }
  // A piece in doubt lies elsewhere for the next run, which must not trust it.
  const std::lock_guard lock(s.mutex);
  if (!s.in_doubt.empty() && !s.tree.at_target()) std::fill(stamps.begin(), stamps.end(), FileStamp{});
  return stamps;
}

}  // namespace swarm::disk
