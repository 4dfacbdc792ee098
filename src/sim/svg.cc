#include "sim/svg.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

namespace swarm::sim {

namespace {

constexpr double width = 800, height = 420, left = 56, right = 24, top = 48, bottom = 48;
constexpr std::array<std::string_view, 4> colours{"#1f6feb", "#d1495b", "#2a9d8f", "#8d6cab"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// 1, 2 or 5 times a power of ten: about eight of them in `length`.
double step_for(double length) {
  const double raw = length / 8;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (times * power >= raw) return times * power;
  }
  return 10 * power;
}

class Picture {
 public:
  explicit Picture(double seconds) : seconds_(seconds > 0 ? seconds : 1) {}

  double x(double seconds) const { return left + (width - left - right) * seconds / seconds_; }
  static double y(double share) { return top + (height - top - bottom) * (1 - share); }

  template <class Value>
  std::string points(const std::vector<Curve::Sample>& curve, Value value) const {
    std::string out;
    for (const auto& sample : curve) out += fmt::format("{:.1f},{:.1f} ", x(sample.seconds), y(value(sample)));
    return out;
  }

  void axes() {
    for (int percent = 0; percent <= 100; percent += 25) {
      add("<line class=\"grid\" x1=\"{0}\" y1=\"{1:.1f}\" x2=\"{2}\" y2=\"{1:.1f}\"/>\n", left, y(percent / 100.0),
          width - right);
      add("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{} %</text>\n", left - 8, y(percent / 100.0) + 4, percent);
    }
    const double step = step_for(seconds_);
    for (int i = 0; i * step <= seconds_ * 1.0001; ++i) {
      add("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:g} s</text>\n", x(i * step), height - bottom + 20,
          i * step);
    }
  }

  void run(const SvgRun& run, std::string_view colour, std::size_t number) {
    std::string band = points(run.curve, [](const auto& s) { return s.most; });
    for (auto s = run.curve.rbegin(); s != run.curve.rend(); ++s) {
      band += fmt::format("{:.1f},{:.1f} ", x(s->seconds), y(s->least));
    }
    add("<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"0.15\"/>\n", band, colour);
    add("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n",
        points(run.curve, [](const auto& s) { return s.mean; }), colour);
    add("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" stroke-dasharray=\"5 4\"/>\n",
        points(run.curve, [](const auto& s) { return s.whole; }), colour);
    if (run.bound_seconds > 0 && (number == 0 || !run.name.empty())) {
      add("<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\" stroke=\"{3}\" stroke-dasharray=\"2 3\"/>\n",
          x(run.bound_seconds), top, height - bottom, colour);
      add("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}bound {:.2f} s</text>\n", x(run.bound_seconds),
          top - 4 - 12 * static_cast<double>(number), run.name.empty() ? "" : escaped(run.name) + ": ",
          run.bound_seconds);
    }
    add("<text x=\"{}\" y=\"{}\" fill=\"{}\">{}</text>\n", left + 12, top + 16 + 16 * static_cast<double>(number),
        colour,
        run.name.empty() ? "line: mean of all nodes; band: last to first; broken: whole nodes" : escaped(run.name));
  }

  std::string end(const std::string& title) const {
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<style>.grid{{stroke:#ddd}}</style>\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{2}\" y=\"16\" "
        "font-size=\"13\">{3}</text>\n{4}"
        "</svg>\n",
        width, height, left, escaped(title), out_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...);
  }

  double seconds_;
  std::string out_;
};

}  // namespace

std::string svg_of(const std::string& title, const std::vector<SvgRun>& runs) {
  double seconds = 0;
  for (const SvgRun& run : runs) {
    seconds = std::max(seconds, run.bound_seconds);
    if (!run.curve.empty()) seconds = std::max(seconds, run.curve.back().seconds);
  }
  Picture picture(seconds);
  picture.axes();
  for (std::size_t i = 0; i < runs.size(); ++i) picture.run(runs[i], colours[i % colours.size()], i);
  return picture.end(title);
}

}  // namespace swarm::sim
