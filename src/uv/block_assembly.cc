#include "uv/block_assembly.hh"

#include <cstring>
#include <memory>
#include <utility>

namespace swarm::uv {

bool BlockAssembly::add(const core::Store& store, disk::BlockPart part) {
  if (store.at == 0) {
    clear();
    torrent_ = store.torrent;
    block_ = store.block;
  }
  if (store.at != got_ || store.block != block_ || store.torrent != torrent_) return false;
  got_ += store.bytes.length;
  if (!parts_.empty() && parts_.back().bytes.data() + parts_.back().bytes.size() == part.bytes.data() &&
      parts_.back().keeps_alive == part.keeps_alive) {
    parts_.back().bytes = {parts_.back().bytes.data(), parts_.back().bytes.size() + part.bytes.size()};
  } else {
    parts_.push_back(std::move(part));
  }
  return got_ == block_.length;
}

void BlockAssembly::clear() {
  parts_.clear();
  got_ = 0;
  block_ = {};
}

void BlockAssembly::detach() {
  if (parts_.empty()) return;
  const std::shared_ptr<std::uint8_t[]> own(new std::uint8_t[got_]);
  std::size_t at = 0;
  for (const auto& part : parts_) {
    std::memcpy(own.get() + at, part.bytes.data(), part.bytes.size());
    at += part.bytes.size();
  }
  parts_.clear();
  parts_.push_back({own, ByteView(own.get(), got_)});
}

}  // namespace swarm::uv
