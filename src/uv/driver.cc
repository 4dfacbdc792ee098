#include "uv/driver.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <utility>

#include "base/sha1.hh"
#include "base/text.hh"
#include "core/drive.hh"
#include "disk/checkpoint.hh"
#include "uv/address.hh"
#include "uv/change_watch.hh"
#include "uv/peers.hh"
#include "uv/random_bytes.hh"
#include "uv/receive_buffers.hh"
#include "uv/resolver.hh"
#include "uv/tcp.hh"
#include "uv/timer.hh"
#include "uv/torrent_files.hh"
#include "uv/udp_trackers.hh"
#include "uv/web_seeds.hh"

namespace swarm::uv {

static_assert(core::Driver<Driver>);

namespace {

constexpr std::size_t lookups_max = 64;
constexpr Duration exchange_within = 15s;

PeerId fresh_peer_id() {
  PeerId id;
  constexpr std::string_view prefix = "-SW0100-";
  random_bytes(id.bytes);
  std::copy(prefix.begin(), prefix.end(), id.bytes.begin());
  return id;
}

std::string fresh_node_id() {
  std::array<std::uint8_t, 8> bytes{};
  random_bytes(bytes);
  return to_hex(bytes);
}

std::vector<std::vector<std::string>> usable(std::vector<std::vector<std::string>> trackers) {
  for (auto& tier : trackers) {
    std::erase_if(tier, [](const std::string& url) {
      return !url.starts_with("http://") && !url.starts_with("https://") && !url.starts_with("udp://");
    });
  }
  std::erase_if(trackers, [](const auto& tier) { return tier.empty(); });
  return trackers;
}

core::TorrentInfo info_for_core(const std::shared_ptr<const wire::Metainfo>& metainfo,
                                std::vector<std::vector<std::string>> trackers) {
  const wire::Metainfo& info = *metainfo;
  core::TorrentInfo out;
  out.info_hash = info.info_hash;
  out.name = info.name;
  out.bytes_total = info.bytes_total;
  out.piece_bytes = info.piece_bytes;
  out.pieces = info.piece_count();
  out.is_private = info.is_private;
  out.trackers = usable(trackers.empty() ? info.trackers : std::move(trackers));
  out.metadata = {metainfo, &info.info};  // lives as long as the metainfo does
  return out;
}

}  // namespace

// Every input goes the same way: the client is told, then turn() carries out all that came of it. Nothing else calls
// the client while a turn is under way; what the turn itself brings about (connections that can send, notices) is dealt
// with in the turn. Of what is read from one socket in a row the turn comes at the end (on_bytes).
struct Driver::Parts {
  struct Torrent {
    std::unique_ptr<TorrentFiles> files;  ///< nothing while only the info-hash is known
    bool busy = false;                    ///< its queue may have a job to start
    InfoHash info_hash{};                 ///< this and on_metadata: of a magnet link
    Found on_metadata;
    std::unique_ptr<WebContent> web;  ///< when it has web seeds
  };

  Driver& self;
  Loop& loop;
  DriverOptions options;
  std::uint16_t port = 0;
  std::unique_ptr<core::Client> client;
  ReceiveBuffers buffers;
  std::uint32_t received_from = 0;  ///< of what the client is being given: its place in the current buffer
  std::unique_ptr<HttpClient> http;
  std::unique_ptr<WebSeeds> web_seeds;
  std::unique_ptr<UdpTrackers> udp_trackers;
  std::unique_ptr<TcpListener> listener;
  std::unique_ptr<Peers> peers;
  std::vector<Torrent> torrents;     ///< by TorrentId
  std::deque<TorrentId> busy;        ///< those with busy set
  std::vector<TorrentId> full;       ///< whose PieceQueue is full and not yet half empty
  std::size_t trips = 0;             ///< of workers for pieces, under way; at most twice the pool's threads
  std::deque<ConnId> can_send;       ///< pull() is due; drained in every turn
  std::deque<core::Notice> notices;  ///< drained in every turn
  std::function<void(const core::Notice&)> on_notice;
  std::map<std::uint64_t, std::unique_ptr<Lookup>> lookups;  ///< at most lookups_max
  std::uint64_t next_lookup = 1;
  bool turning = false;
  std::optional<Instant> wake;  ///< what the timer is set to
  std::function<void(bool)> on_stopped;
  bool stopping = false, stopped = false;
  Timer wake_timer, stop_timer;
  std::unique_ptr<ChangeWatch> watch;
  Workers workers;  ///< last, hence destroyed first: its jobs refer to what stands above

  Parts(Driver& driver, Loop& l, DriverOptions o)
      : self(driver),
        loop(l),
        options(std::move(o)),
        wake_timer(l, [this] { on_time(); }),
        stop_timer(l, [this] { end(client && client->stopped()); }),
        workers(l) {}

  Result<std::uint16_t> listen();
  Result<Endpoint> take_port(const Interface& interface);
  Peers::Events peer_events();
  WebSeeds::Events web_seed_events();
  TorrentFiles::Events files_events(TorrentId id);
  ChangeWatch::Events watch_events();
  TorrentId add_files(core::AddTorrent add, std::shared_ptr<const wire::Metainfo> info,
                      std::shared_ptr<disk::Storage> storage, std::vector<disk::FileStamp> stamps);
  std::optional<TorrentId> magnet(const InfoHash& info_hash) const;
  void on_metadata(TorrentId id, bool right, Result<wire::Metainfo> info);
  TorrentFiles& files(TorrentId id) { return *torrents[number(id)].files; }
  Instant now() const { return loop.now(); }

  void turn();
  void start_jobs();
  void settle_reading();
  void on_bytes(ConnId conn, std::size_t count);
  void on_fetched(ConnId conn, std::size_t count);
  void send_payload(ConnId conn, std::unique_ptr<SendBatch> batch, std::shared_ptr<Descriptor> socket);
  void make_busy(TorrentId id);
  void on_trip_done(TorrentId id);
  void on_time();
  void end(bool clean);
};

// ── the loop's events, to the core ───────────────────────────────────────────────────────────────────────────────────

Peers::Events Driver::Parts::peer_events() {
  return {
      .on_connected = [this](ConnId conn) { client->on_connected(conn, now()); },
      .on_connect_failed = [this](ConnId conn) { client->on_connect_failed(conn, now()); },
      .on_visitor = [this](const Endpoint& from) { return client->on_accepted(from, now()); },
      .on_closed = [this](ConnId conn) { client->on_closed(conn, now()); },
      .room = [this] { return buffers.room(); },
      .on_bytes = [this](ConnId conn, std::size_t count) { on_bytes(conn, count); },
      .on_no_room = [this] { settle_reading(); },
      .on_sent = [this](ConnId conn, std::size_t bytes) { client->on_sent(conn, bytes, now()); },
      .on_can_send = [this](ConnId conn) { can_send.push_back(conn); },
      .next_outgoing = [this](ConnId conn, std::size_t bytes_max,
                              core::Outgoing& out) { client->next_outgoing(conn, bytes_max, now(), out); },
      .prepare =
          [this](SendBatch& batch) {
            const auto& torrent = files(batch.torrent());
            batch.read_from(torrent.storage(), torrent.info().piece_bytes);
          },
      .send_payload =
          [this](ConnId conn, std::unique_ptr<SendBatch> batch, std::shared_ptr<Descriptor> socket) {
            send_payload(conn, std::move(batch), std::move(socket));
          },
      .turn = [this] { turn(); },
  };
}

WebSeeds::Events Driver::Parts::web_seed_events() {
  return {
      .room = [this] { return buffers.room(); },
      .on_bytes = [this](ConnId conn, std::size_t count) { on_fetched(conn, count); },
      .on_no_room = [this] { settle_reading(); },
      .on_ended = [this](ConnId conn, const Result<void>& how) { client->on_fetch_ended(conn, how, now()); },
      .turn = [this] { turn(); },
  };
}

TorrentFiles::Events Driver::Parts::files_events(TorrentId id) {
  return {
      .claims = [this, id] { return client->claims(id); },
      .all_checked = [this, id] { return client->stats(id, now()).pieces_unchecked == 0; },
      .on_piece =
          [this, id](const disk::PieceResult& result) {
            if (result.outcome == disk::PieceResult::Outcome::right) {
              client->on_stored(id, result.piece, result.wrong_blocks, now());
            } else {
              client->on_hash_failed(id, result.piece, now());
            }
          },
      .on_failed = [this, id](const Error& error) { client->on_disk_failed(id, error, now()); },
      .on_saved = [this, id] { client->on_saved(id, now()); },
      .on_finished = [this, id] { client->on_finished(id, now()); },
      .on_trip_done = [this, id] { on_trip_done(id); },
      .turn = [this] { turn(); },
  };
}

void Driver::Parts::on_bytes(ConnId conn, std::size_t count) {
  received_from = buffers.received(count);
  client->on_received(conn, {.bytes = buffers.view(received_from, count), .handle = received_from}, now());
  core::carry_out(*client, self);  // before the buffer is used again; the turn comes when all was read
  start_jobs();
  buffers.done();
  settle_reading();
}

void Driver::Parts::on_fetched(ConnId conn, std::size_t count) {
  received_from = buffers.received(count);
  client->on_fetched(conn, {.bytes = buffers.view(received_from, count), .handle = received_from}, now());
  turn();
  buffers.done();
  settle_reading();
}

void Driver::Parts::send_payload(ConnId conn, std::unique_ptr<SendBatch> batch, std::shared_ptr<Descriptor> socket) {
  const TorrentId id = batch->torrent();
  workers.run(
      [batch = std::move(batch), socket = std::move(socket)]() mutable {
        const auto outcome = batch->send(socket->get(), SendBatch::Reading::waiting);
        return std::pair(std::move(batch), outcome);
      },
      [this, conn, id](std::pair<std::unique_ptr<SendBatch>, SendBatch::Outcome> sent) {
        if (sent.second == SendBatch::Outcome::unreadable) files(id).on_read_failed(sent.first->error());
        peers->on_outcome(conn, std::move(sent.first), sent.second);
        turn();
      });
}

void Driver::Parts::on_time() {
  wake.reset();
  client->on_time(now());
  turn();
}

ChangeWatch::Events Driver::Parts::watch_events() {
  return {
      .torrents = [this] { return torrents.size(); },
      .files =
          [this](std::size_t i) { return torrents[i].files ? torrents[i].files->to_watch() : ChangeWatch::Files{}; },
      .on_changed = [this](std::size_t i) { torrents[i].files->on_changed(); },
      .on_looked = [this] { turn(); },
  };
}

// ── a turn ───────────────────────────────────────────────────────────────────────────────────────────────────────────

void Driver::Parts::turn() {
  if (stopped || std::exchange(turning, true)) return;  // in a notice: the outer turn goes on with what it brought
  core::carry_out(*client, self);
  while (!can_send.empty() || !notices.empty()) {
    if (!can_send.empty()) {
      const ConnId conn = can_send.front();
      can_send.pop_front();
      if (peers->pull(conn)) can_send.push_back(conn);
    } else {
      const core::Notice notice = std::move(notices.front());
      notices.pop_front();
      if (on_notice) on_notice(notice);
    }
    core::carry_out(*client, self);
  }
  turning = false;
  start_jobs();
  if (stopping && !stopped && client->stopped()) stop_timer.start({});
}

/// As many jobs as keep the workers busy; the others wait in their queues, where blocks of a piece are put together.
void Driver::Parts::start_jobs() {
  while (!busy.empty() && trips < 2 * Workers::threads()) {
    const TorrentId id = busy.front();
    busy.pop_front();
    if (files(id).start_jobs()) {
      ++trips;
      busy.push_back(id);  // torrents take turns
    } else {
      torrents[number(id)].busy = false;
    }
  }
}

void Driver::Parts::make_busy(TorrentId id) {
  if (!std::exchange(torrents[number(id)].busy, true)) busy.push_back(id);
}

void Driver::Parts::on_trip_done(TorrentId id) {
  --trips;
  make_busy(id);
  if (files(id).queue().pending_bytes() < disk::PieceQueue::pending_bytes_max / 2) std::erase(full, id);
  settle_reading();
}

/// Back-pressure: the disks are slower than the network, so nobody is read until half is written.
void Driver::Parts::settle_reading() {
  const auto read = [this](bool wanted) {
    peers->read(wanted);
    web_seeds->read(wanted);
  };
  if (buffers.exhausted()) {
    peers->detach_unfinished();
    web_seeds->detach_unfinished();
  }
  if (!full.empty() || buffers.exhausted()) {
    read(false);
  } else if (buffers.in_use() <= ReceiveBuffers::buffers_max / 2) {
    read(true);
  }
}

// ── the core's actions ───────────────────────────────────────────────────────────────────────────────────────────────

void Driver::connect(const core::Connect& connect) { parts_->peers->connect(connect.conn, connect.to); }
void Driver::close(const core::Close& close) {
  parts_->peers->close(close.conn);
  parts_->web_seeds->close(close.conn);
}

void Driver::store(const core::Store& store) {
  Parts& p = *parts_;
  BlockAssembly* block = p.peers->assembly(store.conn);
  if (block == nullptr) block = p.web_seeds->assembly(store.conn);
  if (block == nullptr) return;
  const auto from = static_cast<std::uint32_t>(store.bytes.handle) + store.bytes.offset;
  if (!block->add(store, p.buffers.keep(from, store.bytes.length))) return;
  auto& queue = p.files(store.torrent).queue();
  queue.add(store.block, block->parts());
  block->clear();
  p.make_busy(store.torrent);
  if (queue.full() && std::find(p.full.begin(), p.full.end(), store.torrent) == p.full.end()) {
    p.full.push_back(store.torrent);
  }
}

void Driver::check(const core::Check& check) {
  parts_->files(check.torrent).queue().check(check.piece);
  parts_->make_busy(check.torrent);
}

void Driver::send(ConnId conn) {
  parts_->peers->want_to_send(conn);
  parts_->can_send.push_back(conn);
}

void Driver::fetch(const core::Fetch& fetch) {
  parts_->web_seeds->fetch(fetch.conn, *parts_->torrents[number(fetch.torrent)].web, fetch.web_seed, fetch.offset,
                           fetch.length, fetch.in_order);
}

void Driver::check_metadata(core::CheckMetadata& metadata) {
  struct Checked {
    bool right = false;
    Result<wire::Metainfo> info;
  };
  const InfoHash wanted = parts_->torrents[number(metadata.torrent)].info_hash;
  parts_->workers.run(
      [info = std::move(metadata.info), wanted]() -> Checked {
        const auto right = sha1(*info).bytes == wanted.bytes;
        return {right, right ? wire::parse_info(*info, to_hex(wanted)) : wire::Metainfo{}};
      },
      [p = parts_.get(), id = metadata.torrent](Checked checked) {
        p->on_metadata(id, checked.right, std::move(checked.info));
      });
}

void Driver::Parts::on_metadata(TorrentId id, bool right, Result<wire::Metainfo> info) {
  auto& torrent = torrents[number(id)];
  if (!right) {
    client->on_metadata_wrong(id, now());
  } else if (const auto done = std::exchange(torrent.on_metadata, {})) {
    info ? done(std::make_shared<const wire::Metainfo>(std::move(*info))) : done(tl::unexpected(info.error()));
  }
  turn();
}

void Driver::announce(core::Announce& announce) {
  parts_->udp_trackers->announce(announce.url, std::move(announce.request),
                                 [p = parts_.get(), id = announce.id](const Result<wire::AnnounceReply>& reply) {
                                   p->client->on_announced(id, reply, p->now());
                                   p->turn();
                                 });
}

void Driver::exchange(core::Exchange& exchange) {
  HttpAsk ask;
  ask.url = std::move(exchange.url);
  ask.request = std::move(exchange.request);
  ask.deadline = exchange_within;
  parts_->http->ask(std::move(ask), [p = parts_.get(), id = exchange.id](const Result<wire::HttpResponse>& reply) {
    p->client->on_reply(id, reply, p->now());
    p->turn();
  });
}

void Driver::save(const core::Save& save) { parts_->files(save.torrent).save(save.clean); }
void Driver::finish(const core::Finish& finish) { parts_->files(finish.torrent).finish(); }
void Driver::notice(core::Notice& notice) { parts_->notices.push_back(std::move(notice)); }

void Driver::wake_at(std::optional<Instant> at) {
  Parts& p = *parts_;
  if (at == p.wake) return;
  p.wake = at;
  at ? p.wake_timer.start(*at - p.now()) : p.wake_timer.stop();
}

// ── the person's commands ────────────────────────────────────────────────────────────────────────────────────────────

Driver::Driver(Loop& loop, DriverOptions options) : parts_(std::make_unique<Parts>(*this, loop, std::move(options))) {}
Driver::~Driver() = default;

Result<std::uint16_t> Driver::listen() { return parts_->listen(); }

Result<std::uint16_t> Driver::Parts::listen() {
  const auto interface = find_interface(options.interface);
  if (!interface) return tl::unexpected(interface.error());
  listener = std::make_unique<TcpListener>(
      loop, [this](Descriptor socket, const Endpoint& from) { peers->accept(std::move(socket), from); });
  const auto bound = take_port(*interface);
  if (!bound) return tl::unexpected(bound.error());
  port = bound->port;
  auto& own = options.client;
  own.port = port;
  if (own.peer_id == PeerId{}) own.peer_id = fresh_peer_id();
  if (own.node_id.empty()) own.node_id = fresh_node_id();
  if (own.addresses.empty()) own.addresses = *interface ? std::vector{**interface} : own_addresses();
  client = std::make_unique<core::Client>(own, random_u64());
  http = std::make_unique<HttpClient>(loop, *interface);
  web_seeds = std::make_unique<WebSeeds>(loop, *http, web_seed_events());
  udp_trackers = std::make_unique<UdpTrackers>(loop, *interface);
  peers = std::make_unique<Peers>(loop, *interface, options.sockets_max, peer_events());
  watch = std::make_unique<ChangeWatch>(loop, workers, options.changed_every, watch_events());
  watch->start();
  return port;
}

Result<Endpoint> Driver::Parts::take_port(const Interface& interface) {
  const IpAddress address = interface.value_or(IpAddress{});
  if (options.port_first == 0) return listener->listen({address, 0});
  for (std::uint32_t n = options.port_first; n <= options.port_last; ++n) {
    auto bound = listener->listen({address, static_cast<std::uint16_t>(n)});
    if (bound || bound.error().code != "port_in_use") return bound;
  }
  if (options.any_port) return listener->listen({address, 0});
  const bool one = options.port_first >= options.port_last;
  return fail(Exit::disk, "port_in_use",
              one ? fmt::format("port {} is in use", options.port_first)
                  : fmt::format("ports {}-{} are in use", options.port_first, options.port_last),
              "Use another --port");
}

void Driver::add(AddDownload download, std::function<void(Result<Added>)> done) {
  struct Looked {
    std::shared_ptr<disk::Storage> storage;
    Result<disk::Found> found;
  };
  download.storage.files = download.files;
  auto look = [info = download.info, target = download.target, options = download.storage]() -> Looked {
    Looked looked{disk::Storage::create(info, target, options), disk::Found{}};
    *looked.found = disk::find_progress(*looked.storage, *info);
    if (auto space = looked.storage->check_space(); !space) looked.found = tl::unexpected(std::move(space.error()));
    return looked;
  };
  auto then = [p = parts_.get(), download = std::move(download), done = std::move(done)](Looked looked) mutable {
    if (p->stopping) return done(fail(Exit::other, "stopping", "the program is stopping"));
    if (!looked.found) return done(tl::unexpected(std::move(looked.found.error())));
    core::AddTorrent add;
    if (!looked.storage->files().empty()) add.wanted = looked.storage->wanted();
    add.info = info_for_core(download.info, std::move(download.trackers));
    add.swarm_trackers = std::move(download.swarm_trackers);
    add.peers = std::move(download.peers);
    add.sequential = download.sequential;
    auto web = std::make_unique<WebContent>(download.info, download.web_seeds);
    add.info.web_seeds = static_cast<std::uint32_t>(web->urls.size());
    Added added;
    added.resumed = looked.found->anything;
    added.pieces_verified = static_cast<std::uint32_t>(looked.found->verified.count());
    added.pieces_unchecked = static_cast<std::uint32_t>(looked.found->unchecked.size());
    add.resume = {std::move(looked.found->verified), std::move(looked.found->unchecked), looked.found->bytes_down,
                  looked.found->bytes_up};
    added.torrent = p->add_files(std::move(add), std::move(download.info), std::move(looked.storage), {});
    p->torrents[number(added.torrent)].web = std::move(web);
    done(added);
    p->turn();
  };
  parts_->workers.run(std::move(look), std::move(then));
}

TorrentId Driver::add_seed(AddSeed seed) {
  core::AddTorrent add;
  add.info = info_for_core(seed.info, std::move(seed.trackers));
  add.resume.verified = std::move(seed.verified);
  add.swarm_trackers = std::move(seed.swarm_trackers);
  add.peers = std::move(seed.peers);
  add.seed = true;
  const auto id =
      parts_->add_files(std::move(add), std::move(seed.info), std::move(seed.storage), std::move(seed.stamps));
  parts_->turn();
  return id;
}

TorrentId Driver::add_magnet(AddMagnet magnet, Found done) {
  Parts& p = *parts_;
  core::AddTorrent add;
  add.magnet = true;
  add.info.info_hash = magnet.info_hash;
  add.info.name = std::move(magnet.name);
  add.info.trackers = usable(std::move(magnet.trackers));
  add.swarm_trackers = std::move(magnet.swarm_trackers);
  add.peers = std::move(magnet.peers);
  const TorrentId id = p.client->add(std::move(add), p.now());
  p.torrents.resize(number(id) + std::size_t{1});
  p.torrents[number(id)].info_hash = magnet.info_hash;
  p.torrents[number(id)].on_metadata = std::move(done);
  p.turn();
  return id;
}

/// A torrent that is known by its info-hash only, so far.
std::optional<TorrentId> Driver::Parts::magnet(const InfoHash& info_hash) const {
  const auto id = client->find(info_hash);
  return id && !torrents[number(*id)].files ? id : std::nullopt;
}

/// The files are there before the client's actions about them are carried out.
TorrentId Driver::Parts::add_files(core::AddTorrent add, std::shared_ptr<const wire::Metainfo> info,
                                   std::shared_ptr<disk::Storage> storage, std::vector<disk::FileStamp> stamps) {
  const auto put_files = [&](TorrentId id) {
    torrents[number(id)].files = std::make_unique<TorrentFiles>(workers, std::move(info), std::move(storage),
                                                                std::move(stamps), files_events(id));
    return id;
  };
  if (const auto known = magnet(add.info.info_hash)) {
    put_files(*known);
    for (const Endpoint& peer : add.peers) client->add_peer(*known, peer, now());
    client->set_info(*known, {std::move(add.info), std::move(add.resume), std::move(add.wanted), add.sequential},
                     now());
    return *known;
  }
  const TorrentId id = client->add(std::move(add), now());
  torrents.resize(number(id) + std::size_t{1});
  return put_files(id);
}

void Driver::add_peer(TorrentId torrent, const HostPort& peer) {
  Parts& p = *parts_;
  const auto failed = [&p, torrent, peer](std::string why) {
    p.notices.push_back(core::TrackerNews{torrent, fmt::format("{}:{}", peer.host, peer.port), false, std::move(why)});
    p.turn();
  };
  if (p.lookups.size() >= lookups_max) return failed("too many names to look up at once");
  const auto id = p.next_lookup++;
  p.lookups[id] = std::make_unique<Lookup>(
      p.loop, peer.host, [&p, id, torrent, peer, failed](const Result<std::vector<IpAddress>>& found) {
        p.lookups.erase(id);
        if (!found) return failed(found.error().message);
        for (const IpAddress& address : *found) p.client->add_peer(torrent, {address, peer.port}, p.now());
        p.turn();
      });
}

void Driver::remove(TorrentId torrent) {
  parts_->client->remove(torrent, parts_->now());
  parts_->turn();
}

void Driver::stop(std::function<void(bool)> done) {
  Parts& p = *parts_;
  p.on_stopped = std::move(done);
  if (std::exchange(p.stopping, true) || !p.client) {
    p.stop_timer.start({});
    return;
  }
  p.listener.reset();
  p.stop_timer.start(p.options.stop_within);
  p.client->stop(p.now());
  p.turn();
}

void Driver::Parts::end(bool clean) {
  if (std::exchange(stopped, true)) return;
  if (peers) peers->close_all();
  if (web_seeds) web_seeds->close_all();
  lookups.clear();
  wake_timer.stop();
  if (watch) watch->stop();
  if (on_stopped) std::exchange(on_stopped, {})(clean);
}

void Driver::set_notice(std::function<void(const core::Notice&)> on_notice) {
  parts_->on_notice = std::move(on_notice);
}

// ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

std::uint64_t Driver::web_bytes_dropped() const { return parts_->web_seeds ? parts_->web_seeds->bytes_dropped() : 0; }
core::TorrentStats Driver::stats(TorrentId torrent) const { return parts_->client->stats(torrent, parts_->now()); }
const Bitfield& Driver::verified(TorrentId torrent) const { return parts_->client->verified(torrent); }
std::string Driver::path(TorrentId torrent) const { return parts_->files(torrent).path(); }
std::shared_ptr<disk::Storage> Driver::storage(TorrentId torrent) const { return parts_->files(torrent).storage(); }
core::Client& Driver::client() { return *parts_->client; }
HttpClient& Driver::http() { return *parts_->http; }
Workers& Driver::workers() { return parts_->workers; }
std::uint16_t Driver::port() const { return parts_->port; }
const core::ClientOptions& Driver::identity() const { return parts_->options.client; }

}  // namespace swarm::uv
