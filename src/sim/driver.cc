#include "sim/driver.hh"

#include <algorithm>
#include <utility>

#include "base/check.hh"

namespace swarm::sim {

namespace {

constexpr Duration exchange_timeout = 15s;
constexpr std::uint64_t room_min = wire::block_bytes + 1024;  ///< less room than this is not worth asking the core
constexpr double hash_rate = 1.5e9;                           ///< bytes/s

Duration hash_time(std::uint64_t bytes) { return from_seconds(static_cast<double>(bytes) / hash_rate); }

}  // namespace

Driver::Driver(World& world, Network& network, Host& host, Disk& disk, Checks& checks, Ledger& ledger,
               const std::map<Endpoint, Tracker*>& trackers, Options options)
    : world_(world),
      network_(network),
      host_(host),
      disk_(disk),
      checks_(checks),
      ledger_(ledger),
      trackers_(trackers),
      options_(std::move(options)),
      chance_(options_.random_seed ^ 0x5bd1e995),
      client_(options_.client, options_.random_seed) {
  ++ledger_.lives;
  network_.start(host_, *this, options_.client.port);
}

TorrentId Driver::add(const Content& content, core::AddTorrent add) {
  Torrent t;
  t.content = &content;
  t.judged = add.resume.verified.size() == content.info.pieces ? add.resume.verified : Bitfield(content.info.pieces);
  torrents_.push_back(std::move(t));
  const TorrentId id = client_.add(std::move(add), world_.now());
  SWARM_CHECK(number(id) + 1 == torrents_.size());
  after_input();
  return id;
}

void Driver::stop() {
  client_.stop(world_.now());
  after_input();
}

void Driver::audit() {
  for (std::size_t i = 0; i < torrents_.size(); ++i) {
    const auto stats = client_.stats(TorrentId{static_cast<std::uint32_t>(i)}, world_.now());
    checks_.equal(host_.index, "bytes_up", stats.bytes_up, torrents_[i].payload_sent);
    checks_.equal(host_.index, "bytes_down", stats.bytes_down, torrents_[i].payload_received);
  }
  const auto next = client_.next_wake();
  if (next && *next < world_.now())
    checks_.fail(Rule::contract, host_.index, "the core was not woken when it had to be");
}

// ── what the network has to say ─────────────────────────────────────────────────────────────────────────────────────────────

void Driver::on_accepted(StreamEnd end, const Endpoint& from) {
  const ConnId conn = client_.on_accepted(from, world_.now());
  conns_[number(conn)].end = end;
  network_.name(end, conn);
  network_.pause(end, !reading_);
  after_input();
}

void Driver::on_connected(ConnId conn, StreamEnd end) {
  Conn* const c = conns_.find(number(conn));
  if (c == nullptr) return network_.close(end);  // closed while it was connecting
  c->end = end;
  network_.pause(end, !reading_);
  client_.on_connected(conn, world_.now());
  after_input();
}

void Driver::on_connect_failed(ConnId conn) {
  if (!conns_.erase(number(conn))) return;
  client_.on_connect_failed(conn, world_.now());
  after_input();
}

void Driver::on_received(ConnId conn, ByteView small) {
  client_.on_received(conn, {.bytes = small}, world_.now());
  after_input();
}

void Driver::on_received(ConnId conn, const Run& run) {
  arriving_ = run;
  ++arriving_handle_;
  ledger_.payload_received += run.length;
  for (Torrent& t : torrents_) {
    if (t.content->number == run.content) t.payload_received += run.length;
  }
  client_.on_received(conn, {{}, arriving_handle_, run.length}, world_.now());
  after_input();
}

void Driver::on_closed(ConnId conn) {
  if (!conns_.erase(number(conn))) return;
  client_.on_closed(conn, world_.now());
  after_input();
}

void Driver::on_room(ConnId conn) {
  const Conn* const c = conns_.find(number(conn));
  if (c == nullptr || !c->has_more) return;
  pull(conn);
  after_input();
}

// ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Runs what(driver) then, unless the process has ended by then.
template <class F>
void Driver::later(Instant at, F what) {
  world_.at(at, [host = &host_, incarnation = host_.incarnation, what] {
    if (host->incarnation == incarnation) what(*static_cast<Driver*>(host->process));
  });
}

/// Takes everything: the actions, then what may be sent, until there is no more of either.
void Driver::after_input() {
  core::carry_out(client_, *this);
  while (!sendable_.empty()) {
    std::swap(sendable_, sending_);  // both keep their memory
    for (const ConnId conn : sending_) {
      if (Conn* const c = conns_.find(number(conn))) c->listed = false;
      pull(conn);
    }
    sending_.clear();
  }
}

/// Fills the connection's send buffer from the core.
void Driver::pull(ConnId conn) {
  Conn* const found = conns_.find(number(conn));
  if (found == nullptr) return;
  Conn& c = *found;
  c.has_more = true;
  if (c.end.stream == nullptr) return;
  for (;;) {
    const std::uint64_t room = network_.room(c.end, room_min);
    if (room < room_min) break;  // on_room() goes on
    client_.next_outgoing(conn, room, world_.now(), out_);
    c.has_more = out_.total > 0;
    if (!c.has_more) break;
    for (const auto& segment : out_.segments) {
      if (segment.payload) {
        put(torrent(segment.torrent), c.end, segment);
      } else {
        say(c, ByteView(out_.bytes).subspan(segment.offset, segment.length));
      }
    }
    client_.on_sent(conn, out_.total, world_.now());
  }
  core::carry_out(client_, *this);
}

void Driver::say(Conn& c, ByteView small) {
  if (options_.gives) return network_.send(c.end, small);
  const Buffer& rest = c.free_rider.filter(small);
  if (!rest.empty()) network_.send(c.end, rest);
}

/// Payload leaves: what stands on the disk there, as far as this node is honest.
void Driver::put(Torrent& t, StreamEnd end, const core::Outgoing::Segment& segment) {
  const Content& content = *t.content;
  Run run{content.number, segment.piece, segment.begin, segment.length, Tag::right};
  const std::uint32_t first = segment.begin / wire::block_bytes;
  const std::uint32_t last = (segment.begin + segment.length - 1) / wire::block_bytes;
  for (std::uint32_t b = first; b <= last; ++b) {
    const Tag tag = disk_.tag(content, content.first_block(segment.piece) + b, world_.now());
    if (tag != Tag::right) run.tag = tag;
  }
  if (options_.lies > 0 && chance_.unit() < options_.lies) {
    run.tag = Tag(static_cast<std::uint8_t>(Tag::wrong) + chance_.below(250));
  }
  if (options_.canary == Canary::wrong_byte && chance_.below(300) == 0) run.tag = Tag::wrong;
  if (options_.honest) checks_.on_payload_leaves(host_.index, run, t.judged[segment.piece]);
  t.payload_sent += segment.length;
  ledger_.payload_sent += segment.length;
  network_.send(end, run);
}

void Driver::send(ConnId conn) {
  Conn* const c = conns_.find(number(conn));
  if (c == nullptr || std::exchange(c->listed, true)) return;
  sendable_.push_back(conn);
}

void Driver::wake_at(std::optional<Instant> at) {
  if (!at || *at >= wake_at_) return;
  wake_at_ = std::max(*at, world_.now());
  if (options_.canary == Canary::lost_wake_up && chance_.below(100) == 0) return;
  later(wake_at_, [at = wake_at_](Driver& d) { d.on_wake(at); });
}

void Driver::on_wake(Instant at) {
  if (at != wake_at_) return;  // an earlier one came between
  wake_at_ = Instant::max();
  const auto next = client_.next_wake();
  if (next && *next <= world_.now()) {
    world_.note(Happened::timer, host_.index);
    client_.on_time(world_.now());
    after_input();
  } else {
    wake_at(next);
  }
}

// ── connections ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Driver::connect(const core::Connect& connect) {
  conns_[number(connect.conn)];
  network_.connect(host_, connect.conn, connect.to);
}

void Driver::close(const core::Close& close) {
  const Conn* const c = conns_.find(number(close.conn));
  if (c == nullptr) return;
  if (c->end.stream != nullptr) network_.close(c->end);
  conns_.erase(number(close.conn));
}

// ── the disk ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Driver::store(const core::Store& store) {
  Conn* const found = conns_.find(number(store.conn));
  if (found == nullptr)
    return checks_.fail(Rule::contract, host_.index, "a block is stored for a connection that is gone");
  Conn& c = *found;
  Tag tag = arriving_.tag;
  if (store.bytes.handle != arriving_handle_ || arriving_.content != torrent(store.torrent).content->number ||
      arriving_.piece != store.block.piece || arriving_.begin + store.bytes.offset != store.block.begin + store.at ||
      store.bytes.offset + store.bytes.length > arriving_.length) {
    tag = Tag::wrong;  // the right bytes of another place are wrong here
  }
  if (store.at == 0) {
    c.block = store.block;
    c.block_done = 0;
    c.block_tag = Tag::right;
  }
  if (c.block != store.block || c.block_done != store.at)
    return checks_.fail(Rule::contract, host_.index, "fragments of a block out of order");
  if (tag != Tag::right) c.block_tag = tag;
  c.block_done += store.bytes.length;
  if (c.block_done < c.block.length) return;
  on_block(store.torrent, c.block, c.block_tag);
}

void Driver::on_block(TorrentId id, const wire::BlockRef& block, Tag tag) {
  Torrent& t = torrent(id);
  const Content& content = *t.content;
  const std::uint32_t index = block.begin / wire::block_bytes;
  if (number(block.piece) >= content.info.pieces || block.begin % wire::block_bytes != 0 ||
      index >= content.blocks_in(block.piece) || block.length != content.block_size(block.piece, index)) {
    return checks_.fail(Rule::contract, host_.index, "a block is stored that is none of the torrent's");
  }
  if (options_.canary == Canary::serve_unverified && t.attempts.find(number(block.piece)) == nullptr &&
      !client_.verified(id)[block.piece]) {
    later(world_.now(), [id, piece = block.piece](Driver& d) {
      d.client_.on_stored(id, piece, {}, d.world_.now());
      d.after_input();
    });
  }
  Attempt& attempt = t.attempts[number(block.piece)];
  attempt.tags.resize(content.blocks_in(block.piece), Tag::none);
  if (attempt.tags[index] != Tag::none)
    return checks_.fail(Rule::contract, host_.index, "a block is stored twice in one attempt");
  attempt.tags[index] = tag;
  const Instant written = disk_.write(content, content.first_block(block.piece) + index, tag, world_.now());
  bound_pending();
  if (++attempt.blocks < attempt.tags.size()) return;
  later(written + hash_time(wire::block_bytes), [id, piece = block.piece](Driver& d) { d.judge(id, piece); });
}

/// The last block of a piece is written: the digest of what was written against the torrent's.
void Driver::judge(TorrentId id, PieceIndex piece) {
  Torrent& t = torrent(id);
  std::vector<Tag> tags = std::move(t.attempts.find(number(piece))->tags);
  t.attempts.erase(number(piece));
  const bool right = std::all_of(tags.begin(), tags.end(), [](Tag tag) { return tag == Tag::right; });
  ++(right ? ledger_.pieces_right : ledger_.pieces_wrong);
  if (right) t.judged.set(piece);
  if (!right && options_.canary != Canary::accept_wrong) {
    world_.note(Happened::hash_failed, host_.index, number(piece));
    t.failed[number(piece)] = std::move(tags);
    client_.on_hash_failed(id, piece, world_.now());
    return after_input();
  }
  std::vector<std::uint32_t> wrong_blocks;
  if (const auto failed = t.failed.find(number(piece)); failed != t.failed.end()) {
    for (std::uint32_t b = 0; b < tags.size(); ++b) {
      if (failed->second[b] != tags[b]) wrong_blocks.push_back(b);
    }
    t.failed.erase(failed);
  }
  world_.note(Happened::stored, host_.index, number(piece), wrong_blocks.size());
  client_.on_stored(id, piece, wrong_blocks, world_.now());
  after_input();
}

void Driver::check(const core::Check& check) {
  const std::uint32_t bytes = torrent(check.torrent).content->piece_size(check.piece);
  checked_until_ = std::max(disk_.read(bytes, world_.now()), checked_until_) + hash_time(bytes);
  later(checked_until_, [id = check.torrent, piece = check.piece](Driver& d) { d.judge_found(id, piece); });
}

void Driver::judge_found(TorrentId id, PieceIndex piece) {
  Torrent& t = torrent(id);
  const bool right = disk_.right(*t.content, piece, world_.now());
  ++(right ? ledger_.checks_right : ledger_.checks_wrong);
  world_.note(right ? Happened::stored : Happened::hash_failed, host_.index, number(piece));
  if (right) {
    t.judged.set(piece);
    client_.on_stored(id, piece, {}, world_.now());
  } else {
    client_.on_hash_failed(id, piece, world_.now());
  }
  after_input();
}

/// Back-pressure: while too much waits for the disk nothing is read from the network.
void Driver::bound_pending() {
  if (!reading_ || disk_.pending_bytes(world_.now()) <= options_.disk_pending_max) return;
  set_reading(false);
  later(disk_.idle_at(), [](Driver& d) { d.set_reading(true); });
}

void Driver::set_reading(bool reading) {
  reading_ = reading;
  for (const Conn& c : conns_.values()) {
    if (c.end.stream != nullptr) network_.pause(c.end, !reading);
  }
}

/// What is claimed was written before the sync begins, and is claimed only when the sync has ended.
void Driver::save(const core::Save& save) {
  Torrent& t = torrent(save.torrent);
  t.saving.push_back({client_.claims(save.torrent), save.clean});
  if (options_.canary == Canary::skip_sync) {
    disk_.save(*t.content, t.saving.back());
    return later(world_.now(), [id = save.torrent](Driver& d) { d.on_saved(id, false); });
  }
  later(disk_.begin_sync(*t.content, world_.now()), [id = save.torrent](Driver& d) { d.on_saved(id, true); });
}

void Driver::on_saved(TorrentId id, bool synced) {
  Torrent& t = torrent(id);
  if (synced) {
    disk_.end_sync(*t.content);
    disk_.save(*t.content, std::move(t.saving.front()));
  }
  t.saving.pop_front();
  world_.note(Happened::saved, host_.index, number(id));
  client_.on_saved(id, world_.now());
  after_input();
}

void Driver::finish(const core::Finish& finish) {
  const Content& content = *torrent(finish.torrent).content;
  later(disk_.begin_sync(content, world_.now()), [id = finish.torrent](Driver& d) { d.on_named(id); });
}

void Driver::on_named(TorrentId id) {
  const Content& content = *torrent(id).content;
  disk_.end_sync(content);
  if (options_.honest) checks_.on_whole(host_.index, content, disk_);
  disk_.name(content);
  if (!ledger_.whole_at) ledger_.whole_at = world_.now();
  world_.note(Happened::finished, host_.index, number(id));
  client_.on_finished(id, world_.now());
  after_input();
}

// ── trackers ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// There and back again, or nothing at all until the time is out.
// Nothing in the simulated world serves HTTP ranges or UDP announces, and its torrents come with their info dictionaries.
void Driver::fetch(const core::Fetch& fetch) {
  later(world_.now(), [conn = fetch.conn](Driver& d) {
    d.client_.on_fetch_ended(conn, fail(Exit::unreachable, "no_such_host", "no such host"), d.world_.now());
    d.after_input();
  });
}

void Driver::announce(core::Announce& announce) {
  later(world_.now(), [id = announce.id](Driver& d) {
    d.client_.on_announced(id, fail(Exit::unreachable, "no_such_host", "no such host"), d.world_.now());
    d.after_input();
  });
}

void Driver::check_metadata(core::CheckMetadata& metadata) {
  later(world_.now(), [id = metadata.torrent](Driver& d) {
    d.client_.on_metadata_wrong(id, d.world_.now());
    d.after_input();
  });
}

void Driver::exchange(core::Exchange& exchange) {
  const std::uint32_t id = number(exchange.id);
  Asked& asked = asked_[id];
  asked.request = std::move(exchange.request);
  const auto url = wire::parse_url(exchange.url);
  const auto address = url ? IpAddress::from(url->host) : std::nullopt;
  const auto found = address ? trackers_.find({*address, url->port}) : trackers_.end();
  later(world_.now() + exchange_timeout, [id](Driver& d) { d.give_up(id); });
  if (found == trackers_.end()) return;
  asked.tracker = found->second;
  travel(id, &Driver::ask);
}

/// One way between this host and the tracker's; while that is cut it is tried again after 1, 2, 4 … s, as TCP does.
void Driver::travel(std::uint32_t id, void (Driver::*arrive)(std::uint32_t), Duration again) {
  const auto found = asked_.find(id);
  if (found == asked_.end()) return;
  const Host& there = found->second.tracker->host();
  if (network_.reaches(host_, there)) {
    later(world_.now() + network_.travel_time(host_, there), [id, arrive](Driver& d) { (d.*arrive)(id); });
  } else {
    later(world_.now() + again, [id, arrive, again](Driver& d) { d.travel(id, arrive, 2 * again); });
  }
}

/// The request has reached the tracker's host.
void Driver::ask(std::uint32_t id) {
  const auto found = asked_.find(id);
  if (found == asked_.end()) return;
  Asked& asked = found->second;
  Tracker& tracker = *asked.tracker;
  if (tracker.running()) {
    asked.reply =
        tracker.on_request(asked.request, {network_.outside(host_), static_cast<std::uint16_t>(50'000 + id % 10'000)});
  } else {
    asked.reply = fail(Exit::unreachable, "refused", tracker.url() + ": connection refused");
  }
  asked.incarnation = tracker.incarnation();
  travel(id, &Driver::answer);
}

void Driver::answer(std::uint32_t id) {
  const auto found = asked_.find(id);
  if (found == asked_.end()) return;
  Asked& asked = found->second;
  if (asked.incarnation != asked.tracker->incarnation()) {  // it ended before all of the answer had left
    asked.reply = fail(Exit::unreachable, "reset", asked.tracker->url() + ": connection reset");
  }
  reply(id);
}

void Driver::give_up(std::uint32_t id) {
  const auto found = asked_.find(id);
  if (found == asked_.end()) return;
  found->second.reply = fail(Exit::unreachable, "timed_out", "no answer in 15 s");
  reply(id);
}

void Driver::reply(std::uint32_t id) {
  const auto found = asked_.find(id);
  const auto reply = std::move(found->second.reply);
  asked_.erase(found);
  world_.note(Happened::replied, host_.index, id, reply ? static_cast<std::uint64_t>(reply->status) : 0);
  client_.on_reply(RequestId{id}, reply, world_.now());
  after_input();
}

void Driver::notice(core::Notice& notice) {
  if (const auto* banned = std::get_if<core::PeerBanned>(&notice)) ledger_.banned.push_back(banned->peer);
  if (const auto* failed = std::get_if<core::Failed>(&notice))
    checks_.fail(Rule::contract, host_.index, failed->error.message);
}

}  // namespace swarm::sim
