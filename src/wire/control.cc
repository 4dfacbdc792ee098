#include "wire/control.hh"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/bitfield.hh"
#include "base/text.hh"
#include "wire/json.hh"

namespace swarm::wire {
namespace {

using json::In;
using json::Out;

constexpr std::size_t message_bytes_max = 1 << 20;
constexpr std::size_t status_bytes_max = 4 << 20;
constexpr std::size_t name_bytes_max = 255;
constexpr std::size_t checks_max = 200;  ///< a torrent in a beat; more are dropped
constexpr std::size_t peers_max = 2000;  ///< a torrent in a reply; more are dropped

/// Parses within the limits and gives the root to `read`, which returns the message.
template <class Read>
auto from_json(std::string_view text, std::size_t bytes_max, Read read) -> Result<decltype(read(std::declval<In>()))> {
  auto message = json::read(text, bytes_max, read);
  if (message) return std::move(*message);
  return fail(Exit::other, "bad_message", fmt::format("not a message of swarm's control plane ({})", message.error()));
}

// ---- Reading -------------------------------------------------------------------------------------------------------

InfoHash info_hash(const In& in) { return in.parsed(digest_from_hex<20>(in.text()), "40 hex digits"); }

IpAddress address(const In& in) { return in.parsed(IpAddress::from(in.text()), "an IP address"); }

std::vector<Endpoint> endpoints(const In& in, std::size_t max) {
  std::vector<Endpoint> out;
  in.each_if_given([&](const In& e) {
    const auto endpoint = e.parsed(Endpoint::from(e.text()), "\"address:port\"");
    if (out.size() < max) out.push_back(endpoint);
  });
  return out;
}

/// first and count of a run that ends within 32 bits.
void check_run(const In& in, std::uint32_t first, std::uint32_t count) {
  if (count == 0 || count > std::numeric_limits<std::uint32_t>::max() - first) in.wrong("a run of pieces");
}

PieceRun piece_run(const In& in) {
  std::vector<std::uint32_t> numbers;
  in.each_if_given([&](const In& n) { numbers.push_back(n.integer<std::uint32_t>()); });
  if (numbers.size() != 2) return in.wrong("[first, count]"), PieceRun();
  check_run(in, numbers[0], numbers[1]);
  return {numbers[0], numbers[1]};
}

CheckedPieces checked_pieces(const In& in) {
  CheckedPieces c;
  c.first = in["first"].integer<std::uint32_t>();
  c.count = in["count"].given() ? in["count"].integer<std::uint32_t>() : 1;
  check_run(in, c.first, c.count);
  c.ok = in["ok"].flag_if_given();
  c.from = endpoints(in["from"], 64);
  return c;
}

/// What a newer node may say besides counts as no event.
std::string event(const In& in) {
  auto text = in.text_if_given();
  const bool known = text == "started" || text == "completed" || text == "stopped";
  return known ? text : std::string();
}

BeatTorrent beat_torrent(const In& in) {
  BeatTorrent t;
  t.info_hash = info_hash(in["infohash"]);
  t.event = event(in["event"]);
  t.left = in["left"].integer_if_given<std::uint64_t>();
  t.bytes_down = in["bytes_down"].integer_if_given<std::uint64_t>();
  t.bytes_up = in["bytes_up"].integer_if_given<std::uint64_t>();
  t.rate_down = in["rate_down"].real_if_given();
  t.rate_up = in["rate_up"].real_if_given();
  t.peers = in["peers"].integer_if_given<std::uint32_t>();
  t.pieces = in["pieces"].integer_if_given<std::uint32_t>();
  t.complete = in["complete"].flag_if_given();
  if (const auto have = in["have"]; have.given())
    t.have = have.parsed(from_base64(have.text(message_bytes_max)), "base64");
  in["gained"].each_if_given([&](const In& run) { t.gained.push_back(piece_run(run)); });
  in["checks"].each_if_given([&](const In& c) {
    if (t.checks.size() < checks_max) t.checks.push_back(checked_pieces(c));
  });
  return t;
}

Beat beat(const In& in) {
  Beat b;
  const auto node = in["node"];
  b.node = node.text(64);
  if (b.node.size() != 16 || !from_hex(b.node)) node.wrong("16 hex digits");
  b.name = in["name"].text(name_bytes_max);
  const auto peer_id = in["peer_id"];
  b.peer_id = peer_id.parsed(digest_from_hex<20>(peer_id.text()), "40 hex digits");
  b.port = in["port"].integer<std::uint16_t>();
  in["addresses"].each_if_given([&](const In& a) { b.addresses.push_back(address(a)); });
  b.sequence = in["sequence"].integer<std::uint64_t>();
  b.leaving = in["leaving"].flag_if_given();
  b.seed_until_stopped = in["seed_until_stopped"].flag_if_given();
  in["torrents"].each_if_given([&](const In& t) { b.torrents.push_back(beat_torrent(t)); });
  return b;
}

BeatReplyTorrent beat_reply_torrent(const In& in) {
  BeatReplyTorrent t;
  t.info_hash = info_hash(in["infohash"]);
  t.peers = endpoints(in["peers"], peers_max);
  t.want_have = in["want_have"].flag_if_given();
  t.seeders = in["seeders"].integer_if_given<std::uint32_t>();
  t.leechers = in["leechers"].integer_if_given<std::uint32_t>();
  t.copies = in["copies"].real_if_given();
  return t;
}

BeatReply beat_reply(const In& in) {
  BeatReply r;
  r.sequence = in["sequence"].integer<std::uint64_t>();
  if (in["interval_ms"].given()) r.interval_ms = in["interval_ms"].integer<std::uint32_t>();
  if (in["your_address"].given()) r.your_address = address(in["your_address"]);
  r.new_node = in["new_node"].flag_if_given();
  in["torrents"].each_if_given([&](const In& t) { r.torrents.push_back(beat_reply_torrent(t)); });
  return r;
}

Hello hello(const In& in) {
  return {in["version"].text(), in["name"].text(), in["url"].text_if_given(), in["auth"].flag_if_given()};
}

StatusNodeFile status_node_file(const In& in) {
  StatusNodeFile f;
  f.info_hash = info_hash(in["infohash"]);
  f.name = in["name"].text();
  f.percent = in["percent"].real_if_given();
  f.bytes_done = in["bytes_done"].integer_if_given<std::uint64_t>();
  f.rate_down = in["rate_down"].real_if_given();
  f.rate_up = in["rate_up"].real_if_given();
  f.peers = in["peers"].integer_if_given<std::uint32_t>();
  return f;
}

StatusNode status_node(const In& in) {
  StatusNode n;
  n.id = in["id"].text();
  n.name = in["name"].text();
  n.role = in["role"].text();
  n.address = in["addr"].text_if_given();
  in["files"].each_if_given([&](const In& f) { n.files.push_back(status_node_file(f)); });
  n.seen_s = in["seen"].real_if_given();
  n.plain = in["plain"].flag_if_given();
  return n;
}

StatusFile status_file(const In& in) {
  StatusFile f;
  f.info_hash = info_hash(in["infohash"]);
  f.name = in["name"].text();
  f.bytes = in["bytes"].integer_if_given<std::uint64_t>();
  f.pieces = in["pieces"].integer_if_given<std::uint32_t>();
  f.piece_bytes = in["piece_bytes"].integer_if_given<std::uint32_t>();
  f.copies = in["copies"].real_if_given();
  f.seeders = in["seeders"].integer_if_given<std::uint32_t>();
  f.leechers = in["leechers"].integer_if_given<std::uint32_t>();
  f.magnet = in["magnet"].text_if_given();
  f.torrent_url = in["torrent_url"].text_if_given();
  f.catalogued = !in["catalogued"].given() || in["catalogued"].flag_if_given();
  return f;
}

std::vector<StatusFile> status_files(const In& in) {
  std::vector<StatusFile> out;
  in.each_if_given([&](const In& f) { out.push_back(status_file(f)); });
  return out;
}

Status status(const In& in) {
  Status s;
  s.tracker = hello(in["tracker"].object());
  in["nodes"].each_if_given([&](const In& n) { s.nodes.push_back(status_node(n)); });
  s.files = status_files(in["files"]);
  return s;
}

StatusNotice status_notice(const In& in) {
  StatusNotice n;
  n.event = in["event"].text();
  n.node = in["node"].text_if_given();
  n.address = in["addr"].text_if_given();
  n.file = in["name"].text_if_given();
  n.role = in["role"].text_if_given();
  n.plain = in["plain"].flag_if_given();
  n.silent = in["silent"].flag_if_given();
  if (in["first"].given()) n.pieces = checked_pieces(in);
  n.bytes = in["bytes"].integer_if_given<std::uint64_t>();
  return n;
}

StatusDelta status_delta(const In& in) {
  StatusDelta d;
  in["nodes"].each_if_given([&](const In& n) { d.nodes.push_back(status_node(n)); });
  d.files = status_files(in["files"]);
  in["nodes_gone"].each_if_given([&](const In& id) { d.nodes_gone.push_back(id.text()); });
  in["files_gone"].each_if_given([&](const In& f) {
    d.files_gone.push_back({info_hash(f["infohash"]), f["name"].text()});
  });
  in["notices"].each_if_given([&](const In& n) { d.notices.push_back(status_notice(n)); });
  return d;
}

// ---- Writing -------------------------------------------------------------------------------------------------------

Out hex(const InfoHash& hash) { return Out::text(to_hex(hash)); }

Out out(const Endpoint& e) { return Out::text(e.text()); }

Out out(const CheckedPieces& c) {
  auto o = Out::object().with("first", Out::integer(c.first)).with("count", Out::integer(c.count));
  o.with("ok", Out::flag(c.ok));
  if (!c.from.empty()) o.with("from", Out::list(c.from, [](auto& e) { return out(e); }));
  return o;
}

Out out(const BeatTorrent& t) {
  auto o = Out::object().with("infohash", hex(t.info_hash));
  if (!t.event.empty()) o.with("event", Out::text(t.event));
  o.with("left", Out::integer(t.left));
  o.with("bytes_down", Out::integer(t.bytes_down)).with("bytes_up", Out::integer(t.bytes_up));
  o.with("rate_down", Out::rate(t.rate_down)).with("rate_up", Out::rate(t.rate_up));
  o.with("peers", Out::integer(t.peers)).with("pieces", Out::integer(t.pieces)).with("complete", Out::flag(t.complete));
  if (t.have) o.with("have", Out::text(to_base64(*t.have)));
  if (!t.gained.empty()) {
    o.with("gained", Out::list(t.gained, [](auto& run) {
             return std::move(Out::array().add(Out::integer(run.first)).add(Out::integer(run.count)));
           }));
  }
  if (!t.checks.empty()) o.with("checks", Out::list(t.checks, [](auto& c) { return out(c); }));
  return o;
}

Out out(const BeatReplyTorrent& t) {
  auto o = Out::object().with("infohash", hex(t.info_hash));
  o.with("peers", Out::list(t.peers, [](auto& e) { return out(e); }));
  if (t.want_have) o.with("want_have", Out::flag(true));
  o.with("seeders", Out::integer(t.seeders)).with("leechers", Out::integer(t.leechers));
  o.with("copies", Out::hundredths(t.copies));
  return o;
}

Out out(const Hello& h) {
  return Out::object()
      .with("version", Out::text(h.version))
      .with("name", Out::text(h.name))
      .with("url", Out::text(h.url))
      .with("auth", Out::flag(h.auth));
}

Out out(const StatusNodeFile& f) {
  return Out::object()
      .with("infohash", hex(f.info_hash))
      .with("name", Out::text(f.name))
      .with("percent", Out::hundredths(f.percent))
      .with("bytes_done", Out::integer(f.bytes_done))
      .with("rate_down", Out::rate(f.rate_down))
      .with("rate_up", Out::rate(f.rate_up))
      .with("peers", Out::integer(f.peers));
}

Out out(const StatusNode& n) {
  auto o = Out::object()
               .with("id", Out::text(n.id))
               .with("name", Out::text(n.name))
               .with("role", Out::text(n.role))
               .with("addr", Out::text(n.address))
               .with("files", Out::list(n.files, [](auto& f) { return out(f); }))
               .with("seen", Out::hundredths(n.seen_s));
  if (n.plain) o.with("plain", Out::flag(true));
  return o;
}

Out out(const StatusFile& f) {
  auto o = Out::object()
               .with("infohash", hex(f.info_hash))
               .with("name", Out::text(f.name))
               .with("bytes", Out::integer(f.bytes))
               .with("pieces", Out::integer(f.pieces))
               .with("piece_bytes", Out::integer(f.piece_bytes))
               .with("copies", Out::hundredths(f.copies))
               .with("seeders", Out::integer(f.seeders))
               .with("leechers", Out::integer(f.leechers))
               .with("magnet", Out::text(f.magnet))
               .with("torrent_url", Out::text(f.torrent_url));
  if (!f.catalogued) o.with("catalogued", Out::flag(false));
  return o;
}

Out out(const StatusNotice& n) {
  auto o = Out::object().with("event", Out::text(n.event));
  if (!n.node.empty()) o.with("node", Out::text(n.node));
  if (!n.address.empty()) o.with("addr", Out::text(n.address));
  if (!n.file.empty()) o.with("name", Out::text(n.file));
  if (!n.role.empty()) o.with("role", Out::text(n.role));
  if (n.plain) o.with("plain", Out::flag(true));
  if (n.silent) o.with("silent", Out::flag(true));
  if (n.bytes != 0) o.with("bytes", Out::integer(n.bytes));
  if (!n.pieces) return o;
  o.with("first", Out::integer(n.pieces->first)).with("count", Out::integer(n.pieces->count));
  o.with("ok", Out::flag(n.pieces->ok));
  if (!n.pieces->from.empty()) o.with("from", Out::list(n.pieces->from, [](auto& e) { return out(e); }));
  return o;
}

Out out(const StatusFileKey& key) {
  return Out::object().with("infohash", hex(key.info_hash)).with("name", Out::text(key.name));
}

Out versioned() { return Out::object().with("v", Out::integer(1)); }

}  // namespace

std::string to_json(const Hello& h) { return out(h).with("v", Out::integer(1)).print(); }

std::string to_json(const Beat& b) {
  auto o = versioned()
               .with("node", Out::text(b.node))
               .with("name", Out::text(b.name))
               .with("peer_id", Out::text(to_hex(b.peer_id)))
               .with("port", Out::integer(b.port))
               .with("addresses", Out::list(b.addresses, [](auto& a) { return Out::text(a.text()); }))
               .with("sequence", Out::integer(b.sequence));
  if (b.leaving) o.with("leaving", Out::flag(true));
  if (b.seed_until_stopped) o.with("seed_until_stopped", Out::flag(true));
  return o.with("torrents", Out::list(b.torrents, [](auto& t) { return out(t); })).print();
}

std::string to_json(const BeatReply& r) {
  auto o = versioned().with("sequence", Out::integer(r.sequence)).with("interval_ms", Out::integer(r.interval_ms));
  if (r.your_address) o.with("your_address", Out::text(r.your_address->text()));
  if (r.new_node) o.with("new_node", Out::flag(true));
  return o.with("torrents", Out::list(r.torrents, [](auto& t) { return out(t); })).print();
}

std::string to_json(const Status& s) {
  return versioned()
      .with("tracker", out(s.tracker))
      .with("nodes", Out::list(s.nodes, [](auto& n) { return out(n); }))
      .with("files", Out::list(s.files, [](auto& f) { return out(f); }))
      .print();
}

std::string to_json(const StatusDelta& d) {
  auto o = versioned().with("nodes", Out::list(d.nodes, [](auto& n) { return out(n); }));
  o.with("files", Out::list(d.files, [](auto& f) { return out(f); }));
  o.with("nodes_gone", Out::list(d.nodes_gone, [](auto& id) { return Out::text(id); }));
  o.with("files_gone", Out::list(d.files_gone, [](auto& key) { return out(key); }));
  return o.with("notices", Out::list(d.notices, [](auto& n) { return out(n); })).print();
}

std::string to_json(const std::vector<StatusFile>& files) {
  return versioned().with("files", Out::list(files, [](auto& f) { return out(f); })).print();
}

std::string to_json(const PieceHolders& p) {
  const auto holder = [](const PieceHolder& h) {
    auto o = Out::object().with("id", Out::text(h.id)).with("name", Out::text(h.name));
    o.with("addr", Out::text(h.address)).with("whole", Out::flag(h.whole));
    if (h.have) o.with("have", Out::text(to_base64(*h.have)));
    return o;
  };
  auto o = versioned().with("infohash", hex(p.info_hash)).with("name", Out::text(p.name));
  o.with("pieces", Out::integer(p.pieces)).with("holders", Out::list(p.holders, holder));
  if (p.left_out != 0) o.with("left_out", Out::integer(p.left_out));
  return o.print();
}

std::string to_json(const ApiError& e) {
  auto error = Out::object().with("code", Out::text(e.code)).with("message", Out::text(e.message));
  error.with("hint", Out::text(e.hint));
  return Out::object().with("error", std::move(error)).print();
}

Result<Hello> hello_from_json(std::string_view text) { return from_json(text, message_bytes_max, hello); }

Result<Beat> beat_from_json(std::string_view text) { return from_json(text, message_bytes_max, beat); }

Result<BeatReply> beat_reply_from_json(std::string_view text) { return from_json(text, message_bytes_max, beat_reply); }

Result<Status> status_from_json(std::string_view text) { return from_json(text, status_bytes_max, status); }

Result<StatusDelta> delta_from_json(std::string_view text) { return from_json(text, status_bytes_max, status_delta); }

Result<std::vector<StatusFile>> files_from_json(std::string_view text) {
  return from_json(text, status_bytes_max, [](const In& in) { return status_files(in["files"]); });
}

Result<PieceHolders> piece_holders_from_json(std::string_view text) {
  return from_json(text, status_bytes_max, [](const In& in) {
    PieceHolders p;
    p.info_hash = in["infohash"].parsed(digest_from_hex<20>(in["infohash"].text()), "40 hex digits");
    p.name = in["name"].text();
    p.pieces = in["pieces"].integer<std::uint32_t>();
    p.left_out = in["left_out"].integer_if_given<std::uint64_t>();
    in["holders"].each_if_given([&](const In& one) {
      PieceHolder h;
      h.id = one["id"].text();
      h.name = one["name"].text();
      h.address = one["addr"].text();
      h.whole = one["whole"].flag_if_given();
      if (one["have"].given()) {
        h.have = one["have"].parsed(from_base64(one["have"].text(status_bytes_max)), "base64");
        if (!Bitfield::from(*h.have, p.pieces)) one["have"].wrong("a bitmap of all pieces");
      }
      p.holders.push_back(std::move(h));
    });
    return p;
  });
}

std::optional<ApiError> api_error_from_json(std::string_view text) {
  const auto read = [](const In& in) {
    const auto error = in["error"].object();
    return ApiError{error["code"].text(), error["message"].text(), error["hint"].text_if_given()};
  };
  auto error = from_json(text, message_bytes_max, read);
  if (!error) return std::nullopt;
  return std::move(*error);
}

}  // namespace swarm::wire
