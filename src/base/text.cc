#include "base/text.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace swarm {

namespace {

constexpr std::uint64_t u64_max = std::numeric_limits<std::uint64_t>::max();

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// Cuts `word` off the end or the start, whatever its case; false when it is not there. `word` is in lower case.
bool cut_end(std::string_view& text, std::string_view word) {
  if (text.size() < word.size()) return false;
  const auto tail = text.substr(text.size() - word.size());
  if (!std::equal(word.begin(), word.end(), tail.begin(), [](char w, char c) { return w == lower(c); })) return false;
  text.remove_suffix(word.size());
  return true;
}

/// The digits at the start of the text, cut off it; nothing without any, or on overflow.
std::optional<std::uint64_t> cut_number(std::string_view& text) {
  std::uint64_t n = 0;
  std::size_t i = 0;
  for (; i < text.size() && is_digit(text[i]); ++i) {
    const auto digit = static_cast<std::uint64_t>(text[i] - '0');
    if (n > (u64_max - digit) / 10) return std::nullopt;
    n = n * 10 + digit;
  }
  if (i == 0) return std::nullopt;
  text.remove_prefix(i);
  return n;
}

/// "1.5" times the unit, rounded down; nothing on overflow, or when it is not a number. unit <= 2^60.
std::optional<std::uint64_t> parse_scaled(std::string_view text, std::uint64_t unit) {
  const auto whole = cut_number(text);
  if (!whole || *whole > u64_max / unit) return std::nullopt;
  std::uint64_t fraction = 0;  // exact: the floors of nested divisions by ten are the floor of the whole
  if (!text.empty()) {
    if (unit == 1 || text.size() < 2 || text.front() != '.') return std::nullopt;
    text.remove_prefix(1);
    if (!std::all_of(text.begin(), text.end(), is_digit)) return std::nullopt;
    for (; !text.empty(); text.remove_suffix(1)) {
      fraction = (fraction + unit * static_cast<std::uint64_t>(text.back() - '0')) / 10;
    }
  }
  if (fraction > u64_max - *whole * unit) return std::nullopt;
  return *whole * unit + fraction;
}

/// Cuts one of k, m, g, t, p, e off the end: base to the power of 1 … 6; base^0 = 1 when there is none.
std::uint64_t cut_prefix_unit(std::string_view& text, std::uint64_t base) {
  constexpr std::string_view prefixes = "kmgtpe";
  std::uint64_t unit = base;
  for (std::size_t i = 0; i < prefixes.size(); ++i, unit *= base) {
    if (cut_end(text, prefixes.substr(i, 1))) return unit;
  }
  return 1;
}

void cut_space(std::string_view& text) {
  if (text.ends_with(' ')) text.remove_suffix(1);
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  constexpr std::array units = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95) {  // never "1024.0 KiB"; 2^64 is 16 EiB, so the units suffice
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string rate_text(double bytes_per_second) {
  if (!std::isfinite(bytes_per_second) || bytes_per_second < 0.5 || bytes_per_second >= 0x1p63) return "-";
  return size_text(static_cast<std::uint64_t>(std::llround(bytes_per_second))) + "/s";
}

std::string eta_text(double seconds) {
  if (!(seconds >= 0 && seconds < 1e15)) return "-";
  const auto s = static_cast<std::uint64_t>(std::ceil(seconds));
  const auto hours = s / 3600;
  if (hours >= 24) return fmt::format("{}d {}h", hours / 24, hours % 24);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const bool iec = cut_end(text, "ib");
  const bool bytes = iec || cut_end(text, "b");
  const auto unit = cut_prefix_unit(text, bytes && !iec ? 1000 : 1024);
  if (iec && unit == 1) return std::nullopt;  // "10iB"
  if (bytes || unit != 1) cut_space(text);
  return parse_scaled(text, unit);
}

std::optional<std::uint64_t> parse_rate(std::string_view text) {
  cut_end(text, "/s");
  if (!cut_end(text, "bit")) return parse_size(text);
  const auto unit = cut_prefix_unit(text, 1000);
  cut_space(text);
  if (unit > 1) return parse_scaled(text, unit / 8);
  const auto bits = parse_scaled(text, 1);
  return bits ? std::optional(*bits / 8) : std::nullopt;
}

std::optional<Duration> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    Duration length;
  };
  constexpr std::array<Unit, 6> units = {{{"d", 24h}, {"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}, {"us", 1us}}};
  Duration sum{};
  std::size_t next_unit = 0;  // each unit at most once, the longest first
  do {
    const auto number = cut_number(text);
    if (!number) return std::nullopt;
    auto name = text.substr(0, std::min(text.find_first_of("0123456789"), text.size()));
    text.remove_prefix(name.size());
    if (name.empty() && next_unit == 0) name = "s";
    while (next_unit < units.size() && units[next_unit].name != name) ++next_unit;
    if (next_unit == units.size()) return std::nullopt;
    const auto unit = units[next_unit++].length;
    if (*number > static_cast<std::uint64_t>((Duration::max() - sum) / unit)) return std::nullopt;
    sum += unit * static_cast<std::int64_t>(*number);
  } while (!text.empty());
  return sum;
}

namespace {

constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (; !bytes.empty(); bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), 3))) {
    const auto group = std::uint32_t{bytes[0]} << 16 | (bytes.size() > 1 ? std::uint32_t{bytes[1]} << 8 : 0) |
                       (bytes.size() > 2 ? std::uint32_t{bytes[2]} : 0);
    out += base64_digits[group >> 18];
    out += base64_digits[group >> 12 & 63];
    out += bytes.size() > 1 ? base64_digits[group >> 6 & 63] : '=';
    out += bytes.size() > 2 ? base64_digits[group & 63] : '=';
  }
  return out;
}

std::optional<Buffer> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  text.remove_suffix(padding);
  Buffer out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t group = 0;
  int bits = 0;
  for (const auto c : text) {
    const auto value = base64_digits.find(c);
    if (value == base64_digits.npos) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) out.push_back(static_cast<std::uint8_t>(group >> (bits -= 8)));
  }
  if ((group & ((1u << bits) - 1)) != 0)
    return std::nullopt;  // bits that belong to no byte: two texts for the same bytes
  return out;
}

std::string percent_encode(ByteView bytes) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string out;
  for (const auto b : bytes) {
    const auto c = static_cast<char>(b);
    if (is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += {'%', hex[b >> 4], hex[b & 15]};
    }
  }
  return out;
}

std::optional<Buffer> percent_decode(std::string_view text) {
  const auto hex = [](char c) {
    return is_digit(c) ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
  };
  Buffer out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(static_cast<std::uint8_t>(text[i]));
      continue;
    }
    if (text.size() - i < 3 || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(hex(text[i + 1]) << 4 | hex(text[i + 2])));
    i += 2;
  }
  return out;
}

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, three rows at a time.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > limit) return limit + 1;
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    if (*std::min_element(row.begin(), row.end()) > limit) return limit + 1;  // a row's least never falls
  }
  return std::min(row[b.size()], limit + 1);
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  std::size_t limit = word.size() > 2 ? 2 : word.empty() ? 0 : word.size() - 1;
  for (const auto& candidate : known) {
    const auto distance = word.empty() ? 1 : edit_distance(word, candidate, limit);
    if (distance > limit) continue;
    best = &candidate;
    if (distance == 0) break;
    limit = distance - 1;
  }
  return best != nullptr ? std::optional(*best) : std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == text.npos) return parts;
    text.remove_prefix(at + 1);
  }
}

}  // namespace swarm
