#include "cli/option_values.hh"

namespace swarm::cli {

namespace {
constexpr std::uint32_t piece_bytes_min = 16u << 10, piece_bytes_max = 16u << 20;  // what every client takes
}  // namespace

bool put_piece_size(Options& o, std::string_view v) {
  if (v == "auto") return o.piece_bytes = 0, true;
  const auto n = parse_size(v);
  if (!n || *n < piece_bytes_min || *n > piece_bytes_max || (*n & (*n - 1)) != 0) return false;
  o.piece_bytes = static_cast<std::uint32_t>(*n);
  return true;
}

bool put_ratio(Options& o, std::string_view v) {
  double r = 0;
  const auto [end, error] = std::from_chars(v.data(), v.data() + v.size(), r);
  if (error != std::errc{} || end != v.data() + v.size() || !(r > 0 && r < 1e9)) return false;
  o.until_ratio = r;
  return true;
}

std::optional<bool> parse_truth(std::string_view text) {
  for (const auto* yes : {"true", "1", "yes", "on"}) {
    if (text == yes) return true;
  }
  for (const auto* no : {"false", "0", "no", "off", ""}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

}  // namespace swarm::cli
