#include "disk/disk_error.hh"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "base/text.hh"
#include "disk/descriptor.hh"

namespace swarm::disk {

Error system_error(std::string_view doing, std::string_view path, int error) {
  std::string code = "disk_error";
  std::string hint;
  std::string reason = std::error_code(error, std::generic_category()).message();
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      code = "permission";
      break;
    case ELOOP:
      code = "symlink";
      reason = "it is a symbolic link, or lies behind one";
      hint = "inside a download links are never followed; remove the link";
      break;
    case EMFILE:
    case ENFILE:
      code = "too_many_files";
      hint = "raise the limit of open files (ulimit -n)";
      break;
    case EFBIG:
      code = "file_too_big";
      hint = "this file system, or a limit (ulimit -f), does not take files of this size";
      break;
    default:
      break;
  }
  return {Exit::disk, std::move(code), fmt::format("cannot {} {}: {}", doing, printable(path), reason),
          std::move(hint)};
}

Error disk_full(int folder, std::uint64_t bytes_needed, std::string hint) {
  struct statvfs fs {};
  const std::uint64_t free = ::fstatvfs(folder, &fs) == 0 ? std::uint64_t{fs.f_bavail} * fs.f_frsize : 0;
  std::string message = free < bytes_needed ? fmt::format("needs {}, {} has {} free", size_text(bytes_needed),
                                                          printable(mount_point(folder)), size_text(free))
                                            : fmt::format("needs {}, no room on {} (a quota?)", size_text(bytes_needed),
                                                          printable(mount_point(folder)));
  return {Exit::disk, "disk_full", std::move(message), std::move(hint)};
}

Error exists_error(std::string_view path) {
  return {Exit::disk, "exists", fmt::format("{} exists and is different", printable(path)),
          "use --overwrite, --rename or -o"};
}

std::string mount_point(int folder) {
  std::array<char, 4096> buffer;
  const ssize_t n = ::readlink(fmt::format("/proc/self/fd/{}", folder).c_str(), buffer.data(), buffer.size());
  if (n <= 0 || buffer[0] != '/') return "the disk";
  std::string path(buffer.data(), static_cast<std::size_t>(n));
  struct stat here {};
  if (::stat(path.c_str(), &here) != 0) return "the disk";
  while (path != "/") {
    std::string parent = split_path(path).first;
    struct stat above {};
    if (::stat(parent.c_str(), &above) != 0 || above.st_dev != here.st_dev) break;
    path = std::move(parent);
  }
  return path;
}

}  // namespace swarm::disk
