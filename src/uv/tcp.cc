#include "uv/tcp.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.hh"

namespace swarm::uv {

namespace {

constexpr int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

bool lacks_descriptors(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

Descriptor spare_descriptor() { return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

void set_option(const Descriptor& socket, int level, int name, int value) {
  setsockopt(socket.get(), level, name, &value, sizeof value);
}

tl::unexpected<Error> cannot_listen(const Endpoint& at, int error) {
  if (error == EADDRINUSE) return fail(Exit::disk, "port_in_use", fmt::format("port {} is in use", at.port));
  if (error == EACCES || error == EPERM) {
    return fail(Exit::disk, "no_permission", fmt::format("cannot listen on port {}: permission denied", at.port),
                "use a port above 1023");
  }
  return fail(Exit::disk, "cannot_listen", fmt::format("cannot listen on {}: {}", at.text(), std::strerror(error)));
}

}  // namespace

TcpListener::TcpListener(Loop& loop, OnAccept on_accept, First speaks)
    : loop_(loop), on_accept_(std::move(on_accept)), speaks_(speaks), back_off_(loop, [this] { watch(); }) {}

Result<Endpoint> TcpListener::listen(const Endpoint& at) {
  const bool any = at.address == IpAddress{};
  int family = family_of(at.address);
  Descriptor socket(::socket(family, SOCK_STREAM | flags, 0));
  if (!socket && any && errno == EAFNOSUPPORT) {
    family = AF_INET;
    socket = Descriptor(::socket(family, SOCK_STREAM | flags, 0));
  }
  if (!socket) return cannot_listen(at, errno);
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET6) set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, any ? 0 : 1);

  socklen_t length = 0;
  auto address = to_sockaddr(at, family, &length);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    // A kernel may know IPv6 and have it switched off.
    if (any && family == AF_INET6 && errno == EADDRNOTAVAIL) return listen({IpAddress::v4(0), at.port});
    return cannot_listen(at, errno);
  }
  if (speaks_ == First::visitor) set_option(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
  if (::listen(socket.get(), SOMAXCONN) != 0) return cannot_listen(at, errno);

  length = sizeof address;
  getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
  int status = 0;
  auto poll = make_handle<State, uv_poll_t>(
      [&](uv_poll_t* handle) { return uv_poll_init(loop_.raw(), handle, socket.get()); }, &status);
  if (!poll) return cannot_listen(at, -status);
  poll->self = this;
  poll->on_accept = std::move(on_accept_);
  poll->data = poll.get();
  poll_ = std::move(poll);
  socket_ = std::move(socket);
  spare_ = spare_descriptor();
  watch();
  return from_sockaddr(reinterpret_cast<sockaddr*>(&address));
}

void TcpListener::watch() {
  uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* handle, int, int) noexcept {
    if (handle->data != nullptr) static_cast<State*>(handle)->self->accept_waiting();
  });
}

void TcpListener::accept_waiting() {
  constexpr int accepts_max = 64;    // a turn, so that a flood of visitors leaves time for the others
  State* const state = poll_.get();  // outlives us until the loop turns again
  for (int i = 0; i < accepts_max; ++i) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    Descriptor socket(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&from), &length, flags));
    if (socket) {
      state->on_accept(std::move(socket), from_sockaddr(reinterpret_cast<sockaddr*>(&from)));
      if (state->data == nullptr) return;
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (!lacks_descriptors(errno)) return;
    if (make_room()) continue;
    uv_poll_stop(poll_.get());
    back_off_.start(100ms);
    return;
  }
}

bool TcpListener::make_room() {
  spare_.close();
  const bool refused_one = static_cast<bool>(Descriptor(::accept4(socket_.get(), nullptr, nullptr, flags)));
  spare_ = spare_descriptor();
  return refused_one && spare_;
}

// A stream's bytes pass through one buffer of its thread: libuv reads and calls back before the next one reads.
static std::array<std::uint8_t, 64 * 1024>& read_buffer() {
  thread_local std::array<std::uint8_t, 64 * 1024> bytes;
  return bytes;
}

struct TcpStream::Write : uv_write_t {
  Buffer bytes;
};

TcpStream::TcpStream(Loop& loop, Descriptor socket, Events events)
    : state_(make_handle<State, uv_tcp_t>([&loop](uv_tcp_t* tcp) { return uv_tcp_init(loop.raw(), tcp); })) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  state_->events = std::move(events);
  state_->socket = std::move(socket);
  state_->data = state_.get();
}

TcpStream::~TcpStream() { state_->socket.close(); }  // at once, and not with the handle's memory

/// The loop's stream, which has the socket from now on.
uv_stream_t* TcpStream::watched() {
  if (state_->socket) {
    SWARM_CHECK(uv_tcp_open(state_.get(), state_->socket.get()) == 0);
    state_->socket.release();
  }
  return reinterpret_cast<uv_stream_t*>(static_cast<uv_tcp_t*>(state_.get()));
}

void TcpStream::end_with(State& state, int error) {
  if (state.data == nullptr || std::exchange(state.ended, true)) return;
  if (!state.socket) uv_read_stop(reinterpret_cast<uv_stream_t*>(static_cast<uv_tcp_t*>(&state)));
  state.events.on_end(error);
}

void TcpStream::read(bool wanted) {
  wanted = wanted && !state_->ended;
  if (std::exchange(state_->reading, wanted) == wanted) return;
  if (!wanted) {
    uv_read_stop(watched());
    return;
  }
  uv_read_start(
      watched(),
      [](uv_handle_t*, std::size_t, uv_buf_t* into) noexcept {
        *into = uv_buf_init(reinterpret_cast<char*>(read_buffer().data()), static_cast<unsigned>(read_buffer().size()));
      },
      [](uv_stream_t* from, ssize_t count, const uv_buf_t*) noexcept {
        auto& state = *static_cast<State*>(reinterpret_cast<uv_tcp_t*>(from));
        if (count > 0) state.events.on_bytes(ByteView(read_buffer()).first(static_cast<std::size_t>(count)));
        if (count < 0) end_with(state, count == UV_EOF ? 0 : static_cast<int>(count));
      });
}

void TcpStream::read_waiting() {
  SWARM_CHECK(static_cast<bool>(state_->socket));
  State& state = *state_;  // outlives us until the loop turns again
  const auto count = ::recv(state.socket.get(), read_buffer().data(), read_buffer().size(), 0);
  if (count > 0) return state.events.on_bytes(ByteView(read_buffer()).first(static_cast<std::size_t>(count)));
  if (count == 0) return end_with(state, 0);
  if (errno != EAGAIN && errno != EINTR) end_with(state, -errno);
}

/// How much of it the socket takes; an error is left for the loop to find.
std::size_t TcpStream::send_now(ByteView bytes) {
  const auto sent = ::send(state_->socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

void TcpStream::write(Buffer bytes) {
  const auto part = [](ByteView view) {
    return uv_buf_init(const_cast<char*>(as_text(view).data()), static_cast<unsigned>(view.size()));
  };
  std::size_t sent = 0;
  if (state_->socket) {
    sent = send_now(bytes);
    if (sent == bytes.size()) return;
  } else if (queued() == 0) {
    const auto whole = part(bytes);
    sent = static_cast<std::size_t>(std::max(0, uv_try_write(watched(), &whole, 1)));
    if (sent == bytes.size()) return;
  }
  auto write = std::make_unique<Write>();
  write->bytes = std::move(bytes);
  const auto rest = part(ByteView(write->bytes).subspan(sent));
  const int status = uv_write(write.get(), watched(), &rest, 1, [](uv_write_t* request, int status) noexcept {
    const std::unique_ptr<Write> done(static_cast<Write*>(request));
    auto& state = *static_cast<State*>(reinterpret_cast<uv_tcp_t*>(request->handle));
    if (state.data == nullptr) return;
    if (status != 0) {
      end_with(state, status);
    } else if (uv_stream_get_write_queue_size(request->handle) == 0) {
      state.events.on_drained();
    }
  });
  if (status == 0) write.release();  // else the connection is gone, which reading will tell
}

void TcpStream::end() {
  auto request = std::make_unique<uv_shutdown_t>();
  if (uv_shutdown(request.get(), watched(), [](uv_shutdown_t* done, int) noexcept { delete done; }) == 0)
    request.release();
}

std::size_t TcpStream::queued() const {
  return uv_stream_get_write_queue_size(reinterpret_cast<uv_stream_t*>(static_cast<uv_tcp_t*>(state_.get())));
}

Endpoint TcpStream::local() const {
  sockaddr_storage address{};
  int length = sizeof address;
  if (state_->socket) {
    auto size = static_cast<socklen_t>(length);
    getsockname(state_->socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  } else {
    uv_tcp_getsockname(state_.get(), reinterpret_cast<sockaddr*>(&address), &length);
  }
  return from_sockaddr(reinterpret_cast<sockaddr*>(&address));
}

TcpConnect::TcpConnect(Loop& loop, const Endpoint& to, const Interface& from, Done done)
    : done_(std::move(done)), late_(loop, [this] { finish(late_error_); }) {
  const int family = family_of(to.address);
  late_error_ = begin(loop, to, from, family);
  if (late_error_ != 0) late_.start({});
}

int TcpConnect::begin(Loop& loop, const Endpoint& to, const Interface& from, int family) {
  if (from && family_of(*from) != family) return UV_EADDRNOTAVAIL;
  socket_ = Descriptor(::socket(family, SOCK_STREAM | flags, 0));
  if (!socket_) return -errno;
  socklen_t length = 0;
  if (from) {
    const auto source = to_sockaddr({*from, 0}, family, &length);
    set_option(socket_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);  // a port per pair of ends, not per address
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&source), length) != 0) return -errno;
  }
  const auto target = to_sockaddr(to, family, &length);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&target), length) != 0 && errno != EINPROGRESS) {
    return -errno;
  }
  int status = 0;
  poll_ = make_handle<State, uv_poll_t>(
      [&](uv_poll_t* handle) { return uv_poll_init(loop.raw(), handle, socket_.get()); }, &status);
  if (status != 0) return status;
  poll_->self = this;
  poll_->data = poll_.get();
  return uv_poll_start(poll_.get(), UV_WRITABLE, [](uv_poll_t* handle, int, int) noexcept {
    if (handle->data == nullptr) return;
    auto& self = *static_cast<State*>(handle)->self;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(self.socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    self.finish(-error);
  });
}

void TcpConnect::finish(int error) {
  poll_.reset();  // the socket's next owner watches it in its own way
  const Done done = std::move(done_);
  Descriptor socket = std::move(socket_);
  if (error != 0) socket.close();
  done(error, std::move(socket));
}

}  // namespace swarm::uv
