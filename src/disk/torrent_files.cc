#include "disk/torrent_files.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.hh"
#include "base/text.hh"
#include "disk/data_ranges.hh"
#include "disk/disk_error.hh"
#include "disk/file_system.hh"

namespace swarm::disk {
namespace {

constexpr const char* resumes = "nothing lost, the same command resumes";
constexpr std::uint64_t writeback_bytes = 16u << 20;  ///< enough for large extents, a moment's work for a disk
constexpr std::size_t many_files = 64;                ///< from so many on, one syncfs is cheaper than a sync of each

std::int64_t mtime_ns(const struct stat& s) {
  return std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
}

/// Bytes of a file that need no new room on the disk, by the larger of what the file system counts and what it shows as
/// data (a compressed file counts less, a preallocated one shows less).
std::uint64_t bytes_allocated(int fd, const struct stat& s) {
  std::uint64_t data = 0;
  each_data(fd, static_cast<std::uint64_t>(s.st_size),
            [&](std::uint64_t begin, std::uint64_t end) { data += end - begin; });
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
  constexpr std::size_t besides = 6;
  if (!options.budget) return options.open_files_max;
  const std::size_t all = options.budget->descriptors_max();
  return std::min(options.open_files_max, all - std::min(all, besides));
}

}  // namespace

void begin_writeback(int fd) {
  (void)::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);  // to its end, for pieces come in any order
}

TorrentFiles::TorrentFiles(std::shared_ptr<const wire::Metainfo> info, std::string target,
                           const StorageOptions& options)
    : info_(std::move(info)),
      options_(with_real_choice(options, *info_)),
      extents_(info_->files),
      tree_(*info_, std::move(target), options_),
      open_files_(files_max(options_)),
      written_(info_->files.size() + 1, false),
      unsynced_(info_->files.size() + 1, false) {
  if (options_.budget) share_.emplace(options_.budget, [this] { return let_go(); });
}

/// For another storage that needs descriptors.
std::optional<std::size_t> TorrentFiles::let_go() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return std::nullopt;
  close_files();
  tree_.let_go();
  return held();
}
void TorrentFiles::look_afresh() {
  const Opening opening(*this);
  tree_.look_afresh();
}
void TorrentFiles::close_files() {
  open_files_.clear([this](FileIndex f) { remember_closing(f); });
}

std::uint64_t TorrentFiles::length(FileIndex file) const {
  return file == side_file() ? extents_.bytes_total() : info_->files[number(file)].length;
}

std::string TorrentFiles::shown(FileIndex file) {
  const std::lock_guard lock(mutex_);
  return tree_.shown(file);
}
Error TorrentFiles::changed(FileIndex file) {
  const std::lock_guard lock(mutex_);
  return changed_error(file);
}
Error TorrentFiles::exists() const { return exists_error(tree_.target_path()); }

Place TorrentFiles::place() {
  const Opening opening(*this);
  return tree_.place();
}

bool TorrentFiles::merges() {
  const Opening opening(*this);
  tree_.look_afresh();
  return tree_.merges();
}

bool TorrentFiles::at_target() {
  const Opening opening(*this);
  return tree_.at_target();
}

Result<TorrentFiles::Open> TorrentFiles::to_read(FileIndex file) {
  const Opening opening(*this);
  if (auto held = find_open(file)) return held;
  const bool target = tree_.at_target();
  bool writable = !target;  // what is read may soon be written; one descriptor serves both
  Place found = Place::nothing;
  Descriptor fd = retry_without_others([&] { return tree_.open(file, writable ? O_RDWR : O_RDONLY, &found); });
  if (!fd && writable && (errno == EACCES || errno == EROFS)) {
    writable = false;
    fd = tree_.open(file, O_RDONLY, &found);
  }
  const int error = fd ? 0 : errno;
  if (error == ENOENT && (!target || file == side_file() || tree_.merges())) return nullptr;
  errno = error;
  if (!fd) return tl::unexpected(target ? unreadable(file) : system_error("read", tree_.shown(file), errno));
  return keep(file, std::move(fd), writable && found == Place::part, found);
}

TorrentFiles::Open TorrentFiles::open_already(FileIndex file) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  return lock && is_chosen(file) ? open_files_.find(file) : nullptr;
}

Result<TorrentFiles::Open> TorrentFiles::to_write(FileIndex file) {
  const Opening opening(*this);
  if (!may_write_) {
    tree_.look_afresh();
    // A name that is taken is better known before the download than after it.
    if (!tree_.merges() && (tree_.place() == Place::target || (!options_.replace && tree_.target_exists()))) {
      return tl::unexpected(exists());
    }
    may_write_ = true;
  }
  if (auto held = find_open(file); held && (held->writable || held->named)) return held;
  Tree::Created created;
  Descriptor fd = retry_without_others([&] {
    created = tree_.create(file, !written_[number(file)]);
    return std::move(created.fd);
  });
  if (!fd && (errno == ENOSPC || errno == EDQUOT)) return tl::unexpected(full());
  if (!fd) return tl::unexpected(system_error("write", tree_.shown(file), errno));
  if (!created.made) return keep(file, std::move(fd), created.found == Place::part, created.found);
  folders_synced_ = false;
  return hold(file, std::move(fd), true, Place::part);
}

template <class F>
Descriptor TorrentFiles::retry_without_others(F open) {
  Descriptor fd = open();
  if (!fd && errno == EMFILE) {
    close_files();
    if (share_) share_->let_others_go();
    fd = open();
  }
  return fd;
}

Result<TorrentFiles::Open> TorrentFiles::keep(FileIndex file, Descriptor fd, bool writable, Place found) {
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) return tl::unexpected(system_error("read", tree_.shown(file), errno));
  const bool regular = S_ISREG(s.st_mode);
  if (!options_.writable && (!regular || static_cast<std::uint64_t>(s.st_size) != length(file))) {
    return tl::unexpected(changed_error(file));
  }
  if (!regular) {
    if (found == Place::target) return tl::unexpected(changed_error(file));
    return fail(Exit::disk, "not_a_file", fmt::format("{} is not a regular file", printable(tree_.shown(file))));
  }
  return hold(file, std::move(fd), writable, found);
}

TorrentFiles::Open TorrentFiles::hold(FileIndex file, Descriptor fd, bool writable, Place found) {
  auto open = std::make_shared<OpenFile>(std::move(fd), writable, found == Place::target);
  if (file == side_file()) {
    side_file_ = open;
  } else {
    open_files_.put(file, open, [this](FileIndex f) { remember_closing(f); });
  }
  return open;
}

/// What has this name: as Tree::look().
int TorrentFiles::look(FileIndex file, struct stat* s, Place* found) {
  const int error = tree_.look(file, s, found);
  if (error != EMFILE) return error;
  close_files();
  if (share_) share_->let_others_go();
  return tree_.look(file, s, found);
}

Error TorrentFiles::changed_error(FileIndex file) const {
  return {Exit::integrity, "changed",
          options_.writable
              ? fmt::format("{} is different", printable(tree_.shown(file)))
              : fmt::format("{} changed on disk since hashing; stopped sharing it", printable(tree_.shown(file)))};
}
Error TorrentFiles::unreadable(FileIndex file) const {
  const int error = errno;
  const bool gone = error == ENOENT || error == ENOTDIR || error == ELOOP || error == EISDIR;
  return gone ? changed_error(file) : system_error("read", tree_.shown(file), error);
}

Error TorrentFiles::full() {
  const std::uint64_t needed = bytes_needed();
  return tree_.base() ? disk_full(tree_.base().get(), needed, resumes)
                      : Error{Exit::disk, "disk_full", "no room on the disk", resumes};
}

/// Bytes that the .part still needs room for.
std::uint64_t TorrentFiles::bytes_needed() {
  std::uint64_t needed = 0;
  for (std::uint32_t i = 0; i < info_->files.size(); ++i) {
    if (info_->files[i].pad || !is_chosen(FileIndex{i})) continue;
    const std::uint64_t allocated = bytes_there(FileIndex{i});
    needed += length(FileIndex{i}) - std::min(allocated, length(FileIndex{i}));
  }
  if (options_.files.empty()) return needed;
  const std::uint64_t beside = bytes_beside(*info_, extents_, options_.files);
  return needed + beside - std::min(bytes_there(side_file()), beside);
}
std::uint64_t TorrentFiles::bytes_there(FileIndex file) {
  struct stat s {};
  Place found = Place::nothing;
  const Descriptor fd = tree_.open(file, O_RDONLY, &found);
  if (!fd || ::fstat(fd.get(), &s) != 0) return 0;
  // One that has its name is whole, however little room the file system gave it.
  return found == Place::target ? static_cast<std::uint64_t>(s.st_size) : bytes_allocated(fd.get(), s);
}

void TorrentFiles::mark_unsynced(FileIndex file) {
  const std::lock_guard lock(mutex_);
  if (unsynced_[number(file)]) return;
  written_[number(file)] = true;
  unsynced_[number(file)] = true;
  unsynced_list_.push_back(file);
}

int TorrentFiles::sync_file(const OpenFile& open) const {
  while (true) {
    if (options_.fdatasync(open.fd.get()) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

/// A disk that is told early works while the rest comes in, and the sync that waits for it finds little left. What this
/// call says does not matter: it takes no error away from the sync, which is the one to tell. It may wait for a disk whose
/// queue is full, so one worker at a time does it, and the others go on.
void TorrentFiles::begin_writeback(const OpenFile& open, std::uint64_t bytes_written) {
  if (open.bytes_held_back.fetch_add(bytes_written) + bytes_written < writeback_bytes) return;
  if (writing_back_.test_and_set(std::memory_order_acquire)) return;
  open.bytes_held_back = 0;
  options_.begin_writeback(open.fd.get());
  writing_back_.clear(std::memory_order_release);
}

tl::unexpected<Error> TorrentFiles::stick(Error error) {
  const std::lock_guard lock(mutex_);
  if (!sync_error_) sync_error_ = std::move(error);
  return tl::unexpected(*sync_error_);
}
tl::unexpected<Error> TorrentFiles::stick_sync_of(FileIndex file, int error) {
  const std::lock_guard lock(mutex_);
  // A file system that allocates late finds out late that there is no room.
  const bool no_room = error == ENOSPC || error == EDQUOT;
  if (!sync_error_) sync_error_ = no_room ? full() : system_error("sync", tree_.shown(file), error);
  return tl::unexpected(*sync_error_);
}

Result<void> TorrentFiles::sync_file_system() {
  int folder = -1;
  {
    const std::lock_guard lock(mutex_);
    if (tree_.base()) folder = tree_.base().get();  // open as long as the tree is
  }
  if (folder < 0 || ::syncfs(folder) == 0) return {};
  return stick(system_error("sync", tree_.part_path(), errno));
}

Result<void> TorrentFiles::read(FileIndex file, const Open& open, std::uint64_t offset, std::uint64_t length,
                                IovCursor& into) {
  int error = 0;
  const std::uint64_t moved = open ? read_at(open->fd.get(), offset, length, into, &error) : 0;
  if (error != 0) return tl::unexpected(system_error("read", shown(file), error));
  if (moved == length) return {};
  // A .part is short, or not there at all, until it is whole, be it that it may be written or not.
  if (open && open->named) return tl::unexpected(changed(file));
  into.zero(length - moved);
  return {};
}

Result<void> TorrentFiles::write(FileIndex file, const OpenFile& open, std::uint64_t offset, std::uint64_t length,
                                 IovCursor& from) {
  int error = 0;
  write_at(open.fd.get(), offset, length, from, &error);
  // Only after the write: a sync that ran in between would have taken the mark without covering all the bytes.
  mark_unsynced(file);
  if (error == ENOSPC || error == EDQUOT) {
    const std::lock_guard lock(mutex_);
    return tl::unexpected(full());
  }
  if (error != 0) return tl::unexpected(system_error("write", shown(file), error));
  begin_writeback(open, length);
  return {};
}

Result<void> TorrentFiles::sync() {
  const std::lock_guard lock(sync_mutex_);
  return sync_written();
}

bool TorrentFiles::one_sync_is_enough() {
  if (!one_sync_is_enough_) one_sync_is_enough_ = tree_.base() && syncfs_is_enough(tree_.base().get());
  return *one_sync_is_enough_;
}

Result<void> TorrentFiles::sync_written() {
  std::vector<FileIndex> files;
  std::vector<Open> open_ones;  // nobody closes these before they are synced
  bool whole_file_system = false, nothing_else = false;
  {
    const std::lock_guard lock(mutex_);
    if (sync_error_) return tl::unexpected(*sync_error_);
    files.swap(unsynced_list_);
    // A file that was closed may have lost its error with its inode; the file system itself remembers it for as long as
    // the save folder is open (Linux 5.8).
    const bool many = files.size() >= many_files;
    whole_file_system = std::exchange(unsynced_closed_, false) || many;
    nothing_else = many && one_sync_is_enough();
    for (const FileIndex file : files) {
      unsynced_[number(file)] = false;
      if (!nothing_else) open_ones.push_back(find_open(file));
    }
    if (nothing_else) tree_.forget_unsynced_folders();
  }
  if (whole_file_system) {
    auto synced = sync_file_system();
    if (!synced || nothing_else) return synced;
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto open = open_ones[i] ? Result<Open>(std::move(open_ones[i])) : to_read(files[i]);
    if (!open) return stick(std::move(open.error()));
    const int error = *open ? sync_file(**open) : ENOENT;
    if (error != 0) return stick_sync_of(files[i], error);
  }
  const Opening opening(*this);
  if (const int error = files.empty() ? 0 : tree_.sync_folders()) {
    sync_error_ = system_error("sync the folder of", tree_.part_path(), error);
    return tl::unexpected(*sync_error_);
  }
  return {};
}

Result<void> TorrentFiles::complete() {
  const std::lock_guard sync_lock(sync_mutex_);
  const bool many = info_->files.size() >= many_files;
  bool nothing_else = false;
  {
    const Opening opening(*this);
    if (sync_error_) return tl::unexpected(*sync_error_);
    tree_.look_afresh();
    if (has_names()) return check_lengths();
    nothing_else = many && one_sync_is_enough();
  }
  // Every file, not only those that this process wrote: one that was killed may have left data that was never synced.
  for (std::uint32_t i = 0; i < info_->files.size(); ++i) {
    if (info_->files[i].pad || !is_chosen(FileIndex{i})) continue;
    if (auto done = complete_file(FileIndex{i}); !done) return done;
  }
  if (many) {
    if (nothing_else) {
      const std::lock_guard lock(mutex_);
      tree_.forget_unsynced_folders();
      folders_synced_ = true;
    }
    if (auto synced = sync_file_system(); !synced) return synced;
  }
  for (std::uint32_t i = 0; i < info_->files.size() && !nothing_else; ++i) {
    if (info_->files[i].pad || !is_chosen(FileIndex{i})) continue;
    if (auto done = sync_completed(FileIndex{i}); !done) return done;
  }
  // Open from here on, for it is about to lose its name.
  if (const auto aside = to_read(side_file()); !aside) return tl::unexpected(aside.error());
  return {};
}

Result<std::string> TorrentFiles::give_names() {
  const std::lock_guard sync_lock(sync_mutex_);
  {
    const Opening opening(*this);
    if (has_names()) return target_path();
  }
  if (auto synced = sync_written(); !synced) return tl::unexpected(std::move(synced.error()));
  const Opening opening(*this);
  if (!tree_.part_exists()) return target_path();  // every file had its name already
  if (const int error = tree_.sync_folders(!folders_synced_)) {
    sync_error_ = system_error("sync the folder of", tree_.part_path(), error);
    return tl::unexpected(*sync_error_);
  }
  if (const int error = tree_.move_to_target()) {
    if (error == EEXIST) return tl::unexpected(exists());
    return tl::unexpected(system_error("rename", tree_.part_path(), error));
  }
  open_files_.clear([](FileIndex) {});  // those were open for writing
  may_write_ = false;
  return target_path();
}

/// Makes one file of the .part what it shall be when it has its name, but for its being durable.
Result<void> TorrentFiles::complete_file(FileIndex file) {
  {
    const Opening opening(*this);
    struct stat by_name {};
    Place found = Place::nothing;
    const int error = look(file, &by_name, &found);
    const bool missing = error == ENOENT || error == ENOTDIR || error == ELOOP;
    if (error != 0 && !missing && error != EMFILE && error != ENFILE) {  // with these it cannot be told
      return tl::unexpected(system_error("look at", tree_.shown(file), error));
    }
    if (written_[number(file)] && (missing || (error == 0 && is_replaced(file, by_name)))) {
      return fail(Exit::integrity, "changed",
                  fmt::format("{} was removed or replaced during the download", printable(tree_.shown(file))),
                  "the same command fetches again what is missing");
    }
    if (error == 0 && S_ISREG(by_name.st_mode)) {
      const bool long_enough = static_cast<std::uint64_t>(by_name.st_size) == length(file);
      // One with a name was hashed; but its digests do not tell whether it is longer than it should be.
      if (found == Place::target) return long_enough ? Result<void>() : tl::unexpected(exists());
      if (long_enough && !info_->files[number(file)].executable) return {};
    }
  }
  return set_length_and_mode(file);
}

Result<void> TorrentFiles::set_length_and_mode(FileIndex file) {
  auto open = to_write(file);
  if (!open) return tl::unexpected(std::move(open.error()));
  const int fd = (*open)->fd.get();
  struct stat st {};
  if (::fstat(fd, &st) != 0) return tl::unexpected(system_error("read", shown(file), errno));
  const bool long_enough = static_cast<std::uint64_t>(st.st_size) == length(file);
  if ((*open)->named) return long_enough ? Result<void>() : tl::unexpected(exists());
  if (!long_enough && ::ftruncate(fd, static_cast<off_t>(length(file))) != 0) {
    return tl::unexpected(system_error("set the length of", shown(file), errno));
  }
  // Whoever may read it may run it, as far as the umask let them read. vfat and its like cannot say so: no reason to
  // fail.
  if (info_->files[number(file)].executable) (void)::fchmod(fd, (st.st_mode | (st.st_mode & 0444) >> 2) & 07777);
  return {};
}

/// Makes one file of the .part durable, and its mode.
Result<void> TorrentFiles::sync_completed(FileIndex file) {
  auto open = to_write(file);
  if (!open) return tl::unexpected(std::move(open.error()));
  if ((*open)->named) return {};
  int error = 0;
  if (info_->files[number(file)].executable && ::fsync((*open)->fd.get()) != 0) error = errno;
  if (error == 0) error = sync_file(**open);
  if (error != 0) return stick_sync_of(file, error);
  return {};
}

/// Has the name gone to another file than the one that was written, as far as that can be told? What was verified must
/// be what gets the final name.
bool TorrentFiles::is_replaced(FileIndex file, const struct stat& by_name) {
  struct stat by_descriptor {};
  const auto held = open_files_.find(file);
  if (!held || ::fstat(held->fd.get(), &by_descriptor) != 0) return false;
  return by_name.st_ino != by_descriptor.st_ino || by_name.st_dev != by_descriptor.st_dev;
}

/// A finished download that is found again: its digests do not tell whether a file is longer than it should be.
Result<void> TorrentFiles::check_lengths() {
  for (std::uint32_t i = 0; i < info_->files.size(); ++i) {
    if (info_->files[i].pad) continue;
    struct stat st {};
    if (look(FileIndex{i}, &st) != 0 || !S_ISREG(st.st_mode) ||
        static_cast<std::uint64_t>(st.st_size) != length(FileIndex{i})) {
      return tl::unexpected(options_.writable ? exists() : changed_error(FileIndex{i}));
    }
  }
  return {};
}

Result<void> TorrentFiles::check_space() {
  const Opening opening(*this);
  const Descriptor& base = tree_.base();
  if (!base) return tl::unexpected(system_error("open the folder of", tree_.target_path(), errno));
  if (has_names()) return {};
  struct statvfs fs {};
  if (::fstatvfs(base.get(), &fs) != 0 || fs.f_blocks == 0) return {};  // a tmpfs without a limit says 0
  const std::uint64_t needed = bytes_needed();
  if (needed <= std::uint64_t{fs.f_bavail} * fs.f_frsize) return {};
  return tl::unexpected(disk_full(base.get(), needed, "make room there, or choose another folder with -d"));
}

Result<FileStamp> TorrentFiles::stamp(FileIndex file) {
  const Opening opening(*this);
  struct stat st {};
  const int error = look(file, &st);
  if (error == ENOENT || error == ENOTDIR || error == ELOOP) return FileStamp{};
  if (error != 0) return tl::unexpected(system_error("look at", tree_.shown(file), error));
  if (!S_ISREG(st.st_mode)) return FileStamp{};
  return FileStamp{static_cast<std::uint64_t>(st.st_size), mtime_ns(st), st.st_ino};
}

}  // namespace swarm::disk
