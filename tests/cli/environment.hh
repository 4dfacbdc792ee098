// An environment for tests: exactly these variables.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "cli/options.hh"

namespace swarm::cli {

inline Environment environment(std::map<std::string, std::string> variables = {}) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  };
}

}  // namespace swarm::cli
