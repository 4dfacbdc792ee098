// Notices: what waits to be told on the tracker's console.
//
// Rules
// 1. A run of good pieces that goes on where the last notice of the same node and file ended is joined to it; failures never.
// 2. At most 10,000 wait. Beyond that the oldest good piece checks go, and only without any of them the oldest notices.
//    Rationale: a console that nobody drains must not eat memory, and what is lost last is what is rare.
// Complexity: add O(1) on average.
#pragma once

#include <vector>

#include "core/tracker/server.hh"

namespace swarm::core {

class Notices {
 public:
  static constexpr std::size_t waiting_max = 10'000;

  void add(TrackerNotice notice);
  std::vector<TrackerNotice> take();

 private:
  bool join(const TrackerNotice& notice);
  void make_room();

  std::vector<TrackerNotice> waiting_;
};

}  // namespace swarm::core
