// Copies: how many copies of a torrent there are in the swarm, kept as nodes gain pieces.
//
// Rules
// 1. Copies = the least availability of any piece + the fraction of pieces above it. Rationale: 1.32 says that every piece
//    is there once, and that a third of them would survive the loss of a node.
// 2. Whole nodes are only counted; the bitmaps of the others are summed up piece by piece.
// 3. What is taken out was put in before: the caller passes to remove() what it passed to add() and gain() of that node.
// Complexity: gain O(1), value O(1), add and remove O(pieces). Memory 2 bytes a piece, from the first bitmap on.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bitfield.hh"

namespace swarm::core {

class Copies {
 public:
  static constexpr std::uint32_t nodes_max = 65'535;  ///< with a bitmap at a time

  explicit Copies(std::uint32_t pieces = 0) : pieces_(pieces) {}

  std::uint32_t pieces() const { return pieces_; }
  void add_whole() { ++whole_; }
  void remove_whole() { --whole_; }
  void add(const Bitfield& has);  ///< of exactly pieces() bits
  void remove(const Bitfield& had);
  void gain(std::uint32_t piece);
  double value() const;

 private:
  void lose(std::uint32_t piece);
  void allocate();

  std::uint32_t pieces_ = 0;
  std::uint32_t whole_ = 0;
  std::uint32_t least_ = 0;               ///< of available_
  std::vector<std::uint16_t> available_;  ///< per piece: bitmaps that hold it; empty before the first bitmap
  std::vector<std::uint32_t> pieces_at_;  ///< per availability: pieces that have it
};

}  // namespace swarm::core
