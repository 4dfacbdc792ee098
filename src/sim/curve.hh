// Curve: how far the nodes of a run were at which moment, in a bounded number of samples: when there is no more room, every other
// one is dropped and they are taken half as often.
#pragma once

#include <cstddef>
#include <vector>

#include "base/instant.hh"

namespace swarm::sim {

class Curve {
 public:
  struct Sample {
    double seconds = 0;                    ///< of virtual time
    double least = 0, mean = 0, most = 0;  ///< 0 … 1: of the content, over the honest downloaders
    double whole = 0;                      ///< 0 … 1: of these
  };
  static constexpr std::size_t samples_max = 512;

  bool due(Instant now) const { return now >= next_; }
  /// At the first moment that is due, or later.
  void add(const Sample& sample, Instant now);
  /// The end is never left out.
  void end(const Sample& sample);
  const std::vector<Sample>& samples() const { return samples_; }

 private:
  Duration every_ = 10ms;
  Instant next_{};
  std::vector<Sample> samples_;
};

}  // namespace swarm::sim
