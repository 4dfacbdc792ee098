// The sw_turns messages, by which swarm nodes tell each other who shall send what to whom (core/torrent/turns.hh has the policy).
//
// They travel inside the extension protocol (BEP 10) under the name "sw_turns" of its handshake, so that only who names it there
// is sent any. After the sub-id: one byte for the kind, then pieces as 4 bytes each, big endian.
//
//   0 ask       from now on the receiver asks this sender for blocks as it likes (so it is before the first of these)
//   1 wait      from now on it asks for those pieces only that the sender offers
//   2 offer     the sender would send these now: ask for them, or answer with 3 or 4
//   3 taken     these are on their way to the sender from somebody, and all of them was asked for or soon will be: count them as held,
//               offer them only for want of anything else; in answer to an offer, and after it: there is no more to ask for
//   4 unwanted  the sender does not want these: do not offer them
//   5 lacking   what was said by 3 or 4 no longer holds
//
// and two with one byte instead, the number of partners that the sender has (core/torrent/partners.hh):
//
//   6 pair      the sender would be a partner of the receiver; in answer to the same, it is one from now on; of one, it still is
//   7 part      it would not, or is one no longer
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hh"
#include "base/ids.hh"

namespace swarm::wire {

struct TurnsMessage {
  enum class Kind : std::uint8_t { ask, wait, offer, taken, unwanted, lacking, pair, part };
  Kind kind = Kind::ask;
  std::vector<PieceIndex> pieces;  ///< of offer, taken, unwanted and lacking
  std::uint8_t partners = 0;       ///< of pair and part

  bool operator==(const TurnsMessage&) const = default;
};
inline constexpr std::size_t turns_pieces_max = 4096;  ///< in one message

/// At most turns_pieces_max pieces.
Buffer encode(const TurnsMessage& message);
/// Nothing when the kind is unknown, the length does not fit, there are too many pieces, or one is not below `pieces`.
std::optional<TurnsMessage> decode_turns(ByteView payload, std::uint32_t pieces);

}  // namespace swarm::wire
