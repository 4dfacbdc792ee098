// Opening what lies beneath a folder, and nothing else: no "..", no absolute path, no symbolic link on the way or at
// its end.
//
// openat2 (Linux 5.6) checks that in the kernel. Where it is missing or filtered, each element is opened by itself with
// O_NOFOLLOW, which gives the same for the paths that are used here. Paths may be longer than PATH_MAX.
#pragma once

#include <sys/types.h>

#include <string>

#include "disk/descriptor.hh"

namespace swarm::disk {

enum class Resolve : std::uint8_t { by_kernel, by_walk };

/// Opens `path`, relative to the folder `folder`. O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK and O_NOCTTY are always set (a FIFO
/// or a terminal that somebody planted must not block us). On failure the descriptor is empty and errno says why: ELOOP
/// for a symbolic link, EXDEV for a path that leads out.
Descriptor open_beneath(int folder, const std::string& path, int flags, mode_t mode = 0,
                        Resolve resolve = Resolve::by_kernel);

}  // namespace swarm::disk
