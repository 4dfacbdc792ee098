#include "disk/pieces.hh"

#include <algorithm>
#include <array>
#include <deque>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/bitfield.hh"
#include "base/check.hh"
#include "base/sha1.hh"

namespace swarm::disk {
namespace {

using wire::block_bytes;
using BlockDigests = std::vector<Sha1Digest>;

constexpr std::size_t chunk_bytes = 256 * 1024;  ///< written, then hashed while the second-level cache has it
constexpr std::uint64_t gather_bytes = 256 * 1024;
constexpr std::size_t wrong_pieces_max = 64;
constexpr std::size_t wrong_bytes_max = 4u << 20;
constexpr std::size_t checks_max = 2;  ///< hashing at the same time; the rest of the workers is for blocks and readers
constexpr std::size_t spare_lists_max = 16;

std::uint32_t block_count(std::uint32_t piece_bytes) { return (piece_bytes + block_bytes - 1) / block_bytes; }

/// A worker's buffer for reading back; one per thread, so that no job allocates it.
ByteSpan read_buffer() {
  thread_local const std::unique_ptr<std::uint8_t[]> buffer(new std::uint8_t[chunk_bytes]);
  return {buffer.get(), chunk_bytes};
}

/// Blocks of one piece that wait or are under way, and their parts, one after the other.
struct BlockList {
  struct Block {
    std::uint32_t begin = 0;  ///< bytes from the start of the piece
    std::uint32_t length = 0;
    std::uint32_t first_part = 0;
    std::uint32_t part_count = 0;
  };
  std::vector<Block> blocks;
  std::vector<BlockPart> parts;
  std::uint64_t bytes = 0;

  void clear() {
    blocks.clear();
    parts.clear();
    bytes = 0;
  }
};

/// How far one attempt at a piece has come. It belongs to the job while one runs, else to the queue.
struct Attempt {
  Sha1 digest;               ///< of the bytes before the cursor
  std::uint32_t cursor = 0;  ///< bytes
  Bitfield ahead;            ///< blocks that were written behind the cursor and are not yet part of the digest
};

/// Bytes of a torrent on a disk, and what they hash to there: padding counts as the zeros that it will be read as.
class Disk {
 public:
  Disk(Storage& storage, const wire::Metainfo& info, PieceIndex piece)
      : storage_(storage), start_(std::uint64_t{number(piece)} * info.piece_bytes) {}

  Result<void> write(std::uint32_t begin, std::span<const iovec> from) { return storage_.write(start_ + begin, from); }

  /// Calls f(bytes) for what stands in [begin, end), in order.
  template <class F>
  Result<void> read(std::uint32_t begin, std::uint32_t end, F&& f) {
    while (begin < end) {
      const ByteSpan chunk = read_buffer().first(std::min<std::size_t>(chunk_bytes, end - begin));
      const iovec into{chunk.data(), chunk.size()};
      if (auto done = storage_.read(start_ + begin, {&into, 1}); !done) return done;
      f(ByteView(chunk));
      begin += static_cast<std::uint32_t>(chunk.size());
    }
    return {};
  }

  void update(Sha1& digest, std::uint32_t begin, ByteView bytes) const {
    if (!storage_.extents().has_padding()) return digest.update(bytes);
    storage_.extents().each(start_ + begin, bytes.size(), [&](const Extent& e) {
      const ByteView part = bytes.first(static_cast<std::size_t>(e.length));
      bytes = bytes.subspan(part.size());
      if (e.pad) {
        update_zeros(digest, part.size());
      } else {
        digest.update(part);
      }
      return true;
    });
  }

  /// The digest of each block, as it stands.
  Result<BlockDigests> block_digests(std::uint32_t piece_bytes) {
    BlockDigests digests;
    digests.reserve(block_count(piece_bytes));
    auto done = read(0, piece_bytes, [&](ByteView chunk) {  // whole blocks, for a chunk is 16 of them
      for (; !chunk.empty(); chunk = chunk.subspan(std::min<std::size_t>(block_bytes, chunk.size()))) {
        digests.push_back(sha1(chunk.first(std::min<std::size_t>(block_bytes, chunk.size()))));
      }
    });
    if (!done) return tl::unexpected(std::move(done.error()));
    return digests;
  }

 private:
  static void update_zeros(Sha1& digest, std::size_t length) {
    static constexpr std::array<std::uint8_t, 4096> zeros{};
    for (; length > zeros.size(); length -= zeros.size()) digest.update(zeros);
    digest.update(ByteView(zeros).first(length));
  }

  Storage& storage_;
  std::uint64_t start_;
};
static_assert(chunk_bytes % block_bytes == 0);

class Job final : public PieceJob {
 public:
  std::shared_ptr<Storage> storage;
  std::shared_ptr<const wire::Metainfo> info;
  PieceIndex piece{};
  bool is_check = false;
  BlockList list;
  std::unique_ptr<Attempt> attempt;
  std::shared_ptr<const BlockDigests> wrong_before;  ///< of the last wrong attempt, when there was one

  Result<PieceResult> result;
  std::shared_ptr<const BlockDigests> wrong_now;

  void run() noexcept override { result = is_check ? check() : store(); }
  std::uint64_t bytes() const override { return is_check ? piece_size() : list.bytes; }

 private:
  Result<PieceResult> check();
  Result<PieceResult> store();
  Result<void> write_run(Disk& disk, std::span<const BlockList::Block> run);
  Result<void> catch_up(Disk& disk);
  Result<PieceResult> judge(Disk& disk);

  std::uint32_t piece_size() const { return info->piece_size(piece); }
  std::vector<iovec> gather_;
};

Result<PieceResult> Job::check() {
  Disk disk(*storage, *info, piece);
  Sha1 digest;
  auto done = disk.read(0, piece_size(), [&](ByteView chunk) { digest.update(chunk); });
  // A finished file that is too short is no disk error, it is not what we are looking for.
  if (!done && done.error().exit != Exit::integrity) return tl::unexpected(std::move(done.error()));
  const bool right = done && digest.finish() == info->pieces[number(piece)];
  return PieceResult{.piece = piece, .outcome = right ? PieceResult::Outcome::right : PieceResult::Outcome::wrong};
}

Result<PieceResult> Job::store() {
  Disk disk(*storage, *info, piece);
  std::sort(list.blocks.begin(), list.blocks.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  const std::span<const BlockList::Block> blocks = list.blocks;
  for (std::size_t first = 0; first < blocks.size();) {
    if (auto done = catch_up(disk); !done) return tl::unexpected(std::move(done.error()));
    std::size_t end = first + 1;
    std::size_t bytes = blocks[first].length;
    while (end < blocks.size() && blocks[end].begin == blocks[end - 1].begin + blocks[end - 1].length &&
           bytes + blocks[end].length <= chunk_bytes) {
      bytes += blocks[end++].length;
    }
    if (auto done = write_run(disk, blocks.subspan(first, end - first)); !done) {
      return tl::unexpected(std::move(done.error()));
    }
    first = end;
  }
  if (auto done = catch_up(disk); !done) return tl::unexpected(std::move(done.error()));
  if (attempt->cursor == piece_size()) return judge(disk);
  return PieceResult{.piece = piece, .outcome = PieceResult::Outcome::more, .bytes_written = list.bytes};
}

/// Consecutive blocks: to the disk, and into the digest when they are next.
Result<void> Job::write_run(Disk& disk, std::span<const BlockList::Block> run) {
  gather_.clear();
  for (const BlockList::Block& block : run) {
    for (std::uint32_t i = 0; i < block.part_count; ++i) {
      const ByteView bytes = list.parts[block.first_part + i].bytes;
      gather_.push_back({const_cast<std::uint8_t*>(bytes.data()), bytes.size()});
    }
  }
  if (auto done = disk.write(run.front().begin, gather_); !done) return done;
  if (run.front().begin != attempt->cursor) {
    if (attempt->ahead.size() == 0) attempt->ahead = Bitfield(block_count(piece_size()));
    for (const BlockList::Block& block : run) attempt->ahead.set(block.begin / block_bytes);
    return {};
  }
  for (const iovec& part : gather_) {
    disk.update(attempt->digest, attempt->cursor, {static_cast<const std::uint8_t*>(part.iov_base), part.iov_len});
    attempt->cursor += static_cast<std::uint32_t>(part.iov_len);
  }
  return {};
}

/// Reads back what was written ahead of the cursor and is next now.
Result<void> Job::catch_up(Disk& disk) {
  Bitfield& ahead = attempt->ahead;
  if (ahead.none() || attempt->cursor == piece_size()) return {};
  const std::size_t first = attempt->cursor / block_bytes;
  const std::size_t end = ahead.find(false, first);
  if (end == first) return {};
  const auto end_bytes = std::min(static_cast<std::uint32_t>(end) * block_bytes, piece_size());
  auto done = disk.read(attempt->cursor, end_bytes, [&](ByteView chunk) { attempt->digest.update(chunk); });
  if (!done) return done;
  for (std::size_t i = first; i < end; ++i) ahead.set(i, false);
  attempt->cursor = end_bytes;
  return {};
}

/// The piece is complete: is it right, and if it is, which blocks of the last attempt were not?
Result<PieceResult> Job::judge(Disk& disk) {
  PieceResult judged{.piece = piece, .outcome = PieceResult::Outcome::wrong, .bytes_written = list.bytes};
  const bool right = attempt->digest.finish() == info->pieces[number(piece)];
  if (right) judged.outcome = PieceResult::Outcome::right;
  if (right && !wrong_before) return judged;
  auto digests = disk.block_digests(piece_size());
  if (!digests) return tl::unexpected(std::move(digests.error()));
  if (!right) {
    wrong_now = std::make_shared<const BlockDigests>(std::move(*digests));
    return judged;
  }
  for (std::size_t i = 0; i < digests->size(); ++i) {
    if ((*digests)[i] != (*wrong_before)[i]) judged.wrong_blocks.push_back(static_cast<std::uint32_t>(i));
  }
  return judged;
}

}  // namespace

struct PieceQueue::State {
  /// Where a piece stands; every piece is in exactly one list, and is moved between them without an allocation.
  enum Standing : std::uint8_t { resting, gathering, ready, standings };

  /// A piece for which something is to be done. Dropped when it was judged and nothing waits.
  struct Piece {
    BlockList waiting;
    Bitfield added;                    ///< blocks of this attempt, so that none is taken twice
    std::unique_ptr<Attempt> attempt;  ///< null while a job runs, and before the first one
    bool running = false;
    bool check = false;
    Standing standing = resting;
    std::list<PieceIndex>::iterator at;
  };

  std::shared_ptr<Storage> storage;
  std::shared_ptr<const wire::Metainfo> info;
  std::unordered_map<std::uint32_t, Piece> pieces;
  std::array<std::list<PieceIndex>, standings> lists;
  std::list<PieceIndex> checks;  ///< in the order in which they were asked for
  std::uint64_t pending_bytes = 0;
  std::size_t stores_running = 0;
  std::size_t checks_running = 0;
  std::vector<BlockList> spare_lists;  ///< empty, with their capacity

  struct Wrong {
    PieceIndex piece{};
    std::shared_ptr<const BlockDigests> digests;
  };
  std::deque<Wrong> wrong;  ///< the oldest first; at most wrong_pieces_max, wrong_bytes_max
  std::size_t wrong_bytes = 0;

  Piece& piece(PieceIndex index);
  void stand(Piece& piece, Standing standing);
  void stand_where_it_belongs(PieceIndex index, Piece& piece);
  void drop(PieceIndex index, Piece& piece);
  std::unique_ptr<Job> make_job(PieceIndex index, Piece& piece);
  std::unique_ptr<PieceJob> store_job(PieceIndex index);
  std::unique_ptr<PieceJob> check_job();
  void recycle(BlockList list);
  void remember_wrong(PieceIndex index, std::shared_ptr<const BlockDigests> digests);
  void forget_wrong(PieceIndex index);
  std::shared_ptr<const BlockDigests> find_wrong(PieceIndex index) const;
};

PieceQueue::PieceQueue(std::shared_ptr<Storage> storage, std::shared_ptr<const wire::Metainfo> info)
    : state_(std::make_unique<State>()) {
  state_->storage = std::move(storage);
  state_->info = std::move(info);
}
PieceQueue::~PieceQueue() = default;

std::uint64_t PieceQueue::pending_bytes() const { return state_->pending_bytes; }
bool PieceQueue::full() const { return state_->pending_bytes > pending_bytes_max; }
bool PieceQueue::idle() const {
  return state_->pending_bytes == 0 && state_->stores_running == 0 && state_->checks_running == 0 &&
         state_->checks.empty();
}

void PieceQueue::add(const wire::BlockRef& block, std::span<BlockPart> parts) {
  State& s = *state_;
  SWARM_CHECK(number(block.piece) < s.info->piece_count());
  const std::uint32_t piece_size = s.info->piece_size(block.piece);
  SWARM_CHECK(block.begin < piece_size && block.begin % block_bytes == 0);
  SWARM_CHECK(block.length == std::min(block_bytes, piece_size - block.begin));

  State::Piece& piece = s.piece(block.piece);
  if (piece.added.size() == 0) piece.added = Bitfield(block_count(piece_size));
  if (piece.added[block.begin / block_bytes]) return;
  piece.added.set(block.begin / block_bytes);

  BlockList& list = piece.waiting;
  list.blocks.push_back({.begin = block.begin,
                         .length = block.length,
                         .first_part = static_cast<std::uint32_t>(list.parts.size()),
                         .part_count = static_cast<std::uint32_t>(parts.size())});
  std::size_t bytes = 0;
  for (BlockPart& part : parts) {
    bytes += part.bytes.size();
    list.parts.push_back(std::move(part));
  }
  SWARM_CHECK(bytes == block.length);
  list.bytes += block.length;
  s.pending_bytes += block.length;
  s.stand_where_it_belongs(block.piece, piece);
}

void PieceQueue::check(PieceIndex index) {
  SWARM_CHECK(number(index) < state_->info->piece_count());
  State::Piece& piece = state_->piece(index);
  if (piece.check) return;
  piece.check = true;
  state_->checks.push_back(index);
  state_->stand_where_it_belongs(index, piece);
}

std::unique_ptr<PieceJob> PieceQueue::next_job() {
  State& s = *state_;
  if (!s.lists[State::ready].empty()) return s.store_job(s.lists[State::ready].front());
  const bool hurry = s.stores_running == 0 || s.pending_bytes > pending_bytes_max / 2;
  if (hurry && !s.lists[State::gathering].empty()) return s.store_job(s.lists[State::gathering].front());
  return s.checks_running < checks_max ? s.check_job() : nullptr;
}

Result<PieceResult> PieceQueue::done(std::unique_ptr<PieceJob> given) {
  State& s = *state_;
  Job& job = static_cast<Job&>(*given);
  State::Piece& piece = s.piece(job.piece);
  piece.running = false;
  --(job.is_check ? s.checks_running : s.stores_running);
  s.pending_bytes -= job.list.bytes;
  s.recycle(std::move(job.list));

  if (!job.result) {
    s.drop(job.piece, piece);
    return std::move(job.result);
  }
  if (job.wrong_now) {
    s.remember_wrong(job.piece, std::move(job.wrong_now));
  } else if (job.result->outcome == PieceResult::Outcome::right) {
    s.forget_wrong(job.piece);
  }
  const bool goes_on = job.result->outcome == PieceResult::Outcome::more ||
                       (job.is_check && job.result->outcome == PieceResult::Outcome::wrong);
  if (goes_on) {
    piece.attempt = std::move(job.attempt);
  } else if (piece.waiting.blocks.empty()) {
    piece.added = {};  // the next attempt, when there is one, starts clean
  }
  s.stand_where_it_belongs(job.piece, piece);
  const bool over = piece.waiting.blocks.empty() && !piece.attempt && !piece.check;
  if (over) s.drop(job.piece, piece);
  return std::move(job.result);
}

PieceQueue::State::Piece& PieceQueue::State::piece(PieceIndex index) {
  const auto [at, fresh] = pieces.try_emplace(number(index));
  if (fresh) at->second.at = lists[resting].insert(lists[resting].end(), index);
  return at->second;
}

void PieceQueue::State::stand(Piece& piece, Standing standing) {
  if (piece.standing == standing) return;
  lists[standing].splice(lists[standing].end(), lists[piece.standing], piece.at);
  piece.standing = standing;
}

void PieceQueue::State::stand_where_it_belongs(PieceIndex index, Piece& piece) {
  if (piece.running || piece.waiting.blocks.empty()) return stand(piece, resting);
  const bool enough = piece.waiting.bytes >= gather_bytes || piece.waiting.bytes == info->piece_size(index);
  stand(piece, enough || piece.added.all() || piece.check ? ready : gathering);
}

void PieceQueue::State::drop(PieceIndex index, Piece& piece) {
  pending_bytes -= piece.waiting.bytes;
  if (piece.check) checks.remove(index);
  lists[piece.standing].erase(piece.at);
  pieces.erase(number(index));
}

std::unique_ptr<Job> PieceQueue::State::make_job(PieceIndex index, Piece& piece) {
  auto job = std::make_unique<Job>();
  job->storage = storage;
  job->info = info;
  job->piece = index;
  job->attempt = std::move(piece.attempt);
  piece.running = true;
  stand(piece, resting);
  return job;
}

std::unique_ptr<PieceJob> PieceQueue::State::store_job(PieceIndex index) {
  Piece& piece = this->piece(index);
  auto job = make_job(index, piece);
  if (!job->attempt) job->attempt = std::make_unique<Attempt>();
  std::swap(job->list, piece.waiting);
  if (!spare_lists.empty()) {
    piece.waiting = std::move(spare_lists.back());
    spare_lists.pop_back();
  }
  job->wrong_before = find_wrong(index);
  ++stores_running;
  return job;
}

std::unique_ptr<PieceJob> PieceQueue::State::check_job() {
  for (auto at = checks.begin(); at != checks.end(); ++at) {
    Piece& piece = this->piece(*at);
    if (piece.running || !piece.waiting.blocks.empty()) continue;
    auto job = make_job(*at, piece);
    job->is_check = true;
    piece.check = false;
    checks.erase(at);
    ++checks_running;
    return job;
  }
  return nullptr;
}

void PieceQueue::State::recycle(BlockList list) {
  list.clear();
  if (spare_lists.size() < spare_lists_max) spare_lists.push_back(std::move(list));
}

void PieceQueue::State::remember_wrong(PieceIndex index, std::shared_ptr<const BlockDigests> digests) {
  forget_wrong(index);
  wrong_bytes += digests->size() * sizeof(Sha1Digest);
  wrong.push_back({index, std::move(digests)});
  while (wrong.size() > wrong_pieces_max || (wrong.size() > 1 && wrong_bytes > wrong_bytes_max)) {
    wrong_bytes -= wrong.front().digests->size() * sizeof(Sha1Digest);
    wrong.pop_front();
  }
}

void PieceQueue::State::forget_wrong(PieceIndex index) {
  for (auto at = wrong.begin(); at != wrong.end(); ++at) {
    if (at->piece != index) continue;
    wrong_bytes -= at->digests->size() * sizeof(Sha1Digest);
    wrong.erase(at);
    return;
  }
}

std::shared_ptr<const BlockDigests> PieceQueue::State::find_wrong(PieceIndex index) const {
  for (const Wrong& w : wrong) {
    if (w.piece == index) return w.digests;
  }
  return nullptr;
}

}  // namespace swarm::disk
