// TorrentFiles: one torrent's side of the disk: its storage, its queue of pieces, its checkpoint, its final name. Lives
// on the loop; whatever blocks runs on workers.
//
// Rules
// 1. One chore (save or finish) at a time. A save that is asked for meanwhile comes after it; after a finish there is
//    nothing left to save, so it counts as done: a checkpoint beside a finished file would only mislead the next start.
// 2. A save takes the claims first, then syncs the data, then writes: what it claims was on the disk before (DESIGN.md
//    §6).
// 3. A clean save waits until every block that came is written and judged. Checks that wait are left to the next start,
//    and then it is not called clean: what was not looked at must be looked at.
// 4. A seed's files are compared with their stamps from time to time (ChangeWatch); a change, or a read that fails, ends
//    the sharing.
// 5. A worker takes jobs until they are 256 KiB together, and gives them back at once. Rationale: a piece may be 16 KiB, which
//    is written and hashed in less time than a thread takes to be woken and to tell; and what many pieces bring about at
//    once (HAVE to every peer) leaves in one message.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/ids.hh"
#include "core/client.hh"
#include "disk/pieces.hh"
#include "disk/storage.hh"
#include "uv/change_watch.hh"
#include "uv/workers.hh"
#include "wire/metainfo.hh"

namespace swarm::uv {

class TorrentFiles {
 public:
  /// What happened, on the loop, never called from inside a call of ours. turn() comes last in each callback of the
  /// loop: now may be done what the others brought about.
  struct Events {
    std::function<core::Claims()> claims;
    std::function<bool()> all_checked;                       ///< nothing of the disk waits to be hashed
    std::function<void(const disk::PieceResult&)> on_piece;  ///< right or wrong
    std::function<void(const Error&)> on_failed;
    std::function<void()> on_saved;
    std::function<void()> on_finished;
    std::function<void()> on_trip_done;  ///< after each start_jobs(): there may be room for others
    std::function<void()> turn;
  };

  TorrentFiles(Workers& workers, std::shared_ptr<const wire::Metainfo> info, std::shared_ptr<disk::Storage> storage,
               std::vector<disk::FileStamp> stamps, Events events);
  TorrentFiles(const TorrentFiles&) = delete;
  TorrentFiles& operator=(const TorrentFiles&) = delete;

  disk::PieceQueue& queue() { return queue_; }
  const wire::Metainfo& info() const { return *info_; }
  const std::shared_ptr<disk::Storage>& storage() const { return storage_; }
  const std::string& path() const { return finished_ ? finished_path_ : storage_->part_path(); }

  bool start_jobs();  ///< one trip of a worker (rule 5), if there is anything to do
  void save(bool clean);
  void finish();
  ChangeWatch::Files to_watch() const;      ///< rule 4
  void on_changed();                        ///< it was seen; on_failed is called, the caller does the turn
  void on_read_failed(const Error& error);  ///< of a batch that was to be sent: the same

 private:
  enum class Chore : std::uint8_t { none, save, finish };
  void next_chore();
  void begin_save(bool clean);
  void begin_finish();
  void on_jobs(std::vector<std::unique_ptr<disk::PieceJob>> jobs);
  void fail(const Error& error);
  Error changed() const;

  Workers& workers_;
  std::shared_ptr<const wire::Metainfo> info_;
  std::shared_ptr<disk::Storage> storage_;
  disk::PieceQueue queue_;
  /// Of what is served as it stands; null: not watched.
  std::shared_ptr<const std::vector<disk::FileStamp>> stamps_;
  Events events_;
  std::size_t trips_ = 0;
  Chore chore_ = Chore::none;
  bool save_asked_ = false, clean_asked_ = false, finish_asked_ = false;
  bool ending_ = false;  ///< a clean save was asked for
  bool finished_ = false;
  bool failed_ = false;
  std::string finished_path_;
};

}  // namespace swarm::uv
