#include "wire/magnet.hh"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.hh"

namespace swarm::wire {

namespace {

constexpr std::string_view scheme = "magnet:?";
constexpr std::string_view v1_hash = "urn:btih:", v2_hash = "urn:btmh:";
constexpr std::size_t list_max = 100;

tl::unexpected<Error> bad(std::string message, std::string hint = {}) {
  return fail(Exit::usage, "bad_magnet", std::move(message), std::move(hint));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool starts_with(std::string_view text, std::string_view lower_case) {
  return text.size() >= lower_case.size() &&
         std::equal(lower_case.begin(), lower_case.end(), text.begin(), [](char a, char b) { return a == lower(b); });
}

/// RFC 4648 without padding, in either case: 32 characters are 20 bytes.
std::optional<InfoHash> hash_from_base32(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  InfoHash out;
  std::size_t bits = 0, at = 0;
  std::uint32_t held = 0;
  for (const char c : text) {
    const char l = lower(c);
    std::uint32_t value = 0;
    if (l >= 'a' && l <= 'z')
      value = static_cast<std::uint32_t>(l - 'a');
    else if (c >= '2' && c <= '7')
      value = static_cast<std::uint32_t>(c - '2' + 26);
    else
      return std::nullopt;
    held = held << 5 | value;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    out.bytes[at++] = static_cast<std::uint8_t>(held >> bits);
  }
  return out;
}

std::optional<InfoHash> parse_hash(std::string_view digits) {
  return digits.size() == 40 ? digest_from_hex<20>(digits) : hash_from_base32(digits);
}

std::string decoded(std::string_view escaped) {
  const auto bytes = percent_decode(escaped);
  return bytes ? std::string(as_text(*bytes)) : std::string(escaped);
}

/// In names '+' is a space, as forms write it; a plus sign is escaped.
std::string decoded_name(std::string_view escaped) {
  std::string spaced(escaped);
  std::ranges::replace(spaced, '+', ' ');
  return decoded(spaced);
}

/// "amp;TR.12" → "tr": the key without what HTML put before it and without its number.
std::string plain_key(std::string_view key) {
  if (starts_with(key, "amp;")) key.remove_prefix(4);
  const auto dot = key.rfind('.');
  if (dot != key.npos && key.find_first_not_of("0123456789", dot + 1) == key.npos) key = key.substr(0, dot);
  std::string out(key);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

bool is_http(std::string_view url) { return starts_with(url, "http://") || starts_with(url, "https://"); }

void keep(std::vector<std::string>& list, std::string value) {
  if (value.empty() || list.size() >= list_max || std::ranges::find(list, value) != list.end()) return;
  list.push_back(std::move(value));
}

void keep_peer(std::vector<HostPort>& peers, std::string_view text) {
  auto peer = parse_host_port(text);
  if (!peer || peer->port == 0 || peers.size() >= list_max) return;
  const auto same = [&](const HostPort& p) { return p.host == peer->host && p.port == peer->port; };
  if (std::ranges::none_of(peers, same)) peers.push_back(std::move(*peer));
}

std::optional<std::uint32_t> parse_index(std::string_view digits) {
  std::uint32_t index = 0;
  const auto* const end = digits.data() + digits.size();
  const auto [stop, fault] = std::from_chars(digits.data(), end, index);
  if (digits.empty() || fault != std::errc() || stop != end) return std::nullopt;
  return index;
}

/// "0,2,6-8" added to the ranges; false when it is something else.
bool read_files(std::string_view list, std::vector<FileRange>& files) {
  for (const auto part : split(list, ',')) {
    const auto dash = part.find('-');
    const auto first = parse_index(part.substr(0, dash));
    const auto last = dash == part.npos ? first : parse_index(part.substr(dash + 1));
    if (!first || !last || *first > *last) return false;
    files.push_back({*first, *last});
  }
  return true;
}

/// Sorted, and joined where they overlap or touch.
std::vector<FileRange> merged(std::vector<FileRange> ranges) {
  std::ranges::sort(ranges);
  std::vector<FileRange> out;
  for (const auto& r : ranges) {
    if (!out.empty() && r.first <= std::uint64_t{out.back().last} + 1) {
      out.back().last = std::max(out.back().last, r.last);
    } else {
      out.push_back(r);
    }
  }
  return out;
}

/// The escapes of a query, but for the characters that a host and port consist of: not every client undoes them there.
std::string peer_text(const HostPort& peer) {
  const bool v6 = peer.host.find(':') != std::string::npos && IpAddress::from(peer.host);
  const auto host = v6 ? "[" + peer.host + "]" : percent_encode(as_bytes(peer.host));
  return fmt::format("{}:{}", host, peer.port);
}

std::string files_text(const std::vector<FileRange>& files) {
  std::string out;
  for (const auto& r : files) {
    if (!out.empty()) out += ',';
    out += r.first == r.last ? fmt::format("{}", r.first) : fmt::format("{}-{}", r.first, r.last);
  }
  return out;
}

}  // namespace

std::vector<std::vector<std::string>> tiers_of(const Magnet& m) {
  std::vector<std::vector<std::string>> tiers;
  for (const auto& url : m.trackers) tiers.push_back({url});
  return tiers;
}

bool is_magnet(std::string_view text) { return starts_with(text, "magnet:"); }

Result<Magnet> parse_magnet(std::string_view link) {
  const auto shown = fit(printable(link), 60);
  if (!starts_with(link, scheme)) return bad(fmt::format("'{}' is no magnet link", shown));
  Magnet m;
  bool v1 = false, v2 = false;
  std::vector<FileRange> files;
  for (const auto part : split(link.substr(scheme.size()), '&')) {
    const auto equals = part.find('=');
    if (equals == part.npos) continue;
    const auto key = plain_key(part.substr(0, equals));
    auto value = decoded(part.substr(equals + 1));
    if (key == "xt" && starts_with(value, v1_hash)) {
      const auto hash = parse_hash(std::string_view(value).substr(v1_hash.size()));
      if (!hash) {
        return bad(
            fmt::format("the info-hash of '{}' is neither 40 hex digits nor 32 letters and digits of base32", shown),
            "Was the link cut off?");
      }
      if (v1 && *hash != m.info_hash) return bad(fmt::format("'{}' names two torrents", shown));
      m.info_hash = *hash;
      v1 = true;
    } else if (key == "xt" && starts_with(value, v2_hash)) {
      v2 = true;
    } else if (key == "dn") {
      m.name = decoded_name(part.substr(equals + 1));
    } else if (key == "tr") {
      keep(m.trackers, std::move(value));
    } else if (key == "x.pe") {
      keep_peer(m.peers, value);
    } else if (key == "ws" && is_http(value)) {
      keep(m.web_seeds, std::move(value));
    } else if ((key == "xs" || key == "as") && is_http(value)) {
      keep(m.torrent_urls, std::move(value));
    } else if (key == "so" && !value.empty() && !read_files(value, files)) {
      return bad(fmt::format("'so={}' in the magnet link is no list of files", fit(printable(value), 40)),
                 "It looks like so=0,2,6-8");
    }
  }
  if (!v1 && v2) {
    return bad(
        fmt::format("'{}' names a torrent of version 2 only (urn:btmh), and this version knows version 1", shown),
        "Ask for a link with xt=urn:btih:, or for a hybrid torrent");
  }
  if (!v1) return bad(fmt::format("'{}' is no magnet link with an info-hash (xt=urn:btih:)", shown));
  m.files = merged(std::move(files));
  return m;
}

std::string text(const Magnet& m) {
  auto out = fmt::format("magnet:?xt=urn:btih:{}", to_hex(m.info_hash));
  const auto add = [&out](std::string_view key, const std::string& value) {
    out += fmt::format("&{}={}", key, percent_encode(as_bytes(value)));
  };
  if (!m.name.empty()) add("dn", m.name);
  for (const auto& url : m.trackers) add("tr", url);
  for (const auto& url : m.web_seeds) add("ws", url);
  for (const auto& url : m.torrent_urls) add("xs", url);
  for (const auto& peer : m.peers) out += "&x.pe=" + peer_text(peer);
  if (!m.files.empty()) out += "&so=" + files_text(m.files);
  return out;
}

Magnet magnet_of(const Metainfo& m, const std::vector<std::vector<std::string>>& trackers) {
  Magnet out{m.info_hash, m.name, {}, {}, m.web_seeds, {}, {}};
  for (const auto& tier : trackers) {
    for (const auto& url : tier) keep(out.trackers, url);
  }
  return out;
}

}  // namespace swarm::wire
