#include "uv/udp.hh"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "uv/address.hh"

namespace swarm::uv {

namespace {

constexpr unsigned batch_max = 64;
constexpr int batches_max = 4;                ///< a turn, so that a flood leaves time for the others
constexpr int socket_buffer_bytes = 4 << 20;  ///< what the system allows of it; a burst waits there for its turn
constexpr std::size_t control_bytes = CMSG_SPACE(sizeof(in6_pktinfo));

using Control = std::array<std::uint8_t, control_bytes>;

/// What a datagram has besides its bytes: where it comes from or goes to, and our own address at this end.
struct Envelope {
  sockaddr_storage end{};
  iovec part{};
  alignas(cmsghdr) Control control{};
};

/// The memory of one batch.
struct Batch {
  std::array<mmsghdr, batch_max> messages{};
  std::array<Envelope, batch_max> envelopes{};
  std::array<std::array<std::uint8_t, UdpSocket::datagram_bytes_max>, batch_max> bytes{};
  unsigned used = 0;  ///< of an outgoing one
};

// One socket after the other receives, so one batch each way is enough for all of a thread.
Batch& incoming() {
  thread_local const auto batch = std::make_unique<Batch>();
  return *batch;
}
Batch& outgoing() {
  thread_local const auto batch = std::make_unique<Batch>();
  return *batch;
}

void set_option(const Descriptor& socket, int level, int name, int value) {
  setsockopt(socket.get(), level, name, &value, sizeof value);
}

tl::unexpected<Error> cannot_bind(const Endpoint& at, int error) {
  if (error == EADDRINUSE) return fail(Exit::disk, "port_in_use", fmt::format("port {} is in use (UDP)", at.port));
  if (error == EACCES || error == EPERM) {
    return fail(Exit::disk, "no_permission", fmt::format("cannot use UDP port {}: permission denied", at.port),
                "use a port above 1023");
  }
  return fail(Exit::disk, "cannot_listen", fmt::format("cannot use UDP at {}: {}", at.text(), std::strerror(error)));
}

IpAddress address_of(const in_addr& v4) { return IpAddress::v4(ntohl(v4.s_addr)); }

/// Which address of ours a datagram was sent to.
IpAddress local_address(msghdr& header) {
  for (auto* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    IpAddress out;
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      std::memcpy(out.bytes.data(), &info.ipi6_addr, 16);
      return out;
    }
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      return address_of(info.ipi_addr);
    }
  }
  return {};
}

/// Has a datagram leave from `from`.
void set_local_address(msghdr& header, Control& control, int family, const IpAddress& from) {
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  auto* c = CMSG_FIRSTHDR(&header);
  if (family == AF_INET6) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, from.bytes.data(), 16);
    c->cmsg_level = IPPROTO_IPV6, c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
  } else {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, from.bytes.data() + 12, 4);
    c->cmsg_level = IPPROTO_IP, c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
    header.msg_controllen = CMSG_SPACE(sizeof info);
  }
}

/// A header for bytes that stay where they are, and whose end is in `envelope`.
msghdr header_for(Envelope& envelope, ByteSpan bytes) {
  envelope.part = {bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_name = &envelope.end;
  header.msg_namelen = sizeof envelope.end;
  header.msg_iov = &envelope.part;
  header.msg_iovlen = 1;
  return header;
}

msghdr header_to(const Endpoint& to, Envelope& envelope, ByteSpan bytes, int family, const IpAddress& from) {
  msghdr header = header_for(envelope, bytes);
  envelope.end = to_sockaddr(to, family, &header.msg_namelen);
  if (!from.is_unspecified()) set_local_address(header, envelope.control, family, from);
  return header;
}

}  // namespace

UdpSocket::UdpSocket(Loop& loop, OnDatagram on_datagram) : loop_(loop), on_datagram_(std::move(on_datagram)) {}

UdpSocket::~UdpSocket() {
  if (receiving_) flush();
}

Result<Endpoint> UdpSocket::bind(const Endpoint& at) {
  constexpr int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  const bool any = at.address == IpAddress{};
  int family = family_of(at.address);
  Descriptor socket(::socket(family, SOCK_DGRAM | flags, 0));
  if (!socket && any && errno == EAFNOSUPPORT) {
    family = AF_INET;
    socket = Descriptor(::socket(family, SOCK_DGRAM | flags, 0));
  }
  if (!socket) return cannot_bind(at, errno);
  // Which address of ours a datagram came to, and an answer leaves from, is asked and said only where we have several.
  const int several = at.address.is_unspecified() ? 1 : 0;
  if (family == AF_INET6) {
    set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, any ? 0 : 1);
    set_option(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, several);
  } else {
    set_option(socket, IPPROTO_IP, IP_PKTINFO, several);
  }
  set_option(socket, SOL_SOCKET, SO_RCVBUF, socket_buffer_bytes);
  set_option(socket, SOL_SOCKET, SO_SNDBUF, socket_buffer_bytes);

  socklen_t length = 0;
  auto address = to_sockaddr(at, family, &length);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    // A kernel may know IPv6 and have it switched off.
    if (any && family == AF_INET6 && errno == EADDRNOTAVAIL) return bind({IpAddress::v4(0), at.port});
    return cannot_bind(at, errno);
  }
  length = sizeof address;
  getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
  int status = 0;
  auto poll = make_handle<State, uv_poll_t>(
      [&](uv_poll_t* handle) { return uv_poll_init(loop_.raw(), handle, socket.get()); }, &status);
  if (!poll) return cannot_bind(at, -status);
  poll->self = this;
  poll->on_datagram = std::move(on_datagram_);
  poll->data = poll.get();
  poll_ = std::move(poll);
  socket_ = std::move(socket);
  family_ = family;
  bound_ = at.address.is_unspecified() ? IpAddress() : at.address;
  watch();
  return from_sockaddr(reinterpret_cast<sockaddr*>(&address));
}

void UdpSocket::watch() {
  uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* handle, int status, int) noexcept {
    if (handle->data == nullptr) return;
    auto& self = *static_cast<State*>(handle)->self;
    if (status == 0) return self.receive_waiting();
    // libuv stops to watch a socket with an error; reading it clears it, and the next datagram may be fine.
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(self.socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    self.watch();
  });
}

void UdpSocket::receive_waiting() {
  const State* const state = poll_.get();  // outlives us until the loop turns again
  for (int i = 0; i < batches_max; ++i) {
    receiving_ = true;
    const int count = receive_batch();
    if (state->data == nullptr) return;
    receiving_ = false;
    flush();
    if (count < static_cast<int>(batch_max)) return;
  }
}

/// How many came; fewer than a whole batch: there are no more.
int UdpSocket::receive_batch() {
  Batch& batch = incoming();
  for (unsigned i = 0; i < batch_max; ++i) {
    auto& header = batch.messages[i].msg_hdr;
    header = header_for(batch.envelopes[i], batch.bytes[i]);
    if (!bound_.is_unspecified()) continue;
    header.msg_control = batch.envelopes[i].control.data();
    header.msg_controllen = batch.envelopes[i].control.size();
  }
  const State* const state = poll_.get();
  const bool several = bound_.is_unspecified();
  const int count = ::recvmmsg(socket_.get(), batch.messages.data(), batch_max, 0, nullptr);
  for (int i = 0; i < count; ++i) {
    auto& message = batch.messages[static_cast<unsigned>(i)];
    if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) continue;
    const auto from = from_sockaddr(static_cast<const sockaddr*>(message.msg_hdr.msg_name));
    const auto bytes = ByteView(batch.bytes[static_cast<unsigned>(i)]).first(message.msg_len);
    state->on_datagram(bytes, from, several ? local_address(message.msg_hdr) : bound_);
    if (state->data == nullptr) return count;
  }
  return count;
}

bool UdpSocket::send(const Endpoint& to, ByteView bytes, const IpAddress& from) {
  const IpAddress source = from == bound_ ? IpAddress() : from;
  if (!socket_ || bytes.size() > datagram_bytes_max) return false;
  if (family_ == AF_INET && !(to.address.is_v4() && (from.is_unspecified() || from.is_v4()))) return false;
  if (!receiving_) {
    Envelope envelope;
    const ByteSpan unchanged(const_cast<std::uint8_t*>(bytes.data()), bytes.size());  // sendmsg only reads them
    const auto header = header_to(to, envelope, unchanged, family_, source);
    return ::sendmsg(socket_.get(), &header, 0) >= 0;
  }
  if (outgoing().used == batch_max) flush();
  Batch& batch = outgoing();
  const unsigned i = batch.used++;
  const auto copy = ByteSpan(batch.bytes[i]).first(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.begin());
  batch.messages[i].msg_hdr = header_to(to, batch.envelopes[i], copy, family_, source);
  return true;
}

/// Sends what waits for the end of the batch. One that cannot be sent does not keep back the others.
void UdpSocket::flush() {
  Batch& batch = outgoing();
  unsigned sent = 0;
  while (sent < batch.used) {
    const int count = ::sendmmsg(socket_.get(), batch.messages.data() + sent, batch.used - sent, 0);
    if (count < 0 && (errno == EAGAIN || errno == ENOBUFS)) break;
    sent += count > 0 ? static_cast<unsigned>(count) : 1;
  }
  batch.used = 0;
}

}  // namespace swarm::uv
