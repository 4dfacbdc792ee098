#include "disk/beneath.hh"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace swarm::disk {
namespace {

constexpr std::size_t path_bytes_max = 4000;  ///< less than PATH_MAX; a longer path is opened in several steps
constexpr int folder_only = O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;

/// openat2 refuses O_PATH with flags that mean nothing to it.
int with_usual(int flags) {
  return flags | O_CLOEXEC | O_NOFOLLOW | ((flags & O_PATH) != 0 ? 0 : O_NONBLOCK | O_NOCTTY);
}

/// "a/b" and "./a" may be opened, "/a", "a/../b" and "" not. The kernel would let ".." through where it stays beneath;
/// a torrent's paths never hold one.
bool stays_beneath(std::string_view path) {
  if (path.empty() || path.front() == '/') return false;
  while (true) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

int open_by_kernel(int folder, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; ++tries) {
    const auto fd = static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how));
    // EAGAIN: something was renamed while the kernel walked, so that it could not be sure.
    if (fd >= 0 || (errno != EINTR && !(errno == EAGAIN && tries < 100))) return fd;
  }
}

int open_one(int folder, const char* name, int flags, mode_t mode) {
  while (true) {
    const int fd = ::openat(folder, name, flags, mode);
    if (fd >= 0 || errno != EINTR) return fd;
  }
}

/// Is `name` in `folder` (or, when it is "", the O_PATH descriptor itself) a symbolic link?
bool is_link(int folder, const char* name) {
  char one = 0;
  return ::readlinkat(folder, name, &one, 1) >= 0;
}

int open_by_walk(int folder, std::string_view path, int flags, mode_t mode) {
  Descriptor at;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string name(path.substr(0, slash));
    const int from = at ? at.get() : folder;
    if (slash == std::string_view::npos) return open_one(from, name.c_str(), flags, mode);
    path.remove_prefix(slash + 1);
    if (name.empty()) continue;
    Descriptor next(open_one(from, name.c_str(), folder_only, 0));
    if (!next) {  // O_DIRECTORY answers ENOTDIR for a link too
      if (errno == ENOTDIR) errno = is_link(from, name.c_str()) ? ELOOP : ENOTDIR;
      return -1;
    }
    at = std::move(next);
  }
}

int open_step(int folder, const std::string& path, int flags, mode_t mode, Resolve resolve) {
  if (resolve == Resolve::by_kernel) {
    const int fd = open_by_kernel(folder, path, flags, mode);
    // ENOSYS: an older kernel. EPERM: a container's filter, or a true refusal, which the walk then meets again.
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
  }
  return open_by_walk(folder, path, flags, mode);
}

}  // namespace

Descriptor open_beneath(int folder, const std::string& path, int flags, mode_t mode, Resolve resolve) {
  if (!stays_beneath(path)) {
    errno = EXDEV;
    return {};
  }
  Descriptor at;
  std::size_t done = 0;
  while (path.size() - done > path_bytes_max) {
    const std::size_t slash = path.rfind('/', done + path_bytes_max);
    if (slash == std::string::npos || slash <= done) {
      errno = ENAMETOOLONG;
      return {};
    }
    Descriptor next(open_step(at ? at.get() : folder, path.substr(done, slash - done), folder_only, 0, resolve));
    if (!next) return {};
    at = std::move(next);
    done = slash + 1;
  }
  flags = with_usual(flags);
  Descriptor last(open_step(at ? at.get() : folder, path.substr(done), flags, mode, resolve));
  // With O_PATH a link at the end opens as itself instead of failing; with O_DIRECTORY it is no folder.
  if (!last && errno == ENOTDIR && (flags & O_DIRECTORY) != 0) {
    const Descriptor other = open_beneath(folder, path, O_PATH, 0, resolve);
    if (other) errno = ENOTDIR;
  } else if (last && (flags & O_PATH) != 0 && is_link(last.get(), "")) {
    errno = ELOOP;
    return {};
  }
  return last;
}

}  // namespace swarm::disk
