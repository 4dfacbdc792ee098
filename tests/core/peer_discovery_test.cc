#include "core/discovery/peer_discovery.hh"

#include <doctest/doctest.h>

using namespace swarm;
using core::PeerDiscovery;

TEST_CASE("peer discovery: 20 swarm nodes are enough, 64 where all are far away; 50 connections, or 100") {
  core::ClientOptions options;
  options.peers_max = 1000;
  Random random(1);
  core::Actions actions;
  core::Limiter up, down;
  core::Context context{options, random, actions, up, down, {}, {}, {}};
  const PeerDiscovery discovery(TorrentId{1}, {}, context, Instant{1h});

  CHECK(discovery.seeks_more({.all = 19, .nodes = 19}));
  CHECK_FALSE(discovery.seeks_more({.all = 20, .nodes = 20}));
  CHECK_FALSE(discovery.seeks_more({.all = 20, .half_open = 1, .nodes = 19}));
  CHECK(discovery.seeks_more({.all = 49}));
  CHECK_FALSE(discovery.seeks_more({.all = 50}));

  CHECK(discovery.seeks_more({.all = 63, .nodes = 63, .far = true}));
  CHECK_FALSE(discovery.seeks_more({.all = 64, .nodes = 64, .far = true}));
  CHECK(discovery.seeks_more({.all = 99, .nodes = 63, .far = true}));
  CHECK_FALSE(discovery.seeks_more({.all = 100, .nodes = 63, .far = true}));

  options.peers_max = 30;
  CHECK_FALSE(discovery.seeks_more({.all = 30, .nodes = 10, .far = true}));
}
