#include "cli/report.hh"

#include <cJSON.h>
#include <doctest/doctest.h>

#include <memory>

using namespace swarm;
using namespace swarm::cli;

namespace {

Transfer debian() {
  Transfer t{"debian.iso", false, {}};
  t.stats.phase = core::Phase::downloading;
  t.stats.bytes_total = 661'651'456;
  t.stats.bytes_done = 412'876'800;
  t.stats.bytes_down = 396'361'728;
  t.stats.bytes_up = 190'840'832;
  t.stats.rate_down = 43'830'476;
  t.stats.rate_up = 12'582'912;
  t.stats.peers = 2;
  t.stats.copies_elsewhere = 1;
  t.stats.hash_failures = 1;
  return t;
}

InfoHash some_hash() { return *digest_from_hex<20>("3f1c000000000000000000000000000000000001"); }

bool is_json(const std::string& line) {
  const std::unique_ptr<cJSON, void (*)(cJSON*)> tree(cJSON_ParseWithOpts(line.c_str(), nullptr, 1), cJSON_Delete);
  return tree && cJSON_IsObject(tree.get()) && line.find('\n') == line.npos;
}

}  // namespace

TEST_CASE("the events of get, as UX.md promises them") {
  CHECK(
      start_json({"debian.iso", some_hash(), 661'651'456, 1262, 506, "http://nas:6969", {}, 6881},
                 "2026-01-31T12:04:11.000Z") ==
      R"({"v":1,"event":"start","time":"2026-01-31T12:04:11.000Z","name":"debian.iso",)"
      R"("infohash":"3f1c000000000000000000000000000000000001","bytes_total":661651456,"pieces_total":1262,"pieces_have":506,)"
      R"("tracker":"http://nas:6969","port":6881})");
  CHECK(piece_json({{}, {}, 812, 1, false, false, {*Endpoint::from("100.64.0.9:6881")}}, "00ff", 524'288) ==
        R"({"v":1,"event":"piece","index":812,"ok":false,"want":"00ff","bytes":524288,"from":["100.64.0.9:6881"]})");
  CHECK(piece_json({{}, {}, 7, 1, true, false, {}}, {}, 16'384) ==
        R"({"v":1,"event":"piece","index":7,"ok":true,"bytes":16384,"from":[]})");
  CHECK(progress_json(debian(), false) ==
        R"({"v":1,"event":"progress","percent":62.4,"bytes_done":412876800,"rate_down":43830476,"rate_up":12582912,)"
        R"("peers":2,"eta_seconds":6,"bytes_down":396361728,"bytes_up":190840832})");
  CHECK(
      done_json(debian(), "/data/debian.iso", 15.2, false) ==
      R"({"v":1,"event":"done","path":"/data/debian.iso","seconds":15.200,"bytes_down":396361728,"bytes_up":190840832,"hash_failures":1})");
  auto magnet = debian();
  magnet.stats.phase = core::Phase::metadata;
  CHECK(metadata_json(magnet, false) == R"({"v":1,"event":"metadata","bytes_done":0,"bytes_total":null,"peers":2})");
  magnet.stats.metadata_done = 16'384;
  magnet.stats.metadata_bytes = 30'000;
  CHECK(metadata_json(magnet, true) ==
        R"({"v":1,"event":"metadata","name":"debian.iso","bytes_done":16384,"bytes_total":30000,"peers":2})");
  auto with_web_seed = debian();
  with_web_seed.stats.web_seeds = 1;
  CHECK(progress_json(with_web_seed, false).find(R"("peers":2,"web_seeds":1,"eta_seconds":6)") != std::string::npos);
  CHECK(error_json(Error{Exit::no_peers, "no_peers", "no peer has debian.iso",
                         "start 'swarm seed debian.iso' on a machine that has it"}) ==
        R"({"v":1,"event":"error","code":5,"error":"no_peers","message":"no peer has debian.iso",)"
        R"("hint":"start 'swarm seed debian.iso' on a machine that has it"})");
}

TEST_CASE("the events of get's other ways") {
  CHECK(
      whole_json(debian(), "/data/debian.iso", 15.2, true) ==
      R"({"v":1,"event":"whole","name":"debian.iso","path":"/data/debian.iso","seconds":15.200,"bytes_down":396361728,"bytes_up":190840832,"hash_failures":1})");
  CHECK(checked_json({"debian.iso", some_hash(), "/data/debian.iso", 1262, 1260}) ==
        R"({"v":1,"event":"checked","name":"debian.iso","infohash":"3f1c000000000000000000000000000000000001",)"
        R"("path":"/data/debian.iso","pieces":1262,"pieces_right":1260})");
  wire::Metainfo m;
  m.name = "photos";
  m.info_hash = some_hash();
  m.files.push_back({.path = {"a", "b\".jpg"}, .length = 5'000'000'000, .pad = false, .executable = false});
  m.files.push_back({.path = {".pad", "7"}, .length = 7, .pad = true, .executable = false});
  m.files.push_back({.path = {"\xff"}, .length = 0, .pad = false, .executable = false});
  CHECK(
      list_json(m, {}) ==
      R"({"v":1,"event":"list","name":"photos","infohash":"3f1c000000000000000000000000000000000001","bytes_total":5000000000,)"
      R"("files":[{"number":1,"path":"a/b\".jpg","bytes":5000000000},{"number":2,"path":"�","bytes":0}]})");
  CHECK(list_json(m, {false, false, true}).find(R"("files":[{"number":2,)") != std::string::npos);
  CHECK(is_json(list_json(m, {})));
}

TEST_CASE("the events of seed") {
  auto t = debian();
  t.seed = true;
  CHECK(
      progress_json(t, true) ==
      R"({"v":1,"event":"progress","name":"debian.iso","bytes_up":190840832,"rate_up":12582912,"peers":2,"copies":1})");
  const auto start =
      start_json({"debian.iso", some_hash(), 1, 1, 1, "http://nas:6969", "magnet:?xt=urn:btih:3f1c", 6881}, "t");
  CHECK(start.ends_with(R"("tracker":"http://nas:6969","magnet":"magnet:?xt=urn:btih:3f1c","port":6881})"));
}

TEST_CASE("the events of tracker") {
  CHECK(listening_json("http://nas:6969", 6969, {"[::]:6969"}, "t") ==
        R"({"v":1,"event":"listening","time":"t","url":"http://nas:6969","port":6969,"addresses":["[::]:6969"]})");
  CHECK(event_json(core::NodeJoined{"pi", "100.64.0.9:6881", "leecher", false}, "t") ==
        R"({"v":1,"event":"joined","time":"t","node":"pi","addr":"100.64.0.9:6881","role":"leecher","plain":false})");
  CHECK(event_json(core::NodeCompleted{"pi", "100.64.0.9:6881", "debian.iso"}, "t") ==
        R"({"v":1,"event":"completed","time":"t","node":"pi","addr":"100.64.0.9:6881","name":"debian.iso"})");
  CHECK(
      event_json(core::NodeChecked{"pi", "a", "debian.iso", {785, 5, true, {}}}, "t") ==
      R"({"v":1,"event":"piece","time":"t","node":"pi","addr":"a","name":"debian.iso","index":785,"count":5,"ok":true,"from":[]})");
  CHECK(
      event_json(core::FileAdded{"debian.iso", 661'651'456, 1262, 524'288}, "t") ==
      R"({"v":1,"event":"file_added","time":"t","name":"debian.iso","bytes":661651456,"pieces":1262,"piece_bytes":524288})");
}

TEST_CASE("the tracker's log: for a person, and as logfmt") {
  const Look plain{80, true, false};
  CHECK(event_line(core::NodeJoined{"pi", "100.64.0.9:6881", "leecher", false}, "12:04:11", plain) ==
        "12:04:11  pi joined (100.64.0.9:6881)");
  CHECK(event_line(core::NodeLeft{"pi", "100.64.0.9:6881", true}, "t", plain) ==
        "t  pi left (100.64.0.9:6881, no sign of life)");
  CHECK(event_line(core::NodeShares{"nas", "a", "debian.iso"}, "t", plain) == "t  nas shares debian.iso");
  CHECK(event_line(core::NodeGets{"pi", "a", "debian.iso"}, "t", plain) == "t  pi gets debian.iso");
  CHECK(event_line(core::NodeCompleted{"pi", "a", "debian.iso"}, "t", plain) == "t  pi completed debian.iso");
  CHECK(event_line(core::FileAdded{"x", 1 << 20, 2, 512 << 10}, "t", plain) ==
        "t  x is in the catalogue  1.0 MiB  2 pieces x 512 KiB");
  CHECK(event_logfmt(core::NodeGets{"my pi", "a:1", "x\"y"}, "T") ==
        R"(time=T event=gets node="my pi" addr=a:1 file="x\"y")");
  CHECK(event_logfmt(core::NodeChecked{"pi", "a:1", "x", {785, 5, true, {}}}, "T") ==
        "time=T event=piece node=pi file=x first=785 count=5 sha1=ok");
  CHECK(piece_logfmt({{}, "x", 4, 1, false, false, {*Endpoint::from("1.2.3.4:5")}}, "T") ==
        "time=T event=piece file=x first=4 count=1 sha1=mismatch from=1.2.3.4:5");
}

TEST_CASE("hostile names and huge numbers stay valid JSON on one line") {
  auto t = debian();
  t.stats.bytes_total = t.stats.bytes_done = std::uint64_t{1} << 60;
  t.stats.rate_down = 0;
  for (const auto* name : {"quote\"back\\slash", "line\nend\ttab\x01", "bad \xff\xfe utf8", "日本語 \xe2\x80\xae"}) {
    t.name = name;
    for (const auto& line :
         {progress_json(t, true), done_json(t, name, 1e9, true), error_json(Error{Exit::other, "x", name, name}, name),
          start_json({name, {}, 1, 1, 1, name, name, 1}, "t"), event_json(core::NodeShares{name, name, name}, "t")}) {
      CAPTURE(line);
      CHECK(is_json(line));
    }
    CHECK(event_logfmt(core::NodeShares{name, name, name}, "t").find('\n') == std::string::npos);
  }
  CHECK(progress_json(t, false).find("\"bytes_done\":1152921504606846976") != std::string::npos);
  CHECK(progress_json(t, false).find("\"eta_seconds\":null") != std::string::npos);
}
