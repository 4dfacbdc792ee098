// Description: what a .torrent, a magnet link or a progress.json says, without a tracker (status FILE|MAGNET).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.hh"
#include "base/error.hh"
#include "cli/look.hh"

namespace swarm::cli {

/// What is not known is not there: a magnet link says little, a progress.json knows no files.
struct Description {
  std::string name;  ///< raw; may be empty
  InfoHash info_hash;
  std::optional<std::uint64_t> bytes;
  std::optional<std::uint32_t> piece_bytes, pieces;
  std::optional<bool> is_private;
  std::optional<std::string> comment;
  std::vector<std::vector<std::string>> trackers;  ///< tiers
  std::vector<std::string> web_seeds;
  struct File {
    std::string path;  ///< below the top folder; of a single file: its name
    std::uint64_t bytes = 0;
  };
  std::optional<std::vector<File>> files;  ///< without padding
  struct Progress {
    std::uint32_t verified = 0, durable = 0;  ///< pieces
    double percent_verified = 0, percent_durable = 0;
    bool clean = false;
    std::uint64_t bytes_down = 0, bytes_up = 0;
  };
  std::optional<Progress> progress;
};

/// Can WHAT be described without a tracker? A magnet link can, and a file: any that is there when there is no tracker to ask, else
/// one that ends in .torrent or .json, or is named with a '/'.
bool is_describable(const std::string& what, bool have_tracker);

/// Blocking. Exit::not_found, Exit::disk, Exit::integrity (neither a .torrent nor a progress.json), Exit::usage (a bad link).
Result<Description> describe(const std::string& what);

/// {"v":1,"torrent":{"name","infohash","bytes","piece_bytes","pieces","private","comment","trackers":[[…]],"web_seeds":[…],
/// "files":[{"path","bytes"}]}}; null where nothing is known. With a progress.json also "progress":{"percent_verified",
/// "percent_durable","pieces_verified","pieces_durable","clean","bytes_down","bytes_up"}.
std::string description_json(const Description& d);
/// For a person: at most 20 files, then how many more there are.
std::vector<std::string> description_lines(const Description& d, const Look& look);

}  // namespace swarm::cli
