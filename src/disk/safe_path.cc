#include "disk/safe_path.hh"

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "base/digest.hh"
#include "base/sha1.hh"

namespace swarm::disk {
namespace {

constexpr std::size_t element_bytes_max = 255;   ///< NAME_MAX of every common file system
constexpr std::size_t path_bytes_max = 2048;     ///< of a whole relative path; half of PATH_MAX
constexpr std::size_t extension_bytes_max = 32;  ///< a longer one is no extension but part of a sentence
constexpr std::size_t number_bytes_max = 12;     ///< room for ".4294967295" between stem and extension

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;  ///< bytes; 0: not well-formed UTF-8
};

CodePoint code_point_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(at);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < length) return {};
  std::uint32_t value = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(at + i) & 0x3f);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || (value >= 0xd800 && value < 0xe000) || value > 0x10ffff) return {};
  return {value, length};
}

bool is_harmless(std::uint32_t c) {
  if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;                   // control characters, NUL among them
  if (c == '/' || c == '\\') return false;                                 // separators, here or elsewhere
  if (c == 0x2028 || c == 0x2029) return false;                            // line and paragraph separators
  return !((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069));  // bidirectional embeddings and overrides
}

/// At most `bytes`, without cutting a character.
std::string_view cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<std::uint8_t>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

struct Parts {
  std::string_view stem, extension;  ///< the extension with its dot; empty when there is none
};

Parts parts_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || name.size() - dot > extension_bytes_max) return {name, {}};
  return {name.substr(0, dot), name.substr(dot)};
}

}  // namespace

std::string safe_element(std::string_view raw) {
  std::string out;
  out.reserve(std::min<std::size_t>(raw.size(), 1024));
  for (std::size_t at = 0; at < raw.size();) {
    const CodePoint c = code_point_at(raw, at);
    if (c.length > 0 && is_harmless(c.value)) {
      out.append(raw.substr(at, c.length));
    } else {
      out += '_';
    }
    at += std::max<std::size_t>(c.length, 1);
  }
  if (out.empty()) return "_";
  if (out == ".") return "_";
  if (out == "..") return "__";
  if (out.size() <= element_bytes_max) return out;
  const auto [stem, extension] = parts_of(out);
  return std::string(cut(stem, element_bytes_max - extension.size())).append(extension);
}

namespace {

/// The same text for names that a file system which ignores case takes for one: ASCII, Latin, Greek and Cyrillic
/// letters.
std::string fold_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    std::uint32_t v = c.value;
    if ((v >= 'A' && v <= 'Z') || (v >= 0xc0 && v <= 0xde && v != 0xd7) || (v >= 0x391 && v <= 0x3a9) ||
        (v >= 0x410 && v <= 0x42f)) {
      v += 32;
    } else if (v >= 0x400 && v <= 0x40f) {
      v += 80;
    } else if ((v >= 0x100 && v <= 0x137) || (v >= 0x14a && v <= 0x177) || (v >= 0x460 && v <= 0x4bf)) {
      v |= 1;  // capitals are even there
    } else if ((v >= 0x139 && v <= 0x148) || (v >= 0x179 && v <= 0x17e)) {
      v += v & 1;  // and odd here
    }
    if (v == c.value || c.length == 0) {
      out.append(text.substr(at, std::max<std::size_t>(c.length, 1)));
    } else if (v < 0x80) {
      out += static_cast<char>(v);
    } else {  // all the ranges above end below U+0800: two bytes
      out += static_cast<char>(0xc0 | v >> 6);
      out += static_cast<char>(0x80 | (v & 0x3f));
    }
    at += std::max<std::size_t>(c.length, 1);
  }
  return out;
}

/// The names that are taken, as a tree of folded elements: a node is a folder or a file. Linear in the bytes of all
/// paths, however deep they are.
class Taken {
 public:
  static constexpr std::uint32_t root = 0;

  /// The folder of this name in a folder; made when it is new.
  std::uint32_t folder(std::uint32_t in, std::string_view element) {
    const auto [at, fresh] = nodes_.try_emplace({in, fold_case(element)}, next_);
    if (fresh) ++next_;
    return at->second;
  }
  /// Takes a name for a file; false when a file or a folder has it.
  bool file(std::uint32_t in, std::string_view element) {
    return nodes_.try_emplace({in, fold_case(element)}, next_).second;
  }
  /// A file's name in a folder that nobody has yet, with a number before the extension when need be.
  std::string free_name(std::uint32_t in, const std::string& element) {
    if (file(in, element)) return element;
    const auto [whole_stem, extension] = parts_of(element);
    const auto stem = cut(whole_stem, element_bytes_max - number_bytes_max - extension.size());
    // Counted by what the candidates are made of, so that no two series of them can meet and the work stays linear.
    std::uint32_t& last = numbers_[{in, fold_case(std::string(stem) + '/' + std::string(extension))}];
    while (true) {
      std::string candidate = std::string(stem) + '.' + std::to_string(++last) + std::string(extension);
      if (file(in, candidate)) return candidate;
    }
  }

 private:
  using Key = std::pair<std::uint32_t, std::string>;
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<std::string>()(key.second) ^ (key.first + 1) * 0x9e3779b97f4a7c15u;
    }
  };
  std::unordered_map<Key, std::uint32_t, Hash> nodes_;
  std::unordered_map<Key, std::uint32_t, Hash> numbers_;
  std::uint32_t next_ = root + 1;
};

/// The safe elements of a file's path. One that is too long for a system call keeps its last element only.
std::vector<std::string> safe_elements(const std::vector<std::string>& raw) {
  std::vector<std::string> out;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i + 1 < raw.size() && bytes <= path_bytes_max; ++i) {
    out.push_back(safe_element(raw[i]));
    bytes += out.back().size() + 1;
  }
  std::string last = safe_element(raw.empty() ? std::string_view() : raw.back());
  if (bytes + last.size() > path_bytes_max) out.clear();
  out.push_back(std::move(last));
  return out;
}

}  // namespace

std::vector<std::string> safe_paths(const wire::Metainfo& m) {
  // Folders first: where a file and a folder want one name, the file gives way, whichever came first.
  Taken taken;
  std::vector<std::vector<std::string>> elements(m.files.size());
  std::vector<std::uint32_t> folders(m.files.size(), Taken::root);
  for (std::size_t i = 0; i < m.files.size(); ++i) {
    if (m.files[i].pad) continue;
    elements[i] = safe_elements(m.files[i].path);
    for (std::size_t k = 0; k + 1 < elements[i].size(); ++k) folders[i] = taken.folder(folders[i], elements[i][k]);
  }
  std::vector<std::string> paths(m.files.size());
  for (std::size_t i = 0; i < m.files.size(); ++i) {
    if (elements[i].empty()) continue;
    elements[i].back() = taken.free_name(folders[i], elements[i].back());
    for (const std::string& element : elements[i]) {
      if (!paths[i].empty()) paths[i] += '/';
      paths[i] += element;
    }
  }
  return paths;
}

std::string beside(const std::string& target, std::string_view suffix) {
  constexpr std::size_t room = 24;  // for the longest suffix, ".progress.json.tmp", and a little more
  std::string path = target;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::size_t slash = path.rfind('/');
  const std::size_t start = slash == std::string::npos ? 0 : slash + 1;
  const std::string name = path.substr(start);
  if (name.size() + room > element_bytes_max) {
    const std::string digest = to_hex(sha1(as_bytes(name))).substr(0, 16);
    path = path.substr(0, start) + std::string(cut(name, element_bytes_max - room - digest.size() - 1)) + '~' + digest;
  }
  return path.append(suffix);
}

}  // namespace swarm::disk
