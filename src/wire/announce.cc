#include "wire/announce.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/text.hh"
#include "wire/bencode.hh"

namespace swarm::wire {
namespace {

constexpr std::size_t peers_kept_max = 2000;
constexpr std::size_t text_bytes_max = 256;  ///< of key and trackerid, which we keep or send back

/// Digits only, within T.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Of one hex digit; -1 for what is none.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// The parts of a query: f(key, value) until it gives false. Keys are never escaped in practice.
template <class F>
void for_each_part(std::string_view query, F f) {
  while (!query.empty()) {
    const auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    const auto equals = part.find('=');
    if (equals != part.npos && !f(part.substr(0, equals), part.substr(equals + 1))) return;
  }
}

/// The first value of each key of an announce, still escaped: found in one pass.
struct AnnounceParts {
  using Value = std::optional<std::string_view>;
  Value info_hash, peer_id, port, uploaded, downloaded, left, event, num_want, compact, no_peer_id, key, tracker_id;

  explicit AnnounceParts(std::string_view query) {
    for_each_part(query, [this](auto name, auto value) {
      for (const auto& [key_name, member] : names) {
        if (name != key_name) continue;
        if (Value& part = this->*member; !part) part = value;
        break;
      }
      return true;
    });
  }

 private:
  struct Name {
    std::string_view text;
    Value AnnounceParts::*member;
  };
  static const std::array<Name, 12> names;
};

constexpr std::array<AnnounceParts::Name, 12> AnnounceParts::names{{{"info_hash", &AnnounceParts::info_hash},
                                                                    {"peer_id", &AnnounceParts::peer_id},
                                                                    {"port", &AnnounceParts::port},
                                                                    {"uploaded", &AnnounceParts::uploaded},
                                                                    {"downloaded", &AnnounceParts::downloaded},
                                                                    {"left", &AnnounceParts::left},
                                                                    {"event", &AnnounceParts::event},
                                                                    {"numwant", &AnnounceParts::num_want},
                                                                    {"compact", &AnnounceParts::compact},
                                                                    {"no_peer_id", &AnnounceParts::no_peer_id},
                                                                    {"key", &AnnounceParts::key},
                                                                    {"trackerid", &AnnounceParts::tracker_id}}};

/// Twenty raw bytes behind escapes.
std::optional<Digest<20>> parse_twenty(std::string_view escaped) {
  Digest<20> out;
  std::size_t count = 0;
  while (!escaped.empty()) {
    std::uint8_t byte = static_cast<std::uint8_t>(escaped[0]);
    std::size_t taken = 1;
    if (byte == '%') {
      const auto high = escaped.size() < 3 ? -1 : hex_value(escaped[1]);
      const auto low = escaped.size() < 3 ? -1 : hex_value(escaped[2]);
      if (high < 0 || low < 0) return std::nullopt;
      byte = static_cast<std::uint8_t>(high << 4 | low);
      taken = 3;
    }
    if (count == out.bytes.size()) return std::nullopt;
    out.bytes[count++] = byte;
    escaped.remove_prefix(taken);
  }
  return count == out.bytes.size() ? std::optional(out) : std::nullopt;
}

std::string parse_short(std::optional<std::string_view> escaped) {
  if (!escaped || escaped->size() > 3 * text_bytes_max) return {};
  const auto bytes = percent_decode(*escaped);
  return bytes && bytes->size() <= text_bytes_max ? std::string(as_text(*bytes)) : std::string();
}

AnnounceEvent parse_event(std::string_view text) {
  if (text == "started") return AnnounceEvent::started;
  if (text == "stopped") return AnnounceEvent::stopped;
  return text == "completed" ? AnnounceEvent::completed : AnnounceEvent::none;
}

std::string_view event_text(AnnounceEvent event) {
  switch (event) {
    case AnnounceEvent::started:
      return "started";
    case AnnounceEvent::stopped:
      return "stopped";
    case AnnounceEvent::completed:
      return "completed";
    case AnnounceEvent::none:
      break;
  }
  return {};
}

/// "A number of peers" may be written as -1 for "as many as you like", or be out of all measure.
std::optional<std::uint32_t> parse_num_want(std::optional<std::string_view> text) {
  if (!text || text->empty() || text->find_first_not_of("0123456789") != text->npos) return std::nullopt;
  return parse_number<std::uint32_t>(*text).value_or(std::numeric_limits<std::uint32_t>::max());
}

void write_count(BencodeWriter& w, std::string_view key, std::optional<std::uint32_t> value) {
  if (value) w.key(key).integer(*value);
}

/// Peers as dictionaries (BEP 3), for those who asked for compact=0.
void write_peer_dicts(BencodeWriter& w, const std::vector<AnnouncedPeer>& peers, bool no_peer_id) {
  w.key("peers").begin_list();
  for (const auto& peer : peers) {
    w.begin_dict().key("ip").string(peer.endpoint.address.text());
    if (!no_peer_id && peer.id != PeerId()) w.key("peer id").string(peer.id.view());
    w.key("port").integer(peer.endpoint.port).end();
  }
  w.end();
}

/// 6 bytes an IPv4 peer in `peers` (BEP 23), 18 bytes an IPv6 one in `peers6` (BEP 7).
void write_compact_peers(BencodeWriter& w, const std::vector<AnnouncedPeer>& peers) {
  Buffer v4, v6;
  v4.reserve(6 * peers.size());
  for (const auto& peer : peers) peer.endpoint.append_compact(peer.endpoint.address.is_v4() ? v4 : v6);
  w.key("peers").string(v4);
  if (!v6.empty()) w.key("peers6").string(v6);
}

Buffer address_bytes(const IpAddress& address) {
  Buffer bytes;
  Endpoint{address, 0}.append_compact(bytes);
  bytes.resize(bytes.size() - 2);
  return bytes;
}

std::optional<IpAddress> parse_address(ByteView bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  auto with_port = to_buffer(bytes);
  with_port.resize(bytes.size() + 2);
  return Endpoint::from_compact(with_port)->address;
}

void keep_peer(AnnounceReply& reply, const Endpoint& endpoint, const PeerId& id) {
  if (reply.peers.size() >= peers_kept_max || endpoint.port == 0 || endpoint.address.is_unspecified()) return;
  reply.peers.push_back({endpoint, id});
}

void read_compact_peers(AnnounceReply& reply, std::string_view text, std::size_t size) {
  for (auto bytes = as_bytes(text); bytes.size() >= size; bytes = bytes.subspan(size)) {
    keep_peer(reply, *Endpoint::from_compact(bytes.first(size)), {});
  }
}

/// Peers as dictionaries. Host names instead of addresses are allowed by BEP 3 and unheard of: they are skipped.
void read_peer_dicts(AnnounceReply& reply, BencodeValue list) {
  for (auto peer = list.first(); peer; peer = peer.next()) {
    const auto address = IpAddress::from(peer.find("ip").string().value_or(""));
    const auto port = peer.find("port").integer().value_or(0);
    const auto id = PeerId::from(as_bytes(peer.find("peer id").string().value_or("")));
    if (!address || port < 1 || port > 65535) continue;
    keep_peer(reply, {*address, static_cast<std::uint16_t>(port)}, id.value_or(PeerId()));
  }
}

std::optional<std::uint32_t> read_count(BencodeValue value) {
  const auto n = value.integer();
  if (!n || *n < 0) return std::nullopt;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(*n, std::numeric_limits<std::uint32_t>::max()));
}

std::string read_text(BencodeValue value) { return std::string(value.string().value_or("")); }

}  // namespace

std::string encode_query(const AnnounceRequest& r) {
  auto out =
      fmt::format("info_hash={}&peer_id={}&port={}&uploaded={}&downloaded={}", percent_encode(r.info_hash.view()),
                  percent_encode(r.peer_id.view()), r.port, r.uploaded, r.downloaded);
  if (r.left) out += fmt::format("&left={}", *r.left);
  out += r.compact ? "&compact=1" : "&compact=0";
  if (r.no_peer_id) out += "&no_peer_id=1";
  if (r.event != AnnounceEvent::none) out += fmt::format("&event={}", event_text(r.event));
  if (r.num_want) out += fmt::format("&numwant={}", *r.num_want);
  if (!r.key.empty()) out += "&key=" + percent_encode(as_bytes(r.key));
  if (!r.tracker_id.empty()) out += "&trackerid=" + percent_encode(as_bytes(r.tracker_id));
  return out;
}

tl::expected<AnnounceRequest, std::string_view> decode_announce_query(std::string_view query) {
  const AnnounceParts parts(query);
  if (!parts.info_hash) return tl::unexpected<std::string_view>("info_hash is missing");
  if (!parts.peer_id) return tl::unexpected<std::string_view>("peer_id is missing");
  if (!parts.port) return tl::unexpected<std::string_view>("port is missing");

  AnnounceRequest r;
  const auto hash = parse_twenty(*parts.info_hash);
  const auto id = parse_twenty(*parts.peer_id);
  r.port = parse_number<std::uint16_t>(*parts.port).value_or(0);
  if (!hash) return tl::unexpected<std::string_view>("info_hash is not 20 bytes");
  if (!id) return tl::unexpected<std::string_view>("peer_id is not 20 bytes");
  if (r.port == 0) return tl::unexpected<std::string_view>("port is not within 1-65535");

  r.info_hash = *hash;
  r.peer_id = *id;
  r.uploaded = parse_number<std::uint64_t>(parts.uploaded.value_or("")).value_or(0);
  r.downloaded = parse_number<std::uint64_t>(parts.downloaded.value_or("")).value_or(0);
  r.left = parse_number<std::uint64_t>(parts.left.value_or(""));
  r.event = parse_event(parts.event.value_or(""));
  r.num_want = parse_num_want(parts.num_want);
  r.compact = parts.compact.value_or("1") != "0";
  r.no_peer_id = parts.no_peer_id.value_or("0") == "1";
  r.key = parse_short(parts.key);
  r.tracker_id = parse_short(parts.tracker_id);
  return r;
}

std::vector<InfoHash> decode_scrape_query(std::string_view query, std::size_t max) {
  std::vector<InfoHash> out;
  for_each_part(query, [&](auto key, auto value) {
    const auto hash = key == "info_hash" ? parse_twenty(value) : std::nullopt;
    if (hash && out.size() < max) out.push_back(*hash);
    return out.size() < max;
  });
  return out;
}

Buffer encode_reply(const AnnounceReply& r, bool compact, bool no_peer_id) {
  if (!r.failure.empty()) return encode_failure(r.failure);
  BencodeWriter w;
  w.begin_dict();
  write_count(w, "complete", r.complete);
  write_count(w, "downloaded", r.downloaded);
  if (r.external_ip) w.key("external ip").string(address_bytes(*r.external_ip));
  write_count(w, "incomplete", r.incomplete);
  if (r.interval_s != 0) w.key("interval").integer(r.interval_s);
  if (r.min_interval_s != 0) w.key("min interval").integer(r.min_interval_s);
  if (compact) {
    write_compact_peers(w, r.peers);
  } else {
    write_peer_dicts(w, r.peers, no_peer_id);
  }
  if (r.swarm_tracker) w.key("swarm").integer(1);
  if (!r.tracker_id.empty()) w.key("tracker id").string(r.tracker_id);
  if (!r.warning.empty()) w.key("warning message").string(r.warning);
  w.end();
  return w.take();
}

Buffer encode_failure(std::string_view reason) {
  BencodeWriter w;
  w.begin_dict().key("failure reason").string(reason).end();
  return w.take();
}

std::optional<AnnounceReply> decode_announce_reply(ByteView body) {
  const auto document = BencodeDocument::parse(body);
  if (!document || document->root().type() != BencodeValue::Type::dict) return std::nullopt;
  const auto root = document->root();
  AnnounceReply r;
  if (const auto reason = root.find("failure reason")) {
    r.failure = read_text(reason);
    if (r.failure.empty()) r.failure = "no reason given";
    return r;
  }
  r.warning = read_text(root.find("warning message"));
  r.interval_s = read_count(root.find("interval")).value_or(0);
  r.min_interval_s = read_count(root.find("min interval")).value_or(0);
  r.complete = read_count(root.find("complete"));
  r.incomplete = read_count(root.find("incomplete"));
  r.downloaded = read_count(root.find("downloaded"));
  r.tracker_id = read_text(root.find("tracker id"));
  r.swarm_tracker = root.find("swarm").integer().value_or(0) > 0;
  r.external_ip = parse_address(as_bytes(root.find("external ip").string().value_or("")));
  const auto peers = root.find("peers");
  if (const auto compact = peers.string()) read_compact_peers(r, *compact, 6);
  if (peers.type() == BencodeValue::Type::list) read_peer_dicts(r, peers);
  read_compact_peers(r, root.find("peers6").string().value_or(""), 18);
  return r;
}

Buffer encode_scrape(const std::vector<ScrapeEntry>& entries) {
  auto sorted = entries;
  std::ranges::sort(sorted, {}, &ScrapeEntry::info_hash);
  const auto same = [](auto& a, auto& b) { return a.info_hash == b.info_hash; };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same), sorted.end());
  BencodeWriter w;
  w.begin_dict().key("files").begin_dict();
  for (const auto& e : sorted) {
    w.key(as_text(e.info_hash.view())).begin_dict();
    w.key("complete")
        .integer(e.complete)
        .key("downloaded")
        .integer(e.downloaded)
        .key("incomplete")
        .integer(e.incomplete);
    w.end();
  }
  w.end().end();
  return w.take();
}

std::optional<std::vector<ScrapeEntry>> decode_scrape(ByteView body) {
  const auto document = BencodeDocument::parse(body);
  if (!document) return std::nullopt;
  const auto files = document->root().find("files");
  if (files.type() != BencodeValue::Type::dict) return std::nullopt;
  std::vector<ScrapeEntry> out;
  for (auto file = files.first(); file; file = file.next()) {
    const auto hash = InfoHash::from(as_bytes(file.key()));
    if (!hash) continue;
    const auto count = [&file](std::string_view key) { return read_count(file.find(key)).value_or(0); };
    out.push_back({*hash, count("complete"), count("incomplete"), count("downloaded")});
  }
  return out;
}

std::optional<std::string> scrape_url(std::string_view announce_url) {
  constexpr std::string_view word = "announce";
  const auto slash = announce_url.rfind('/');  // the very last one, even in the query: BEP 48 says so
  if (slash == announce_url.npos || !announce_url.substr(slash + 1).starts_with(word)) return std::nullopt;
  std::string out(announce_url);
  return out.replace(slash + 1, word.size(), "scrape");
}

}  // namespace swarm::wire
