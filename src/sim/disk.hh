// Disk: one machine's disk, in memory: a tag for each block, what was written apart from what was synced.
//
// Rules
// 1. Writes are done in order, at the disk's rate, each a latency after it could be. What was not done when the process crashed is
//    there or not, block by block, as chance will have it.
// 2. A power cut keeps what a completed sync covered; of what was written since, each block is there or not, by chance.
// 3. A checkpoint is written after the sync that it rests on, as a whole or not at all, and survives both.
// 4. What a new process may trust is found as DESIGN §6 says: all that is claimed after a clean stop; else what holds data is hashed,
//    first what nobody claims, then what the checkpoint claims.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/bitfield.hh"
#include "base/instant.hh"
#include "base/random.hh"
#include "core/client.hh"
#include "sim/content.hh"
#include "sim/tag.hh"

namespace swarm::sim {

class Disk {
 public:
  struct Options {
    std::uint64_t rate = 500'000'000;  ///< bytes/s, reading and writing; 0: unlimited
    Duration latency = 100us;
    Duration sync_latency = 5ms;
  };
  struct Checkpoint {
    core::Claims claims;
    bool clean = false;
  };

  Disk() = default;
  explicit Disk(Options options) : options_(options) {}

  /// Puts a whole right copy there, synced.
  void fill(const Content& content);
  /// Puts these pieces there, right and synced, under a clean checkpoint that claims them.
  void fill(const Content& content, const Bitfield& pieces);
  /// Gives the time when it will have been written.
  Instant write(const Content& content, std::uint32_t block, Tag tag, Instant now);
  /// Gives the time when so many bytes will have been read; reads do not wait for writes.
  Instant read(std::uint64_t bytes, Instant now);
  Tag tag(const Content& content, std::uint32_t block, Instant now);
  bool right(const Content& content, PieceIndex piece, Instant now);
  std::uint64_t pending_bytes(Instant now);  ///< of writes
  Instant idle_at() const { return busy_until_; }

  /// Begins a sync of all that was written; gives the time of its end, when end_sync() is called. Syncs end in order.
  Instant begin_sync(const Content& content, Instant now);
  void end_sync(const Content& content);
  void save(const Content& content, Checkpoint checkpoint);
  void name(const Content& content);  ///< gives the file its name; its checkpoint goes
  bool named(const Content& content) const;
  const Checkpoint* checkpoint(const Content& content) const;

  void on_crash(Random& random, Instant now);
  void on_power_cut(Random& random, Instant now);
  void damage(const Content& content, std::uint32_t block);  ///< somebody writes other bytes there

  /// Rule 4. A named file is trusted as a seed's cached hashes are.
  core::Resume find_progress(const Content& content, Instant now);

 private:
  struct Written {
    std::uint32_t block = 0;
    Tag tag{};
  };
  struct File {
    std::vector<Tag> written, synced;
    std::vector<Written> dirty;                ///< written and not synced, in order
    std::deque<std::vector<Written>> syncing;  ///< what each sync under way covers
    std::optional<Checkpoint> checkpoint;
    bool named = false;
  };
  struct Write {
    Instant done;
    std::uint32_t content = 0, block = 0, bytes = 0;
    Tag tag{};
  };
  File& file(const Content& content);
  void settle(Instant now);
  void apply(const Write& write);
  Duration time_for(std::uint64_t bytes) const;

  Options options_;
  std::map<std::uint32_t, File> files_;  ///< by content number
  std::deque<Write> writes_;             ///< not done yet; bounded by the driver's back-pressure
  std::uint64_t pending_bytes_ = 0;
  Instant busy_until_{}, read_until_{};
};

}  // namespace swarm::sim
