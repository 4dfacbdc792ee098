#include "cli/places.hh"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/text.hh"

namespace swarm::cli {

namespace fs = std::filesystem;

namespace {

/// An XDG folder: the variable when it is absolute (the specification ignores others), else below the home.
std::string xdg(const Environment& environment, const char* variable, std::string_view below_home) {
  if (const auto value = environment(variable); value && value->starts_with('/')) return *value;
  const auto home = environment("HOME");
  return home && home->starts_with('/') ? fmt::format("{}/{}", *home, below_home) : std::string();
}

}  // namespace

Environment real_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string seed_cache_folder(const Environment& environment) {
  const auto cache = xdg(environment, "XDG_CACHE_HOME", ".cache");
  return cache.empty() ? cache : cache + "/swarm/seeds";
}

Result<std::string> tracker_state_folder(const Options& options, const Environment& environment) {
  if (!options.state.empty()) return options.state;
  if (const auto systemd = environment("STATE_DIRECTORY"); systemd && !systemd->empty()) {
    return systemd->substr(0, systemd->find(':'));
  }
  const auto state = xdg(environment, "XDG_STATE_HOME", ".local/state");
  if (state.empty()) {
    return fail(Exit::usage, "no_state", "no folder for the catalogue: HOME is not set", "Say where: --state DIR");
  }
  return state + "/swarm/tracker";
}

std::string target_path(const Options& options, const std::string& name) {
  std::error_code none;
  if (options.output.empty()) return fmt::format("{}/{}", options.dir.empty() ? "." : options.dir, name);
  if (options.output.ends_with('/')) return options.output + name;
  if (fs::is_directory(options.output, none)) return fmt::format("{}/{}", options.output, name);
  return options.output.find('/') == std::string::npos ? "./" + options.output : options.output;
}

std::string numbered_path(const std::string& path, unsigned number, bool folder) {
  const fs::path p(path);
  const auto stem = folder ? p.filename().string() : p.stem().string();
  const auto extension = folder ? std::string() : p.extension().string();
  return (p.parent_path() / fmt::format("{} ({}){}", stem, number, extension)).string();
}

std::string absolute_path(const std::string& path) {
  std::error_code failed;
  const auto absolute = fs::absolute(path, failed).lexically_normal();
  return failed ? path : absolute.string();
}

Result<std::vector<std::string>> make_parent(const std::string& path) {
  const auto parent = fs::path(path).parent_path();
  std::error_code failed;
  std::vector<std::string> made;
  for (auto p = parent; !p.empty() && !fs::exists(p, failed); p = p.parent_path())
    made.insert(made.begin(), p.string());
  failed.clear();
  if (!parent.empty()) fs::create_directories(parent, failed);
  if (failed && !fs::is_directory(parent)) {
    return fail(Exit::disk, "cannot_make_folder",
                fmt::format("cannot make {}: {}", printable(parent.string()), failed.message()));
  }
  const auto folder = parent.empty() ? std::string(".") : parent.string();
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    const auto why = std::error_code(errno, std::generic_category()).message();
    return fail(Exit::disk, "cannot_write", fmt::format("cannot save into {}: {}", printable(folder), why),
                "Choose another folder with -d");
  }
  return made;
}

void remove_folders(const std::vector<std::string>& made) {
  for (auto folder = made.rbegin(); folder != made.rend(); ++folder) {
    if (::rmdir(folder->c_str()) != 0) return;
  }
}

DescriptorShare descriptor_share() {
  constexpr rlim_t others = 32;  // the loop, the log, trackers, the listener
  DescriptorShare share;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return share;
  const auto left = limit.rlim_cur > others ? limit.rlim_cur - others : 0;
  share.files = std::clamp<rlim_t>(left / 4, 4, share.files);
  share.sockets =
      static_cast<std::uint32_t>(std::clamp<rlim_t>(left - std::min<rlim_t>(left, share.files), 4, share.sockets));
  return share;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == 0) return "localhost";
  return name.data();
}

}  // namespace swarm::cli
