#include "sim/network.hh"

#include <algorithm>
#include <utility>

#include "base/check.hh"

namespace swarm::sim {

namespace {

constexpr Duration give_up_after = 3s;  // the last of the tries after 0, 1, 3 and 7 s
constexpr std::uint8_t tries_max = 4;

/// Never early, so that no line is faster than its rate.
Duration time_for(std::uint64_t bytes, std::uint64_t rate) {
  if (rate == 0) return Duration::zero();
  return Duration((bytes * 1'000'000'000 + rate - 1) / rate);
}

bool ended(const Stream* stream) { return !stream->sides[0].open && !stream->sides[1].open; }

}  // namespace

Host& Network::add_host(const IpAddress& address, const Line& line) {
  SWARM_CHECK(!by_address_.contains(address));
  Host& host = hosts_.emplace_back();
  host.index = static_cast<std::uint32_t>(hosts_.size() - 1);
  host.address = address;
  host.line = line;
  by_address_[address] = &host;
  return host;
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

void Network::connect(Host& from, ConnId conn, const Endpoint& to) {
  try_connect({&from, from.incarnation, conn, to, 0});
}

std::uint64_t Network::room(StreamEnd end) const {
  const auto buffered = end.stream->sides[end.side].out.buffered;
  return options_.send_buffer_bytes - std::min(buffered, options_.send_buffer_bytes);
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
      for (const auto bytes : std::exchange(in.chunks, {})) in.drop_front(bytes);
    }
  }
}

void Network::restore_power(Host& host) {
  host.powered = true;
  for (Stream* stream : host.streams) {
    for (int s = 0; s < 2; ++s) {
      const Stream::Side& other = stream->sides[1 - s];
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
  const Host* to = find(attempt.to.address);
  if (to == nullptr || !from.linked) {
    no_answer(attempt);
  } else {
    world_.in(delay(from, *to), [this, attempt] { reach(attempt); });
  }
}

void Network::no_answer(Attempt attempt) {
  const Duration wait = attempt.tries == tries_max ? give_up_after : 1s * (1 << (attempt.tries - 1));
  world_.in(wait, [this, attempt] { try_connect(attempt); });
}

void Network::reach(Attempt attempt) {
  Host& from = *attempt.from;
  Host& to = *find(attempt.to.address);
  if (!to.reaches()) return no_answer(attempt);
  if (to.process == nullptr || to.port != attempt.to.port) {
    attempt.tries = tries_max;  // refused: no more of them
    world_.in(delay(to, from), [this, attempt] { try_connect(attempt); });
    return;
  }
  Stream* stream = &streams_.emplace_back();
  stream->sides[0].host = &from;
  stream->sides[0].incarnation = attempt.incarnation;
  stream->sides[0].conn = attempt.conn;
  stream->sides[1].host = &to;
  stream->sides[1].incarnation = to.incarnation;
  world_.in(delay(to, from), [this, stream] { establish(stream); });
}

void Network::establish(Stream* stream) {
  auto& [ours, theirs] = stream->sides;
  Host& host = *ours.host;
  if (host.incarnation != ours.incarnation) {  // gone in the meantime: nobody will hear of it
    ours.dead = theirs.dead = true;
    return;
  }
  keep(host, stream);
  ours.open = true;
  const auto port = next_port_++;
  if (next_port_ == 0) next_port_ = 49152;
  world_.in(delay(host, *theirs.host), [this, stream, port] { accept(stream, port); });
  world_.note(Happened::connected, host.index, number(ours.conn));
  host.process->on_connected(ours.conn, {stream, 0});
}

void Network::accept(Stream* stream, std::uint16_t from_port) {
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
  host.process->on_accepted({stream, 1}, {stream->sides[0].host->address, from_port});
}

void Network::keep(Host& host, Stream* stream) {
  if (host.streams.size() >= host.sweep_at) {
    std::erase_if(host.streams, ended);
    host.sweep_at = std::max<std::size_t>(64, 2 * host.streams.size());
  }
  host.streams.push_back(stream);
}

// ── chunks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Network::want_up(StreamEnd end) {
  Stream::Side& side = end.stream->sides[end.side];
  if (std::exchange(side.out.in_up_queue, true)) return;
  side.host->up_queue.push_back(end);
  serve_up(*side.host);
}

void Network::serve_up(Host& host) {
  if (host.up_busy || !host.reaches()) return;
  while (!host.up_queue.empty()) {
    const StreamEnd end = host.up_queue.front();
    host.up_queue.pop_front();
    Flow& flow = end.stream->sides[end.side].out;
    flow.in_up_queue = false;
    const std::uint32_t bytes = flow.next_chunk(options_.chunk_bytes);
    if (bytes == 0 && (!flow.end_wanted || flow.end_sent)) continue;  // lost with its process
    flow.on_sent(bytes);
    if (bytes == 0) flow.end_sent = true;
    if (flow.unsent() > 0 || (flow.end_wanted && !flow.end_sent)) {
      flow.in_up_queue = true;
      host.up_queue.push_back(end);
    }
    const Duration served = time_for(bytes, host.line.up_rate);
    host.up_busy = true;
    const int to = 1 - end.side;
    world_.in(served, [this, h = &host] {
      h->up_busy = false;
      serve_up(*h);
    });
    world_.in(served + delay(host, *end.stream->sides[to].host),
              [this, stream = end.stream, to, bytes, served] { arrive(stream, to, bytes, served); });
    return;
  }
}

void Network::arrive(Stream* stream, int to_side, std::uint32_t bytes, Duration served) {
  Stream::Side& to = stream->sides[to_side];
  Flow& flow = stream->into(to_side);
  flow.on_arrived(bytes);
  if (!to.host->powered) {
    flow.drop_front(bytes);
    return;
  }
  flow.chunks.push_back(bytes);
  if (!flow.paused && !std::exchange(flow.in_down_queue, true)) to.host->down_queue.push_back({stream, to_side});
  serve_down(*to.host, served);
}

/// `served`: how long the sender's line took for the chunk that has just arrived; the line down took its bytes meanwhile.
void Network::serve_down(Host& host, Duration served) {
  while (!host.down_busy && host.reaches() && !host.down_queue.empty()) {
    const StreamEnd end = host.down_queue.front();
    host.down_queue.pop_front();
    Flow& flow = end.stream->into(end.side);
    flow.in_down_queue = false;
    if (flow.chunks.empty() || flow.paused) continue;
    const std::uint32_t bytes = flow.chunks.front();
    flow.chunks.pop_front();
    const Instant now = world_.now();
    host.down_free = std::max(std::max(host.down_free, now - served) + time_for(bytes, host.line.down_rate), now);
    served = {};
    host.down_busy = true;
    if (host.down_free > now) {
      world_.at(host.down_free, [this, stream = end.stream, side = end.side, bytes] {
        Host& h = *stream->sides[side].host;
        hand_over(stream, side, bytes);
        h.down_busy = false;
        serve_down(h, {});
      });
      return;
    }
    hand_over(end.stream, end.side, bytes);
    host.down_busy = false;
  }
}

void Network::hand_over(Stream* stream, int to_side, std::uint32_t bytes) {
  Stream::Side& to = stream->sides[to_side];
  Flow& flow = stream->into(to_side);
  const int from_side = 1 - to_side;
  const Duration back = delay(*to.host, *stream->sides[from_side].host);
  if (!flow.chunks.empty() && !flow.paused && !std::exchange(flow.in_down_queue, true)) {
    to.host->down_queue.push_back({stream, to_side});
  }
  if (!to.open) {
    flow.drop_front(bytes);
    if (to.dead) return to.host->powered ? reset_later(stream, from_side, back) : void();
  } else if (bytes == 0) {
    to.open = false;
    to.out.drop_unsent();
    world_.note(Happened::closed, to.host->index, number(to.conn));
    to.host->process->on_closed(to.conn);
    return;
  } else {
    bytes_delivered_ += bytes;
    flow.deliver(
        bytes,
        [&](ByteView small) {
          if (!to.open) return;
          world_.note(Happened::received, to.host->index, number(to.conn), small.size());
          to.host->process->on_received(to.conn, small);
        },
        [&](const Run& run) {
          if (!to.open) return;
          world_.note(Happened::received, to.host->index, number(to.conn),
                      std::uint64_t{number(run.piece)} << 32 | (run.begin + run.length));
          to.host->process->on_received(to.conn, run);
        });
  }
  if (bytes > 0) world_.in(back, [this, stream, from_side, bytes] { acknowledge(stream, from_side, bytes); });
}

void Network::acknowledge(Stream* stream, int side, std::uint32_t bytes) {
  Stream::Side& sender = stream->sides[side];
  sender.out.buffered -= bytes;
  if (sender.open) sender.host->process->on_room(sender.conn);
}

void Network::reset_later(Stream* stream, int side, Duration delay) {
  world_.in(delay, [this, stream, side] { reset(stream, side); });
}

void Network::reset(Stream* stream, int side) {
  Stream::Side& hit = stream->sides[side];
  if (!hit.host->reaches() || !std::exchange(hit.open, false)) return;
  hit.out.drop_unsent();
  world_.note(Happened::closed, hit.host->index, number(hit.conn), 1);
  hit.host->process->on_closed(hit.conn);
}

}  // namespace swarm::sim
