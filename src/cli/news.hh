// News: what the core's notices come to in words, for seed and get alike.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cli/session.hh"
#include "core/actions.hh"
#include "wire/metainfo.hh"

namespace swarm::cli {

class News {
 public:
  /// `several`: each line says which torrent it is about.
  News(Session& session, bool several) : session_(session), several_(several) {}

  /// A torrent whose notices are told.
  void add(TorrentId torrent, std::string name, std::shared_ptr<const wire::Metainfo> info);
  /// Tells piece checks, bans, trackers' errors and peers that went. Finished and Failed are the command's own.
  void on_notice(const core::Notice& notice);

 private:
  struct Torrent {
    std::string name;
    std::shared_ptr<const wire::Metainfo> info;
  };
  void on(const core::PieceChecked& n);
  void on(const core::PeerBanned& n);
  void on(const core::TrackerNews& n);
  void on(const core::PeerGone& n);
  void on(const core::WebSeedNews& n);
  void on(const core::Finished&) {}
  void on(const core::Failed&) {}

  Session& session_;
  bool several_;
  std::map<TorrentId, Torrent> torrents_;
  std::map<std::string, std::string> said_;  ///< by tracker: what it said last, so that a lasting error is told once
};

}  // namespace swarm::cli
