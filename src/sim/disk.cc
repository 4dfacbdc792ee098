#include "sim/disk.hh"

#include <algorithm>
#include <iterator>

namespace swarm::sim {

void Disk::fill(const Content& content) {
  File& f = file(content);
  std::fill(f.written.begin(), f.written.end(), Tag::right);
  f.synced = f.written;
  f.named = true;
}

void Disk::fill(const Content& content, const Bitfield& pieces) {
  File& f = file(content);
  for (std::size_t p = pieces.find(true); p < pieces.size(); p = pieces.find(true, p + 1)) {
    const PieceIndex piece{static_cast<std::uint32_t>(p)};
    std::fill_n(f.written.begin() + content.first_block(piece), content.blocks_in(piece), Tag::right);
  }
  f.synced = f.written;
  f.checkpoint = Checkpoint{{pieces, 0, 0}, true};
}

Instant Disk::write(const Content& content, std::uint32_t block, Tag tag, Instant now) {
  settle(now);
  file(content);
  const auto bytes = wire::block_bytes;  // the last block is nearly always whole, and time is all that this is for
  busy_until_ = std::max(busy_until_, now) + time_for(bytes);
  writes_.push_back({busy_until_ + options_.latency, content.number, block, bytes, tag});
  pending_bytes_ += bytes;
  return writes_.back().done;
}

Instant Disk::read(std::uint64_t bytes, Instant now) {
  read_until_ = std::max(read_until_, now) + time_for(bytes);
  return read_until_ + options_.latency;
}

Tag Disk::tag(const Content& content, std::uint32_t block, Instant now) {
  settle(now);
  return file(content).written[block];
}

bool Disk::right(const Content& content, PieceIndex piece, Instant now) {
  settle(now);
  const auto begin = file(content).written.begin() + content.first_block(piece);
  return std::all_of(begin, begin + content.blocks_in(piece), [](Tag tag) { return tag == Tag::right; });
}

std::uint64_t Disk::pending_bytes(Instant now) {
  settle(now);
  return pending_bytes_;
}

Instant Disk::begin_sync(const Content& content, Instant now) {
  settle(now);
  File& f = file(content);
  f.syncing.push_back(std::exchange(f.dirty, {}));
  busy_until_ = std::max(busy_until_, now) + options_.sync_latency;
  return busy_until_;
}

void Disk::end_sync(const Content& content) {
  File& f = file(content);
  for (const Written& w : f.syncing.front()) f.synced[w.block] = w.tag;
  f.syncing.pop_front();
}

void Disk::save(const Content& content, Checkpoint checkpoint) { file(content).checkpoint = std::move(checkpoint); }

void Disk::name(const Content& content) {
  File& f = file(content);
  f.named = true;
  f.checkpoint.reset();
}

bool Disk::named(const Content& content) const {
  const auto found = files_.find(content.number);
  return found != files_.end() && found->second.named;
}

const Disk::Checkpoint* Disk::checkpoint(const Content& content) const {
  const auto found = files_.find(content.number);
  return found == files_.end() || !found->second.checkpoint ? nullptr : &*found->second.checkpoint;
}

void Disk::on_crash(Random& random, Instant now) {
  settle(now);
  for (const Write& w : writes_) {
    if (random.below(2) == 0) apply(w);
  }
  writes_.clear();
  pending_bytes_ = 0;
  for (auto& [number, f] : files_) {  // nobody waits for the syncs any more: what they covered counts as not synced
    std::vector<Written> dirty;
    for (auto& covered : f.syncing) dirty.insert(dirty.end(), covered.begin(), covered.end());
    dirty.insert(dirty.end(), f.dirty.begin(), f.dirty.end());
    f.dirty = std::move(dirty);
    f.syncing.clear();
  }
}

void Disk::on_power_cut(Random& random, Instant now) {
  on_crash(random, now);
  for (auto& [number, f] : files_) {
    for (const Written& w : f.dirty) {
      if (random.below(2) == 0) f.synced[w.block] = w.tag;
    }
    f.dirty.clear();
    f.written = f.synced;
  }
}

void Disk::damage(const Content& content, std::uint32_t block) {
  File& f = file(content);
  if (f.written[block] == Tag::none) return;
  f.written[block] = f.synced[block] = Tag::damaged;
  if (f.checkpoint) f.checkpoint->clean = false;  // so do the recorded times
}

core::Resume Disk::find_progress(const Content& content, Instant now) {
  settle(now);
  File& f = file(content);
  core::Resume resume;
  resume.verified = Bitfield(content.info.pieces, f.named);
  if (f.named) return resume;
  const Bitfield none(content.info.pieces);
  const Bitfield& claimed = f.checkpoint ? f.checkpoint->claims.verified : none;
  if (f.checkpoint) {
    resume.bytes_down = f.checkpoint->claims.bytes_down;
    resume.bytes_up = f.checkpoint->claims.bytes_up;
    if (f.checkpoint->clean) resume.verified = claimed;
  }
  const bool clean = f.checkpoint && f.checkpoint->clean;
  for (const bool claim : {false, true}) {
    for (std::uint32_t p = 0; p < content.info.pieces; ++p) {
      const PieceIndex piece{p};
      if (claimed[piece] != claim || (claim && clean)) continue;
      const auto begin = f.written.begin() + content.first_block(piece);
      const bool data = std::any_of(begin, begin + content.blocks_in(piece), [](Tag tag) { return tag != Tag::none; });
      if (claim || data) resume.unchecked.push_back(piece);
    }
  }
  return resume;
}

Disk::File& Disk::file(const Content& content) {
  File& f = files_[content.number];
  if (f.written.empty()) {
    f.written.resize(content.blocks_in_all());
    f.synced.resize(content.blocks_in_all());
  }
  return f;
}

void Disk::settle(Instant now) {
  while (!writes_.empty() && writes_.front().done <= now) {
    pending_bytes_ -= writes_.front().bytes;
    apply(writes_.front());
    writes_.pop_front();
  }
}

void Disk::apply(const Write& write) {
  File& f = files_[write.content];
  f.written[write.block] = write.tag;
  f.dirty.push_back({write.block, write.tag});
  if (f.checkpoint) f.checkpoint->clean = false;  // the recorded times are no longer the file's
}

Duration Disk::time_for(std::uint64_t bytes) const {
  return options_.rate == 0 ? Duration::zero() : Duration(bytes * 1'000'000'000 / options_.rate);
}

}  // namespace swarm::sim
