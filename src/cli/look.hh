// Look: how lines are drawn, and the small pieces that all of them are made of. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::cli {

struct Look {
  std::size_t width = 80;  ///< columns that may be used
  bool utf8 = true;        ///< block glyphs and the like
  bool colour = false;     ///< repeats what the words say
};

enum class Paint : std::uint8_t { none, bold, dim, good, bad, hint };
std::string painted(std::string_view text, Paint paint, const Look& look);
/// Columns that text takes which painted() may have coloured.
std::size_t painted_columns(std::string_view text);

/// One piece of a line. When the line is too long, the piece with the highest `drop` goes first; 0 stays.
struct Part {
  std::string text;
  int drop = 0;
  Paint paint = Paint::none;
  std::string_view gap = "  ";  ///< before it
};
/// At most look.width columns; when even what stays is too long, the first part is cut.
std::string line_of(std::vector<Part> parts, const Look& look);

/// `width` columns, the first `fraction` of them full: eighths of blocks, or '#' and '.' without UTF-8.
std::string bar(double fraction, std::size_t width, const Look& look);

double share(std::uint64_t part, std::uint64_t whole);  ///< as a fraction; of nothing, all
std::string percent_text(double fraction);              ///< "62.4%"; never rounded up, so 100.0% is whole
/// "393.7/631.0 MiB", both in the total's unit; from GiB on with two decimals below 10, so that progress shows: "0.04/1.00 GiB".
std::string sizes_text(std::uint64_t done, std::uint64_t total);
std::string piece_bytes_text(std::uint32_t bytes);                                  ///< "512 KiB"
std::string seconds_text(double seconds);                                           ///< "15.2 s", "2m 05s", "3h 12m"
std::string rate_or_zero(double bytes_per_second);                                  ///< rate_text, but "0 B/s" for none
std::string counted(std::uint64_t n, std::string_view one, std::string_view many);  ///< "1 peer", "2 peers"

}  // namespace swarm::cli
