// Console: what a person sees of transfers. A snapshot and a look go in, lines come out; nothing else is read or kept.
//
// On a terminal these are the footer's lines, redrawn in place; they narrow as the width shrinks: peers, ETA, sizes and the
// bar go in this order, the percentage stays. Off a terminal plain_line() is printed now and then.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/look.hh"
#include "core/client.hh"
#include "wire/metainfo.hh"

namespace swarm::cli {

/// One torrent as it is now. Names are as the network gave them; they are made printable here.
struct Transfer {
  std::string name;
  bool seed = false;
  core::TorrentStats stats;
  std::string web_seed_error = {};  ///< the last one, with the web seed's name; empty: none
};

/// What is read from the disk before it may be shared or trusted.
struct Preparing {
  std::string verb;  ///< "hashing", "verifying"
  std::string name;
  std::uint64_t bytes_done = 0, bytes_total = 0;
  double rate = 0;  ///< bytes/s
};

struct Snapshot {
  std::vector<Transfer> transfers;
  std::optional<Preparing> preparing;
};

/// The footer: one line for what is prepared, for each download under way (at most 8, then one that counts the others and one
/// for all together) and for all seeds together.
std::vector<std::string> footer(const Snapshot& now, const Look& look);

std::string preparing_line(const Preparing& p, const Look& look);
/// How wide the columns are that several downloads have in common; 0: as wide as what stands there.
struct Columns {
  std::size_t name = 0, percent = 0, sizes = 0, rate = 0, eta = 0, peers = 0;
};
std::string download_line(const Transfer& t, const Look& look, const Columns& columns = {});
std::string seeding_line(const std::vector<Transfer>& seeds, const Look& look);

/// "debian.iso: asking peers what it is 16.0/48.0 KiB 2 peers" until that is known, then
/// "debian.iso: 34% 214.9/631.0 MiB 42.0 MiB/s eta 10s pieces 430/1262 sha1 ok, 0 bad"
std::string plain_line(const Transfer& t);
std::string plain_line(const Preparing& p);

/// Why nothing comes, in words for a person; empty while something does.
std::string why_waiting(const Transfer& t);
/// The same as an error for get's end (Exit::no_peers).
Error no_peers_error(const Transfer& t, double waited_s);

// Lines that are printed once and scroll.
std::string resuming_line(const std::string& name, std::uint32_t pieces_have, std::uint32_t pieces, double fraction);
/// "debian.iso  100% verified (sha1 1262/1262)  631.0 MiB in 15.2 s  41.5 MiB/s  -> ./debian.iso"
std::string whole_line(const Transfer& t, double seconds, const std::string& path, const Look& look);
std::string plain_whole_line(const Transfer& t, double seconds, const std::string& path);
std::string hashed_line(const Preparing& p, double seconds, const Look& look);

/// What seed says once it shares; `tracker` is a tracker as -t takes it ("nas"), `label` with its port ("nas:6969").
struct Sharing {
  std::string name;
  std::uint64_t bytes_total = 0;
  std::uint32_t pieces = 0, piece_bytes = 0;
  std::string tracker, label;
  std::string torrent_url;  ///< empty: there is no catalogue
  std::uint16_t port = 0;
};
std::vector<std::string> sharing_lines(const Sharing& s, const Look& look);

}  // namespace swarm::cli
