#include "disk/tree.hh"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <string_view>
#include <utility>

#include "disk/beneath.hh"
#include "disk/safe_path.hh"

namespace swarm::disk {
namespace {

constexpr const char* base_key = "/";  ///< stands for the save folder among the folders to sync

bool exists(int folder, const std::string& name) {
  struct stat s {};
  return ::fstatat(folder, name.c_str(), &s, AT_SYMLINK_NOFOLLOW) == 0;
}

std::string without_end_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

/// The folder of a relative path; "" for the top.
std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

/// A file's path as the torrent has it, when every element is a name that a folder can hold; else "".
std::string raw_path(const wire::FileEntry& file) {
  std::string path;
  for (const std::string& element : file.path) {
    if (element.empty() || element == "." || element == ".." || element.find('/') != std::string::npos ||
        element.find('\0') != std::string::npos) {
      return {};
    }
    if (!path.empty()) path += '/';
    path += element;
  }
  return path;
}

int sync_folder(const Descriptor& folder) {
  if (!folder) return errno;
  // Some file systems cannot sync a folder and say so; there is nothing that could be done about it.
  return ::fsync(folder.get()) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : errno;
}

}  // namespace

Tree::Tree(const wire::Metainfo& info, std::string target, const StorageOptions& options)
    : info_(info),
      target_(without_end_slashes(std::move(target))),
      part_(beside(target_, ".part")),
      writable_(options.writable),
      replace_(options.replace),
      chosen_(options.files),
      paths_(safe_paths(info)) {
  paths_.push_back('.' + to_hex(info.info_hash) + ".aside");
}

std::string Tree::shown(FileIndex file) const {
  const std::string& top = place_ == Place::part ? part_ : target_;
  if (!info_.folder) return top;
  const std::string& path = paths_[number(file)];
  return path.empty() ? top : top + '/' + path;
}

void Tree::decide() {
  if (decided_) return open_base();
  std::string path = target_;
  if (!writable_) {
    // A person may name a seed's file through links; from here on it is the file itself that counts.
    if (char* real = ::realpath(target_.c_str(), nullptr)) {
      path = real;
      ::free(real);
    }
  }
  auto [folder, name] = split_path(path);
  base_path_ = std::move(folder);
  open_base();
  target_name_ = std::move(name);
  part_name_ = split_path(part_).second;
  if (!base_) return;  // looked for again at the next call
  decided_ = true;
  const bool part = writable_ && exists(base_.get(), part_name_);
  if (part) {
    place_ = Place::part;
  } else if (!(writable_ && replace_) && exists(base_.get(), target_name_)) {
    place_ = Place::target;
  }
}

void Tree::open_base() {
  if (base_) return;
  base_ = Descriptor(::open(base_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  base_error_ = base_ ? 0 : errno;
}

std::size_t Tree::held() const {
  const Descriptor* const all[] = {&base_, &part_root_, &target_root_, &inner_part_.fd, &inner_target_.fd};
  return static_cast<std::size_t>(std::count_if(std::begin(all), std::end(all), [](auto* fd) { return bool(*fd); }));
}

void Tree::let_go() {
  look_afresh();
  if (!writable_) base_ = {};
}

void Tree::look_afresh() {
  inner_part_ = {};
  inner_target_ = {};
  no_target_folder_ = false;
  if (!writable_) target_root_ = {};
}

Place Tree::place() {
  decide();
  return place_;
}

bool Tree::at_target() { return place() == Place::target || !writable_; }

const Descriptor& Tree::base() {
  decide();
  errno = base_error_;
  return base_;
}

bool Tree::target_exists() {
  decide();
  return base_ && exists(base_.get(), target_name_);
}

int Tree::open_part_root() {
  if (part_root_) return 0;
  part_root_ = open_beneath(base_.get(), part_name_, O_PATH | O_DIRECTORY);
  return part_root_ ? 0 : errno;
}

int Tree::open_target_root() {
  if (target_root_) return 0;
  if (no_target_folder_) return ENOENT;
  target_root_ = open_beneath(base_.get(), target_name_, O_PATH | O_DIRECTORY);
  if (target_root_) return 0;
  no_target_folder_ = writable_ && errno == ENOENT;  // a download asks for each file, a seed only for what it has
  return errno;
}

bool Tree::merges() {
  if (!writable_ || replace_ || !info_.folder || !base()) return false;
  if (merges_) return *merges_;
  if (open_target_root() != 0) return false;  // it may still come
  // Whoever chooses files says where they go. Else a folder that has none of ours is somebody's who likes the same name.
  merges_ = !chosen_.empty();
  for (std::size_t i = 0; i < info_.files.size() && !*merges_; ++i) {
    struct stat s {};
    if (info_.files[i].length == 0 || info_.files[i].pad) continue;
    merges_ = stat_below(target_root_, inner_target_, paths_[i], &s) == 0 && S_ISREG(s.st_mode) &&
              static_cast<std::uint64_t>(s.st_size) == info_.files[i].length;
  }
  return *merges_;
}

Descriptor Tree::open(FileIndex file, int flags, Place* found) {
  if (!base()) return {};
  if (!info_.folder) {
    if (found != nullptr) *found = place_ == Place::part ? Place::part : Place::target;
    return open_beneath(base_.get(), top(), flags);
  }
  Descriptor fd;
  Place place = Place::nothing;
  const int error = find(file, &place, [&](const Descriptor& root, Inner& inner, const std::string& path) {
    const bool read_only = writable_ && place == Place::target;
    fd = open_below(root, inner, path, read_only ? (flags & ~O_ACCMODE) | O_RDONLY : flags);
    return fd ? 0 : errno;
  });
  if (found != nullptr) *found = place;
  errno = error;
  return fd;
}

int Tree::look(FileIndex file, struct stat* s, Place* found) {
  if (decided_ && !base_ && !writable_ && !info_.folder) {  // a thousand idle seeds are looked at without a descriptor
    if (found != nullptr) *found = Place::target;
    const std::string path = base_path_ + '/' + target_name_;
    if (::fstatat(AT_FDCWD, path.c_str(), s, AT_SYMLINK_NOFOLLOW) != 0) return errno;
    return S_ISLNK(s->st_mode) ? ELOOP : 0;
  }
  if (!base()) return errno;
  if (!info_.folder) {
    if (found != nullptr) *found = place_ == Place::part ? Place::part : Place::target;
    if (::fstatat(base_.get(), top().c_str(), s, AT_SYMLINK_NOFOLLOW) != 0) return errno;
    return S_ISLNK(s->st_mode) ? ELOOP : 0;
  }
  Place place = Place::nothing;
  const int error = find(file, &place, [&](const Descriptor& root, Inner& inner, const std::string& path) {
    return stat_below(root, inner, path, s);
  });
  if (found != nullptr) *found = place;
  return error;
}

/// Calls at(top folder, its inner folder, path below it) for each place where a file of a folder may be, until it gives
/// something else than ENOENT; gives what it gave last. `found` is set before.
template <class At>
int Tree::find(FileIndex file, Place* found, At at) {
  *found = place_ == Place::part ? Place::part : Place::target;
  if (writable_ && place_ != Place::target) {
    const int error = in_part(file, at);
    if (error != ENOENT || !merges()) return error;
  }
  if (file == aside()) return ENOENT;  // never at a target
  *found = Place::target;
  return at_target(file, at);
}

template <class At>
int Tree::in_part(FileIndex file, At at) {
  if (place_ != Place::part) return ENOENT;
  if (const int error = open_part_root()) return error;
  return at(part_root_, inner_part_, paths_[number(file)]);
}

template <class At>
int Tree::at_target(FileIndex file, At at) {
  if (const int error = open_target_root()) return error;
  if (!writable_) {
    const std::string raw = raw_path(info_.files[number(file)]);
    if (!raw.empty()) {
      const int error = at(target_root_, inner_target_, raw);
      if ((error != ENOENT && error != ENAMETOOLONG) || raw == paths_[number(file)]) return error;
    }
  }
  return at(target_root_, inner_target_, paths_[number(file)]);
}

/// Opens the folder of a path, if it is another than the last one's; 0 or errno. `path` has a slash.
int Tree::enter(const Descriptor& root, Inner& inner, const std::string& path) {
  const std::string_view folder = std::string_view(path).substr(0, path.rfind('/'));
  if (inner.fd && inner.path == folder) return 0;
  inner = {};
  Descriptor fd = open_beneath(root.get(), std::string(folder), O_PATH | O_DIRECTORY);
  if (!fd) return errno;
  inner = {std::string(folder), std::move(fd)};
  return 0;
}

Descriptor Tree::open_below(const Descriptor& root, Inner& inner, const std::string& path, int flags, mode_t mode) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return open_beneath(root.get(), path, flags, mode);
  if (const int error = enter(root, inner, path)) {
    errno = error;
    return {};
  }
  return open_beneath(inner.fd.get(), path.substr(slash + 1), flags, mode);
}

int Tree::stat_below(const Descriptor& root, Inner& inner, const std::string& path, struct stat* s) {
  const std::size_t slash = path.rfind('/');
  if (slash != std::string::npos) {
    if (const int error = enter(root, inner, path)) return error;
  }
  const int folder = slash == std::string::npos ? root.get() : inner.fd.get();
  const char* const name = path.c_str() + (slash == std::string::npos ? 0 : slash + 1);
  if (::fstatat(folder, name, s, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  return S_ISLNK(s->st_mode) ? ELOOP : 0;
}

Descriptor Tree::open_in_part(FileIndex file, int flags) {
  Descriptor fd;
  errno = in_part(file, [&](const Descriptor& root, Inner& inner, const std::string& path) {
    fd = open_below(root, inner, path, flags);
    return fd ? 0 : errno;
  });
  return fd;
}

Tree::Created Tree::create(FileIndex file, bool likely_new) {
  if (!base()) return {};
  if (!info_.folder) {
    Descriptor there = open_beneath(base_.get(), part_name_, O_RDWR);
    if (there || errno != ENOENT) return {std::move(there)};
    return {make_in_part(file), Place::part, true};
  }
  const auto joins = [&] { return file != aside() && merges(); };
  if (likely_new && place_ == Place::part && !joins()) {
    if (Descriptor made = make_in_part(file)) return {std::move(made), Place::part, true};
  }
  Descriptor there = open_in_part(file, O_RDWR);
  if (there || errno != ENOENT) return {std::move(there)};
  if (joins()) {
    const auto at_name = [&](const Descriptor& root, Inner& inner, const std::string& path) {
      there = open_below(root, inner, path, O_RDONLY);
      return there ? 0 : errno;
    };
    errno = at_target(file, at_name);
    if (there || (errno != ENOENT && errno != ENOTDIR)) return {std::move(there), Place::target};
  }
  return {make_in_part(file), Place::part, true};
}

Descriptor Tree::make_in_part(FileIndex file) {
  constexpr int make = O_RDWR | O_CREAT | O_EXCL;
  if (!info_.folder) {
    Descriptor made = open_beneath(base_.get(), part_name_, make, 0666);
    if (made) {
      place_ = Place::part;
      unsynced_folders_.insert(base_key);
    }
    return made;
  }
  if (place_ != Place::part) {
    if (::mkdirat(base_.get(), part_name_.c_str(), 0777) != 0 && errno != EEXIST) return {};
    place_ = Place::part;
    part_root_ = {};
    inner_part_ = {};
    unsynced_folders_.insert(base_key);
  }
  if (const int error = open_part_root()) {
    errno = error;
    return {};
  }
  const std::string& path = paths_[number(file)];
  Descriptor made = open_below(part_root_, inner_part_, path, make, 0666);
  if (!made && errno == ENOENT) {
    inner_part_ = {};  // it may be one that was removed
    if (const int error = make_folder_of(part_root_.get(), path, true)) {
      errno = error;
      return {};
    }
    made = open_below(part_root_, inner_part_, path, make, 0666);
  }
  if (made) unsynced_folders_.insert(folder_of(path));
  return made;
}

/// Makes the folders above a path, top down. `note`: they are to be synced.
int Tree::make_folder_of(int root, const std::string& path, bool note) {
  const std::string folder = folder_of(path);
  if (folder.empty() || open_beneath(root, folder, O_PATH | O_DIRECTORY)) return 0;
  if (errno != ENOENT) return errno;
  Descriptor at;
  for (std::size_t start = 0; start < folder.size();) {
    const std::size_t end = std::min(folder.find('/', start), folder.size());
    const std::string name = folder.substr(start, end - start);
    const int in = at ? at.get() : root;
    if (::mkdirat(in, name.c_str(), 0777) == 0) {
      if (note) unsynced_folders_.insert(start == 0 ? std::string() : folder.substr(0, start - 1));
    } else if (errno != EEXIST) {
      return errno;
    }
    Descriptor next = open_beneath(in, name, O_PATH | O_DIRECTORY);
    if (!next) return errno;
    at = std::move(next);
    start = end + 1;
  }
  return 0;
}

int Tree::sync_folders(bool all) {
  if (!base()) return errno;
  std::set<std::string> folders;
  folders.swap(unsynced_folders_);
  const std::set<std::string> changed = folders;
  if (all) {
    folders.insert(base_key);
    if (info_.folder) folders.insert("");
    for (std::size_t i = 0; i < info_.files.size(); ++i) {
      if (!is_chosen(i)) continue;
      for (std::string folder = folder_of(paths_[i]); !folder.empty(); folder = folder_of(folder)) {
        if (!folders.insert(folder).second) break;  // the ones above it are there already
      }
    }
  }
  for (const std::string& folder : folders) {
    int error = 0;
    if (folder == base_key) {
      error = sync_folder(base_);
    } else if (const int opening = open_root()) {
      error = opening;
    } else {
      error = sync_folder(open_beneath(root().get(), folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY));
      // The files of a folder that was never made stand at the target.
      if (error == ENOENT && !changed.contains(folder) && merges()) error = 0;
    }
    if (error != 0) return error;
  }
  return 0;
}

int Tree::move_to_target() {
  if (!base()) return errno;
  look_afresh();
  const int error = info_.folder ? move_folder() : rename_file();
  return error == ENOTEMPTY || error == EISDIR || error == ENOTDIR ? EEXIST : error;
}

int Tree::rename_file() {
  const int base = base_.get();
  const bool done = replace_ && ::renameat(base, part_name_.c_str(), base, target_name_.c_str()) == 0;
  if (const int error = done ? 0 : replace_ ? errno : rename_whole()) return error;
  place_ = Place::target;
  unsynced_folders_.insert(base_key);
  return sync_folders();
}

/// In one step where all of the folder is wanted and its name is free, so that a folder of this name is whole.
int Tree::move_folder() {
  const int base = base_.get();
  if (chosen_.empty() && !exists(base, target_name_)) {
    remove_aside();  // left by a run that chose less; of no use to anybody now that everything is there
    const int error = rename_whole();
    if (error == 0) {
      target_root_ = std::move(part_root_);
      part_root_ = {};
      no_target_folder_ = false;
      merges_ = !replace_;
      place_ = Place::target;
      unsynced_folders_.insert(base_key);
      return sync_folders();
    }
    if (error != EEXIST) return error;
  }
  return replace_ || !exists(base, target_name_) || merges() ? move_files() : EEXIST;
}

/// Renames without ever replacing anything.
int Tree::rename_whole() {
  const int base = base_.get();
  const char* from = part_name_.c_str();
  const char* to = target_name_.c_str();
  if (::renameat2(base, from, base, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system that cannot promise it. A hard link cannot replace anything either; without links we look before.
  if (!info_.folder) {
    if (::linkat(base, from, base, to, 0) == 0) return ::unlinkat(base, from, 0) == 0 ? 0 : errno;
    if (errno == EEXIST) return errno;
  }
  if (exists(base, target_name_)) return EEXIST;
  return ::renameat(base, from, base, to) == 0 ? 0 : errno;
}

bool Tree::is_taken(const std::string& path) {
  return static_cast<bool>(open_beneath(target_root_.get(), path, O_PATH)) || errno != ENOENT;
}

/// Moves each chosen file into a folder that may be there already; what else is there stays. A file of the same name is
/// replaced only when that was asked for; otherwise nothing at all is moved. What lies aside goes last: until then a
/// next run could still use it.
int Tree::move_files() {
  const int base = base_.get();
  if (const int error = open_part_root()) return error;
  std::vector<const std::string*> paths;
  for (std::uint32_t i = 0; i < info_.files.size(); ++i) {
    if (paths_[i].empty() || !is_chosen(i)) continue;
    struct stat s {};
    const auto look = [&](const Descriptor& root, Inner& inner, const std::string& path) {
      return stat_below(root, inner, path, &s);
    };
    if (const int error = in_part(FileIndex{i}, look); error == 0) {
      paths.push_back(&paths_[i]);
    } else if (error != ENOENT) {  // one that is not in the .part has its name already, for the storage looked
      return error;
    }
  }
  if (!paths.empty()) {
    if (::mkdirat(base, target_name_.c_str(), 0777) != 0 && errno != EEXIST) return errno;
    no_target_folder_ = false;
    if (const int error = open_target_root()) return error;
  }
  for (const std::string* path : paths) {
    if (!replace_ && is_taken(*path)) return EEXIST;
  }
  for (const std::string* path : paths) {
    if (const int error = move_file(*path, target_root_.get())) return error;
    for (std::string f = folder_of(*path); !f.empty() && unsynced_folders_.insert(f).second;) f = folder_of(f);
    unsynced_folders_.insert("");
  }
  place_ = Place::target;
  if (!replace_) merges_ = true;
  unsynced_folders_.insert(base_key);
  if (const int error = sync_folders()) return error;
  look_afresh();
  remove_aside();
  remove_folders();
  ::unlinkat(base, part_name_.c_str(), AT_REMOVEDIR);
  part_root_ = {};
  return 0;
}

int Tree::move_file(const std::string& path, int to_root) {
  if (const int error = make_folder_of(to_root, path, false)) return error;
  const std::string folder = folder_of(path).empty() ? "." : folder_of(path);
  const Descriptor from = open_beneath(part_root_.get(), folder, O_PATH | O_DIRECTORY);
  const Descriptor to = open_beneath(to_root, folder, O_PATH | O_DIRECTORY);
  if (!from || !to) return errno;
  const std::string name = split_path(path).second;
  const unsigned flags = replace_ ? 0 : RENAME_NOREPLACE;
  if (::renameat2(from.get(), name.c_str(), to.get(), name.c_str(), flags) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (!replace_ && exists(to.get(), name)) return EEXIST;
  return ::renameat(from.get(), name.c_str(), to.get(), name.c_str()) == 0 ? 0 : errno;
}

void Tree::remove_aside() {
  if (open_part_root() == 0) ::unlinkat(part_root_.get(), paths_[number(aside())].c_str(), 0);
}

/// The empty ones of the .part. Also those that a run left which had moved its files and came no further.
void Tree::remove_folders() {
  std::set<std::string, std::greater<>> folders;  // deepest first: a longer path sorts behind its own beginning
  for (std::size_t i = 0; i < info_.files.size(); ++i) {
    if (!is_chosen(i)) continue;
    for (std::string f = folder_of(paths_[i]); !f.empty() && folders.insert(f).second;) f = folder_of(f);
  }
  for (const std::string& f : folders) {
    const std::string above = folder_of(f);
    const Descriptor folder = open_beneath(part_root_.get(), above.empty() ? "." : above, O_PATH | O_DIRECTORY);
    if (folder) ::unlinkat(folder.get(), split_path(f).second.c_str(), AT_REMOVEDIR);
  }
}

}  // namespace swarm::disk
