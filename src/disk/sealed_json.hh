// JSON objects in files of our own, under a checksum: {"checksum":"<40 hex digits>", …}. The checksum is the SHA-1 of
// every byte behind it, so that any change at all is found: a flipped bit, a torn write, a well-meant edit.
#pragma once

#include <cjson/cJSON.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "disk/storage.hh"

namespace swarm::disk {

constexpr std::size_t sealed_bytes_max = 64u << 20;

/// Builds one object, field by field, in the order given.
class JsonWriter {
 public:
  JsonWriter();
  void number(const char* name, std::uint64_t value);  ///< cut at 2^53
  void flag(const char* name, bool value);
  void text(const char* name, std::string_view value);  ///< made printable
  void bytes(const char* name, ByteView value);         ///< base64
  void lists(const char* name, const std::vector<std::vector<std::string>>& value);
  std::string sealed() const;

 private:
  std::unique_ptr<cJSON, void (*)(cJSON*)> object_;
};

/// Reads one object; a field that is missing or of another kind makes ok() false for good.
class JsonReader {
 public:
  explicit JsonReader(std::string_view sealed);

  std::uint64_t number(const char* name, std::uint64_t max);
  bool flag(const char* name);
  std::string text(const char* name);
  Buffer bytes(const char* name);
  std::vector<std::vector<std::string>> lists(const char* name);
  bool ok() const { return ok_; }
  void refuse() { ok_ = false; }

 private:
  const cJSON* field(const char* name, bool (*is_kind)(const cJSON*));

  std::unique_ptr<cJSON, void (*)(cJSON*)> object_;
  bool ok_ = false;
};

Buffer pack(const std::vector<FileStamp>& stamps);  ///< 24 bytes each, big-endian
std::optional<std::vector<FileStamp>> unpack_stamps(ByteView bytes);

}  // namespace swarm::disk
