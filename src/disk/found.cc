// What an earlier run left on the disk (DESIGN.md §6).
#include <utility>

#include "disk/checkpoint.hh"

namespace swarm::disk {
namespace {

bool is_of(const Checkpoint& c, const wire::Metainfo& info) {
  return c.info_hash == info.info_hash && c.bytes_total == info.bytes_total && c.piece_bytes == info.piece_bytes &&
         c.verified.size() == info.piece_count();
}

bool is_untouched(const Checkpoint& c, Storage& storage) {
  const auto stamps = storage.stamps();
  return c.clean && c.files == storage.files() && stamps && *stamps == c.stamps;
}

/// Data without a claim first, so that no finished piece is lost; then the claimed pieces, whether the file system
/// shows data for them or not (some store zeros as holes).
std::vector<PieceIndex> in_order_of_hashing(const Bitfield& data, const Bitfield& claimed, const Bitfield& trusted,
                                            const Bitfield& wanted) {
  std::vector<PieceIndex> order;
  for (std::size_t i = data.find(true); i < data.size(); i = data.find(true, i + 1)) {
    if (!claimed[i] && !trusted[i] && wanted[i]) order.push_back(PieceIndex{static_cast<std::uint32_t>(i)});
  }
  for (std::size_t i = claimed.find(true); i < claimed.size(); i = claimed.find(true, i + 1)) {
    if (!trusted[i] && wanted[i]) order.push_back(PieceIndex{static_cast<std::uint32_t>(i)});
  }
  return order;
}

}  // namespace

Found find_progress(Storage& storage, const wire::Metainfo& info) {
  const std::size_t pieces = info.piece_count();
  Found found;
  found.verified = Bitfield(pieces);
  const Place place = storage.place();
  if (place == Place::nothing) return found;
  found.anything = true;
  const Bitfield wanted = storage.wanted();

  auto checkpoint = read_checkpoint(checkpoint_path(storage.target_path()));
  const bool known = checkpoint && is_of(*checkpoint, info);
  if (known) {
    found.bytes_down = checkpoint->bytes_down;
    found.bytes_up = checkpoint->bytes_up;
  }
  if (place == Place::target && !storage.merges()) {
    // Finished, or somebody else's. All of it is hashed, holes too: nothing can be fetched into it.
    found.unchecked = in_order_of_hashing(Bitfield(pieces, true), Bitfield(pieces), found.verified, wanted);
    return found;
  }
  if (place == Place::target) {
    found.unchecked = in_order_of_hashing(storage.pieces_with_data(), Bitfield(pieces), found.verified, wanted);
    found.anything = !found.unchecked.empty();
    return found;
  }
  storage.adopt();
  if (!known) {
    found.unchecked = in_order_of_hashing(storage.pieces_with_data(), Bitfield(pieces), found.verified, wanted);
    return found;
  }
  const bool same_boot = !checkpoint->boot_id.empty() && checkpoint->boot_id == this_boot_id();
  const Bitfield& claimed = same_boot ? checkpoint->verified : checkpoint->durable;
  if (is_untouched(*checkpoint, storage)) {
    found.verified = claimed;
    if (same_boot) return found;  // what has data and no claim is a piece that was not whole
  }
  found.unchecked = in_order_of_hashing(storage.pieces_with_data(), claimed, found.verified, wanted);
  return found;
}

}  // namespace swarm::disk
