#include "core/tracker/notices.hh"

#include <doctest/doctest.h>

using namespace swarm;
using namespace swarm::core;

namespace {

NodeChecked check(std::uint32_t first, std::uint32_t count, bool ok = true, const char* file = "f") {
  return {"pi", "1.2.3.4:5", file, {first, count, ok, {}}};
}

}  // namespace

TEST_CASE("runs of good pieces are joined, failures never") {
  Notices notices;
  notices.add(check(0, 5));
  notices.add(check(5, 1));
  notices.add(check(6, 1, false));
  notices.add(check(7, 1, false));
  notices.add(check(8, 2));
  notices.add(check(10, 1, true, "other"));
  notices.add(check(20, 1, true, "other"));
  const auto all = notices.take();
  REQUIRE(all.size() == 6);
  CHECK(std::get<NodeChecked>(all[0]).pieces.first == 0);
  CHECK(std::get<NodeChecked>(all[0]).pieces.count == 6);
  CHECK_FALSE(std::get<NodeChecked>(all[1]).pieces.ok);
  CHECK(std::get<NodeChecked>(all[2]).pieces.first == 7);
  CHECK(notices.take().empty());
}

TEST_CASE("what waits is bounded, and the good checks go first") {
  Notices notices;
  notices.add(FileAdded{"first", 0, 0, 0});
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    notices.add(check(2 * i, 1));
    if (i % 10 == 0) notices.add(check(2 * i + 1, 1, false));
  }
  auto all = notices.take();
  CHECK(all.size() <= Notices::waiting_max);
  CHECK(std::holds_alternative<FileAdded>(all.front()));
  std::size_t failures = 0;
  for (const auto& n : all)
    failures += std::holds_alternative<NodeChecked>(n) && !std::get<NodeChecked>(n).pieces.ok ? 1 : 0;
  CHECK(failures == 5'000);

  for (std::uint32_t i = 0; i < 25'000; ++i) notices.add(check(i, 1, false));
  all = notices.take();
  CHECK(all.size() <= Notices::waiting_max);
  CHECK(all.size() >= Notices::waiting_max * 8 / 10);
  CHECK(std::get<NodeChecked>(all.back()).pieces.first == 24'999);
}
