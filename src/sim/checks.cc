#include "sim/checks.hh"

#include <fmt/format.h>

namespace swarm::sim {

void Checks::on_whole(std::uint32_t host, const Content& content, Disk& disk) {
  ++asked_;
  for (std::uint32_t p = 0; p < content.info.pieces; ++p) {
    if (disk.right(content, PieceIndex{p}, world_.now())) continue;
    fail(Rule::whole, host, fmt::format("S1: {} is called whole, but piece {} is not right", content.info.name, p));
    return;
  }
}

void Checks::on_payload_leaves(std::uint32_t host, const Run& run, bool judged_right) {
  ++asked_;
  if (judged_right && run.tag == Tag::right) return;
  fail(Rule::verified, host,
       fmt::format("S2: sends bytes {} … {} of piece {}, which {}", run.begin, run.begin + run.length - 1,
                   number(run.piece), judged_right ? "are wrong" : "was never judged right"));
}

void Checks::on_power_cut(std::uint32_t host, const Content& content, Disk& disk) {
  const Disk::Checkpoint* checkpoint = disk.checkpoint(content);
  if (checkpoint == nullptr) return;
  ++asked_;
  const Bitfield& claimed = checkpoint->claims.verified;
  for (std::size_t p = claimed.find(true); p < claimed.size(); p = claimed.find(true, p + 1)) {
    const PieceIndex piece{static_cast<std::uint32_t>(p)};
    bool there = true;
    for (std::uint32_t b = 0; b < content.blocks_in(piece); ++b) {
      const Tag tag = disk.tag(content, content.first_block(piece) + b, world_.now());
      there = there && (tag == Tag::right || tag == Tag::damaged);
    }
    if (!there)
      fail(Rule::durable, host,
           fmt::format("S3: the checkpoint of {} claims piece {}, which is not on the disk", content.info.name, p));
  }
}

void Checks::equal(std::uint32_t host, const char* what, std::uint64_t counted, std::uint64_t expected) {
  ++asked_;
  if (counted != expected) fail(Rule::counted, host, fmt::format("{}: {}, but {} were seen", what, counted, expected));
}

void Checks::fail(Rule rule, std::uint32_t host, const std::string& what) {
  if (++failures_[static_cast<std::size_t>(rule)] > kept_of_each) return;
  violations_.push_back(fmt::format("{:.6f} s, host {}: {}", seconds(world_.now().time_since_epoch()), host, what));
}

}  // namespace swarm::sim
