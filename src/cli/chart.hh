// Chart: the curve of a simulated run in a few lines of text. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/look.hh"
#include "sim/curve.hh"

namespace swarm::cli {

/// The upper line is what the nodes have on average, the lower one how many are whole. In Braille dots, or in '.', '\'' and ':'
/// without UTF-8; `seconds` is where the axis ends, so that several charts can be compared.
std::vector<std::string> chart(const std::vector<sim::Curve::Sample>& curve, double seconds, const Look& look);

}  // namespace swarm::cli
