// Tree: the names of a torrent's files on a disk, and the opening of what has these names. It decides where the files
// are (see storage.hh), makes folders and gives the final name. Not thread-safe; everything that fails sets errno.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.hh"
#include "disk/descriptor.hh"
#include "disk/storage.hh"

namespace swarm::disk {

class Tree {
 public:
  Tree(const wire::Metainfo& info, std::string target, const StorageOptions& options);

  const std::string& target_path() const { return target_; }
  const std::string& part_path() const { return part_; }
  /// How a person calls a file: the path of the file or top folder, then the path within.
  std::string shown(FileIndex file) const;
  std::size_t file_count() const { return paths_.size(); }

  Place place();     ///< decides it at the first call
  bool at_target();  ///< reads go to the target, there or not
  bool part_exists() const { return place_ == Place::part; }
  /// The save folder, open; empty (with errno) when there is none.
  const Descriptor& base();

  /// Opens a file that is there.
  Descriptor open(FileIndex file, int flags);
  /// Opens a file for writing; makes it, and the folders above it, when it is missing. Only in a .part.
  Descriptor create(FileIndex file);
  /// Is there anything at the target's name?
  bool target_exists();

  /// The .part gets the target's name; gives 0 or errno (EEXIST: the name is taken and may not be replaced).
  int move_to_target();

  /// fsync of every folder that got an entry since the last call; `all` takes every folder of the tree. 0 or errno.
  int sync_folders(bool all = false);

 private:
  void decide();
  int open_root();
  int make_folder_of(int root, const std::string& path, bool note);
  int rename_to_target();
  int overlay();
  const std::string& top() const { return place_ == Place::target || !writable_ ? target_name_ : part_name_; }

  const wire::Metainfo& info_;
  std::string target_, part_;
  bool writable_, replace_;
  std::vector<std::string> paths_;  ///< safe, by file; empty for padding

  bool decided_ = false;
  Place place_ = Place::nothing;
  Descriptor base_;  ///< the folder that holds the target
  int base_error_ = 0;
  std::string target_name_, part_name_;     ///< within base_
  Descriptor root_;                         ///< the top folder of a torrent with several files, once it is there
  std::set<std::string> unsynced_folders_;  ///< relative to root_; "" is root_, "/" is base_
};

}  // namespace swarm::disk
