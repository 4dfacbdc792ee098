// Bound: the least time in which a content can reach all of a number of nodes, whatever is done. Pure.
//
// 1. Equal lines, everybody empty at first: T (1 + ceil(log2 N) / pieces). T is one transfer at the rate of the slowest part:
//    the seeds, one downlink, or all uplinks together; the rest is the pipeline's depth: the last piece that leaves the seed
//    still has to double that often.
// 2. Else max(F / u_seed, F / d_min, N F / (u_seed + sum of u_i)): each byte has to leave the seeds once, pass the slowest
//    downlink, and leave some uplink once for each node that lacks it (Kumar and Ross, 2006). It does not know of pieces.
// 3. When nodes have some of it at first, F is the most that one of them lacks, N F what all of them lack, and it need not
//    come from the seeds.
// 4. When they do not all start at once, each counted from its own start, only F/d_min is left: who comes late may find many that
//    have everything.
// A rate of 0 is without limit. Nodes that upload nothing count with what they take only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace swarm::sim {

struct BoundNode {
  std::uint64_t up = 0, down = 0;  ///< bytes/s
  bool gives = true;
  std::uint64_t lacks = 0;  ///< bytes
};

struct Bound {
  double seconds = 0;
  std::string formula;  ///< with this run's numbers: "T (1 + ceil(log2 8) / 256), T = 5.369 s"
};

Bound find_bound(std::uint64_t bytes_total, std::uint32_t piece_bytes, const std::vector<std::uint64_t>& seeds_up,
                 const std::vector<BoundNode>& nodes, bool at_once = true);

}  // namespace swarm::sim
