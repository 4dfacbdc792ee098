// Bencode as one would write it on a blackboard: recursive, a value for each value, no offsets. The twin of
// wire/bencode.hh, which must accept the same inputs and find the same values in them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/bencode.hh"

namespace swarm::test {

struct NaiveBencode {
  using Type = wire::BencodeValue::Type;
  Type type = Type::none;
  std::int64_t integer = 0;
  std::string string;
  std::string key;  // empty outside a dict
  std::vector<NaiveBencode> children;

  /// The value at the start of the text, cut off it.
  static std::optional<NaiveBencode> cut(std::string_view& text, bool leading_zeros, int depth = 0) {
    NaiveBencode v;
    if (text.empty()) return std::nullopt;
    const char c = text[0];
    if (c == 'i') {
      const auto end = text.find('e');
      if (end == text.npos) return std::nullopt;
      const auto n = to_integer(text.substr(1, end - 1), leading_zeros);
      if (!n) return std::nullopt;
      v.type = Type::integer;
      v.integer = *n;
      text.remove_prefix(end + 1);
      return v;
    }
    if (c != 'l' && c != 'd') {
      auto s = cut_string(text);
      if (!s) return std::nullopt;
      v.type = Type::string;
      v.string = *std::move(s);
      return v;
    }
    if (depth == 100) return std::nullopt;
    v.type = c == 'd' ? Type::dict : Type::list;
    text.remove_prefix(1);
    while (!text.starts_with('e')) {
      std::optional<std::string> key = "";
      if (c == 'd') key = cut_string(text);
      if (!key) return std::nullopt;
      auto child = cut(text, leading_zeros, depth + 1);
      if (!child) return std::nullopt;
      child->key = *std::move(key);
      v.children.push_back(*std::move(child));
    }
    text.remove_prefix(1);
    return v;
  }

  /// Does the flat document say the same?
  bool same(const wire::BencodeValue& other) const {
    if (other.type() != type) return false;
    if (other.integer() != (type == Type::integer ? std::optional(integer) : std::nullopt)) return false;
    if (other.string() != (type == Type::string ? std::optional<std::string_view>(string) : std::nullopt)) return false;
    auto child = other.first();
    for (const auto& mine : children) {
      if (!child || child.key() != mine.key || !mine.same(child)) return false;
      child = child.next();
    }
    return !child;
  }

 private:
  static std::optional<std::int64_t> to_integer(std::string_view digits, bool leading_zeros) {
    const bool negative = digits.starts_with('-');
    if (negative) digits.remove_prefix(1);
    if (digits.empty() || digits.find_first_not_of("0123456789") != digits.npos) return std::nullopt;
    const auto zeros = std::min(digits.find_first_not_of('0'), digits.size() - 1);
    if (!leading_zeros && (zeros > 0 || (negative && digits == "0"))) return std::nullopt;
    digits.remove_prefix(zeros);
    const std::string_view max = negative ? "9223372036854775808" : "9223372036854775807";
    if (digits.size() > max.size() || (digits.size() == max.size() && digits > max)) return std::nullopt;
    std::uint64_t n = 0;
    for (const char c : digits) n = n * 10 + static_cast<std::uint64_t>(c - '0');
    return static_cast<std::int64_t>(negative ? 0 - n : n);
  }

  static std::optional<std::string> cut_string(std::string_view& text) {
    const auto colon = text.find(':');
    if (colon == text.npos || colon > 10) return std::nullopt;
    const auto length = to_integer(text.substr(0, colon), false);
    if (!length || text.starts_with('-') || static_cast<std::uint64_t>(*length) > text.size() - colon - 1)
      return std::nullopt;
    std::string out(text.substr(colon + 1, static_cast<std::size_t>(*length)));
    text.remove_prefix(colon + 1 + out.size());
    return out;
  }
};

}  // namespace swarm::test
