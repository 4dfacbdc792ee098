// Option values: how a text becomes the value of an option, for the rows of the table: one function per type of value, and what a
// person is told that it must be. A `put_…` returns false when the text is not of its kind; what `member` holds is then unspecified.
#pragma once

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/text.hh"
#include "cli/options.hh"

namespace swarm::cli {

constexpr std::uint64_t u32_max = std::numeric_limits<std::uint32_t>::max();

template <class Number>
std::optional<Number> number_from(std::string_view text) {
  Number n{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

template <class T, class Value>
bool take(T& into, const std::optional<Value>& value) {
  if (!value) return false;
  into = static_cast<T>(*value);
  return true;
}

// `member` says where a value goes.
template <auto member>
bool put_flag(Options& o, std::string_view v) {
  return take(o.*member, parse_truth(v));
}
template <auto member>
bool put_text(Options& o, std::string_view v) {
  (o.*member) = v;
  return !v.empty();
}
template <auto member>
bool put_list(Options& o, std::string_view v) {
  (o.*member).emplace_back(v);
  return !v.empty();
}
template <auto member>
bool put_rate(Options& o, std::string_view v) {
  return take(o.*member, parse_rate(v));
}
template <auto member>
bool put_duration(Options& o, std::string_view v) {
  const auto d = parse_duration(v);
  if (!d) return false;
  (o.*member) = *d;
  return true;
}
template <auto member, std::uint64_t max>
bool put_number(Options& o, std::string_view v) {
  const auto n = number_from<std::uint64_t>(v);
  if (!n || *n == 0 || *n > max) return false;
  (o.*member) = static_cast<std::uint32_t>(*n);
  return true;
}

/// Which of some words it is, each with what it means.
template <class Choice>
bool choose(Choice& into, std::string_view v, std::initializer_list<std::pair<std::string_view, Choice>> known) {
  for (const auto& [word, choice] : known) {
    if (v != word) continue;
    into = choice;
    return true;
  }
  return false;
}

bool put_piece_size(Options& o, std::string_view v);  ///< "auto" or a power of two, 16 KiB to 16 MiB
bool put_ratio(Options& o, std::string_view v);       ///< above 0, below 10^9

constexpr ValueKind a_truth{"true or false", "true or false", "true|false"};
constexpr ValueKind a_text{"anything", "a text that is not empty"};
constexpr ValueKind a_file{"a file", "the path of a file", {}, ValueKind::Place::file};
constexpr ValueKind a_folder{"a folder", "the path of a folder", {}, ValueKind::Place::folder};
constexpr ValueKind a_size{"a size", "e.g. 500K, 10M, 10MB/s"};
constexpr ValueKind a_duration{"a duration", "e.g. 90, 90s, 15m, 2h, 200ms"};
constexpr ValueKind a_number{"a number above 0", "e.g. 20"};

}  // namespace swarm::cli
