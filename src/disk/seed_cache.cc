// The cache of a seed's piece hashes.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <tuple>

#include "base/sha1.hh"
#include "disk/checkpoint.hh"
#include "disk/disk_error.hh"
#include "disk/sealed_json.hh"
#include "disk/small_file.hh"

namespace swarm::disk {
namespace {

constexpr std::uint64_t format_version = 1;
constexpr std::size_t entries_max = 512;
constexpr std::string_view suffix = ".json";

std::string entry_name(const SeedCacheKey& key) {
  return to_hex(sha1(as_bytes(key.path + '\n' + std::to_string(key.piece_bytes)))) + std::string(suffix);
}

/// ceil(bytes / piece size): what a cache of these files must hold.
std::uint64_t piece_count(const SeedCacheKey& key) {
  std::uint64_t bytes = 0;
  for (const FileStamp& stamp : key.stamps) bytes += stamp.bytes;
  return key.piece_bytes == 0 ? 0 : bytes / key.piece_bytes + (bytes % key.piece_bytes != 0 ? 1 : 0);
}

bool make_folders(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    ::mkdir(path.substr(0, at).c_str(), 0700);
  }
  return ::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
}

/// Removes what was written longest ago until few enough are left.
void prune(const std::string& folder) {
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return;
  std::vector<std::tuple<std::int64_t, long, std::string>> entries;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    struct stat s {};
    if (name.size() != 40 + suffix.size() || !name.ends_with(suffix)) continue;
    if (::fstatat(::dirfd(dir), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0) continue;
    entries.emplace_back(s.st_mtim.tv_sec, s.st_mtim.tv_nsec, name);
  }
  if (entries.size() > entries_max) {
    std::sort(entries.begin(), entries.end());
    for (std::size_t i = 0; i < entries.size() - entries_max; ++i) {
      ::unlinkat(::dirfd(dir), std::get<2>(entries[i]).c_str(), 0);
    }
  }
  ::closedir(dir);
}

}  // namespace

std::optional<std::vector<Sha1Digest>> read_seed_cache(const std::string& folder, const SeedCacheKey& key) {
  const auto text = read_file(folder + '/' + entry_name(key), sealed_bytes_max);
  if (!text) return std::nullopt;
  JsonReader json(*text);
  const bool same = json.number("swarm_seed_cache", ~0ull) == format_version &&
                    json.number("piece_bytes", ~0ull) == key.piece_bytes && json.bytes("path") == to_buffer(key.path) &&
                    json.bytes("stamps") == pack(key.stamps);
  const Buffer bytes = json.bytes("pieces");
  if (!same || !json.ok() || key.stamps.empty() || bytes.size() != piece_count(key) * sizeof(Sha1Digest)) {
    return std::nullopt;
  }
  std::vector<Sha1Digest> pieces(bytes.size() / sizeof(Sha1Digest));
  if (!bytes.empty()) std::memcpy(pieces.data(), bytes.data(), bytes.size());
  return pieces;
}

Result<void> write_seed_cache(const std::string& folder, const SeedCacheKey& key,
                              const std::vector<Sha1Digest>& pieces) {
  if (!make_folders(folder)) return tl::unexpected(system_error("make", folder, errno));
  JsonWriter json;
  json.number("swarm_seed_cache", format_version);
  json.bytes("path", as_bytes(key.path));
  json.number("piece_bytes", key.piece_bytes);
  json.bytes("stamps", pack(key.stamps));
  json.bytes("pieces", {reinterpret_cast<const std::uint8_t*>(pieces.data()), pieces.size() * sizeof(Sha1Digest)});
  auto written = replace_file(folder + '/' + entry_name(key), json.sealed(), 0600);
  if (written) prune(folder);
  return written;
}

}  // namespace swarm::disk
