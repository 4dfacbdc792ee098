#include "disk/storage.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>

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

}  // namespace

struct Storage::State {
  State(std::shared_ptr<const wire::Metainfo> info_, std::string target, const StorageOptions& options_)
      : info(std::move(info_)),
        options(options_),
        extents(info->files),
        tree(*info, std::move(target), options),
        open_files(options.open_files_max),
        written(info->files.size(), false),
        unsynced(info->files.size(), false) {}

  const std::shared_ptr<const wire::Metainfo> info;
  const StorageOptions options;
  const Extents extents;

  std::mutex mutex;  ///< guards what follows; never held while data moves
  Tree tree;
  OpenFiles open_files;
  std::vector<bool> written;             ///< by file: by this process
  std::vector<bool> unsynced;            ///< by file: written since the last sync
  std::vector<FileIndex> unsynced_list;  ///< the same as a list
  bool unsynced_closed = false;          ///< one of them was closed before it was synced
  bool may_write = false;                ///< the target was looked at
  std::optional<Error> sync_error;       ///< for good

  std::mutex sync_mutex;  ///< one sync at a time; taken before `mutex`

  std::uint64_t length(FileIndex file) const { return info->files[number(file)].length; }

  std::string shown(FileIndex file) {
    const std::lock_guard lock(mutex);
    return tree.shown(file);
  }
  void remember_closing(FileIndex file) { unsynced_closed = unsynced_closed || unsynced[number(file)]; }

  /// A file to read from. Null when a .part does not have it yet.
  Result<std::shared_ptr<OpenFile>> to_read(FileIndex file) {
    const std::lock_guard lock(mutex);
    if (auto held = open_files.find(file)) return held;
    const bool target = tree.at_target();
    bool writable = !target;  // what is read may soon be written; one descriptor serves both
    Descriptor fd = retry_without_others([&] { return tree.open(file, writable ? O_RDWR : O_RDONLY); });
    if (!fd && writable && (errno == EACCES || errno == EROFS)) {
      writable = false;
      fd = tree.open(file, O_RDONLY);
    }
    if (!fd && errno == ENOENT && !target) return nullptr;
    if (!fd) return tl::unexpected(target ? unreadable(file) : system_error("read", tree.shown(file), errno));
    return keep(file, std::move(fd), writable);
  }

  Result<std::shared_ptr<OpenFile>> to_write(FileIndex file) {
    const std::lock_guard lock(mutex);
    if (!may_write) {
      // A name that is taken is better known before the download than after it.
      if (tree.place() == Place::target || (!options.replace && tree.target_exists())) {
        return tl::unexpected(exists_error(tree.target_path()));
      }
      may_write = true;
    }
    if (auto held = open_files.find(file); held && held->writable) return held;
    Descriptor fd = retry_without_others([&] { return tree.create(file); });
    if (!fd && (errno == ENOSPC || errno == EDQUOT)) return tl::unexpected(full());
    if (!fd) return tl::unexpected(system_error("write", tree.shown(file), errno));
    return keep(file, std::move(fd), true);
  }

  template <class Open>
  Descriptor retry_without_others(Open open) {
    Descriptor fd = open();
    if (!fd && errno == EMFILE) {
      open_files.clear([this](FileIndex f) { remember_closing(f); });
      fd = open();
    }
    return fd;
  }

  Result<std::shared_ptr<OpenFile>> keep(FileIndex file, Descriptor fd, bool writable) {
    struct stat s {};
    if (::fstat(fd.get(), &s) != 0) return tl::unexpected(system_error("read", tree.shown(file), errno));
    const bool regular = S_ISREG(s.st_mode);
    if (!options.writable && (!regular || static_cast<std::uint64_t>(s.st_size) != length(file))) {
      return tl::unexpected(changed(file));
    }
    if (!regular) {
      if (tree.at_target()) return tl::unexpected(changed(file));
      return fail(Exit::disk, "not_a_file", fmt::format("{} is not a regular file", printable(tree.shown(file))));
    }
    auto open = std::make_shared<OpenFile>(OpenFile{std::move(fd), writable});
    open_files.put(file, open, [this](FileIndex f) { remember_closing(f); });
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
      if (info->files[i].pad) continue;
      std::uint64_t allocated = 0;
      struct stat s {};
      if (const Descriptor fd = tree.open(FileIndex{i}, O_RDONLY); fd && ::fstat(fd.get(), &s) == 0) {
        allocated = bytes_allocated(fd.get(), s);
      }
      needed += length(FileIndex{i}) - std::min(allocated, length(FileIndex{i}));
    }
    return needed;
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

  Result<void> sync_written();
  Result<void> complete_file(FileIndex file);
  bool is_still_there(FileIndex file);
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

Place Storage::place() {
  const std::lock_guard lock(state_->mutex);
  return state_->tree.place();
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
      return true;
    }
    auto open = s.to_read(e.file);
    if (!open) {
      result = tl::unexpected(std::move(open.error()));
      return false;
    }
    int error = 0;
    const std::uint64_t moved = *open ? read_at((*open)->fd.get(), e.offset, e.length, cursor, &error) : 0;
    if (error != 0) {
      result = tl::unexpected(system_error("read", s.shown(e.file), error));
    } else if (moved < e.length) {
      if (!*open || (*open)->writable) {
        cursor.zero(e.length - moved);
      } else {
        const std::lock_guard lock(s.mutex);
        // A .part that may only be read is short like any other.
        if (!s.tree.at_target()) {
          cursor.zero(e.length - moved);
        } else {
          result = tl::unexpected(s.changed(e.file));
        }
      }
    }
    return result.has_value();
  });
  return result;
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
      return true;
    }
    auto open = s.to_write(e.file);
    if (!open) {
      result = tl::unexpected(std::move(open.error()));
      return false;
    }
    int error = 0;
    write_at((*open)->fd.get(), e.offset, e.length, cursor, &error);
    // Only after the write: a sync that ran in between would have taken the mark without covering all the bytes.
    s.mark_unsynced(e.file);
    if (error == ENOSPC || error == EDQUOT) {
      const std::lock_guard lock(s.mutex);
      result = tl::unexpected(s.full());
    } else if (error != 0) {
      result = tl::unexpected(system_error("write", s.shown(e.file), error));
    }
    return error == 0;
  });
  return result;
}

Result<void> Storage::sync() {
  const std::lock_guard lock(state_->sync_mutex);
  return state_->sync_written();
}

Result<void> Storage::State::sync_written() {
  std::vector<FileIndex> files;
  bool some_closed = false;
  {
    const std::lock_guard lock(mutex);
    if (sync_error) return tl::unexpected(*sync_error);
    files.swap(unsynced_list);
    std::swap(some_closed, unsynced_closed);
    for (const FileIndex file : files) unsynced[number(file)] = false;
  }
  // A file that was closed may have lost its error with its inode; the file system itself remembers it for as long as
  // the save folder is open (Linux 5.8).
  if (some_closed) {
    if (auto synced = sync_file_system(); !synced) return synced;
  }
  for (const FileIndex file : files) {
    auto open = to_read(file);
    if (!open) return stick(std::move(open.error()));
    const int error = *open ? sync_file(**open) : ENOENT;
    if (error != 0) return stick_sync_of(file, error);
  }
  const std::lock_guard lock(mutex);
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
    const std::lock_guard lock(s.mutex);
    if (s.sync_error) return tl::unexpected(*s.sync_error);
    if (s.tree.at_target()) {
      if (auto right = s.check_lengths(); !right) return tl::unexpected(std::move(right.error()));
      return s.tree.target_path();
    }
  }
  if (s.info->files.size() >= many_files) {
    if (auto synced = s.sync_file_system(); !synced) return tl::unexpected(std::move(synced.error()));
  }
  // Every file, not only those that this process wrote: one that was killed may have left data that was never synced.
  for (std::uint32_t i = 0; i < s.info->files.size(); ++i) {
    if (s.info->files[i].pad) continue;
    if (auto done = s.complete_file(FileIndex{i}); !done) return tl::unexpected(std::move(done.error()));
  }
  if (auto synced = s.sync_written(); !synced) return tl::unexpected(std::move(synced.error()));
  const std::lock_guard lock(s.mutex);
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
  if (!is_still_there(file)) {
    return fail(Exit::integrity, "changed",
                fmt::format("{} was removed or replaced during the download", printable(shown(file))),
                "the same command fetches again what is missing");
  }
  auto open = to_write(file);
  if (!open) return tl::unexpected(std::move(open.error()));
  const int fd = (*open)->fd.get();
  struct stat st {};
  if (::fstat(fd, &st) != 0) return tl::unexpected(system_error("read", shown(file), errno));
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
bool Storage::State::is_still_there(FileIndex file) {
  const std::lock_guard lock(mutex);
  if (!written[number(file)]) return true;
  const Descriptor named = tree.open(file, O_PATH);
  struct stat by_name {
  }, by_descriptor{};
  if (!named || ::fstat(named.get(), &by_name) != 0) return false;
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
  const std::lock_guard lock(s.mutex);
  const Descriptor& base = s.tree.base();
  if (!base) return tl::unexpected(system_error("open the folder of", s.tree.target_path(), errno));
  if (s.tree.at_target()) return {};
  struct statvfs fs {};
  if (::fstatvfs(base.get(), &fs) != 0 || fs.f_blocks == 0) return {};  // a tmpfs without a limit says 0
  const std::uint64_t needed = s.bytes_needed();
  if (needed <= std::uint64_t{fs.f_bavail} * fs.f_frsize) return {};
  return tl::unexpected(disk_full(base.get(), needed, "make room there, or choose another folder with -d"));
}

Bitfield Storage::pieces_with_data() {
  State& s = *state_;
  Bitfield pieces(s.info->piece_count());
  const auto mark = [&](FileIndex file, std::uint64_t begin, std::uint64_t end) {
    end = std::min(end, s.length(file));
    if (begin >= end) return;
    const std::uint64_t first = (s.extents.start(file) + begin) / s.info->piece_bytes;
    const std::uint64_t last = (s.extents.start(file) + end - 1) / s.info->piece_bytes;
    for (std::uint64_t p = first; p <= last; ++p) pieces.set(static_cast<std::size_t>(p));
  };
  for (std::uint32_t i = 0; i < s.info->files.size(); ++i) {
    const FileIndex file{i};
    if (s.info->files[i].pad || s.length(file) == 0) continue;
    const auto open = s.to_read(file);
    if (!open) mark(file, 0, s.length(file));  // reading it will say what is wrong with it
    if (!open || !*open) continue;
    const int fd = (*open)->fd.get();
    for (off_t at = 0; static_cast<std::uint64_t>(at) < s.length(file);) {
      const off_t start = ::lseek(fd, at, SEEK_DATA);
      if (start < 0) {
        if (errno != ENXIO) mark(file, 0, s.length(file));
        break;
      }
      const off_t end = ::lseek(fd, start, SEEK_HOLE);
      if (end <= start) break;
      mark(file, static_cast<std::uint64_t>(start), static_cast<std::uint64_t>(end));
      at = end;
    }
  }
  return pieces;
}

Result<std::vector<FileStamp>> Storage::stamps() {
  State& s = *state_;
  std::vector<FileStamp> stamps(s.info->files.size());
  for (std::uint32_t i = 0; i < stamps.size(); ++i) {
    if (s.info->files[i].pad) continue;
    const std::lock_guard lock(s.mutex);
    const Descriptor fd = s.tree.open(FileIndex{i}, O_PATH);
    struct stat st {};
    if (fd && ::fstat(fd.get(), &st) == 0) {
      if (S_ISREG(st.st_mode)) stamps[i] = {static_cast<std::uint64_t>(st.st_size), mtime_ns(st), st.st_ino};
    } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
      return tl::unexpected(system_error("look at", s.tree.shown(FileIndex{i}), errno));
    }
  }
  return stamps;
}

}  // namespace swarm::disk
