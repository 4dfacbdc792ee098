// TorrentFiles: the files of one torrent, each by its index: found or made where their Tree has them, opened within a
// budget of descriptors, read, written, made durable, and given their names. What Storage is made of; it has the rules
// of where the files are (storage.hh, 1 to 3).
//
// The side file (rule 4) is one more file, behind the last: opened, read, written and synced as the others are. What
// belongs into it is for Aside to say. Blocking; thread-safe, and no lock is held while data moves.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "disk/descriptor.hh"
#include "disk/extents.hh"
#include "disk/open_budget.hh"
#include "disk/open_files.hh"
#include "disk/storage.hh"
#include "disk/tree.hh"

namespace swarm::disk {

class TorrentFiles {
 public:
  using Open = std::shared_ptr<OpenFile>;

  TorrentFiles(std::shared_ptr<const wire::Metainfo> info, std::string target, const StorageOptions& options);

  const wire::Metainfo& info() const { return *info_; }
  const StorageOptions& options() const { return options_; }  ///< its choice of files is empty unless it leaves one out
  const Extents& extents() const { return extents_; }
  bool is_chosen(FileIndex file) const { return options_.files.empty() || options_.files[number(file)]; }
  FileIndex side_file() const { return tree_.aside(); }
  std::uint64_t length(FileIndex file) const;  ///< as it shall be; of the side file: of the torrent
  const std::string& part_path() const { return tree_.part_path(); }
  const std::string& target_path() const { return tree_.target_path(); }
  std::string shown(FileIndex file);  ///< how a person calls it
  Error changed(FileIndex file);      ///< what stands at the target is not (any more) what it should be
  Error exists() const;               ///< the target has something else
  Place place();
  bool merges();
  bool at_target();  ///< all of it has its name

  /// A file to read from. Null when a .part does not have it yet.
  Result<Open> to_read(FileIndex file);
  /// A chosen file that is open; null also when another thread has the lock, for this never waits.
  Open open_already(FileIndex file);
  /// A file to write to; made when it is missing. Or one that has its name already (OpenFile::named), for reading.
  Result<Open> to_write(FileIndex file);
  /// Reads a range of one file; `open` is null when it is not there yet. What a .part lacks reads as zeros.
  Result<void> read(FileIndex file, const Open& open, std::uint64_t offset, std::uint64_t length, IovCursor& into);
  /// Writes a range of one file of the .part.
  Result<void> write(FileIndex file, const OpenFile& open, std::uint64_t offset, std::uint64_t length, IovCursor& from);

  Result<void> sync();         ///< as Storage::sync()
  Result<void> check_space();  ///< as Storage::check_space()
  Result<FileStamp> stamp(FileIndex file);
  void look_afresh();  ///< before names are looked up one after the other: what was found out about them may be old
  /// finish() of Storage in two steps. First every chosen file becomes what it shall be when it has its name: there, as
  /// long as it should be, with its mode, durable. Then they get their names; the side file stays open without its own.
  Result<void> complete();
  Result<std::string> give_names();

 private:
  /// Holds the lock for what may open something, and tells the budget at the end.
  class Opening {
   public:
    explicit Opening(TorrentFiles& files) : files_(files), lock_(files.mutex_) {}
    ~Opening() {
      if (files_.share_) files_.share_->holds(files_.held());
    }
    Opening(const Opening&) = delete;
    Opening& operator=(const Opening&) = delete;

   private:
    TorrentFiles& files_;
    const std::lock_guard<std::mutex> lock_;
  };

  // All of these are called with the lock held, but for those below the line.
  std::size_t held() const { return open_files_.size() + tree_.held() + (side_file_ ? 1 : 0); }
  void close_files();
  void remember_closing(FileIndex file) { unsynced_closed_ = unsynced_closed_ || unsynced_[number(file)]; }
  Open find_open(FileIndex file) { return file == side_file() ? side_file_ : open_files_.find(file); }
  template <class F>
  Descriptor retry_without_others(F open);
  Result<Open> keep(FileIndex file, Descriptor fd, bool writable, Place found);
  Open hold(FileIndex file, Descriptor fd, bool writable, Place found);
  int look(FileIndex file, struct stat* s, Place* found = nullptr);
  bool is_replaced(FileIndex file, const struct stat& by_name);
  bool one_sync_is_enough();
  bool has_names() { return tree_.at_target() && !tree_.merges(); }
  Error changed_error(FileIndex file) const;
  Error unreadable(FileIndex file) const;
  Error full();
  std::uint64_t bytes_needed();
  std::uint64_t bytes_there(FileIndex file);
  Result<void> check_lengths();
  // ----
  std::optional<std::size_t> let_go();
  void mark_unsynced(FileIndex file);
  int sync_file(const OpenFile& open) const;
  void begin_writeback(const OpenFile& open, std::uint64_t bytes_written);
  tl::unexpected<Error> stick(Error error);
  tl::unexpected<Error> stick_sync_of(FileIndex file, int error);
  Result<void> sync_file_system();
  Result<void> sync_written();
  Result<void> complete_file(FileIndex file);
  Result<void> set_length_and_mode(FileIndex file);
  Result<void> sync_completed(FileIndex file);

  const std::shared_ptr<const wire::Metainfo> info_;
  const StorageOptions options_;
  const Extents extents_;

  std::mutex mutex_;  ///< guards what follows; never held while data moves
  Tree tree_;
  OpenFiles open_files_;
  Open side_file_;                        ///< never closed, for give_names() takes its name away
  std::vector<bool> written_;             ///< by file, then the side file: by this process
  std::vector<bool> unsynced_;            ///< by file: written since the last sync
  std::vector<FileIndex> unsynced_list_;  ///< the same as a list
  bool unsynced_closed_ = false;          ///< one of them was closed before it was synced
  bool may_write_ = false;                ///< the target was looked at
  std::optional<Error> sync_error_;       ///< for good
  std::optional<bool> one_sync_is_enough_;
  bool folders_synced_ = false;  ///< every folder of the tree, since an entry of it was last made

  std::atomic_flag writing_back_;  ///< a worker is in begin_writeback()
  std::mutex sync_mutex_;          ///< one sync at a time; taken before `mutex_`

  std::optional<OpenBudget::Share> share_;  ///< goes first, for it calls let_go()
};

}  // namespace swarm::disk
