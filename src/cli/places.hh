// Places: where things are kept, from the environment and what was said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "cli/options.hh"

namespace swarm::cli {

/// The process's environment.
Environment real_environment();

/// Hashes of what was shared before: $XDG_CACHE_HOME/swarm/seeds, else ~/.cache/swarm/seeds; empty when there is no home.
std::string seed_cache_folder(const Environment& environment);
/// The tracker's catalogue: --state, $STATE_DIRECTORY (systemd), $XDG_STATE_HOME/swarm/tracker, else ~/.local/state/swarm/tracker.
Result<std::string> tracker_state_folder(const Options& options, const Environment& environment);

/// Where a download goes: `name` is safe for a disk already. "./debian.iso", "DIR/debian.iso", or -o's path.
std::string target_path(const Options& options, const std::string& name);
/// "a/b (2).iso" from "a/b.iso".
std::string numbered_path(const std::string& path, unsigned number, bool folder);

std::string absolute_path(const std::string& path);
/// Makes the folder that `path` will stand in, and those above it; gives those that were not there, the outermost first.
/// Exit::disk when it cannot be made, or nothing may be put into it.
Result<std::vector<std::string>> make_parent(const std::string& path);
/// Takes them back, as far as they are empty.
void remove_folders(const std::vector<std::string>& made);

std::string host_name();

/// How the descriptors that this process may have are shared out: few of them must do (ulimit -n 64), many are not all needed. To be
/// asked once the loop is there, which raises the limit as far as it may.
struct DescriptorShare {
  std::uint32_t sockets = 2'000;  ///< of peers, in all
  std::size_t files = 512;        ///< that all torrents together hold open
};
DescriptorShare descriptor_share();

}  // namespace swarm::cli
