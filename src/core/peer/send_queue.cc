#include "core/peer/send_queue.hh"

namespace swarm::core {

namespace {
void add_small(Outgoing& out, std::size_t from) {
  Outgoing::Segment s;
  s.offset = static_cast<std::uint32_t>(from);
  s.length = static_cast<std::uint32_t>(out.bytes.size() - from);
  out.segments.push_back(s);
  out.total += s.length;
}
}  // namespace

std::size_t SendQueue::take(Uploads& uploads, TorrentId torrent, std::size_t bytes_max, std::uint64_t payload_max,
                            Outgoing& out) {
  std::size_t payload = 0;
  if (!small_.empty()) {
    const std::size_t from = out.bytes.size();
    append(out.bytes, small_);
    small_.clear();
    add_small(out, from);
  }
  while (const wire::BlockRef* block = uploads.front()) {
    if (payload >= payload_max || (payload > 0 && out.total + block->length > bytes_max)) break;
    const std::size_t from = out.bytes.size();
    wire::append_piece_header(out.bytes, *block);
    add_small(out, from);
    Outgoing::Segment s;
    s.payload = true;
    s.length = block->length;
    s.torrent = torrent;
    s.piece = block->piece;
    s.begin = block->begin;
    out.segments.push_back(s);
    out.total += s.length;
    payload += s.length;
    uploads.pop();
  }
  return payload;
}

}  // namespace swarm::core
