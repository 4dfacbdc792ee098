// The functions of text.hh that look at characters instead of bytes.
#include <algorithm>
#include <array>
#include <span>

#include "base/text.hh"

namespace swarm {

namespace {

struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

/// The first character of a text that is not empty; one byte that is not valid where UTF-8 is broken.
Character first_character(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t code = lead & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (overlong || surrogate || code > 0x10ffff) return {};
  return {code, bytes, true};
}

struct CodeRange {
  char32_t first;
  char32_t last;
};

bool contains(std::span<const CodeRange> ranges, char32_t code) {
  const auto at =
      std::lower_bound(ranges.begin(), ranges.end(), code, [](CodeRange r, char32_t c) { return r.last < c; });
  return at != ranges.end() && at->first <= code;
}

/// What could move a terminal's cursor, or make a name read as another: controls, line separators, direction marks.
constexpr std::array<CodeRange, 9> unsafe = {{
    {0x00, 0x1f},
    {0x7f, 0x9f},
    {0x61c, 0x61c},
    {0x200e, 0x200f},
    {0x2028, 0x202e},
    {0x2066, 0x2069},
    {0xfeff, 0xfeff},
    {0xfff9, 0xfffb},
    {0xe0000, 0xe007f},
}};

/// Combining marks of the scripts in wide use, joiners, variation selectors: drawn over their neighbour.
constexpr std::array<CodeRange, 66> zero_wide = {{
    {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x5bf, 0x5bf},   {0x5c1, 0x5c2},   {0x5c4, 0x5c5},
    {0x5c7, 0x5c7},   {0x610, 0x61a},   {0x64b, 0x65f},   {0x670, 0x670},   {0x6d6, 0x6dc},   {0x6df, 0x6e4},
    {0x6e7, 0x6e8},   {0x6ea, 0x6ed},   {0x711, 0x711},   {0x730, 0x74a},   {0x900, 0x902},   {0x93a, 0x93a},
    {0x93c, 0x93c},   {0x941, 0x948},   {0x94d, 0x94d},   {0x951, 0x957},   {0x962, 0x963},   {0x981, 0x981},
    {0x9bc, 0x9bc},   {0x9c1, 0x9c4},   {0x9cd, 0x9cd},   {0xa01, 0xa02},   {0xa3c, 0xa3c},   {0xa41, 0xa51},
    {0xa81, 0xa82},   {0xabc, 0xabc},   {0xac1, 0xac8},   {0xacd, 0xacd},   {0xb01, 0xb01},   {0xb3c, 0xb3c},
    {0xbc0, 0xbc0},   {0xbcd, 0xbcd},   {0xc46, 0xc56},   {0xccc, 0xccd},   {0xd41, 0xd44},   {0xd4d, 0xd4d},
    {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},   {0xeb1, 0xeb1},   {0xeb4, 0xebc},   {0xec8, 0xecd},
    {0xf71, 0xf7e},   {0xf80, 0xf84},   {0x102d, 0x1030}, {0x1032, 0x1037}, {0x1039, 0x103a}, {0x1160, 0x11ff},
    {0x17b4, 0x17b5}, {0x17b7, 0x17bd}, {0x17c9, 0x17d3}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f},
    {0x20d0, 0x20f0}, {0x302a, 0x302d}, {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef},
}};

/// East Asian wide and full-width characters and emoji (Unicode 14, gaps that are not assigned closed): two columns.
constexpr std::array<CodeRange, 75> wide = {{
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},   {0x23f0, 0x23f0},
    {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267f, 0x267f},
    {0x2693, 0x2693},   {0x26a1, 0x26a1},   {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},
    {0x26ce, 0x26ce},   {0x26d4, 0x26d4},   {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5},
    {0x26fa, 0x26fa},   {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b},   {0x2728, 0x2728},
    {0x274c, 0x274c},   {0x274e, 0x274e},   {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},
    {0x27b0, 0x27b0},   {0x27bf, 0x27bf},   {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},
    {0x2e80, 0x303e},   {0x3041, 0x3247},   {0x3250, 0x4dbf},   {0x4e00, 0xa4cf},   {0xa960, 0xa97f},
    {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe10, 0xfe1f},   {0xfe30, 0xfe6f},   {0xff01, 0xff60},
    {0xffe0, 0xffe6},   {0x16fe0, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e},
    {0x1f191, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393},
    {0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0}, {0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e},
    {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e}, {0x1f550, 0x1f567},
    {0x1f57a, 0x1f57a}, {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5},
    {0x1f6cc, 0x1f6d2}, {0x1f6d5, 0x1f6df}, {0x1f6eb, 0x1f6ff}, {0x1f7e0, 0x1faff}, {0x20000, 0x3fffd},
}};

std::size_t columns(Character c) {
  if (!c.valid || c.code < 0x300) return 1;  // most text ends here
  if (contains(zero_wide, c.code)) return 0;
  return contains(wide, c.code) ? 2 : 1;
}

/// The longest start of the text that takes at most `width` columns, with the marks that belong to its last character.
std::string_view start_within(std::string_view text, std::size_t width) {
  std::size_t end = 0;
  for (std::size_t used = 0; end < text.size();) {
    const auto c = first_character(text.substr(end));
    used += columns(c);
    if (used > width) break;
    end += c.bytes;
  }
  return text.substr(0, end);
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto c = first_character(text);
    if (!c.valid) return false;
    text.remove_prefix(c.bytes);
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto c = first_character(text);
    out += !c.valid || contains(unsafe, c.code) ? "\uFFFD" : text.substr(0, c.bytes);
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::size_t columns(std::string_view text) {
  std::size_t sum = 0;
  while (!text.empty()) {
    const auto c = first_character(text);
    sum += columns(c);
    text.remove_prefix(c.bytes);
  }
  return sum;
}

std::string fit(std::string_view text, std::size_t width, bool utf8) {
  if (start_within(text, width).size() == text.size()) return std::string(text);
  if (width == 0) return "";
  return std::string(start_within(text, width - 1)) + (utf8 ? "…" : ".");
}

}  // namespace swarm
