// PieceRanges: who holds which pieces, as ranges of pieces that the same nodes hold (status --pieces). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bitfield.hh"
#include "cli/look.hh"
#include "wire/control.hh"

namespace swarm::cli {

struct PieceRange {
  std::uint32_t first = 0, count = 0;
  std::vector<std::uint32_t> holders;  ///< indices into PieceHolders::holders, ascending
  bool operator==(const PieceRange&) const = default;
};

/// Together all pieces, in order; neighbours differ in their holders. Holders without a known bitmap hold nothing here.
/// O(holders × ranges + pieces).
std::vector<PieceRange> piece_ranges(const wire::PieceHolders& p);

/// The first runs of these pieces, for a sentence: "3, 7-9 and 12 more".
std::string runs_text(const Bitfield& pieces);

std::vector<std::string> piece_table(const wire::PieceHolders& p, const Look& look);
/// Tab-separated: first, last, copies, names of the holders separated by commas.
std::vector<std::string> piece_rows(const wire::PieceHolders& p);
/// {"v":1,"infohash","name","pieces","holders":[{"id","name","addr","whole"}],"ranges":[{"first","count","copies","holders":[ids]}]}
std::string pieces_json(const wire::PieceHolders& p);

}  // namespace swarm::cli
