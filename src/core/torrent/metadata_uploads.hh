// MetadataUploads: serves the info dictionary of a torrent to peers that ask for it (BEP 9), within bounds.
//
// Rules
// 1. A peer gets at most twice the dictionary over one connection, then rejects. Rationale: once is what it needs, twice what a
//    wrong first try costs it; more is a way to have us send for nothing (BEP 9 allows the bound).
// 2. A piece that is not there is rejected, and counts as nothing.
// The caller serves no private torrent: its trackers decide who has the dictionary (BEP 27).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <variant>

#include "base/bytes.hh"
#include "base/ids.hh"
#include "wire/ut_metadata.hh"

namespace swarm::core {

class MetadataUploads {
 public:
  /// `info` is not empty and at most wire::metadata_bytes_max long.
  explicit MetadataUploads(std::shared_ptr<const Buffer> info);

  /// The data's bytes are a view into `info`.
  std::variant<wire::MetadataData, wire::MetadataReject> on_request(ConnId conn, std::uint32_t piece);
  void on_gone(ConnId conn);

  std::uint32_t bytes() const { return static_cast<std::uint32_t>(info_->size()); }  ///< metadata_size of our handshake

 private:
  std::shared_ptr<const Buffer> info_;
  std::map<ConnId, std::uint32_t> pieces_sent_;
};

}  // namespace swarm::core
