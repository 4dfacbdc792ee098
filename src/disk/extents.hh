// Extents: which bytes of which files a range of a torrent's bytes is. Pure; made once per torrent.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bitfield.hh"
#include "base/ids.hh"
#include "wire/metainfo.hh"

namespace swarm::disk {

/// The pieces that hold at least one byte of a chosen file: what is to be fetched for these files. `files` is by
/// FileIndex; empty: all pieces. Padding chooses nothing. O(files + pieces).
Bitfield wanted_pieces(const wire::Metainfo& info, const std::vector<bool>& files);

/// A range within one file. Padding (BEP 47) is never on a disk and reads as zeros.
struct Extent {
  FileIndex file{};
  std::uint64_t offset = 0;  ///< bytes from the start of the file
  std::uint64_t length = 0;  ///< bytes, > 0
  bool pad = false;
};

class Extents;
/// Of these pieces, the bytes that belong to files which are not chosen. O(files).
std::uint64_t bytes_beside(const wire::Metainfo& info, const Extents& extents, const std::vector<bool>& files);

class Extents {
 public:
  explicit Extents(const std::vector<wire::FileEntry>& files);

  std::uint64_t bytes_total() const { return bytes_total_; }
  bool has_padding() const { return has_padding_; }
  /// Where a file starts in the torrent, in bytes.
  std::uint64_t start(FileIndex file) const { return starts_[number(file)]; }

  /// The part of [offset, offset + length) that lies in the file that holds `offset`; offset < bytes_total().
  /// O(log files).
  Extent at(std::uint64_t offset, std::uint64_t length) const;

  /// Calls f(extent) for each part of [offset, offset + length) in order, until f returns false. Gives false then.
  template <class F>
  bool each(std::uint64_t offset, std::uint64_t length, F&& f) const {
    while (length > 0) {
      const Extent e = at(offset, length);
      if (!f(e)) return false;
      offset += e.length;
      length -= e.length;
    }
    return true;
  }

 private:
  std::vector<std::uint64_t> starts_;  ///< of each file, and the end of the last one
  std::vector<bool> pad_;
  std::uint64_t bytes_total_ = 0;
  bool has_padding_ = false;
};

}  // namespace swarm::disk
