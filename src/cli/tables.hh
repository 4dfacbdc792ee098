// Tables: the live view of a tracker as text; the same for `swarm status` and the tracker's own terminal. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/look.hh"
#include "wire/control.hh"

namespace swarm::cli {

struct Column {
  std::string title;
  std::size_t width_min = 0;
  int drop = 0;      ///< too narrow: the column with the highest goes first; 0 stays
  bool cut = false;  ///< its cells may be cut
};

/// Title and rows, columns two blanks apart, at most look.width wide: first the cells that may be are cut to 12 columns, then columns go.
std::vector<std::string> table(std::vector<Column> columns, std::vector<std::vector<std::string>> rows,
                               const Look& look);

/// Which of the two tables, and what `swarm get` needs behind -t.
struct StatusWanted {
  bool nodes = true, files = true;
  std::string tracker;
};
/// For a person. Empty tables say what to do.
std::vector<std::string> status_tables(const wire::Status& s, const StatusWanted& wanted, const Look& look);
/// For a pipe: tab-separated, no title, bytes and bytes/s as integers, percent and copies as plain numbers; nodes, then an empty
/// line when both are wanted, then files.
std::vector<std::string> status_rows(const wire::Status& s, const StatusWanted& wanted);

}  // namespace swarm::cli
