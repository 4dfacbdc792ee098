#include "cli/chart.hh"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/text.hh"

namespace swarm::cli {

namespace {

constexpr std::size_t rows = 8, columns_min = 8, columns_max = 100, margin = 6;  // of "100% |"

/// Dots in cells: two by four with Braille, one by two without.
class Canvas {
 public:
  Canvas(std::size_t columns, bool utf8) : columns_(columns), utf8_(utf8), cells_(columns * rows) {}

  std::size_t width() const { return columns_ * (utf8_ ? 2 : 1); }
  std::size_t height() const { return rows * (utf8_ ? 4 : 2); }

  void dot(std::size_t x, std::size_t y) {
    // Braille counts its dots down the left column, then the right one, but for the lowest two, which came later.
    static constexpr std::uint8_t braille[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    const std::size_t cell = (y / (utf8_ ? 4 : 2)) * columns_ + x / (utf8_ ? 2 : 1);
    cells_[cell] |= utf8_ ? braille[y % 4][x % 2] : static_cast<std::uint8_t>(1 << (y % 2));
  }

  std::string row(std::size_t y) const {
    std::string out;
    for (std::size_t x = 0; x < columns_; ++x) {
      const std::uint8_t cell = cells_[y * columns_ + x];
      if (!utf8_) {
        out += " '.:"[cell];
      } else if (cell == 0) {
        out += ' ';
      } else {  // U+2800 + cell, in UTF-8
        out += {static_cast<char>(0xe2), static_cast<char>(0xa0 | cell >> 6), static_cast<char>(0x80 | (cell & 0x3f))};
      }
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out;
  }

 private:
  std::size_t columns_;
  bool utf8_;
  std::vector<std::uint8_t> cells_;
};

/// The value at that moment, on a straight line between the samples around it; the last one holds on.
double value_at(const std::vector<sim::Curve::Sample>& curve, double seconds, double sim::Curve::Sample::*value) {
  const auto after = std::ranges::upper_bound(curve, seconds, {}, &sim::Curve::Sample::seconds);
  if (after == curve.begin()) return (*after).*value * seconds / std::max(after->seconds, 1e-9);
  const auto& before = *(after - 1);
  if (after == curve.end()) return before.*value;
  const double share = (seconds - before.seconds) / (after->seconds - before.seconds);
  return before.*value + share * ((*after).*value - before.*value);
}

}  // namespace

std::vector<std::string> chart(const std::vector<sim::Curve::Sample>& curve, double seconds, const Look& look) {
  if (curve.empty() || !(seconds > 0)) return {};
  const std::size_t across = std::clamp(look.width, columns_min + margin, columns_max + margin) - margin;
  Canvas canvas(across, look.utf8);
  for (const auto value : {&sim::Curve::Sample::mean, &sim::Curve::Sample::whole}) {
    std::size_t last = canvas.height() - 1;
    for (std::size_t x = 0; x < canvas.width(); ++x) {
      const double at = seconds * (static_cast<double>(x) + 0.5) / static_cast<double>(canvas.width());
      if (at > curve.back().seconds) break;
      const double share = std::clamp(value_at(curve, at, value), 0.0, 1.0);
      const auto y = static_cast<std::size_t>(std::lround((1 - share) * static_cast<double>(canvas.height() - 1)));
      for (std::size_t between = std::min(y, last); between <= std::max(y, last); ++between) canvas.dot(x, between);
      last = y;
    }
  }
  std::vector<std::string> out;
  for (std::size_t y = 0; y < rows; ++y) {
    const auto label = y == 0 ? "100%" : y == rows - 1 ? "  0%" : "    ";
    out.push_back(fit(fmt::format("{} {}{}", label, look.utf8 ? "│" : "|", canvas.row(y)), look.width, look.utf8));
  }
  const auto end = seconds_text(seconds);
  out.push_back(fit(fmt::format("      0 s{:>{}}", end, across > 3 ? across - 3 : 0), look.width, look.utf8));
  out.push_back(
      fit("      upper line: what the nodes have on average; lower line: whole nodes", look.width, look.utf8));
  return out;
}

}  // namespace swarm::cli
