#include "uv/peers.hh"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "wire/handshake.hh"

namespace swarm::uv {

namespace {
constexpr std::size_t dialling_max = 50;
constexpr std::size_t silent_max = 150;
constexpr Duration connect_within = 10s;
constexpr Duration linger_within = 5s;
constexpr Duration stalled_after = 10s;
constexpr Duration quick = 25ms;  ///< a batch that left within it: the next one may be larger
constexpr Duration slow = 250ms;  ///< one that took longer: the next one is smaller
}  // namespace

Peers::Peers(Loop& loop, Interface interface, std::size_t sockets_max, Events events)
    : loop_(loop),
      interface_(std::move(interface)),
      sockets_max_(sockets_max),
      events_(std::move(events)),
      sweep_(loop, [this] { sweep(); }) {
  socket_events_.room = events_.room;
  socket_events_.on_bytes = [this](ConnId conn, std::size_t bytes) {
    Peer& peer = *find(conn);
    const bool was_silent = is_silent(peer);
    peer.received += bytes;
    if (was_silent && !is_silent(peer)) --silent_;
    events_.on_bytes(conn, bytes);
    events_.turn();
  };
  socket_events_.on_no_room = [this](ConnId) {
    events_.on_no_room();
    events_.turn();
  };
  socket_events_.on_end = [this](ConnId conn) {
    on_end(conn);
    events_.turn();
  };
  socket_events_.on_written = [this](ConnId conn, std::unique_ptr<SendBatch> batch) {
    on_written(conn, std::move(batch));
    events_.turn();
  };
}

Peers::Peer* Peers::find(ConnId conn) {
  const auto at = peers_.find(number(conn));
  return at == peers_.end() ? nullptr : &at->second;
}

BlockAssembly* Peers::assembly(ConnId conn) {
  Peer* peer = find(conn);
  return peer != nullptr ? &peer->block : nullptr;
}

// ── coming ───────────────────────────────────────────────────────────────────────────────────────────────────────────

void Peers::connect(ConnId conn, const Endpoint& to) {
  dials_.push_back({conn, to});
  dial_next();
}

void Peers::dial_next() {
  while (dialling_ < dialling_max && !dials_.empty()) {
    const Dial dial = dials_.front();
    dials_.pop_front();
    ++dialling_;
    Peer& peer = peers_[number(dial.conn)];
    peer.attempt = std::make_unique<TcpConnect>(
        loop_, dial.to, interface_,
        [this, conn = dial.conn](int error, Descriptor socket) { on_attempt(conn, error, std::move(socket)); });
    peer.patience = std::make_unique<Timer>(loop_, [this, conn = dial.conn] { on_attempt(conn, UV_ETIMEDOUT, {}); });
    peer.patience->start(connect_within);
  }
}

void Peers::on_attempt(ConnId conn, int error, Descriptor socket) {
  --dialling_;
  peers_.erase(number(conn));
  if (error == 0) {
    open(conn, std::move(socket));
    events_.on_connected(conn);
  } else {
    events_.on_connect_failed(conn);
  }
  dial_next();
  events_.turn();
}

void Peers::accept(Descriptor socket, const Endpoint& from) {
  if ((peers_.size() >= sockets_max_ || silent_ >= silent_max) && !make_room()) return;
  const ConnId conn = events_.on_visitor(from);
  open(conn, std::move(socket)).visitor = true;
  ++silent_;
  visitors_.push_back(conn);
  if (visitors_.size() > 2 * silent_max) {  // those who have spoken or gone: at least half of them
    std::erase_if(visitors_, [this](ConnId id) {
      const Peer* peer = find(id);
      return peer == nullptr || !is_silent(*peer);
    });
  }
  events_.turn();
}

bool Peers::is_silent(const Peer& peer) {
  return peer.visitor && !peer.closing && peer.received < wire::handshake_bytes;
}

Peers::Peer& Peers::open(ConnId conn, Descriptor socket) {
  Peer& peer = peers_[number(conn)];
  peer.socket = std::make_unique<PeerSocket>(loop_, std::move(socket), conn, socket_events_);
  peer.socket->read(reading_);
  return peer;
}

bool Peers::make_room() {
  while (!visitors_.empty()) {
    const ConnId oldest = visitors_.front();
    visitors_.pop_front();
    const Peer* peer = find(oldest);
    if (peer == nullptr || !is_silent(*peer)) continue;
    on_end(oldest);
    return true;
  }
  return false;
}

// ── going ────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Peers::close(ConnId conn) {
  Peer* peer = find(conn);
  if (peer == nullptr) {
    std::erase_if(dials_, [conn](const Dial& dial) { return dial.conn == conn; });
    return;
  }
  if (!peer->socket) {
    --dialling_;
    return drop(conn);
  }
  if (is_silent(*peer)) --silent_;
  peer->closing = true;
  peer->wants = false;
  peer->closing_since = loop_.now();
  peer->block.clear();
  peer->socket->read(false);
  drop_if_sent(conn);
  if (find(conn) != nullptr && !sweep_.running()) sweep_.every(1s);
}

void Peers::drop_if_sent(ConnId conn) {
  const Peer* peer = find(conn);
  if (peer != nullptr && peer->closing && !peer->filling && peer->writing == 0) drop(conn);
}

void Peers::close_all() {
  peers_.clear();
  visitors_.clear();
  silent_ = 0;
  dials_.clear();
  waiting_.clear();
  dialling_ = 0;
  sweep_.stop();
}

void Peers::on_end(ConnId conn) {
  const bool known = !find(conn)->closing;
  drop(conn);
  if (known) events_.on_closed(conn);
}

void Peers::drop(ConnId conn) {
  const auto at = peers_.find(number(conn));
  if (at != peers_.end()) {
    if (is_silent(at->second)) --silent_;
    peers_.erase(at);
  }
  dial_next();
}

void Peers::fill_failed(ConnId conn) {
  if (find(conn) != nullptr) on_end(conn);
}

/// The rare things that take long: lingering ends, and those who hold memory that others wait for.
void Peers::sweep() {
  const Instant now = loop_.now();
  std::vector<ConnId> over;
  bool closing = false;
  for (auto& [id, peer] : peers_) {
    if (peer.writing > 0 && std::exchange(peer.queued, peer.socket->queued()) != peer.socket->queued())
      peer.progress = now;
    const bool stuck = !waiting_.empty() && peer.writing > 0 && now - peer.progress > stalled_after;
    if (stuck || (peer.closing && now - peer.closing_since > linger_within)) over.push_back(ConnId{id});
    closing = closing || peer.closing;
  }
  std::sort(over.begin(), over.end());
  for (const ConnId conn : over) on_end(conn);
  // libuv lets go of their batches after this; whoever still finds no room waits for the next look.
  wake_waiting();
  if (!closing && waiting_.empty()) sweep_.stop();
  events_.turn();
}

// ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────────

void Peers::read(bool wanted) {
  if (std::exchange(reading_, wanted) == wanted) return;
  for (auto& [id, peer] : peers_) {
    if (peer.socket && !peer.closing) peer.socket->read(wanted);
  }
}

void Peers::detach_unfinished() {
  for (auto& [id, peer] : peers_) peer.block.detach();
}

// ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────

void Peers::want_to_send(ConnId conn) {
  if (Peer* peer = find(conn)) peer->wants = true;
}

bool Peers::pull(ConnId conn) {
  Peer* peer = find(conn);
  if (peer == nullptr || !peer->wants || peer->closing || !peer->socket) return false;
  const bool scarce = pool_.bytes_used() > SendPool::bytes_max / 2;
  if (peer->filling || peer->writing >= (scarce ? 1 : 2)) return false;
  const std::size_t bytes_max = SendPool::batch_bytes(scarce ? 0 : peer->size);
  if (pool_.bytes_used() + bytes_max > SendPool::bytes_max) {
    if (std::find(waiting_.begin(), waiting_.end(), conn) == waiting_.end()) waiting_.push_back(conn);
    if (!sweep_.running()) sweep_.every(1s);
    return false;
  }
  events_.next_outgoing(conn, bytes_max, out_);
  if (out_.total == 0) {
    peer->wants = false;
    return false;
  }
  const bool payload = std::any_of(out_.segments.begin(), out_.segments.end(), [](const auto& s) { return s.payload; });
  if (!payload) {
    send_small(conn, *peer);
    return true;
  }
  peer->filling = true;
  auto batch = pool_.take(out_.total);
  events_.fill(conn, std::move(batch), std::exchange(out_, {}));
  return false;
}

void Peers::send_small(ConnId conn, Peer& peer) {
  const ByteView bytes(out_.bytes);
  const std::size_t sent = peer.socket->try_write(bytes);
  if (sent > 0) events_.on_sent(conn, sent);
  if (sent == bytes.size()) return;
  auto batch = pool_.take(bytes.size() - sent);
  std::memcpy(batch->bytes().data(), bytes.data() + sent, bytes.size() - sent);
  write(conn, peer, std::move(batch));
}

void Peers::filled(ConnId conn, std::unique_ptr<SendBatch> batch) {
  Peer* peer = find(conn);
  if (peer == nullptr) return;
  peer->filling = false;
  write(conn, *peer, std::move(batch));
  if (!peer->closing) events_.on_can_send(conn);
  drop_if_sent(conn);
}

void Peers::write(ConnId conn, Peer& peer, std::unique_ptr<SendBatch> batch) {
  batch->began = loop_.now();
  const std::size_t sent = peer.socket->try_write(batch->unsent());
  batch->sent += sent;
  if (sent > 0 && !peer.closing) events_.on_sent(conn, sent);
  if (batch->unsent().empty()) {
    peer.size = std::min(peer.size + 1, SendPool::sizes - 1);
    return;
  }
  if (peer.writing++ == 0) peer.progress = batch->began;
  peer.socket->write(std::move(batch));
}

void Peers::on_written(ConnId conn, std::unique_ptr<SendBatch> batch) {
  Peer& peer = *find(conn);
  --peer.writing;
  peer.progress = loop_.now();
  const Duration took = peer.progress - batch->began;
  if (took < quick) peer.size = std::min(peer.size + 1, SendPool::sizes - 1);
  if (took > slow) peer.size = std::max(peer.size - 1, 0);
  const std::size_t rest = batch->unsent().size();
  batch.reset();
  wake_waiting();
  if (!peer.closing) {
    events_.on_sent(conn, rest);
    events_.on_can_send(conn);
  }
  drop_if_sent(conn);
}

/// Those who find no room again wait again, in the same order.
void Peers::wake_waiting() {
  for (const ConnId conn : std::exchange(waiting_, {})) events_.on_can_send(conn);
}

}  // namespace swarm::uv
