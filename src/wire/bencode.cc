#include "wire/bencode.hh"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "base/check.hh"

namespace swarm::wire {

namespace {

constexpr std::size_t depth_max = 100;
constexpr std::size_t key_bytes_max = (std::size_t{1} << 25) - 1;

bool is_digit(std::uint8_t c) { return c >= '0' && c <= '9'; }

}  // namespace

/// Children stand behind their container; a container's first child is the node after it.
struct BencodeDocument::Node {
  std::uint32_t begin;           ///< offset of the value, behind its key
  std::uint32_t end;             ///< offset of the first byte after the value
  std::uint32_t next;            ///< node of the next sibling; 0, the root, when there is none
  std::uint32_t key_bytes : 25;  ///< the key ends where the value begins
  std::uint32_t prefix : 4;      ///< of a string: digits and colon
  std::uint32_t type : 3;
};

/// Reads one document into nodes. Containers that are open are kept in an array of fixed size, so that hostile depth
/// costs neither stack nor memory.
class BencodeDocument::Parser {
 public:
  Parser(ByteView input, const Limits& limits, std::vector<Node>& nodes)
      : input_(input), limits_(limits), nodes_(nodes) {}

  bool parse() {
    if (input_.size() > std::numeric_limits<std::uint32_t>::max()) return refuse("a shorter input");
    do {
      if (depth_ > 0 && peek() == 'e') {
        close();
      } else if (!read_key() || !read_value()) {
        return false;
      }
    } while (depth_ > 0);
    return at_ == input_.size() || limits_.trailing_bytes || refuse("end of input");
  }

  std::size_t offset() const { return at_; }
  const BencodeFault& fault() const { return fault_; }

 private:
  struct Open {
    std::uint32_t node;
    std::uint32_t last_child;  ///< 0 before the first
  };

  std::uint8_t peek() const { return at_ < input_.size() ? input_[at_] : 0; }

  bool refuse(std::string_view expected) {
    fault_ = {at_, expected};
    return false;
  }

  /// The key of the next value; none outside a dict.
  bool read_key() {
    key_bytes_ = 0;
    if (depth_ == 0 || nodes_[open_[depth_ - 1].node].type != number(BencodeValue::Type::dict)) return true;
    if (!is_digit(peek())) return refuse("a key or 'e'");
    std::size_t prefix = 0;
    std::size_t length = 0;
    if (!read_string_head(prefix, length)) return false;
    if (length > key_bytes_max) return refuse("a shorter key");
    at_ += prefix + length;
    key_bytes_ = static_cast<std::uint32_t>(length);
    return true;
  }

  bool read_value() {
    const auto c = peek();
    if (nodes_.size() >= limits_.tokens_max) return refuse("fewer values");
    if (c == 'l') return open(BencodeValue::Type::list);
    if (c == 'd') return open(BencodeValue::Type::dict);
    if (c == 'i') return read_integer();
    if (is_digit(c)) return read_string();
    return refuse("a value");
  }

  bool open(BencodeValue::Type type) {
    if (depth_ == depth_max) return refuse("less depth");
    add(type, 1, 0);
    open_[depth_++] = {static_cast<std::uint32_t>(nodes_.size() - 1), 0};
    return true;
  }

  void close() { nodes_[open_[--depth_].node].end = static_cast<std::uint32_t>(++at_); }

  bool read_integer() {
    const auto begin = at_;
    ++at_;
    const bool negative = peek() == '-';
    if (negative) ++at_;
    const auto digits = at_;
    const auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + (negative ? 1 : 0);
    std::uint64_t n = 0;
    for (; is_digit(peek()); ++at_) {
      const std::uint64_t digit = input_[at_] - std::uint64_t{'0'};
      if (n > (limit - digit) / 10) return refuse("an integer of 64 bits");
      n = n * 10 + digit;
    }
    if (at_ == digits) return refuse("a digit");
    const bool odd_zero = input_[digits] == '0' && (at_ - digits > 1 || negative);
    if (odd_zero && !limits_.leading_zeros) {
      at_ = digits;
      return refuse("no leading zero");
    }
    if (peek() != 'e') return refuse("'e'");
    const auto bytes = at_ + 1 - begin;
    at_ = begin;
    add(BencodeValue::Type::integer, bytes, 0);
    return true;
  }

  bool read_string() {
    std::size_t prefix = 0;
    std::size_t length = 0;
    if (!read_string_head(prefix, length)) return false;
    add(BencodeValue::Type::string, prefix + length, prefix);
    return true;
  }

  /// Leaves the offset where the string starts; its whole text is known to be there.
  bool read_string_head(std::size_t& prefix, std::size_t& length) {
    const auto begin = at_;
    length = 0;
    for (; is_digit(peek()); ++at_) {
      if (at_ == begin + 1 && input_[begin] == '0') return refuse("':'");
      length = length * 10 + (input_[at_] - std::size_t{'0'});
      if (length > input_.size()) return refuse("a shorter string");  // and so the product above cannot overflow
    }
    if (peek() != ':') return refuse("':'");
    prefix = at_ + 1 - begin;
    if (length > input_.size() - at_ - 1) return refuse("a shorter string");
    at_ = begin;
    return true;
  }

  /// A value of so many bytes starts here, and its container knows it from now on.
  void add(BencodeValue::Type type, std::size_t bytes, std::size_t prefix) {
    const auto node = static_cast<std::uint32_t>(nodes_.size());
    if (depth_ > 0) {
      auto& last = open_[depth_ - 1].last_child;
      if (last != 0) nodes_[last].next = node;
      last = node;
    }
    const auto end = at_ + bytes;
    nodes_.push_back({static_cast<std::uint32_t>(at_), static_cast<std::uint32_t>(end), 0, key_bytes_,
                      static_cast<std::uint32_t>(prefix), number(type)});
    at_ = end;
  }

  static constexpr std::uint32_t number(BencodeValue::Type type) { return static_cast<std::uint32_t>(type); }

  ByteView input_;
  const Limits& limits_;
  std::vector<Node>& nodes_;
  std::size_t at_ = 0;
  std::uint32_t key_bytes_ = 0;
  std::size_t depth_ = 0;
  std::array<Open, depth_max> open_{};
  BencodeFault fault_;
};

BencodeDocument::BencodeDocument() = default;
BencodeDocument::BencodeDocument(BencodeDocument&&) noexcept = default;
BencodeDocument& BencodeDocument::operator=(BencodeDocument&&) noexcept = default;
BencodeDocument::~BencodeDocument() = default;

tl::expected<BencodeDocument, BencodeFault> BencodeDocument::parse(ByteView input, Limits limits) {
  static_assert(sizeof(Node) == 16);
  BencodeDocument document;
  Parser parser(input, limits, document.nodes_);
  if (!parser.parse()) return tl::unexpected(parser.fault());
  document.input_ = input;
  document.end_ = parser.offset();
  return document;
}

BencodeValue BencodeDocument::root() const { return nodes_.empty() ? BencodeValue() : BencodeValue(this, 0); }

BencodeValue::Type BencodeValue::type() const {
  return document_ != nullptr ? static_cast<Type>(document_->nodes_[node_].type) : Type::none;
}

ByteView BencodeValue::raw() const {
  if (document_ == nullptr) return {};
  const auto& node = document_->nodes_[node_];
  return document_->input_.subspan(node.begin, node.end - node.begin);
}

std::size_t BencodeValue::offset() const { return document_ != nullptr ? document_->nodes_[node_].begin : 0; }

std::optional<std::int64_t> BencodeValue::integer() const {
  if (type() != Type::integer) return std::nullopt;
  const auto text = as_text(raw());
  std::int64_t n = 0;
  std::from_chars(text.data() + 1, text.data() + text.size() - 1, n);
  return n;
}

std::optional<std::string_view> BencodeValue::string() const {
  if (type() != Type::string) return std::nullopt;
  return as_text(raw().subspan(document_->nodes_[node_].prefix));
}

BencodeValue BencodeValue::find(std::string_view key) const {
  if (type() != Type::dict) return {};
  for (auto v = first(); v; v = v.next()) {
    if (v.key() == key) return v;
  }
  return {};
}

BencodeValue BencodeValue::first() const {
  const bool container = type() == Type::list || type() == Type::dict;
  return container && raw().size() > 2 ? BencodeValue(document_, node_ + 1) : BencodeValue();
}

BencodeValue BencodeValue::next() const {
  const auto next = document_ != nullptr ? document_->nodes_[node_].next : 0;
  return next != 0 ? BencodeValue(document_, next) : BencodeValue();
}

std::string_view BencodeValue::key() const {
  if (document_ == nullptr) return {};
  const auto& node = document_->nodes_[node_];
  return as_text(document_->input_.subspan(node.begin - node.key_bytes, node.key_bytes));
}

BencodeWriter& BencodeWriter::begin_dict() { return begin('d', true); }
BencodeWriter& BencodeWriter::begin_list() { return begin('l', false); }

BencodeWriter& BencodeWriter::end() {
  SWARM_CHECK(!open_.empty() && !open_.back().key_waits);
  open_.pop_back();
  out_.push_back('e');
  return *this;
}

BencodeWriter& BencodeWriter::key(std::string_view key) {
  SWARM_CHECK(!open_.empty() && open_.back().dict && !open_.back().key_waits);
  auto& open = open_.back();
  SWARM_CHECK(!open.last_key || *open.last_key < key);
  open.last_key = std::string(key);
  open.key_waits = true;
  append_length_and(key);
  return *this;
}

BencodeWriter& BencodeWriter::integer(std::int64_t value) {
  before_value();
  std::array<char, 24> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out_.push_back('i');
  out_.insert(out_.end(), text.data(), end);
  out_.push_back('e');
  return *this;
}

BencodeWriter& BencodeWriter::string(std::string_view text) {
  before_value();
  append_length_and(text);
  return *this;
}

BencodeWriter& BencodeWriter::raw(ByteView bencoded) {
  before_value();
  append(out_, bencoded);
  return *this;
}

Buffer BencodeWriter::take() {
  SWARM_CHECK(open_.empty());
  return std::exchange(out_, {});
}

BencodeWriter& BencodeWriter::begin(char mark, bool dict) {
  before_value();
  out_.push_back(static_cast<std::uint8_t>(mark));
  open_.push_back({dict, false, {}});
  return *this;
}

void BencodeWriter::before_value() {
  if (open_.empty()) {
    SWARM_CHECK(out_.empty());  // one root
  } else {
    SWARM_CHECK(open_.back().key_waits == open_.back().dict);
    open_.back().key_waits = false;
  }
}

void BencodeWriter::append_length_and(std::string_view text) {
  std::array<char, 24> length{};
  const auto end = std::to_chars(length.data(), length.data() + length.size(), text.size()).ptr;
  out_.insert(out_.end(), length.data(), end);
  out_.push_back(':');
  append(out_, as_bytes(text));
}

}  // namespace swarm::wire
