#include "cli/look.hh"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.hh"

namespace swarm::cli {

std::string painted(std::string_view text, Paint paint, const Look& look) {
  if (!look.colour || paint == Paint::none || text.empty()) return std::string(text);
  const char* code = "";
  switch (paint) {
    case Paint::none:
      break;
    case Paint::bold:
      code = "1";
      break;
    case Paint::dim:
      code = "2";
      break;
    case Paint::good:
      code = "32";
      break;
    case Paint::bad:
      code = "1;31";
      break;
    case Paint::hint:
      code = "36";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::size_t painted_columns(std::string_view text) {
  std::size_t sum = 0;
  for (auto at = text.find('\x1b'); at != text.npos; at = text.find('\x1b')) {
    sum += columns(text.substr(0, at));
    text.remove_prefix(std::min(text.find('m', at), text.size() - 1) + 1);
  }
  return sum + columns(text);
}

std::string line_of(std::vector<Part> parts, const Look& look) {
  const auto length = [&parts] {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) sum += columns(parts[i].text) + (i == 0 ? 0 : parts[i].gap.size());
    return sum;
  };
  while (length() > look.width) {
    const auto first = std::ranges::max_element(parts, {}, &Part::drop);
    if (first == parts.end() || first->drop == 0) break;
    parts.erase(first);
  }
  if (const auto now = length(); now > look.width && !parts.empty()) {
    const auto excess = now - look.width, own = columns(parts[0].text);
    if (own > excess + 1) {
      parts[0].text = fit(parts[0].text, own - excess, look.utf8);
    } else {
      parts.erase(parts.begin());  // a name of one letter says less than the number behind it
      if (!parts.empty()) parts[0].text = fit(parts[0].text, look.width, look.utf8);
    }
  }
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) out += parts[i].gap;
    out += painted(parts[i].text, parts[i].paint, look);
  }
  return out;
}

std::string bar(double fraction, std::size_t width, const Look& look) {
  fraction = std::clamp(std::isfinite(fraction) ? fraction : 0.0, 0.0, 1.0);
  std::string out;
  if (!look.utf8) {
    const auto full = static_cast<std::size_t>(fraction * static_cast<double>(width));
    out.assign(full, '#');
    return out.append(width - full, '.');
  }
  static constexpr std::string_view eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(width) * 8);
  for (std::size_t i = 0; i < width; ++i) {
    if (filled >= (i + 1) * 8) {
      out += "█";
    } else {
      out += filled > i * 8 ? eighths[filled - i * 8] : " ";
    }
  }
  return out;
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string percent_text(double fraction) {
  const double percent = std::clamp(std::isfinite(fraction) ? fraction : 0.0, 0.0, 1.0) * 100;
  return fmt::format("{:.1f}%", std::floor(percent * 10 + 1e-9) / 10);
}

std::string sizes_text(std::uint64_t done, std::uint64_t total) {
  static constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  const auto whole = size_text(total);  // "631.0 MiB"
  const auto unit = std::ranges::find(units, std::string_view(whole).substr(whole.find(' ') + 1));
  const auto power = static_cast<int>(unit - std::begin(units));
  if (power == 0) return fmt::format("{}/{}", done, whole);
  const auto in_unit = [power](std::uint64_t bytes) { return std::ldexp(static_cast<double>(bytes), -10 * power); };
  const auto text = [power](double value) { return fmt::format("{:.{}f}", value, power > 2 && value < 9.995 ? 2 : 1); };
  const auto end = text(in_unit(total));
  if (done >= total) return fmt::format("{}/{} {}", done == total ? end : text(in_unit(done)), end, *unit);
  const double steps = power > 2 && in_unit(done) < 10 ? 100 : 10;  // rounded down: what is shown is there
  return fmt::format("{}/{} {}", text(std::floor(in_unit(done) * steps) / steps), end, *unit);
}

std::string piece_bytes_text(std::uint32_t bytes) {
  if (bytes >= 1u << 20 && bytes % (1u << 20) == 0) return fmt::format("{} MiB", bytes >> 20);
  if (bytes % 1024 == 0) return fmt::format("{} KiB", bytes >> 10);
  return fmt::format("{} B", bytes);
}

std::string seconds_text(double seconds) {
  if (!(seconds >= 0) || !std::isfinite(seconds)) return "-";
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 3600) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  return fmt::format("{}h {:02}m", whole / 3600, whole / 60 % 60);
}

std::string rate_or_zero(double bytes_per_second) {
  auto text = rate_text(bytes_per_second);
  return text == "-" ? "0 B/s" : text;
}

std::string counted(std::uint64_t n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

}  // namespace swarm::cli
