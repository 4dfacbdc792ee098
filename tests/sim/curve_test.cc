#include "sim/curve.hh"

#include <doctest/doctest.h>

#include <algorithm>

#include "sim/svg.hh"

using namespace swarm;
using namespace swarm::sim;

TEST_CASE("curve: keeps a bounded number of samples, evenly, and the end") {
  Curve curve;
  for (int ms = 0; ms <= 100'000; ++ms) {
    const Instant now(ms * 1ms);
    if (curve.due(now)) curve.add({ms / 1000.0, 0, ms / 100'000.0, 0, 0}, now);
  }
  curve.end({100, 1, 1, 1, 1});
  const auto& samples = curve.samples();
  CHECK(samples.size() <= Curve::samples_max + 1);
  CHECK(samples.size() > Curve::samples_max / 2);
  CHECK(samples.front().seconds == 0);
  CHECK(samples.back().seconds == 100);
  CHECK(samples.back().whole == 1);
  double widest = 0;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    CHECK(samples[i].seconds > samples[i - 1].seconds);
    widest = std::max(widest, samples[i].seconds - samples[i - 1].seconds);
  }
  CHECK(widest < 0.7);
}

TEST_CASE("svg: all runs, their names escaped, nothing outside of the picture") {
  Curve curve;
  curve.add({0, 0, 0, 0, 0}, Instant{});
  curve.add({5, 0.5, 0.6, 0.7, 0.2}, Instant(5s));
  curve.end({10, 1, 1, 1, 1});
  const auto text = svg_of("a <title> & \"more\"", {{"<spread>", curve.samples(), 9}, {"rarest", curve.samples(), 9}});
  CHECK(text.starts_with("<svg "));
  CHECK(text.ends_with("</svg>\n"));
  CHECK(text.find("a &lt;title&gt; &amp; &quot;more&quot;") != text.npos);
  CHECK(text.find("<spread>") == text.npos);
  CHECK(text.find("&lt;spread&gt;: bound 9.00 s") != text.npos);
  CHECK(text.find("rarest: bound 9.00 s") != text.npos);
  CHECK(text.find("776.0,48.0") != text.npos);  // the end of both: at the right, on top
  CHECK(text.find("nan") == text.npos);
  CHECK(svg_of("empty", {{"", {}, 0}}).find("nan") == std::string::npos);
}
