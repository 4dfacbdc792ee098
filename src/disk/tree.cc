#include "disk/tree.hh"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>

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
      paths_(safe_paths(info)) {}

std::string Tree::shown(FileIndex file) const {
  const std::string& top = place_ == Place::part ? part_ : target_;
  if (!info_.folder) return top;
  const std::string& path = paths_[number(file)];
  return path.empty() ? top : top + '/' + path;
}

void Tree::decide() {
  if (decided_) return;
  std::string path = target_;
  if (!writable_) {
    // A person may name a seed's file through links; from here on it is the file itself that counts.
    if (char* real = ::realpath(target_.c_str(), nullptr)) {
      path = real;
      ::free(real);
    }
  }
  auto [folder, name] = split_path(path);
  base_ = Descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  base_error_ = base_ ? 0 : errno;
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

int Tree::open_root() {
  if (root_) return 0;
  if (!base()) return errno;
  root_ = open_beneath(base_.get(), top(), O_PATH | O_DIRECTORY);
  return root_ ? 0 : errno;
}

Descriptor Tree::open(FileIndex file, int flags) {
  if (!base()) return {};
  if (!info_.folder) return open_beneath(base_.get(), top(), flags);
  if (const int error = open_root()) {
    errno = error;
    return {};
  }
  if (!writable_) {
    const std::string raw = raw_path(info_.files[number(file)]);
    if (!raw.empty()) {
      Descriptor found = open_beneath(root_.get(), raw, flags);
      if (found || (errno != ENOENT && errno != ENAMETOOLONG) || raw == paths_[number(file)]) return found;
    }
  }
  return open_beneath(root_.get(), paths_[number(file)], flags);
}

Descriptor Tree::create(FileIndex file) {
  Descriptor found = open(file, O_RDWR);
  if (found || errno != ENOENT || !base()) return found;
  constexpr int make = O_RDWR | O_CREAT | O_EXCL;
  if (!info_.folder) {
    Descriptor made = open_beneath(base_.get(), part_name_, make, 0666);
    if (made) {
      place_ = Place::part;
      unsynced_folders_.insert(base_key);
    }
    return made;
  }
  if (!root_) {
    if (::mkdirat(base_.get(), part_name_.c_str(), 0777) != 0 && errno != EEXIST) return {};
    place_ = Place::part;
    unsynced_folders_.insert(base_key);
    if (const int error = open_root()) {
      errno = error;
      return {};
    }
  }
  const std::string& path = paths_[number(file)];
  if (const int error = make_folder_of(root_.get(), path, true)) {
    errno = error;
    return {};
  }
  Descriptor made = open_beneath(root_.get(), path, make, 0666);
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
  if (all) {
    unsynced_folders_.insert(base_key);
    if (info_.folder) unsynced_folders_.insert("");
    for (const std::string& path : paths_) {
      for (std::string folder = folder_of(path); !folder.empty(); folder = folder_of(folder)) {
        if (!unsynced_folders_.insert(folder).second) break;  // the ones above it are there already
      }
    }
  }
  std::set<std::string> folders;
  folders.swap(unsynced_folders_);
  for (const std::string& folder : folders) {
    int error = 0;
    if (folder == base_key) {
      error = sync_folder(base_);
    } else if (const int opening = open_root()) {
      error = opening;
    } else {
      error = sync_folder(open_beneath(root_.get(), folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY));
    }
    if (error != 0) return error;
  }
  return 0;
}

int Tree::move_to_target() {
  if (!base()) return errno;
  const int error = rename_to_target();
  if (error != 0) return error == ENOTEMPTY || error == EISDIR || error == ENOTDIR ? EEXIST : error;
  place_ = Place::target;
  unsynced_folders_.insert(base_key);
  return sync_folders();
}

int Tree::rename_to_target() {
  const int base = base_.get();
  const char* from = part_name_.c_str();
  const char* to = target_name_.c_str();
  if (replace_ && info_.folder && exists(base, target_name_)) return overlay();
  if (replace_) return ::renameat(base, from, base, to) == 0 ? 0 : errno;
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

/// Moves each file into a folder that is there already, in the place of one of the same name; what else is there stays.
int Tree::overlay() {
  Descriptor to = open_beneath(base_.get(), target_name_, O_PATH | O_DIRECTORY);
  if (!to) return errno;
  if (const int error = open_root()) return error;
  std::set<std::string, std::greater<>> emptied;  // deepest first: a longer path sorts behind its own beginning
  std::set<std::string> filled;
  for (const std::string& path : paths_) {
    if (path.empty()) continue;
    if (const int error = make_folder_of(to.get(), path, false)) return error;
    const std::string folder = folder_of(path);
    const Descriptor from_folder = open_beneath(root_.get(), folder.empty() ? "." : folder, O_PATH | O_DIRECTORY);
    const Descriptor to_folder = open_beneath(to.get(), folder.empty() ? "." : folder, O_PATH | O_DIRECTORY);
    if (!from_folder || !to_folder) return errno;
    const std::string name = split_path(path).second;
    if (::renameat(from_folder.get(), name.c_str(), to_folder.get(), name.c_str()) != 0) return errno;
    for (std::string f = folder; !f.empty() && emptied.insert(f).second; f = folder_of(f)) filled.insert(f);
  }
  for (const std::string& f : emptied) {
    const std::string above = folder_of(f);
    const Descriptor folder = open_beneath(root_.get(), above.empty() ? "." : above, O_PATH | O_DIRECTORY);
    if (folder) ::unlinkat(folder.get(), split_path(f).second.c_str(), AT_REMOVEDIR);
  }
  ::unlinkat(base_.get(), part_name_.c_str(), AT_REMOVEDIR);
  root_ = std::move(to);
  filled.insert("");
  unsynced_folders_.merge(filled);
  return 0;
}

}  // namespace swarm::disk
