#include "core/torrent/progress.hh"

#include <doctest/doctest.h>

using namespace swarm;
using namespace swarm::core;

namespace {
Instant at(double s) { return Instant{} + from_seconds(s); }
}  // namespace

TEST_CASE("bytes are counted with the last, shorter piece, and unchecked ones apart") {
  Bitfield verified(3);
  verified.set(std::size_t{2});
  Progress p(250, 100, verified, {PieceIndex{0}, PieceIndex{2}});
  CHECK(p.bytes_verified() == 50);
  CHECK(p.bytes_wanted_unchecked() == 100);
  CHECK(p.unchecked_count() == 1);
  CHECK(p.missing(PieceIndex{1}));
  CHECK_FALSE(p.missing(PieceIndex{0}));
  p.on_check_failed(PieceIndex{0});
  CHECK(p.missing(PieceIndex{0}));
  CHECK(p.bytes_wanted_unchecked() == 0);
  p.on_verified(PieceIndex{0}, at(1));
  p.on_verified(PieceIndex{0}, at(1));
  CHECK(p.bytes_verified() == 150);
  CHECK_FALSE(p.whole());
  p.on_verified(PieceIndex{1}, at(1));
  CHECK(p.whole());
}

TEST_CASE("a checkpoint is due after two seconds, sooner after 64 MiB, the first one soon, and never two at once") {
  Progress p(std::uint64_t{192} << 20, 32 << 20, Bitfield(6), {});
  CHECK_FALSE(p.save_due());
  p.on_verified(PieceIndex{0}, at(10));
  CHECK(*p.save_due() == at(10.2));  // the first one soon: from then on a crash costs little
  p.on_verified(PieceIndex{1}, at(10.1));
  CHECK(*p.save_due() == at(10.2));  // 64 MiB make it no sooner
  p.save_begun();
  p.on_verified(PieceIndex{2}, at(11));
  CHECK_FALSE(p.save_due());
  p.on_saved();
  CHECK(*p.save_due() == at(13));
  p.on_verified(PieceIndex{3}, at(11.1));
  CHECK(*p.save_due() == at(11.5));  // however fast bytes come, two a second
  p.save_begun();
  p.on_verified(PieceIndex{4}, at(11.6));
  p.on_saved();
  CHECK(*p.save_due() == at(13.6));
}
