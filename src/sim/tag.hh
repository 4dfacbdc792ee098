// Tag: what stands for the bytes of one block. Contents are never held: a block is right, wrong in one of many ways, or absent.
#pragma once

#include <cstdint>

namespace swarm::sim {

enum class Tag : std::uint8_t {
  none = 0,
  right = 1,
  wrong = 2,      ///< from here on each number is other wrong bytes
  damaged = 255,  ///< somebody else wrote there, which is no fault of the node's
};

}  // namespace swarm::sim
