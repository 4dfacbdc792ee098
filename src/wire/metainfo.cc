#include "wire/metainfo.hh"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "base/check.hh"
#include "base/sha1.hh"
#include "base/text.hh"
#include "wire/bencode.hh"

namespace swarm::wire {

namespace {

using Type = BencodeValue::Type;

constexpr std::size_t torrent_bytes_max = std::size_t{64} << 20;
constexpr std::size_t info_bytes_max = std::size_t{32} << 20;
constexpr std::int64_t piece_bytes_max = std::int64_t{512} << 20;
/// A million files are four million values, more when their paths have many elements.
constexpr std::size_t values_max = 8'000'000;
/// Trackers and web seeds of one torrent, each; nobody uses more, and what follows is not kept.
constexpr std::size_t urls_max = 1000;

/// What is wrong, and where; becomes an Error once the input's name is known.
struct Wrong {
  std::size_t offset = 0;
  std::string text;
};
template <class T>
using Read = tl::expected<T, Wrong>;

tl::unexpected<Wrong> wrong(const BencodeValue& at, std::string text) {
  return tl::unexpected<Wrong>(Wrong{at.offset(), std::move(text)});
}

tl::unexpected<Error> not_a_torrent(std::string_view what, std::string_view why, std::string hint = {}) {
  return fail(Exit::integrity, "not_a_torrent", fmt::format("{} is not a torrent file ({})", printable(what), why),
              std::move(hint));
}

tl::unexpected<Error> not_a_torrent(std::string_view what, const Wrong& w) {
  return not_a_torrent(what, fmt::format("offset {}: {}", w.offset, w.text));
}

std::string found_at(ByteView input, std::size_t offset) {
  if (offset >= input.size()) return "the end";
  const auto c = input[offset];
  return c > ' ' && c < 0x7f ? fmt::format("'{}'", static_cast<char>(c)) : fmt::format("byte 0x{:02x}", c);
}

/// What people mistake for a torrent file.
std::string_view guess(ByteView input) {
  auto text = as_text(input);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n\xef\xbb\xbf"), text.size()));
  if (text.starts_with('<')) return "; an HTML page?";
  if (text.starts_with("magnet:")) return "; a magnet link?";
  if (text.starts_with("\x1f\x8b")) return "; compressed with gzip?";
  return "";
}

tl::unexpected<Error> not_a_torrent(std::string_view what, ByteView input, const BencodeFault& f) {
  const auto hint = f.offset == 0 ? guess(input) : std::string_view();
  return not_a_torrent(
      what, fmt::format("offset {}: expected {}, found {}{}", f.offset, f.expected, found_at(input, f.offset), hint));
}

/// The UTF-8 variant of a key where it is a proper one, else the key itself.
BencodeValue find_text(const BencodeValue& dict, std::string_view key, std::string_view utf8_key) {
  const auto preferred = dict.find(utf8_key);
  const auto text = preferred.string();
  return text && !text->empty() && is_utf8(*text) ? preferred : dict.find(key);
}

std::optional<std::vector<std::string>> read_path(const BencodeValue& list) {
  std::vector<std::string> path;
  if (list.type() != Type::list) return std::nullopt;
  for (auto element = list.first(); element; element = element.next()) {
    const auto text = element.string();
    if (!text) return std::nullopt;
    path.emplace_back(*text);
  }
  if (path.empty()) return std::nullopt;
  return path;
}

/// The fields of a file that matter, found in one walk: a torrent may have a million files.
struct FileFields {
  BencodeValue length, path, path_utf8, attributes;

  explicit FileFields(const BencodeValue& file) {
    for (auto v = file.first(); v; v = v.next()) {
      const auto key = v.key();
      auto* field = key == "length" ? &length : key == "path" ? &path : key == "path.utf-8" ? &path_utf8 : nullptr;
      if (key == "attr") field = &attributes;
      if (field != nullptr && !*field) *field = v;
    }
  }
};

/// BEP 47: a letter for each attribute; those we do not know mean nothing.
void apply_attributes(FileEntry& file, const BencodeValue& attributes) {
  const auto letters = attributes.string().value_or("");
  file.pad = letters.find('p') != letters.npos;
  file.executable = letters.find('x') != letters.npos;
}

Read<std::uint64_t> read_length(const BencodeValue& owner, const BencodeValue& length) {
  const auto n = length.integer();
  if (!n) return wrong(owner, "a file without a length");
  if (*n < 0) return wrong(length, fmt::format("file length {} is negative", *n));
  return static_cast<std::uint64_t>(*n);
}

Read<FileEntry> read_file(const BencodeValue& value) {
  if (value.type() != Type::dict) return wrong(value, "a file that is not a dictionary");
  const FileFields fields(value);
  FileEntry file;
  auto path = read_path(fields.path_utf8);
  if (!path || !std::all_of(path->begin(), path->end(), [](const auto& p) { return is_utf8(p); })) {
    path = read_path(fields.path);
  }
  if (!path) return wrong(value, "a file without a path");
  file.path = *std::move(path);
  const auto length = read_length(value, fields.length);
  if (!length) return tl::unexpected(length.error());
  file.length = *length;
  apply_attributes(file, fields.attributes);
  return file;
}

/// Of a folder, or the one of a single file.
Read<std::vector<FileEntry>> read_files(const BencodeValue& info, const std::string& name) {
  std::vector<FileEntry> files;
  const auto list = info.find("files");
  if (list.type() == Type::list) {
    for (auto v = list.first(); v; v = v.next()) {
      auto file = read_file(v);
      if (!file) return tl::unexpected(std::move(file).error());
      files.push_back(*std::move(file));
    }
    if (files.empty()) return wrong(list, "a folder without files");
    return files;
  }
  const auto length = read_length(info, info.find("length"));
  if (!length) return tl::unexpected(length.error());
  FileEntry file{{name}, *length};
  apply_attributes(file, info.find("attr"));
  files.push_back(std::move(file));
  return files;
}

Read<std::uint64_t> sum_lengths(const BencodeValue& info, const std::vector<FileEntry>& files) {
  constexpr std::uint64_t max = std::numeric_limits<std::int64_t>::max();
  std::uint64_t sum = 0;
  for (const auto& file : files) {
    if (file.length > max - sum) return wrong(info, "the lengths of the files add up to more than 2^63 bytes");
    sum += file.length;
  }
  return sum;
}

std::uint64_t pieces_needed(std::uint64_t bytes_total, std::uint64_t piece_bytes) {
  return bytes_total / piece_bytes + (bytes_total % piece_bytes != 0 ? 1 : 0);
}

Read<std::vector<Sha1Digest>> read_pieces(const BencodeValue& value, std::uint64_t bytes_total,
                                          std::uint32_t piece_bytes) {
  const auto hashes = as_bytes(*value.string());
  constexpr auto hash_bytes = sizeof(Sha1Digest);
  if (hashes.size() % hash_bytes != 0) {
    return wrong(value, fmt::format("the hashes of the pieces are {} bytes, not a multiple of 20", hashes.size()));
  }
  const auto count = hashes.size() / hash_bytes;
  if (const auto needed = pieces_needed(bytes_total, piece_bytes); count != needed) {
    return wrong(value, fmt::format("{} hashes, but {} bytes in pieces of {} have {} pieces", count, bytes_total,
                                    piece_bytes, needed));
  }
  std::vector<Sha1Digest> pieces(count);
  for (std::size_t i = 0; i < count; ++i) pieces[i] = *Sha1Digest::from(hashes.subspan(i * hash_bytes, hash_bytes));
  return pieces;
}

Read<std::uint32_t> read_piece_bytes(const BencodeValue& info) {
  const auto value = info.find("piece length");
  const auto n = value.integer();
  if (!n) return wrong(info, "no piece length");
  if (*n < 1 || *n > piece_bytes_max) {
    return wrong(value, fmt::format("piece length {} is not within 1 … {}", *n, piece_bytes_max));
  }
  return static_cast<std::uint32_t>(*n);
}

bool is_v2_only(const BencodeValue& info) {
  return info.find("meta version").integer().value_or(1) >= 2 && !info.find("pieces");
}

/// All that the info dictionary says. It is not v2 only.
Read<Metainfo> read_info(const BencodeValue& info) {
  if (info.raw().size() > info_bytes_max) return wrong(info, "the info dictionary is larger than 32 MiB");
  Metainfo m;
  const auto name = find_text(info, "name", "name.utf-8").string();
  if (!name) return wrong(info, "no name");
  m.name = *name;
  const auto piece_bytes = read_piece_bytes(info);
  if (!piece_bytes) return tl::unexpected(piece_bytes.error());
  m.piece_bytes = *piece_bytes;
  const auto hashes = info.find("pieces");
  if (!hashes.string()) return wrong(info, "no hashes of the pieces");

  auto files = read_files(info, m.name);
  if (!files) return tl::unexpected(std::move(files).error());
  m.folder = info.find("files").type() == Type::list;
  m.files = *std::move(files);
  const auto bytes_total = sum_lengths(info, m.files);
  if (!bytes_total) return tl::unexpected(bytes_total.error());
  m.bytes_total = *bytes_total;
  auto pieces = read_pieces(hashes, m.bytes_total, m.piece_bytes);
  if (!pieces) return tl::unexpected(std::move(pieces).error());
  m.pieces = *std::move(pieces);

  m.is_private = info.find("private").integer() == 1;
  m.info = to_buffer(info.raw());
  m.info_hash = sha1(m.info);
  return m;
}

/// URLs in the order of their first mention, without empty ones and repetitions, up to urls_max.
class UrlSet {
 public:
  /// The URL, when it is the first of its kind.
  std::optional<std::string> admit(const BencodeValue& value) {
    auto url = value.string().value_or("");
    url = url.substr(std::min(url.find_first_not_of(" \t\r\n"), url.size()));
    url = url.substr(0, url.find_last_not_of(" \t\r\n") + 1);
    if (url.empty() || seen_.size() == urls_max || !seen_.insert(url).second) return std::nullopt;
    return std::string(url);
  }

  /// Those of a list, or the one of a string.
  std::vector<std::string> admit_all(const BencodeValue& value) {
    std::vector<std::string> urls;
    if (auto url = admit(value)) urls.push_back(*std::move(url));
    for (auto v = value.type() == Type::list ? value.first() : BencodeValue(); v; v = v.next()) {
      if (auto url = admit(v)) urls.push_back(*std::move(url));
    }
    return urls;
  }

 private:
  std::set<std::string_view> seen_;
};

/// BEP 12: announce-list stands in for announce. A list of strings where lists should be is one tier each.
std::vector<std::vector<std::string>> read_trackers(const BencodeValue& root) {
  UrlSet urls;
  std::vector<std::vector<std::string>> tiers;
  const auto list = root.find("announce-list");
  for (auto v = list.type() == Type::list ? list.first() : BencodeValue(); v; v = v.next()) {
    if (auto tier = urls.admit_all(v); !tier.empty()) tiers.push_back(std::move(tier));
  }
  if (tiers.empty()) {
    if (auto tier = urls.admit_all(root.find("announce")); !tier.empty()) tiers.push_back(std::move(tier));
  }
  return tiers;
}

Result<Metainfo> parse_info_value(const BencodeValue& info, std::string_view what) {
  if (is_v2_only(info)) {
    return fail(
        Exit::integrity, "not_a_torrent",
        fmt::format("{} is a BitTorrent v2 torrent without v1 pieces, which swarm cannot read", printable(what)),
        "ask for a v1 or hybrid torrent of the same content");
  }
  auto m = read_info(info);
  if (!m) return not_a_torrent(what, m.error());
  return *std::move(m);
}

}  // namespace

Result<Metainfo> parse_metainfo(ByteView torrent, std::string_view what) {
  if (torrent.size() > torrent_bytes_max) return not_a_torrent(what, "larger than 64 MiB");
  if (torrent.empty() || torrent[0] != 'd') return not_a_torrent(what, torrent, {0, "'d'"});
  const auto document =
      BencodeDocument::parse(torrent, {.tokens_max = values_max, .trailing_bytes = true, .leading_zeros = true});
  if (!document) return not_a_torrent(what, torrent, document.error());
  const auto root = document->root();
  const auto info = root.find("info");
  if (info.type() != Type::dict) return not_a_torrent(what, Wrong{info.offset(), "no info dictionary"});

  auto m = parse_info_value(info, what);
  if (!m) return m;
  m->trackers = read_trackers(root);
  m->web_seeds = UrlSet().admit_all(root.find("url-list"));
  m->comment = find_text(root, "comment", "comment.utf-8").string().value_or("");
  m->created_by = root.find("created by").string().value_or("");
  return m;
}

Result<Metainfo> parse_info(ByteView info, std::string_view what) {
  if (info.size() > info_bytes_max) return not_a_torrent(what, "an info dictionary larger than 32 MiB");
  if (info.empty() || info[0] != 'd') return not_a_torrent(what, info, {0, "'d'"});
  const auto document = BencodeDocument::parse(info, {.tokens_max = values_max, .leading_zeros = true});
  if (!document) return not_a_torrent(what, info, document.error());
  return parse_info_value(document->root(), what);
}

std::uint32_t Metainfo::piece_size(PieceIndex p) const {
  SWARM_CHECK(number(p) < piece_count());
  const auto begin = std::uint64_t{number(p)} * piece_bytes;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(piece_bytes, bytes_total - begin));
}

namespace {

void write_attributes(BencodeWriter& out, const FileEntry& file) {
  if (!file.pad && !file.executable) return;
  out.key("attr").string(std::string(file.pad ? "p" : "") + (file.executable ? "x" : ""));
}

void write_file(BencodeWriter& out, const FileEntry& file) {
  out.begin_dict();
  write_attributes(out, file);
  out.key("length").integer(static_cast<std::int64_t>(file.length));
  out.key("path").begin_list();
  for (const auto& element : file.path) out.string(element);
  out.end().end();
}

void write_urls(BencodeWriter& out, const std::vector<std::string>& urls) {
  out.begin_list();
  for (const auto& url : urls) out.string(url);
  out.end();
}

}  // namespace

Buffer write_info(const NewInfo& info) {
  BencodeWriter out;
  out.begin_dict();
  if (info.folder) {
    out.key("files").begin_list();
    for (const auto& file : info.files) write_file(out, file);
    out.end();
  } else {
    SWARM_CHECK(info.files.size() == 1);
    write_attributes(out, info.files[0]);
    out.key("length").integer(static_cast<std::int64_t>(info.files[0].length));
  }
  out.key("name").string(info.name);
  out.key("piece length").integer(info.piece_bytes);
  Buffer hashes;
  hashes.reserve(info.pieces.size() * sizeof(Sha1Digest));
  for (const auto& piece : info.pieces) append(hashes, piece.view());
  out.key("pieces").string(hashes);
  if (info.is_private) out.key("private").integer(1);
  return out.end().take();
}

Buffer write_torrent(const Metainfo& m) {
  std::size_t trackers = 0;
  for (const auto& tier : m.trackers) trackers += tier.size();
  BencodeWriter out;
  out.begin_dict();
  if (trackers > 0) {
    const auto first = std::find_if(m.trackers.begin(), m.trackers.end(), [](const auto& t) { return !t.empty(); });
    out.key("announce").string(first->front());
  }
  if (trackers > 1) {
    out.key("announce-list").begin_list();
    for (const auto& tier : m.trackers) {
      if (!tier.empty()) write_urls(out, tier);
    }
    out.end();
  }
  if (!m.comment.empty()) out.key("comment").string(m.comment);
  if (!m.created_by.empty()) out.key("created by").string(m.created_by);
  out.key("info").raw(m.info);
  if (!m.web_seeds.empty()) {
    out.key("url-list");
    write_urls(out, m.web_seeds);
  }
  return out.end().take();
}

std::uint32_t choose_piece_bytes(std::uint64_t bytes_total) {
  constexpr std::uint32_t max = 16 << 20;
  std::uint32_t piece_bytes = 512 << 10;
  while (piece_bytes < max && pieces_needed(bytes_total, piece_bytes) > 4096) piece_bytes *= 2;
  return piece_bytes;
}

}  // namespace swarm::wire
