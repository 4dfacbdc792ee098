#include "core/tracker/server.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/random.hh"
#include "base/sha256.hh"
#include "base/text.hh"
#include "core/dashboard_page.hh"
#include "core/tracker/announces.hh"
#include "core/tracker/catalogue.hh"
#include "core/tracker/directory.hh"
#include "core/tracker/events.hh"
#include "core/tracker/gate.hh"
#include "core/tracker/nodes.hh"
#include "core/tracker/notices.hh"
#include "core/tracker/udp_server.hh"
#include "wire/announce.hh"
#include "wire/metainfo.hh"

namespace swarm::core {
namespace {

constexpr std::size_t view_nodes_max = 4'000;  ///< so that the status stays within what its readers take
constexpr std::size_t view_files_max = 4'000;
constexpr Duration heartbeat_lifetime = 45s;
constexpr Duration tick = 1s;
constexpr std::size_t usual_headers = 4;  ///< of a response, with Server

wire::HttpResponse reply(int status, std::string_view type, Buffer body) {
  wire::HttpResponse r;
  r.status = status;
  auto& fields = r.headers.fields;
  fields.reserve(usual_headers);
  fields.emplace_back("Content-Type", type);
  fields.emplace_back("Cache-Control", "no-store");
  fields.emplace_back("X-Content-Type-Options", "nosniff");
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

/// What a program takes that says what it takes; curl and the like say that they take anything, and get the text.
bool is_browser(const wire::HttpRequest& request) {
  const auto accepts = request.headers.find("accept");
  return accepts && accepts->find("text/html") != accepts->npos;
}

std::string host_of(const std::string& url) {
  const auto parsed = wire::parse_url(url);
  return parsed ? parsed->host : std::string();
}

std::uint64_t seed_of(const std::array<std::uint8_t, 32>& secret, std::size_t at) { return load_u64(&secret[at]); }

/// A key of its own for each use: what one of them gives away tells nothing of another.
UdpServer::Key key_for(const std::array<std::uint8_t, 32>& secret, std::string_view use) {
  auto text = to_buffer(use);
  append(text, secret);
  return sha256(text).bytes;
}

}  // namespace

struct TrackerServer::Parts {
  Parts(TrackerOptions o, const std::array<std::uint8_t, 32>& secret)
      : options(std::move(o)),
        random(seed_of(secret, 0)),
        directory(limits(), random),
        gate(options.token, own_names()),
        udp(key_for(secret, "udp connection ids"), announces),
        events(to_hex(ByteView(key_for(secret, "events")).first(4))) {
    while (options.url.ends_with('/')) options.url.pop_back();
  }

  TrackerOptions options;
  Random random;
  Directory directory;
  Catalogue catalogue;
  Notices notices;
  Nodes nodes{[this](const InfoHash& torrent) { return facts(torrent); }, notices};
  Announces announces{{options.interval_s, options.catalogued_only}, catalogue, directory, nodes};
  Gate gate;
  UdpServer udp;
  Events events;
  Metrics counted;
  std::optional<Instant> next_tick;

  /// A change that waits for on_saved(). The file of a removed name is empty.
  struct Pending {
    Catalogue::Change change;
    bool removes = false;
  };
  std::optional<Pending> pending;

  /// One request, with what it comes with.
  struct Call : Caller {
    const Parts& parts;
    const wire::HttpRequest& request;

    Call(const Parts& p, const wire::HttpRequest& r, const Endpoint& f, const Endpoint& l, Instant n)
        : Caller(f, l, n), parts(p), request(r) {}
    /// Base of links that the asker can follow; announces have none.
    std::string url() const { return parts.base_url(request, local); }
  };

  TrackerReply answer(const Call& call);
  wire::HttpResponse route(const Call& call);
  wire::HttpResponse announce(const Call& call);
  wire::HttpResponse scrape(const Call& call);
  wire::HttpResponse beat(const Call& call);
  wire::HttpResponse get_file(const Call& call, const std::string& name);
  TrackerReply put_file(const Call& call, const std::string& name);
  TrackerReply delete_file(const std::string& name);
  wire::HttpResponse pieces(const std::string& name);
  wire::HttpResponse not_found(const std::string& name);
  wire::HttpResponse welcome(const Call& call);
  wire::HttpResponse dashboard();
  wire::HttpResponse metrics();
  TrackerReply follow(const Call& call);
  void commit(Pending done);
  void look(Instant now);

  std::string base_url(const wire::HttpRequest& request, const Endpoint& local) const;
  Directory::Limits limits() const;
  std::vector<std::string> own_names() const;
  wire::Hello hello(const std::string& url) const { return {options.version, options.name, url, gate.has_token()}; }
  Nodes::Facts facts(const InfoHash& torrent) const;
  wire::BeatReplyTorrent beat_torrent(const Call& call, const wire::Beat& beat, const wire::BeatTorrent& t);
  wire::StatusFile status_file(const std::string& name, const Catalogue::File& file) const;
  wire::StatusFile status_file(const InfoHash& torrent) const;
  std::vector<wire::StatusFile> catalogued(const std::string& url) const;
  wire::Status status(const std::string& url, Instant now) const;
  Duration beat_interval() const;
};

TrackerServer::TrackerServer(TrackerOptions options, const std::array<std::uint8_t, 32>& secret)
    : parts_(std::make_unique<Parts>(std::move(options), secret)) {}

TrackerServer::~TrackerServer() = default;

Result<void> TrackerServer::load(const std::string& name, ByteView torrent) {
  const auto put = parts_->catalogue.put(name, torrent, false);
  if (!put) return tl::unexpected(put.error());
  parts_->directory.keep(parts_->catalogue.find(name)->info_hash, true);
  return {};
}

TrackerReply TrackerServer::on_request(const wire::HttpRequest& request, const Endpoint& from, const Endpoint& local,
                                       Instant now) {
  auto& p = *parts_;
  if (!p.next_tick) p.next_tick = now + tick;
  auto r = p.answer({p, request, from, local, now});
  ++p.counted.requests_total[r.response.status];
  r.response.headers.set("Server", "swarm/" + p.options.version);
  r.response.keep_alive = request.keep_alive;
  return r;
}

void TrackerServer::on_saved(bool durable) {
  auto done = std::exchange(parts_->pending, std::nullopt);
  if (durable && done) parts_->commit(std::move(*done));
}

std::optional<Buffer> TrackerServer::on_datagram(ByteView datagram, const Endpoint& from, const Endpoint& local,
                                                 Instant now) {
  if (!parts_->next_tick) parts_->next_tick = now + tick;
  return parts_->udp.on_datagram(datagram, from, local, now);
}

void TrackerServer::on_follower_gone(FollowerId follower) { parts_->events.leave(follower); }

void TrackerServer::on_process(const ProcessFacts& facts) { parts_->counted.process = facts; }

void TrackerServer::on_time(Instant now) {
  auto& p = *parts_;
  if (!p.next_tick || now < *p.next_tick) return;
  p.directory.sweep(now);
  p.nodes.sweep(now);
  if (!p.events.empty()) p.look(now);
  p.events.on_time(now);
  p.next_tick.reset();
  if (p.directory.peers() != 0 || !p.nodes.empty() || !p.events.empty()) p.next_tick = now + tick;
}

std::optional<Instant> TrackerServer::next_wake() const { return parts_->next_tick; }

std::vector<ToFollower> TrackerServer::take_events() { return parts_->events.take(); }

std::vector<TrackerNotice> TrackerServer::take_notices() {
  auto taken = parts_->notices.take();
  for (const auto& notice : taken) parts_->events.on_notice(notice);
  return taken;
}

wire::Status TrackerServer::status(Instant now) const { return parts_->status(parts_->options.url, now); }

/// What is more than a response, then the rest.
TrackerReply TrackerServer::Parts::answer(const Call& call) {
  const auto& request = call.request;
  const auto path = request.path();
  const auto name = name_in(path, "/api/v1/files/");
  const bool changes = name && (request.method == "PUT" || request.method == "DELETE");
  if (!is_read(request)) {
    if (const auto refusal = gate.judge(request, changes)) {
      TrackerReply r{json(refusal->status, to_json(refusal->error)), std::nullopt, std::nullopt};
      if (refusal->status == 401) r.response.headers.set("WWW-Authenticate", "Bearer");
      return r;
    }
  }
  if (changes && pending) return {api_error(503, "busy", "another change is being saved", "try again"), {}, {}};
  if (changes) return request.method == "PUT" ? put_file(call, *name) : delete_file(*name);
  if (path == "/api/v1/events" && request.method == "GET") return follow(call);
  return {route(call), std::nullopt, std::nullopt};
}

wire::HttpResponse TrackerServer::Parts::route(const Call& call) {
  const auto& request = call.request;
  const auto path = request.path();
  if (const auto name = name_in(path, "/api/v1/files/", "/pieces"); name && is_read(request)) return pieces(*name);
  if (const auto name = name_in(path, "/api/v1/files/")) {
    return is_read(request) ? get_file(call, *name) : not_allowed("GET, HEAD, PUT, DELETE");
  }
  if (path == "/api/v1/announce") return request.method == "POST" ? beat(call) : not_allowed("POST");
  if (!is_read(request)) return not_allowed("GET, HEAD");
  if (path == "/announce") return announce(call);
  if (path == "/scrape") return scrape(call);
  if (path == "/api/v1/hello") return json(200, to_json(hello(call.url())));
  if (path == "/api/v1/files") return json(200, to_json(catalogued(call.url())));
  if (path == "/api/v1/status") return json(200, to_json(status(call.url(), call.now)));
  if (path == "/api/v1/nodes")
    return json(200, to_json(wire::Status{hello(call.url()), nodes.view(view_nodes_max, call.now), {}}));
  if (path == "/api/v1/events") return not_allowed("GET");
  if (const auto name = name_in(path, "/t/", ".torrent")) return get_file(call, *name);
  if (path == "/healthz" || path == "/readyz") return text(200, "ok\n");
  if (path == "/metrics" && options.metrics) return metrics();
  if (path == "/") return options.dashboard && is_browser(request) ? dashboard() : welcome(call);
  return api_error(404, "not_found", fmt::format("there is nothing at {}", printable(path.substr(0, 255))),
                   "the API is at /api/v1/hello, /files, /nodes, /status and /events");
}

// ---- Announces of any client ---------------------------------------------------------------------------------------

wire::HttpResponse TrackerServer::Parts::announce(const Call& call) {
  ++counted.http_announces_total;
  const auto request = wire::decode_announce_query(call.request.query());
  if (!request) return bencoded(wire::encode_failure(request.error()));
  const auto answered = announces.on_announce(*request, call);
  if (!answered) return bencoded(wire::encode_failure(answered.error()));
  return bencoded(wire::encode_reply(*answered, request->compact, request->no_peer_id));
}

wire::HttpResponse TrackerServer::Parts::scrape(const Call& call) {
  const auto hashes = wire::decode_scrape_query(call.request.query(), Announces::scrape_max);
  if (hashes.empty()) return bencoded(wire::encode_failure("info_hash is missing"));
  std::vector<wire::ScrapeEntry> entries;
  for (const auto& hash : hashes) entries.push_back(announces.scrape(hash));
  return bencoded(wire::encode_scrape(entries));
}

// ---- Heartbeats ----------------------------------------------------------------------------------------------------

wire::HttpResponse TrackerServer::Parts::beat(const Call& call) {
  ++counted.beats_total;
  auto decoded = wire::beat_from_json(as_text(call.request.body));
  if (!decoded) return api_error(decoded.error());
  auto& b = *decoded;
  std::erase_if(b.torrents, [this](const wire::BeatTorrent& t) { return !announces.serves(t.info_hash); });

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
  r.new_node = !before;
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
    const Directory::Asker asker{peer, b.peer_id, t.complete, call.here};
    for (const auto& p : announces.peers_for(call, t.info_hash, asker, Announces::peers_default)) {
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

/// The .torrent, with this tracker as its first one; a private torrent stays with the trackers that it names (BEP 27).
wire::HttpResponse TrackerServer::Parts::get_file(const Call& call, const std::string& name) {
  const auto* file = catalogue.find(name);
  if (file == nullptr) return not_found(name);
  auto body = file->torrent;
  const auto own = call.url() + "/announce";
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

TrackerReply TrackerServer::Parts::put_file(const Call& call, const std::string& name) {
  auto change = catalogue.plan(name, call.request.body, asks_to_replace(call.request.query()));
  if (!change) return {api_error(change.error()), std::nullopt, std::nullopt};
  const auto what = change->what;
  const auto file = linked(status_file(name, change->file), call.url());
  TrackerReply r{json(what == Catalogue::Put::added ? 201 : 200, to_json(std::vector{file})), {}, {}};
  if (what == Catalogue::Put::unchanged) return r;
  const auto* old = catalogue.find(name);
  r.change = TrackerChange{KeepFile{name, change->file.torrent}, DropFile{name}};
  if (old != nullptr) r.change->undo = KeepFile{name, old->torrent};
  pending = Pending{std::move(*change)};
  return r;
}

TrackerReply TrackerServer::Parts::delete_file(const std::string& name) {
  const auto* file = catalogue.find(name);
  if (file == nullptr) return {not_found(name), std::nullopt, std::nullopt};
  TrackerReply r;
  r.response.status = 204;
  r.change = TrackerChange{DropFile{name}, KeepFile{name, file->torrent}};
  pending = Pending{{name, {}, Catalogue::Put::replaced}, true};
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

void TrackerServer::Parts::commit(Pending done) {
  const auto name = done.change.name;
  const auto* old = catalogue.find(name);
  const auto old_hash = old != nullptr ? std::optional(old->info_hash) : std::nullopt;
  if (done.removes) {
    catalogue.remove(name);
    notices.add(FileRemoved{name});
  } else {
    catalogue.commit(std::move(done.change));
    const auto& now = *catalogue.find(name);
    directory.keep(now.info_hash, true);
    if (old_hash != now.info_hash) notices.add(FileAdded{name, now.bytes, now.pieces, now.piece_bytes});
  }
  if (old_hash && catalogue.name_of(*old_hash) == nullptr) directory.keep(*old_hash, false);
}

wire::HttpResponse TrackerServer::Parts::not_found(const std::string& name) {
  const auto nearest = catalogue.nearest_to(name);
  return api_error(404, "not_found", fmt::format("'{}' is not shared here", printable(name.substr(0, 255))),
                   nearest ? "closest: " + *nearest : "'swarm status' shows what is");
}

wire::HttpResponse TrackerServer::Parts::welcome(const Call& call) {
  std::string page = fmt::format("This is a swarm tracker, version {}.\n\n", options.version);
  page += fmt::format("  see what is shared    swarm status -t {}\n", call.url());
  page += fmt::format("  share a file          swarm seed FILE -t {}\n", call.url());
  page += fmt::format("  get it elsewhere      swarm get NAME -t {}\n\n", call.url());
  page += fmt::format("Any BitTorrent client can join: {}/t/NAME.torrent, announce at {}/announce\n", call.url(),
                      call.url());
  return text(200, page);
}

wire::HttpResponse TrackerServer::Parts::dashboard() {
  auto r = reply(200, "text/html; charset=utf-8", to_buffer(dashboard_page));
  r.headers.set("Content-Security-Policy", std::string(dashboard_policy));
  r.headers.set("Referrer-Policy", "no-referrer");
  r.headers.set("Vary", "Accept");
  return r;
}

wire::HttpResponse TrackerServer::Parts::metrics() {
  auto m = counted;
  m.version = options.version;
  m.nodes = nodes.size();
  m.plain_nodes = nodes.plain();
  m.torrents = directory.torrents();
  m.peers = directory.peers();
  m.catalogue_files = catalogue.files().size();
  m.catalogue_bytes = catalogue.bytes();
  m.followers = events.size();
  m.udp_announces_total = udp.announced();
  m.bytes_down_total = nodes.bytes_down();
  m.bytes_up_total = nodes.bytes_up();
  return reply(200, "text/plain; version=0.0.4; charset=utf-8", to_buffer(metrics_text(m)));
}

TrackerReply TrackerServer::Parts::follow(const Call& call) {
  look(call.now);
  const auto last = call.request.headers.find("last-event-id");
  const auto follower = events.follow(call.url(), last.value_or(""), call.now);
  if (!follower) {
    TrackerReply full{api_error(503, "too_many", "too many follow the events already", "ask for the status"), {}, {}};
    full.response.headers.set("Retry-After", "15");
    return full;
  }
  return {reply(200, "text/event-stream", {}), std::nullopt, follower};
}

/// Has those who follow told of what is new, at most once a second.
void TrackerServer::Parts::look(Instant now) {
  if (events.wants_view(now)) events.on_view(status({}, now), now);
}

// ---- The live view -------------------------------------------------------------------------------------------------

/// A quarter of all torrents may begin with one address, as one machine that shares a whole archive does.
Directory::Limits TrackerServer::Parts::limits() const {
  Directory::Limits l;
  l.torrents_max = options.max_torrents;
  l.peers_max = options.max_peers;
  l.torrents_per_address_max = std::max(1'000u, options.max_torrents / 4);
  return l;
}

std::vector<std::string> TrackerServer::Parts::own_names() const {
  auto names = options.names;
  names.push_back(options.name);
  if (!options.url.empty()) names.push_back(host_of(options.url));
  return names;
}

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

wire::StatusFile TrackerServer::Parts::status_file(const std::string& name, const Catalogue::File& file) const {
  const auto counts = directory.counts(file.info_hash);
  wire::StatusFile f;
  f.info_hash = file.info_hash;
  f.name = name;
  f.bytes = file.bytes;
  f.pieces = file.pieces;
  f.piece_bytes = file.piece_bytes;
  f.copies = nodes.copies(file.info_hash);
  f.seeders = counts.seeds;
  f.leechers = counts.leechers;
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
  f.catalogued = false;
  return linked(std::move(f), {});
}

std::vector<wire::StatusFile> TrackerServer::Parts::catalogued(const std::string& url) const {
  std::vector<wire::StatusFile> out;
  for (const auto& [name, file] : catalogue.files()) {
    if (out.size() >= view_files_max) break;
    out.push_back(linked(status_file(name, file), url));
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
