#include "cli/piece_ranges.hh"

#include <cJSON.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/text.hh"
#include "cli/tables.hh"

namespace swarm::cli {

namespace {

/// By holder; nothing where it is not known.
std::vector<std::optional<Bitfield>> bitmaps(const wire::PieceHolders& p) {
  std::vector<std::optional<Bitfield>> out;
  for (const auto& h : p.holders) {
    if (h.whole) {
      out.emplace_back(Bitfield(p.pieces, true));
    } else {
      out.push_back(h.have ? Bitfield::from(*h.have, p.pieces) : std::nullopt);
    }
  }
  return out;
}

std::string names(const wire::PieceHolders& p, const PieceRange& range, std::string_view between) {
  std::string out;
  for (const auto i : range.holders) out += (out.empty() ? "" : std::string(between)) + printable(p.holders[i].name);
  return out;
}

std::string quoted(const std::string& text) {
  const std::unique_ptr<cJSON, void (*)(cJSON*)> item(
      cJSON_CreateString((is_utf8(text) ? text : printable(text)).c_str()), cJSON_Delete);
  const std::unique_ptr<char, void (*)(void*)> out(cJSON_PrintUnformatted(item.get()), cJSON_free);
  return out ? out.get() : "\"\"";
}

}  // namespace

std::vector<PieceRange> piece_ranges(const wire::PieceHolders& p) {
  const auto held = bitmaps(p);
  std::vector<bool> begins(p.pieces, false);  // where any bitmap changes
  if (p.pieces != 0) begins[0] = true;
  for (const auto& bits : held) {
    if (!bits) continue;
    bool value = p.pieces != 0 && (*bits)[std::size_t{0}];
    for (auto at = bits->find(!value); at < bits->size(); at = bits->find(!value, at)) {
      begins[at] = true;
      value = !value;
    }
  }
  std::vector<PieceRange> out;
  for (std::uint32_t i = 0; i < p.pieces; ++i) {
    if (!begins[i]) {
      ++out.back().count;
      continue;
    }
    out.push_back({i, 1, {}});
    for (std::uint32_t h = 0; h < held.size(); ++h) {
      if (held[h] && (*held[h])[std::size_t{i}]) out.back().holders.push_back(h);
    }
  }
  return out;
}

std::string runs_text(const Bitfield& pieces) {
  constexpr std::size_t runs_told = 5;
  std::string out;
  std::size_t told = 0, runs = 0;
  for (auto first = pieces.find(true); first < pieces.size();) {
    const auto end = pieces.find(false, first);
    if (++runs > runs_told) break;
    told += end - first;
    out += fmt::format("{}{}", out.empty() ? "" : ", ", first);
    if (end - first > 1) out += fmt::format("-{}", end - 1);
    first = pieces.find(true, end);
  }
  return told == pieces.count() ? out : fmt::format("{} and {} more", out, pieces.count() - told);
}

std::vector<std::string> piece_table(const wire::PieceHolders& p, const Look& look) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& r : piece_ranges(p)) {
    const auto pieces =
        r.count == 1 ? fmt::format("{}", r.first) : fmt::format("{}-{}", r.first, r.first + r.count - 1);
    rows.push_back({pieces, fmt::format("{}", r.count), fmt::format("{}", r.holders.size()),
                    r.holders.empty() ? "nobody" : names(p, r, ", ")});
  }
  return table({{"PIECES", 0, 0}, {"COUNT", 0, 1}, {"COPIES", 0, 0}, {"HELD BY", 0, 0, true}}, std::move(rows), look);
}

std::vector<std::string> piece_rows(const wire::PieceHolders& p) {
  std::vector<std::string> out;
  for (const auto& r : piece_ranges(p)) {
    out.push_back(fmt::format("{}\t{}\t{}\t{}", r.first, r.first + r.count - 1, r.holders.size(), names(p, r, ",")));
  }
  return out;
}

std::string pieces_json(const wire::PieceHolders& p) {
  std::string holders, ranges;
  for (const auto& h : p.holders) {
    holders += fmt::format(R"({}{{"id":{},"name":{},"addr":{},"whole":{}}})", holders.empty() ? "" : ",", quoted(h.id),
                           quoted(h.name), quoted(h.address), h.whole);
  }
  for (const auto& r : piece_ranges(p)) {
    std::string ids;
    for (const auto i : r.holders) ids += (ids.empty() ? "" : ",") + quoted(p.holders[i].id);
    ranges += fmt::format(R"({}{{"first":{},"count":{},"copies":{},"holders":[{}]}})", ranges.empty() ? "" : ",",
                          r.first, r.count, r.holders.size(), ids);
  }
  return fmt::format(R"({{"v":1,"infohash":"{}","name":{},"pieces":{},"holders":[{}],"ranges":[{}]}})",
                     to_hex(p.info_hash), quoted(p.name), p.pieces, holders, ranges);
}

}  // namespace swarm::cli
