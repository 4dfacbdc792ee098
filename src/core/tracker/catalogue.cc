#include "core/tracker/catalogue.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/text.hh"
#include "wire/metainfo.hh"

namespace swarm::core {

bool Catalogue::is_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name == "." || name == ".." || !is_utf8(name)) return false;
  return std::ranges::none_of(name,
                              [](char c) { return c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<Catalogue::Change> Catalogue::plan(const std::string& name, ByteView torrent, bool replace) const {
  if (!is_name(name)) {
    return fail(Exit::usage, "bad_name", fmt::format("'{}' cannot be a name", printable(name.substr(0, 255))),
                "use up to 255 bytes of UTF-8 without '/' and control characters");
  }
  if (torrent.size() > torrent_bytes_max) return fail(Exit::other, "full", "the .torrent is larger than 32 MiB");
  const auto metainfo = wire::parse_metainfo(torrent, name + ".torrent");
  if (!metainfo) return tl::unexpected(metainfo.error());

  const auto old = files_.find(name);
  const bool taken = old != files_.end();
  if (taken && old->second.info_hash != metainfo->info_hash && !replace) {
    return fail(Exit::refused, "exists", fmt::format("'{}' is shared already, with other content", printable(name)),
                "share it under another --name, or take the name over with --replace");
  }
  if (taken && std::ranges::equal(old->second.torrent, torrent)) return Change{name, old->second, Put::unchanged};
  const auto freed = taken ? old->second.torrent.size() : 0;
  if ((!taken && files_.size() >= files_max) || bytes_ - freed + torrent.size() > bytes_max) {
    return fail(Exit::other, "full", "the catalogue is full", "remove names that are no longer needed");
  }

  return Change{name,
                File{to_buffer(torrent), metainfo->info_hash, metainfo->bytes_total, metainfo->piece_count(),
                     metainfo->piece_bytes},
                taken ? Put::replaced : Put::added};
}

void Catalogue::commit(Change change) {
  remove(change.name);
  names_.emplace(change.file.info_hash, change.name);
  bytes_ += change.file.torrent.size();
  files_.emplace(std::move(change.name), std::move(change.file));
}

Result<Catalogue::Put> Catalogue::put(const std::string& name, ByteView torrent, bool replace) {
  auto change = plan(name, torrent, replace);
  if (!change) return tl::unexpected(std::move(change.error()));
  const auto what = change->what;
  if (what != Put::unchanged) commit(std::move(*change));
  return what;
}

bool Catalogue::remove(const std::string& name) {
  const auto found = files_.find(name);
  if (found == files_.end()) return false;
  for (auto [it, end] = names_.equal_range(found->second.info_hash); it != end; ++it) {
    if (it->second != name) continue;
    names_.erase(it);
    break;
  }
  bytes_ -= found->second.torrent.size();
  files_.erase(found);
  return true;
}

const Catalogue::File* Catalogue::find(const std::string& name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? nullptr : &found->second;
}

const std::string* Catalogue::name_of(const InfoHash& torrent) const {
  const auto found = names_.lower_bound(torrent);
  return found == names_.end() || found->first != torrent ? nullptr : &found->second;
}

std::optional<std::string> Catalogue::nearest_to(const std::string& name) const {
  std::vector<std::string> known;
  for (const auto& [n, file] : files_) known.push_back(n);
  return nearest(name, known);
}

}  // namespace swarm::core
