// The extension protocol (BEP 10): the handshake dictionary of id 20, sub-id 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hh"
#include "base/endpoint.hh"

namespace swarm::wire {

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

}  // namespace swarm::wire
