// JSON messages read and written a field at a time, over cJSON: what the control plane's messages are made of.
//
// Reading: a size and a depth are checked before the parser sees the text, and the first wrong field is remembered by its
// path; a reader goes on as if nothing was, so that a decoder is a list of fields, and whoever began it asks once.
// Writing: numbers exactly, texts always valid UTF-8, one line without an end.
#pragma once

#include <cJSON.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace swarm::wire::json {

constexpr int depth_max = 32;

struct FreeJson {
  void operator()(cJSON* item) const noexcept { cJSON_Delete(item); }
};
using Tree = std::unique_ptr<cJSON, FreeJson>;

tl::expected<Tree, std::string> parse(std::string_view text, std::size_t bytes_max);

/// One value of the message, by where it stands in it. The first wrong one is remembered in `fault`, with its path.
class In {
 public:
  In(const cJSON* root, std::string& fault) : item_(root), fault_(&fault) {}

  In operator[](const char* key) const {
    return {cJSON_IsObject(item_) ? cJSON_GetObjectItemCaseSensitive(item_, key) : nullptr, this, key, 0};
  }
  bool given() const { return item_ != nullptr && !cJSON_IsNull(item_); }

  In object() const {
    if (!cJSON_IsObject(item_)) wrong("an object");
    return *this;
  }
  std::string text(std::size_t bytes_max = 4096) const;
  std::string text_if_given(std::size_t bytes_max = 4096) const { return given() ? text(bytes_max) : std::string(); }

  double real() const {
    if (!cJSON_IsNumber(item_) || !std::isfinite(item_->valuedouble)) return wrong("a finite number"), 0;
    return item_->valuedouble;
  }
  double real_if_given() const { return given() ? std::max(0.0, real()) : 0; }

  /// JSON's numbers are doubles here: above 2^53 they are near, and at the end of the range they stay there.
  template <class T>
  T integer() const {
    constexpr double end =
        2.0 * (std::numeric_limits<T>::max() / 2 + 1);  // 2^bits, which a double holds and a T does not
    if (!cJSON_IsNumber(item_) || !(item_->valuedouble >= 0)) return wrong("an integer from 0"), T{};
    if (item_->valuedouble < end) return static_cast<T>(item_->valuedouble);
    if (sizeof(T) == 8) return std::numeric_limits<T>::max();
    return wrong("a smaller integer"), T{};
  }
  template <class T>
  T integer_if_given() const {
    return given() ? integer<T>() : T{};
  }
  bool flag_if_given() const {
    if (given() && !cJSON_IsBool(item_)) wrong("true or false");
    return cJSON_IsTrue(item_);
  }

  /// f(element) for each of an array; nothing given counts as an empty one.
  template <class F>
  void each_if_given(F f) const {
    if (!given()) return;
    if (!cJSON_IsArray(item_)) return wrong("an array");
    std::size_t i = 0;
    for (const cJSON* c = item_->child; c != nullptr && fault_->empty(); c = c->next) f(In(c, this, nullptr, i++));
  }

  template <class T>
  T parsed(std::optional<T> value, const char* expected) const {
    if (!value) wrong(expected);
    return value.value_or(T());
  }
  void wrong(const char* expected) const {
    if (fault_->empty()) *fault_ = fmt::format("{}: expected {}", path(), expected);
  }

 private:
  In(const cJSON* item, const In* parent, const char* key, std::size_t index)
      : item_(item), fault_(parent->fault_), parent_(parent), key_(key), index_(index) {}

  std::string path() const;

  const cJSON* item_ = nullptr;
  std::string* fault_ = nullptr;
  const In* parent_ = nullptr;  ///< parents outlive their children: all of them stand in the caller's frame
  const char* key_ = nullptr;
  std::size_t index_ = 0;
};

/// Parses within the limits and gives the root, which is an object, to `read`, which gives the message. Else: what is
/// wrong, for a person.
template <class Read>
auto read(std::string_view text, std::size_t bytes_max, Read read)
    -> tl::expected<decltype(read(std::declval<In>())), std::string> {
  auto tree = parse(text, bytes_max);
  if (!tree) return tl::unexpected(std::move(tree.error()));
  std::string fault;
  auto message = read(In(tree->get(), fault).object());
  if (!fault.empty()) return tl::unexpected(std::move(fault));
  return message;
}

/// A value under construction.
class Out {
 public:
  static Out object() { return Out(cJSON_CreateObject()); }
  static Out array() { return Out(cJSON_CreateArray()); }
  /// JSON is UTF-8; the names of files and hosts need not be.
  static Out text(const std::string& t);
  static Out flag(bool on) { return Out(cJSON_CreateBool(on ? 1 : 0)); }
  /// Exactly, which cJSON's doubles would not do.
  static Out integer(std::uint64_t n) { return Out(cJSON_CreateRaw(fmt::format("{}", n).c_str())); }
  static Out rate(double bytes_per_second) { return integer(whole(bytes_per_second)); }
  /// Cut, not rounded, at two decimals: 99.999 % is not 100 %, nor are 1.999 copies two.
  static Out hundredths(double value);
  template <class T, class F>
  static Out list(const std::vector<T>& items, F one) {
    auto out = array();
    for (const auto& item : items) out.add(one(item));
    return out;
  }

  Out& add(Out value);
  Out& with(const char* key, Out value) &;
  Out&& with(const char* key, Out value) && { return std::move(with(key, std::move(value))); }

  std::string print() const;

 private:
  explicit Out(cJSON* item);
  static std::uint64_t whole(double value);
  Tree item_;
};

}  // namespace swarm::wire::json
