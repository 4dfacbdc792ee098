#include <cerrno>
#include <filesystem>
#include <fstream>
#include <vector>

#include "disk/checkpoint.hh"
#include "nodes.hh"

using namespace swarm;
using namespace swarm::uv;

TEST_CASE("64 MiB from one driver to another, whole and under its name") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), (64u << 20) + 12345, 256 * 1024);
  Node seed(*loop), get(*loop);
  const auto seeding = seed.driver.add_seed(content.seed());
  const auto target = folder.path("got.bin");
  const auto added = add(*loop, get.driver, content.download(target, seed.driver));
  CHECK_FALSE(added.resumed);
  CHECK(get.driver.path(added.torrent) == target + ".part");
  const Instant begun = loop->now();
  REQUIRE(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
  MESSAGE("took " << seconds(loop->now() - begun) << " s");
  CHECK(get.driver.path(added.torrent) == target);
  CHECK(read_all(target) == content.bytes);
  CHECK_FALSE(std::filesystem::exists(target + ".part"));
  CHECK_FALSE(std::filesystem::exists(disk::checkpoint_path(target)));
  const auto stats = get.driver.stats(added.torrent);
  CHECK(stats.phase == core::Phase::whole);
  CHECK(stats.bytes_down == content.bytes.size());
  CHECK(stats.bytes_wasted == 0);
  CHECK(seed.driver.stats(seeding).bytes_up == content.bytes.size());
  CHECK(get.told<core::Failed>() == nullptr);
  CHECK(stop(*loop, get.driver));
  CHECK(stop(*loop, seed.driver));
}

TEST_CASE("a download that was stopped goes on where it was, without hashing or fetching anything again") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 32u << 20, 64 * 1024);
  const auto target = folder.path("got.bin");
  Node seed(*loop);
  seed.driver.add_seed(content.seed());

  std::uint32_t before = 0;
  {
    auto slow = options();
    slow.client.rate_down_max = 24u << 20;
    Node get(*loop, slow);
    const auto added = add(*loop, get.driver, content.download(target, seed.driver));
    REQUIRE(run_until(*loop, [&] { return get.driver.verified(added.torrent).count() > 100; }));
    CHECK(stop(*loop, get.driver));
    before = static_cast<std::uint32_t>(get.driver.verified(added.torrent).count());
    REQUIRE(before < content.info->piece_count());
  }
  CHECK(std::filesystem::exists(disk::checkpoint_path(target)));

  Node get(*loop);
  const auto added = add(*loop, get.driver, content.download(target, seed.driver));
  CHECK(added.resumed);
  CHECK(added.pieces_verified == before);
  CHECK(added.pieces_unchecked == 0);
  REQUIRE(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
  CHECK(read_all(target) == content.bytes);
  CHECK(get.driver.stats(added.torrent).bytes_down == content.bytes.size() - std::size_t{before} * 64 * 1024);
  CHECK_FALSE(std::filesystem::exists(disk::checkpoint_path(target)));
}

TEST_CASE("a download that was killed keeps what it had; a byte that changed meanwhile is found") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 16u << 20, 64 * 1024);
  const auto target = folder.path("got.bin");
  Node seed(*loop);
  seed.driver.add_seed(content.seed());

  std::optional<std::size_t> one;
  std::size_t before = 0;
  {
    auto slow = options();
    slow.client.rate_down_max = 24u << 20;
    Node get(*loop, slow);
    const auto added = add(*loop, get.driver, content.download(target, seed.driver));
    REQUIRE(run_until(*loop, [&] { return get.driver.verified(added.torrent).count() > 50; }));
    before = get.driver.verified(added.torrent).count();
    one = get.driver.verified(added.torrent).find(true);
  }  // without a stop: nothing is saved
  std::fstream part(target + ".part", std::ios::in | std::ios::out | std::ios::binary);
  part.seekp(static_cast<std::streamoff>(*one * 64 * 1024 + 5));
  part.put(static_cast<char>(~content.bytes[*one * 64 * 1024 + 5]));
  part.close();

  Node get(*loop);
  const auto added = add(*loop, get.driver, content.download(target, seed.driver));
  CHECK(added.resumed);
  CHECK(added.pieces_verified + added.pieces_unchecked >= before);
  REQUIRE(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
  CHECK(read_all(target) == content.bytes);
  CHECK(get.driver.stats(added.torrent).bytes_down < content.bytes.size() - (before - 2) * 64 * 1024);
}

TEST_CASE("several drivers share, each with each") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 8u << 20, 64 * 1024);
  Node seed(*loop);
  seed.driver.add_seed(content.seed());
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<TorrentId> ids;
  for (int i = 0; i < 4; ++i) {
    nodes.push_back(std::make_unique<Node>(*loop));
    auto download = content.download(folder.path("got" + std::to_string(i)), seed.driver);
    for (int other = 0; other < i; ++other) {
      download.peers.push_back({IpAddress::v4(0x7f000001), nodes[static_cast<std::size_t>(other)]->driver.port()});
    }
    ids.push_back(add(*loop, nodes.back()->driver, std::move(download)).torrent);
  }
  REQUIRE(run_until(
      *loop,
      [&] {
        return std::all_of(nodes.begin(), nodes.end(),
                           [](auto& n) { return n->template told<core::Finished>() != nullptr; });
      },
      60s));
  for (int i = 0; i < 4; ++i) CHECK(read_all(folder.path("got" + std::to_string(i))) == content.bytes);
}

TEST_CASE("a file that changes under its seed is no longer shared") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 1u << 20, 64 * 1024);
  auto quick = options();
  quick.changed_every = 20ms;
  Node seed(*loop, quick);
  seed.driver.add_seed(content.seed());
  SUBCASE("longer") { std::ofstream(content.path, std::ios::app) << "more"; }
  SUBCASE("shorter") { std::filesystem::resize_file(content.path, 1000); }
  SUBCASE("gone") { std::filesystem::remove(content.path); }
  SUBCASE("another one in its place") {
    std::filesystem::rename(content.path, folder.path("old"));
    std::filesystem::copy_file(folder.path("old"), content.path);
  }
  REQUIRE(run_until(*loop, [&] { return seed.told<core::Failed>() != nullptr; }));
  const Error& error = seed.told<core::Failed>()->error;
  CHECK(error.exit == Exit::integrity);
  CHECK(error.message == "content.bin changed on disk since hashing; stopped sharing it");
  CHECK(stop(*loop, seed.driver));
}

TEST_CASE("a file that shrinks while it is being sent ends the connection, never sends other bytes") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 16u << 20, 64 * 1024);
  auto patient = options();
  patient.changed_every = 1h;  // only reading tells
  patient.client.rate_up_max = 16u << 20;
  Node seed(*loop, patient), get(*loop);
  seed.driver.add_seed(content.seed());
  const auto added = add(*loop, get.driver, content.download(folder.path("got.bin"), seed.driver));
  REQUIRE(run_until(*loop, [&] { return get.driver.verified(added.torrent).count() > 10; }));
  std::filesystem::resize_file(content.path, 1000);
  REQUIRE(run_until(*loop, [&] { return seed.told<core::Failed>() != nullptr; }));
  CHECK(seed.told<core::Failed>()->error.exit == Exit::integrity);
  CHECK(get.driver.stats(added.torrent).hash_failures == 0);
}

TEST_CASE("a file that is not in memory is sent by workers, whole") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 16u << 20, 64 * 1024);
  auto patient = options();
  patient.changed_every = 1h;  // its workers have nothing else to do
  Node seed(*loop, patient), get(*loop);
  seed.driver.add_seed(content.seed());
  evict(content.path);
  add(*loop, get.driver, content.download(folder.path("got.bin"), seed.driver));
  bool worked = false;
  REQUIRE(run_until(*loop, [&] {
    worked = worked || seed.driver.workers().under_way() > 0;
    return get.told<core::Finished>() != nullptr;
  }));
  CHECK(worked);
  CHECK(read_all(folder.path("got.bin")) == content.bytes);
}

TEST_CASE("a target that cannot be written to ends the download, and a stop afterwards is clean") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 4u << 20, 64 * 1024);
  Node seed(*loop), get(*loop);
  seed.driver.add_seed(content.seed());
  const auto target = folder.path("got.bin");
  std::filesystem::create_symlink("/dev/full", target + ".part");  // links are not followed
  std::optional<Result<Added>> added;
  get.driver.add(content.download(target, seed.driver), [&](Result<Added> result) { added = std::move(result); });
  REQUIRE(run_until(*loop, [&] { return added && (!*added || get.told<core::Failed>() != nullptr); }));
  const Error error = *added ? get.told<core::Failed>()->error : added->error();
  CHECK(error.exit == Exit::disk);
  CHECK_FALSE(error.message.empty());
  CHECK(stop(*loop, get.driver));
}

TEST_CASE("a sync that fails ends the download and writes no checkpoint") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 16u << 20, 64 * 1024);
  auto slow = options();
  slow.client.rate_down_max = 8u << 20;
  Node seed(*loop), get(*loop, slow);
  seed.driver.add_seed(content.seed());
  const auto target = folder.path("got.bin");
  auto download = content.download(target, seed.driver);
  download.storage.fdatasync = [](int) {
    errno = EIO;
    return -1;
  };
  const auto added = add(*loop, get.driver, std::move(download));
  REQUIRE(run_until(*loop, [&] { return get.driver.verified(added.torrent).count() > 5; }));
  stop(*loop, get.driver);
  REQUIRE(get.told<core::Failed>() != nullptr);
  CHECK(get.told<core::Failed>()->error.exit == Exit::disk);
  CHECK_FALSE(std::filesystem::exists(disk::checkpoint_path(target)));
}

TEST_CASE("ports: a range is tried in order, then any or none") {
  const auto loop = make_loop();
  Node first(*loop);
  auto same = options();
  same.port_first = same.port_last = first.driver.port();
  Node other(*loop, same);
  CHECK(other.driver.port() != first.driver.port());
  same.any_port = false;
  Driver none(*loop, same);
  const auto listened = none.listen();
  REQUIRE_FALSE(listened);
  CHECK(listened.error().code == "port_in_use");
  CHECK(listened.error().exit == Exit::disk);
  const auto& who = first.driver.identity();
  CHECK(as_text(who.peer_id.view()).starts_with("-SW0100-"));
  CHECK(who.node_id.size() == 16);
  CHECK(who.peer_id != other.driver.identity().peer_id);
}

TEST_CASE("a peer is added by name; one that does not exist is told") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 1u << 20, 64 * 1024);
  Node seed(*loop), get(*loop);
  seed.driver.add_seed(content.seed());
  auto download = content.download(folder.path("got.bin"), seed.driver);
  download.peers.clear();
  const auto added = add(*loop, get.driver, std::move(download));
  get.driver.add_peer(added.torrent, {"no-such-host.invalid", 1});
  REQUIRE(run_until(*loop, [&] { return get.told<core::TrackerNews>() != nullptr; }));
  CHECK(get.told<core::TrackerNews>()->text.starts_with("cannot find host"));
  get.driver.add_peer(added.torrent, {"127.0.0.1", seed.driver.port()});
  CHECK(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
}

TEST_CASE("a driver may go away at any moment") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 16u << 20, 64 * 1024);
  for (const int turns : {0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144}) {
    Node seed(*loop);
    seed.driver.add_seed(content.seed());
    Node get(*loop);
    get.driver.add(content.download(folder.path("got" + std::to_string(turns)), seed.driver),
                   [](const Result<Added>&) {});
    for (int i = 0; i < turns && get.told<core::Finished>() == nullptr; ++i) loop->run_once();
  }
  CHECK(true);
}

TEST_CASE("strangers who say nothing, or nonsense, cost nothing that lasts") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 1u << 20, 64 * 1024);
  auto few = options();
  few.sockets_max = 30;
  Node seed(*loop, few);
  seed.driver.add_seed(content.seed());
  const Endpoint at{IpAddress::v4(0x7f000001), seed.driver.port()};
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 60; ++i) silent.push_back(std::make_unique<RawClient>(*loop, at));
  RawClient rude(*loop, at);
  rude.say("GET / HTTP/1.1\r\nHost: seed\r\n\r\n");
  CHECK(rude.wait_for_end());
  CHECK(run_until(*loop,
                  [&] { return std::count_if(silent.begin(), silent.end(), [](auto& c) { return c->ended; }) >= 30; }));
  Node get(*loop);
  const auto added = add(*loop, get.driver, content.download(folder.path("got.bin"), seed.driver));
  CHECK(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
  CHECK(get.driver.stats(added.torrent).bytes_done == content.bytes.size());
}

TEST_CASE("of the visitors who say nothing 150 may stay, the newest; who has spoken is not among them") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 1u << 20, 64 * 1024);
  Node seed(*loop);
  seed.driver.add_seed(content.seed());
  const Endpoint at{IpAddress::v4(0x7f000001), seed.driver.port()};
  const auto visitor = [&] { return std::make_unique<RawClient>(*loop, at); };
  const auto speaks = visitor();
  Buffer handshake = to_buffer(
      "\x13"
      "BitTorrent protocol" +
      std::string(8, '\0'));
  append(handshake, content.info->info_hash.view());
  append(handshake, as_bytes("-XX0000-abcdefghijkl"));
  speaks->say(as_text(handshake));
  REQUIRE(speaks->wait_for("BitTorrent protocol"));
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 400; ++i) {
    silent.push_back(visitor());
    if (i % 2 == 0)
      silent.back()->say(
          "\x13"
          "BitTorrent");                               // less than a handshake
    if (i % 5 == 0) silent[silent.size() / 2]->end();  // some go by themselves
  }
  const auto alive = [&] { return std::count_if(silent.begin(), silent.end(), [](auto& c) { return !c->ended; }); };
  CHECK(run_until(*loop, [&] { return alive() <= 150; }));
  CHECK_FALSE(silent.back()->ended);
  CHECK(silent.front()->ended);
  CHECK_FALSE(speaks->ended);
  Node get(*loop);
  add(*loop, get.driver, content.download(folder.path("got.bin"), seed.driver));
  CHECK(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
}
