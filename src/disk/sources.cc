#include "disk/sources.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/text.hh"
#include "disk/beneath.hh"
#include "disk/descriptor.hh"
#include "disk/disk_error.hh"

namespace swarm::disk {
namespace {

constexpr auto settle_max = std::chrono::milliseconds(2100);

struct FoundFile {
  std::string path;  ///< relative to the top folder
  FileStamp stamp;
  bool executable = false;
};

FileStamp stamp_of(const struct stat& s) {
  return {static_cast<std::uint64_t>(s.st_size), std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec,
          s.st_ino};
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

/// Adds the files of one folder (`path`, relative to `root`; "" is root itself) to `files`, and its folders to
/// `folders`. Gives 0 or errno, and then in `path` what it was about.
int list_folder(int root, std::string& path, std::vector<FoundFile>& files, std::vector<std::string>& folders) {
  Descriptor fd = open_beneath(root, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY);
  if (!fd) return errno == ELOOP || errno == ENOENT ? 0 : errno;  // it went, or became a link, since its name was read
  const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)));
  if (!dir) return errno;
  const std::string prefix = path.empty() ? path : path + '/';
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) return errno;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat s {};
    if (::fstatat(fd.get(), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      path = prefix + entry->d_name;
      return errno;
    }
    if (S_ISDIR(s.st_mode)) folders.push_back(prefix + entry->d_name);
    if (!S_ISREG(s.st_mode)) continue;
    // One's own file is readable if its mode says so; else groups and lists of access count, and the kernel is asked.
    const bool mine = s.st_uid == ::geteuid() && (s.st_mode & S_IRUSR) != 0;
    if (!mine && ::faccessat(fd.get(), entry->d_name, R_OK, AT_EACCESS) != 0) {
      path = prefix + entry->d_name;
      return errno;
    }
    files.push_back({prefix + entry->d_name, stamp_of(s), (s.st_mode & S_IXUSR) != 0});
  }
}

std::string real_path(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return {};
  std::string out = real;
  ::free(real);
  return out;
}

/// The last element as the person wrote it, but for ".", ".." and "/", which name nothing.
std::string name_of(std::string path, const std::string& absolute) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string name = split_path(path).second;
  if (name.empty() || name == "." || name == "..") name = split_path(absolute).second;
  return name.empty() ? "root" : name;
}

std::vector<std::string> elements_of(const std::string& path) {
  const std::vector<std::string_view> parts = split(path, '/');
  return {parts.begin(), parts.end()};
}

Result<void> scan_folder(Source& source) {
  const Descriptor root(::open(source.absolute.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return tl::unexpected(system_error("read", source.path, errno));
  std::vector<FoundFile> files;
  std::vector<std::string> folders = {
      ""};  // still to be listed; not a recursion, for a tree may be deeper than a stack
  while (!folders.empty()) {
    std::string path = std::move(folders.back());
    folders.pop_back();
    if (const int error = list_folder(root.get(), path, files, folders)) {
      return tl::unexpected(system_error("read", path.empty() ? source.path : source.path + '/' + path, error));
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  for (const FoundFile& file : files) {
    source.files.push_back(
        {.path = elements_of(file.path), .length = file.stamp.bytes, .pad = false, .executable = file.executable});
    source.stamps.push_back(file.stamp);
    source.bytes_total += file.stamp.bytes;
  }
  return {};
}

}  // namespace

Result<Source> scan(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) return tl::unexpected(system_error("read", path, errno));
    return fail(Exit::not_found, "not_found", fmt::format("{} does not exist", printable(path)));
  }
  Source source;
  source.path = path;
  source.absolute = real_path(path);
  if (source.absolute.empty()) return tl::unexpected(system_error("read", path, errno));
  source.name = name_of(path, source.absolute);
  source.folder = S_ISDIR(s.st_mode);
  if (source.folder) {
    if (auto done = scan_folder(source); !done) return tl::unexpected(std::move(done.error()));
  } else if (S_ISREG(s.st_mode)) {
    if (::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) {
      return tl::unexpected(system_error("read", path, errno));
    }
    source.bytes_total = static_cast<std::uint64_t>(s.st_size);
    source.files.push_back(
        {.path = {source.name}, .length = source.bytes_total, .pad = false, .executable = (s.st_mode & S_IXUSR) != 0});
    source.stamps.push_back(stamp_of(s));
  } else {
    return fail(Exit::usage, "not_a_file", fmt::format("{} is neither a file nor a folder", printable(path)));
  }
  if (source.bytes_total == 0) {
    return fail(Exit::usage, "empty",
                fmt::format("{} {}", printable(path), source.folder ? "has no file with anything in it" : "is empty"));
  }
  settle(source.stamps, settle_max);
  return source;
}

}  // namespace swarm::disk
