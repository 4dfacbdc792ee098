#include "sim/trace.hh"

#include <doctest/doctest.h>

using namespace swarm;
using namespace swarm::sim;

TEST_CASE("trace: one object a line, with the words of what happened") {
  const Instant when(1'204'512'000ns);
  CHECK(trace_line(when, "node3", Happened::stored, 17, 0) ==
        R"({"seconds":1.204512000,"node":"node3","what":"stored","piece":17})");
  CHECK(trace_line(Instant(5ns), "seed1", Happened::finished, 0, 0) ==
        R"({"seconds":0.000000005,"node":"seed1","what":"finished"})");
  CHECK(trace_line(when, "node1", Happened::received_payload, 2, std::uint64_t{7} << 32 | 16384) ==
        R"({"seconds":1.204512000,"node":"node1","what":"received","conn":2,"piece":7,"end":16384})");
  CHECK(trace_line(when, "node1", Happened::received, 2, 17) ==
        R"({"seconds":1.204512000,"node":"node1","what":"received","conn":2,"bytes":17})");
  CHECK(trace_line(when, "node1", Happened::fault, 1, 0) ==
        R"({"seconds":1.204512000,"node":"node1","what":"started"})");
  CHECK(trace_line(when, "node1", Happened::replied, 3, 200) ==
        R"({"seconds":1.204512000,"node":"node1","what":"replied","request":3,"status":200})");
}
