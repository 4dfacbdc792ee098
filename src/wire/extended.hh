// The extension protocol (BEP 10): the handshake dictionary of id 20, sub-id 0, and the messages that it negotiates.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hh"
#include "base/endpoint.hh"
#include "base/ids.hh"

namespace swarm::wire {

/// A message by its name in `m` and the id under which we want to receive it. The other side's ids are its own.
struct ExtensionMessage {
  std::string_view name;
  std::uint8_t id = 0;
};
inline constexpr ExtensionMessage ut_metadata{"ut_metadata", 1};  ///< BEP 9, wire/ut_metadata.hh
inline constexpr ExtensionMessage ut_pex{"ut_pex", 2};            ///< BEP 11, wire/pex.hh
inline constexpr ExtensionMessage lt_donthave{"lt_donthave", 3};  ///< BEP 54: takes a HAVE back
inline constexpr ExtensionMessage upload_only{"upload_only", 4};  ///< BEP 21's flag, when it changes later on
inline constexpr ExtensionMessage sw_turns{"sw_turns", 5};        ///< wire/turns.hh
inline constexpr std::array extension_messages = {ut_metadata, ut_pex, lt_donthave, upload_only, sw_turns};

struct ExtendedHandshake {
  std::vector<std::pair<std::string, std::uint8_t>> messages;  ///< m: name → id at the sender's side; 0 switches it off
  std::string client;                                          ///< v
  std::optional<std::uint16_t> port;                           ///< p: where the sender listens
  std::optional<std::uint32_t> request_queue;                  ///< reqq
  std::optional<IpAddress> your_ip;                            ///< yourip
  std::optional<std::int64_t> metadata_bytes;                  ///< metadata_size; not yet judged
  bool upload_only = false;                                    ///< BEP 21
};

Buffer encode(const ExtendedHandshake& h);  ///< the payload after the sub-id
/// Nothing when it is not a dictionary. Fields of the wrong type or out of range are as if absent; at most 64 messages
/// with names of at most 64 bytes and 128 bytes of `v` are kept; bytes behind the dictionary do not matter.
std::optional<ExtendedHandshake> decode_extended_handshake(ByteView payload);

Buffer encode_dont_have(PieceIndex piece);  ///< the payload of lt_donthave after the sub-id: four bytes
/// Nothing when it is not four bytes; whether there is such a piece is not judged.
std::optional<PieceIndex> decode_dont_have(ByteView payload);
Buffer encode_upload_only(bool on);  ///< the payload of upload_only after the sub-id: one byte, 0 or 1
/// Nothing when it is not one byte; any but 0 is true.
std::optional<bool> decode_upload_only(ByteView payload);

}  // namespace swarm::wire
