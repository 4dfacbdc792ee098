#include "cli/config.hh"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>

#include "base/text.hh"

namespace swarm::cli {

namespace {

constexpr std::size_t config_bytes_max = 1u << 20;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_key(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_'; }

std::string utf8(char32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xc0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xe0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | c >> 18), tail(12), tail(6), tail(0)};
}

/// "1_000" is 1000; a lone, leading or doubled underscore is nothing.
bool is_number(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  const auto digits = [&text] {
    std::size_t n = 0;
    while (n < text.size() && (is_digit(text[n]) || (text[n] == '_' && n > 0 && is_digit(text[n - 1])))) ++n;
    const bool ok = n > 0 && is_digit(text[n - 1]);
    text.remove_prefix(n);
    return ok;
  };
  if (text.size() > 1 && text[0] == '0' && is_digit(text[1])) return false;  // "007"
  if (!digits()) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (!digits()) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (!digits()) return false;
  }
  return text.empty();
}

/// The fault sticks: after the first, everything reads as the end of the file.
class Reader {
 public:
  Reader(std::string_view text, std::string path) : rest_(text), path_(std::move(path)) {
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);  // what some editors put before UTF-8
  }

  Result<std::vector<Setting>> read();

 private:
  void table();
  void setting();
  std::string key();
  void value(Setting& into);
  std::string scalar();
  std::string basic_string();
  std::string literal_string();
  std::string escaped();
  std::string bare();
  void end_of_line();

  void skip_blanks();
  void skip_lines();  ///< blanks, comments and ends of lines
  char peek() const { return rest_.empty() ? '\n' : rest_.front(); }
  bool take(char c);
  void fault(std::string what) {
    if (fault_.empty()) fault_ = fmt::format("{}:{}: {}", printable(path_), line_, what);
    rest_ = {};
  }

  std::string_view rest_;
  std::string path_;
  std::size_t line_ = 1;
  std::string fault_;
  std::string table_;
  std::vector<Setting> settings_;
  std::set<std::string> tables_;
  std::set<std::pair<std::string, std::string>> keys_;
};

Result<std::vector<Setting>> Reader::read() {
  for (skip_lines(); !rest_.empty(); skip_lines()) {
    if (peek() == '[') {
      table();
    } else {
      setting();
    }
    end_of_line();
  }
  if (!fault_.empty()) return fail(Exit::usage, "bad_config", fault_);
  return std::move(settings_);
}

/// "[seed]"
void Reader::table() {
  take('[');
  if (peek() == '[') return fault("a table in double brackets, which no setting needs");
  skip_blanks();
  table_ = key();
  skip_blanks();
  if (peek() == '.') return fault("a table within a table, which no setting needs");
  if (!take(']')) return fault(fmt::format("[{} has no closing bracket", printable(table_)));
  if (!tables_.insert(table_).second) fault(fmt::format("[{}] stands here a second time", printable(table_)));
}

/// `up = "10M"`
void Reader::setting() {
  Setting s;
  s.table = table_;
  s.line = line_;
  s.key = key();
  skip_blanks();
  const auto shown = printable(s.key);
  if (peek() == '.') return fault(fmt::format("a dotted key; write [{}] on a line of its own above", shown));
  if (!take('=')) return fault(fmt::format("'{}' is not followed by '='", shown));
  skip_blanks();
  if (!keys_.emplace(s.table, s.key).second) return fault(fmt::format("{} stands here a second time", shown));
  value(s);
  settings_.push_back(std::move(s));
}

std::string Reader::key() {
  if (peek() == '"') return basic_string();
  if (peek() == '\'') return literal_string();
  const auto end = std::ranges::find_if_not(rest_, is_key);
  const std::string out(rest_.begin(), end);
  if (out.empty()) {
    const auto upto = rest_.substr(0, rest_.find_first_of(" \t\r\n"));
    fault(fmt::format("a setting was expected, and found '{}'", fit(printable(upto), 20)));
  } else {
    rest_.remove_prefix(out.size());
  }
  return out;
}

void Reader::value(Setting& into) {
  if (!take('[')) return into.values.push_back(scalar());
  into.list = true;
  for (;;) {
    skip_lines();
    if (take(']')) return;
    if (rest_.empty()) return fault(fmt::format("the list of {} has no closing bracket", printable(into.key)));
    into.values.push_back(scalar());
    skip_lines();
    if (rest_.empty()) continue;
    if (!take(',') && peek() != ']') {
      return fault(fmt::format("in the list of {}: a comma is missing", printable(into.key)));
    }
  }
}

std::string Reader::scalar() {
  if (rest_.starts_with("\"\"\"") || rest_.starts_with("'''")) {
    fault("a text over several lines, which no setting needs");
    return {};
  }
  if (peek() == '"') return basic_string();
  if (peek() == '\'') return literal_string();
  return bare();
}

std::string Reader::basic_string() {
  take('"');
  std::string out;
  while (peek() != '"' && peek() != '\n') {
    if (take('\\')) {
      out += escaped();
    } else {
      out += peek();
      rest_.remove_prefix(1);
    }
  }
  if (!take('"')) fault("a text has no closing quote");
  return out;
}

std::string Reader::literal_string() {
  take('\'');
  const auto end = rest_.find_first_of("'\n");
  std::string out(rest_.substr(0, end));
  rest_.remove_prefix(out.size());
  if (!take('\'')) fault("a text has no closing quote");
  return out;
}

/// What stands behind a backslash.
std::string Reader::escaped() {
  static constexpr std::string_view letters = "btnfr\"\\", meanings = "\b\t\n\f\r\"\\";
  const char c = peek();
  if (const auto at = letters.find(c); at != letters.npos) {
    rest_.remove_prefix(1);
    return {meanings[at]};
  }
  const std::size_t digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
  char32_t code = 0;
  bool ok = digits > 0 && rest_.size() > digits;
  for (std::size_t i = 1; ok && i <= digits; ++i) {
    static constexpr std::string_view hex = "0123456789abcdef";
    const auto low = rest_[i] >= 'A' && rest_[i] <= 'F' ? static_cast<char>(rest_[i] + 32) : rest_[i];
    const auto value = hex.find(low);
    ok = value != hex.npos;
    code = code << 4 | static_cast<char32_t>(value & 15);
  }
  if (!ok || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    fault("an unknown escape; write \\\\ for a backslash, or put the text in single quotes");
    return {};
  }
  rest_.remove_prefix(1 + digits);
  return utf8(code);
}

/// true, false or a number, as it stands.
std::string Reader::bare() {
  const auto end = std::min(rest_.find_first_of(" \t\r\n,]#"), rest_.size());
  std::string out(rest_.substr(0, end));
  if (out.empty()) {
    fault("a value is missing");
  } else if (out[0] == '{') {
    fault("a table in braces, which no setting needs");
  } else if (out != "true" && out != "false" && !is_number(out)) {
    fault(fmt::format("{} needs quotes: \"{}\"", printable(out), printable(out)));
  }
  rest_.remove_prefix(std::min(end, rest_.size()));
  if (is_number(out)) {
    std::erase(out, '_');
    if (out[0] == '+') out.erase(0, 1);
  }
  return out;
}

/// Nothing but a comment may stand behind a table or a value.
void Reader::end_of_line() {
  skip_blanks();
  if (peek() == '#') return;
  if (rest_.starts_with("\r\n") || peek() == '\n') return;
  const auto upto = rest_.substr(0, rest_.find_first_of("\r\n"));
  fault(fmt::format("'{}' is too much on this line", fit(printable(upto), 20)));
}

void Reader::skip_blanks() {
  while (peek() == ' ' || peek() == '\t') rest_.remove_prefix(1);
}

void Reader::skip_lines() {
  for (;;) {
    skip_blanks();
    if (peek() == '#') rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
    if (rest_.starts_with("\r\n")) rest_.remove_prefix(1);
    if (rest_.empty() || peek() != '\n') return;
    rest_.remove_prefix(1);
    ++line_;
  }
}

bool Reader::take(char c) {
  if (rest_.empty() || rest_.front() != c) return false;
  rest_.remove_prefix(1);
  return true;
}

/// The line of the first byte that no TOML file has: a control character, or broken UTF-8; 0 when there is none.
std::size_t foreign_line(std::string_view text) {
  std::size_t line = 0;
  for (auto part : split(text, '\n')) {
    ++line;
    if (part.ends_with('\r')) part.remove_suffix(1);
    const auto is_control = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; };
    if (!is_utf8(part) || std::ranges::any_of(part, is_control)) return line;
  }
  return 0;
}

}  // namespace

Result<std::vector<Setting>> parse_config(std::string_view text, const std::string& path) {
  if (const auto line = foreign_line(text)) {
    return fail(Exit::usage, "bad_config", fmt::format("{}:{}: this is not text in UTF-8", printable(path), line));
  }
  return Reader(text, path).read();
}

Result<std::optional<std::string>> read_config(const std::string& path) {
  const auto wrong = [&path](const char* why) {
    return fail(Exit::disk, "cannot_read", fmt::format("cannot read {}: {}", printable(path), why));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::optional<std::string>();
  if (!file) return wrong(std::strerror(errno));
  std::string text;
  char block[4096];
  while (const auto n = std::fread(block, 1, sizeof block, file.get())) {
    text.append(block, n);
    if (text.size() > config_bytes_max) return wrong("it is larger than 1 MiB");
  }
  if (std::ferror(file.get()) != 0) return wrong(std::strerror(errno));  // a folder ends here
  return std::optional(std::move(text));
}

}  // namespace swarm::cli
