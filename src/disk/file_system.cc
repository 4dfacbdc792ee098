#include "disk/file_system.hh"

#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace swarm::disk {
namespace {

constexpr long xfs_magic = 0x58465342;  // linux/magic.h has it only since 5.16
constexpr std::array<long, 5> trusted = {EXT4_SUPER_MAGIC, xfs_magic, long{BTRFS_SUPER_MAGIC}, long{F2FS_SUPER_MAGIC},
                                         TMPFS_MAGIC};

bool has_linux(int major, int minor) {
  utsname name{};
  int running_major = 0, running_minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &running_major, &running_minor) != 2) return false;
  return running_major > major || (running_major == major && running_minor >= minor);
}

}  // namespace

bool syncfs_is_enough(int folder) {
  struct statfs fs {};
  if (::fstatfs(folder, &fs) != 0) return false;
  // A 32-bit machine's type is signed: compared as what it holds.
  const auto is_this = [&](long magic) { return static_cast<unsigned>(fs.f_type) == static_cast<unsigned>(magic); };
  return std::any_of(trusted.begin(), trusted.end(), is_this) && has_linux(5, 17);
}

}  // namespace swarm::disk
