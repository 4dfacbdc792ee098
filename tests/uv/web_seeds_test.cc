// Web seeds against a server of ours that knows ranges (and all ways to get them wrong), and against other people's.
#include "uv/web_seeds.hh"

#include <algorithm>
#include <charconv>
#include <map>

#include "nodes.hh"
#include "servers.hh"
#include "uv/http_server.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

constexpr ConnId conn{7};

/// A server of files that knows ranges.
struct FileServer {
  std::map<std::string, std::string> files;           ///< by target
  std::function<void(wire::HttpResponse&)> change{};  ///< how it errs
  bool knows_ranges = true;
  std::vector<std::string> asked;  ///< "target bytes=0-1"
  HttpServer http;
  Endpoint at;

  explicit FileServer(Loop& loop)
      : http(loop, [this](wire::HttpRequest& request, const Endpoint&, const Endpoint&, HttpReply reply) {
          reply.send(answer(request));
        }) {
    at = *http.listen(loopback_any_port);
  }
  wire::HttpResponse answer(const wire::HttpRequest& request) {
    const auto range = std::string(request.headers.find("range").value_or(""));
    asked.push_back(request.target + " " + range);
    wire::HttpResponse out;
    const auto file = files.find(request.target);
    if (request.path() == "/moved") {
      out.status = 302;
      out.headers.set("Location", std::string(request.query()));
    } else if (file == files.end()) {
      out.status = 404;
    } else if (!knows_ranges || range.empty()) {
      out.body = to_buffer(file->second);
    } else {
      std::size_t first = 0, last = 0;
      REQUIRE(std::sscanf(range.c_str(), "bytes=%zu-%zu", &first, &last) == 2);
      REQUIRE(last < file->second.size());
      out.status = 206;
      out.headers.set("Content-Range", "bytes " + range.substr(6) + "/" + std::to_string(file->second.size()));
      out.body = to_buffer(file->second.substr(first, last - first + 1));
    }
    if (change) change(out);
    return out;
  }
  std::string url(const std::string& target) const { return "http://" + at.text() + target; }
};

std::string random_text(std::size_t size) {
  Random random(size + 1);
  std::string out(size, ' ');
  for (auto& c : out) c = static_cast<char>(random.below(256));
  return out;
}

std::shared_ptr<wire::Metainfo> metainfo(bool folder, std::vector<wire::FileEntry> files) {
  auto info = std::make_shared<wire::Metainfo>();
  info->name = folder ? "a folder" : files[0].path[0];
  info->folder = folder;
  info->files = std::move(files);
  for (const auto& file : info->files) info->bytes_total += file.length;
  return info;
}

/// Stands where the driver stands: gives room, or none, and keeps what comes.
struct Taker {
  Loop& loop;
  HttpClient http;
  Buffer memory = Buffer(20'000);
  bool has_room = true;
  std::size_t no_room = 0, turns = 0;
  std::string got;
  std::optional<Result<void>> ended;
  std::function<void()> on_bytes{};
  WebSeeds seeds;

  explicit Taker(Loop& l, WebSeeds::Patience patience = {60s, 60s})
      : loop(l),
        http(l),
        seeds(l, http,
              {.room = [this]() -> ByteSpan { return has_room ? ByteSpan(memory) : ByteSpan(); },
               .on_bytes =
                   [this](ConnId c, std::size_t count) {
                     CHECK(c == conn);
                     CHECK(has_room);
                     CHECK_FALSE(ended);
                     got += as_text(ByteView(memory).first(count));
                     if (on_bytes) on_bytes();
                   },
               .on_no_room =
                   [this] {
                     ++no_room;
                     seeds.read(false);
                   },
               .on_ended =
                   [this](ConnId, const Result<void>& how) {
                     CHECK_FALSE(ended);
                     ended = how;
                   },
               .turn = [this] { ++turns; }},
              patience) {}

  void begin(const WebContent& content, std::uint64_t offset, std::uint64_t length, bool in_order = false) {
    got.clear();
    ended.reset();
    seeds.fetch(conn, content, 0, offset, length, in_order);
  }
  /// What came; the error's code when it ended with one.
  std::string fetch(const WebContent& content, std::uint64_t offset, std::uint64_t length, bool in_order = false) {
    begin(content, offset, length, in_order);
    CHECK(got.empty());  // nothing from inside fetch()
    REQUIRE(run_until(loop, [&] { return ended.has_value(); }));
    CHECK(seeds.size() == 0);
    return *ended ? got : ended->error().code;
  }
};

}  // namespace

TEST_CASE("web seeds: where a file is") {
  const auto single = metainfo(false, {{.path = {"a b&c.iso"}, .length = 1}});
  CHECK(web_seed_url("http://x/d/e.iso", *single, FileIndex{0}) == "http://x/d/e.iso");
  CHECK(web_seed_url("http://x/d/", *single, FileIndex{0}) == "http://x/d/a%20b%26c.iso");
  const auto folder = metainfo(true, {{.path = {"x", "y?.txt"}, .length = 1}, {.path = {"\xc3\xa4#%"}, .length = 1}});
  CHECK(web_seed_url("http://x", *folder, FileIndex{0}) == "http://x/a%20folder/x/y%3F.txt");
  CHECK(web_seed_url("http://x/d/", *folder, FileIndex{1}) == "http://x/d/a%20folder/%C3%A4%23%25");
  auto seeded = metainfo(false, {{.path = {"f"}, .length = 1}});
  seeded->web_seeds = {"http://a/", "ftp://b/", "nonsense", "https://c/"};
  const WebContent content(seeded, {"http://d/", "http://a/", "udp://e:1/"});
  CHECK(content.urls == std::vector<std::string>{"http://a/", "https://c/", "http://d/"});
}

TEST_CASE("web seeds: any range of a folder with padding and empty files is what stands there") {
  const auto loop = make_loop();
  FileServer server(*loop);
  Taker taker(*loop);
  const auto info = metainfo(true, {{.path = {"one"}, .length = 1000},
                                    {.path = {".pad", "24"}, .length = 24, .pad = true},
                                    {.path = {"empty"}, .length = 0},
                                    {.path = {"sub", "two"}, .length = 70'000},
                                    {.path = {".pad", "200000"}, .length = 200'000, .pad = true},
                                    {.path = {"three"}, .length = 1}});
  const auto one = random_text(1000), two = random_text(70'000), three = random_text(1);
  server.files = {{"/a%20folder/one", one}, {"/a%20folder/sub/two", two}, {"/a%20folder/three", three}};
  const std::string whole = one + std::string(24, '\0') + two + std::string(200'000, '\0') + three;
  REQUIRE(whole.size() == info->bytes_total);
  const WebContent content(info, {server.url("")});
  CHECK(taker.fetch(content, 0, whole.size()) == whole);
  CHECK(server.asked == std::vector<std::string>{"/a%20folder/one bytes=0-999", "/a%20folder/sub/two bytes=0-69999",
                                                 "/a%20folder/three bytes=0-0"});
  CHECK(taker.turns > 3);
  Random random(1);
  for (int i = 0; i < 100; ++i) {
    const auto offset = random.below(whole.size());
    const auto length = 1 + random.below(whole.size() - offset);
    CAPTURE(offset);
    CAPTURE(length);
    CHECK((taker.fetch(content, offset, length) == whole.substr(offset, length)));
  }
  CHECK(server.http.connections() == 1);
}

TEST_CASE("web seeds: a server that errs is not believed") {
  const auto loop = make_loop();
  FileServer server(*loop);
  Taker taker(*loop);
  const auto content_bytes = random_text(3 << 20);
  server.files["/f"] = content_bytes;
  const auto info = metainfo(false, {{.path = {"f"}, .length = content_bytes.size()}});
  const WebContent content(info, {server.url("/")});
  const auto range = content_bytes.substr(1000, 5000);
  CHECK(taker.fetch(content, 1000, 5000) == range);

  struct Row {
    const char* code;
    std::function<void(wire::HttpResponse&)> change;
    const char* text;
  };
  const std::string total = std::to_string(content_bytes.size());
  for (const Row& row : {
           Row{"http_status", [](auto& r) { r.status = 404; }, "answered 404 Not Found"},
           Row{"http_status", [](auto& r) { r.status = 416; }, "answered 416"},
           Row{"http_status", [](auto& r) { r.status = 204, r.body.clear(); }, "answered 204"},
           Row{"bad_reply", [](auto& r) { r.headers.fields.clear(); }, "which range"},
           Row{"bad_reply", [](auto& r) { r.headers.set("Content-Range", "pages 1-2/3"); }, "which range"},
           Row{"bad_reply", [](auto& r) { r.headers.set("Content-Range", "bytes 5-/7"); }, "which range"},
           Row{"bad_reply", [&](auto& r) { r.headers.set("Content-Range", "bytes 1001-6000/" + total); }, "1001-6000"},
           Row{"bad_reply", [&](auto& r) { r.headers.set("Content-Range", "bytes 1000-5998/" + total); }, "1000-5998"},
           Row{"wrong_length", [](auto& r) { r.headers.set("Content-Range", "bytes 1000-5999/6000"); },
               "has 6000 bytes"},
           Row{"wrong_length", [](auto& r) { r.status = 200; }, "has 5000 bytes"},
           Row{"bad_reply", [](auto& r) { r.headers.set("Content-Encoding", "gzip"); }, "encoded as gzip"},
           Row{"bad_reply", [](auto& r) { r.body.pop_back(); }, "1 bytes less"},
           Row{"bad_reply", [](auto& r) { r.body.push_back(0); }, "more than it was asked for"},
       }) {
    CAPTURE(std::string(row.text));
    server.change = row.change;
    CHECK(taker.fetch(content, 1000, 5000) == row.code);
    CHECK(taker.ended->error().exit == Exit::unreachable);
    CAPTURE(taker.ended->error().message);
    CHECK(taker.ended->error().message.find(row.text) != std::string::npos);
    CHECK(taker.http.under_way() == 0);
  }
  // A server need not know how long the file is.
  server.change = [](auto& r) { r.headers.set("Content-Range", "bytes 1000-5999/*"); };
  CHECK(taker.fetch(content, 1000, 5000) == range);
  server.change = {};
  CHECK(taker.fetch(content, 1000, 5000) == range);
}

TEST_CASE("web seeds: a server that ignores ranges says so once; then ranges that ascend cost its file once") {
  const auto loop = make_loop();
  FileServer server(*loop);
  server.knows_ranges = false;
  Taker taker(*loop);
  const auto bytes = random_text(9 << 20);
  server.files["/f"] = bytes;
  const WebContent content(metainfo(false, {{.path = {"f"}, .length = bytes.size()}}), {server.url("/f")});
  CHECK((taker.fetch(content, 0, bytes.size()) == bytes));  // the whole file is what was asked for
  CHECK(taker.seeds.kept() == 0);
  CHECK(taker.fetch(content, 5 << 20, 16'384) == core::ignores_ranges);
  CHECK(taker.ended->error().message.find("ignores ranges") != std::string::npos);
  CHECK(taker.got.empty());
  CHECK(taker.seeds.kept() == 1);
  server.asked.clear();
  // The reply that taught it, and no other, brings all of these.
  std::size_t at = 0;
  for (const std::size_t step : {16'384, 1, 100'000, 1 << 20, 4 << 20}) {
    CAPTURE(at);
    CHECK((taker.fetch(content, at, step, true) == bytes.substr(at, step)));
    at += step;
  }
  CHECK((taker.fetch(content, 7 << 20, 1000, true) == bytes.substr(7 << 20, 1000)));  // over what is not needed
  CHECK((taker.fetch(content, (7 << 20) + 1000, (2 << 20) - 1000, true) == bytes.substr((7 << 20) + 1000)));
  CHECK(server.asked.empty());
  CHECK(taker.seeds.bytes_dropped() == (7u << 20) - (16'384 + 1 + 100'000 + (5u << 20)));
  CHECK(taker.seeds.kept() == 0);
  CHECK(taker.http.under_way() == 0);
  // What lies behind costs the file from its start.
  CHECK((taker.fetch(content, 3 << 20, 1000, true) == bytes.substr(3 << 20, 1000)));
  CHECK(server.asked.size() == 1);
  CHECK((taker.fetch(content, 100, 1000, true) == bytes.substr(100, 1000)));
  CHECK(server.asked.size() == 2);
  // A fetch of another kind gives the reply up, and so does close().
  CHECK(taker.seeds.kept() == 1);
  CHECK(taker.fetch(content, 2000, 1000) == core::ignores_ranges);
  CHECK(server.asked.size() == 3);
  taker.seeds.close(conn);
  CHECK(taker.seeds.kept() == 0);
  CHECK(taker.http.under_way() == 0);
}

TEST_CASE("web seeds: a server that ignores ranges, and a folder: a reply for each file, any ascending ranges") {
  const auto loop = make_loop();
  FileServer server(*loop);
  server.knows_ranges = false;
  Taker taker(*loop);
  const auto info = metainfo(true, {{.path = {"one"}, .length = 300'000},
                                    {.path = {".pad", "24"}, .length = 24, .pad = true},
                                    {.path = {"empty"}, .length = 0},
                                    {.path = {"two"}, .length = 700'000},
                                    {.path = {"three"}, .length = 1},
                                    {.path = {"four"}, .length = 200'000}});
  std::string whole;
  for (const auto& file : info->files) {
    const auto bytes = file.pad ? std::string(file.length, '\0') : random_text(file.length);
    whole += bytes;
    if (!file.pad) server.files["/a%20folder/" + file.path.back()] = bytes;
  }
  const WebContent content(info, {server.url("")});
  Random random(3);
  for (int round = 0; round < 40; ++round) {
    taker.seeds.close(conn);
    server.asked.clear();
    // Some of what comes finds no room, as in a download whose disk is slow.
    const auto roomy = round % 2 == 0;
    taker.on_bytes = [&] { taker.has_room = roomy || random.below(8) != 0; };
    for (std::size_t at = 0; at < whole.size();) {
      at += random.below(3) == 0 ? std::min<std::size_t>(random.below(50'000), whole.size() - at) : 0;
      const auto length = std::min<std::size_t>(1 + random.below(200'000), whole.size() - at);
      if (length == 0) break;
      CAPTURE(at);
      CAPTURE(length);
      taker.begin(content, at, length, true);
      REQUIRE(run_until(*loop, [&] {
        if (!std::exchange(taker.has_room, true)) taker.seeds.read(true);
        return taker.ended.has_value();
      }));
      REQUIRE(*taker.ended);
      REQUIRE((taker.got == whole.substr(at, length)));
      at += length;
    }
    CHECK(server.asked.size() <= 4);  // each file once at most
  }
}

TEST_CASE("web seeds: a reply that waits too long for the next range is given up, and asked for anew") {
  const auto loop = make_loop();
  FileServer server(*loop);
  server.knows_ranges = false;
  Taker taker(*loop, {60s, 20ms});
  const auto bytes = random_text(3 << 20);
  server.files["/f"] = bytes;
  const WebContent content(metainfo(false, {{.path = {"f"}, .length = bytes.size()}}), {server.url("/f")});
  CHECK((taker.fetch(content, 0, 100'000, true) == bytes.substr(0, 100'000)));
  REQUIRE(run_until(*loop, [&] { return taker.seeds.kept() == 0; }));
  CHECK(taker.http.under_way() == 0);
  CHECK((taker.fetch(content, 100'000, 100'000, true) == bytes.substr(100'000, 100'000)));
  CHECK(server.asked.size() == 2);
}

TEST_CASE("web seeds: a server that ignores ranges and errs") {
  const auto loop = make_loop();
  const auto info = metainfo(false, {{.path = {"f"}, .length = 1'000'000}});
  const auto bytes = random_text(1'000'000);
  std::string reply;
  int asked = 0;
  std::vector<std::unique_ptr<TcpStream>> streams;
  TcpListener raw(*loop, [&](Descriptor socket, const Endpoint&) {
    const auto i = streams.size();
    streams.push_back(std::make_unique<TcpStream>(*loop, std::move(socket),
                                                  TcpStream::Events{.on_bytes =
                                                                        [&, i](ByteView) {
                                                                          ++asked;
                                                                          streams[i]->write(to_buffer(reply));
                                                                          streams[i]->end();
                                                                        },
                                                                    .on_end = [](int) {},
                                                                    .on_drained = [] {}}));
    streams.back()->read(true);
  });
  const auto at = raw.listen(loopback_any_port);
  REQUIRE(at);
  const WebContent content(info, {"http://" + at->text() + "/f"});
  Taker taker(*loop);
  SUBCASE("its file is too short, which shows at its end only") {
    reply = "HTTP/1.0 200 OK\r\n\r\n" + bytes.substr(0, 150'000);
    CHECK((taker.fetch(content, 0, 100'000, true) == bytes.substr(0, 100'000)));
    CHECK(taker.fetch(content, 100'000, 100'000, true) == "bad_reply");
    CHECK(taker.ended->error().message.find("50000 bytes less") != std::string::npos);
    CHECK(taker.seeds.kept() == 0);
  }
  SUBCASE("its file is too long") {
    reply = "HTTP/1.0 200 OK\r\n\r\n" + bytes + "x";
    CHECK((taker.fetch(content, 0, 900'000, true) == bytes.substr(0, 900'000)));
    CHECK(taker.fetch(content, 900'000, 100'000, true) == "bad_reply");
    CHECK(taker.ended->error().message.find("more than") != std::string::npos);
  }
  SUBCASE("it hangs up between two ranges: the next one is asked for anew") {
    reply = "HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes.substr(0, 60'000);
    CHECK((taker.fetch(content, 0, 50'000, true) == bytes.substr(0, 50'000)));
    reply = "HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes;
    CHECK((taker.fetch(content, 50'000, 50'000, true) == bytes.substr(50'000, 50'000)));
    CHECK(asked == 2);
  }
  CHECK(taker.http.under_way() == static_cast<std::size_t>(taker.seeds.kept()));
}

TEST_CASE("web seeds: redirects are followed, with the range; circles and other schemes are not") {
  const auto loop = make_loop();
  FileServer server(*loop);
  Taker taker(*loop);
  server.files["/there"] = "0123456789";
  const auto info = metainfo(false, {{.path = {"f"}, .length = 10}});
  CHECK(taker.fetch(WebContent(info, {server.url("/moved?/there")}), 2, 3) == "234");
  CHECK(taker.fetch(WebContent(info, {server.url("/moved?/moved?/moved?/there")}), 2, 3) == "234");
  server.change = [](auto& r) {
    if (r.status == 302) r.headers.set("Location", "/moved?/again");
  };
  CHECK(taker.fetch(WebContent(info, {server.url("/moved?x")}), 2, 3) == "redirect_refused");
  server.change = [](auto& r) {
    if (r.status == 302) r.headers.set("Location", "file:///etc/passwd");
  };
  CHECK(taker.fetch(WebContent(info, {server.url("/moved?x")}), 2, 3) == "redirect_refused");
}

TEST_CASE("web seeds: without room nothing is lost and little is taken; with room it goes on") {
  const auto loop = make_loop();
  FileServer server(*loop);
  Taker taker(*loop);
  const auto bytes = random_text(8 << 20);
  server.files["/f"] = bytes;
  const WebContent content(
      metainfo(false, {{.path = {"f"}, .length = 4u << 20}, {.path = {"pad"}, .length = 300'000, .pad = true}}),
      {server.url("/f")});
  server.files["/f"] = bytes.substr(0, 4 << 20);
  taker.on_bytes = [&] { taker.has_room = taker.got.size() % 7 != 0 && taker.got.size() % 300'000 < 250'000; };
  taker.begin(content, 0, (4 << 20) + 300'000);
  while (!taker.ended) {
    REQUIRE(run_until(*loop, [&] { return !taker.has_room || taker.ended; }));
    const auto before = taker.got.size();
    for (int i = 0; i < 5 && !taker.has_room; ++i) loop->run_once(false);
    if (!taker.has_room) CHECK(taker.got.size() == before);
    taker.has_room = true;
    taker.seeds.read(true);
  }
  CHECK(*taker.ended);
  CHECK(taker.no_room > 3);
  CHECK((taker.got == bytes.substr(0, 4 << 20) + std::string(300'000, '\0')));
}

TEST_CASE("web seeds: a server that stalls, and one that is not there") {
  const auto loop = make_loop();
  const auto info = metainfo(false, {{.path = {"f"}, .length = 10}});
  std::vector<std::unique_ptr<TcpStream>> streams;
  TcpListener stalling(*loop, [&](Descriptor socket, const Endpoint&) {
    const auto i = streams.size();
    streams.push_back(std::make_unique<TcpStream>(
        *loop, std::move(socket),
        TcpStream::Events{.on_bytes =
                              [&streams, i](ByteView) {
                                streams[i]->write(
                                    to_buffer("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes "
                                              "0-9/10\r\nContent-Length: 10\r\n\r\n0123"));
                              },
                          .on_end = [](int) {},
                          .on_drained = [] {}}));
    streams.back()->read(true);
  });
  const auto at = stalling.listen(loopback_any_port);
  REQUIRE(at);
  Taker taker(*loop, {1s, 1s});  // for connecting, too, on a busy machine
  CHECK(taker.fetch(WebContent(info, {"http://" + at->text() + "/f"}), 0, 10) == "stalled");
  CHECK(taker.got == "0123");
  Endpoint nobody;
  {
    TcpListener gone(*loop, [](const Descriptor&, const Endpoint&) {});
    nobody = *gone.listen(loopback_any_port);
  }
  CHECK(taker.fetch(WebContent(info, {"http://" + nobody.text() + "/f"}), 0, 10) == "connection_refused");
}

TEST_CASE("web seeds: closed from everywhere, and asked anew under the same name") {
  const auto loop = make_loop();
  FileServer server(*loop);
  Taker taker(*loop);
  const auto bytes = random_text(2 << 20);
  server.files["/f"] = bytes;
  const WebContent content(metainfo(false, {{.path = {"f"}, .length = bytes.size()}}), {server.url("/f")});
  for (const int turns : {0, 1, 2, 3, 4, 6, 9}) {
    taker.begin(content, 0, bytes.size());
    for (int i = 0; i < turns; ++i) loop->run_once();
    taker.seeds.close(conn);
    CHECK(taker.seeds.size() == 0);
    CHECK(taker.http.under_way() == 0);
    const auto got = taker.got.size();
    for (int i = 0; i < 3; ++i) loop->run_once(false);
    CHECK(taker.got.size() == got);
    CHECK((!taker.ended || (*taker.ended && got == bytes.size())));
  }
  // From inside on_bytes, where the rest of what came must not reach the next one.
  int began = 1;
  taker.on_bytes = [&] {
    if (taker.got.size() < 100'000 || ++began > 4) return;
    taker.got.clear();
    taker.seeds.fetch(conn, content, 0, 500'000, bytes.size() - 500'000);
  };
  taker.begin(content, 0, bytes.size());
  REQUIRE(run_until(*loop, [&] { return taker.ended.has_value(); }));
  CHECK(*taker.ended);
  CHECK((taker.got == bytes.substr(500'000)));
  taker.on_bytes = [&] { taker.seeds.close(conn); };
  taker.begin(content, 0, bytes.size());
  CHECK(run_until(*loop, [&] { return taker.seeds.size() == 0; }));
  CHECK_FALSE(taker.ended);
}

TEST_CASE("web seeds: other people's servers: Python's, without ranges, and one behind TLS") {
  auto& servers = Servers::shared();
  const Variable file("SSL_CERT_FILE", servers.authority()), folders("SSL_CERT_DIR", "");
  const auto loop = make_loop();
  Taker taker(*loop);
  const auto bytes = random_text(700'000);
  std::ofstream(servers.www("some file.bin"), std::ios::binary) << bytes;
  const WebContent plain(metainfo(false, {{.path = {"some file.bin"}, .length = bytes.size()}}),
                         {servers.url("files", "/", "127.0.0.1", "http")});
  CHECK((taker.fetch(plain, 0, bytes.size()) == bytes));
  CHECK(taker.fetch(plain, 300'000, 100'000) == core::ignores_ranges);
  CHECK((taker.fetch(plain, 300'000, 100'000, true) == bytes.substr(300'000, 100'000)));
  CHECK((taker.fetch(plain, 500'000, 200'000, true) == bytes.substr(500'000)));
  std::string counted(1'000'000, ' ');
  for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = static_cast<char>(i);
  const WebContent secure(metainfo(false, {{.path = {"f"}, .length = counted.size()}}),
                          {servers.url("good", "/large?1000000")});
  CHECK((taker.fetch(secure, 100'000, 900'000, true) == counted.substr(100'000)));
}

TEST_CASE("a download with a web seed and nobody else") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 40u << 20, 256 * 1024);
  FileServer server(*loop);
  server.files["/content.bin"] = std::string(as_text(content.bytes));
  SUBCASE("that knows ranges") {}
  SUBCASE("that ignores them: its file is sent once") { server.knows_ranges = false; }
  Node get(*loop);
  auto download = content.download(folder.path("got.bin"), get.driver);
  download.peers.clear();
  download.web_seeds = {server.url("/")};
  const auto added = add(*loop, get.driver, std::move(download));
  REQUIRE(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
  CHECK((read_all(folder.path("got.bin")) == content.bytes));
  CHECK(get.driver.stats(added.torrent).bytes_wasted == 0);
  CHECK(get.told<core::WebSeedNews>() == nullptr);
  if (!server.knows_ranges) CHECK(server.asked.size() == 1);
  CHECK(stop(*loop, get.driver));
}

TEST_CASE("a download with a web seed that lies, one that is gone, and an honest peer") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 8u << 20, 64 * 1024);
  FileServer server(*loop);
  server.files["/content.bin"] = random_text(content.bytes.size());
  Node seed(*loop), get(*loop);
  seed.driver.add_seed(content.seed());
  auto download = content.download(folder.path("got.bin"), seed.driver);
  download.web_seeds = {server.url("/"), server.url("/nowhere/")};
  const auto added = add(*loop, get.driver, std::move(download));
  REQUIRE(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
  CHECK((read_all(folder.path("got.bin")) == content.bytes));
  REQUIRE(get.told<core::WebSeedNews>() != nullptr);
  CHECK(get.told<core::WebSeedNews>()->web_seed == 1);
  CHECK(get.told<core::WebSeedNews>()->error.code == "http_status");
  CHECK(get.driver.stats(added.torrent).hash_failures > 0);
}
