#include "sim/trace.hh"

#include <fmt/format.h>

#include <array>

namespace swarm::sim {

namespace {

/// What the two numbers of an event are called; empty: it has none.
struct Shape {
  std::string_view what, a, b;
};

Shape shape_of(Happened what) {
  switch (what) {
    case Happened::accepted:
      return {"accepted", "host", ""};
    case Happened::connected:
      return {"connected", "conn", ""};
    case Happened::connect_failed:
      return {"connect_failed", "conn", ""};
    case Happened::received:
      return {"received", "conn", "bytes"};
    case Happened::received_payload:
      return {"received", "conn", ""};
    case Happened::closed:
      return {"closed", "conn", "reset"};
    case Happened::room:
      return {"room", "conn", ""};
    case Happened::stored:
      return {"stored", "piece", ""};
    case Happened::hash_failed:
      return {"hash_failed", "piece", ""};
    case Happened::saved:
      return {"saved", "", ""};
    case Happened::finished:
      return {"finished", "", ""};
    case Happened::replied:
      return {"replied", "request", "status"};
    case Happened::timer:
      return {"timer", "", ""};
    case Happened::fault:
      return {"fault", "", ""};
    case Happened::tracker:
      return {"tracker", "status", "bytes"};
  }
  return {"other", "a", "b"};
}

/// The first number of a fault says which.
constexpr std::array<std::string_view, 6> faults{"ended", "started", "unplugged", "plugged", "split", "healed"};

}  // namespace

std::string trace_line(Instant when, std::string_view node, Happened what, std::uint64_t a, std::uint64_t b) {
  const Shape shape = shape_of(what);
  const auto ns = when.time_since_epoch().count();
  std::string out =
      fmt::format("{{\"seconds\":{}.{:09},\"node\":\"{}\",\"what\":\"{}\"", ns / 1'000'000'000, ns % 1'000'000'000,
                  node, what == Happened::fault && a < faults.size() ? faults[a] : shape.what);
  if (!shape.a.empty()) out += fmt::format(",\"{}\":{}", shape.a, a);
  if (!shape.b.empty()) out += fmt::format(",\"{}\":{}", shape.b, b);
  if (what == Happened::received_payload) out += fmt::format(",\"piece\":{},\"end\":{}", b >> 32, b & 0xffffffff);
  return out + '}';
}

}  // namespace swarm::sim
