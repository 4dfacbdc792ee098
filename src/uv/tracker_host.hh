// TrackerHost: core::TrackerServer on real sockets, with its catalogue in a state folder.
//
// Rules
// 1. What a request changes in the catalogue is durable before its reply is sent, and before anybody sees it: temporary
//    name, fsync, rename, fsync of the folder.
// 2. Changes are made one after the other, in the order of the requests; at most 64 MiB of them wait, then 503. One that
//    cannot be written is told (507 or 500), and the catalogue stays as it was. Should a part of it have come about (a
//    rename whose sync failed), the folder is set back; what cannot be set back is tried again every 10 s, until a
//    later change of the same name is durable: what the catalogue shows is what a restart shows.
// 3. A file of the state folder that is no torrent does not keep the tracker from starting: it is told and left where
//    it is.
// 4. UDP has the port number of TCP, for each address that is listened at. Where the system chooses the number, one is
//    taken that both have free.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/endpoint.hh"
#include "base/error.hh"
#include "core/tracker/server.hh"
#include "uv/http_server.hh"
#include "uv/loop.hh"

namespace swarm::uv {

struct TrackerHostOptions {
  core::TrackerOptions tracker;
  std::vector<std::string> listen;  ///< "[HOST]:PORT", ":6970", "6970"; empty: [::]:6969, dual stack. Port 0: any
  std::string interface;            ///< when `listen` names no host
  std::string state;                ///< folder, made when missing (mode 0700); empty: nothing is kept
  HttpServerLimits limits;
  Duration again_after = 10s;  ///< what could not be set back is tried again
  bool udp = true;             ///< BEP 15 beside HTTP
};

class TrackerHost {
 public:
  TrackerHost(Loop& loop, TrackerHostOptions options);
  ~TrackerHost();
  TrackerHost(const TrackerHost&) = delete;
  TrackerHost& operator=(const TrackerHost&) = delete;

  /// Reads the state folder, then listens. Gives where: one endpoint per `listen`, with the real ports. Exit::disk
  /// "port_in_use" or about the folder, Exit::usage for an address that is none, Exit::not_found for a host that is
  /// unknown.
  Result<std::vector<Endpoint>> start();
  /// Why files of the state folder were left out at start (rule 3).
  const std::vector<Error>& left_out() const;

  void set_notice(std::function<void(const core::TrackerNotice&)> on_notice);
  wire::Status status() const;
  std::size_t connections() const;

  /// Listens no more, lets what waits for the disk finish and its replies leave, then calls `done` once; 2.5 s at most.
  void stop(std::function<void()> done);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::uv
