// Checkpoint: progress.json, what a download (or a seed) may claim after a crash. DESIGN.md §6 in code. Blocking.
//
// Order: data first (Storage::sync), then the claim (temporary name, fsync, rename, fsync of the folder). `durable`
// holds only pieces that were verified before a sync of the data that succeeded; `verified` may run ahead of it.
//
// The text: {"checksum":"<SHA-1 of every byte behind it>", …}, one line; numbers up to 2^53; names made printable;
// bitmaps and stamps (24 bytes a file: size, mtime, inode, big-endian) in base64. At most 64 MiB.
//
// A clean checkpoint is written no sooner than one tick of the file system's clock after the latest stamp, so that
// whoever writes to the data later leaves another stamp (see settle()); where that would take longer than a moment
// (vfat: 2 s) it is written as an unclean one, and the next start hashes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bitfield.hh"
#include "base/digest.hh"
#include "base/error.hh"
#include "base/ids.hh"
#include "disk/storage.hh"
#include "wire/metainfo.hh"

namespace swarm::disk {

struct Checkpoint {
  InfoHash info_hash;
  std::string name;
  std::uint64_t bytes_total = 0;
  std::uint32_t piece_bytes = 0;
  std::string boot_id;  ///< of the machine when it was written
  bool clean = false;   ///< written by a clean stop: stamps tell whether anybody touched the data since
  /// Which were chosen; empty: all. Another choice keeps its bytes elsewhere, so that claims are hashed then.
  std::vector<bool> files = {};
  std::vector<FileStamp> stamps;
  Bitfield verified;
  Bitfield durable;
  std::uint64_t bytes_down = 0, bytes_up = 0;
  std::vector<std::vector<std::string>> trackers;
};

std::string checkpoint_path(const std::string& target);  ///< "<target>.progress.json"; see beside() for very long names
std::string this_boot_id();                              ///< /proc/sys/kernel/random/boot_id, or empty

std::string to_json(const Checkpoint& c);  ///< with a checksum over everything else
/// Damaged, foreign or oversize text is an error (the caller then hashes everything).
Result<Checkpoint> checkpoint_from_json(std::string_view text);

Result<void> write_checkpoint(const std::string& path, const Checkpoint& c);  ///< atomic, as above
Result<Checkpoint> read_checkpoint(const std::string& path);                  ///< Exit::not_found when there is none
Result<void> remove_checkpoint(const std::string& path);

/// What the disk holds of this download, by the rules of DESIGN.md §6. Also used when only a finished file exists.
struct Found {
  Bitfield verified;  ///< trusted at once (clean stop, nothing touched since)
  /// To be hashed, in this order: data without a claim first, then claimed pieces. Of the wanted pieces only.
  std::vector<PieceIndex> unchecked;
  std::uint64_t bytes_down = 0, bytes_up = 0;
  bool anything = false;  ///< a .part, the finished file or a file of the folder was there
};
Found find_progress(Storage& storage, const wire::Metainfo& info);

/// The cache of a seed's piece hashes: path, sizes, mtimes and inodes → digests; one file each in `folder` (mode 0600),
/// at most 512, the oldest going first. It takes stamps that scan() made before anything was hashed, for those are
/// settled.
struct SeedCacheKey {
  std::string path;  ///< absolute
  std::uint32_t piece_bytes = 0;
  std::vector<FileStamp> stamps;
};
std::optional<std::vector<Sha1Digest>> read_seed_cache(const std::string& folder, const SeedCacheKey& key);
Result<void> write_seed_cache(const std::string& folder, const SeedCacheKey& key,
                              const std::vector<Sha1Digest>& pieces);

}  // namespace swarm::disk
