// OpenFiles: the descriptors that a storage holds, at most so many, the one used longest ago closed first. Not
// thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/ids.hh"
#include "disk/descriptor.hh"

namespace swarm::disk {

struct OpenFile {
  OpenFile(Descriptor given, bool is_writable, bool is_named)
      : fd(std::move(given)), writable(is_writable), named(is_named) {}

  Descriptor fd;
  bool writable;
  bool named;                                              ///< it stands at its final name, in the target folder
  mutable std::atomic<std::uint64_t> bytes_held_back = 0;  ///< written since its writeback was last begun
};

/// A file that is in use stays open until its user drops it, so a few more than the bound may be open for a moment.
class OpenFiles {
 public:
  explicit OpenFiles(std::size_t files_max) : files_max_(files_max > 0 ? files_max : 1) {}

  std::shared_ptr<OpenFile> find(FileIndex file) {
    const auto at = by_file_.find(number(file));
    if (at == by_file_.end()) return nullptr;
    by_use_.splice(by_use_.begin(), by_use_, at->second);
    return at->second->open;
  }
  /// Puts it in the place of what is held for this file. `on_closing(FileIndex)` is called for each one that goes.
  template <class F>
  void put(FileIndex file, std::shared_ptr<OpenFile> open, F&& on_closing) {
    drop(file);
    by_use_.push_front({file, std::move(open)});
    by_file_[number(file)] = by_use_.begin();
    while (by_use_.size() > files_max_) {
      const FileIndex oldest = by_use_.back().file;
      on_closing(oldest);
      drop(oldest);
    }
  }
  void drop(FileIndex file) {
    const auto at = by_file_.find(number(file));
    if (at == by_file_.end()) return;
    by_use_.erase(at->second);
    by_file_.erase(at);
  }
  template <class F>
  void clear(F&& on_closing) {
    for (const Entry& entry : by_use_) on_closing(entry.file);
    by_use_.clear();
    by_file_.clear();
  }
  std::size_t size() const { return by_use_.size(); }

 private:
  struct Entry {
    FileIndex file;
    std::shared_ptr<OpenFile> open;
  };
  std::size_t files_max_;
  std::list<Entry> by_use_;  ///< the latest first
  std::unordered_map<std::uint32_t, std::list<Entry>::iterator> by_file_;
};

}  // namespace swarm::disk
