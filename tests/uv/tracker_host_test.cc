#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <vector>

#include "base/sha1.hh"
#include "support.hh"
#include "uv/http_client.hh"
#include "uv/tracker_host.hh"
#include "uv/tracker_state.hh"
#include "uv/udp.hh"
#include "wire/metainfo.hh"
#include "wire/udp_tracker.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {
std::atomic<bool> folder_syncs_fail{false};  ///< of all threads: what has been renamed into a folder may not be durable
}

/// In front of libc's.
extern "C" int fsync(int fd) {
  struct stat s {};
  if (folder_syncs_fail && ::fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace {

Buffer torrent(const std::string& name) {
  wire::NewInfo fresh;
  fresh.name = name;
  fresh.piece_bytes = 16 * 1024;
  fresh.files.push_back({.path = {name}, .length = 5});
  fresh.pieces.push_back(sha1(as_bytes("12345")));
  auto info = wire::parse_info(wire::write_info(fresh), "test");
  REQUIRE(info);
  return wire::write_torrent(*info);
}

TrackerHostOptions options(const std::string& state) {
  TrackerHostOptions o;
  o.tracker.version = "0";
  o.tracker.name = "test";
  o.listen = {"127.0.0.1:0"};
  o.state = state;
  return o;
}

struct Tracker {
  Loop& loop;
  TrackerHost host;
  HttpClient client;
  std::string url;

  Tracker(Loop& l, TrackerHostOptions o) : loop(l), host(l, std::move(o)), client(l) {
    const auto at = host.start();
    REQUIRE(at);
    url = "http://" + at->front().text();
  }
  Result<wire::HttpResponse> ask(const std::string& method, const std::string& target, Buffer body = {}) {
    HttpAsk what{.url = url, .request = {}};
    what.request.method = method;
    what.request.target = target;
    what.request.body = std::move(body);
    std::optional<Result<wire::HttpResponse>> reply;
    client.ask(std::move(what), [&](Result<wire::HttpResponse> r) { reply = std::move(r); });
    REQUIRE(run_until(loop, [&] { return reply.has_value(); }));
    return std::move(*reply);
  }
  int status(const std::string& method, const std::string& target, Buffer body = {}) {
    const auto reply = ask(method, target, std::move(body));
    return reply ? reply->status : 0;
  }
  std::vector<std::string> files() {
    const auto reply = ask("GET", "/api/v1/files");
    REQUIRE(reply);
    const auto files = wire::files_from_json(as_text(reply->body));
    REQUIRE(files);
    std::vector<std::string> names;
    for (const auto& file : *files) names.push_back(file.name);
    return names;
  }
};

}  // namespace

TEST_CASE("the catalogue is on the disk when the reply comes, and is there after a restart") {
  const auto loop = make_loop();
  const TempFolder folder;
  const auto state = folder.path("below/state");
  {
    Tracker tracker(*loop, options(state));
    CHECK(tracker.status("PUT", "/api/v1/files/a.iso", torrent("a.iso")) / 100 == 2);
    CHECK(std::filesystem::exists(state + "/a.iso.torrent"));
    CHECK(tracker.status("PUT", "/api/v1/files/b.iso", torrent("b.iso")) / 100 == 2);
    CHECK(tracker.files() == std::vector<std::string>{"a.iso", "b.iso"});
    CHECK(tracker.status("DELETE", "/api/v1/files/a.iso") / 100 == 2);
    CHECK_FALSE(std::filesystem::exists(state + "/a.iso.torrent"));
  }  // as a kill would
  CHECK((std::filesystem::status(state).permissions() & std::filesystem::perms::all) ==
        std::filesystem::perms::owner_all);
  {
    Tracker tracker(*loop, options(state));
    CHECK(tracker.files() == std::vector<std::string>{"b.iso"});
    const auto handed_out = wire::parse_metainfo(tracker.ask("GET", "/t/b.iso.torrent")->body, "reply");
    REQUIRE(handed_out);  // with this tracker's announce URL, but the same info
    CHECK(handed_out->info == wire::parse_metainfo(torrent("b.iso"), "ours")->info);
    bool stopped = false;
    tracker.host.stop([&] { stopped = true; });
    CHECK(run_until(*loop, [&] { return stopped; }));
  }
}

TEST_CASE("what is no torrent in the state folder is told and left alone") {
  const auto loop = make_loop();
  const TempFolder folder;
  std::ofstream(folder.path("bad.iso.torrent")) << "<html>";
  std::ofstream(folder.path("notes.txt")) << "mine";
  std::ofstream(folder.path("good.torrent"), std::ios::binary) << as_text(torrent("good"));
  Tracker tracker(*loop, options(folder.path()));
  CHECK(tracker.files() == std::vector<std::string>{"good"});
  REQUIRE(tracker.host.left_out().size() == 1);
  CHECK(std::filesystem::exists(folder.path("bad.iso.torrent")));
  CHECK(std::filesystem::exists(folder.path("notes.txt")));
}

TEST_CASE("a change that cannot be written is told, and leaves the catalogue as it was, here and after a restart") {
  const auto loop = make_loop();
  const TempFolder folder;
  const auto state = folder.path("state");
  auto soon = options(state);
  soon.again_after = 20ms;
  {
    Tracker tracker(*loop, soon);
    CHECK(tracker.status("PUT", "/api/v1/files/b.iso", torrent("b.iso")) == 201);
    // A folder in the way: even root cannot put a file there.
    std::filesystem::create_directories(state + "/a.iso.torrent/x");
    const auto reply = tracker.ask("PUT", "/api/v1/files/a.iso", torrent("a.iso"));
    REQUIRE(reply);
    CHECK(reply->status == 500);
    const auto error = wire::api_error_from_json(as_text(reply->body));
    REQUIRE(error);
    CHECK_FALSE(error->message.empty());
    CHECK(tracker.files() == std::vector<std::string>{"b.iso"});
    CHECK(tracker.status("GET", "/t/a.iso.torrent") == 404);
    std::filesystem::remove_all(state + "/a.iso.torrent");
    // It is not written behind the person's back once there is room, but may be put again, and then stays: what was to
    // be set back is so no more.
    CHECK(tracker.status("PUT", "/api/v1/files/a.iso", torrent("a.iso")) == 201);
    bool later = false;
    Timer wait(*loop, [&] { later = true; });
    wait.start(5 * soon.again_after);
    CHECK(run_until(*loop, [&] { return later; }));
    CHECK(std::filesystem::is_regular_file(state + "/a.iso.torrent"));
    CHECK(tracker.files() == std::vector<std::string>{"a.iso", "b.iso"});
  }
  Tracker again(*loop, options(state));
  CHECK(again.files() == std::vector<std::string>{"a.iso", "b.iso"});
}

TEST_CASE("a folder that cannot be synced after a rename is told, and what was renamed is set back") {
  const auto loop = make_loop();
  const TempFolder folder;
  const auto state = folder.path("state");
  auto soon = options(state);
  soon.again_after = 20ms;
  const auto content = [&](const std::string& name) {
    std::ifstream in(state + "/" + name + ".torrent", std::ios::binary);
    return Buffer(std::istreambuf_iterator<char>(in), {});
  };
  {
    Tracker tracker(*loop, soon);
    CHECK(tracker.status("PUT", "/api/v1/files/a.iso", torrent("a.iso")) == 201);
    CHECK(tracker.status("PUT", "/api/v1/files/b.iso", torrent("b.iso")) == 201);
    const auto a_kept = content("a.iso");
    folder_syncs_fail = true;
    const auto added = tracker.ask("PUT", "/api/v1/files/c.iso", torrent("c.iso"));
    const auto replaced = tracker.ask("PUT", "/api/v1/files/a.iso?replace=1", torrent("other.iso"));
    const auto removed = tracker.ask("DELETE", "/api/v1/files/b.iso");
    folder_syncs_fail = false;
    for (const auto& reply : {added, replaced, removed}) {
      REQUIRE(reply);
      CHECK(reply->status == 500);
      const auto error = wire::api_error_from_json(as_text(reply->body));
      REQUIRE(error);
      CHECK(error->message.find("sync") != std::string::npos);
      CHECK(error->message.find("Input/output error") != std::string::npos);
    }
    CHECK(tracker.files() == std::vector<std::string>{"a.iso", "b.iso"});
    CHECK(tracker.status("GET", "/t/c.iso.torrent") == 404);
    // Setting back was not durable either; it is done again until it is.
    CHECK(run_until(*loop, [&] { return content("b.iso").size() > 0 && content("c.iso").empty(); }));
    CHECK(content("a.iso") == a_kept);
    CHECK(tracker.status("PUT", "/api/v1/files/d.iso", torrent("d.iso")) == 201);
  }
  Tracker again(*loop, options(state));
  CHECK(again.files() == std::vector<std::string>{"a.iso", "b.iso", "d.iso"});
  CHECK(again.host.left_out().empty());
}

TEST_CASE("a file that cannot be removed stays in the catalogue") {
  const auto loop = make_loop();
  const TempFolder folder;
  const auto state = folder.path("state");
  Tracker tracker(*loop, options(state));
  CHECK(tracker.status("PUT", "/api/v1/files/a.iso", torrent("a.iso")) == 201);
  std::filesystem::remove(state + "/a.iso.torrent");
  std::filesystem::create_directories(state + "/a.iso.torrent/x");
  CHECK(tracker.status("DELETE", "/api/v1/files/a.iso") == 500);
  CHECK(tracker.files() == std::vector<std::string>{"a.iso"});
  CHECK(tracker.status("GET", "/t/a.iso.torrent") == 200);
}

TEST_CASE("many changes at once are made one after the other, in their order") {
  const auto loop = make_loop();
  const TempFolder folder;
  const auto state = folder.path("state");
  std::vector<int> statuses;
  {
    Tracker tracker(*loop, options(state));
    // On one connection, since the order of requests on several is nobody's to say.
    RawClient client(*loop, *Endpoint::from(tracker.url.substr(7)));
    const auto body = std::string(as_text(torrent("x")));
    std::string all;
    for (int i = 0; i < 20; ++i) {
      all += "PUT /api/v1/files/x HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
             body + "DELETE /api/v1/files/x HTTP/1.1\r\nHost: x\r\n\r\n";
    }
    client.say(all);
    // And from others at the same time.
    std::size_t put = 0, done = 0;
    for (int i = 0; i < 30; ++i) {
      HttpAsk what{.url = tracker.url, .request = {}};
      what.request.method = "PUT";
      what.request.target = "/api/v1/files/other" + std::to_string(i);
      what.request.body = torrent("other" + std::to_string(i));
      tracker.client.ask(std::move(what), [&](const Result<wire::HttpResponse>& r) {
        ++done;
        put += r && r->status == 201 ? 1 : 0;
      });
    }
    REQUIRE(run_until(*loop, [&] { return count(client.heard, "HTTP/1.1 ") == 40 && done == 30; }));
    CHECK(count(client.heard, "HTTP/1.1 201 Created") == 20);
    CHECK(count(client.heard, "HTTP/1.1 204 No Content") == 20);
    CHECK(put == 30);
    CHECK(tracker.files().size() == 30);
  }
  Tracker again(*loop, options(state));
  CHECK(again.files().size() == 30);
}

TEST_CASE("UDP has TCP's port: what is announced there is known here") {
  const auto loop = make_loop();
  Tracker tracker(*loop, options(""));
  const auto at = *Endpoint::from(tracker.url.substr(7));
  std::optional<wire::UdpReply> heard;
  UdpSocket socket(*loop, [&](ByteView bytes, const Endpoint& from, const IpAddress&) {
    CHECK(from == at);
    heard = wire::decode_udp_reply(bytes, wire::UdpFamily::v4);
  });
  REQUIRE(socket.bind(loopback_any_port));
  const auto ask = [&](const Buffer& datagram) {
    heard.reset();
    CHECK(socket.send(at, datagram));
    REQUIRE(run_until(*loop, [&] { return heard.has_value(); }));
    return *heard;
  };
  const auto connected = ask(encode(wire::UdpConnect{1}));
  REQUIRE(std::holds_alternative<wire::UdpConnected>(connected));
  wire::UdpAnnounce a;
  a.connection_id = std::get<wire::UdpConnected>(connected).connection_id;
  a.request.info_hash = sha1(as_bytes("something"));
  a.request.peer_id.bytes.fill(1);
  a.request.port = 6881;
  CHECK(std::holds_alternative<wire::UdpAnnounced>(ask(encode(a))));
  CHECK(tracker.host.status().nodes.size() == 1);

  auto without = options("");
  without.udp = false;
  Tracker silent(*loop, without);
  UdpSocket same(*loop, nullptr);
  CHECK(same.bind(*Endpoint::from(silent.url.substr(7))));  // nobody else is there
  UdpSocket taken(*loop, nullptr);
  const auto in_use = taken.bind(at);
  REQUIRE_FALSE(in_use);
  CHECK(in_use.error().code == "port_in_use");
}

TEST_CASE("a port that UDP has taken cannot be listened at, and is not held by half") {
  const auto loop = make_loop();
  UdpSocket other(*loop, nullptr);
  const auto at = other.bind(loopback_any_port);
  REQUIRE(at);
  auto o = options("");
  o.listen = {at->text()};
  const auto failed = TrackerHost(*loop, o).start();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == "port_in_use");
  o.udp = false;
  CHECK(TrackerHost(*loop, o).start());
}

TEST_CASE("events over HTTP: a snapshot, a delta when something changes, and the rest for who comes back") {
  const auto loop = make_loop();
  Tracker tracker(*loop, options(""));
  const auto at = *Endpoint::from(tracker.url.substr(7));
  const auto follow = [&](RawClient& client, const std::string& more = {}) {
    client.say("GET /api/v1/events HTTP/1.1\r\nHost: nas:6969\r\n" + more + "\r\n");
  };
  std::string last;
  {
    RawClient client(*loop, at);
    follow(client);
    REQUIRE(client.wait_for("event: snapshot\n"));
    CHECK(client.heard.find("Content-Type: text/event-stream\r\n") != std::string::npos);
    CHECK(tracker.status("PUT", "/api/v1/files/a.iso", torrent("a.iso")) == 201);
    REQUIRE(client.wait_for("\"event\":\"file_added\""));
    REQUIRE(client.wait_for("http://nas:6969/t/a.iso.torrent"));
    const auto id = client.heard.rfind("id: ") + 4;
    last = client.heard.substr(id, client.heard.find('\n', id) - id);
    client.end();
    REQUIRE(run_until(*loop, [&] { return client.ended || tracker.host.connections() < 2; }));
  }
  CHECK(tracker.status("PUT", "/api/v1/files/b.iso", torrent("b.iso")) == 201);
  RawClient back(*loop, at);
  follow(back, "Last-Event-ID: " + last + "\r\n");
  REQUIRE(back.wait_for("b.iso"));
  CHECK(back.heard.find("snapshot") == std::string::npos);
  CHECK(back.heard.find("a.iso") == std::string::npos);

  bool stopped = false;
  tracker.host.stop([&] { stopped = true; });
  CHECK(back.wait_for_end());
  CHECK(run_until(*loop, [&] { return stopped; }));
}

TEST_CASE("followers who leave make room for others") {
  const auto loop = make_loop();
  Tracker tracker(*loop, options(""));
  const auto at = *Endpoint::from(tracker.url.substr(7));
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 64; ++i) {
      clients.push_back(std::make_unique<RawClient>(*loop, at));
      clients.back()->say("GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (auto& client : clients) REQUIRE(client->wait_for("snapshot"));
    CHECK(tracker.status("GET", "/api/v1/events") == 503);
    const auto metrics = tracker.ask("GET", "/metrics");
    REQUIRE(metrics);
    CHECK(as_text(metrics->body).find("swarm_tracker_followers 64\n") != std::string::npos);
    CHECK(as_text(metrics->body).find("process_resident_memory_bytes ") != std::string::npos);
    clients.clear();
    REQUIRE(run_until(*loop, [&] { return tracker.host.connections() <= 1; }));
  }
}

TEST_CASE("a name that is too long for a file's is kept, found again and dropped") {
  const TempFolder folder;
  const std::string state = folder.path("state");
  const std::string name(255, 'x');
  REQUIRE(load_state(state));
  REQUIRE(apply_save(state, core::KeepFile{name, to_buffer("d1:ae")}));
  auto kept = load_state(state);
  REQUIRE(kept);
  REQUIRE(kept->size() == 1);
  CHECK(kept->front().name == name);
  REQUIRE(apply_save(state, core::DropFile{name}));
  CHECK(load_state(state)->empty());
  CHECK(std::filesystem::is_empty(state));
}

TEST_CASE("names of the catalogue as names of files, and back") {
  CHECK(state_file_name("debian.iso") == "debian.iso.torrent");
  CHECK(state_file_name("a/b") == "a%2Fb.torrent");
  CHECK(state_file_name("..") == "%2E..torrent");
  CHECK(state_file_name(".hidden") == "%2Ehidden.torrent");
  CHECK(state_file_name("100%") == "100%25.torrent");
  CHECK(state_file_name("a\nb") == "a%0Ab.torrent");
  CHECK(state_file_name("größe") == "größe.torrent");
  CHECK(state_file_name("=x") == "%3Dx.torrent");
  CHECK(state_file_name(std::string(255, 'x')).size() == 1 + 40 + 8);
  CHECK(state_file_name(std::string(255, 'x')).starts_with('='));
  const TempFolder folder;
  for (const auto* name : {"debian.iso", "a/b", "..", ".hidden", "100%", "a b", "größe", "x.torrent"}) {
    CAPTURE(name);
    REQUIRE(apply_save(folder.path(), core::KeepFile{name, to_buffer(name)}));
    const auto kept = load_state(folder.path());
    REQUIRE(kept);
    REQUIRE(kept->size() == 1);
    CHECK(kept->front().name == name);
    CHECK(kept->front().torrent.value() == name);
    REQUIRE(apply_save(folder.path(), core::DropFile{name}));
    CHECK(load_state(folder.path())->empty());
  }
  CHECK(apply_save(folder.path(), core::DropFile{"never there"}));
}

TEST_CASE("a state folder that cannot be made, a port in use, an address that is none") {
  const auto loop = make_loop();
  const TempFolder folder;
  std::ofstream(folder.path("file")) << "x";
  const auto start = [&](TrackerHostOptions o) { return TrackerHost(*loop, std::move(o)).start(); };
  auto failed = start(options(folder.path("file/state")));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().exit == Exit::disk);

  const Tracker tracker(*loop, options(""));
  auto same = options("");
  same.listen = {tracker.url.substr(7)};
  failed = start(same);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == "port_in_use");
  CHECK(failed.error().hint.starts_with("Use --listen :"));

  for (const auto* nonsense : {"nonsense:port", "1.2.3.4:99999", ":x"}) {
    same.listen = {nonsense};
    CAPTURE(nonsense);
    CHECK_FALSE(start(same));
  }
  for (const auto* fine : {":0", "0", "127.0.0.1:0", "[::1]:0", "localhost:0"}) {
    same.listen = {fine};
    CAPTURE(fine);
    const auto at = start(same);
    if (std::string_view(fine) != "[::1]:0") CHECK(at);
    if (at) CHECK(at->front().port != 0);
  }
}

TEST_CASE("notices come with the requests that cause them") {
  const auto loop = make_loop();
  Tracker tracker(*loop, options(""));
  std::vector<std::string> added;
  tracker.host.set_notice([&](const core::TrackerNotice& notice) {
    if (const auto* file = std::get_if<core::FileAdded>(&notice)) added.push_back(file->name);
  });
  CHECK(tracker.status("PUT", "/api/v1/files/a.iso", torrent("a.iso")) / 100 == 2);
  CHECK(added == std::vector<std::string>{"a.iso"});
  CHECK(tracker.host.status().files.size() == 1);
}
