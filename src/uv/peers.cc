#include "uv/peers.hh"

#include <algorithm>
#include <utility>
#include <vector>

#include "wire/handshake.hh"

namespace swarm::uv {

namespace {
constexpr std::size_t dialling_max = 50;
constexpr std::size_t silent_max = 150;
constexpr Duration connect_within = 10s;
constexpr Duration linger_within = 5s;
constexpr Duration quick = 5ms;  ///< a batch that left within it: the next one may be larger
constexpr Duration slow = 20ms;  ///< one that took longer: the next one is smaller
constexpr Duration cold_for = 50ms;
constexpr std::size_t fast_bytes = 64 * 1024;  ///< rule 3: a socket that took so much before it was full is a fast one
constexpr int size_max = 4;                    ///< 16 blocks
/// 16 KiB, 32 … and room for the messages between the blocks.
constexpr std::size_t batch_bytes(int size) { return (std::size_t{16 * 1024} << size) + 1024; }
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
  };
  socket_events_.on_read = [this](ConnId) { events_.turn(); };
  socket_events_.on_no_room = [this](ConnId) {
    events_.on_no_room();
    events_.turn();
  };
  socket_events_.on_end = [this](ConnId conn) {
    on_end(conn);
    events_.turn();
  };
  socket_events_.on_writable = [this](ConnId conn) {
    on_writable(conn);
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
  peer.socket->set_unsent_max(batch_bytes(peer.size));
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
  if (peer != nullptr && peer->closing && !peer->sending) drop(conn);
}

void Peers::close_all() {
  peers_.clear();
  visitors_.clear();
  silent_ = 0;
  dials_.clear();
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

/// Ends that linger too long.
void Peers::sweep() {
  const Instant now = loop_.now();
  std::vector<ConnId> over;
  bool closing = false;
  for (const auto& [id, peer] : peers_) {
    if (peer.closing && now - peer.closing_since > linger_within) over.push_back(ConnId{id});
    closing = closing || peer.closing;
  }
  std::sort(over.begin(), over.end());
  for (const ConnId conn : over) on_end(conn);
  if (!closing) sweep_.stop();
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
  if (peer == nullptr || !peer->wants || peer->closing || !peer->socket || peer->sending) return false;
  events_.next_outgoing(conn, batch_bytes(peer->size), out_);
  if (out_.total == 0) {
    peer->wants = false;
    return false;
  }
  if (!peer->batch) peer->batch = std::make_unique<SendBatch>();
  peer->batch->begin(out_, loop_.now());
  if (peer->batch->has_payload()) events_.prepare(*peer->batch);
  peer->sending = true;
  // That the socket has ended is told by the loop, for this is in the middle of a turn.
  if (send(conn, *peer) == SendBatch::Outcome::ended) peer->socket->await_writable();
  return !peer->sending;
}

/// On the loop if that need not wait, else on a worker.
SendBatch::Outcome Peers::send(ConnId conn, Peer& peer) {
  const bool payload = peer.batch->has_payload();
  auto outcome = SendBatch::Outcome::cold;
  if (!payload || peer.batch->began() >= peer.cold_until) {
    outcome = peer.batch->send(peer.socket->descriptor()->get(), SendBatch::Reading::cached);
    if (outcome == SendBatch::Outcome::cold) peer.cold_until = loop_.now() + cold_for;
  }
  if (outcome == SendBatch::Outcome::cold) {
    events_.send_payload(conn, std::move(peer.batch), peer.socket->descriptor());
  } else if (outcome != SendBatch::Outcome::ended) {
    after(conn, peer, outcome);
  }
  return outcome;
}

/// The batch is back from the socket.
void Peers::after(ConnId conn, Peer& peer, SendBatch::Outcome outcome) {
  const std::size_t sent = peer.batch->take_sent();
  if (sent > 0 && !peer.closing) events_.on_sent(conn, sent);
  if (outcome == SendBatch::Outcome::full) {
    return peer.socket->await_writable(sent < fast_bytes ? PeerSocket::Full::slow : PeerSocket::Full::fast);
  }
  peer.sending = false;
  if (!peer.batch->has_payload()) return;
  const Duration took = loop_.now() - peer.batch->began();
  if (took < quick) set_size(peer, std::min(peer.size + 1, size_max));
  if (took > slow) set_size(peer, std::max(peer.size - 1, 0));
}

void Peers::set_size(Peer& peer, int size) {
  if (std::exchange(peer.size, size) == size || !peer.socket) return;
  size < size_max ? peer.socket->set_unsent_max(batch_bytes(size)) : peer.socket->set_unsent_unbounded();
}

void Peers::on_writable(ConnId conn) {
  Peer& peer = *find(conn);
  if (!peer.sending || !peer.batch) return;
  if (send(conn, peer) == SendBatch::Outcome::ended) return on_end(conn);
  if (!peer.sending && !peer.closing) events_.on_can_send(conn);
  drop_if_sent(conn);
}

void Peers::on_outcome(ConnId conn, std::unique_ptr<SendBatch> batch, SendBatch::Outcome outcome) {
  Peer* peer = find(conn);
  if (peer == nullptr) return;
  peer->batch = std::move(batch);
  if (outcome == SendBatch::Outcome::ended || outcome == SendBatch::Outcome::unreadable) return on_end(conn);
  after(conn, *peer, outcome);
  if (!peer->sending && !peer->closing) events_.on_can_send(conn);
  drop_if_sent(conn);
}

}  // namespace swarm::uv
