// PieceLog: which line of the piece-check log is printed when. Pure: time is an argument, lines are the result.
//
// Rules
// 1. A failure is a line of its own, at once, in every mode but `none`: never joined, never dropped.
// 2. `all`: each piece is a line, at once. `failures`: only rule 1.
// 3. `ranges`: good pieces of one torrent (at a tracker: of one node's torrent) are joined while they wait; at most 10 such lines
//    a second leave, the torrent that waited longest first. Rationale: 100 GiB at full speed stays readable, and the counts in
//    brackets add up to every piece that was checked.
// Bound: what waits is runs of piece numbers, at most one per two pieces of the torrents that are shown.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.hh"
#include "base/instant.hh"
#include "cli/look.hh"
#include "cli/options.hh"

namespace swarm::cli {

/// The result of hashing consecutive pieces.
struct PieceCheck {
  std::string node;  ///< at a tracker: whose check; else empty
  std::string name;  ///< of the torrent
  std::uint32_t first = 0, count = 1;
  bool ok = true;
  bool on_disk = false;        ///< found there at a resume, not received now
  std::vector<Endpoint> from;  ///< when not ok
  bool alone = false;          ///< there is only this torrent: its name goes without saying
};

class PieceLog {
 public:
  explicit PieceLog(Pieces which);  ///< not automatic

  void add(PieceCheck check);
  /// What may be printed now, without line ends; `clock` stands at the start of each line. Call it ten times a second or more.
  std::vector<std::string> take(Instant now, std::string_view clock, const Look& look);
  bool waits() const { return !order_.empty() || !at_once_.empty(); }
  /// All that still waits: at the end.
  std::vector<std::string> rest(std::string_view clock, const Look& look);

 private:
  using Key = std::pair<std::string, std::string>;  // node and name
  struct Runs {
    std::map<std::uint32_t, std::uint32_t> runs;  // first → last, apart by more than one
    std::uint32_t count = 0, on_disk = 0;
  };
  void join(Runs& into, std::uint32_t first, std::uint32_t last);
  std::string joined_line(const Key& key, const Runs& runs, std::string_view clock, const Look& look) const;

  Pieces which_;
  std::vector<PieceCheck> at_once_;
  std::map<Key, Runs> waiting_;
  std::deque<Key> order_;  ///< of waiting_, longest first
  Instant next_line_{};
};

/// Who sent it: "100.64.0.9:6881", or "web seed 1" (core::web_seed_endpoint).
std::string sender_text(const Endpoint& sender);

/// "12:04:11  pi  debian.iso  piece 406  sha1 MISMATCH from 100.64.0.9:6881, fetching it again"
std::string piece_line(const PieceCheck& check, std::string_view clock, const Look& look);

}  // namespace swarm::cli
