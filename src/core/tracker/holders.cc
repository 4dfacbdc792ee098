// Who holds which pieces of a torrent (GET /api/v1/files/NAME/pieces): what Nodes knows, for people who look for the piece that
// everybody waits for.
#include <algorithm>

#include "core/tracker/nodes.hh"

namespace swarm::core {

/// Whole copies first, then those of whom the most is known; a bitmap costs 4/3 of its bytes in the reply.
wire::PieceHolders Nodes::holders(const InfoHash& torrent) const {
  wire::PieceHolders out;
  out.info_hash = torrent;
  out.name = facts_(torrent).name;
  out.pieces = pieces(torrent);
  struct Found {
    const Node* node;
    const Share* share;
    std::size_t count;
  };
  std::vector<Found> found;
  const auto look = [&](const auto& nodes) {
    for (const auto& entry : nodes) {
      const auto share = entry.second.shares.find(torrent);
      if (share == entry.second.shares.end()) continue;
      const auto& s = share->second;
      found.push_back({&entry.second, &s, s.whole ? SIZE_MAX : s.have ? s.have->count() : 0});
    }
  };
  look(nodes_);
  look(plain_);
  std::ranges::stable_sort(found, std::greater(), &Found::count);
  std::size_t bitmap_bytes = 0;
  for (const auto& f : found) {
    const bool has_bitmap = !f.share->whole && f.share->have && f.share->have->size() == out.pieces;
    const auto bytes = has_bitmap ? f.share->have->bytes().size() : 0;
    if (out.holders.size() >= holders_told_max || bitmap_bytes + bytes > holders_bytes_max) {
      ++out.left_out;
      continue;
    }
    bitmap_bytes += bytes;
    wire::PieceHolder h{f.node->id, f.node->name, f.node->address(), f.share->whole, std::nullopt};
    if (has_bitmap) h.have.emplace(f.share->have->bytes().begin(), f.share->have->bytes().end());
    out.holders.push_back(std::move(h));
  }
  return out;
}

}  // namespace swarm::core
