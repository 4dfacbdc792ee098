// TorrentFinder: from WHAT, as a person typed it, to a torrent: a .torrent on the disk or at an http address, a NAME or an
// info-hash in a tracker's catalogue, a magnet link through the catalogue of a tracker that it names.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hh"
#include "base/error.hh"
#include "cli/tracker_finder.hh"
#include "uv/http_client.hh"
#include "uv/workers.hh"
#include "wire/magnet.hh"
#include "wire/metainfo.hh"

namespace swarm::cli {

struct FoundTorrent {
  std::shared_ptr<const wire::Metainfo> info;  ///< nothing: only peers can tell, by the magnet (uv::Driver::add_magnet)
  std::vector<FoundTracker> trackers;          ///< that a magnet link names, besides those of -t
  std::optional<wire::Magnet> magnet;          ///< what was asked for, when that was a magnet link or an info-hash
};

enum class WhatKind : std::uint8_t { file, url, magnet, info_hash, name };
/// By its form, and by whether such a file exists: a path with '/', or one that ends in ".torrent".
WhatKind kind_of(const std::string& what, bool have_tracker);

class TorrentFinder {
 public:
  using Done = std::function<void(Result<FoundTorrent>)>;

  TorrentFinder(uv::HttpClient& http, uv::Workers& workers, std::vector<FoundTracker> trackers, std::string command);

  /// `done` comes once, on a later turn of the loop. Several may be under way.
  void find(const std::string& what, Done done);

 private:
  void read_file(const std::string& path, Done done);
  void fetch(const std::string& url, const std::string& called, Done done);
  void by_magnet(const wire::Magnet& magnet, std::vector<FoundTracker> named, Done done);
  void by_urls(const wire::Magnet& magnet, std::size_t index,
               std::function<void(std::shared_ptr<const wire::Metainfo>)> done);
  void by_name(const std::string& name, Done done);
  void by_hash(const InfoHash& hash, const std::string& called, std::vector<FoundTracker> among, Done done);
  void not_shared(const std::string& name, const TrackerAddress& at, Done done);

  uv::HttpClient& http_;
  uv::Workers& workers_;
  std::vector<FoundTracker> trackers_;
  std::string command_;  ///< as typed, for hints
};

/// Reads and parses a .torrent; blocking. Exit::not_found, Exit::disk, Exit::integrity.
Result<wire::Metainfo> read_torrent(const std::string& path);

}  // namespace swarm::cli
