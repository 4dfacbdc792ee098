// A magnet link (BEP 9, 53): what it says, and how to write one.
//
//     magnet:?xt=urn:btih:HASH&dn=NAME&tr=TRACKER&x.pe=HOST:PORT&ws=URL&xs=URL&so=0,2,6-8
//
// Reading is lenient where links are passed around by hand: case of the scheme and of keys, "tr.1" for one more "tr",
// "&amp;" where a link was copied out of HTML, broken escapes (kept as they are), unknown keys. It is strict where a mistake
// would fetch something else: the info-hash, and the choice of files.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hh"
#include "base/endpoint.hh"
#include "base/error.hh"
#include "wire/metainfo.hh"

namespace swarm::wire {

/// File indices first … last, both included (BEP 53).
struct FileRange {
  std::uint32_t first = 0, last = 0;
  auto operator<=>(const FileRange&) const = default;
};

/// Of each list the first 100 are kept, each once.
struct Magnet {
  InfoHash info_hash;
  std::string name = {};                       ///< dn, raw: neither printable nor a safe file name; may be empty
  std::vector<std::string> trackers = {};      ///< tr, of any scheme
  std::vector<HostPort> peers = {};            ///< x.pe, none with port 0
  std::vector<std::string> web_seeds = {};     ///< ws, http and https (BEP 19)
  std::vector<std::string> torrent_urls = {};  ///< xs and as, http and https: where the .torrent itself is
  std::vector<FileRange> files = {};           ///< so: ascending, neither overlapping nor touching; empty: all files
};

/// Its trackers, each a tier of its own: a link does not order them.
std::vector<std::vector<std::string>> tiers_of(const Magnet& m);

/// Does it begin as a magnet link does, in any case of letters? parse_magnet() tells whether it is a good one.
bool is_magnet(std::string_view text);

/// Errors have Exit::usage, code "bad_magnet". A v2 hash (xt=urn:btmh:) beside a v1 one is passed over; alone it is told
/// by name.
Result<Magnet> parse_magnet(std::string_view link);
std::string text(const Magnet& m);  ///< read back as the same by parse_magnet

/// The link to this torrent: its hash, name and web seeds, and these trackers.
Magnet magnet_of(const Metainfo& m, const std::vector<std::vector<std::string>>& trackers);

}  // namespace swarm::wire
