#include "uv/peer_socket.hh"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <climits>
#include <utility>

#include "base/check.hh"

namespace swarm::uv {

namespace {
constexpr int reads_max = 8;  ///< of one connection in a turn of the loop, so that the others get theirs
constexpr Duration fast_within = 5ms;
constexpr Duration retry_after = 5ms;
constexpr std::uint64_t fast_within_ms = 5;
constexpr std::size_t fast_bytes = 1u << 20;
constexpr int fast_wake_bytes = 256 * 1024;
}  // namespace

PeerSocket::PeerSocket(Loop& loop, Descriptor socket, ConnId conn, const PeerSocketEvents& events)
    : state_(make_handle<State, uv_poll_t>(
          [&](uv_poll_t* poll) { return uv_poll_init(loop.raw(), poll, socket.get()); })) {
  SWARM_CHECK(state_ != nullptr);
  const int on = 1;  // requests are small and must not wait for an acknowledgement
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  state_->socket = std::make_shared<Descriptor>(std::move(socket));
  state_->owner = &loop;
  state_->conn = conn;
  state_->events = &events;
  state_->data = state_.get();
}

PeerSocket::~PeerSocket() {
  const auto socket = std::move(state_->socket);
  state_->look.reset();
  state_->retry.reset();
  state_.reset();  // the loop looks no more at what is closed now
  if (socket.use_count() > 1) ::shutdown(socket->get(), SHUT_RDWR);
}

void PeerSocket::read(bool wanted) {
  state_->reading = wanted && !state_->ended;
  watch(*state_);
}

void PeerSocket::set_unsent_max(std::size_t bytes) {
  const auto value = static_cast<unsigned>(bytes);
  setsockopt(state_->socket->get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

void PeerSocket::set_unsent_unbounded() { set_unsent_max(UINT_MAX); }

void PeerSocket::await_writable(Full full) {
  state_->writing = !state_->ended;
  watch(*state_);
  if (full == Full::slow || !state_->writing) return;
  if (!state_->retry) {
    state_->retry = std::make_unique<Timer>(*state_->owner, [state = state_.get()] {
      if (state->writing) writable(*state);
    });
  }
  state_->retry->start(retry_after);
}

void PeerSocket::watch(State& state) {
  const int wanted = (state.reading ? UV_READABLE : 0) | (state.writing ? UV_WRITABLE : 0);
  if (std::exchange(state.watched, wanted) == wanted) return;
  if (wanted == 0) {
    uv_poll_stop(&state);
    return;
  }
  uv_poll_start(&state, wanted, [](uv_poll_t* poll, int status, int ready) noexcept {
    if (poll->data != nullptr) on_ready(*static_cast<State*>(poll), status, ready);
  });
}

/// Whatever is told may drop the socket; its state stays until the loop turns again.
void PeerSocket::on_ready(State& state, int status, int ready) {
  if (status < 0) return end(state);
  if ((ready & UV_READABLE) != 0 && state.reading) receive(state);
  if (state.data != nullptr && (ready & UV_WRITABLE) != 0 && state.writing) writable(state);
}

void PeerSocket::writable(State& state) {
  state.writing = false;
  if (state.retry) state.retry->stop();
  state.events->on_writable(state.conn);
  if (state.data != nullptr) watch(state);  // now, for it may be full again already
}

void PeerSocket::receive(State& state) {
  const PeerSocketEvents& events = *state.events;
  const ConnId conn = state.conn;
  bool any = false;
  for (int i = 0; i < reads_max && receive_some(state, any); ++i) {
  }
  if (any) events.on_read(conn);
}

/// False: there is no more to read for now, or nobody to read it.
bool PeerSocket::receive_some(State& state, bool& any) {
  const ByteSpan room = state.events->room();
  if (room.empty()) return state.events->on_no_room(state.conn), false;
  ssize_t count = 0;
  do {
    count = ::recv(state.socket->get(), room.data(), room.size(), MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  if (count <= 0) return end(state), false;
  any = true;
  PeerSocket::count(state, static_cast<std::size_t>(count));
  state.events->on_bytes(state.conn, static_cast<std::size_t>(count));
  return state.data != nullptr && state.reading && static_cast<std::size_t>(count) == room.size();
}

void PeerSocket::count(State& state, std::size_t bytes) {
  state.came += bytes;
  if (state.look) return;
  if (state.came >= fast_bytes) return set_fast(state, true);
  const std::uint64_t now_ms = uv_now(state.loop);
  if (now_ms - state.since_ms < fast_within_ms) return;
  state.since_ms = now_ms;
  state.came = bytes;
}

void PeerSocket::set_fast(State& state, bool fast) {
  const int wake_bytes = fast ? fast_wake_bytes : 1;
  setsockopt(state.socket->get(), SOL_SOCKET, SO_RCVLOWAT, &wake_bytes, sizeof wake_bytes);
  state.came = 0;
  if (!fast) {
    state.since_ms = uv_now(state.loop);
    state.look.reset();
    return;
  }
  state.look = std::make_unique<Timer>(*state.owner, [&state] {
    if (state.came < fast_bytes) return set_fast(state, false);  // what waits is told by the loop at once
    state.came = 0;
    if (state.reading) receive(state);
  });
  state.look->every(fast_within);
}

void PeerSocket::end(State& state) {
  if (state.data == nullptr || std::exchange(state.ended, true)) return;
  state.reading = state.writing = false;
  state.look.reset();
  state.retry.reset();
  watch(state);
  state.events->on_end(state.conn);
}

}  // namespace swarm::uv
