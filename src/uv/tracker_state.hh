// The tracker's state folder: one NAME.torrent per file of the catalogue. Blocking; for workers, and for the start.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.hh"
#include "base/error.hh"
#include "core/tracker/server.hh"

namespace swarm::uv {

struct KeptFile {
  std::string name;  ///< of the catalogue
  std::string path;
  Result<std::string> torrent;  ///< its bytes, or why it cannot be read
};

/// Makes the folder (mode 0700) when it is missing; reads what it holds, by name. Temporary files of a crash are
/// removed, other files are left alone. Exit::disk.
Result<std::vector<KeptFile>> load_state(const std::string& folder);

/// Durable when it returns.
Result<void> apply_save(const std::string& folder, const core::TrackerSave& save);

/// The name's file within the folder: no separator, never hidden, the same in both directions. A name that is too long
/// for that is kept by its digest ("=3f1c….torrent"), and itself in "=3f1c….name".
std::string state_file_name(const std::string& name);

}  // namespace swarm::uv
