#include "sim/profile.hh"

#include <doctest/doctest.h>

#include <map>
#include <string>

using namespace swarm;
using namespace swarm::sim;

TEST_CASE("profile: the kinds share the nodes exactly, and lines lie in their ranges") {
  const auto mixed = known_profile("mixed");
  REQUIRE(mixed.has_value());
  std::map<std::string, int> count;
  Random random(1);
  for (std::uint32_t i = 0; i < 100; ++i) {
    const NodeKind& kind = mixed->kind_of(i, 100);
    ++count[kind.name];
    const Line line = draw_line(kind, random);
    CHECK((line.up_rate >= kind.up.least && line.up_rate <= kind.up.most));
    CHECK((line.down_rate >= kind.down.least && line.down_rate <= kind.down.most));
    CHECK((4 * line.delay <= kind.round_trip.most && 4 * line.delay > kind.round_trip.least - 4ns));
    CHECK((line.jitter == kind.jitter && line.loss == kind.loss));
  }
  CHECK((count["rack"] == 50 && count["office"] == 30 && count["home"] == 20));
  CHECK(known_profile("lan")->kind_of(0, 1).up.most == 125'000'000);
  const auto wan = known_profile("wan")->kinds[0];
  CHECK((wan.up == Range<std::uint64_t>{1'250'000, 12'500'000} && wan.loss == 0.005));
  CHECK((wan.round_trip == Range<Duration>{20ms, 200ms}));
  CHECK_FALSE(known_profile("moon").has_value());
}

TEST_CASE("profile: from a file") {
  const auto profile = profile_from_json(R"({
    "nodes": [{"name": "fibre", "share": 3, "up": "100Mbit", "down": ["100Mbit", "1Gbit"], "rtt": ["5ms", "20ms"]},
              {"up": "10Mbit", "down": "50Mbit", "rtt": "30ms", "jitter": "2ms", "loss": "0.5%", "burst": "64KiB"}],
    "seeds": {"up": "1Gbit", "down": "1Gbit"}, "header_bytes": 66})",
                                         "my.json");
  REQUIRE_MESSAGE(profile.has_value(), profile.error().message);
  REQUIRE(profile->kinds.size() == 2);
  CHECK(profile->name == "my.json");
  CHECK(profile->kinds[0].weight == 3);
  CHECK((profile->kinds[0].down == Range<std::uint64_t>{12'500'000, 125'000'000}));
  CHECK((profile->kinds[1].loss == 0.005 && profile->kinds[1].jitter == 2ms));
  Random random(1);
  CHECK(draw_line(profile->kinds[1], random).burst == 65'536);
  CHECK(draw_line(profile->kinds[0], random).burst == 0);
  CHECK(profile->header_bytes == 66u);
  CHECK(profile->seeds->up.least == 125'000'000);
  CHECK(profile->kind_of(2, 4).name == "fibre");
  CHECK(profile->kind_of(3, 4).name.empty());
}

TEST_CASE("profile: what is wrong is named, with its place") {
  const auto complaint = [](std::string_view text) {
    const auto profile = profile_from_json(text, "p.json");
    REQUIRE_FALSE(profile.has_value());
    CHECK(profile.error().exit == Exit::usage);
    return profile.error().message;
  };
  CHECK(complaint("") == "p.json: not a JSON object");
  CHECK(complaint("[1]") == "p.json: not a JSON object");
  CHECK(complaint("{}") == "p.json: nodes: expected a list of kinds of nodes");
  CHECK(complaint(R"({"nodes": [{"up": "1M"}]})") == "p.json: nodes[0]: expected up and down");
  CHECK(complaint(R"({"nodes": [{"up": "1M", "down": "0"}]})") ==
        "p.json: nodes[0].down: expected a rate above 0, e.g. \"100Mbit\"");
  CHECK(complaint(R"({"nodes": [{"up": ["2M", "1M"], "down": "1M"}]})") ==
        "p.json: nodes[0].up: expected the lesser value first");
  CHECK(complaint(R"({"nodes": [{"up": "1M", "down": "1M", "los": "1%"}]})") ==
        "p.json: nodes[0].los: expected one of name, share, up, down, rtt, jitter, loss, burst");
  CHECK(complaint(R"({"nodes": [{"up": "1M", "down": "1M", "loss": "100%"}]})") ==
        "p.json: nodes[0].loss: expected a share below 100%, e.g. \"0.5%\"");
  CHECK(complaint(R"({"nodes": [{"up": "1M", "down": "1M", "share": 0}]})") ==
        "p.json: nodes[0].share: expected a number from 1");
  CHECK(complaint(R"({"nodes": [{"up": "1M", "down": "1M", "burst": "2GiB"}]})") ==
        "p.json: nodes[0].burst: expected a size up to 1GiB, e.g. \"128KiB\"");
  CHECK(complaint(R"({"nodes": [{"up": "1M", "down": "1M"}], "header_bytes": 1500})") ==
        "p.json: header_bytes: expected a number up to 1000");
  CHECK(complaint(R"({"seed": {}})") == "p.json: seed: expected a list nodes and an object seeds");
  CHECK(complaint(std::string(2u << 20, ' ')).find("more than 1 MiB") != std::string::npos);
  CHECK(complaint(std::string(100'000, '[')) == "p.json: not a JSON object");
}
