#include "wire/sse.hh"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/random.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

/// "type|data|id" of each event of a stream that comes whole.
std::vector<std::string> events(std::string_view stream) {
  EventReader reader;
  CHECK(reader.on_received(as_bytes(stream)));
  std::vector<std::string> out;
  while (const auto e = reader.next()) out.push_back(e->type + "|" + e->data + "|" + e->id);
  return out;
}

using Events = std::vector<std::string>;

}  // namespace

TEST_CASE("events, as the standard's examples have them") {
  CHECK(events("data: YHOO\ndata: +2\ndata: 10\n\n") == Events{"message|YHOO\n+2\n10|"});
  CHECK(events(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n") ==
        Events{"message|first event|1", "message|second event|", "message| third event|"});
  CHECK(events("data\n\ndata\ndata\n\ndata:") == Events{"message||", "message|\n|"});  // the last one has no end
  CHECK(events("data:test\n\ndata: test\n\n") == Events{"message|test|", "message|test|"});
  CHECK(events("event: add\ndata: 1\n\nevent: remove\ndata: 2\n\ndata: 3\n\n") ==
        Events{"add|1|", "remove|2|", "message|3|"});
}

TEST_CASE("line ends of every kind, a byte order mark, and what is passed over") {
  CHECK(events("\xef\xbb\xbf"
               "data: a\r\n\r\ndata: b\r\rdata: c\n\n") == Events{"message|a|", "message|b|", "message|c|"});
  CHECK(events("data: \xef\xbb\xbf"
               "a\n\n") == Events{"message|\xef\xbb\xbf"
                                  "a|"});
  CHECK(events("nothing: x\nDATA: x\n data: x\n\n").empty());
  CHECK(events("event: lonely\n\ndata: x\n\n") == Events{"message|x|"});
  CHECK(events("event:\ndata: x\n\n") == Events{"message|x|"});
  CHECK(events(std::string("id: a\0b\ndata: x\n\n", 17)) == Events{"message|x|"});
  CHECK(events("\n\n\n\n").empty());
}

TEST_CASE("the id lives on, also of an event without data; retry is the server's wish") {
  EventReader reader;
  CHECK(reader.on_received(as_bytes("id: 7\ndata: x\n\ndata: y\n\nid: 8\n\n")));
  CHECK(reader.next()->id == "7");
  CHECK(reader.next()->id == "7");
  CHECK(!reader.next());
  CHECK(reader.last_id() == "8");
  CHECK(reader.on_received(as_bytes("id: 9\ndata: never ended\n")));
  CHECK(reader.last_id() == "8");  // resumed from there, it comes again
  CHECK(!reader.retry_ms());
  CHECK(reader.on_received(as_bytes("retry: 10x\nretry: -1\nretry:\n")));
  CHECK(!reader.retry_ms());
  CHECK(reader.on_received(as_bytes("retry: 2500\n")));
  CHECK(reader.retry_ms() == 2500u);
}

TEST_CASE("an event without an end is a fault that sticks, and takes no more memory than its bound") {
  EventReader lines(1000), line(1000);
  const std::string much(600, 'x');
  CHECK(lines.on_received(as_bytes("data: " + much + "\n")));
  CHECK(!lines.on_received(as_bytes("data: " + much + "\n\n")));
  CHECK(!lines.on_received(as_bytes("\n\ndata: x\n\n")));
  CHECK(!lines.next());
  CHECK(!line.on_received(as_bytes(std::string(1001, ':'))));
  EventReader many(1000);
  for (int i = 0; i < 100; ++i) {
    CHECK(many.on_received(as_bytes("data: " + much + "\n\n")));
    CHECK(many.next()->data == much);
  }
}

TEST_CASE("however the bytes are cut, the events are the same; and what is written is read back") {
  Random random(42);
  const std::vector<std::string> pieces = {"data: a\n",      "data:b\r\n",      "data\r", "id: 1\n", "id\n",
                                           "event: delta\n", ": hi\n",          "\n",     "\r\n",    "\r",
                                           "retry: 5\n",     "data: \xc3\xa9\n"};
  for (int round = 0; round < 500; ++round) {
    std::string stream;
    for (int i = 0; i < 30; ++i) stream += pieces[random.below(pieces.size())];
    const auto whole = events(stream);
    EventReader reader;
    Events cut;
    for (std::size_t at = 0; at < stream.size();) {
      const auto n = 1 + random.below(5);
      CHECK(reader.on_received(as_bytes(std::string_view(stream).substr(at, n))));
      at += n;
      while (const auto e = reader.next()) cut.push_back(e->type + "|" + e->data + "|" + e->id);
    }
    CHECK(cut == whole);
  }
  for (const std::string data : {"", "x", "{\"v\":1}", "two\nlines", "\n", "ends\n", " blank"}) {
    EventReader reader;
    CHECK(reader.on_received(as_bytes(text(ServerEvent{"delta", data, "12"}))));
    const auto e = reader.next();
    REQUIRE(e.has_value());
    CHECK(e->type == "delta");
    CHECK(e->data == data);
    CHECK(e->id == "12");
    CHECK(!reader.next());
  }
}
