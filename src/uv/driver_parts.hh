// Driver::Parts: what a driver is made of, shared by the files that carry it out, and included by nobody else:
// driver.cc is its life, driver_torrents.cc its torrents from being added to being removed, driver_turn.cc gives the core
// what happens on the loop and then takes everything (the turn), driver_actions.cc is the core's actions.
//
// Every input goes the same way: the client is told, then turn() carries out all that came of it. Nothing else calls
// the client while a turn is under way; what the turn itself brings about (connections that can send, notices) is dealt
// with in the turn. Of what is read from one socket in a row the turn comes at the end (on_bytes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/endpoint.hh"
#include "base/error.hh"
#include "base/ids.hh"
#include "base/instant.hh"
#include "core/client.hh"
#include "disk/storage.hh"
#include "uv/address.hh"
#include "uv/change_watch.hh"
#include "uv/driver.hh"
#include "uv/http_client.hh"
#include "uv/loop.hh"
#include "uv/peers.hh"
#include "uv/receive_buffers.hh"
#include "uv/resolver.hh"
#include "uv/tcp.hh"
#include "uv/timer.hh"
#include "uv/torrent_files.hh"
#include "uv/udp_trackers.hh"
#include "uv/web_seeds.hh"
#include "uv/workers.hh"
#include "wire/metainfo.hh"

namespace swarm::uv {

struct Driver::Parts {
  struct Torrent {
    std::unique_ptr<TorrentFiles> files;  ///< nothing while only the info-hash is known
    bool busy = false;                    ///< its queue may have a job to start
    InfoHash info_hash{};                 ///< this and on_metadata: of a magnet link
    Found on_metadata;
    std::unique_ptr<WebContent> web;  ///< when it has web seeds
  };

  Driver& self;
  Loop& loop;
  DriverOptions options;
  std::uint16_t port = 0;
  std::unique_ptr<core::Client> client;
  ReceiveBuffers buffers;
  std::uint32_t received_from = 0;  ///< of what the client is being given: its place in the current buffer
  std::unique_ptr<HttpClient> http;
  std::unique_ptr<WebSeeds> web_seeds;
  std::unique_ptr<UdpTrackers> udp_trackers;
  std::unique_ptr<TcpListener> listener;
  std::unique_ptr<Peers> peers;
  std::vector<Torrent> torrents;     ///< by TorrentId
  std::deque<TorrentId> busy;        ///< those with busy set
  std::vector<TorrentId> full;       ///< whose PieceQueue is full and not yet half empty
  std::size_t trips = 0;             ///< of workers for pieces, under way; at most twice the pool's threads
  std::deque<ConnId> can_send;       ///< pull() is due; drained in every turn
  std::deque<core::Notice> notices;  ///< drained in every turn
  std::function<void(const core::Notice&)> on_notice;
  std::map<std::uint64_t, std::unique_ptr<Lookup>> lookups;  ///< at most lookups_max
  std::uint64_t next_lookup = 1;
  bool turning = false;
  std::optional<Instant> wake;  ///< what the timer is set to
  std::function<void(bool)> on_stopped;
  bool stopping = false, stopped = false;
  Timer wake_timer, stop_timer;
  std::unique_ptr<ChangeWatch> watch;
  Workers workers;  ///< last, hence destroyed first: its jobs refer to what stands above

  Parts(Driver& driver, Loop& l, DriverOptions o)
      : self(driver),
        loop(l),
        options(std::move(o)),
        wake_timer(l, [this] { on_time(); }),
        stop_timer(l, [this] { end(client && client->stopped()); }),
        workers(l) {}

  Result<std::uint16_t> listen();
  Result<Endpoint> take_port(const Interface& interface);
  Peers::Events peer_events();
  WebSeeds::Events web_seed_events();
  TorrentFiles::Events files_events(TorrentId id);
  ChangeWatch::Events watch_events();
  TorrentId add_files(core::AddTorrent add, std::shared_ptr<const wire::Metainfo> info,
                      std::shared_ptr<disk::Storage> storage, std::vector<disk::FileStamp> stamps);
  std::optional<TorrentId> magnet(const InfoHash& info_hash) const;
  void on_metadata(TorrentId id, bool right, Result<wire::Metainfo> info);
  TorrentFiles& files(TorrentId id) { return *torrents[number(id)].files; }
  Instant now() const { return loop.now(); }

  void turn();
  void start_jobs();
  void settle_reading();
  void on_bytes(ConnId conn, std::size_t count);
  void on_fetched(ConnId conn, std::size_t count);
  void send_payload(ConnId conn, std::unique_ptr<SendBatch> batch, std::shared_ptr<Descriptor> socket);
  void make_busy(TorrentId id);
  void on_trip_done(TorrentId id);
  void on_time();
  void end(bool clean);
};

}  // namespace swarm::uv
