#include "uv/peer_socket.hh"

#include <algorithm>
#include <utility>

#include "base/check.hh"

namespace swarm::uv {

PeerSocket::PeerSocket(Loop& loop, Descriptor socket, ConnId conn, const PeerSocketEvents& events)
    : state_(make_handle<State, uv_tcp_t>([&loop](uv_tcp_t* tcp) { return uv_tcp_init(loop.raw(), tcp); })) {
  state_->conn = conn;
  state_->events = &events;
  state_->data = state_.get();
  SWARM_CHECK(uv_tcp_open(state_.get(), socket.get()) == 0);
  socket.release();
  uv_tcp_nodelay(state_.get(), 1);  // requests are small and must not wait for an acknowledgement
}

void PeerSocket::end(State& state) {
  if (state.data == nullptr || std::exchange(state.ended, true)) return;
  uv_read_stop(reinterpret_cast<uv_stream_t*>(static_cast<uv_tcp_t*>(&state)));
  state.events->on_end(state.conn);
}

void PeerSocket::read(bool wanted) {
  wanted = wanted && !state_->ended;
  if (std::exchange(state_->reading, wanted) == wanted) return;
  if (!wanted) {
    uv_read_stop(stream());
    return;
  }
  uv_read_start(
      stream(),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* into) noexcept {
        const auto& state = *static_cast<State*>(reinterpret_cast<uv_tcp_t*>(handle));
        const ByteSpan room = state.data != nullptr ? state.events->room() : ByteSpan{};
        *into = uv_buf_init(reinterpret_cast<char*>(room.data()), static_cast<unsigned>(room.size()));
      },
      [](uv_stream_t* from, ssize_t count, const uv_buf_t*) noexcept {
        auto& state = *static_cast<State*>(reinterpret_cast<uv_tcp_t*>(from));
        if (state.data == nullptr) return;
        if (count > 0) {
          state.events->on_bytes(state.conn, static_cast<std::size_t>(count));
        } else if (count == UV_ENOBUFS) {
          state.events->on_no_room(state.conn);
        } else if (count < 0) {
          end(state);
        }
      });
}

std::size_t PeerSocket::try_write(ByteView bytes) {
  if (bytes.empty() || queued() != 0 || state_->ended) return 0;
  const auto part = uv_buf_init(const_cast<char*>(as_text(bytes).data()), static_cast<unsigned>(bytes.size()));
  return static_cast<std::size_t>(std::max(0, uv_try_write(stream(), &part, 1)));  // an error shows again when writing
}

void PeerSocket::write(std::unique_ptr<SendBatch> batch) {
  const auto rest = batch->unsent();
  const auto part = uv_buf_init(const_cast<char*>(as_text(rest).data()), static_cast<unsigned>(rest.size()));
  SendBatch* const raw = batch.release();  // libuv's, until it calls back
  const int status = uv_write(raw, stream(), &part, 1, [](uv_write_t* request, int status) noexcept {
    std::unique_ptr<SendBatch> done(static_cast<SendBatch*>(request));
    auto& state = *static_cast<State*>(reinterpret_cast<uv_tcp_t*>(request->handle));
    if (state.data == nullptr || state.ended) return;
    if (status != 0) return end(state);
    state.events->on_written(state.conn, std::move(done));
  });
  if (status != 0) delete raw;  // the connection is gone, which reading tells
}

std::size_t PeerSocket::queued() const { return uv_stream_get_write_queue_size(stream()); }

}  // namespace swarm::uv
