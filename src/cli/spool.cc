#include "cli/spool.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "base/text.hh"

namespace swarm::cli {

namespace {

constexpr std::string_view prefix = "swarm-spool-";

std::string folder_of(const Environment& environment) {
  const auto given = environment("TMPDIR");
  return given && given->starts_with('/') ? *given : std::string("/var/tmp");
}

uv::Descriptor locked(const std::string& path) {
  uv::Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder || ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) return {};
  return folder;
}

/// Rule 2: what killed programs left. Whatever cannot be removed is somebody else's affair.
void sweep(const std::string& below, std::chrono::seconds abandoned_after) {
  DIR* folder = ::opendir(below.c_str());
  if (folder == nullptr) return;
  while (const auto* entry = ::readdir(folder)) {
    if (!std::string_view(entry->d_name).starts_with(prefix)) continue;
    const auto path = fmt::format("{}/{}", below, entry->d_name);
    struct stat s {};
    if (::lstat(path.c_str(), &s) != 0 || !S_ISDIR(s.st_mode) || s.st_uid != ::geteuid()) continue;
    if (std::time(nullptr) - s.st_ctime < abandoned_after.count()) continue;  // about to be locked, perhaps
    const auto lock = locked(path);
    std::error_code ignored;
    if (lock) std::filesystem::remove_all(path, ignored);
  }
  ::closedir(folder);
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::create(const Environment& environment, std::chrono::seconds abandoned_after) {
  const auto below = folder_of(environment);
  sweep(below, abandoned_after);
  auto path = fmt::format("{}/{}XXXXXX", below, prefix);
  if (::mkdtemp(path.data()) == nullptr) {
    return fail(Exit::disk, "no_spool",
                fmt::format("cannot make a folder in {}: {}", printable(below), std::strerror(errno)),
                "Say where there is room: TMPDIR=DIR");
  }
  auto lock = locked(path);  // where locks do not work, nothing of rule 2 does, and all else is as it should be
  return std::unique_ptr<Spool>(new Spool(std::move(path), std::move(lock)));
}

void Spool::remove() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  path_.clear();
}

}  // namespace swarm::cli
