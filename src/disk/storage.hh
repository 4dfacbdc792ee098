// Storage: the files of one torrent on a disk, addressed by bytes of the torrent. Blocking; run on worker threads only.
//
// A download lives at `<target>.part` (a file, or a folder with the same tree below it) and gets its name by finish().
// Files are opened beneath the save folder only, without following symbolic links (openat2 RESOLVE_BENEATH |
// NO_SYMLINKS, else an O_NOFOLLOW walk), created on first write, never mapped for writing. At most `open_files_max`
// descriptors are held. Thread-safe: several workers may read and write different ranges at once.
//
// Where the files are, decided once, at the first call that needs the disk
// 1. Not writable: at the target (a seed). Names are tried as the torrent has them, then as safe_paths() would make
//    them.
// 2. Writable: at the .part when there is one; else, without `replace`, at the target when that is there (a download
//    that is done: it is read, never written; the first write then fails with "exists"); else at the .part, which the
//    first write makes.
// What a .part lacks reads as zeros, so that a piece can always be hashed; what a target lacks is an error ("changed").
#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bitfield.hh"
#include "base/bytes.hh"
#include "base/error.hh"
#include "disk/extents.hh"
#include "wire/metainfo.hh"

namespace swarm::disk {

struct StorageOptions {
  bool writable = true;  ///< a download; false: a seed's own files, never written
  std::size_t open_files_max = 128;
  /// finish() may put its files in the place of others (get --overwrite). In a folder only files of the same name go.
  bool replace = false;
  int (*fdatasync)(int fd) = ::fdatasync;  ///< what makes a file's data durable; tests put one here that fails
};

/// What a file was when a seed was hashed; a change means that it may no longer be served.
struct FileStamp {
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
  auto operator<=>(const FileStamp&) const = default;
};

/// Waits until a write from now on would change each of these stamps: a file system's clock ticks every few
/// milliseconds (two seconds on vfat), and two writes within one tick look the same. Gives false, at once, when that
/// would take longer than `wait_max`.
bool settle(const std::vector<FileStamp>& stamps, std::chrono::milliseconds wait_max);

enum class Place : std::uint8_t { nothing, part, target };

class Storage {
 public:
  /// `target` is the final path of the file or top folder. Does not touch the disk yet.
  static std::shared_ptr<Storage> create(std::shared_ptr<const wire::Metainfo> info, std::string target,
                                         StorageOptions options = {});
  ~Storage();

  /// Reads exactly the bytes [offset, offset + sum of iov) of the torrent, across files; padding reads as zeros. A file
  /// that is shorter than it should be gives Exit::integrity "changed" for a seed.
  Result<void> read(std::uint64_t offset, std::span<const iovec> into);
  /// ENOSPC, EDQUOT: Exit::disk "disk_full"; a target that is not ours: "exists". Bytes of padding are dropped.
  Result<void> write(std::uint64_t offset, std::span<const iovec> from);
  /// fdatasync of every file written since the last sync, fsync of every folder that got an entry. An error is final:
  /// every later sync() and finish() gives it again, for the kernel reports a lost write only once.
  Result<void> sync();
  /// Creates empty files, right lengths, modes; sync; rename to the target, fsync of its folder; gives the path.
  /// Exit::disk "exists" when something else has that name. Afterwards the storage reads from the target.
  Result<std::string> finish();
  Result<void> check_space();  ///< before the first byte: is there room for what is not allocated yet?
  /// Which pieces have any data on the disk (SEEK_DATA), one bit each; everything when the file system cannot tell.
  Bitfield pieces_with_data();
  /// Of all files, in order; a missing one and padding are zeros. Looked up by name, so that a file that was replaced
  /// shows.
  Result<std::vector<FileStamp>> stamps();
  Place place();  ///< where it reads, or nothing when nothing is there yet
  const std::string& part_path() const;
  const std::string& target_path() const;
  const Extents& extents() const;

 private:
  struct State;
  explicit Storage(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace swarm::disk
