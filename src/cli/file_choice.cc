#include "cli/file_choice.hh"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "base/text.hh"
#include "cli/tables.hh"

namespace swarm::cli {

namespace {

bool matches(const std::string& glob, const std::string& path) {
  const auto name = path.substr(path.rfind('/') + 1);
  return ::fnmatch(glob.c_str(), path.c_str(), FNM_LEADING_DIR) == 0 || ::fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

tl::unexpected<Error> no_such_file(const wire::Metainfo& info, const std::string& glob) {
  std::vector<std::string> known;
  for (const auto& file : info.files) {
    if (file.pad) continue;
    known.push_back(path_of(file));
    if (file.path.size() > 1) known.push_back(file.path.back());
  }
  const auto near = nearest(glob, known);
  return fail(Exit::not_found, "no_such_file",
              fmt::format("no file of {} matches '{}'", printable(info.name), printable(glob)),
              near ? fmt::format("Closest: {}", printable(*near)) : "See its files with --list");
}

/// f(number, path, file) for each file that --list shows.
template <class F>
void each_listed(const wire::Metainfo& info, const std::vector<bool>& chosen, F f) {
  std::size_t shown = 0;
  for (std::size_t i = 0; i < info.files.size(); ++i) {
    if (info.files[i].pad) continue;
    ++shown;
    if (chosen.empty() || chosen[i]) f(shown, printable(path_of(info.files[i])), info.files[i]);
  }
}

}  // namespace

std::string path_of(const wire::FileEntry& file) {
  std::string out;
  for (const auto& element : file.path) out += (out.empty() ? "" : "/") + element;
  return out;
}

Result<std::vector<bool>> choose_files(const wire::Metainfo& info, const std::vector<std::string>& globs) {
  std::vector<bool> chosen(info.files.size(), false);
  if (globs.empty()) return std::vector<bool>{};
  std::vector<bool> used(globs.size(), false);
  bool all = true;
  for (std::size_t i = 0; i < info.files.size(); ++i) {
    if (info.files[i].pad) continue;
    const auto path = path_of(info.files[i]);
    for (std::size_t g = 0; g < globs.size(); ++g) {
      if (!matches(globs[g], path)) continue;
      chosen[i] = true;
      used[g] = true;
    }
    all = all && chosen[i];
  }
  const auto unused = std::ranges::find(used, false);
  if (unused != used.end()) return no_such_file(info, globs[static_cast<std::size_t>(unused - used.begin())]);
  if (all) chosen.clear();
  return chosen;
}

Result<std::vector<bool>> choose_files(const wire::Metainfo& info, const std::vector<wire::FileRange>& ranges) {
  std::vector<bool> chosen(info.files.size(), ranges.empty());
  for (const auto& range : ranges) {
    for (std::size_t i = range.first; i < chosen.size() && i <= range.last; ++i) chosen[i] = !info.files[i].pad;
  }
  bool all = true, none = true;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (info.files[i].pad) continue;
    all = all && chosen[i];
    none = none && !chosen[i];
  }
  if (all) return std::vector<bool>();
  if (!none) return chosen;
  return fail(Exit::not_found, "no_such_file",
              fmt::format("the magnet link chooses files that {} does not have", printable(info.name)),
              "Choose with -f; --list shows what there is");
}

ChosenSize size_of(const wire::Metainfo& info, const std::vector<bool>& chosen) {
  ChosenSize out;
  each_listed(info, chosen, [&](std::size_t, const std::string&, const wire::FileEntry& file) {
    out.bytes += file.length;
    ++out.files;
  });
  return out;
}

Bitfield pieces_of(const wire::Metainfo& info, const std::vector<bool>& chosen) {
  Bitfield out(info.piece_count(), chosen.empty());
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < info.files.size(); at += info.files[i++].length) {
    if (chosen.empty() || !chosen[i] || info.files[i].length == 0) continue;
    const auto last = (at + info.files[i].length - 1) / info.piece_bytes;
    for (auto p = at / info.piece_bytes; p <= last; ++p) out.set(static_cast<std::size_t>(p));
  }
  return out;
}

std::vector<std::string> file_table(const wire::Metainfo& info, const std::vector<bool>& chosen, const Look& look) {
  std::vector<std::vector<std::string>> rows;
  each_listed(info, chosen, [&](std::size_t number, const std::string& path, const wire::FileEntry& file) {
    rows.push_back({fmt::format("{}", number), size_text(file.length), path});
  });
  return table({{"#", 0, 1}, {"SIZE", 9, 0}, {"FILE", 0, 0, true}}, std::move(rows), look);
}

std::vector<std::string> file_rows(const wire::Metainfo& info, const std::vector<bool>& chosen) {
  std::vector<std::string> out;
  each_listed(info, chosen, [&](std::size_t number, const std::string& path, const wire::FileEntry& file) {
    out.push_back(fmt::format("{}\t{}\t{}", number, file.length, path));
  });
  return out;
}

}  // namespace swarm::cli
