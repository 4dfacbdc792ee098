// Tree: the names of a torrent's files on a disk, and the opening of what has these names. It decides where the files
// are (see storage.hh), makes folders and gives the final name. Not thread-safe; everything that fails sets errno.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>
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
  /// The file in the .part folder that holds what belongs to files which are not chosen. Its name has the info-hash, so
  /// that no torrent can have a file of this name.
  FileIndex aside() const { return FileIndex{static_cast<std::uint32_t>(info_.files.size())}; }

  Place place();     ///< decides it at the first call
  bool at_target();  ///< reads go to the target, there or not
  bool part_exists() const { return place_ == Place::part; }
  /// The save folder, open; empty (with errno) when there is none.
  const Descriptor& base();

  /// Is a target folder that is there taken as the work of an earlier run, whose files are read and stay, and which the
  /// others join? (storage.hh, rule 3.)
  bool merges();

  /// Opens a file that is there: in the .part, else at the target. The latter only for reading in a download; `found`
  /// tells which it was.
  Descriptor open(FileIndex file, int flags, Place* found = nullptr);
  /// What open() would find, without opening it: gives 0 or errno, ELOOP for a symbolic link.
  int look(FileIndex file, struct stat* s, Place* found = nullptr);
  /// A file for writing; made, with the folders above it, in the .part when it is missing. One that stands at the
  /// target, in a folder that is merged with, is opened for reading instead. `likely_new`: what to try first.
  struct Created {
    Descriptor fd;  ///< empty, with errno, when that failed
    Place found = Place::part;
    bool made = false;  ///< by this call, hence a regular file, and empty
  };
  Created create(FileIndex file, bool likely_new);
  /// What was found out about names is found out again. Between two calls it may be as old as the first: that there is
  /// no target folder, and which folder has the name of the one that a file was last met in.
  void look_afresh();
  /// Is there anything at the target's name?
  bool target_exists();

  /// The chosen files of the .part get the target's name; gives 0 or errno (EEXIST: a name is taken and may not be
  /// replaced, and then nothing was moved).
  int move_to_target();

  std::size_t held() const;  ///< descriptors
  /// Closes those of a seed, whose folders are opened again when they are needed. A download keeps its top folders: they
  /// are those that it made, whatever has their names meanwhile, and sync() needs the save folder open all the time.
  void let_go();

  /// fsync of every folder that got an entry since the last call; `all` takes every folder of the tree. 0 or errno.
  int sync_folders(bool all = false);
  /// From here on somebody else syncs the folders that got an entry so far.
  void forget_unsynced_folders() { unsynced_folders_.clear(); }

 private:
  /// A top folder's subfolder that a file was last met in. Files come folder by folder, so that most names are looked up
  /// in one step, from here.
  struct Inner {
    std::string path;
    Descriptor fd;
  };

  void decide();
  void open_base();
  int open_part_root();
  int open_target_root();
  template <class At>
  int find(FileIndex file, Place* found, At at);
  template <class At>
  int in_part(FileIndex file, At at);
  template <class At>
  int at_target(FileIndex file, At at);
  int enter(const Descriptor& root, Inner& inner, const std::string& path);
  Descriptor open_below(const Descriptor& root, Inner& inner, const std::string& path, int flags, mode_t mode = 0);
  int stat_below(const Descriptor& root, Inner& inner, const std::string& path, struct stat* s);
  Descriptor open_in_part(FileIndex file, int flags);
  Descriptor make_in_part(FileIndex file);
  const Descriptor& root() const { return place_ == Place::part ? part_root_ : target_root_; }
  int open_root() { return place_ == Place::part ? open_part_root() : open_target_root(); }
  bool is_chosen(std::size_t file) const { return chosen_.empty() || chosen_[file]; }
  bool is_taken(const std::string& path);
  int make_folder_of(int root, const std::string& path, bool note);
  int rename_file();
  int move_folder();
  int rename_whole();
  int move_files();
  int move_file(const std::string& path, int to_root);
  void remove_aside();
  void remove_folders();
  const std::string& top() const { return place_ == Place::target || !writable_ ? target_name_ : part_name_; }

  const wire::Metainfo& info_;
  std::string target_, part_;
  bool writable_, replace_;
  const std::vector<bool> chosen_;  ///< by file; empty: all
  std::vector<std::string> paths_;  ///< safe, by file; empty for padding; then the name of aside()

  bool decided_ = false;
  Place place_ = Place::nothing;
  std::string base_path_;
  Descriptor base_;  ///< the folder that holds the target
  int base_error_ = 0;
  std::string target_name_, part_name_;  ///< within base_
  Descriptor part_root_, target_root_;   ///< the top folders of a torrent with several files, once they are there
  Inner inner_part_, inner_target_;
  std::optional<bool> merges_;              ///< once there was a target folder to look into
  bool no_target_folder_ = false;           ///< a download's was not there when it was last looked for
  std::set<std::string> unsynced_folders_;  ///< relative to root(); "" is root(), "/" is base_
};

}  // namespace swarm::disk
