#include "sim/plan.hh"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/text.hh"
#include "sim/suite.hh"

namespace swarm::sim {

namespace {

/// The units of "2/s", "30/min", "100/h", in seconds.
std::optional<double> cut_per(std::string_view& text) {
  const auto slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto unit = text.substr(slash + 1);
  text = text.substr(0, slash);
  if (unit == "s") return 1;
  if (unit == "min" || unit == "m") return 60;
  if (unit == "h") return 3600;
  return std::nullopt;
}

std::string real_text(double value) { return fmt::format("{}", value); }

/// Bytes as the shortest text that means exactly as many.
std::string bytes_text(std::uint64_t bytes) {
  static constexpr std::string_view units[] = {"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < std::size(units)) bytes /= 1024, ++unit;
  return fmt::format("{}{}", bytes, units[unit]);
}

std::string bits_text(std::uint64_t bytes_per_second) {
  if (bytes_per_second != 0 && bytes_per_second % 125'000 == 0)
    return fmt::format("{}Mbit", bytes_per_second / 125'000);
  return fmt::format("{}", bytes_per_second);
}

std::string join_text(const Plan& plan) {
  switch (plan.join) {
    case Join::all:
      break;
    case Join::random:
      return "random:" + duration_text(plan.join_within);
    case Join::staggered:
      return "staggered:" + duration_text(plan.join_within);
    case Join::poisson:
      return fmt::format("poisson:{}/s", real_text(plan.join_rate));
  }
  return "all";
}

std::string partition_text(const Partition& p) {
  return fmt::format("{}@{}+{}", p.parts, duration_text(p.at), duration_text(p.lasts));
}

}  // namespace

std::string command_of(const Plan& plan) {
  const Plan base = find_plan(plan.scenario, plan.random_seed).value_or(Plan{});
  std::string out = "swarm simulate";
  const auto say = [&out](bool differs, std::string_view name, const std::string& value) {
    if (differs) out += fmt::format(" --{} {}", name, value);
  };
  const auto flag = [&out](bool differs, std::string_view name) {
    if (differs) out += fmt::format(" --{}", name);
  };
  const auto text = [](auto number) { return fmt::format("{}", number); };
  say(!plan.scenario.empty(), "scenario", plan.scenario);
  Plan scaled = base;
  say(plan.nodes() != base.nodes(), "nodes", text(plan.nodes()));
  set_nodes(scaled, plan.nodes());
  say(plan.liars != scaled.liars, "liars", text(plan.liars));
  set_liars(scaled, plan.liars);
  say(plan.free_riders != scaled.free_riders, "free-riders", text(plan.free_riders));
  say(plan.slow != scaled.slow, "slow", text(plan.slow));
  say(plan.seeds != base.seeds, "seeds", text(plan.seeds));
  say(plan.bytes_total != base.bytes_total, "size", bytes_text(plan.bytes_total));
  say(plan.piece_bytes != base.piece_bytes, "piece-size", bytes_text(plan.piece_bytes));
  say(plan.have != base.have, "have", real_text(plan.have));
  say(plan.profile && plan.profile != base.profile, "profile", plan.profile ? plan.profile->name : std::string());
  say(plan.line.up_rate != base.line.up_rate, "up", bits_text(plan.line.up_rate));
  say(plan.line.down_rate != base.line.down_rate, "down", bits_text(plan.line.down_rate));
  say(plan.line.delay != base.line.delay, "rtt", duration_text(4 * plan.line.delay));
  say(plan.line.jitter != base.line.jitter, "jitter", duration_text(plan.line.jitter));
  say(plan.line.loss != base.line.loss, "loss", real_text(plan.line.loss));
  say(plan.neighbours != base.neighbours, "neighbours", text(plan.neighbours));
  say(join_text(plan) != join_text(base), "join", join_text(plan));
  flag(plan.leave_when_whole && !base.leave_when_whole, "leave");
  say(plan.seed_leaves_after != base.seed_leaves_after, "seed-leaves-after", real_text(plan.seed_leaves_after));
  say(plan.until_copies != base.until_copies, "until-copies", text(plan.until_copies));
  say(plan.churn != base.churn, "churn", real_text(plan.churn) + "%/min");
  say(plan.crash != base.crash, "crash", real_text(plan.crash) + "%/min");
  if (plan.partitions != base.partitions) {
    for (const Partition& p : plan.partitions) say(true, "partition", partition_text(p));
  }
  say(plan.tracker_dies_at != base.tracker_dies_at, "tracker-dies-at",
      duration_text(plan.tracker_dies_at.value_or(Duration{})));
  say(plan.limit != base.limit, "max-time", duration_text(plan.limit));
  say(true, "random-seed", text(plan.random_seed));
  return out;
}

bool parse_join(std::string_view text, Plan& plan) {
  if (text == "all") return plan.join = Join::all, true;
  const auto colon = text.find(':');
  if (colon == text.npos) return false;
  const auto how = text.substr(0, colon);
  auto value = text.substr(colon + 1);
  if (how == "poisson") {
    const auto per = cut_per(value);
    const auto n = parse_real(value);
    if (!per || !n || *n <= 0) return false;
    plan.join = Join::poisson;
    plan.join_rate = *n / *per;
    return true;
  }
  const auto within = parse_duration(value);
  if (!within || (how != "staggered" && how != "random")) return false;
  plan.join = how == "staggered" ? Join::staggered : Join::random;
  plan.join_within = *within;
  return true;
}

std::optional<double> parse_share_rate(std::string_view text) {
  const auto per = cut_per(text);
  if (!per || !text.ends_with('%')) return std::nullopt;
  const auto n = parse_real(text.substr(0, text.size() - 1));
  if (!n || *n > 1e6) return std::nullopt;
  return *n * (60 / *per);
}

std::optional<Partition> parse_partition(std::string_view text) {
  const auto at = text.find('@');
  const auto plus = text.find('+', at == text.npos ? 0 : at);
  if (at == text.npos || plus == text.npos) return std::nullopt;
  const auto parts = parse_part(text.substr(0, at), 1'000'000);
  const auto begins = parse_duration(text.substr(at + 1, plus - at - 1));
  const auto lasts = parse_duration(text.substr(plus + 1));
  if (!parts || text.substr(0, at).find_first_of(".%") != text.npos || *parts < 2 || !begins || !lasts) {
    return std::nullopt;
  }
  return Partition{*parts, *begins, *lasts};
}

std::optional<std::uint32_t> parse_part(std::string_view text, std::uint32_t all) {
  if (text.find_first_of(".%") == text.npos) {
    std::uint32_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc{} || end != text.data() + text.size() || n > all) return std::nullopt;
    return n;
  }
  const auto share = parse_share(text);
  if (!share) return std::nullopt;
  return static_cast<std::uint32_t>(*share * all + 0.5);
}

std::optional<double> parse_share(std::string_view text) {
  const bool in_percent = text.ends_with('%');
  const auto n = parse_real(in_percent ? text.substr(0, text.size() - 1) : text);
  if (!n) return std::nullopt;
  const double share = in_percent ? *n / 100 : *n;
  if (share > 1) return std::nullopt;
  return share;
}

std::optional<double> parse_real(std::string_view text) {
  if (text.find_first_not_of("0123456789.") != text.npos || text.size() > 32) return std::nullopt;
  double n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::string duration_text(Duration d) {
  std::string out;
  for (const auto& [name, length] :
       {std::pair<const char*, Duration>{"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}, {"us", 1us}}) {
    if (d >= length) out += fmt::format("{}{}", d / length, name);
    d %= length;
  }
  return out.empty() ? "0s" : out;
}

void set_nodes(Plan& plan, std::uint32_t nodes) {
  const std::uint64_t before = std::max<std::uint64_t>(plan.nodes(), 1);
  const auto scaled = [&](std::uint32_t part) {
    return static_cast<std::uint32_t>((std::uint64_t{part} * nodes + before / 2) / before);
  };
  plan.liars = std::min(scaled(plan.liars), nodes);
  plan.free_riders = scaled(plan.free_riders);
  plan.slow = scaled(plan.slow);
  plan.strangers = scaled(plan.strangers);
  plan.downloaders = nodes - plan.liars;
}

void set_liars(Plan& plan, std::uint32_t liars) {
  const std::uint32_t nodes = plan.nodes();
  plan.liars = std::min(liars, nodes);
  plan.downloaders = nodes - plan.liars;
}

}  // namespace swarm::sim
