#include "core/tracker/server.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/random.hh"
#include "base/text.hh"
#include "core/tracker/catalogue.hh"
#include "core/tracker/directory.hh"
#include "core/tracker/nodes.hh"
#include "core/tracker/notices.hh"
#include "wire/announce.hh"
#include "wire/metainfo.hh"

namespace swarm::core {
namespace {

constexpr std::size_t peers_default = 50, peers_max = 200;  ///< a reply
constexpr std::size_t scrape_max = 74;                      ///< hashes, as many as fit a UDP scrape (BEP 15)
constexpr std::size_t view_nodes_max = 4'000;               ///< so that the status stays within what its readers take
constexpr std::size_t view_files_max = 4'000;
constexpr std::size_t saves_max = 10'000;
constexpr Duration heartbeat_lifetime = 45s;
constexpr Duration tick = 1s;

wire::HttpResponse reply(int status, std::string_view type, Buffer body) {
  wire::HttpResponse r;
  r.status = status;
  r.headers.set("Content-Type", std::string(type));
  r.headers.set("Cache-Control", "no-store");
  r.headers.set("X-Content-Type-Options", "nosniff");
  r.body = std::move(body);
  return r;
}

wire::HttpResponse json(int status, const std::string& text) {
  return reply(status, "application/json", to_buffer(text + "\n"));
}

wire::HttpResponse text(int status, std::string_view body) {
  return reply(status, "text/plain; charset=utf-8", to_buffer(body));
}

wire::HttpResponse api_error(int status, std::string code, std::string message, std::string hint = {}) {
  return json(status, to_json(wire::ApiError{std::move(code), std::move(message), std::move(hint)}));
}

/// The status that goes with an error's code.
wire::HttpResponse api_error(const Error& e) {
  const int status = e.code == "exists" ? 409 : e.code == "full" ? 507 : 400;
  return api_error(status, e.code, e.message, e.hint);
}

wire::HttpResponse not_allowed(std::string allow) {
  auto r = api_error(405, "method_not_allowed", "this address takes " + allow);
  r.headers.set("Allow", std::move(allow));
  return r;
}

/// What trackers answer is bencode, errors too, and always with status 200: clients read nothing else.
wire::HttpResponse bencoded(Buffer body) { return reply(200, "text/plain", std::move(body)); }

bool is_read(const wire::HttpRequest& r) { return r.method == "GET" || r.method == "HEAD"; }

/// What stands in `path` behind `before` and ahead of `behind`, decoded.
std::optional<std::string> name_in(std::string_view path, std::string_view before, std::string_view behind = {}) {
  if (!path.starts_with(before) || !path.ends_with(behind) || path.size() <= before.size() + behind.size())
    return std::nullopt;
  const auto name = percent_decode(path.substr(before.size(), path.size() - before.size() - behind.size()));
  return name ? std::optional<std::string>(as_text(*name)) : std::nullopt;
}

bool asks_to_replace(std::string_view query) {
  return std::ranges::any_of(split(query, '&'),
                             [](auto part) { return part == "replace=1" || part == "replace=true"; });
}

/// Whoever comes from this machine: by loopback, or by the address that it also came to.
bool is_here(const Endpoint& from, const Endpoint& local) {
  return from.address.is_loopback() || from.address == local.address;
}

}  // namespace

struct TrackerServer::Parts {
  Parts(TrackerOptions o, std::uint64_t random_seed)
      : options(std::move(o)), random(random_seed), directory({options.max_torrents, options.max_peers}, random) {
    while (options.url.ends_with('/')) options.url.pop_back();
  }

  TrackerOptions options;
  Random random;
  Directory directory;
  Catalogue catalogue;
  Notices notices;
  Nodes nodes{[this](const InfoHash& torrent) { return facts(torrent); }, notices};
  std::vector<TrackerSave> saves;
  std::optional<Instant> next_tick;

  /// One request, with what it comes with.
  struct Call {
    const wire::HttpRequest& request;
    Endpoint from, local;
    Instant now;
    std::string url;  ///< base of links that the asker can follow
    bool here = false;
  };

  wire::HttpResponse route(const Call& call);
  wire::HttpResponse announce(const Call& call);
  wire::HttpResponse scrape(const Call& call);
  wire::HttpResponse beat(const Call& call);
  wire::HttpResponse file(const Call& call, const std::string& name);
  wire::HttpResponse get_file(const Call& call, const std::string& name);
  wire::HttpResponse put_file(const Call& call, const std::string& name);
  wire::HttpResponse delete_file(const std::string& name);
  wire::HttpResponse pieces(const std::string& name);
  wire::HttpResponse not_found(const std::string& name);
  wire::HttpResponse welcome(const Call& call);

  std::string base_url(const wire::HttpRequest& request, const Endpoint& local) const;
  wire::Hello hello(const std::string& url) const { return {options.version, options.name, url, false}; }
  Nodes::Facts facts(const InfoHash& torrent) const;
  bool serves(const InfoHash& torrent) const {
    return !options.catalogued_only || catalogue.name_of(torrent) != nullptr;
  }
  std::vector<wire::AnnouncedPeer> peers_for(const Call& call, const InfoHash& torrent, const Directory::Asker& asker,
                                             std::size_t want);
  Endpoint reach(const Call& call, const Directory::Peer& peer) const;
  wire::BeatReplyTorrent beat_torrent(const Call& call, const wire::Beat& beat, const wire::BeatTorrent& t);
  wire::StatusFile status_file(const std::string& name, const Catalogue::File& file, const std::string& url) const;
  wire::StatusFile status_file(const InfoHash& torrent) const;
  std::vector<wire::StatusFile> catalogued(const std::string& url) const;
  wire::Status status(const std::string& url, Instant now) const;
  Duration beat_interval() const;
};

TrackerServer::TrackerServer(TrackerOptions options, std::uint64_t random_seed)
    : parts_(std::make_unique<Parts>(std::move(options), random_seed)) {}

TrackerServer::~TrackerServer() = default;

Result<void> TrackerServer::load(const std::string& name, ByteView torrent) {
  const auto put = parts_->catalogue.put(name, torrent, false);
  if (!put) return tl::unexpected(put.error());
  parts_->directory.keep(parts_->catalogue.find(name)->info_hash, true);
  return {};
}

wire::HttpResponse TrackerServer::on_request(const wire::HttpRequest& request, const Endpoint& from,
                                             const Endpoint& local, Instant now) {
  if (!parts_->next_tick) parts_->next_tick = now + tick;
  auto response = parts_->route({request, from, local, now, parts_->base_url(request, local), is_here(from, local)});
  response.headers.set("Server", "swarm/" + parts_->options.version);
  response.keep_alive = request.keep_alive;
  return response;
}

void TrackerServer::on_time(Instant now) {
  if (!parts_->next_tick || now < *parts_->next_tick) return;
  parts_->directory.sweep(now);
  parts_->nodes.sweep(now);
  parts_->next_tick.reset();
  if (parts_->directory.peers() != 0 || !parts_->nodes.empty()) parts_->next_tick = now + tick;
}

std::optional<Instant> TrackerServer::next_wake() const { return parts_->next_tick; }

std::vector<TrackerSave> TrackerServer::take_saves() { return std::exchange(parts_->saves, {}); }

std::vector<TrackerNotice> TrackerServer::take_notices() { return parts_->notices.take(); }

wire::Status TrackerServer::status(Instant now) const { return parts_->status(parts_->options.url, now); }

wire::HttpResponse TrackerServer::Parts::route(const Call& call) {
  const auto& request = call.request;
  const auto path = request.path();
  if (const auto name = name_in(path, "/api/v1/files/", "/pieces"); name && is_read(request)) return pieces(*name);
  if (const auto name = name_in(path, "/api/v1/files/")) return file(call, *name);
  if (path == "/api/v1/announce") return request.method == "POST" ? beat(call) : not_allowed("POST");
  if (!is_read(request)) return not_allowed("GET, HEAD");
  if (path == "/announce") return announce(call);
  if (path == "/scrape") return scrape(call);
  if (path == "/api/v1/hello") return json(200, to_json(hello(call.url)));
  if (path == "/api/v1/files") return json(200, to_json(catalogued(call.url)));
  if (path == "/api/v1/status") return json(200, to_json(status(call.url, call.now)));
  if (path == "/api/v1/nodes")
    return json(200, to_json(wire::Status{hello(call.url), nodes.view(view_nodes_max, call.now), {}}));
  if (const auto name = name_in(path, "/t/", ".torrent")) return get_file(call, *name);
  if (path == "/healthz" || path == "/readyz") return text(200, "ok\n");
  if (path == "/") return welcome(call);
  return api_error(404, "not_found", fmt::format("there is nothing at {}", printable(path.substr(0, 255))),
                   "the API is at /api/v1/hello, /files, /nodes and /status");
}

// ---- Announces of any client ---------------------------------------------------------------------------------------

wire::HttpResponse TrackerServer::Parts::announce(const Call& call) {
  const auto decoded = wire::decode_announce_query(call.request.query());
  if (!decoded) return bencoded(wire::encode_failure(decoded.error()));
  const auto& a = *decoded;
  if (!serves(a.info_hash))
    return bencoded(wire::encode_failure("this tracker serves only the torrents of its catalogue"));

  const Endpoint peer{call.from.address, a.port};
  const bool seed = a.left == 0u;
  const bool stopped = a.event == wire::AnnounceEvent::stopped;
  const auto interval = std::chrono::seconds(options.interval_s);
  if (stopped) {
    directory.remove(a.info_hash, peer);
  } else if (!directory.announce(a.info_hash, {peer, a.peer_id, seed, call.here},
                                 a.event == wire::AnnounceEvent::completed, 2 * interval, call.now)) {
    return bencoded(wire::encode_failure("this tracker is full, try again later"));
  }
  nodes.on_announce(a, peer, interval, call.now);

  wire::AnnounceReply r;
  r.interval_s = options.interval_s;
  r.min_interval_s = options.interval_s / 2;
  const auto counts = directory.counts(a.info_hash);
  r.complete = counts.seeds;
  r.incomplete = counts.leechers;
  r.downloaded = counts.downloaded;
  r.external_ip = call.from.address;
  r.swarm_tracker = true;
  const auto want = std::min<std::size_t>(a.num_want.value_or(peers_default), peers_max);
  if (!stopped) r.peers = peers_for(call, a.info_hash, {peer, a.peer_id, seed, call.here}, want);
  return bencoded(wire::encode_reply(r, a.compact, a.no_peer_id));
}

wire::HttpResponse TrackerServer::Parts::scrape(const Call& call) {
  const auto hashes = wire::decode_scrape_query(call.request.query(), scrape_max);
  if (hashes.empty()) return bencoded(wire::encode_failure("info_hash is missing"));
  std::vector<wire::ScrapeEntry> entries;
  for (const auto& hash : hashes) {
    const auto counts = directory.counts(hash);
    entries.push_back({hash, counts.seeds, counts.leechers, counts.downloaded});
  }
  return bencoded(wire::encode_scrape(entries));
}

std::vector<wire::AnnouncedPeer> TrackerServer::Parts::peers_for(const Call& call, const InfoHash& torrent,
                                                                 const Directory::Asker& asker, std::size_t want) {
  return directory.peers_for(
      torrent, asker, want, [&](const Directory::Peer& peer) { return reach(call, peer); }, call.now);
}

/// Where an asker elsewhere finds a peer of this machine: at the address by which it found the tracker, unless the peer says
/// that it listens at others only.
Endpoint TrackerServer::Parts::reach(const Call& call, const Directory::Peer& peer) const {
  const auto port = peer.endpoint.port;
  const auto* declared = nodes.addresses(peer.id);
  const bool v4 = call.from.address.is_v4();
  const auto fits = [v4](const IpAddress& a) { return a.is_v4() == v4 && !a.is_loopback() && !a.is_unspecified(); };
  if (declared != nullptr && std::ranges::find(*declared, call.local.address) == declared->end()) {
    const auto found = std::ranges::find_if(*declared, fits);
    if (found != declared->end()) return {*found, port};
  }
  return fits(call.local.address) ? Endpoint{call.local.address, port} : peer.endpoint;
}

// ---- Heartbeats ----------------------------------------------------------------------------------------------------

wire::HttpResponse TrackerServer::Parts::beat(const Call& call) {
  auto decoded = wire::beat_from_json(as_text(call.request.body));
  if (!decoded) return api_error(decoded.error());
  auto& b = *decoded;
  std::erase_if(b.torrents, [this](const wire::BeatTorrent& t) { return !serves(t.info_hash); });

  const Endpoint peer{call.from.address, b.port};
  const auto before = nodes.endpoint(b.node);
  if (before && *before != peer) {  // it moved: nobody finds it there any more
    for (const auto& t : b.torrents) directory.remove(t.info_hash, *before);
  }
  const auto interval = beat_interval();
  nodes.on_beat(b, peer, interval, call.now);

  wire::BeatReply r;
  r.sequence = b.sequence;
  r.interval_ms = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(interval).count());
  r.your_address = call.from.address;
  for (const auto& t : b.torrents) r.torrents.push_back(beat_torrent(call, b, t));
  return json(200, to_json(r));
}

wire::BeatReplyTorrent TrackerServer::Parts::beat_torrent(const Call& call, const wire::Beat& b,
                                                          const wire::BeatTorrent& t) {
  const Endpoint peer{call.from.address, b.port};
  wire::BeatReplyTorrent r;
  r.info_hash = t.info_hash;
  if (b.leaving || t.event == "stopped") {
    directory.remove(t.info_hash, peer);
  } else {
    // A full directory refuses the node, which gets its peers all the same.
    directory.announce(t.info_hash, {peer, b.peer_id, t.complete, call.here}, t.event == "completed",
                       heartbeat_lifetime, call.now);
    for (const auto& p : peers_for(call, t.info_hash, {peer, b.peer_id, t.complete, call.here}, peers_default)) {
      r.peers.push_back(p.endpoint);
    }
    r.want_have = nodes.wants_have(b.node, t.info_hash);
  }
  const auto counts = directory.counts(t.info_hash);
  r.seeders = counts.seeds;
  r.leechers = counts.leechers;
  r.copies = nodes.copies(t.info_hash);
  return r;
}

/// A second, and with more than a thousand nodes a millisecond a node: so that beats cost the tracker the same at any size.
Duration TrackerServer::Parts::beat_interval() const {
  return std::clamp<Duration>(std::chrono::milliseconds(nodes.size()), 1s, 15s);
}

// ---- The catalogue -------------------------------------------------------------------------------------------------

wire::HttpResponse TrackerServer::Parts::file(const Call& call, const std::string& name) {
  if (is_read(call.request)) return get_file(call, name);
  if (call.request.method == "PUT") return put_file(call, name);
  if (call.request.method == "DELETE") return delete_file(name);
  return not_allowed("GET, HEAD, PUT, DELETE");
}

/// The .torrent, with this tracker as its first one; a private torrent stays with the trackers that it names (BEP 27).
wire::HttpResponse TrackerServer::Parts::get_file(const Call& call, const std::string& name) {
  const auto* file = catalogue.find(name);
  if (file == nullptr) return not_found(name);
  auto body = file->torrent;
  const auto own = call.url + "/announce";
  if (auto m = wire::parse_metainfo(file->torrent, name); m && !m->is_private) {
    const auto names_us = [&own](const auto& tier) { return std::ranges::find(tier, own) != tier.end(); };
    if (std::ranges::none_of(m->trackers, names_us)) {
      m->trackers.insert(m->trackers.begin(), {own});
      body = wire::write_torrent(*m);
    }
  }
  auto r = reply(200, "application/x-bittorrent", std::move(body));
  r.headers.set("Content-Disposition", "attachment; filename*=UTF-8''" + percent_encode(as_bytes(name)) + ".torrent");
  return r;
}

wire::HttpResponse TrackerServer::Parts::put_file(const Call& call, const std::string& name) {
  if (saves.size() >= saves_max) return api_error(503, "busy", "too many changes wait to be saved", "try again");
  const auto* old = catalogue.find(name);
  const auto old_hash = old != nullptr ? std::optional(old->info_hash) : std::nullopt;
  const auto put = catalogue.put(name, call.request.body, asks_to_replace(call.request.query()));
  if (!put) return api_error(put.error());
  const auto& now = *catalogue.find(name);
  if (*put != Catalogue::Put::unchanged) saves.push_back(KeepFile{name, now.torrent});
  if (old_hash && catalogue.name_of(*old_hash) == nullptr) directory.keep(*old_hash, false);
  directory.keep(now.info_hash, true);
  if (old_hash != now.info_hash) notices.add(FileAdded{name, now.bytes, now.pieces, now.piece_bytes});
  return json(*put == Catalogue::Put::added ? 201 : 200, to_json(std::vector{status_file(name, now, call.url)}));
}

wire::HttpResponse TrackerServer::Parts::delete_file(const std::string& name) {
  const auto* file = catalogue.find(name);
  if (file == nullptr) return not_found(name);
  if (saves.size() >= saves_max) return api_error(503, "busy", "too many changes wait to be saved", "try again");
  const auto hash = file->info_hash;
  catalogue.remove(name);
  if (catalogue.name_of(hash) == nullptr) directory.keep(hash, false);
  saves.push_back(DropFile{name});
  notices.add(FileRemoved{name});
  wire::HttpResponse r;
  r.status = 204;
  return r;
}

/// NAME may also be the info-hash of what somebody announces and nobody has put into the catalogue.
wire::HttpResponse TrackerServer::Parts::pieces(const std::string& name) {
  const auto* file = catalogue.find(name);
  const auto hash = file != nullptr ? std::optional(file->info_hash) : digest_from_hex<20>(name);
  if (!hash) return not_found(name);
  auto holders = nodes.holders(*hash);
  if (file == nullptr && holders.holders.empty()) return not_found(name);
  if (file != nullptr) holders.name = name, holders.pieces = file->pieces;
  return json(200, to_json(holders));
}

wire::HttpResponse TrackerServer::Parts::not_found(const std::string& name) {
  const auto nearest = catalogue.nearest_to(name);
  return api_error(404, "not_found", fmt::format("'{}' is not shared here", printable(name.substr(0, 255))),
                   nearest ? "closest: " + *nearest : "'swarm status' shows what is");
}

wire::HttpResponse TrackerServer::Parts::welcome(const Call& call) {
  std::string page = fmt::format("This is a swarm tracker, version {}.\n\n", options.version);
  page += fmt::format("  see what is shared    swarm status -t {}\n", call.url);
  page += fmt::format("  share a file          swarm seed FILE -t {}\n", call.url);
  page += fmt::format("  get it elsewhere      swarm get NAME -t {}\n\n", call.url);
  page +=
      fmt::format("Any BitTorrent client can join: {}/t/NAME.torrent, announce at {}/announce\n", call.url, call.url);
  return text(200, page);
}

// ---- The live view -------------------------------------------------------------------------------------------------

/// As configured, else as the asker calls us; what is no host name is not repeated to anybody.
std::string TrackerServer::Parts::base_url(const wire::HttpRequest& request, const Endpoint& local) const {
  if (!options.url.empty()) return options.url;
  const auto host = request.headers.find("host");
  const auto url = host ? wire::parse_url("http://" + std::string(*host)) : std::nullopt;
  const bool plain = url && host->find_first_of("/?#") == host->npos;
  return "http://" + (plain ? url->authority() : local.text());
}

Nodes::Facts TrackerServer::Parts::facts(const InfoHash& torrent) const {
  const auto* name = catalogue.name_of(torrent);
  if (name == nullptr) return {to_hex(torrent), 0, 0};
  const auto& file = *catalogue.find(*name);
  return {*name, file.bytes, file.pieces};
}

wire::StatusFile TrackerServer::Parts::status_file(const std::string& name, const Catalogue::File& file,
                                                   const std::string& url) const {
  const auto counts = directory.counts(file.info_hash);
  const auto dn = percent_encode(as_bytes(name));
  wire::StatusFile f;
  f.info_hash = file.info_hash;
  f.name = name;
  f.bytes = file.bytes;
  f.pieces = file.pieces;
  f.piece_bytes = file.piece_bytes;
  f.copies = nodes.copies(file.info_hash);
  f.seeders = counts.seeds;
  f.leechers = counts.leechers;
  f.magnet = "magnet:?xt=urn:btih:" + to_hex(file.info_hash) + "&dn=" + dn;
  if (!url.empty()) {
    f.magnet += "&tr=" + percent_encode(as_bytes(url + "/announce"));
    f.torrent_url = url + "/t/" + dn + ".torrent";
  }
  return f;
}

/// A torrent that somebody announces, and of which there is nothing in the catalogue.
wire::StatusFile TrackerServer::Parts::status_file(const InfoHash& torrent) const {
  const auto counts = directory.counts(torrent);
  wire::StatusFile f;
  f.info_hash = torrent;
  f.name = to_hex(torrent);
  f.pieces = nodes.pieces(torrent);
  f.copies = nodes.copies(torrent);
  f.seeders = counts.seeds;
  f.leechers = counts.leechers;
  f.magnet = "magnet:?xt=urn:btih:" + f.name;
  f.catalogued = false;
  return f;
}

std::vector<wire::StatusFile> TrackerServer::Parts::catalogued(const std::string& url) const {
  std::vector<wire::StatusFile> out;
  for (const auto& [name, file] : catalogue.files()) {
    if (out.size() >= view_files_max) break;
    out.push_back(status_file(name, file, url));
  }
  return out;
}

wire::Status TrackerServer::Parts::status(const std::string& url, Instant now) const {
  wire::Status s{hello(url), nodes.view(view_nodes_max, now), catalogued(url)};
  for (const auto& torrent : nodes.torrents()) {
    if (s.files.size() >= view_files_max) break;
    if (catalogue.name_of(torrent) == nullptr) s.files.push_back(status_file(torrent));
  }
  return s;
}

}  // namespace swarm::core
