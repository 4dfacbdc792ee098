// The naive twin of disk/pieces: every piece held whole in memory, every digest taken afresh from all of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/bytes.hh"
#include "base/sha1.hh"
#include "wire/metainfo.hh"
#include "wire/peer_message.hh"

namespace swarm::model {

class Pieces {
 public:
  explicit Pieces(const wire::Metainfo& info) : info_(info), disk_(info.bytes_total) {}

  enum class Outcome { more, right, wrong };
  struct Result {
    Outcome outcome = Outcome::more;
    std::vector<std::uint32_t> wrong_blocks;
  };

  /// One block, judged at once.
  Result add(const wire::BlockRef& block, ByteView bytes) {
    const std::uint32_t p = number(block.piece);
    if (!attempts_[p].insert(block.begin).second) return {};
    std::copy(bytes.begin(), bytes.end(), disk_.begin() + static_cast<std::ptrdiff_t>(start(p) + block.begin));
    const std::uint32_t size = info_.piece_size(block.piece);
    if (attempts_[p].size() * wire::block_bytes < size) return {};
    attempts_.erase(p);
    const Buffer now(disk_.begin() + static_cast<std::ptrdiff_t>(start(p)),
                     disk_.begin() + static_cast<std::ptrdiff_t>(start(p) + size));
    if (sha1(now) != info_.pieces[p]) {
      wrong_[p] = now;
      return {Outcome::wrong, {}};
    }
    Result result{Outcome::right, {}};
    if (const auto before = wrong_.find(p); before != wrong_.end()) {
      for (std::uint32_t i = 0; i < size; ++i) {
        const std::uint32_t b = i / wire::block_bytes;
        if (before->second[i] == now[i]) continue;
        if (result.wrong_blocks.empty() || result.wrong_blocks.back() != b) result.wrong_blocks.push_back(b);
      }
      wrong_.erase(before);
    }
    return result;
  }

  const Buffer& disk() const { return disk_; }

 private:
  std::uint64_t start(std::uint32_t p) const { return std::uint64_t{p} * info_.piece_bytes; }

  const wire::Metainfo& info_;
  Buffer disk_;
  std::map<std::uint32_t, std::set<std::uint32_t>> attempts_;
  std::map<std::uint32_t, Buffer> wrong_;  ///< the last wrong attempt
};

}  // namespace swarm::model
