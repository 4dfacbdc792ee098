#include "base/check.hh"

#include <doctest/doctest.h>

#include "support/dies.hh"

using swarm::test::dies;

TEST_CASE("a check that holds does nothing, one that fails ends the program") {
  int evaluated = 0;
  SWARM_CHECK(++evaluated == 1);
  CHECK(evaluated == 1);
  CHECK_FALSE(dies([] { SWARM_CHECK(true); }));
  CHECK(dies([] { SWARM_CHECK(false); }));
}
