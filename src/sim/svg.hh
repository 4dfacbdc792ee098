// Svg: the curves of one run, or of several side by side, as a picture that any browser shows. Pure.
#pragma once

#include <string>
#include <vector>

#include "sim/curve.hh"

namespace swarm::sim {

struct SvgRun {
  std::string name;  ///< empty where there is one run only
  std::vector<Curve::Sample> curve;
  double bound_seconds = 0;
};

/// A line for what the nodes have on average, a band from the last of them to the first, a broken line for how many are whole,
/// and an upright one for the bound.
std::string svg_of(const std::string& title, const std::vector<SvgRun>& runs);

}  // namespace swarm::sim
