// Small files of our own, read and replaced as a whole.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.hh"

namespace swarm::disk {

/// Atomic and durable: a temporary name beside it, fsync, rename, fsync of the folder. After a power cut either the old
/// or the new text is there. Links are replaced, never followed.
Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode);

/// The whole text. Exit::not_found when there is none; Exit::integrity "damaged" when it is no regular file or longer
/// than `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

}  // namespace swarm::disk
