// Checks: what must be true in every world, whatever befalls it (THREATS.md). They are asked at every step that could break
// them; of each rule the first few failures are kept as texts for a person.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/instant.hh"
#include "sim/content.hh"
#include "sim/disk.hh"
#include "sim/stream.hh"
#include "sim/world.hh"

namespace swarm::sim {

enum class Rule : std::uint8_t {
  whole,  ///< S1: a node calls a file whole only if every block of it is right
  verified,  ///< S2: payload leaves an honest node only from a piece that was judged right there; so a HAVE came after that
  durable,   ///< S3: what a checkpoint claims is on the disk, also when the power went
  counted,   ///< two counts of the same bytes agree, and none is won or lost on the way
  contract,  ///< what a driver may rely on: the core's orders make sense, a stop ends, time goes on
};

class Checks {
 public:
  explicit Checks(World& world) : world_(world) {}

  void on_whole(std::uint32_t host, const Content& content, Disk& disk);
  void on_payload_leaves(std::uint32_t host, const Run& run, bool judged_right);
  void on_power_cut(std::uint32_t host, const Content& content, Disk& disk);
  void equal(std::uint32_t host, const char* what, std::uint64_t counted, std::uint64_t expected);
  void fail(Rule rule, std::uint32_t host, const std::string& what);

  bool all_right() const { return violations_.empty(); }
  std::uint64_t failures(Rule rule) const { return failures_[static_cast<std::size_t>(rule)]; }
  std::uint64_t asked() const { return asked_; }  ///< so that a check that never ran is noticed
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  static constexpr std::size_t kept_of_each = 5;
  World& world_;
  std::array<std::uint64_t, 5> failures_{};  ///< by rule
  std::uint64_t asked_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace swarm::sim
