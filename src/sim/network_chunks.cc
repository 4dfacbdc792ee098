// How bytes get from one host to another: the lines, the chunks on their way, and what the sender hears of them.
#include <algorithm>
#include <utility>

#include "sim/network.hh"

namespace swarm::sim {

namespace {

constexpr std::uint32_t losses_max = 15;  // of one segment, one after the other: Linux's tcp_retries2

std::uint32_t segments(std::uint32_t bytes) {
  return (bytes + Congestion::segment_bytes - 1) / Congestion::segment_bytes;
}

}  // namespace

// ── the way ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

Duration Network::jitter(const Host& a, const Host& b) {
  const auto most = static_cast<std::uint64_t>((a.line.jitter + b.line.jitter).count());
  if (most == 0) return Duration::zero();
  const auto upto = [this](Duration one) {
    return one > Duration::zero() ? world_.random().below(static_cast<std::uint64_t>(one.count()) + 1) : 0;
  };
  const auto first = upto(a.line.jitter);
  return Duration(first + upto(b.line.jitter));
}

/// One segment between them.
bool Network::lost(const Host& a, const Host& b) {
  if (a.loses > 0 && world_.random().next() < a.loses) return true;
  return b.loses > 0 && world_.random().next() < b.loses;
}

Duration Network::travel_time(const Host& a, const Host& b) {
  Duration time = delay(a, b) + jitter(a, b);
  for (std::uint32_t tries = 0; tries < losses_max && lost(a, b); ++tries)
    time += timeout_min * (1 << std::min(tries, 9u));
  return time;
}

/// Never early, so that no line is faster than its rate.
Duration Network::time_for(std::uint64_t bytes, std::uint64_t rate) {
  if (rate == 0) return Duration::zero();
  return Duration((bytes * 1'000'000'000 + rate - 1) / rate);
}

/// What so much payload takes of a line.
std::uint64_t Network::on_wire(std::uint32_t bytes) const {
  if (options_.header_bytes == 0) return bytes;
  return bytes + std::uint64_t{std::max(segments(bytes), 1u)} * options_.header_bytes;
}

std::uint64_t Network::buffer_bytes(const Host& from, const Host& to) const {
  std::uint64_t rate = from.line.up_rate;
  if (rate == 0 || (to.line.down_rate > 0 && to.line.down_rate < rate)) rate = to.line.down_rate;
  const auto round_trip_us = static_cast<std::uint64_t>(2 * delay(from, to) / 1us);
  return std::max(options_.send_buffer_bytes, 2 * (rate * round_trip_us / 1'000'000));
}

// ── chunks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Network::want_up(StreamEnd end) {
  Stream::Side& side = end.stream->sides[end.side];
  if (side.out.held_back || side.out.parked || std::exchange(side.out.in_up_queue, true)) return;
  side.host->up_queue.push_back(end);
  serve_up(*side.host);
}

void Network::serve_up(Host& host) {
  while (!host.up_awaited && host.reaches() && !host.up_queue.empty()) {
    if (host.up_free > world_.now()) {
      host.up_awaited = true;
      world_.at(host.up_free, [this, h = &host] {
        h->up_awaited = false;
        serve_up(*h);
      });
      return;
    }
    const StreamEnd end = host.up_queue.front();
    host.up_queue.pop_front();
    Flow& flow = end.stream->sides[end.side].out;
    flow.in_up_queue = false;
    std::uint32_t bytes = flow.next_chunk(options_.chunk_bytes);
    if (bytes == 0 && (!flow.end_wanted || flow.end_sent)) continue;  // lost with its process
    if (apart(host, *end.stream->sides[1 - end.side].host)) {
      park(end);
      continue;
    }
    settle(flow);
    if (bytes > 0) {
      const Duration timeout = timeout_min + 2 * delay(host, *end.stream->sides[1 - end.side].host);
      bytes = flow.congestion.next_burst(bytes, world_.now(), timeout);
      if (bytes == 0) {
        flow.held_back = true;
        await_ack(end);
        continue;
      }
    }
    send_chunk(end, bytes);
    if (flow.unsent() > 0 || (flow.end_wanted && !flow.end_sent)) {
      flow.in_up_queue = true;
      host.up_queue.push_back(end);
    }
  }
}

/// The line, which is free, serves the flow's next bytes, or with 0 its end.
void Network::send_chunk(StreamEnd end, std::uint32_t bytes) {
  const int to_side = 1 - end.side;
  Stream::Side& side = end.stream->sides[end.side];
  Flow& flow = side.out;
  Host &host = *side.host, &to = *end.stream->sides[to_side].host;
  const Instant now = world_.now();
  const Duration there = delay(host, to), round_trip = 2 * there;
  flow.on_sent(bytes);
  if (bytes == 0) flow.end_sent = true;
  if (flow.line_awaited && flow.unsent() < options_.unsent_bytes) {
    flow.line_awaited = false;
    world_.in({}, [end] {
      const Stream::Side& from = end.stream->sides[end.side];
      if (from.open) from.host->process->on_room(from.conn);
    });
  }
  flow.congestion.on_sent(bytes, now);

  const std::uint64_t bytes_up = on_wire(bytes) + std::exchange(flow.again_bytes, 0) + std::exchange(host.up_bytes, 0);
  const Duration served = time_for(bytes_up, host.line.up_rate);
  host.up_free = std::max(host.up_free, now - time_for(host.line.burst, host.line.up_rate)) + served;
  flow.arrives_last = std::max(flow.arrives_last, std::max(now, host.up_free) + there + jitter(host, to));
  Flow::Chunk chunk{bytes, std::max(flow.ready_last, flow.arrives_last)};
  if (host.loses > 0 || to.loses > 0) {
    std::uint32_t losses = 0, rounds = 0;
    for (std::uint32_t s = std::max(segments(bytes), 1u); s > 0; --s) {
      std::uint32_t of_this = 0;
      while (of_this < losses_max && lost(host, to)) ++of_this;
      losses += of_this;
      rounds = std::max(rounds, of_this);
    }
    if (losses > 0) {
      chunk.ready = std::max(chunk.ready, flow.arrives_last + rounds * round_trip);
      flow.again_bytes += std::min(losses * Congestion::segment_bytes, bytes);
      world_.at(flow.arrives_last + there, [stream = end.stream, s = end.side, mark = flow.congestion.sent()] {
        stream->sides[s].out.congestion.on_lost(mark);
      });
    }
  }
  flow.ready_last = chunk.ready;
  world_.at(flow.arrives_last,
            [this, stream = end.stream, to_side, chunk, served] { arrive(stream, to_side, chunk, served); });
}

void Network::arrive(Stream* stream, int to_side, Flow::Chunk chunk, Duration served) {
  Stream::Side& to = stream->sides[to_side];
  Flow& flow = stream->into(to_side);
  if (flow.parked || apart(*to.host, *stream->sides[1 - to_side].host)) {
    flow.late.push_back(chunk);
    return park({stream, 1 - to_side});
  }
  flow.on_arrived(chunk.bytes);
  if (!to.host->powered) {
    flow.drop_front(chunk.bytes);
    return;
  }
  flow.chunks.push_back(chunk);
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
    const Flow::Chunk chunk = flow.chunks.front();
    flow.chunks.pop_front();
    const Instant now = world_.now();
    const Duration takes = time_for(on_wire(chunk.bytes) + std::exchange(host.down_bytes, 0), host.line.down_rate);
    const Duration saved = std::max(served, time_for(host.line.burst, host.line.down_rate));
    host.down_free = std::max(host.down_free, now - saved) + takes;
    served = {};
    host.down_busy = true;
    if (host.down_free > now) {
      world_.at(host.down_free, [this, stream = end.stream, side = end.side, chunk] {
        Host& h = *stream->sides[side].host;
        on_served(stream, side, chunk);
        h.down_busy = false;
        serve_down(h, {});
      });
      return;
    }
    on_served(end.stream, end.side, chunk);
    host.down_busy = false;
  }
}

/// The line down has served it. It is delivered when nothing before it is missing, and acknowledged in any case.
void Network::on_served(Stream* stream, int to_side, Flow::Chunk chunk) {
  Host& host = *stream->sides[to_side].host;
  Flow& flow = stream->into(to_side);
  if (!flow.chunks.empty() && !flow.paused && !std::exchange(flow.in_down_queue, true)) {
    host.down_queue.push_back({stream, to_side});
  }
  if (chunk.ready <= world_.now() && flow.served_unready == 0) return hand_over(stream, to_side, chunk.bytes, false);
  ++flow.served_unready;
  if (chunk.bytes > 0) acknowledge(stream, 1 - to_side, chunk.bytes, 0);
  world_.at(chunk.ready, [this, stream, to_side, bytes = chunk.bytes] {
    --stream->into(to_side).served_unready;
    hand_over(stream, to_side, bytes, true);
  });
}

void Network::hand_over(Stream* stream, int to_side, std::uint32_t bytes, bool acknowledged) {
  Stream::Side& to = stream->sides[to_side];
  Flow& flow = stream->into(to_side);
  const int from_side = 1 - to_side;
  if (!to.open) {
    flow.drop_front(bytes);
    if (to.dead) {
      if (to.host->powered) reset_later(stream, from_side, delay(*to.host, *stream->sides[from_side].host));
      return;
    }
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
          world_.note(Happened::received_payload, to.host->index, number(to.conn),
                      std::uint64_t{number(run.piece)} << 32 | (run.begin + run.length));
          to.host->process->on_received(to.conn, run);
        });
  }
  if (bytes > 0) acknowledge(stream, from_side, acknowledged ? 0 : bytes, bytes);
}

// ── acknowledgements ────────────────────────────────────────────────────────────────────────────────────────────────────────
// They are looked at when somebody asks; an event is made for one only when a flow waits for it.

void Network::acknowledge(Stream* stream, int side, std::uint32_t received, std::uint32_t read) {
  Flow& flow = stream->sides[side].out;
  Host &sender = *stream->sides[side].host, &receiver = *stream->sides[1 - side].host;
  flow.acknowledged_last =
      std::max(flow.acknowledged_last, world_.now() + delay(receiver, sender) + jitter(receiver, sender));
  flow.acks.push_back({flow.acknowledged_last, received, read});
  if (options_.header_bytes > 0 && received > 0) {
    const std::uint64_t bytes = std::uint64_t{(segments(received) + 1) / 2} * options_.header_bytes;
    receiver.up_bytes += bytes;
    sender.down_bytes += bytes;
  }
  if (flow.held_back || flow.room_wanted > 0) await_ack({stream, side});
}

void Network::settle(Flow& flow) {
  for (; !flow.acks.empty() && flow.acks.front().at <= world_.now(); flow.acks.pop_front()) {
    const Flow::Ack& ack = flow.acks.front();
    flow.congestion.on_acknowledged(ack.received, flow.buffer_bytes);
    flow.buffered -= ack.read;
  }
}

/// Wakes the flow at the first acknowledgement under way that can help it.
void Network::await_ack(StreamEnd end) {
  Flow& flow = end.stream->sides[end.side].out;
  std::uint64_t buffered = flow.buffered;
  for (std::size_t i = 0; i < flow.acks.size() && flow.acks[i].at < flow.wake_at; ++i) {
    buffered -= flow.acks[i].read;
    const bool helps = (flow.held_back && flow.acks[i].received > 0) ||
                       (flow.room_wanted > 0 && buffered + flow.room_wanted <= flow.buffer_bytes);
    if (!helps) continue;
    flow.wake_at = flow.acks[i].at;
    world_.at(flow.wake_at, [this, end] { on_ack(end); });
    return;
  }
}

void Network::on_ack(StreamEnd end) {
  Stream::Side& side = end.stream->sides[end.side];
  Flow& flow = side.out;
  if (flow.wake_at != world_.now()) return;  // an earlier one came between
  flow.wake_at = Instant::max();
  settle(flow);
  if (std::exchange(flow.held_back, false)) want_up(end);
  if (flow.room_wanted > 0 && flow.buffered + flow.room_wanted <= flow.buffer_bytes) {
    flow.room_wanted = 0;
    if (side.open) side.host->process->on_room(side.conn);
  }
  if (flow.held_back || flow.room_wanted > 0) await_ack(end);
}

}  // namespace swarm::sim
