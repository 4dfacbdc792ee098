// Report: the same snapshot and events as JSON Lines, for programs (UX.md, --json). Pure: each function gives one line without
// its end. v is 1; fields are only ever added. Bytes and bytes/s are integers, times RFC 3339 in UTC.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "cli/console.hh"
#include "cli/piece_log.hh"
#include "cli/simulation.hh"
#include "core/tracker/server.hh"

namespace swarm::cli {

struct StartReport {
  std::string name;
  InfoHash info_hash;
  std::uint64_t bytes_total = 0;
  std::uint32_t pieces_total = 0, pieces_have = 0;
  std::string tracker;  ///< base URL; empty: none
  std::string magnet;   ///< seed only
  std::uint16_t port = 0;
};
std::string start_json(const StartReport& s, std::string_view time);

/// `want` is the digest that the torrent names.
std::string piece_json(const PieceCheck& check, const std::string& want, std::uint64_t bytes);
std::string progress_json(const Transfer& t, bool name_it);
/// While only peers can tell what a magnet link is; bytes_total is null until one has said how long its info dictionary is.
std::string metadata_json(const Transfer& t, bool name_it);
std::string preparing_json(const Preparing& p);
/// `done` ends a run; `whole` has the same fields and comes when get --seed goes on sharing.
std::string done_json(const Transfer& t, const std::string& path, double seconds, bool name_it);
std::string whole_json(const Transfer& t, const std::string& path, double seconds, bool name_it);

/// get --check, before `done` or `error`.
struct CheckedReport {
  std::string name;
  InfoHash info_hash;
  std::string path;
  std::uint64_t pieces = 0, pieces_right = 0;
};
std::string checked_json(const CheckedReport& c);
/// get --list: the only line.
std::string list_json(const wire::Metainfo& info, const std::vector<bool>& chosen);
std::string error_json(const Error& e, const std::string& name = {});
std::string error_json(int code, std::string_view word, std::string_view message, std::string_view hint,
                       const std::string& name = {});

// swarm simulate.
std::string simulation_start_json(const sim::Plan& plan, const std::string& command);
std::string simulation_progress_json(const SimulationNow& now);
/// The last line. The figures of a second run, with another policy, stand under `compared`.
std::string simulation_done_json(const std::vector<SimulationResult>& results, std::string_view ending);

// The tracker's events.
std::string listening_json(const std::string& url, std::uint16_t port, const std::vector<std::string>& addresses,
                           std::string_view time);
std::string event_json(const core::TrackerNotice& notice, std::string_view time);
std::string ended_json(std::string_view time);

/// One torrent's (or node's) event for a log: "12:04:11  pi joined (100.64.0.9:6881)"; nothing for piece checks, which the
/// piece log words.
std::string event_line(const core::TrackerNotice& notice, std::string_view clock, const Look& look);
/// "time=… event=joined node=pi addr=100.64.0.9:6881"
std::string event_logfmt(const core::TrackerNotice& notice, std::string_view time);
/// "time=… event=piece node=pi file=debian.iso first=785 count=5 sha1=ok": also the format of --log.
std::string piece_logfmt(const PieceCheck& check, std::string_view time);

/// The check that a tracker's notice tells of, for the piece log.
PieceCheck check_of(const core::NodeChecked& notice);

}  // namespace swarm::cli
