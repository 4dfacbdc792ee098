#include "core/torrent/download.hh"

#include <algorithm>

#include "base/check.hh"

namespace swarm::core {

using wire::block_bytes;
using wire::BlockRef;

Download::Download(std::uint64_t bytes_total, std::uint32_t piece_bytes, Picker& picker)
    : bytes_total_(bytes_total), piece_bytes_(piece_bytes), picker_(picker) {}

void Download::next(ConnId conn, const Bitfield& has, std::size_t most, bool idle, std::vector<BlockRef>& out) {
  const std::size_t goal = out.size() + most;
  if (free_blocks_ > 0) {
    for (auto& [piece, b] : begun_) {
      if (out.size() == goal) return;
      if (b.free == 0 || !has[piece]) continue;
      if (closed_to(b, conn)) continue;
      if (b.alone) b.owner = conn;
      take_free(piece, b, conn, goal - out.size(), out);
    }
  }
  while (out.size() < goal) {
    const auto piece = picker_.pick(has);
    if (!piece) break;
    begin(*piece, conn);
    take_free(number(*piece), begun_.at(number(*piece)), conn, goal - out.size(), out);
  }
  if (idle && out.empty() && most > 0 && picker_.pickable() == 0) endgame(conn, has, out);
}

void Download::next_run(ConnId conn, std::uint64_t bytes_max, std::vector<BlockRef>& out) {
  auto start = begun_start(conn, {});
  if (!start) {
    const auto picked = picker_.pick(Bitfield(picker_.pieces(), true));
    if (!picked) return;
    begin(*picked, conn);
    start = Start{number(*picked), 0};
  }
  take_run(conn, bytes_max, *start, out);
}

void Download::next_run(ConnId conn, std::uint64_t bytes_max, std::uint64_t from, std::vector<BlockRef>& out) {
  const auto piece = static_cast<std::uint32_t>(from / piece_bytes_);
  const auto block = static_cast<std::uint32_t>((from % piece_bytes_ + block_bytes - 1) / block_bytes);
  auto start = lowest_start(conn, {piece, block});
  if (!start && from > 0) start = lowest_start(conn, {});
  if (start) take_run(conn, bytes_max, *start, out);
}

bool Download::grant(PieceIndex piece, ConnId conn) {
  if (picker_.take(piece)) begin(piece, conn);
  const auto it = begun_.find(number(piece));
  if (it == begun_.end() || it->second.free == 0) return false;
  Begun& b = it->second;
  if (closed_to(b, conn)) return false;
  if (b.alone) b.owner = conn;
  return true;
}

void Download::next_of(PieceIndex piece, ConnId conn, std::size_t most, std::vector<BlockRef>& out) {
  if (const auto it = begun_.find(number(piece)); it != begun_.end()) take_free(it->first, it->second, conn, most, out);
}

bool Download::has_free(PieceIndex piece) const {
  const auto it = begun_.find(number(piece));
  return it != begun_.end() && it->second.free > 0;
}

bool Download::asked_of(PieceIndex piece, ConnId conn) const {
  const auto it = begun_.find(number(piece));
  return it != begun_.end() && asked_of(it->second, conn);
}

bool Download::asked_of(const Begun& b, ConnId conn) const {
  for (std::size_t i = 0; i < b.blocks.size(); ++i)
    if (b.blocks[i] == Block::asked && b.first_asked[i] == conn) return true;
  return false;
}

/// Rule 3. Who has promised the piece and is asked for nothing, be it that it chokes us, keeps nobody else from it.
bool Download::closed_to(const Begun& b, ConnId conn) const {
  return b.alone && b.owner && *b.owner != conn && asked_of(b, *b.owner);
}

std::vector<PieceIndex> Download::all_begun() const {
  std::vector<PieceIndex> all;
  all.reserve(begun_.size());
  for (const auto& [piece, b] : begun_) all.push_back(PieceIndex{piece});
  return all;
}

/// The first free block, at or behind `from`, of a piece that is begun and open to this connection.
std::optional<Download::Start> Download::begun_start(ConnId conn, Start from) const {
  if (free_blocks_ == 0) return std::nullopt;
  for (auto it = begun_.lower_bound(from.piece); it != begun_.end(); ++it) {
    const Begun& b = it->second;
    if (b.free == 0 || closed_to(b, conn)) continue;
    const auto first = std::min<std::size_t>(it->first == from.piece ? from.block : 0, b.blocks.size());
    const auto at = std::find(b.blocks.begin() + static_cast<std::ptrdiff_t>(first), b.blocks.end(), Block::free);
    if (at != b.blocks.end()) return Start{it->first, static_cast<std::uint32_t>(at - b.blocks.begin())};
  }
  return std::nullopt;
}

/// The same, of all pieces that are begun or may be.
std::optional<Download::Start> Download::lowest_start(ConnId conn, Start from) const {
  if (from.piece >= picker_.pieces()) return std::nullopt;
  const auto begun = begun_start(conn, from);
  auto fresh = picker_.lowest(PieceIndex{from.piece});
  if (fresh && number(*fresh) == from.piece && from.block > 0) {
    if (from.block < block_count(*fresh)) return from;
    fresh = picker_.lowest(PieceIndex{from.piece + 1});
  }
  if (!fresh || (begun && begun->piece < number(*fresh))) return begun;
  return Start{number(*fresh), 0};
}

/// From a free block on, for as long as there is another one behind it.
void Download::take_run(ConnId conn, std::uint64_t bytes_max, Start start, std::vector<BlockRef>& out) {
  auto [piece, block] = start;
  Begun* b = for_run(piece, conn);
  for (std::uint64_t bytes = 0; bytes < bytes_max && b != nullptr; b = for_run(++piece, conn), block = 0) {
    if (b->alone) b->owner = conn;
    for (; block < b->blocks.size() && bytes < bytes_max; ++block) {
      if (b->blocks[block] != Block::free) return;
      b->blocks[block] = Block::asked;
      b->asked_of[block] = 1;
      b->first_asked[block] = conn;
      --b->free, --free_blocks_;
      out.push_back(block_ref(PieceIndex{piece}, block));
      bytes += out.back().length;
    }
  }
}

/// The piece that a run may go on in: begun already and open to everybody, or begun for it now.
Download::Begun* Download::for_run(std::uint32_t piece, ConnId conn) {
  if (piece >= picker_.pieces()) return nullptr;
  if (picker_.take(PieceIndex{piece})) begin(PieceIndex{piece}, conn);
  const auto it = begun_.find(piece);
  if (it == begun_.end() || closed_to(it->second, conn)) return nullptr;
  return &it->second;
}

bool Download::needs(const BlockRef& block) const {
  const auto it = begun_.find(number(block.piece));
  if (it == begun_.end() || block.begin % block_bytes != 0) return false;
  const std::uint32_t index = block.begin / block_bytes;
  return index < it->second.blocks.size() && it->second.blocks[index] != Block::here;
}

bool Download::on_block(const BlockRef& block, const Sender& from, std::vector<ConnId>& others) {
  if (!needs(block)) return false;
  Begun& b = begun_.at(number(block.piece));
  const std::uint32_t i = block.begin / block_bytes;
  if (b.blocks[i] == Block::free) --b.free, --free_blocks_;
  b.blocks[i] = Block::here;
  ++b.here;
  if (b.asked_of[i] > 0 && b.first_asked[i] != from.conn) others.push_back(b.first_asked[i]);
  if (!b.extra.empty())
    for (ConnId c : b.extra[i])
      if (c != from.conn) others.push_back(c);
  b.asked_of[i] = 0;
  auto known = std::find_if(b.senders.begin(), b.senders.end(), [&](const Sender& s) { return s.conn == from.conn; });
  b.sender[i] = static_cast<std::uint16_t>(known - b.senders.begin());
  if (known == b.senders.end()) b.senders.push_back(from);
  return true;
}

void Download::release(const BlockRef& block, ConnId conn) {
  if (!needs(block)) return;
  Begun& b = begun_.at(number(block.piece));
  const std::uint32_t i = block.begin / block_bytes;
  if (b.blocks[i] != Block::asked) return;
  if (b.owner == conn) b.owner.reset();
  if (b.first_asked[i] == conn) {
    if (!b.extra.empty() && !b.extra[i].empty()) {
      b.first_asked[i] = b.extra[i].back();
      b.extra[i].pop_back();
    }
  } else if (b.extra.empty() || std::erase(b.extra[i], conn) == 0) {
    return;  // it was not asked there
  }
  if (--b.asked_of[i] > 0) return;
  b.blocks[i] = Block::free;
  ++b.free, ++free_blocks_;
}

void Download::on_gone(ConnId conn) {
  for (auto& [piece, b] : begun_)
    if (b.owner == conn) b.owner.reset();
}

std::vector<Download::Culprit> Download::on_right(PieceIndex piece, std::span<const std::uint32_t> wrong_blocks) {
  if (auto it = begun_.find(number(piece)); it != begun_.end()) {
    free_blocks_ -= it->second.free;
    begun_.erase(it);
  }
  const auto attempt = failed_.find(number(piece));
  if (attempt == failed_.end()) return {};
  std::vector<Culprit> culprits;
  for (std::uint32_t i : wrong_blocks) {
    if (i >= attempt->second.sender.size()) continue;
    const Sender& s = attempt->second.senders[attempt->second.sender[i]];
    auto known =
        std::find_if(culprits.begin(), culprits.end(), [&](const Culprit& c) { return c.sender.conn == s.conn; });
    if (known == culprits.end()) known = culprits.insert(culprits.end(), Culprit{s, 0});
    ++known->blocks;
  }
  failed_.erase(attempt);
  return culprits;
}

std::vector<Sender> Download::on_wrong(PieceIndex piece) {
  const auto it = begun_.find(number(piece));
  if (it == begun_.end()) return {};
  free_blocks_ -= it->second.free;
  std::vector<Sender> senders = it->second.senders;
  failed_[number(piece)] = {std::move(it->second.sender), std::move(it->second.senders)};
  begun_.erase(it);
  picker_.want(piece);
  return senders;
}

bool Download::complete(PieceIndex piece) const {
  const auto it = begun_.find(number(piece));
  return it != begun_.end() && it->second.here == it->second.blocks.size();
}

std::uint32_t Download::piece_size(PieceIndex piece) const {
  const std::uint64_t start = std::uint64_t{number(piece)} * piece_bytes_;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(piece_bytes_, bytes_total_ - start));
}

std::uint32_t Download::block_count(PieceIndex piece) const {
  return (piece_size(piece) + block_bytes - 1) / block_bytes;
}

BlockRef Download::block_ref(PieceIndex piece, std::uint32_t index) const {
  const std::uint32_t begin = index * block_bytes;
  return {piece, begin, std::min(block_bytes, piece_size(piece) - begin)};
}

void Download::take_free(std::uint32_t piece, Begun& b, ConnId conn, std::size_t most, std::vector<BlockRef>& out) {
  for (std::uint32_t i = 0; i < b.blocks.size() && most > 0 && b.free > 0; ++i) {
    if (b.blocks[i] != Block::free) continue;
    b.blocks[i] = Block::asked;
    b.asked_of[i] = 1;
    b.first_asked[i] = conn;
    --b.free, --free_blocks_, --most;
    out.push_back(block_ref(PieceIndex{piece}, i));
  }
}

void Download::begin(PieceIndex piece, ConnId conn) {
  SWARM_CHECK(!begun(piece));
  const std::uint32_t n = block_count(piece);
  Begun b;
  b.blocks.assign(n, Block::free);
  b.asked_of.assign(n, 0);
  b.sender.assign(n, 0);
  b.first_asked.assign(n, ConnId{});
  b.free = n;
  const auto failed = failed_.find(number(piece));
  b.alone = failed != failed_.end() && failed->second.senders.size() > 1;
  if (b.alone) b.owner = conn;
  free_blocks_ += n;
  begun_.emplace(number(piece), std::move(b));
}

void Download::endgame(ConnId conn, const Bitfield& has, std::vector<BlockRef>& out) {
  for (auto& [piece, b] : begun_) {
    if (!has[piece] || b.here == b.blocks.size() || closed_to(b, conn)) continue;
    for (std::uint32_t i = 0; i < b.blocks.size(); ++i) {
      if (b.blocks[i] != Block::asked || b.asked_of[i] != 1 || b.first_asked[i] == conn) continue;
      if (b.extra.empty()) b.extra.resize(b.blocks.size());
      b.extra[i].push_back(conn);
      ++b.asked_of[i];
      out.push_back(block_ref(PieceIndex{piece}, i));
      return;
    }
  }
}

}  // namespace swarm::core
