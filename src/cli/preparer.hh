// Preparer: what stands on the disk made ready to be trusted: a person's files hashed into a torrent, or compared with one that
// exists. On all cores, with progress; results are cached by size, mtime and inode, so that a restart takes no time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bitfield.hh"
#include "base/error.hh"
#include "base/instant.hh"
#include "cli/console.hh"
#include "disk/storage.hh"
#include "uv/loop.hh"
#include "uv/workers.hh"
#include "wire/metainfo.hh"

namespace swarm::cli {

/// What a new torrent shall say besides its content.
struct NewTorrent {
  std::string path;
  std::string name;               ///< empty: the base name
  std::uint32_t piece_bytes = 0;  ///< 0: by size
  bool is_private = false;
  std::string comment;
  std::vector<std::string> web_seeds;
  std::vector<std::vector<std::string>> trackers;
};

/// Content on the disk whose every piece is known.
struct Prepared {
  std::shared_ptr<const wire::Metainfo> info;
  std::shared_ptr<disk::Storage> storage;  ///< read only
  std::vector<disk::FileStamp> stamps;     ///< what the files were when they were hashed
  std::string path;                        ///< absolute
  Bitfield right;                          ///< pieces that are as the torrent says
  std::optional<Preparing> work;           ///< what was read; nothing when all was cached
  double seconds = 0;

  /// A folder of which files are missing, and no other is of a wrong size: what an earlier -f fetched.
  bool may_be_completed() const;
};

class Preparer {
 public:
  using Done = std::function<void(Result<Prepared>)>;

  /// `budget` is for the storages that it gives. `cache_folder` may be empty: nothing is remembered then.
  Preparer(uv::Loop& loop, uv::Workers& workers, std::shared_ptr<disk::OpenBudget> budget, std::string cache_folder);

  /// One at a time. `threads`: workers that it may take. `done` comes on a later turn of the loop.
  void make(NewTorrent wanted, std::size_t threads, Done done);
  /// Compares the data at `path` with a torrent. Sizes that differ give `right` without a bit, and nothing is read.
  void compare(std::shared_ptr<const wire::Metainfo> info, std::string path, std::size_t threads, Done done);

  /// Reads all that stands at `path`, or of a download at its .part, and compares it; nothing is remembered or taken on trust. What
  /// is missing makes pieces wrong. Exit::integrity "nothing_there".
  void check(std::shared_ptr<const wire::Metainfo> info, std::string path, std::size_t threads, Done done);

  /// How far it is; nothing when nothing is read.
  std::optional<Preparing> progress() const;
  void cancel();  ///< soon: `done` then comes with an error

 private:
  template <class Engine>
  void on_all_cores(std::shared_ptr<Engine> engine, std::size_t threads, std::function<void(Result<void>)> done);
  void verify(Prepared what, std::size_t threads, Done done);
  void begin(std::string verb, std::string name, std::uint64_t bytes_total, std::function<std::uint64_t()> bytes_done);
  std::optional<Preparing> end();

  uv::Loop& loop_;
  uv::Workers& workers_;
  std::shared_ptr<disk::OpenBudget> budget_;
  std::string cache_folder_;
  std::shared_ptr<std::atomic<bool>> cancel_ = std::make_shared<std::atomic<bool>>(false);
  Preparing what_;
  std::function<std::uint64_t()> bytes_done_;
  Instant began_{};
};

}  // namespace swarm::cli
