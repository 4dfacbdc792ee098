#include "uv/driver_parts.hh"

#include <algorithm>
#include <utility>

#include "core/drive.hh"
#include "disk/pieces.hh"

namespace swarm::uv {

static_assert(core::Driver<Driver>);

// ── the loop's events, to the core ───────────────────────────────────────────────────────────────────────────────────

Peers::Events Driver::Parts::peer_events() {
  return {
      .on_connected = [this](ConnId conn) { client->on_connected(conn, now()); },
      .on_connect_failed = [this](ConnId conn) { client->on_connect_failed(conn, now()); },
      .on_visitor = [this](const Endpoint& from) { return client->on_accepted(from, now()); },
      .on_closed = [this](ConnId conn) { client->on_closed(conn, now()); },
      .room = [this] { return buffers.room(); },
      .on_bytes = [this](ConnId conn, std::size_t count) { on_bytes(conn, count); },
      .on_no_room = [this] { settle_reading(); },
      .on_sent = [this](ConnId conn, std::size_t bytes) { client->on_sent(conn, bytes, now()); },
      .on_can_send = [this](ConnId conn) { can_send.push_back(conn); },
      .next_outgoing = [this](ConnId conn, std::size_t bytes_max,
                              core::Outgoing& out) { client->next_outgoing(conn, bytes_max, now(), out); },
      .prepare =
          [this](SendBatch& batch) {
            const auto& torrent = files(batch.torrent());
            batch.read_from(torrent.storage(), torrent.info().piece_bytes);
          },
      .send_payload =
          [this](ConnId conn, std::unique_ptr<SendBatch> batch, std::shared_ptr<Descriptor> socket) {
            send_payload(conn, std::move(batch), std::move(socket));
          },
      .turn = [this] { turn(); },
  };
}

WebSeeds::Events Driver::Parts::web_seed_events() {
  return {
      .room = [this] { return buffers.room(); },
      .on_bytes = [this](ConnId conn, std::size_t count) { on_fetched(conn, count); },
      .on_no_room = [this] { settle_reading(); },
      .on_ended = [this](ConnId conn, const Result<void>& how) { client->on_fetch_ended(conn, how, now()); },
      .turn = [this] { turn(); },
  };
}

TorrentFiles::Events Driver::Parts::files_events(TorrentId id) {
  return {
      .claims = [this, id] { return client->claims(id); },
      .all_checked = [this, id] { return client->stats(id, now()).pieces_unchecked == 0; },
      .on_piece =
          [this, id](const disk::PieceResult& result) {
            if (result.outcome == disk::PieceResult::Outcome::right) {
              client->on_stored(id, result.piece, result.wrong_blocks, now());
            } else {
              client->on_hash_failed(id, result.piece, now());
            }
          },
      .on_failed = [this, id](const Error& error) { client->on_disk_failed(id, error, now()); },
      .on_saved = [this, id] { client->on_saved(id, now()); },
      .on_finished = [this, id] { client->on_finished(id, now()); },
      .on_trip_done = [this, id] { on_trip_done(id); },
      .turn = [this] { turn(); },
  };
}

void Driver::Parts::on_bytes(ConnId conn, std::size_t count) {
  received_from = buffers.received(count);
  client->on_received(conn, {.bytes = buffers.view(received_from, count), .handle = received_from}, now());
  core::carry_out(*client, self);  // before the buffer is used again; the turn comes when all was read
  start_jobs();
  buffers.done();
  settle_reading();
}

void Driver::Parts::on_fetched(ConnId conn, std::size_t count) {
  received_from = buffers.received(count);
  client->on_fetched(conn, {.bytes = buffers.view(received_from, count), .handle = received_from}, now());
  turn();
  buffers.done();
  settle_reading();
}

void Driver::Parts::send_payload(ConnId conn, std::unique_ptr<SendBatch> batch, std::shared_ptr<Descriptor> socket) {
  const TorrentId id = batch->torrent();
  workers.run(
      [batch = std::move(batch), socket = std::move(socket)]() mutable {
        const auto outcome = batch->send(socket->get(), SendBatch::Reading::waiting);
        return std::pair(std::move(batch), outcome);
      },
      [this, conn, id](std::pair<std::unique_ptr<SendBatch>, SendBatch::Outcome> sent) {
        if (sent.second == SendBatch::Outcome::unreadable) files(id).on_read_failed(sent.first->error());
        peers->on_outcome(conn, std::move(sent.first), sent.second);
        turn();
      });
}

void Driver::Parts::on_time() {
  wake.reset();
  client->on_time(now());
  turn();
}

ChangeWatch::Events Driver::Parts::watch_events() {
  return {
      .torrents = [this] { return torrents.size(); },
      .files =
          [this](std::size_t i) { return torrents[i].files ? torrents[i].files->to_watch() : ChangeWatch::Files{}; },
      .on_changed = [this](std::size_t i) { torrents[i].files->on_changed(); },
      .on_looked = [this] { turn(); },
  };
}

// ── a turn ───────────────────────────────────────────────────────────────────────────────────────────────────────────

void Driver::Parts::turn() {
  if (stopped || std::exchange(turning, true)) return;  // in a notice: the outer turn goes on with what it brought
  core::carry_out(*client, self);
  while (!can_send.empty() || !notices.empty()) {
    if (!can_send.empty()) {
      const ConnId conn = can_send.front();
      can_send.pop_front();
      if (peers->pull(conn)) can_send.push_back(conn);
    } else {
      const core::Notice notice = std::move(notices.front());
      notices.pop_front();
      if (on_notice) on_notice(notice);
    }
    core::carry_out(*client, self);
  }
  turning = false;
  start_jobs();
  if (stopping && !stopped && client->stopped()) stop_timer.start({});
}

/// As many jobs as keep the workers busy; the others wait in their queues, where blocks of a piece are put together.
void Driver::Parts::start_jobs() {
  while (!busy.empty() && trips < 2 * Workers::threads()) {
    const TorrentId id = busy.front();
    busy.pop_front();
    if (files(id).start_jobs()) {
      ++trips;
      busy.push_back(id);  // torrents take turns
    } else {
      torrents[number(id)].busy = false;
    }
  }
}

void Driver::Parts::make_busy(TorrentId id) {
  if (!std::exchange(torrents[number(id)].busy, true)) busy.push_back(id);
}

void Driver::Parts::on_trip_done(TorrentId id) {
  --trips;
  make_busy(id);
  if (files(id).queue().pending_bytes() < disk::PieceQueue::pending_bytes_max / 2) std::erase(full, id);
  settle_reading();
}

/// Back-pressure: the disks are slower than the network, so nobody is read until half is written.
void Driver::Parts::settle_reading() {
  const auto read = [this](bool wanted) {
    peers->read(wanted);
    web_seeds->read(wanted);
  };
  if (buffers.exhausted()) {
    peers->detach_unfinished();
    web_seeds->detach_unfinished();
  }
  if (!full.empty() || buffers.exhausted()) {
    read(false);
  } else if (buffers.in_use() <= ReceiveBuffers::buffers_max / 2) {
    read(true);
  }
}

}  // namespace swarm::uv
