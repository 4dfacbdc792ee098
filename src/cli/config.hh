// Config: the settings file, what a person would else say with every command. Text in, settings with their lines out.
//
// 1. It is TOML 1.0 (toml.io): keys are long names of options, a table is named after the command that it is for.
//    Rationale: one spelling for the command line, the environment and the file.
// 2. Left out is what settings have no use for: dotted keys, inline tables, arrays of tables, strings over several lines, dates,
//    hexadecimal numbers. Each is a fault that says so, never read as something else.
// 3. What is not TOML is a fault, with its line; nothing of a faulty file counts.
//    Rationale: half of a file that bounds rates or names trackers is worse than none.
// 4. A key that no option has is no fault here; the table of options judges it (options.cc), so that an older swarm starts with
//    a newer file.
// Linear in the size of the file, which read_config bounds to 1 MiB.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

namespace swarm::cli {

/// One line of the file: `up = "10M"`.
struct Setting {
  std::string table;  ///< "seed"; empty: for all commands that have the option
  std::string key;
  std::vector<std::string> values;  ///< as text, whatever their type; one, unless `list`
  bool list = false;                ///< written in brackets
  std::size_t line = 0;             ///< from 1
};

/// `path` is for the text of errors, "PATH:LINE: what". Exit::usage "bad_config".
Result<std::vector<Setting>> parse_config(std::string_view text, const std::string& path);

/// The content of a file; nothing when there is none; an error when it cannot be read.
using ReadFile = std::function<Result<std::optional<std::string>>(const std::string& path)>;
Result<std::optional<std::string>> read_config(const std::string& path);

}  // namespace swarm::cli
