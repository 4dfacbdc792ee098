// Numbers, times and names, from and to the text that people and files use. Pure; no locale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "base/instant.hh"

namespace swarm {

std::string size_text(std::uint64_t bytes);      ///< IEC, one decimal from KiB on: "512 B", "631.0 MiB", "1.5 TiB"
std::string rate_text(double bytes_per_second);  ///< "41.8 MiB/s"; "-" when it rounds to 0
/// "0:06", "12:34", "3:12:04", "5d 3h", rounded up; "-" when negative, not finite or >= 1e15
std::string eta_text(double seconds);

/// "64K", "10M", "10MiB" and plain bytes are binary (K = 1024); "10MB", "10kB" are decimal; case never matters ("b"
/// is bytes too); a fraction ("1.5G") and one space before the unit are allowed. Nothing on overflow, sign, or another
/// unit.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// A size, also with "/s" behind, or bits ("100Mbit", "1Gbit/s", decimal): bytes per second.
std::optional<std::uint64_t> parse_rate(std::string_view text);
/// "90" (seconds), "90s", "15m", "2h", "1d", "200ms", "100us", "1h30m".
std::optional<Duration> parse_duration(std::string_view text);

std::string to_base64(ByteView bytes);                        ///< RFC 4648 with padding
std::optional<Buffer> from_base64(std::string_view text);     ///< strict
std::string percent_encode(ByteView bytes);                   ///< all but A-Z a-z 0-9 - . _ ~ (RFC 3986)
std::optional<Buffer> percent_decode(std::string_view text);  ///< '+' stays '+'; nothing on a broken escape

bool is_utf8(std::string_view text);  ///< well formed, no surrogates, no overlong forms
/// What may be shown on a terminal: invalid UTF-8, control and bidirectional-override characters become U+FFFD.
std::string printable(std::string_view text);
/// Columns that printable UTF-8 takes (wide and zero-width characters counted as terminals do, by a small table).
std::size_t columns(std::string_view text);
/// Cut to at most `width` columns, with "…" (or "." when not utf8) in the last one when something was cut.
std::string fit(std::string_view text, std::size_t width, bool utf8 = true);

/// Damerau-Levenshtein distance; gives limit + 1 as soon as it is known to be larger than limit.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit);
/// The nearest of `known` within distance 2 (and less than the word's length), or nothing; the first among equals.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

std::vector<std::string_view> split(std::string_view text, char separator);  ///< keeps empty parts

}  // namespace swarm
