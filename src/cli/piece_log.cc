#include "cli/piece_log.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hh"
#include "core/torrent/web_seeds.hh"

namespace swarm::cli {

namespace {

constexpr Duration between_lines = 100ms;  // rule 3

std::string heading(std::string_view clock, const std::string& node, const std::string& name, const Look& look) {
  auto out = painted(clock, Paint::dim, look);
  for (const auto& part : {node, name}) {
    if (!part.empty()) out += fmt::format("  {}", printable(part));
  }
  return out;
}

std::string run_text(std::uint32_t first, std::uint32_t last) {
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

}  // namespace

PieceLog::PieceLog(Pieces which) : which_(which) {}

void PieceLog::add(PieceCheck check) {
  if (which_ == Pieces::none || check.count == 0 || (check.ok && which_ == Pieces::failures)) return;
  if (!check.ok || which_ == Pieces::all) {
    at_once_.push_back(std::move(check));
    return;
  }
  Key key{std::move(check.node), check.alone ? std::string() : std::move(check.name)};
  auto [at, is_new] = waiting_.try_emplace(key);
  if (is_new) order_.push_back(std::move(key));
  join(at->second, check.first, check.first + check.count - 1);
  at->second.count += check.count;
  if (check.on_disk) at->second.on_disk += check.count;
}

void PieceLog::join(Runs& into, std::uint32_t first, std::uint32_t last) {
  auto& runs = into.runs;
  auto next = runs.upper_bound(first);
  if (next != runs.begin()) {
    const auto before = std::prev(next);
    if (before->second + 1 >= first) {
      first = before->first;
      last = std::max(last, before->second);
      next = runs.erase(before);
    }
  }
  while (next != runs.end() && next->first <= last + 1) {
    last = std::max(last, next->second);
    next = runs.erase(next);
  }
  runs.emplace(first, last);
}

std::vector<std::string> PieceLog::take(Instant now, std::string_view clock, const Look& look) {
  std::vector<std::string> lines;
  for (const auto& check : at_once_) lines.push_back(piece_line(check, clock, look));
  at_once_.clear();
  if (!order_.empty() && now >= next_line_) {
    const auto at = waiting_.find(order_.front());
    lines.push_back(joined_line(at->first, at->second, clock, look));
    waiting_.erase(at);
    order_.pop_front();
    next_line_ = now + between_lines;
  }
  return lines;
}

std::vector<std::string> PieceLog::rest(std::string_view clock, const Look& look) {
  std::vector<std::string> lines;
  for (const auto& check : at_once_) lines.push_back(piece_line(check, clock, look));
  for (const auto& key : order_) lines.push_back(joined_line(key, waiting_.at(key), clock, look));
  at_once_.clear();
  waiting_.clear();
  order_.clear();
  return lines;
}

std::string PieceLog::joined_line(const Key& key, const Runs& runs, std::string_view clock, const Look& look) const {
  const auto front = heading(clock, key.first, key.second, look);
  std::string back = "  sha1 ok";
  if (runs.count > 1) back += fmt::format(" ({}{})", runs.count, runs.on_disk == runs.count ? ", on disk" : "");
  if (runs.count == 1 && runs.on_disk == 1) back += " (on disk)";
  // As many runs as the width takes; the count says how many there were.
  const auto taken = columns(clock) + columns(key.first) + columns(key.second) + back.size() + 18;
  const std::size_t room = look.width > taken + 8 ? look.width - taken : 8;
  std::string list;
  for (const auto& [first, last] : runs.runs) {
    const auto text = run_text(first, last);
    if (!list.empty() && list.size() + 2 + text.size() > room) {
      list += look.utf8 ? ", …" : ", ...";
      break;
    }
    list += (list.empty() ? "" : ", ") + text;
  }
  const bool one = runs.count == 1;
  return fmt::format("{}  {} {}{}", front, one ? "piece" : "pieces", list, painted(back, Paint::good, look));
}

std::string piece_line(const PieceCheck& check, std::string_view clock, const Look& look) {
  auto line = heading(clock, check.node, check.alone ? std::string() : check.name, look);
  line += fmt::format("  {} {}", check.count == 1 ? "piece" : "pieces",
                      run_text(check.first, check.first + check.count - 1));
  if (check.ok) {
    line += "  ";
    line += painted(check.count == 1 ? "sha1 ok" : fmt::format("sha1 ok ({})", check.count), Paint::good, look);
    return check.on_disk ? line + "  on disk" : line;
  }
  line += "  ";
  line += painted("sha1 MISMATCH", Paint::bad, look);
  std::string from;
  for (const auto& peer : check.from) from += (from.empty() ? " from " : " and ") + sender_text(peer);
  return line + (from.empty() && check.on_disk ? " on disk" : from) + ", fetching it again";
}

std::string sender_text(const Endpoint& sender) {
  const auto web_seed = core::web_seed_number(sender);
  return web_seed ? fmt::format("web seed {}", *web_seed + 1) : sender.text();
}

}  // namespace swarm::cli
