// Bencode (BEP 3): a tree of views over the input, and a canonical writer.
//
// Reading is lenient where the wild is (unsorted keys, a duplicate key keeps the first) and strict where it matters:
// depth <= 100, no length that reaches beyond the input, no allocation from a length, integers within int64, no leading
// zeros but in metainfo v1 mode. Linear time, no recursion; the tree is one flat array of nodes, 16 bytes a value (keys
// are not values), at most `tokens_max` of them. The input is < 4 GiB, a key < 32 MiB. The input must outlive the
// document.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/bytes.hh"

namespace swarm::wire {

struct BencodeFault {
  std::size_t offset = 0;     ///< in the input, where reading stopped
  std::string_view expected;  ///< static text: "'d'", "end of input", "a digit", "a shorter string", "less depth" …
};

class BencodeDocument;

/// A value of the document, or none. Copying it copies two words. Asking a value for what it is not gives none.
class BencodeValue {
 public:
  enum class Type : std::uint8_t { none, integer, string, list, dict };

  BencodeValue() = default;
  Type type() const;
  explicit operator bool() const { return type() != Type::none; }
  ByteView raw() const;  ///< the slice of the input that this value was read from, delimiters included
  std::size_t offset() const;

  std::optional<std::int64_t> integer() const;
  std::optional<std::string_view> string() const;
  BencodeValue find(std::string_view key) const;  ///< of a dict; linear in its keys

  /// Children, in the order of the input: for (v = list.first(); v; v = v.next()). Of a dict: the values, each with its
  /// key().
  BencodeValue first() const;
  BencodeValue next() const;
  std::string_view key() const;

 private:
  friend class BencodeDocument;
  BencodeValue(const BencodeDocument* d, std::uint32_t n) : document_(d), node_(n) {}
  const BencodeDocument* document_ = nullptr;
  std::uint32_t node_ = 0;
};

class BencodeDocument {
 public:
  struct Limits {
    std::size_t tokens_max = 4'000'000;  ///< values; fewer than 2^32
    bool trailing_bytes = false;         ///< accept bytes after the root (met in .torrent files)
    bool leading_zeros = false;          ///< accept i07e and i-0e (met in v1 .torrent files)
  };
  static tl::expected<BencodeDocument, BencodeFault> parse(ByteView input, Limits limits);
  static tl::expected<BencodeDocument, BencodeFault> parse(ByteView input) { return parse(input, Limits{}); }
  /// Not movable views: values refer to the document's address, so keep it where it is while they are used.
  BencodeValue root() const;
  std::size_t end() const { return end_; }  ///< offset of the first byte after the root

 private:
  friend class BencodeValue;
  class Parser;
  struct Node;
  std::vector<Node> nodes_;
  ByteView input_;
  std::size_t end_ = 0;

 public:
  BencodeDocument();
  BencodeDocument(BencodeDocument&&) noexcept;
  BencodeDocument& operator=(BencodeDocument&&) noexcept;
  ~BencodeDocument();
};

/// Writes canonical bencode. Keys of a dict must be given in ascending byte order, and a value after each (checked).
class BencodeWriter {
 public:
  BencodeWriter& begin_dict();
  BencodeWriter& begin_list();
  BencodeWriter& end();
  BencodeWriter& key(std::string_view key);
  BencodeWriter& integer(std::int64_t value);
  BencodeWriter& string(std::string_view text);
  BencodeWriter& string(ByteView bytes) { return string(as_text(bytes)); }
  BencodeWriter& raw(ByteView bencoded);  ///< one value, already encoded
  Buffer take();                          ///< everything is closed

 private:
  struct Open {
    bool dict = false;
    bool key_waits = false;               ///< a key was written, its value was not
    std::optional<std::string> last_key;  ///< of a dict that has one
  };
  void before_value();
  BencodeWriter& begin(char mark, bool dict);
  void append_length_and(std::string_view text);

  Buffer out_;
  std::vector<Open> open_;  ///< the containers that are not closed, the outermost first
};

}  // namespace swarm::wire
