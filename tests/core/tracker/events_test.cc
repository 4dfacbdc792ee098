#include "core/tracker/events.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/random.hh"
#include "base/text.hh"

using namespace swarm;
using namespace swarm::core;

namespace {

struct Event {
  std::string id, name, data;
};

/// What a browser would make of the stream: events, and the number of comments.
struct Stream {
  std::vector<Event> events;
  std::size_t comments = 0, bytes = 0;

  void on_bytes(const Buffer& more) {
    bytes += more.size();
    Event event;
    for (const auto line : split(as_text(more), '\n')) {
      if (line.starts_with(":")) ++comments;
      if (line.starts_with("id: ")) event.id = line.substr(4);
      if (line.starts_with("event: ")) event.name = line.substr(7);
      if (line.starts_with("data: ")) event.data = line.substr(6);
      if (line.empty() && !event.data.empty()) events.push_back(std::exchange(event, {}));
    }
    CHECK(as_text(more).ends_with("\n\n"));
  }
};

wire::StatusNode node(const std::string& id, double percent = 10, double seen_s = 0) {
  wire::StatusNode n;
  n.id = id;
  n.name = "node " + id;
  n.role = "leecher";
  n.files.push_back({});
  n.files[0].percent = percent;
  n.seen_s = seen_s;
  return n;
}

wire::StatusFile file(const std::string& name, std::uint32_t seeders = 1) {
  wire::StatusFile f;
  f.name = name;
  f.info_hash.bytes.fill(static_cast<std::uint8_t>(name.size()));
  f.seeders = seeders;
  return f;
}

struct Fixture {
  Events events{"cafe"};
  Instant now{1h};
  wire::Status view;
  std::map<FollowerId, Stream> heard;

  std::optional<FollowerId> follow(const std::string& last = {}, const std::string& url = "http://nas:6969") {
    if (events.wants_view(now)) events.on_view(view, now);
    const auto id = events.follow(url, last, now);
    take();
    return id;
  }
  void tick() {
    now += 1s;
    if (events.wants_view(now)) events.on_view(view, now);
    events.on_time(now);
    take();
  }
  void take() {
    for (auto& [id, bytes] : events.take()) heard[id].on_bytes(bytes);
  }
  std::vector<Event>& of(const std::optional<FollowerId>& id) { return heard[id.value()].events; }
};

/// What a follower has made of what it was told.
struct Mirror {
  std::map<std::string, double> nodes;  ///< id → percent
  std::map<std::string, std::uint32_t> files;
  std::string id;

  void on_event(const Event& event) {
    id = event.id;
    if (event.name == "snapshot") {
      const auto status = wire::status_from_json(event.data);
      REQUIRE(status);
      nodes.clear(), files.clear();
      for (const auto& n : status->nodes) nodes[n.id] = n.files[0].percent;
      for (const auto& f : status->files) files[f.name] = f.seeders;
      return;
    }
    REQUIRE(event.name == "delta");
    const auto delta = wire::delta_from_json(event.data);
    REQUIRE(delta);
    for (const auto& n : delta->nodes) nodes[n.id] = n.files[0].percent;
    for (const auto& f : delta->files) files[f.name] = f.seeders;
    for (const auto& gone : delta->nodes_gone) REQUIRE(nodes.erase(gone) == 1);
    for (const auto& gone : delta->files_gone) REQUIRE(files.erase(gone.name) == 1);
  }
  bool is(const wire::Status& view) const {
    Mirror now;
    for (const auto& n : view.nodes) now.nodes[n.id] = n.files[0].percent;
    for (const auto& f : view.files) now.files[f.name] = f.seeders;
    return nodes == now.nodes && files == now.files;
  }
};

}  // namespace

TEST_CASE("a snapshot first, then what is different, and nothing when nothing is") {
  Fixture f;
  f.view.tracker.name = "nas";
  f.view.nodes = {node("a"), node("b")};
  f.view.files = {file("debian.iso")};
  const auto id = f.follow();
  REQUIRE(f.of(id).size() == 1);
  CHECK(f.of(id)[0].name == "snapshot");
  CHECK(f.of(id)[0].id == "cafe.0");
  const auto snapshot = wire::status_from_json(f.of(id)[0].data);
  REQUIRE(snapshot);
  CHECK(snapshot->tracker.url == "http://nas:6969");
  CHECK(snapshot->nodes.size() == 2);
  CHECK(snapshot->files[0].torrent_url == "http://nas:6969/t/debian.iso.torrent");

  for (int i = 0; i < 10; ++i) f.tick();
  CHECK(f.of(id).size() == 1);

  f.view.nodes[1] = node("b", 20);
  f.view.nodes.push_back(node("c"));
  f.view.nodes.erase(f.view.nodes.begin());
  f.view.files = {file("ubuntu.iso2", 3)};
  f.tick();
  REQUIRE(f.of(id).size() == 2);
  CHECK(f.of(id)[1].id == "cafe.1");
  const auto delta = wire::delta_from_json(f.of(id)[1].data);
  REQUIRE(delta);
  REQUIRE(delta->nodes.size() == 2);
  CHECK(delta->nodes[0].files[0].percent == 20);
  CHECK(delta->nodes_gone == std::vector<std::string>{"a"});
  REQUIRE(delta->files.size() == 1);
  CHECK(delta->files[0].seeders == 3);
  REQUIRE(delta->files_gone.size() == 1);
  CHECK(delta->files_gone[0].name == "debian.iso");
  f.tick();
  CHECK(f.of(id).size() == 2);
}

TEST_CASE("at most one delta a second, however often somebody looks") {
  Fixture f;
  const auto id = f.follow();
  for (int i = 1; i <= 100; ++i) {
    f.now += 100ms;
    f.view.nodes = {node("a", i)};
    if (f.events.wants_view(f.now)) f.events.on_view(f.view, f.now);
    f.take();
  }
  CHECK(f.of(id).size() == 1 + 10);
}

TEST_CASE("a silence is told when it begins and when it ends, not as it grows") {
  Fixture f;
  f.view.nodes = {node("a")};
  const auto id = f.follow();
  for (int s = 3; s <= 30; ++s) {
    f.view.nodes = {node("a", 10, s)};
    f.tick();
  }
  REQUIRE(f.of(id).size() == 2);
  CHECK(wire::delta_from_json(f.of(id)[1].data)->nodes[0].seen_s == 3);
  f.view.nodes = {node("a", 10, 2)};  // a plain client has announced, two seconds ago
  f.tick();
  CHECK(f.of(id).size() == 3);
  f.view.nodes = {node("a", 10, 0)};
  f.tick();
  CHECK(f.of(id).size() == 4);
}

TEST_CASE("notices come with the next delta; good pieces are not among them") {
  Fixture f;
  const auto id = f.follow();
  f.events.on_notice(NodeJoined{"pi", "1.2.3.4:5", "leecher", true});
  f.events.on_notice(NodeGets{"pi", "1.2.3.4:5", "debian.iso"});
  f.events.on_notice(NodeChecked{"pi", "1.2.3.4:5", "debian.iso", {3, 1, true, {}}});
  f.events.on_notice(NodeChecked{"pi", "1.2.3.4:5", "debian.iso", {4, 2, false, {*Endpoint::from("6.6.6.6:6")}}});
  f.events.on_notice(NodeCompleted{"pi", "1.2.3.4:5", "debian.iso"});
  f.events.on_notice(NodeLeft{"pi", "1.2.3.4:5", true});
  f.events.on_notice(FileAdded{"x", 7, 1, 16384});
  f.events.on_notice(FileRemoved{"x"});
  f.tick();
  REQUIRE(f.of(id).size() == 2);
  const auto delta = wire::delta_from_json(f.of(id)[1].data);
  REQUIRE(delta);
  std::vector<std::string> events;
  for (const auto& n : delta->notices) events.push_back(n.event);
  CHECK(events ==
        std::vector<std::string>{"joined", "gets", "piece", "completed", "left", "file_added", "file_removed"});
  CHECK(delta->notices[0].plain);
  CHECK(delta->notices[2].pieces->first == 4);
  CHECK_FALSE(delta->notices[2].pieces->ok);
  CHECK(delta->notices[2].pieces->from.size() == 1);
  CHECK(delta->notices[4].silent);
  CHECK(delta->notices[5].bytes == 7);

  for (int i = 0; i < 5'000; ++i) f.events.on_notice(NodeGets{"pi", "1.2.3.4:5", std::to_string(i)});
  f.tick();
  const auto flood = wire::delta_from_json(f.of(id).back().data);
  REQUIRE(flood->notices.size() == Events::notices_max);
  CHECK(flood->notices.back().file == "4999");
}

TEST_CASE("who comes back gets what it missed; with an id that is unknown or too old, a snapshot") {
  Fixture f;
  const auto first = f.follow();
  for (int i = 1; i <= 5; ++i) f.view.nodes = {node("a", i)}, f.tick();
  const auto last = f.of(first)[2].id;
  CHECK(last == "cafe.2");
  f.events.leave(*first);
  const auto back = f.follow(last);
  REQUIRE(f.of(back).size() == 3);
  CHECK(f.of(back)[0].name == "delta");
  CHECK(f.of(back)[0].id == "cafe.3");
  CHECK(f.of(back)[2].id == "cafe.5");
  const auto current = f.follow("cafe.5");
  CHECK(f.of(current).empty());
  for (const auto* foreign : {"cafe.6", "cafe.", "cafe.x", "cafe.5x", "beef.2", "cafe", "", "cafe.99999999999999999999",
                              "cafe.-1", "cafe.18446744073709551615"}) {
    CAPTURE(foreign);
    const auto other = f.follow(foreign);
    REQUIRE(f.of(other).size() == 1);
    CHECK(f.of(other)[0].name == "snapshot");
    CHECK(f.of(other)[0].id == "cafe.5");
    f.events.leave(*other);
  }
  // While nobody follows nothing is kept up, and what became different comes in one delta.
  f.events.leave(*back), f.events.leave(*current);
  f.view.nodes = {node("b", 7)};
  f.now += 1h;
  const auto late = f.follow("cafe.5");
  REQUIRE(f.of(late).size() == 1);
  CHECK(f.of(late)[0].id == "cafe.6");
  CHECK(wire::delta_from_json(f.of(late)[0].data)->nodes_gone == std::vector<std::string>{"a"});

  for (std::size_t i = 0; i < Events::deltas_max + 1; ++i)
    f.view.nodes = {node("b", static_cast<double>(i % 90))}, f.tick();
  CHECK(f.of(f.follow("cafe.6"))[0].name == "snapshot");
  CHECK(f.of(f.follow("cafe.8"))[0].name == "delta");
}

TEST_CASE("the ring is bounded in bytes, too") {
  Fixture f;
  f.follow();
  for (int round = 1; round <= 8; ++round) {
    f.view.nodes.clear();
    for (int i = 0; i < 4'000; ++i) f.view.nodes.push_back(node(std::to_string(i), round));
    f.tick();
  }
  CHECK(f.of(f.follow("cafe.1"))[0].name == "snapshot");  // it would have been 6 MB
  CHECK(f.of(f.follow("cafe.7"))[0].name == "delta");
}

TEST_CASE("followers are bounded, get links that they can use, and are told that the connection lives") {
  Fixture f;
  f.view.files = {file("a b.iso")};
  std::vector<FollowerId> all;
  for (std::size_t i = 0; i < Events::followers_max; ++i) {
    const auto id = f.follow({}, i % 2 == 0 ? "http://nas:6969" : "http://10.0.0.1:6969");
    REQUIRE(id);
    all.push_back(*id);
  }
  CHECK_FALSE(f.follow());
  CHECK(f.events.size() == Events::followers_max);
  f.view.files[0].seeders = 5;
  f.tick();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto delta = wire::delta_from_json(f.of(all[i])[1].data);
    REQUIRE(delta);
    CHECK(delta->files[0].torrent_url ==
          (i % 2 == 0 ? "http://nas:6969" : "http://10.0.0.1:6969") + std::string("/t/a%20b.iso.torrent"));
  }
  for (int s = 0; s < 60; ++s) f.tick();
  CHECK(f.heard[all[0]].comments == 4);
  CHECK(f.of(all[0]).size() == 2);
  f.events.leave(all[0]);
  CHECK(f.follow());
}

TEST_CASE("nothing waits for who has left") {
  Fixture f;
  f.events.on_view(f.view, f.now);
  const auto id = f.events.follow("", "", f.now);
  f.events.leave(*id);
  CHECK(f.events.take().empty());
  CHECK(f.events.empty());
}

TEST_CASE("whatever happens, followers who come, go and come back see what there is") {
  Fixture f;
  Random random(11);
  struct Reader {
    Mirror mirror;
    std::optional<FollowerId> id;
  };
  std::vector<Reader> readers(8);
  const auto read = [&](Reader& r) {
    for (const auto& event : std::exchange(f.of(r.id), {})) r.mirror.on_event(event);
  };
  for (int step = 0; step < 5'000; ++step) {
    for (auto n = random.below(4); n > 0; --n) {
      const auto name = std::string(1 + random.below(12), 'x');
      std::erase_if(f.view.nodes, [&](const auto& x) { return x.id == name; });
      std::erase_if(f.view.files, [&](const auto& x) { return x.name == name; });
      if (random.below(3) != 0) f.view.nodes.push_back(node(name, static_cast<double>(random.below(100))));
      if (random.below(3) != 0) f.view.files.push_back(file(name, static_cast<std::uint32_t>(random.below(9))));
    }
    auto& reader = readers[random.below(readers.size())];
    if (reader.id && random.below(6) == 0) {
      read(reader);
      f.events.leave(*std::exchange(reader.id, {}));
    } else if (!reader.id) {
      reader.id = f.follow(random.below(4) == 0 ? std::string() : reader.mirror.id);
    }
    f.tick();
    for (auto& r : readers) {
      if (!r.id) continue;
      read(r);
      REQUIRE(r.mirror.is(f.view));
    }
  }
}
