#include "core/client.hh"

#include <algorithm>
#include <map>

#include "base/check.hh"
#include "base/id_map.hh"
#include "core/context.hh"
#include "core/discovery/heartbeat.hh"
#include "core/torrent/torrent.hh"
#include "wire/announce.hh"

namespace swarm::core {

using wire::PeerFault;

namespace {
constexpr std::size_t unnamed_max = 200;  ///< connections that came to us and have not said for which torrent
constexpr Duration unnamed_timeout = 10s;
constexpr Duration stop_patience = 2500ms;  ///< how long trackers may take to hear that we leave

}  // namespace

/// The parts, and the routes between them.
struct Client::Parts {
  Parts(ClientOptions o, std::uint64_t seed)
      : options(std::move(o)),
        random(seed),
        up(options.rate_up_max),
        down(options.rate_down_max),
        context{options, random, actions, up, down, {}, {}, {}} {}

  struct Connection {
    std::unique_ptr<Peer> peer;
    Torrent* torrent = nullptr;  ///< nothing until an incoming one has said its info-hash
  };
  struct Pending {  ///< an exchange under way
    enum class Kind : std::uint8_t { announce, beat } kind{};
    TorrentId torrent{};
    std::string url;
    Heartbeat* heartbeat = nullptr;
  };

  Torrent* torrent(TorrentId id) { return number(id) < torrents.size() ? torrents[number(id)].get() : nullptr; }
  Connection* connection(ConnId id) { return connections.find(number(id)); }
  ConnId next_conn() { return ConnId{++conns_given}; }

  void dial(TorrentId id, const Endpoint& to, Instant now);
  void add_web_seeds(TorrentId id, Instant now);
  void hear(Connection& c, const Received& in, Instant now);
  bool on_event(Connection& c, Session::Event& event, const Received& in, Instant now);
  void open(Connection& c, const wire::Handshake& handshake, Instant now);
  void sweep(Instant now);
  void attach_heartbeat(Torrent& t, const std::string& url, Instant now);
  void discover(Instant now);
  void announce(Torrent& t, const Announcer::Ask& ask);
  void on_announced(const Pending& what, const Result<wire::AnnounceReply>& reply, Instant now);
  void beat(Heartbeat& h, Instant now);
  void settle(Instant now);
  void settle_all(Instant now);
  void limits(Instant now);
  std::optional<Instant> earliest() const;

  ClientOptions options;
  Random random;
  Actions actions;
  Limiter up, down;
  Context context;
  std::vector<std::unique_ptr<Torrent>>
      torrents;  ///< by TorrentId; a removed one stays, silent, so that ids keep their meaning
  std::map<InfoHash, TorrentId> by_hash;
  IdMap<Connection> connections;
  std::vector<ConnId> unnamed;
  std::vector<std::unique_ptr<Heartbeat>> heartbeats;
  std::map<std::uint32_t, Pending> pending;
  std::uint32_t conns_given = 0, requests_given = 0;
  bool stopping = false;
  Instant stop_by{};
  std::optional<Instant> wake;  ///< what next_wake() says, unless wake_stale
  bool wake_stale = true;
  Instant last_now{};
};

Client::Client(ClientOptions options, std::uint64_t random_seed)
    : parts_(std::make_unique<Parts>(std::move(options), random_seed)) {}
Client::~Client() = default;

// ── the person's commands ───────────────────────────────────────────────────────────────────────────────────────────────────

TorrentId Client::add(AddTorrent add, Instant now) {
  Parts& p = *parts_;
  const auto id = TorrentId{static_cast<std::uint32_t>(p.torrents.size())};
  const std::vector<std::string> swarm_trackers = add.swarm_trackers;
  // A swarm tracker hears heartbeats; the announce URL that names it is not used beside them.
  for (auto& tier : add.info.trackers)
    std::erase_if(tier, [&](const std::string& url) {
      return std::find(swarm_trackers.begin(), swarm_trackers.end(), tracker_base(url)) != swarm_trackers.end();
    });
  std::erase_if(add.info.trackers, [](const auto& tier) { return tier.empty(); });
  p.by_hash[add.info.info_hash] = id;
  p.torrents.push_back(std::make_unique<Torrent>(id, std::move(add), p.context, now));
  for (const std::string& url : swarm_trackers) p.attach_heartbeat(*p.torrents.back(), url, now);
  p.settle_all(now);
  return id;
}

void Client::add_peer(TorrentId torrent, const Endpoint& peer, Instant now) {
  if (Torrent* t = parts_->torrent(torrent)) t->add_peer(peer, true, now);
  parts_->settle_all(now);
}

void Client::remove(TorrentId torrent, Instant now) {
  Torrent* t = parts_->torrent(torrent);
  if (!t) return;
  parts_->by_hash.erase(t->info().info_hash);
  t->stop(now);
  parts_->settle_all(now);
}

void Client::stop(Instant now) {
  Parts& p = *parts_;
  if (std::exchange(p.stopping, true)) return;
  p.stop_by = now + stop_patience;
  for (auto& t : p.torrents) t->stop(now);
  for (auto& h : p.heartbeats) h->leave();
  for (ConnId c : p.unnamed)
    if (auto* connection = p.connection(c)) p.context.close(*connection->peer, PeerFault::torrent_stopped);
  p.settle_all(now);
}

bool Client::stopped() const {
  const Parts& p = *parts_;
  if (!p.stopping) return false;
  bool told = true, saved = true;
  for (const auto& t : p.torrents) told = told && t->stopped(), saved = saved && t->saved();
  for (const auto& h : p.heartbeats) told = told && (h->done() || !h->ever_answered());
  return saved && (told || p.last_now >= p.stop_by);
}

// ── give ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Client::on_connected(ConnId conn, Instant now) {
  if (auto* c = parts_->connection(conn)) {
    c->peer->connected = true;
    c->torrent->on_connected(*c->peer, now);
  }
  parts_->settle(now);
}

void Client::on_connect_failed(ConnId conn, Instant now) { on_closed(conn, now); }

ConnId Client::on_accepted(const Endpoint& from, Instant now) {
  Parts& p = *parts_;
  const ConnId id = p.next_conn();
  auto peer = std::make_unique<Peer>(id, from, false, now);
  peer->connected = true;
  if (p.stopping || p.unnamed.size() >= unnamed_max) p.context.close(*peer, PeerFault::too_many_peers);
  p.unnamed.push_back(id);
  p.wake_stale = true;
  p.connections[number(id)] = {std::move(peer), nullptr};
  p.settle(now);
  return id;
}

void Client::on_received(ConnId conn, const Received& received, Instant now) {
  if (auto* c = parts_->connection(conn)) parts_->hear(*c, received, now);
  parts_->settle(now);
}

void Client::on_sent(ConnId conn, std::size_t, Instant now) {
  if (auto* c = parts_->connection(conn)) c->peer->last_sent = now;
}

void Client::on_closed(ConnId conn, Instant now) {
  if (auto* c = parts_->connection(conn)) parts_->context.close(*c->peer, PeerFault::none);
  parts_->settle(now);
  // The transport is gone already: what was said about closing it is void.
  std::erase_if(parts_->actions.closes, [&](const Close& x) { return x.conn == conn; });
}

void Client::on_stored(TorrentId torrent, PieceIndex piece, std::span<const std::uint32_t> wrong_blocks, Instant now) {
  if (Torrent* t = parts_->torrent(torrent)) t->on_stored(piece, wrong_blocks, now);
  parts_->settle_all(now);
}

void Client::on_hash_failed(TorrentId torrent, PieceIndex piece, Instant now) {
  if (Torrent* t = parts_->torrent(torrent)) t->on_hash_failed(piece, now);
  parts_->settle_all(now);
}

void Client::on_disk_failed(TorrentId torrent, const Error& error, Instant now) {
  if (Torrent* t = parts_->torrent(torrent)) t->on_disk_failed(error, now);
  parts_->settle_all(now);
}

void Client::on_saved(TorrentId torrent, Instant now) {
  if (Torrent* t = parts_->torrent(torrent)) t->on_saved(now);
  parts_->settle_all(now);
}

void Client::on_finished(TorrentId torrent, Instant now) {
  if (Torrent* t = parts_->torrent(torrent)) t->on_finished(now);
  parts_->settle_all(now);
}

void Client::on_reply(RequestId request, const Result<wire::HttpResponse>& reply, Instant now) {
  Parts& p = *parts_;
  const auto it = p.pending.find(number(request));
  if (it == p.pending.end()) return;
  const Parts::Pending what = std::move(it->second);
  p.pending.erase(it);
  if (what.kind == Parts::Pending::Kind::beat) {
    auto said = reply && reply->status == 200
                    ? wire::beat_reply_from_json(as_text(reply->body))
                    : Result<wire::BeatReply>(fail(Exit::unreachable, "no_answer", "no answer"));
    if (!said) {
      what.heartbeat->on_failure(now);
    } else {
      if (what.heartbeat->on_reply(*said, p.by_hash, now) && !p.by_hash.empty()) {
        p.actions.notices.push_back(TrackerNews{p.by_hash.begin()->second, what.heartbeat->url(), true, {}});
      }
      for (const wire::BeatReplyTorrent& r : said->torrents)
        if (auto found = p.by_hash.find(r.info_hash); found != p.by_hash.end())
          p.torrents[number(found->second)]->on_beat_reply(r, now);
    }
  } else {
    auto said = reply ? wire::decode_announce_reply(reply->body) : std::nullopt;
    if (said && (reply->status == 200 || !said->failure.empty())) {
      p.on_announced(what, std::move(*said), now);
    } else {
      p.on_announced(what,
                     fail(Exit::unreachable, "no_answer",
                          reply ? "HTTP status " + std::to_string(reply->status) : reply.error().message),
                     now);
    }
  }
  p.settle_all(now);
}

void Client::on_announced(RequestId request, const Result<wire::AnnounceReply>& reply, Instant now) {
  Parts& p = *parts_;
  const auto it = p.pending.find(number(request));
  if (it == p.pending.end()) return;
  const Parts::Pending what = std::move(it->second);
  p.pending.erase(it);
  p.on_announced(what, reply, now);
  p.settle_all(now);
}

void Client::Parts::on_announced(const Pending& what, const Result<wire::AnnounceReply>& reply, Instant now) {
  Torrent* t = torrent(what.torrent);
  if (!t) return;
  reply ? t->on_announced(what.url, *reply, now) : t->on_announce_failed(what.url, reply.error().message, now);
  for (const std::string& url : t->take_swarm_trackers()) attach_heartbeat(*t, url, now);
}

void Client::on_fetched(ConnId conn, const Received& received, Instant now) {
  if (auto* c = parts_->connection(conn); c && c->peer->web_seed) c->torrent->on_fetched(*c->peer, received, now);
  parts_->settle(now);
}

void Client::on_fetch_ended(ConnId conn, const Result<void>& ended, Instant now) {
  if (auto* c = parts_->connection(conn); c && c->peer->web_seed) c->torrent->on_fetch_ended(*c->peer, ended, now);
  parts_->settle(now);
}

void Client::on_metadata_wrong(TorrentId torrent, Instant now) {
  if (Torrent* t = parts_->torrent(torrent)) t->on_metadata_wrong(now);
  parts_->settle_all(now);
}

void Client::set_info(TorrentId torrent, SetInfo info, Instant now) {
  if (Torrent* t = parts_->torrent(torrent)) t->set_info(std::move(info), now);
  parts_->settle_all(now);
}

void Client::on_time(Instant now) {
  Parts& p = *parts_;
  p.last_now = now;
  p.limits(now);
  for (auto& t : p.torrents) t->on_time(now);
  for (ConnId id : p.unnamed)
    if (auto* c = p.connection(id); c && now - c->peer->since > unnamed_timeout)
      p.context.close(*c->peer, PeerFault::handshake_timeout);
  p.settle_all(now);
}

// ── take ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

Actions& Client::actions() { return parts_->actions; }

void Client::next_outgoing(ConnId conn, std::size_t bytes_max, Instant now, Outgoing& out) {
  out.clear();
  auto* c = parts_->connection(conn);
  if (!c || c->peer->closing) return;
  parts_->last_now = now;
  if (c->torrent) {
    c->torrent->next_outgoing(*c->peer, bytes_max, now, out);
    parts_->wake_stale = parts_->wake_stale || parts_->context.up_waiting;
  } else {
    c->peer->announced = false;
  }
}

std::optional<Instant> Client::next_wake() const {
  Parts& p = *parts_;
  if (std::exchange(p.wake_stale, false)) p.wake = p.earliest();
  return p.wake;
}

// ── look ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

Claims Client::claims(TorrentId torrent) const { return parts_->torrent(torrent)->claims(); }
TorrentStats Client::stats(TorrentId torrent, Instant now) const { return parts_->torrent(torrent)->stats(now); }
const Bitfield& Client::verified(TorrentId torrent) const { return parts_->torrent(torrent)->verified(); }

std::optional<TorrentId> Client::find(const InfoHash& info_hash) const {
  auto it = parts_->by_hash.find(info_hash);
  return it == parts_->by_hash.end() ? std::nullopt : std::optional(it->second);
}

// ── routes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Client::Parts::dial(TorrentId id, const Endpoint& to, Instant now) {
  Torrent* t = torrent(id);
  const ConnId conn = next_conn();
  auto peer = std::make_unique<Peer>(conn, to, true, now);
  t->attach(*peer);
  connections[number(conn)] = {std::move(peer), t};
  actions.connects.push_back({conn, to});
}

void Client::Parts::add_web_seeds(TorrentId id, Instant now) {
  Torrent* t = torrent(id);
  for (std::uint32_t i = 0; i < t->info().web_seeds; ++i) {
    const ConnId conn = next_conn();
    auto& c = connections[number(conn)];
    c = {std::make_unique<Peer>(conn, web_seed_endpoint(i), true, now), t};
    t->attach_web_seed(*c.peer, i, now);
  }
}

/// One input, read to its end: the table of contents of a connection.
void Client::Parts::hear(Connection& c, const Received& in, Instant now) {
  Peer& peer = *c.peer;
  peer.last_received = now;
  std::uint32_t offset = 0;
  while (!peer.closing) {
    Session::Event event = peer.session.next(in, offset);
    if (!on_event(c, event, in, now)) break;
  }
  if (c.torrent && !peer.closing) c.torrent->on_read(peer, now), wake_stale |= c.torrent->waken(now);
}

bool Client::Parts::on_event(Connection& c, Session::Event& event, const Received& in, Instant now) {
  Peer& peer = *c.peer;
  if (auto* fragment = std::get_if<Session::Payload>(&event))
    return c.torrent->on_payload(peer, *fragment, in, now), true;
  if (auto* message = std::get_if<wire::PeerMessage>(&event)) return c.torrent->on_message(peer, *message, now), true;
  if (auto* opened = std::get_if<Session::Opened>(&event)) return open(c, opened->handshake, now), true;
  if (auto* named = std::get_if<Session::Named>(&event)) return c.torrent->on_named(peer, named->peer_id, now), true;
  if (auto* fault = std::get_if<PeerFault>(&event)) return context.close(peer, *fault), false;
  return std::holds_alternative<Session::KeepAlive>(event);
}

void Client::Parts::open(Connection& c, const wire::Handshake& handshake, Instant now) {
  if (!c.torrent) {
    const auto it = by_hash.find(handshake.info_hash);
    if (it == by_hash.end()) return context.close(*c.peer, PeerFault::unknown_torrent);
    std::erase(unnamed, c.peer->conn);
    c.torrent = torrent(it->second);
    c.torrent->attach(*c.peer);
    wake_stale = true;  // a torrent with peers ticks
  }
  c.torrent->on_opened(*c.peer, handshake, now);
}

/// Ends what was marked; a torrent that hears of it may mark more.
void Client::Parts::sweep(Instant now) {
  for (std::size_t i = 0; i < context.closing.size(); ++i) {
    const auto [conn, why] = context.closing[i];
    Connection* const found = connection(conn);
    if (found == nullptr) continue;
    Connection gone = std::move(*found);
    connections.erase(number(conn));
    if (gone.torrent) {
      gone.torrent->on_gone(*gone.peer, why, now);
    } else {
      std::erase(unnamed, conn);
    }
    actions.closes.push_back({conn});
  }
  context.closing.clear();
}

void Client::Parts::attach_heartbeat(Torrent& t, const std::string& url, Instant now) {
  auto it = std::find_if(heartbeats.begin(), heartbeats.end(), [&](const auto& h) { return h->url() == url; });
  if (it == heartbeats.end()) it = heartbeats.insert(heartbeats.end(), std::make_unique<Heartbeat>(url, now));
  t.attach(**it);
}

/// Announces and heartbeats that are due.
void Client::Parts::discover(Instant now) {
  for (auto& t : torrents)
    while (const auto ask = t->next_ask(now)) announce(*t, *ask);
  for (auto& h : heartbeats) {
    bool moving = false;
    for (auto& t : torrents) moving = moving || t->moving(now);
    h->on_moving(moving);
    if (h->due(now)) beat(*h, now);
  }
}

void Client::Parts::announce(Torrent& t, const Announcer::Ask& ask) {
  const RequestId id{++requests_given};
  pending[number(id)] = {Pending::Kind::announce, t.id(), ask.url, nullptr};
  if (ask.url.starts_with("udp://")) {
    actions.announces.push_back({id, ask.url, t.announce_request(ask.event)});
    return;
  }
  const auto url = wire::parse_url(ask.url);
  Exchange x;
  x.id = id;
  if (url) {
    x.url = url->scheme + "://" + url->authority();
    x.request.target = url->target + (url->target.find('?') == std::string::npos ? "?" : "&");
  } else {
    x.url = ask.url;  // the driver will say that it cannot
  }
  x.request.target += wire::encode_query(t.announce_request(ask.event));
  x.request.headers.set("User-Agent", options.agent);
  actions.exchanges.push_back(std::move(x));
}

void Client::Parts::beat(Heartbeat& h, Instant now) {
  Heartbeat::Begun begun = h.begin(now);
  wire::Beat b;
  b.node = options.node_id;
  b.name = options.node_name;
  b.peer_id = options.peer_id;
  b.port = options.port;
  b.addresses = options.addresses;
  b.sequence = begun.sequence;
  b.leaving = begun.leaving;
  for (Heartbeat::Entry& e : begun.torrents) {
    Torrent* t = torrent(e.torrent);
    if (!t) continue;
    t->fill(e, now);
    b.torrents.push_back(std::move(e.beat));
  }
  Exchange x;
  x.id = RequestId{++requests_given};
  x.url = h.url();
  x.request.method = "POST";
  x.request.target = "/api/v1/announce";
  x.request.headers.set("User-Agent", options.agent);
  x.request.headers.set("Content-Type", "application/json");
  x.request.body = to_buffer(wire::to_json(b));
  pending[number(x.id)] = {Pending::Kind::beat, {}, h.url(), &h};
  actions.exchanges.push_back(std::move(x));
}

/// After every input: whatever it set off is brought to its end, so that the batch of actions is complete.
void Client::Parts::settle(Instant now) {
  last_now = std::max(last_now, now);
  const bool ended = !context.closing.empty();
  wake_stale = wake_stale || ended || !context.dialing.empty() || context.down_waiting;
  while (!context.closing.empty() || !context.web_seeding.empty() || !context.dialing.empty()) {
    sweep(now);
    for (const TorrentId id : std::exchange(context.web_seeding, {})) add_web_seeds(id, now);
    const auto dialing = std::exchange(context.dialing, {});
    for (const auto& [id, to] : dialing) dial(id, to, now);
  }
  if (ended) discover(now);  // a peer may have come, fetched and gone before anything else made a heartbeat due
}

/// The same after inputs that may make an announce or a heartbeat due. What peers send waits for the torrent's next tick, or for
/// the connection's end, so the data path is spared the walk over all torrents.
void Client::Parts::settle_all(Instant now) {
  settle(now);
  discover(now);
  wake_stale = true;
}

std::optional<Instant> Client::Parts::earliest() const {
  std::optional<Instant> at;
  const auto earlier = [&](std::optional<Instant> t) {
    if (t && (!at || *t < *at)) at = t;
  };
  for (const auto& t : torrents) earlier(t->next_wake());
  for (const auto& h : heartbeats) earlier(h->next_wake());
  if (!unnamed.empty())
    if (const Connection* c = connections.find(number(unnamed.front())))
      earlier(c->peer->since + unnamed_timeout + 1ms);
  if (context.up_waiting) earlier(context.up.ready_at(last_now).value_or(last_now));
  if (context.down_waiting) earlier(context.down.ready_at(last_now).value_or(last_now));
  if (stopping && last_now < stop_by) earlier(stop_by);
  return at;
}

/// The limiters gave new budget: whoever was held back goes on.
void Client::Parts::limits(Instant now) {
  if (context.down_waiting && down.available(now) > 0) {
    context.down_waiting = false;
    for (auto& t : torrents) t->ask_all(now);
  }
  if (context.up_waiting && up.available(now) > 0) {
    context.up_waiting = false;
    for (auto& t : torrents) t->give_all();
  }
}

}  // namespace swarm::core
