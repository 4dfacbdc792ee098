#include "cli/simulation.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hh"
#include "cli/chart.hh"
#include "cli/tables.hh"

namespace swarm::cli {

namespace {

std::string ratio_text(double seconds, double bound) {
  return bound > 0 ? fmt::format("{:.3f}", seconds / bound) : "-";
}

std::string head_line(const SimulationNow& now, const Look& look) {
  std::vector<Part> parts{{fmt::format("simulated {:.2f} s", now.seconds), 0, Paint::bold},
                          {percent_text(now.sample.mean)},
                          {fmt::format("{:.0f}% of the nodes whole", 100 * now.sample.whole), 1},
                          {fmt::format("{:.2f} copies", now.status.files.front().copies), 2}};
  if (now.real_seconds > 0) parts.push_back({fmt::format("{:.1f} x real time", now.seconds / now.real_seconds), 3});
  if (!now.policy.empty()) parts.push_back({"policy " + now.policy, 1});
  return line_of(std::move(parts), look);
}

/// One row for all nodes of a kind: the least, the median and the most of what they have, and what each moves on average.
std::vector<std::string> kind_row(const std::string& kind, std::vector<const wire::StatusNodeFile*> files) {
  std::ranges::sort(files, {}, &wire::StatusNodeFile::percent);
  double down = 0, up = 0, peers = 0;
  for (const auto* f : files) down += f->rate_down, up += f->rate_up, peers += f->peers;
  const auto count = static_cast<double>(files.size());
  const auto done = [&](std::size_t at) { return percent_text(files[at]->percent / 100); };
  return {kind,
          fmt::format("{}", files.size()),
          done(0),
          done(files.size() / 2),
          done(files.size() - 1),
          rate_text(down / count),
          rate_text(up / count),
          fmt::format("{:.1f}", peers / count)};
}

std::vector<std::string> kinds_table(const wire::Status& status, const Look& look) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [role, kind] : {std::pair{"seeder", "whole"}, {"leecher", "downloading"}}) {
    std::vector<const wire::StatusNodeFile*> files;
    for (const auto& node : status.nodes) {
      if (node.role == role && !node.files.empty()) files.push_back(&node.files.front());
    }
    if (!files.empty()) rows.push_back(kind_row(kind, std::move(files)));
  }
  return table({{"NODES", 11, 0},
                {"COUNT", 0, 1},
                {"LEAST", 6, 2},
                {"MEDIAN", 6, 0},
                {"MOST", 6, 2},
                {"DOWN EACH", 11, 3},
                {"UP EACH", 11, 4},
                {"PEERS", 0, 5}},
               std::move(rows), look);
}

}  // namespace

std::vector<std::string> simulation_lines(const SimulationNow& now, std::size_t rows, const Look& look) {
  auto lines = now.status.nodes.size() + 3 <= rows ? status_tables(now.status, {true, false, {}}, look)
                                                   : kinds_table(now.status, look);
  lines.push_back(head_line(now, look));
  return lines;
}

std::string plain_simulation_line(const SimulationNow& now) {
  return fmt::format("simulated {:.2f} s: {} {:.0f}% of the nodes whole{}", now.seconds, percent_text(now.sample.mean),
                     100 * now.sample.whole, now.policy.empty() ? "" : " policy " + now.policy);
}

std::vector<std::string> plan_lines(const sim::Plan& plan, const Look& look) {
  const auto pieces = (plan.bytes_total + plan.piece_bytes - 1) / plan.piece_bytes;
  std::string first =
      fmt::format("{}, {}, {} in {} x {}", counted(plan.nodes(), "node", "nodes"), counted(plan.seeds, "seed", "seeds"),
                  size_text(plan.bytes_total), counted(pieces, "piece", "pieces"), piece_bytes_text(plan.piece_bytes));
  const auto line = [](std::uint64_t rate) { return rate == 0 ? "no limit" : rate_text(static_cast<double>(rate)); };
  const std::string second =
      plan.profile
          ? fmt::format("lines: profile {}", printable(plan.profile->name))
          : fmt::format(
                "lines: {} up, {} down, {} ms round trip{}{}", line(plan.line.up_rate), line(plan.line.down_rate),
                4 * seconds(plan.line.delay) * 1000,
                plan.line.jitter > Duration{} ? fmt::format(", {} ms jitter", seconds(plan.line.jitter) * 1000) : "",
                plan.line.loss > 0 ? fmt::format(", {} % loss", plan.line.loss * 100) : "");
  std::vector<std::string> out{fit(first, look.width, look.utf8), fit(second, look.width, look.utf8)};
  std::vector<std::string> more;
  if (plan.liars > 0) more.push_back(counted(plan.liars, "liar", "liars"));
  if (plan.free_riders > 0) more.push_back(counted(plan.free_riders, "free rider", "free riders"));
  if (plan.slow > 0) more.push_back(counted(plan.slow, "slow node", "slow nodes"));
  if (plan.churn > 0) more.push_back(fmt::format("churn {:g} %/min", plan.churn));
  if (plan.crash > 0) more.push_back(fmt::format("crashes {:g} %/min", plan.crash));
  if (!plan.faults.empty()) more.push_back(counted(plan.faults.size(), "planned fault", "planned faults"));
  if (!more.empty()) out.push_back(fit(fmt::format("with: {}", fmt::join(more, ", ")), look.width, look.utf8));
  return out;
}

std::vector<std::string> summary_lines(const std::vector<SimulationResult>& results, const Look& look) {
  std::vector<Column> heads{{"", 10, 0}};
  std::vector<std::vector<std::string>> rows{{"first whole"}, {"median"},     {"last whole"}, {"bound"},
                                             {"whole"},       {"seeds sent"}, {"wasted"}};
  bool riders = false;
  for (const auto& result : results) riders = riders || result.report.free_riders > 0;
  if (riders) rows.insert(rows.begin() + 5, std::vector<std::string>{"free riders"});
  for (const auto& result : results) {
    const sim::Report& r = result.report;
    heads.push_back({result.policy.empty() ? "TIME" : result.policy, 9, 0});
    heads.push_back({"X BOUND", 0, 1});
    std::size_t at = 0;
    const auto row = [&](std::string value, std::string beside = {}) {
      rows[at].push_back(std::move(value));
      rows[at++].push_back(std::move(beside));
    };
    const auto time = [&](double seconds) {
      if (r.finished == 0) return row("-");
      row(fmt::format("{:.3f} s", seconds), ratio_text(seconds, r.bound_seconds));
    };
    time(r.first_seconds);
    time(r.median_seconds);
    time(r.last_seconds);
    row(fmt::format("{:.3f} s", r.bound_seconds), "1.000");
    row(fmt::format("{} of {}", r.finished, r.downloaders));
    if (riders) {
      row(r.free_riders_finished == 0 ? fmt::format("0 of {}", r.free_riders)
                                      : fmt::format("{:.3f} s", r.free_riders_median_seconds),
          r.free_riders_finished == 0 ? "" : ratio_text(r.free_riders_median_seconds, r.bound_seconds));
    }
    row(fmt::format("{:.2f} copies", r.seed_copies));
    const double share =
        r.payload_received == 0 ? 0 : static_cast<double>(r.payload_wasted) / static_cast<double>(r.payload_received);
    row(size_text(r.payload_wasted), fmt::format("{:.2f}%", 100 * share));
  }
  auto lines = table(heads, std::move(rows), look);
  lines.push_back(fit("bound: " + results.front().report.bound.formula, look.width, look.utf8));
  std::vector<std::string> hashes;
  for (const auto& result : results) hashes.push_back(fmt::format("{:016x}", result.report.event_hash));
  lines.push_back(fit(fmt::format("event hash: {}", fmt::join(hashes, ", ")), look.width, look.utf8));
  double end = 0;
  for (const auto& result : results) {
    if (!result.report.curve.empty()) end = std::max(end, result.report.curve.back().seconds);
  }
  for (const auto& result : results) {
    lines.emplace_back();
    if (!result.policy.empty()) lines.push_back(painted(result.policy, Paint::bold, look));
    const auto drawn = chart(result.report.curve, end, look);
    lines.insert(lines.end(), drawn.begin(), drawn.end());
  }
  return lines;
}

Error simulation_error(const sim::Report& r, const std::string& command) {
  const std::string again = "Replay it with: " + command;
  if (!r.violations.empty()) {
    return {Exit::integrity, "rule_broken", "a rule was broken: " + printable(r.violations.front()), again};
  }
  switch (r.ending) {
    case sim::Ending::all_whole:
      return {Exit::done, "", ""};
    case sim::Ending::lost:
      return {Exit::no_peers, "no_copy",
              fmt::format("{} of {} nodes cannot finish: {} left with the nodes that had them",
                          r.downloaders - r.finished, r.downloaders, counted(r.pieces_lost, "piece", "pieces")),
              again};
    case sim::Ending::time_up:
      return {Exit::other, "time_up",
              fmt::format("{} of {} nodes are not whole after {}", r.downloaders - r.finished, r.downloaders,
                          seconds_text(r.virtual_seconds)),
              again};
    case sim::Ending::stuck:
    case sim::Ending::running:
      break;
  }
  return {Exit::other, "unfinished",
          fmt::format("{} of {} nodes are not whole", r.downloaders - r.finished, r.downloaders), again};
}

std::string_view ending_word(sim::Ending ending) {
  switch (ending) {
    case sim::Ending::running:
      return "running";
    case sim::Ending::all_whole:
      return "all_whole";
    case sim::Ending::lost:
      return "lost";
    case sim::Ending::time_up:
      return "time_up";
    case sim::Ending::stuck:
      return "stuck";
  }
  return "running";
}

std::string_view policy_word(core::Policy policy) { return policy == core::Policy::spread ? "spread" : "rarest"; }

}  // namespace swarm::cli
