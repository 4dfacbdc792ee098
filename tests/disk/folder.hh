// What disk tests share: a folder that vanishes with its test, torrents made of random bytes, and files looked at
// whole.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hh"
#include "base/random.hh"
#include "base/sha1.hh"
#include "disk/pieces.hh"
#include "disk/storage.hh"
#include "wire/metainfo.hh"

namespace swarm::disk::test {

namespace fs = std::filesystem;

/// A fresh folder under TMPDIR, /dev/shm or /tmp.
class Folder {
 public:
  Folder() {
    const char* tmpdir = std::getenv("TMPDIR");
    const std::string base = tmpdir != nullptr ? tmpdir : fs::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    std::string name = base + "/swarm-disk-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + '/' + std::string(name); }

 private:
  std::string path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void spew(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(text.data(), static_cast<std::streamsize>(text.size()));
}

/// Names of everything below a folder, sorted, folders with a slash at the end; links are not followed.
inline std::vector<std::string> tree_of(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    names.push_back(fs::relative(entry.path().parent_path(), folder).lexically_normal() / entry.path().filename());
    if (names.back().starts_with("./")) names.back().erase(0, 2);
    if (entry.is_directory() && !entry.is_symlink()) names.back() += '/';
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct FileSpec {
  std::string path;  ///< with slashes
  std::uint64_t length = 0;
  bool pad = false;
  bool executable = false;
};

/// A torrent and all its bytes.
struct Sample {
  std::shared_ptr<wire::Metainfo> info = std::make_shared<wire::Metainfo>();
  Buffer content;

  ByteView piece(std::uint32_t p) const {
    return ByteView(content).subspan(std::size_t{p} * info->piece_bytes, info->piece_size(PieceIndex{p}));
  }
  /// What a file of it holds.
  std::string file(std::size_t index) const {
    std::size_t at = 0;
    for (std::size_t i = 0; i < index; ++i) at += info->files[i].length;
    return std::string(as_text(content).substr(at, info->files[index].length));
  }
  /// The digests, again, after the content was changed.
  void hash() {
    info->pieces.clear();
    for (std::size_t at = 0; at < content.size(); at += info->piece_bytes) {
      info->pieces.push_back(
          sha1(ByteView(content).subspan(at, std::min<std::size_t>(info->piece_bytes, content.size() - at))));
    }
  }
};

inline Sample make_sample(const std::vector<FileSpec>& files, std::uint32_t piece_bytes, bool folder,
                          std::uint64_t seed = 1) {
  Sample s;
  Random random(seed);
  s.info->name = folder ? "top" : files[0].path;
  s.info->folder = folder;
  s.info->piece_bytes = piece_bytes;
  for (const FileSpec& f : files) {
    wire::FileEntry entry;
    for (std::size_t at = 0; at <= f.path.size();) {
      const std::size_t slash = std::min(f.path.find('/', at), f.path.size());
      entry.path.push_back(f.path.substr(at, slash - at));
      at = slash + 1;
    }
    entry.length = f.length;
    entry.pad = f.pad;
    entry.executable = f.executable;
    s.info->files.push_back(entry);
    const std::size_t start = s.content.size();
    s.content.resize(start + f.length);
    if (!f.pad) random.fill(ByteSpan(s.content).subspan(start));
    s.info->bytes_total += f.length;
  }
  random.fill(s.info->info_hash.bytes);
  s.hash();
  return s;
}

inline Sample single(std::uint64_t length, std::uint32_t piece_bytes = 64 * 1024, std::uint64_t seed = 1) {
  return make_sample({{.path = "file.bin", .length = length}}, piece_bytes, false, seed);
}

inline Result<void> write_all(Storage& storage, std::uint64_t offset, ByteView bytes) {
  const iovec from{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  return storage.write(offset, {&from, 1});
}

inline Result<std::string> read_all(Storage& storage, std::uint64_t offset, std::size_t length) {
  std::string text(length, '?');
  const iovec into{text.data(), text.size()};
  auto done = storage.read(offset, {&into, 1});
  if (!done) return tl::unexpected(done.error());
  return text;
}

/// A block of a sample as the network would bring it: in two parts when `cut` lies within.
inline std::vector<BlockPart> parts_of(ByteView bytes, std::size_t cut = 0, SharedBuffer owner = {}) {
  if (cut == 0 || cut >= bytes.size()) return {{owner, bytes}};
  return {{owner, bytes.first(cut)}, {owner, bytes.subspan(cut)}};
}

/// Runs every job that the queue gives, one after the other.
inline std::vector<Result<PieceResult>> run_all(PieceQueue& queue) {
  std::vector<Result<PieceResult>> results;
  while (auto job = queue.next_job()) {
    job->run();
    results.push_back(queue.done(std::move(job)));
  }
  return results;
}

/// Adds every block of a piece, in order.
inline void add_piece(PieceQueue& queue, std::uint32_t piece, ByteView bytes) {
  for (std::uint32_t begin = 0; begin < bytes.size(); begin += wire::block_bytes) {
    const auto length = static_cast<std::uint32_t>(std::min<std::size_t>(wire::block_bytes, bytes.size() - begin));
    queue.add({PieceIndex{piece}, begin, length}, parts_of(bytes.subspan(begin, length)));
  }
}

}  // namespace swarm::disk::test
