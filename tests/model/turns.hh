// The turns' naive twin: a table of what each neighbour said last of each piece, and every offer that the rules allow.
#pragma once

#include <algorithm>
#include <climits>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace model {

struct Turns {
  enum class Said { lacking, unwanted, taken, has };
  struct Neighbour {
    bool open = false;
    std::vector<Said> said;
    long misses = 0;
    long under_way() const { return std::count(said.begin(), said.end(), Said::taken); }
    long load() const { return under_way() + misses; }
    bool whole() const {
      return std::all_of(said.begin(), said.end(), [](Said s) { return s == Said::has; });
    }
  };
  explicit Turns(std::uint32_t pieces) : pieces(pieces), mine(pieces), given(pieces) {}

  std::uint32_t pieces;
  std::vector<bool> mine;
  std::vector<std::uint32_t> given;
  std::map<std::uint32_t, Neighbour> neighbours;
  std::set<std::pair<std::uint32_t, std::uint32_t>> turns;   ///< neighbour, piece
  std::set<std::pair<std::uint32_t, std::uint32_t>> to_ask;  ///< of these: not asked for to the end
  std::set<std::pair<std::uint32_t, std::uint32_t>> joined;  ///< taken, and offered all the same

  void say(std::uint32_t who, std::uint32_t piece, Said what) {
    auto& said = neighbours.at(who).said[piece];
    if (said == Said::has && what != Said::has) return;
    to_ask.erase({who, piece});
    if (what != Said::taken) joined.erase({who, piece});
    if (what == Said::taken && turns.contains({who, piece})) joined.insert({who, piece});
    if (turns.erase({who, piece}) > 0 && what != Said::has) {
      --given[piece];
      neighbours.at(who).misses += what == Said::lacking;
    }
    said = what;
  }
  void gone(std::uint32_t who) {
    neighbours.erase(who);
    std::erase_if(turns, [&](const auto& t) { return t.first == who; });
    std::erase_if(to_ask, [&](const auto& t) { return t.first == who; });
    std::erase_if(joined, [&](const auto& t) { return t.first == who; });
  }
  void close(std::uint32_t who) {
    neighbours.at(who).open = false;
    std::erase_if(to_ask, [&](const auto& t) { return t.first == who; });
    for (std::uint32_t p = 0; p < pieces; ++p) {
      if (turns.erase({who, p}) == 0) continue;
      neighbours.at(who).said[p] = Said::lacking;
      joined.erase({who, p});
    }
  }
  void offered(std::uint32_t who, std::uint32_t piece) {
    if (std::exchange(neighbours.at(who).said[piece], Said::taken) == Said::taken) joined.insert({who, piece});
    turns.insert({who, piece});
    to_ask.insert({who, piece});
    ++given[piece];
  }

  std::uint32_t held(std::uint32_t piece) const {
    std::uint32_t n = 0;
    for (const auto& [who, x] : neighbours) n += x.said[piece] == Said::taken || x.said[piece] == Said::has;
    return n;
  }
  bool selective() const {
    return std::count_if(neighbours.begin(), neighbours.end(), [](const auto& n) { return !n.second.whole(); }) >= 2;
  }

  /// What may be offered next, at the moment of all that was offered before.
  std::set<std::pair<std::uint32_t, std::uint32_t>> allowed(long turns_max, long misses_max,
                                                            std::size_t begun_at_a_time) const {
    std::set<std::pair<std::uint32_t, std::uint32_t>> all;
    if (!selective()) return all;
    const auto may = [&](std::uint32_t who, const Neighbour& n) {
      const auto waiting = std::count_if(to_ask.begin(), to_ask.end(), [&](const auto& t) { return t.first == who; });
      return n.open && waiting < turns_max && n.misses < misses_max;
    };
    const auto fits = [&](const Neighbour& n, std::uint32_t p) { return mine[p] && n.said[p] == Said::lacking; };
    const auto joins = [&](std::uint32_t who, const Neighbour& n, std::uint32_t p) {
      return mine[p] && n.said[p] == Said::taken && !turns.contains({who, p}) && !joined.contains({who, p});
    };
    const auto begins = [&](std::uint32_t who, const Neighbour& n) {
      const bool nothing = std::find(n.said.begin(), n.said.end(), Said::has) == n.said.end();
      for (std::uint32_t p = 0; p < pieces; ++p)
        if (nothing && may(who, n) && n.load() == 0 && fits(n, p)) return true;
      return false;
    };
    for (const auto& [who, n] : neighbours)
      if (to_ask.size() >= begun_at_a_time && begins(who, n)) return all;
    long least_load = LONG_MAX, least_to_join = LONG_MAX;
    for (const auto& [who, n] : neighbours) {
      for (std::uint32_t p = 0; p < pieces; ++p) {
        if (may(who, n) && fits(n, p)) least_load = std::min(least_load, n.load());
        if (may(who, n) && joins(who, n, p)) least_to_join = std::min(least_to_join, n.load());
      }
    }
    if (least_load == LONG_MAX && to_ask.empty()) {
      for (const auto& [who, n] : neighbours)
        for (std::uint32_t p = 0; p < pieces; ++p)
          if (may(who, n) && n.load() == least_to_join && joins(who, n, p)) all.insert({who, p});
      return all;
    }
    for (const auto& [who, n] : neighbours) {
      if (!may(who, n) || n.load() != least_load) continue;
      std::pair<std::uint32_t, std::uint32_t> rarest{UINT32_MAX, UINT32_MAX};
      for (std::uint32_t p = 0; p < pieces; ++p)
        if (fits(n, p)) rarest = std::min(rarest, std::pair(held(p), given[p]));
      for (std::uint32_t p = 0; p < pieces; ++p)
        if (fits(n, p) && std::pair(held(p), given[p]) == rarest) all.insert({who, p});
    }
    return all;
  }
};

}  // namespace model
