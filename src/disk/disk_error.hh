// What the kernel said, as an error for a person.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"

namespace swarm::disk {

/// "cannot <doing> <path>: <reason>", Exit::disk; `code` by errno: "permission", "symlink", "too_many_files",
/// "file_too_big", else "disk_error".
Error system_error(std::string_view doing, std::string_view path, int error);

/// "needs 631.0 MiB, /home has 210.4 MiB free" for the file system of an open folder; Exit::disk "disk_full".
Error disk_full(int folder, std::uint64_t bytes_needed, std::string hint);

/// "<path> exists and is different", Exit::disk "exists".
Error exists_error(std::string_view path);

/// Where the file system of an open folder is mounted; "the disk" when that cannot be told.
std::string mount_point(int folder);

}  // namespace swarm::disk
