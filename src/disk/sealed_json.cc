#include "disk/sealed_json.hh"

#include <algorithm>
#include <cmath>

#include "base/digest.hh"
#include "base/sha1.hh"
#include "base/text.hh"

namespace swarm::disk {
namespace {

constexpr std::string_view head = "{\"checksum\":\"";
constexpr std::size_t hex_bytes = 40;
constexpr std::uint64_t number_max = std::uint64_t{1} << 53;  ///< what a double holds exactly
constexpr int depth_max = 4;
constexpr std::size_t stamp_bytes = 24;

/// The text behind the checksum, when it is the one that was sealed.
std::optional<std::string_view> open_seal(std::string_view sealed) {
  if (sealed.size() > sealed_bytes_max || sealed.size() < head.size() + hex_bytes) return std::nullopt;
  if (!sealed.starts_with(head)) return std::nullopt;
  const std::string_view rest = sealed.substr(head.size() + hex_bytes);
  if (to_hex(sha1(as_bytes(rest))) != sealed.substr(head.size(), hex_bytes)) return std::nullopt;
  return rest;
}

/// cJSON recurses; a checksum is no proof that the text is ours.
bool is_shallow(std::string_view json) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > depth_max) return false;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return true;
}

}  // namespace

JsonWriter::JsonWriter() : object_(cJSON_CreateObject(), cJSON_Delete) {}

void JsonWriter::number(const char* name, std::uint64_t value) {
  // Raw, for cJSON prints 15 digits of a double.
  cJSON_AddRawToObject(object_.get(), name, std::to_string(std::min(value, number_max)).c_str());
}
void JsonWriter::flag(const char* name, bool value) { cJSON_AddBoolToObject(object_.get(), name, value); }
void JsonWriter::text(const char* name, std::string_view value) {
  cJSON_AddStringToObject(object_.get(), name, printable(value).c_str());
}
void JsonWriter::bytes(const char* name, ByteView value) {
  cJSON_AddStringToObject(object_.get(), name, to_base64(value).c_str());
}
void JsonWriter::lists(const char* name, const std::vector<std::vector<std::string>>& value) {
  cJSON* outer = cJSON_AddArrayToObject(object_.get(), name);
  for (const std::vector<std::string>& list : value) {
    cJSON* inner = cJSON_CreateArray();
    for (const std::string& text : list) cJSON_AddItemToArray(inner, cJSON_CreateString(printable(text).c_str()));
    cJSON_AddItemToArray(outer, inner);
  }
}

std::string JsonWriter::sealed() const {
  const std::unique_ptr<char, void (*)(void*)> printed(cJSON_PrintUnformatted(object_.get()), cJSON_free);
  if (!printed) return {};
  std::string rest = std::string("\",").append(printed.get() + 1).append("\n");
  return std::string(head) + to_hex(sha1(as_bytes(rest))) + rest;
}

JsonReader::JsonReader(std::string_view sealed) : object_(nullptr, cJSON_Delete) {
  const auto rest = open_seal(sealed);
  if (!rest || !is_shallow(sealed)) return;
  const char* end = nullptr;
  object_.reset(cJSON_ParseWithLengthOpts(sealed.data(), sealed.size(), &end, 0));
  ok_ = object_ && cJSON_IsObject(object_.get());
}

const cJSON* JsonReader::field(const char* name, bool (*is_kind)(const cJSON*)) {
  const cJSON* item = ok_ ? cJSON_GetObjectItemCaseSensitive(object_.get(), name) : nullptr;
  if (item == nullptr || !is_kind(item)) {
    ok_ = false;
    return nullptr;
  }
  return item;
}

std::uint64_t JsonReader::number(const char* name, std::uint64_t max) {
  const cJSON* item = field(name, [](const cJSON* i) { return cJSON_IsNumber(i) != 0; });
  if (item == nullptr) return 0;
  const double value = item->valuedouble;
  if (!(value >= 0 && value <= static_cast<double>(std::min(max, number_max))) || value != std::floor(value)) {
    ok_ = false;
    return 0;
  }
  return static_cast<std::uint64_t>(value);
}

bool JsonReader::flag(const char* name) {
  const cJSON* item = field(name, [](const cJSON* i) { return cJSON_IsBool(i) != 0; });
  return item != nullptr && cJSON_IsTrue(item) != 0;
}

std::string JsonReader::text(const char* name) {
  const cJSON* item = field(name, [](const cJSON* i) { return cJSON_IsString(i) != 0; });
  return item != nullptr ? item->valuestring : "";
}

Buffer JsonReader::bytes(const char* name) {
  auto bytes = from_base64(text(name));
  if (!bytes) ok_ = false;
  return bytes ? std::move(*bytes) : Buffer();
}

std::vector<std::vector<std::string>> JsonReader::lists(const char* name) {
  std::vector<std::vector<std::string>> value;
  const cJSON* outer = field(name, [](const cJSON* i) { return cJSON_IsArray(i) != 0; });
  if (outer == nullptr) return value;
  const cJSON* inner = nullptr;
  cJSON_ArrayForEach(inner, outer) {
    value.emplace_back();
    ok_ = ok_ && cJSON_IsArray(inner) != 0;
    const cJSON* item = nullptr;
    cJSON_ArrayForEach(item, inner) {
      if (cJSON_IsString(item) != 0) {
        value.back().emplace_back(item->valuestring);
      } else {
        ok_ = false;
      }
    }
  }
  return value;
}

Buffer pack(const std::vector<FileStamp>& stamps) {
  Buffer bytes(stamps.size() * stamp_bytes);
  std::uint8_t* at = bytes.data();
  for (const FileStamp& stamp : stamps) {
    store_u64(at, stamp.bytes);
    store_u64(at + 8, static_cast<std::uint64_t>(stamp.mtime_ns));
    store_u64(at + 16, stamp.inode);
    at += stamp_bytes;
  }
  return bytes;
}

std::optional<std::vector<FileStamp>> unpack_stamps(ByteView bytes) {
  if (bytes.size() % stamp_bytes != 0) return std::nullopt;
  std::vector<FileStamp> stamps(bytes.size() / stamp_bytes);
  const std::uint8_t* at = bytes.data();
  for (FileStamp& stamp : stamps) {
    stamp = {load_u64(at), static_cast<std::int64_t>(load_u64(at + 8)), load_u64(at + 16)};
    at += stamp_bytes;
  }
  return stamps;
}

}  // namespace swarm::disk
