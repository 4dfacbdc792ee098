// Report: what came of a run, as numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/bound.hh"
#include "sim/curve.hh"

namespace swarm::sim {

/// Why it ended.
enum class Ending : std::uint8_t {
  running,    ///< it has not: this is how it stands
  all_whole,  ///< every honest downloader has everything
  lost,       ///< some piece is on no node that is there or will come back
  time_up,    ///< the plan's limit
  stuck,      ///< time stands still
};

struct Report {
  Ending ending = Ending::running;
  std::uint32_t downloaders = 0, finished = 0;                     ///< honest ones
  double first_seconds = 0, median_seconds = 0, last_seconds = 0;  ///< of completions, since each one's start
  Bound bound;
  double bound_seconds = 0;            ///< bound.seconds
  double ratio = 0;                    ///< last_seconds / bound_seconds
  double seed_copies = 0;              ///< what the seeds sent, in copies of the content
  std::uint64_t payload_received = 0;  ///< by the honest downloaders that finished, in all their lives, bytes
  std::uint64_t payload_wasted = 0;    ///< of it, beyond what each of them lacked at its start
  std::uint32_t free_riders = 0, free_riders_finished = 0;
  double free_riders_median_seconds = 0;  ///< of those that finished
  std::uint32_t liars = 0;
  std::uint32_t lives = 0;         ///< of the honest nodes: more than nodes where some came again
  std::uint32_t pieces_lost = 0;   ///< on no node that is there or will come back
  std::uint64_t pieces_wrong = 0;  ///< found by honest nodes
  std::uint64_t event_hash = 0, events = 0;
  double virtual_seconds = 0;
  std::uint64_t checks_asked = 0;
  std::vector<std::string> violations;
  std::vector<Curve::Sample> curve;

  bool all_finished() const { return finished == downloaders; }
  bool all_right() const { return all_finished() && violations.empty(); }
  std::string text() const;  ///< a few lines for a person
};

}  // namespace swarm::sim
