// FileChoice: which files of a torrent -f or a magnet link chooses, and how --list shows them. Pure.
//
// Rules
// 1. A GLOB is tried against the path below the top folder ("2024/june/a.jpg") and against the base name ("a.jpg"), as fnmatch(3)
//    does: '*' and '?' stand for any character, '[…]' for one of several, '\' takes the next one as it is.
// 2. '*' and '?' also stand for '/' and for a leading dot, and a GLOB that matches a folder chooses all that is in it.
//    Rationale: who says -f '2024/*' wants the year, not the files that happen to lie at its top; and files cannot be chosen
//    twice, so that there is no harm in matching more than once.
// 3. A file that any GLOB matches is chosen; padding (BEP 47) never is. A GLOB that matches nothing is an error, for it is a
//    mistake of typing.
// 4. A torrent of one file has no top folder: the GLOB is tried against its name.
// 5. A magnet link chooses by number (BEP 53), padding counted, from 0. Numbers behind the last file choose nothing; when none
//    is left, that is an error.
// Complexity: O(files × globs), each fnmatch on a path of at most a few hundred bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bitfield.hh"
#include "base/error.hh"
#include "cli/look.hh"
#include "wire/magnet.hh"
#include "wire/metainfo.hh"

namespace swarm::cli {

/// By FileIndex; empty when all files are chosen. Exit::not_found "no_such_file", with the closest name as its hint.
Result<std::vector<bool>> choose_files(const wire::Metainfo& info, const std::vector<std::string>& globs);
/// The same, by the numbers of a magnet link: ascending; none: all.
Result<std::vector<bool>> choose_files(const wire::Metainfo& info, const std::vector<wire::FileRange>& ranges);

/// What `chosen` (empty: all) comes to.
struct ChosenSize {
  std::uint64_t bytes = 0;
  std::size_t files = 0;
};
ChosenSize size_of(const wire::Metainfo& info, const std::vector<bool>& chosen);

/// The pieces that hold a byte of what is chosen.
Bitfield pieces_of(const wire::Metainfo& info, const std::vector<bool>& chosen);

/// The path below the top folder, elements joined by '/', as the torrent has it: not printable, not safe.
std::string path_of(const wire::FileEntry& file);

/// --list: the number counts from 1 as the files stand in the torrent, padding left out.
std::vector<std::string> file_table(const wire::Metainfo& info, const std::vector<bool>& chosen, const Look& look);
std::vector<std::string> file_rows(const wire::Metainfo& info, const std::vector<bool>& chosen);

}  // namespace swarm::cli
