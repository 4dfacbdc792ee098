#include "sim/report.hh"

#include <fmt/format.h>

#include "base/text.hh"

namespace swarm::sim {

std::string Report::text() const {
  std::string out = fmt::format(
      "{} of {} finished: first {:.3f} s, median {:.3f} s, last {:.3f} s = {:.3f} x the bound of {:.3f} s; the seeds "
      "sent "
      "{:.2f} copies, {} wasted; {} events, hash {:016x}",
      finished, downloaders, first_seconds, median_seconds, last_seconds, ratio, bound_seconds, seed_copies,
      size_text(payload_wasted), events, event_hash);
  if (free_riders > 0) {
    out += fmt::format("; {} of {} free riders finished, median {:.3f} s", free_riders_finished, free_riders,
                       free_riders_median_seconds);
  }
  if (pieces_lost > 0) out += fmt::format("; {} pieces are lost", pieces_lost);
  for (const auto& violation : violations) out += "\n  " + violation;
  return out;
}

}  // namespace swarm::sim
