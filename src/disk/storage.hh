// Storage: the files of one torrent on a disk, addressed by bytes of the torrent. Blocking, but for read_cached(); run on
// worker threads only.
//
// A download lives at `<target>.part` (a file, or a folder with the same tree below it) and gets its name by finish().
// Files are opened beneath the save folder only, without following symbolic links (openat2 RESOLVE_BENEATH |
// NO_SYMLINKS, else an O_NOFOLLOW walk), created on first write, never mapped for writing. At most `open_files_max`
// descriptors of files are held, and together with other storages as many as an OpenBudget has. Thread-safe: several
// workers may read and write different ranges at once.
//
// Where the files are, decided once, at the first call that needs the disk
// 1. Not writable: at the target (a seed). Names are tried as the torrent has them, then as safe_paths() would make
//    them.
// 2. Writable: at the .part when there is one; else, without `replace`, at the target when that is there (a download
//    that is done: it is read, never written; the first write then fails with "exists"); else at the .part, which the
//    first write makes.
// What a .part lacks reads as zeros, so that a piece can always be hashed; what a target lacks is an error ("changed").
//
// Folders of which only some files are wanted (StorageOptions::files), or were by an earlier run
// 3. Without `replace`, a target folder that is there is merged with when files were chosen, or when a file of the
//    torrent is there at its right length: what is there under the name of a chosen file is read and never written,
//    what is missing is written to the .part and joins it in finish(). Any other target is not ours: "exists".
//    Rationale: the second `get` of a folder fetches what the first one left out, and never overwrites.
// 4. Bytes of files that are not chosen go to, and come from, one sparse file in the .part whose name begins with a dot;
//    a byte of the torrent has the same offset in it. wanted_pieces() are fetched, so these are the other halves of
//    pieces on a boundary: at most two pieces a file.
//    Rationale: such a piece can be hashed and served, also by the next run, and no file appears that nobody chose.
// 5. finish() moves the chosen files, removes that side file, and leaves nothing of its own; the side file stays open,
//    so that boundary pieces are served until the process ends. A later run fetches them again. What an earlier run
//    with another choice left unfinished in the .part stays there for it.
// 6. Bytes for a file that has its name already must be what stands there. Equal ones are dropped. Different ones (a
//    liar, or the file is another) are kept aside with the rest of the piece until the piece is judged; when it was the
//    file, finish() says "exists", and so does the first write of a piece that lies only in such files.
// 7. adopt(): bytes that lie aside and belong to a file that is chosen now are copied to where that file has a hole.
//    Rationale: nothing is fetched twice; newer bytes are never overwritten by older ones.
//
// When written bytes go to the disk
// 8. Each time that 16 MiB more were written to a file, the kernel is told to begin writing it out, by one worker at a
//    time. Rationale: the disk works while the rest comes in, and a sync finds little left to wait for; a disk whose
//    queue is full holds up one worker, not all.
// 9. A sync of 64 files or more is one syncfs(), where that is known to make everything durable and to tell of every loss
//    (syncfs_is_enough()); where it is not, and for fewer files, each file and folder is synced by itself. Rationale: a
//    hundred thousand small files would be opened again, and the disk's cache flushed, for each of them.
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
#include "disk/open_budget.hh"
#include "wire/metainfo.hh"

namespace swarm::disk {

/// Has the kernel begin to write out what a file has in memory. Does not wait for the end of it, though it may for room in
/// the queue of the disk. Says nothing of errors, and hides none: the next fdatasync tells of them.
void begin_writeback(int fd);

struct StorageOptions {
  bool writable = true;  ///< a download; false: a seed's own files, never written
  std::size_t open_files_max = 128;
  /// What this storage's descriptors count against; null: nothing. Asked for them, a seed closes all, and finds its files
  /// by their paths again; a download closes its files, and keeps its folders and what lies aside.
  std::shared_ptr<OpenBudget> budget = {};
  /// finish() may put its files in the place of others (get --overwrite). In a folder only files of the same name go.
  bool replace = false;
  /// The files of a folder that are wanted, by FileIndex; empty: all. One without a folder is always wanted.
  std::vector<bool> files = {};
  void (*begin_writeback)(int fd) = disk::begin_writeback;  ///< tests put one here that counts
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
  /// The same without ever waiting, for a disk or for another thread: gives how many bytes could be had so, from the
  /// start. Fewer say nothing about the file: read() tells. Linux only reads so from what is in the page cache (4.14,
  /// RWF_NOWAIT; most file systems).
  std::size_t read_cached(std::uint64_t offset, std::span<const iovec> into);
  /// ENOSPC, EDQUOT: Exit::disk "disk_full"; a target that is not ours: "exists". Bytes of padding are dropped.
  Result<void> write(std::uint64_t offset, std::span<const iovec> from);
  /// Makes durable every file written since the last sync and every folder that got an entry (rule 9). An error is final:
  /// every later sync() and finish() gives it again, for the kernel reports a lost write only once.
  Result<void> sync();
  /// Creates empty files, right lengths, modes; sync; rename to the target, fsync of its folder; gives the path.
  /// Exit::disk "exists" when something else has that name. Afterwards the storage reads from the target.
  Result<std::string> finish();
  Result<void> check_space();  ///< before the first byte: is there room for what is wanted and not allocated yet?
  /// Which pieces have any data on the disk (SEEK_DATA), one bit each; everything when the file system cannot tell. A
  /// download takes all of a file that has its name already for data.
  Bitfield pieces_with_data();
  void adopt();  ///< rule 7; before the first write. What cannot be copied is fetched again
  /// Of all files, in order; a missing one, one that is not chosen and padding are zeros; with a choice, of the side
  /// file too. Looked up by name, so that a file that was replaced shows.
  Result<std::vector<FileStamp>> stamps();
  /// Are the files [first, last) still what `stamps`, all of them as stamps() gave them, say? What cannot be looked at is
  /// not.
  bool is_still(const std::vector<FileStamp>& stamps, std::size_t first, std::size_t last);
  const std::vector<bool>& files() const;  ///< the choice; empty: all
  Bitfield wanted() const;                 ///< wanted_pieces() of it
  bool merges();                           ///< rule 3: the target is there and is an earlier run's
  Place place();                           ///< where it reads, or nothing when nothing is there yet
  const std::string& part_path() const;
  const std::string& target_path() const;
  const Extents& extents() const;

 private:
  struct State;
  explicit Storage(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace swarm::disk
