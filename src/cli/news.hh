// News: what the core's notices come to in words, for seed and get alike.
#pragma once

#include <map>
#include <string>

#include "cli/session.hh"
#include "core/actions.hh"
#include "wire/metainfo.hh"

namespace swarm::cli {

class News {
 public:
  explicit News(Session& session) : session_(session) {}

  /// A torrent whose notices are told; `name` is said with each when there are several.
  void add(TorrentId torrent, std::string name, std::shared_ptr<const wire::Metainfo> info);
  /// Tells piece checks, bans, trackers' errors and peers that went. Finished and Failed are the command's own.
  void on_notice(const core::Notice& notice);
  bool several() const { return torrents_.size() > 1; }

 private:
  struct Torrent {
    std::string name;
    std::shared_ptr<const wire::Metainfo> info;
  };
  void on(const core::PieceChecked& n);
  void on(const core::PeerBanned& n);
  void on(const core::TrackerNews& n);
  void on(const core::PeerGone& n);
  void on(const core::Finished&) {}
  void on(const core::Failed&) {}

  Session& session_;
  std::map<TorrentId, Torrent> torrents_;
  std::map<std::string, std::string> said_;  ///< by tracker: what it said last, so that a lasting error is told once
};

}  // namespace swarm::cli
