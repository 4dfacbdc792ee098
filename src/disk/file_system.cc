#include "disk/file_system.hh"

#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

namespace swarm::disk {
namespace {

constexpr std::uint32_t xfs_magic = 0x58465342;  // linux/magic.h has it only since 5.16
constexpr std::array<std::uint32_t, 5> trusted = {EXT4_SUPER_MAGIC, xfs_magic, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
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
  const auto type = static_cast<std::uint32_t>(fs.f_type);  // signed, and narrower on some machines
  return std::find(trusted.begin(), trusted.end(), type) != trusted.end() && has_linux(5, 17);
}

}  // namespace swarm::disk
