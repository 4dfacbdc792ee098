// A download as the disk sees it, without a network: what an earlier run left is found and hashed, what is missing is
// "fetched" from the sample, the claims are saved, and the files get their names.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "disk/checkpoint.hh"
#include "disk/folder.hh"

namespace swarm::disk::test {

struct Download {
  const Sample& sample;
  std::string target;
  StorageOptions options = {};
  std::size_t pieces_max = ~std::size_t{0};  ///< stops, as a kill would, once so many were fetched
  std::size_t save_every = 0;                ///< pieces between two checkpoints; 0: none
  bool stop_cleanly = false;                 ///< with pieces_max: with a clean checkpoint
  bool names = true;                         ///< false: everything but finish()
  std::uint64_t seed = 1;                    ///< of the order in which pieces come

  // What came of it.
  std::shared_ptr<Storage> storage = {};
  Bitfield verified = {};
  std::size_t found = 0;  ///< pieces that were right on the disk
  Bitfield found_pieces = {};
  std::size_t fetched = 0;  ///< pieces that were not
  bool finished = false;

  Result<void> run() {
    const wire::Metainfo& info = *sample.info;
    storage = Storage::create(sample.info, target, options);
    Found there = find_progress(*storage, info);
    if (auto space = storage->check_space(); !space) return space;
    verified = std::move(there.verified);
    PieceQueue queue(storage, sample.info);
    for (const PieceIndex p : there.unchecked) queue.check(p);
    if (auto done = take(queue); !done) return done;
    found = verified.count();
    found_pieces = verified;
    const Bitfield wanted = storage->wanted();
    for (const std::uint32_t p : missing(wanted)) {
      if (fetched == pieces_max) return stop_cleanly ? save(true) : Result<void>{};
      ++fetched;
      add_piece(queue, p, sample.piece(p));
      if (auto done = take(queue); !done) return done;
      if (save_every != 0 && fetched % save_every == 0) {
        if (auto saved = save(false); !saved) return saved;
      }
    }
    if (fetched == pieces_max) return stop_cleanly ? save(true) : Result<void>{};
    if (!names) return {};
    if (auto path = storage->finish(); !path) return tl::unexpected(path.error());
    finished = true;
    (void)remove_checkpoint(checkpoint_path(storage->target_path()));
    return {};
  }

 private:
  Result<void> take(PieceQueue& queue) {
    for (auto& result : run_all(queue)) {
      if (!result) return tl::unexpected(result.error());
      if (result->outcome == PieceResult::Outcome::right) verified.set(result->piece);
    }
    return {};
  }
  std::vector<std::uint32_t> missing(const Bitfield& wanted) const {
    std::vector<std::uint32_t> list;
    for (std::uint32_t p = 0; p < wanted.size(); ++p) {
      if (wanted[std::size_t{p}] && !verified[std::size_t{p}]) list.push_back(p);
    }
    Random random(seed);
    for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[random.below(i)]);
    return list;
  }
  Result<void> save(bool clean) {
    Checkpoint c;
    c.info_hash = sample.info->info_hash;
    c.name = sample.info->name;
    c.bytes_total = sample.info->bytes_total;
    c.piece_bytes = sample.info->piece_bytes;
    c.boot_id = this_boot_id();
    c.verified = c.durable = verified;
    c.files = storage->files();
    if (auto synced = storage->sync(); !synced) return synced;
    if (clean) {
      auto stamps = storage->stamps();
      if (!stamps) return tl::unexpected(stamps.error());
      c.clean = true;
      c.stamps = std::move(*stamps);
    }
    return write_checkpoint(checkpoint_path(target), c);
  }
};

}  // namespace swarm::disk::test
