#include "cli/tables.hh"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/text.hh"
#include "cli/options.hh"

namespace swarm::cli {

namespace {

constexpr std::size_t cut_width = 12;

std::string seen_text(double seconds) {
  if (seconds < 3) return "now";
  if (seconds < 120) return fmt::format("{:.0f}s", seconds);
  return fmt::format("{:.0f}m", seconds / 60);
}

std::string get_with(const wire::StatusFile& f, const std::string& tracker) {
  if (!f.catalogued) return f.magnet.empty() ? "-" : f.magnet;
  return fmt::format("swarm get {}{}", shell_quoted({f.name}), tracker.empty() ? "" : " -t " + tracker);
}

/// One cell of a tab-separated row: nothing in it may end the cell or the line.
std::string cell(const std::string& text) { return printable(text); }

std::string tabbed(const std::vector<std::string>& cells) {
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) out += (i == 0 ? "" : "\t") + cells[i];
  return out;
}

}  // namespace

std::vector<std::string> table(std::vector<Column> heads, std::vector<std::vector<std::string>> rows,
                               const Look& look) {
  std::vector<std::size_t> widths;
  const auto measure = [&] {
    widths.clear();
    for (std::size_t i = 0; i < heads.size(); ++i) {
      auto width = std::max(columns(heads[i].title), heads[i].width_min);
      for (const auto& row : rows) width = std::max(width, columns(row[i]));
      widths.push_back(width);
    }
    return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + 2 * (heads.size() - 1);
  };
  const auto cut_to = [&](std::size_t width) {
    for (std::size_t i = 0; i < heads.size(); ++i) {
      if (!heads[i].cut) continue;
      for (auto& row : rows) row[i] = fit(row[i], width, look.utf8);
    }
  };
  for (std::size_t width = 60; width >= cut_width && measure() > look.width; width -= 12) cut_to(width);
  while (measure() > look.width) {
    const auto worst = std::ranges::max_element(heads, {}, &Column::drop);
    if (worst->drop == 0) break;
    const auto at = worst - heads.begin();
    heads.erase(worst);
    for (auto& row : rows) row.erase(row.begin() + at);
  }
  std::vector<std::string> lines;
  const auto draw = [&](const auto& text_of, Paint paint) {
    std::string line;
    for (std::size_t i = 0; i < heads.size(); ++i) {
      const std::string& text = text_of(i);
      line += text;
      if (i + 1 < heads.size()) line.append(widths[i] - std::min(widths[i], columns(text)) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(painted(fit(line, look.width, look.utf8), paint, look));
  };
  draw([&](std::size_t i) -> const std::string& { return heads[i].title; }, Paint::bold);
  for (const auto& row : rows) draw([&](std::size_t i) -> const std::string& { return row[i]; }, Paint::none);
  return lines;
}

std::vector<std::string> status_tables(const wire::Status& s, const StatusWanted& wanted, const Look& look) {
  std::vector<std::string> out;
  if (wanted.nodes) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& n : s.nodes) {
      for (const auto& f : n.files) {
        rows.push_back({printable(n.name), printable(n.role), n.address, printable(f.name),
                        percent_text(f.percent / 100), rate_text(f.rate_down), rate_text(f.rate_up),
                        fmt::format("{}", f.peers), seen_text(n.seen_s)});
      }
      if (n.files.empty()) {
        rows.push_back({printable(n.name), printable(n.role), n.address, "-", "-", "-", "-", "-", seen_text(n.seen_s)});
      }
    }
    if (rows.empty()) {
      out.push_back(fit("no nodes: nobody shares or downloads", look.width, look.utf8));
    } else {
      out = table({{"NODE", 8, 0, true},
                   {"ROLE", 7, 3},
                   {"ADDRESS", 15, 7},
                   {"FILE", 0, 4, true},
                   {"DONE", 6, 0},
                   {"DOWN", 11, 2},
                   {"UP", 11, 5},
                   {"PEERS", 0, 6},
                   {"SEEN", 0, 8}},
                  std::move(rows), look);
    }
    if (wanted.files) out.emplace_back();
  }
  if (wanted.files) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& f : s.files) {
      rows.push_back({printable(f.name), size_text(f.bytes), fmt::format("{}", f.pieces),
                      fmt::format("{:.2f}", f.copies), fmt::format("{}", f.seeders), fmt::format("{}", f.leechers),
                      printable(get_with(f, wanted.tracker))});
    }
    if (rows.empty()) {
      out.push_back(fit(fmt::format("no files: share one with 'swarm seed PATH -t {}'",
                                    wanted.tracker.empty() ? "HOST" : wanted.tracker),
                        look.width, look.utf8));
    } else {
      const auto files = table({{"FILE", 0, 0, true},
                                {"SIZE", 9, 2},
                                {"PIECES", 0, 6},
                                {"COPIES", 0, 1},
                                {"SEEDERS", 0, 3},
                                {"LEECHERS", 0, 4},
                                {"GET WITH", 0, 5}},
                               std::move(rows), look);
      out.insert(out.end(), files.begin(), files.end());
    }
  }
  return out;
}

std::vector<std::string> status_rows(const wire::Status& s, const StatusWanted& wanted) {
  std::vector<std::string> out;
  if (wanted.nodes) {
    for (const auto& n : s.nodes) {
      for (const auto& f : n.files) {
        out.push_back(
            tabbed({cell(n.name), cell(n.role), cell(n.address), cell(f.name), fmt::format("{:.1f}", f.percent),
                    fmt::format("{:.0f}", f.rate_down), fmt::format("{:.0f}", f.rate_up), fmt::format("{}", f.peers),
                    fmt::format("{:.0f}", n.seen_s)}));
      }
    }
    if (wanted.files) out.emplace_back();
  }
  if (wanted.files) {
    for (const auto& f : s.files) {
      out.push_back(tabbed({cell(f.name), fmt::format("{}", f.bytes), fmt::format("{}", f.pieces),
                            fmt::format("{:.2f}", f.copies), fmt::format("{}", f.seeders),
                            fmt::format("{}", f.leechers), cell(get_with(f, wanted.tracker))}));
    }
  }
  return out;
}

}  // namespace swarm::cli
