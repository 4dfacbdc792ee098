// The program behind a peer-id, by the code that its author chose (BEP 20): "-TR3000-…" is Transmission.
#pragma once

#include <string>

#include "base/digest.hh"

namespace swarm::core {

/// A known program's name, else the code itself, else "unknown". Printable ASCII.
std::string client_name(const PeerId& id);

}  // namespace swarm::core
