#include "sim/bound.hh"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace swarm::sim {

namespace {

/// The rates of several lines together; 0 as soon as one of them is without limit.
class Sum {
 public:
  void add(std::uint64_t rate) {
    unlimited_ = unlimited_ || rate == 0;
    rate_ += static_cast<double>(rate);
  }
  double time_for(double bytes) const { return unlimited_ || rate_ == 0 ? 0 : bytes / rate_; }

 private:
  bool unlimited_ = false;
  double rate_ = 0;
};

}  // namespace

Bound find_bound(std::uint64_t bytes_total, std::uint32_t piece_bytes, const std::vector<std::uint64_t>& seeds_up,
                 const std::vector<BoundNode>& nodes, bool at_once) {
  if (nodes.empty()) return {0, "nobody wants it"};
  Sum seeds, all;
  for (const std::uint64_t up : seeds_up) seeds.add(up), all.add(up);
  bool equal = true, empty = true;
  double lacked = 0, most = 0, slowest = 0;
  for (const BoundNode& node : nodes) {
    equal = equal && node.up == nodes[0].up && node.down == nodes[0].down && node.gives;
    empty = empty && node.lacks == bytes_total;
    if (node.gives) all.add(node.up);
    const auto lacks = static_cast<double>(node.lacks);
    lacked += lacks;
    most = std::max(most, lacks);
    if (node.down > 0) slowest = std::max(slowest, lacks / static_cast<double>(node.down));
  }
  for (const std::uint64_t up : seeds_up) equal = equal && up == nodes[0].up;
  if (!at_once) return {slowest, "F/d_min, since not all start at once"};
  const double by_seeds = empty ? seeds.time_for(most) : 0, by_all = all.time_for(lacked);
  const double transfer = std::max({by_seeds, slowest, by_all});
  if (equal && empty) {
    const std::uint64_t pieces = (bytes_total + piece_bytes - 1) / piece_bytes;
    const auto depth = std::bit_width(nodes.size() - 1);  // ceil(log2 N)
    return {transfer * (1 + static_cast<double>(depth) / static_cast<double>(pieces)),
            fmt::format("T (1 + ceil(log2 {}) / {} pieces), T = {:.3f} s for one transfer", nodes.size(), pieces,
                        transfer)};
  }
  return {transfer, fmt::format("max(F/u_seed = {:.3f} s, F/d_min = {:.3f} s, N F/(u_seed + sum u_i) = {:.3f} s)",
                                by_seeds, slowest, by_all)};
}

}  // namespace swarm::sim
