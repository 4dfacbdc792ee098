// Who is there, what a process does with the network and what befalls both. The bytes on their way: network_chunks.cc.
#include "sim/network.hh"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.hh"

namespace swarm::sim {

namespace {

constexpr Duration give_up_after = 3s;  // the last of the tries after 0, 1, 3 and 7 s
constexpr std::uint8_t tries_max = 4;

bool ended(const Stream* stream) { return !stream->sides[0].open && !stream->sides[1].open; }

}  // namespace

Host& Network::add_host(const IpAddress& address, const Line& line, NatBox* behind) {
  SWARM_CHECK(!by_address_.contains(address));
  SWARM_CHECK(line.loss >= 0 && line.loss <= 1);
  Host& host = hosts_.emplace_back();
  host.index = static_cast<std::uint32_t>(hosts_.size() - 1);
  host.address = address;
  host.line = line;
  host.loses = line.loss < 1 ? static_cast<std::uint64_t>(std::ldexp(line.loss, 64)) : ~std::uint64_t{0};
  host.up_free = world_.now() - time_for(line.burst, line.up_rate);
  host.down_free = world_.now() - time_for(line.burst, line.down_rate);
  host.nat = behind == nullptr && line.nat != Nat::none ? &add_nat(address, line.nat) : behind;
  by_address_[address] = &host;
  return host;
}

NatBox& Network::add_nat(const IpAddress& outside, Nat kind) {
  SWARM_CHECK(kind != Nat::none && !nat_by_address_.contains(outside));
  NatBox& box = nats_.emplace_back(outside, kind);
  nat_by_address_[outside] = &box;
  return box;
}

Host* Network::find(const IpAddress& address) {
  const auto found = by_address_.find(address);
  return found == by_address_.end() ? nullptr : found->second;
}

// ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Network::start(Host& host, Process& process, std::uint16_t port) {
  SWARM_CHECK(host.process == nullptr && host.powered);
  host.process = &process;
  host.port = port;
  ++host.incarnation;
}

void Network::connect(Host& from, ConnId conn, const Endpoint& to, std::uint16_t from_port) {
  if (from_port == 0) {
    from_port = next_port_++;
    if (next_port_ == 0) next_port_ = 49152;
  }
  try_connect({&from, from.incarnation, conn, to, from_port, from_port, 0});
}

std::uint64_t Network::room(StreamEnd end, std::uint64_t wanted) {
  Flow& flow = end.stream->sides[end.side].out;
  settle(flow);
  flow.line_awaited = flow.unsent() >= options_.unsent_bytes;
  if (flow.line_awaited) return 0;
  const std::uint64_t room = flow.buffer_bytes - std::min(flow.buffered, flow.buffer_bytes);
  wanted = std::min(wanted, flow.buffer_bytes);
  flow.room_wanted = room < wanted ? wanted : 0;
  if (flow.room_wanted > 0) await_ack(end);
  return std::min(room, std::max(wanted, options_.unsent_bytes - flow.unsent()));
}

void Network::send(StreamEnd end, ByteView small) {
  Stream::Side& side = end.stream->sides[end.side];
  SWARM_CHECK(side.open);
  side.out.push(small);
  side.out.buffered += small.size();
  want_up(end);
}

void Network::send(StreamEnd end, const Run& run) {
  Stream::Side& side = end.stream->sides[end.side];
  SWARM_CHECK(side.open && run.length > 0);
  side.out.push(run);
  side.out.buffered += run.length;
  want_up(end);
}

void Network::close(StreamEnd end) {
  Stream::Side& side = end.stream->sides[end.side];
  if (!std::exchange(side.open, false)) return;
  side.out.end_wanted = true;
  want_up(end);
}

void Network::pause(StreamEnd end, bool paused) {
  Flow& flow = end.stream->into(end.side);
  if (std::exchange(flow.paused, paused) == paused || paused) return;
  Host& host = *end.stream->sides[end.side].host;
  if (!flow.chunks.empty() && !std::exchange(flow.in_down_queue, true)) host.down_queue.push_back(end);
  // Not now: whoever goes on reading may be in the middle of something.
  world_.in({}, [this, h = &host] { serve_down(*h, {}); });
}

void Network::crash(Host& host) {
  host.process = nullptr;
  ++host.incarnation;
  for (Stream* stream : host.streams) {
    for (int s = 0; s < 2; ++s) {
      Stream::Side& side = stream->sides[s];
      if (side.host != &host || !std::exchange(side.open, false)) continue;
      side.dead = true;
      side.out.drop_unsent();
      if (host.reaches()) reset_later(stream, 1 - s, delay(host, *stream->sides[1 - s].host));
    }
  }
}

void Network::cut_power(Host& host) {
  host.powered = false;
  host.process = nullptr;
  ++host.incarnation;
  for (Stream* stream : host.streams) {
    for (int s = 0; s < 2; ++s) {
      Stream::Side& side = stream->sides[s];
      if (side.host != &host) continue;
      side.dead = true;
      side.open = false;
      side.out.drop_unsent();
      Flow& in = stream->into(s);
      for (; !in.chunks.empty(); in.chunks.pop_front()) in.drop_front(in.chunks.front().bytes);
    }
  }
}

void Network::restore_power(Host& host) {
  host.powered = true;
  for (Stream* stream : host.streams) {
    for (int s = 0; s < 2; ++s) {
      Stream::Side& other = stream->sides[1 - s];
      settle(other.out);
      if (stream->sides[s].host != &host || !stream->sides[s].dead || !other.open || other.out.buffered == 0) continue;
      // What the other end sent in vain it sends again some time, and is told.
      reset_later(stream, 1 - s, 2 * delay(host, *other.host) + Duration(world_.random().below(1'000'000'000)));
    }
  }
}

void Network::set_link(Host& host, bool up) {
  host.linked = up;
  serve_up(host);
  serve_down(host, {});
}

void Network::partition(const std::vector<std::vector<std::uint32_t>>& groups) {
  for (Host& host : hosts_) host.part = 0;
  std::uint32_t part = 0;
  for (const auto& group : groups) {
    ++part;
    for (const std::uint32_t index : group) hosts_[index].part = part;
  }
  // Whose path is still cut is parked again as soon as it tries.
  for (const Parked& parked : std::exchange(parked_, {})) {
    Instant next = parked.since;
    for (Duration wait = timeout_min; next < world_.now(); wait = std::min(2 * wait, timeout_max)) next += wait;
    world_.at(next, [this, end = parked.end] { go_on(end); });
  }
  for (const StreamEnd end : std::exchange(unheard_, {})) reset(end.stream, end.side);
}

void Network::heal() { partition({}); }

bool Network::balanced() const {
  return std::all_of(streams_.begin(), streams_.end(),
                     [](const Stream& s) { return s.sides[0].out.balanced() && s.sides[1].out.balanced(); });
}

// ── connecting ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Network::try_connect(Attempt attempt) {
  Host& from = *attempt.from;
  if (from.incarnation != attempt.incarnation) return;
  if (attempt.tries++ == tries_max) {
    world_.note(Happened::connect_failed, from.index, number(attempt.conn));
    from.process->on_connect_failed(attempt.conn);
    return;
  }
  if (from.nat != nullptr) {
    attempt.outside_port = from.nat->on_opened({from.address, attempt.from_port}, attempt.to, world_.now());
  }
  // Whether anybody is there shows when the first packet has come as far as that.
  const auto box = nat_by_address_.find(attempt.to.address);
  const Host* to = find(attempt.to.address);
  if ((to == nullptr && box == nat_by_address_.end()) || !from.linked) return no_answer(attempt);
  const Duration way = to != nullptr ? delay(from, *to) + jitter(from, *to) : from.line.delay;
  world_.in(way, [this, attempt] { reach(attempt); });
}

void Network::no_answer(Attempt attempt) {
  const Duration wait = attempt.tries == tries_max ? give_up_after : 1s * (1 << (attempt.tries - 1));
  world_.in(wait, [this, attempt] { try_connect(attempt); });
}

/// Whom a connection to that endpoint reaches, and at which port of its; null: a NAT drops it.
Host* Network::behind(const Endpoint& to, const Host& from, std::uint16_t from_port, std::uint16_t& port) {
  port = to.port;
  Host* host = find(to.address);
  const auto box = nat_by_address_.find(to.address);
  // Neighbours behind one box know each other by their inside addresses.
  if (host != nullptr && (host->nat == nullptr || (host->nat == from.nat && host->address != host->nat->outside())))
    return host;
  if (box == nat_by_address_.end()) return nullptr;
  const auto inside = box->second->let_in(to.port, {outside(from), from_port}, world_.now());
  if (!inside) return nullptr;
  port = inside->port;
  return find(inside->address);
}

void Network::reach(Attempt attempt) {
  Host& from = *attempt.from;
  std::uint16_t port = 0;
  Host* to = behind(attempt.to, from, attempt.outside_port, port);
  if (to == nullptr || !to->reaches() || apart(from, *to) || lost(from, *to) || lost(*to, from)) {
    return no_answer(attempt);
  }
  Duration back = delay(*to, from) + jitter(*to, from);
  if (find(attempt.to.address) == nullptr) back += to->line.delay;  // the way from the box to it, and back
  if (to->process == nullptr || to->port != port) {
    attempt.tries = tries_max;  // refused: no more of them
    world_.in(back, [this, attempt] { try_connect(attempt); });
    return;
  }
  const bool neighbours = from.nat != nullptr && to->nat == from.nat && attempt.to.address == to->address;
  const Endpoint seen =
      neighbours ? Endpoint{from.address, attempt.from_port} : Endpoint{outside(from), attempt.outside_port};
  Stream* stream = &streams_.emplace_back();
  stream->sides[0].host = &from;
  stream->sides[0].incarnation = attempt.incarnation;
  stream->sides[0].conn = attempt.conn;
  stream->sides[0].out.buffer_bytes = buffer_bytes(from, *to);
  stream->sides[1].out.buffer_bytes = buffer_bytes(*to, from);
  stream->sides[1].host = to;
  stream->sides[1].incarnation = to->incarnation;
  world_.in(back, [this, stream, seen] { establish(stream, seen); });
}

void Network::establish(Stream* stream, Endpoint from) {
  auto& [ours, theirs] = stream->sides;
  Host& host = *ours.host;
  if (host.incarnation != ours.incarnation) {  // gone in the meantime: nobody will hear of it
    ours.dead = theirs.dead = true;
    return;
  }
  keep(host, stream);
  ours.open = true;
  // What is sent at once does not overtake the handshake.
  ours.out.arrives_last = world_.now() + delay(host, *theirs.host) + jitter(host, *theirs.host);
  world_.at(ours.out.arrives_last, [this, stream, from] { accept(stream, from); });
  world_.note(Happened::connected, host.index, number(ours.conn));
  host.process->on_connected(ours.conn, {stream, 0});
}

void Network::accept(Stream* stream, Endpoint from) {
  Stream::Side& side = stream->sides[1];
  Host& host = *side.host;
  if (host.incarnation != side.incarnation) {
    side.dead = true;
    if (host.reaches()) reset_later(stream, 0, delay(host, *stream->sides[0].host));
    return;
  }
  keep(host, stream);
  side.open = true;
  world_.note(Happened::accepted, host.index, stream->sides[0].host->index);
  host.process->on_accepted({stream, 1}, from);
}

void Network::keep(Host& host, Stream* stream) {
  if (host.streams.size() >= host.sweep_at) {
    std::erase_if(host.streams, ended);
    host.sweep_at = std::max<std::size_t>(64, 2 * host.streams.size());
  }
  host.streams.push_back(stream);
}

// ── resets and partitions ───────────────────────────────────────────────────────────────────────────────────────────────────

void Network::reset_later(Stream* stream, int side, Duration delay) {
  world_.in(delay, [this, stream, side] { reset(stream, side); });
}

void Network::reset(Stream* stream, int side) {
  Stream::Side& hit = stream->sides[side];
  if (apart(*hit.host, *stream->sides[1 - side].host)) return unheard_.push_back({stream, side});
  if (!hit.host->reaches() || !std::exchange(hit.open, false)) return;
  hit.out.drop_unsent();
  world_.note(Happened::closed, hit.host->index, number(hit.conn), 1);
  hit.host->process->on_closed(hit.conn);
}

/// Its path is cut.
void Network::park(StreamEnd end) {
  if (!std::exchange(end.stream->sides[end.side].out.parked, true)) parked_.push_back({end, world_.now()});
}

/// It tries again: what was under way when the path was cut comes first.
void Network::go_on(StreamEnd end) {
  Flow& flow = end.stream->sides[end.side].out;
  flow.parked = false;
  for (std::size_t late = flow.late.size(); late > 0; --late) {
    const Flow::Chunk chunk = flow.late.front();
    flow.late.pop_front();
    arrive(end.stream, 1 - end.side, chunk, {});
  }
  if (flow.unsent() > 0 || (flow.end_wanted && !flow.end_sent)) want_up(end);
}

}  // namespace swarm::sim
