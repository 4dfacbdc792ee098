#include "core/torrent/download.hh"

#include <algorithm>

#include "base/check.hh"

namespace swarm::core {

using wire::block_bytes;
using wire::BlockRef;

namespace {
constexpr std::size_t spare_max = 64;
}  // namespace

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
    take_free(number(*piece), begin(*piece, conn), conn, goal - out.size(), out);
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
  return std::any_of(b.blocks.begin(), b.blocks.end(), [conn](const Block& block) {
    return block.state == Block::State::asked && block.first_asked == conn;
  });
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
    const auto at = std::find_if(b.blocks.begin() + static_cast<std::ptrdiff_t>(first), b.blocks.end(),
                                 [](const Block& block) { return block.state == Block::State::free; });
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
      if (b->blocks[block].state != Block::State::free) return;
      take(*b, block, conn);
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

bool Download::needs(const BlockRef& block) const { return const_cast<Download*>(this)->awaiting(block) != nullptr; }

/// The begun piece in which this block is still missing.
Download::Begun* Download::awaiting(const BlockRef& block) {
  const auto it = begun_.find(number(block.piece));
  if (it == begun_.end() || block.begin % block_bytes != 0) return nullptr;
  const std::uint32_t index = block.begin / block_bytes;
  if (index >= it->second.blocks.size() || it->second.blocks[index].state == Block::State::here) return nullptr;
  return &it->second;
}

bool Download::on_block(const BlockRef& ref, const Sender& from, std::vector<ConnId>& others) {
  Begun* const begun = awaiting(ref);
  if (begun == nullptr) return false;
  Begun& b = *begun;
  const std::uint32_t i = ref.begin / block_bytes;
  Block& block = b.blocks[i];
  if (block.state == Block::State::free) --b.free, --free_blocks_;
  block.state = Block::State::here;
  ++b.here;
  if (block.asked_of > 0 && block.first_asked != from.conn) others.push_back(block.first_asked);
  if (!b.extra.empty())
    for (ConnId c : b.extra[i])
      if (c != from.conn) others.push_back(c);
  block.asked_of = 0;
  auto known = std::find_if(b.senders.begin(), b.senders.end(), [&](const Sender& s) { return s.conn == from.conn; });
  block.sender = static_cast<std::uint16_t>(known - b.senders.begin());
  if (known == b.senders.end()) b.senders.push_back(from);
  return true;
}

void Download::release(const BlockRef& ref, ConnId conn) {
  Begun* const begun = awaiting(ref);
  if (begun == nullptr) return;
  Begun& b = *begun;
  const std::uint32_t i = ref.begin / block_bytes;
  Block& block = b.blocks[i];
  if (block.state != Block::State::asked) return;
  if (b.owner == conn) b.owner.reset();
  if (block.first_asked == conn) {
    if (!b.extra.empty() && !b.extra[i].empty()) {
      block.first_asked = b.extra[i].back();
      b.extra[i].pop_back();
    }
  } else if (b.extra.empty() || std::erase(b.extra[i], conn) == 0) {
    return;  // it was not asked there
  }
  if (--block.asked_of > 0) return;
  block.state = Block::State::free;
  ++b.free, ++free_blocks_;
}

void Download::on_gone(ConnId conn) {
  for (auto& [piece, b] : begun_)
    if (b.owner == conn) b.owner.reset();
}

std::vector<Download::Culprit> Download::on_right(PieceIndex piece, std::span<const std::uint32_t> wrong_blocks) {
  if (const auto it = begun_.find(number(piece)); it != begun_.end()) end(it);
  const auto attempt = failed_.find(number(piece));
  if (attempt == failed_.end()) return {};
  std::vector<Culprit> culprits;
  for (std::uint32_t i : wrong_blocks) {
    if (i >= attempt->second.blocks.size()) continue;
    const Sender& s = attempt->second.senders[attempt->second.blocks[i].sender];
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
  std::vector<Sender> senders = it->second.senders;
  failed_[number(piece)] = {std::move(it->second.blocks), std::move(it->second.senders)};
  end(it);
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

void Download::take(Begun& b, std::uint32_t block, ConnId conn) {
  b.blocks[block] = {.state = Block::State::asked, .asked_of = 1, .first_asked = conn};
  --b.free, --free_blocks_;
}

void Download::take_free(std::uint32_t piece, Begun& b, ConnId conn, std::size_t most, std::vector<BlockRef>& out) {
  for (std::uint32_t i = 0; i < b.blocks.size() && most > 0 && b.free > 0; ++i) {
    if (b.blocks[i].state != Block::State::free) continue;
    take(b, i, conn);
    --most;
    out.push_back(block_ref(PieceIndex{piece}, i));
  }
}

Download::Begun& Download::begin(PieceIndex piece, ConnId conn) {
  SWARM_CHECK(!begun(piece));
  if (spare_.empty()) {
    BegunPieces one;
    one.try_emplace(number(piece));
    spare_.push_back(one.extract(one.begin()));
  }
  BegunPieces::node_type node = std::move(spare_.back());
  spare_.pop_back();
  node.key() = number(piece);
  Begun& b = begun_.insert(std::move(node)).position->second;
  b.blocks.assign(block_count(piece), Block{});
  b.free = block_count(piece);
  const auto failed = failed_.find(number(piece));
  b.alone = failed != failed_.end() && failed->second.senders.size() > 1;
  if (b.alone) b.owner = conn;
  free_blocks_ += b.free;
  return b;
}

/// It is begun no more.
void Download::end(BegunPieces::iterator piece) {
  Begun& b = piece->second;
  free_blocks_ -= b.free;
  if (spare_.size() >= spare_max) {
    begun_.erase(piece);
    return;
  }
  b.blocks.clear();
  b.senders.clear();
  b.extra.clear();
  b.free = b.here = 0;
  b.alone = false;
  b.owner.reset();
  spare_.push_back(begun_.extract(piece));
}

void Download::endgame(ConnId conn, const Bitfield& has, std::vector<BlockRef>& out) {
  for (auto& [piece, b] : begun_) {
    if (!has[piece] || b.here == b.blocks.size() || closed_to(b, conn)) continue;
    for (std::uint32_t i = 0; i < b.blocks.size(); ++i) {
      Block& block = b.blocks[i];
      if (block.state != Block::State::asked || block.asked_of != 1 || block.first_asked == conn) continue;
      if (b.extra.empty()) b.extra.resize(b.blocks.size());
      b.extra[i].push_back(conn);
      ++block.asked_of;
      out.push_back(block_ref(PieceIndex{piece}, i));
      return;
    }
  }
}

}  // namespace swarm::core
