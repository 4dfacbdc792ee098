// Metadata exchange (BEP 9): pieces of a torrent's info dictionary, asked for and sent inside the extension protocol.
//
// A message is a bencoded dictionary; `data` is followed by the piece's raw bytes in the same message.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.hh"

namespace swarm::wire {

constexpr std::uint32_t metadata_piece_bytes = 16 * 1024;       ///< every piece but the last
constexpr std::uint32_t metadata_bytes_max = 32 * 1024 * 1024;  ///< of an info dictionary that we take; 14.3 MB is met

constexpr std::uint32_t metadata_pieces(std::uint32_t bytes_total) {
  return (bytes_total + metadata_piece_bytes - 1) / metadata_piece_bytes;
}
/// Bytes of this piece, which is less than metadata_pieces(bytes_total).
constexpr std::uint32_t metadata_piece_size(std::uint32_t bytes_total, std::uint32_t piece) {
  const auto rest = bytes_total - piece * metadata_piece_bytes;
  return rest < metadata_piece_bytes ? rest : metadata_piece_bytes;
}

struct MetadataRequest {
  std::uint32_t piece = 0;
};
struct MetadataData {
  std::uint32_t piece = 0;
  std::uint32_t bytes_total = 0;  ///< of the whole dictionary; 0: not told, or out of 1 … metadata_bytes_max
  ByteView bytes;                 ///< into the payload that was decoded; 1 … metadata_piece_bytes of them
};
struct MetadataReject {
  std::uint32_t piece = 0;
};
/// A msg_type of a later version: to be ignored (BEP 9).
struct MetadataUnknown {};

using MetadataMessage = std::variant<MetadataRequest, MetadataData, MetadataReject, MetadataUnknown>;

/// The payloads after the sub-id.
Buffer encode(const MetadataRequest& m);
Buffer encode(const MetadataData& m);
Buffer encode(const MetadataReject& m);

/// Nothing when it is no dictionary with a msg_type, or lacks a piece of 0 … 2^32-1, or is data without 1 … 16 KiB behind
/// the dictionary. Bytes behind a request or a reject do not matter.
std::optional<MetadataMessage> decode_metadata(ByteView payload);

}  // namespace swarm::wire
