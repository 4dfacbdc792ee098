#include "core/tracker/client_name.hh"

#include <doctest/doctest.h>

#include <string_view>

using namespace swarm;

namespace {

std::string name(std::string_view id) { return core::client_name(*PeerId::from(as_bytes(id))); }

}  // namespace

TEST_CASE("clients are known by the code in their peer-id") {
  CHECK(name("A2-1-36-0-abcdefghij") == "aria2");
  CHECK(name("-LT2080-abcdefghijkl") == "libtorrent");
  CHECK(name("-lt0D80-abcdefghijkl") == "rTorrent");
  CHECK(name("-TR3000-abcdefghijkl") == "Transmission");
  CHECK(name("-qB4500-abcdefghijkl") == "qBittorrent");
  CHECK(name("-SW0100-abcdefghijkl") == "swarm");
  CHECK(name("-rQ0001-abcdefghijkl") == "rqbit");
  CHECK(name("M7-10-5--abcdefghijk") == "BitTorrent");
  CHECK(name("-Zz0001-abcdefghijkl") == "Zz");
  CHECK(name("-\x1b[0001-abcdefghijkl") == "unknown");
  CHECK(name("abcdefghijklmnopqrst") == "unknown");
}
