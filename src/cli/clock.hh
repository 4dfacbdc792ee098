// Wall-clock time as text. For people and logs only: nothing is ever decided by it.
#pragma once

#include <string>

namespace swarm::cli {

std::string time_of_day();  ///< local, "12:04:11"
std::string rfc3339_now();  ///< UTC, "2026-01-31T12:04:11.382Z"

}  // namespace swarm::cli
