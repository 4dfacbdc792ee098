#include "uv/torrent_files.hh"

#include <algorithm>
#include <vector>

#include "nodes.hh"

using namespace swarm;
using namespace swarm::uv;

TEST_CASE("a worker takes many small pieces at once and gives them back at once, to one turn") {
  constexpr std::uint32_t pieces = 20, fit = 16;  // of 16 KiB, into 256 KiB
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), std::size_t{pieces} * wire::block_bytes, wire::block_bytes);
  Workers workers(*loop);
  std::uint32_t right = 0;
  std::size_t trips = 0;
  std::vector<std::uint32_t> turns;  // pieces that were right by then
  TorrentFiles files(
      workers, content.info, disk::Storage::create(content.info, folder.path() + "/got.bin", {}), {},
      {.claims = [] { return core::Claims{}; },
       .all_checked = [] { return true; },
       .on_piece = [&](const disk::PieceResult& r) { right += r.outcome == disk::PieceResult::Outcome::right; },
       .on_failed = [](const Error& error) { FAIL(error.message); },
       .on_saved = [] {},
       .on_finished = [] {},
       .on_trip_done = [&] { ++trips; },
       .turn = [&] { turns.push_back(right); }});
  for (std::uint32_t p = 0; p < pieces; ++p) {
    const wire::BlockRef block{PieceIndex{p}, 0, wire::block_bytes};
    const auto bytes = ByteView(content.bytes).subspan(std::size_t{p} * wire::block_bytes, wire::block_bytes);
    files.queue().add(block, std::vector<disk::BlockPart>{{nullptr, bytes}});
  }
  CHECK(files.start_jobs());
  CHECK(files.start_jobs());
  CHECK_FALSE(files.start_jobs());
  REQUIRE(run_until(*loop, [&] { return right == pieces && turns.size() == trips; }));
  CHECK(trips == 2);
  CHECK((turns.front() == fit || turns.front() == pieces - fit));  // whichever worker was first
  CHECK(turns.back() == pieces);
}
