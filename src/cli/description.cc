#include "cli/description.hh"

#include <cJSON.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

#include "base/bitfield.hh"
#include "base/check.hh"
#include "base/text.hh"
#include "cli/file_choice.hh"
#include "cli/torrent_finder.hh"
#include "disk/checkpoint.hh"
#include "wire/magnet.hh"

namespace swarm::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t files_shown = 20;

Description of_torrent(const wire::Metainfo& m) {
  Description d;
  d.name = m.name;
  d.info_hash = m.info_hash;
  d.bytes = m.bytes_total;
  d.piece_bytes = m.piece_bytes;
  d.pieces = m.piece_count();
  d.is_private = m.is_private;
  d.comment = m.comment;
  d.trackers = m.trackers;
  d.web_seeds = m.web_seeds;
  d.files.emplace();
  for (const auto& file : m.files) {
    if (!file.pad) d.files->push_back({path_of(file), file.length});
  }
  return d;
}

Description of_magnet(const wire::Magnet& m) {
  Description d;
  d.name = m.name;
  d.info_hash = m.info_hash;
  d.trackers = tiers_of(m);
  d.web_seeds = m.web_seeds;
  return d;
}

/// Of the bytes, not of the pieces: the last piece may be short.
double percent_of(const Bitfield& pieces, std::uint64_t bytes, std::uint32_t piece_bytes) {
  if (bytes == 0 || pieces.size() == 0 || pieces.all()) return 100;
  const auto last_bytes = bytes - std::uint64_t{piece_bytes} * (pieces.size() - 1);
  auto done = std::uint64_t{piece_bytes} * pieces.count();
  if (pieces[pieces.size() - 1]) done = done - piece_bytes + last_bytes;
  return std::floor(static_cast<double>(done) / static_cast<double>(bytes) * 1000) / 10;
}

Description of_progress(const disk::Checkpoint& c) {
  Description d;
  d.name = c.name;
  d.info_hash = c.info_hash;
  d.bytes = c.bytes_total;
  d.piece_bytes = c.piece_bytes;
  d.pieces = static_cast<std::uint32_t>(c.verified.size());
  d.trackers = c.trackers;
  d.progress = {static_cast<std::uint32_t>(c.verified.count()),
                static_cast<std::uint32_t>(c.durable.count()),
                percent_of(c.verified, c.bytes_total, c.piece_bytes),
                percent_of(c.durable, c.bytes_total, c.piece_bytes),
                c.clean,
                c.bytes_down,
                c.bytes_up};
  return d;
}

/// A .torrent begins with 'd', a progress.json with '{'.
bool looks_like_json(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return file.get() == '{';
}

struct Free {
  void operator()(cJSON* tree) const { cJSON_Delete(tree); }
  void operator()(char* text) const { cJSON_free(text); }
};
using Json = std::unique_ptr<cJSON, Free>;

Json text_json(const std::string& t) { return Json(cJSON_CreateString((is_utf8(t) ? t : printable(t)).c_str())); }
/// As text, for cJSON's numbers are doubles.
Json raw_json(const std::string& digits) { return Json(cJSON_CreateRaw(digits.c_str())); }
template <class Number>
Json number_json(const std::optional<Number>& n) {
  return n ? raw_json(fmt::format("{}", *n)) : Json(cJSON_CreateNull());
}
template <class Items, class One>
Json list_json(const Items& items, One one) {
  Json list(cJSON_CreateArray());
  for (const auto& item : items) SWARM_CHECK(cJSON_AddItemToArray(list.get(), one(item).release()));
  return list;
}
void put(const Json& object, const char* key, Json value) {
  SWARM_CHECK(cJSON_AddItemToObjectCS(object.get(), key, value.release()));
}
Json texts_json(const std::vector<std::string>& texts) { return list_json(texts, text_json); }

Json torrent_json(const Description& d) {
  Json t(cJSON_CreateObject());
  put(t, "name", text_json(d.name));
  put(t, "infohash", text_json(to_hex(d.info_hash)));
  put(t, "bytes", number_json(d.bytes));
  put(t, "piece_bytes", number_json(d.piece_bytes));
  put(t, "pieces", number_json(d.pieces));
  put(t, "private", Json(d.is_private ? cJSON_CreateBool(*d.is_private ? 1 : 0) : cJSON_CreateNull()));
  put(t, "comment", d.comment ? text_json(*d.comment) : Json(cJSON_CreateNull()));
  put(t, "trackers", list_json(d.trackers, texts_json));
  put(t, "web_seeds", texts_json(d.web_seeds));
  const auto file_json = [](const Description::File& f) {
    Json file(cJSON_CreateObject());
    put(file, "path", text_json(f.path));
    put(file, "bytes", raw_json(fmt::format("{}", f.bytes)));
    return file;
  };
  put(t, "files", d.files ? list_json(*d.files, file_json) : Json(cJSON_CreateNull()));
  return t;
}

Json progress_json(const Description::Progress& p) {
  Json out(cJSON_CreateObject());
  put(out, "percent_verified", raw_json(fmt::format("{:.1f}", p.percent_verified)));
  put(out, "percent_durable", raw_json(fmt::format("{:.1f}", p.percent_durable)));
  put(out, "pieces_verified", raw_json(fmt::format("{}", p.verified)));
  put(out, "pieces_durable", raw_json(fmt::format("{}", p.durable)));
  put(out, "clean", Json(cJSON_CreateBool(p.clean ? 1 : 0)));
  put(out, "bytes_down", raw_json(fmt::format("{}", p.bytes_down)));
  put(out, "bytes_up", raw_json(fmt::format("{}", p.bytes_up)));
  return out;
}

}  // namespace

bool is_describable(const std::string& what, bool have_tracker) {
  if (wire::is_magnet(what)) return true;
  const bool like_a_file = what.ends_with(".torrent") || what.ends_with(".json") || what.find('/') != what.npos;
  std::error_code none;
  return fs::exists(what, none) ? like_a_file || !have_tracker : like_a_file && !have_tracker;
}

Result<Description> describe(const std::string& what) {
  if (wire::is_magnet(what)) {
    const auto magnet = wire::parse_magnet(what);
    if (!magnet) return tl::unexpected(magnet.error());
    return of_magnet(*magnet);
  }
  if (looks_like_json(what)) {
    const auto progress = disk::read_checkpoint(what);
    if (!progress) return tl::unexpected(progress.error());
    return of_progress(*progress);
  }
  const auto torrent = read_torrent(what);
  if (!torrent) return tl::unexpected(torrent.error());
  return of_torrent(*torrent);
}

std::string description_json(const Description& d) {
  Json out(cJSON_CreateObject());
  put(out, "v", raw_json("1"));
  put(out, "torrent", torrent_json(d));
  if (d.progress) put(out, "progress", progress_json(*d.progress));
  const std::unique_ptr<char, Free> text(cJSON_PrintUnformatted(out.get()));
  SWARM_CHECK(text != nullptr);
  return text.get();
}

std::vector<std::string> description_lines(const Description& d, const Look& look) {
  std::vector<std::string> out;
  const auto line = [&](std::string_view head, const std::string& text) {
    out.push_back(fit(fmt::format("{:<10}  {}", head, text), look.width, look.utf8));
  };
  line("name", d.name.empty() ? "-" : printable(d.name));
  line("info-hash", to_hex(d.info_hash));
  if (d.bytes) line("size", fmt::format("{} ({} bytes)", size_text(*d.bytes), *d.bytes));
  if (d.pieces && d.piece_bytes) {
    line("pieces", fmt::format("{} x {}", *d.pieces, piece_bytes_text(*d.piece_bytes)));
  }
  if (d.is_private.value_or(false)) line("private", "yes: peers come from its trackers only");
  if (d.comment && !d.comment->empty()) line("comment", printable(*d.comment));
  if (d.progress) {
    const auto& p = *d.progress;
    line("verified", fmt::format("{:.1f}% ({} of {} pieces)", p.percent_verified, p.verified, d.pieces.value_or(0)));
    line("durable", fmt::format("{:.1f}% ({} of {} pieces)", p.percent_durable, p.durable, d.pieces.value_or(0)));
    line("stopped", p.clean ? "cleanly" : "not yet, or by a crash");
  }
  for (std::size_t i = 0; i < d.trackers.size(); ++i) {
    for (const auto& url : d.trackers[i])
      line(i == 0 && &url == d.trackers[i].data() ? "trackers" : "", printable(url));
  }
  for (const auto& url : d.web_seeds) line(&url == d.web_seeds.data() ? "web seeds" : "", printable(url));
  if (!d.files) return out;
  for (std::size_t i = 0; i < std::min(d.files->size(), files_shown); ++i) {
    const auto& f = (*d.files)[i];
    line(i == 0 ? "files" : "", fmt::format("{:>10}  {}", size_text(f.bytes), printable(f.path)));
  }
  if (d.files->size() > files_shown) line("", fmt::format("and {} more", d.files->size() - files_shown));
  return out;
}

}  // namespace swarm::cli
