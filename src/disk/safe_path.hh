// Names from a torrent made safe for a disk (THREATS.md rows 1 and 2). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/metainfo.hh"

namespace swarm::disk {

/// One path element that every file system takes: never empty, ".", "..", no separator, NUL or control character, valid
/// UTF-8, at most 255 bytes (the extension is kept), no bidirectional overrides. Idempotent.
std::string safe_element(std::string_view raw);

/// Relative paths ("a/b.txt", under the torrent's top folder, without it), one per file of m in order; duplicates and
/// clashes of a file with a folder, also when only case differs, get a number before the extension. Padding files get
/// an empty string. Linear time.
std::vector<std::string> safe_paths(const wire::Metainfo& m);

/// "<target><suffix>", for a suffix of at most 24 bytes that begins with a dot. A name so long that the suffix would
/// not fit is cut, and a digest of it put in the place of what went.
std::string beside(const std::string& target, std::string_view suffix);

}  // namespace swarm::disk
