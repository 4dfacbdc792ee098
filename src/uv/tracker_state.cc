#include "uv/tracker_state.hh"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

#include "base/digest.hh"
#include "base/sha1.hh"
#include "base/text.hh"
#include "disk/small_file.hh"
#include "uv/descriptor.hh"

namespace swarm::uv {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view suffix = ".torrent";
constexpr std::string_view name_suffix = ".name";
constexpr char digest_mark =
    '=';  ///< begins the files of a name that does not fit into a file's: its digest, and beside it the name
constexpr std::size_t file_name_bytes_max = 255;
constexpr std::size_t temporary_bytes = 16;  ///< what replace_file() may put behind a name for a while
constexpr std::size_t torrent_bytes_max = 64u << 20;

Error state_error(std::string_view doing, const std::string& path, const char* reason) {
  return {Exit::disk, "state", fmt::format("cannot {} {}: {}", doing, printable(path), reason),
          "say where the state may be kept with --state"};
}

/// Where the name of a digest's file stands.
std::string name_path(const std::string& folder, const std::string& file) {
  return folder + "/" + file.substr(0, file.size() - suffix.size()) + std::string(name_suffix);
}

std::optional<std::string> name_of(const std::string& folder, const std::string& file) {
  if (!file.ends_with(suffix) || file.starts_with('.')) return std::nullopt;
  if (file.starts_with(digest_mark)) {
    auto name = disk::read_file(name_path(folder, file), 4096);
    return name && state_file_name(*name) == file ? std::optional(std::move(*name)) : std::nullopt;
  }
  const auto raw = percent_decode(std::string_view(file).substr(0, file.size() - suffix.size()));
  if (!raw) return std::nullopt;
  return std::string(as_text(*raw));
}

Result<void> drop(const std::string& folder, const std::string& name) {
  const auto path = folder + "/" + state_file_name(name);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return tl::unexpected(state_error("remove", path, std::strerror(errno)));
  if (state_file_name(name).starts_with(digest_mark)) ::unlink(name_path(folder, state_file_name(name)).c_str());
  const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return tl::unexpected(state_error("sync", folder, std::strerror(errno)));
  return {};
}

Result<void> keep(const std::string& folder, const core::KeepFile& file) {
  const auto base = state_file_name(file.name);
  if (base.starts_with(digest_mark)) {  // the name first: without it the torrent would be nobody's
    if (auto named = disk::replace_file(name_path(folder, base), file.name, 0600); !named) return named;
  }
  return disk::replace_file(folder + "/" + base, as_text(file.torrent), 0600);
}

}  // namespace

std::string state_file_name(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool plain = static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '/' && c != '%' &&
                       ((c != '.' && c != digest_mark) || !out.empty());
    if (plain || c == ' ') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  if (out.size() + suffix.size() + temporary_bytes > file_name_bytes_max)
    out = digest_mark + to_hex(sha1(as_bytes(name)));
  return out.append(suffix);
}

Result<std::vector<KeptFile>> load_state(const std::string& folder) {
  std::error_code error;
  if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) return tl::unexpected(state_error("make the folder", folder, error.message().c_str()));
  if (::access(folder.c_str(), R_OK | W_OK | X_OK) != 0) {
    return tl::unexpected(state_error("write to", folder, std::strerror(errno)));
  }
  std::vector<KeptFile> out;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const auto path = entry->path().string();
    if (auto name = name_of(folder, entry->path().filename().string())) {
      out.push_back({std::move(*name), path, disk::read_file(path, torrent_bytes_max)});
    }
  }
  if (error) return tl::unexpected(state_error("read", folder, error.message().c_str()));
  std::sort(out.begin(), out.end(), [](const KeptFile& a, const KeptFile& b) { return a.name < b.name; });
  return out;
}

Result<void> apply_save(const std::string& folder, const core::TrackerSave& save) {
  if (const auto* kept = std::get_if<core::KeepFile>(&save)) return keep(folder, *kept);
  return drop(folder, std::get<core::DropFile>(save).name);
}

}  // namespace swarm::uv
