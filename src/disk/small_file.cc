#include "disk/small_file.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/bytes.hh"
#include "base/text.hh"
#include "disk/descriptor.hh"
#include "disk/disk_error.hh"

namespace swarm::disk {
namespace {

int write_and_sync(int fd, std::string_view text) {
  const iovec from{const_cast<char*>(text.data()), text.size()};
  IovCursor cursor({&from, 1});
  int error = 0;
  write_at(fd, 0, text.size(), cursor, &error);
  if (error != 0) return error;
  return ::fsync(fd) == 0 ? 0 : errno;
}

}  // namespace

Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode) {
  const auto [folder_path, name] = split_path(path);
  const Descriptor folder(::open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return tl::unexpected(system_error("open the folder of", path, errno));
  const std::string temporary = name + ".tmp";
  ::unlinkat(folder.get(), temporary.c_str(), 0);  // left by one that was killed, or planted
  int error = 0;
  {
    const Descriptor file(
        ::openat(folder.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    error = file ? write_and_sync(file.get(), text) : errno;
  }
  if (error == 0 && ::renameat(folder.get(), temporary.c_str(), folder.get(), name.c_str()) != 0) error = errno;
  if (error == 0) {
    if (::fsync(folder.get()) == 0 || errno == EINVAL || errno == ENOTSUP) return {};
    return tl::unexpected(system_error("sync the folder of", path, errno));
  }
  ::unlinkat(folder.get(), temporary.c_str(), 0);
  if (error == ENOSPC || error == EDQUOT) {
    return tl::unexpected(disk_full(folder.get(), text.size(), "nothing lost, the same command resumes"));
  }
  return tl::unexpected(system_error("write", path, error));
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file && errno == ENOENT)
    return fail(Exit::not_found, "not_found", fmt::format("{} does not exist", printable(path)));
  struct stat s {};
  if (!file || ::fstat(file.get(), &s) != 0) return tl::unexpected(system_error("read", path, errno));
  if (!S_ISREG(s.st_mode) || static_cast<std::uint64_t>(s.st_size) > bytes_max) {
    return fail(Exit::integrity, "damaged", fmt::format("{} is too big, or no file", printable(path)));
  }
  std::string text(static_cast<std::size_t>(s.st_size), '\0');
  const iovec into{text.data(), text.size()};
  IovCursor cursor({&into, 1});
  int error = 0;
  text.resize(static_cast<std::size_t>(read_at(file.get(), 0, text.size(), cursor, &error)));
  if (error != 0) return tl::unexpected(system_error("read", path, error));
  return text;
}

}  // namespace swarm::disk
