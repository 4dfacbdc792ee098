#include "disk/target_lock.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/text.hh"
#include "disk/safe_path.hh"

namespace swarm::disk {
namespace {

constexpr int tries_max = 100;  // each lost to somebody who came and went within a few system calls

bool leads_to(const std::string& path, int fd) {
  struct stat named {
  }, held{};
  return ::fstat(fd, &held) == 0 && ::lstat(path.c_str(), &named) == 0 && named.st_ino == held.st_ino &&
         named.st_dev == held.st_dev;
}

std::string this_host() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// "process 1234", "process 1234 on nas", or "another process" when the file does not say.
std::string owner_of(int fd) {
  std::array<char, 400> text{};
  const auto n = ::pread(fd, text.data(), text.size() - 1, 0);
  const auto words = split(std::string_view(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0), ' ');
  if (words.size() != 2 || words[0].empty()) return "another process";
  const auto host = words[1].substr(0, words[1].find('\n'));
  const auto process = fmt::format("process {}", printable(words[0]));
  return host.empty() || host == this_host() ? process : fmt::format("{} on {}", process, printable(host));
}

}  // namespace

Result<TargetLock> TargetLock::take(const std::string& target) {
  const auto path = beside(target, ".lock");
  for (int i = 0; i < tries_max; ++i) {
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!file) return TargetLock();  // rule 3
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return TargetLock();
      return fail(Exit::disk, "busy", fmt::format("{} is being fetched by {}", printable(target), owner_of(file.get())),
                  "Wait for it, or fetch into another folder with -d");
    }
    if (!leads_to(path, file.get())) continue;  // rule 2
    const auto owner = fmt::format("{} {}\n", ::getpid(), this_host());
    if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), owner.data(), owner.size(), 0) < 0) {
      // The lock holds all the same; others are told of "another process".
    }
    return TargetLock(path, std::move(file));
  }
  return TargetLock();
}

TargetLock& TargetLock::operator=(TargetLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  return *this;
}

void TargetLock::release() {
  if (!file_) return;
  (void)::unlink(path_.c_str());  // while it is still locked, or another's might go
  file_ = Descriptor();
}

}  // namespace swarm::disk
