#include "wire/json.hh"

#include <cstring>

#include "base/check.hh"
#include "base/text.hh"

namespace swarm::wire::json {
namespace {

/// Brackets outside of strings, so that the parser's recursion is bounded before it starts.
bool is_deeper_than(std::string_view text, int limit) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > limit) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

tl::expected<Tree, std::string> parse(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) return tl::unexpected(fmt::format("more than {} bytes", bytes_max));
  if (is_deeper_than(text, depth_max)) return tl::unexpected(fmt::format("more than {} levels deep", depth_max));
  const char* end = nullptr;
  Tree tree(cJSON_ParseWithLengthOpts(text.data(), text.size(), &end, 0));
  if (tree == nullptr) return tl::unexpected(std::string("not JSON"));
  const auto rest = text.substr(static_cast<std::size_t>(end - text.data()));
  if (rest.find_first_not_of(" \t\r\n") != rest.npos) {
    return tl::unexpected(std::string("more than one JSON value"));
  }
  return tree;
}

std::string In::text(std::size_t bytes_max) const {
  if (!cJSON_IsString(item_)) return wrong("a string"), std::string();
  const std::size_t size = std::strlen(item_->valuestring);
  if (size > bytes_max) return wrong("a shorter string"), std::string();
  return {item_->valuestring, size};
}

std::string In::path() const {
  if (parent_ == nullptr) return "message";
  auto before = parent_->parent_ == nullptr ? std::string() : parent_->path();
  if (key_ == nullptr) return fmt::format("{}[{}]", before, index_);
  return before.empty() ? key_ : before + "." + key_;
}

Out Out::text(const std::string& t) { return Out(cJSON_CreateString(is_utf8(t) ? t.c_str() : printable(t).c_str())); }

Out Out::hundredths(double value) {
  const auto n = whole(std::floor(value * 100 + 1e-6));
  auto digits = fmt::format("{}.{:02}", n / 100, n % 100);
  while (digits.back() == '0') digits.pop_back();
  if (digits.back() == '.') digits.pop_back();
  return Out(cJSON_CreateRaw(digits.c_str()));
}

Out& Out::add(Out value) {
  SWARM_CHECK(cJSON_AddItemToArray(item_.get(), value.item_.release()));
  return *this;
}

Out& Out::with(const char* key, Out value) & {
  SWARM_CHECK(cJSON_AddItemToObjectCS(item_.get(), key, value.item_.release()));
  return *this;
}

std::string Out::print() const {
  const std::unique_ptr<char, decltype(&cJSON_free)> text(cJSON_PrintUnformatted(item_.get()), &cJSON_free);
  SWARM_CHECK(text != nullptr);
  return text.get();
}

Out::Out(cJSON* item) : item_(item) { SWARM_CHECK(item != nullptr); }

std::uint64_t Out::whole(double value) {
  if (!(value > 0)) return 0;
  return value < 9e18 ? static_cast<std::uint64_t>(std::llround(value)) : 9'000'000'000'000'000'000u;
}

}  // namespace swarm::wire::json
