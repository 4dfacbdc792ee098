#include "core/torrent/metadata_uploads.hh"

#include "base/check.hh"

namespace swarm::core {

MetadataUploads::MetadataUploads(std::shared_ptr<const Buffer> info) : info_(std::move(info)) {
  SWARM_CHECK(info_ != nullptr && !info_->empty() && info_->size() <= wire::metadata_bytes_max);
}

std::variant<wire::MetadataData, wire::MetadataReject> MetadataUploads::on_request(ConnId conn, std::uint32_t piece) {
  const auto pieces = wire::metadata_pieces(bytes());
  if (piece >= pieces) return wire::MetadataReject{piece};
  auto& sent = pieces_sent_[conn];
  if (sent >= 2 * pieces) return wire::MetadataReject{piece};
  ++sent;
  const auto offset = std::size_t{piece} * wire::metadata_piece_bytes;
  return wire::MetadataData{piece, bytes(),
                            ByteView(*info_).subspan(offset, wire::metadata_piece_size(bytes(), piece))};
}

void MetadataUploads::on_gone(ConnId conn) { pieces_sent_.erase(conn); }

}  // namespace swarm::core
