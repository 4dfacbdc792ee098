// Sources: a file or a folder of a person turned into a torrent, hashed on all cores. Blocking; each part runs on a
// worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hh"
#include "disk/storage.hh"
#include "wire/metainfo.hh"

namespace swarm::disk {

/// What stands at a path: the files in the order of the torrent (by path bytes), their sizes and stamps.
struct Source {
  std::string path;      ///< as given
  std::string absolute;  ///< without links; a Storage of it takes this as its target
  std::string name;      ///< base name
  bool folder = false;
  std::vector<wire::FileEntry> files;
  std::vector<FileStamp> stamps;
  std::uint64_t bytes_total = 0;
};

/// Missing: Exit::not_found; unreadable: Exit::disk; nothing in it: Exit::usage. Symbolic links below a folder, sockets
/// and devices are left out; the path itself may be a link. The stamps are settled when it returns: it waits up to a
/// tick of the file system's clock (20 ms; 2 s on vfat) for a file that was written just now.
Result<Source> scan(const std::string& path);

/// Hashes a source piece by piece. Several workers call work() at once; each takes pieces until none is left or
/// `cancel` is set. A file that is not any more what scan() saw, at any time until the last piece is done:
/// Exit::integrity "changed".
class Hasher {
 public:
  Hasher(Source source, std::uint32_t piece_bytes);
  ~Hasher();
  Result<void> work(const std::atomic<bool>& cancel);
  std::uint64_t bytes_done() const;  ///< any thread
  bool complete() const;
  const std::vector<Sha1Digest>& pieces() const;  ///< once complete
  const Source& source() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Compares data at a target with a torrent (seed --torrent, get --check), the same way. Files that are missing, too
/// short or too long make pieces wrong, not errors.
class Verifier {
 public:
  Verifier(std::shared_ptr<Storage> storage, std::shared_ptr<const wire::Metainfo> info);
  ~Verifier();
  Result<void> work(const std::atomic<bool>& cancel);
  std::uint64_t bytes_done() const;
  bool complete() const;
  Bitfield right() const;  ///< once complete

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace swarm::disk
