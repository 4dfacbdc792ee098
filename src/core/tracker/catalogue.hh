// Catalogue: the names that can be got by name, each with its .torrent. It survives restarts: the driver keeps the files.
//
// Rules
// 1. A name is UTF-8, 1 … 255 bytes, without '/', control characters, and is neither "." nor "..". Rationale: it becomes a
//    file's name and part of a URL.
// 2. A name that is taken stays with its content: other content needs `replace`. The same info-hash may always be put again.
//    Rationale: two people who share different files under one name shall notice.
// 3. At most files_max names and bytes_max bytes of .torrent files in all; a .torrent is at most 32 MiB.
// Complexity: find O(log names); put O(size of the .torrent); name_of O(log names).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hh"
#include "base/digest.hh"
#include "base/error.hh"

namespace swarm::core {

class Catalogue {
 public:
  static constexpr std::size_t torrent_bytes_max = 32u << 20;
  static constexpr std::size_t files_max = 100'000;
  static constexpr std::size_t bytes_max = 1u << 30;

  struct File {
    Buffer torrent;
    InfoHash info_hash;
    std::uint64_t bytes = 0;
    std::uint32_t pieces = 0, piece_bytes = 0;
  };
  enum class Put : std::uint8_t { added, replaced, unchanged };

  static bool is_name(std::string_view name);  ///< rule 1

  /// What a put would do: nothing has changed until it is passed to commit(), ahead of any other change.
  struct Change {
    std::string name;
    File file;
    Put what = Put::added;
  };
  /// Errors: "bad_name", "not_a_torrent", "exists" (rule 2), "full" (rule 3).
  Result<Change> plan(const std::string& name, ByteView torrent, bool replace) const;
  void commit(Change change);
  Result<Put> put(const std::string& name, ByteView torrent, bool replace);  ///< both
  bool remove(const std::string& name);
  const File* find(const std::string& name) const;
  /// The first of the names of this torrent, or nullptr.
  const std::string* name_of(const InfoHash& torrent) const;
  std::optional<std::string> nearest_to(const std::string& name) const;
  const std::map<std::string, File>& files() const { return files_; }
  std::size_t bytes() const { return bytes_; }  ///< of all .torrent files

 private:
  std::map<std::string, File> files_;
  std::multimap<InfoHash, std::string> names_;
  std::size_t bytes_ = 0;  ///< of all .torrent files
};

}  // namespace swarm::core
