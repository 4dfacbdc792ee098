#include "cli/description.hh"

#include <cJSON.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/text.hh"
#include "disk/checkpoint.hh"
#include "wire/metainfo.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

struct Folder {
  Folder() {
    std::string name = "/tmp/swarm-describe-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string with(const std::string& name, std::string_view text) const {
    std::ofstream(path + "/" + name, std::ios::binary) << text;
    return path + "/" + name;
  }
  std::string path;
};

wire::Metainfo torrent(std::size_t files) {
  wire::NewInfo fresh;
  fresh.name = "photos";
  fresh.folder = true;
  fresh.piece_bytes = 16384;
  for (std::size_t i = 0; i < files; ++i) {
    fresh.files.push_back(
        {.path = {"june", std::to_string(i) + ".jpg"}, .length = 10'000, .pad = false, .executable = false});
  }
  fresh.files.push_back({.path = {".pad", "1"}, .length = 1, .pad = true, .executable = false});
  fresh.pieces.resize((files * 10'000 + 1 + 16383) / 16384);
  auto m = wire::parse_info(wire::write_info(fresh), "test");
  REQUIRE(m.has_value());
  m->trackers = {{"http://nas:6969/announce", "udp://nas:6969"}, {"http://other/announce"}};
  m->web_seeds = {"http://www/photos"};
  m->comment = "two\nlines";
  return *m;
}

const char* const hash = "3f1c000000000000000000000000000000000001";

}  // namespace

TEST_CASE("a .torrent as JSON, field by field as documented") {
  const Folder folder;
  const auto m = torrent(2);
  const auto d = describe(folder.with("x.torrent", as_text(wire::write_torrent(m))));
  REQUIRE(d.has_value());
  CHECK(
      description_json(*d) ==
      R"({"v":1,"torrent":{"name":"photos","infohash":")" + to_hex(m.info_hash) +
          R"(","bytes":20001,"piece_bytes":16384,"pieces":2,"private":false,"comment":"two\nlines",)"
          R"("trackers":[["http://nas:6969/announce","udp://nas:6969"],["http://other/announce"]],)"
          R"("web_seeds":["http://www/photos"],"files":[{"path":"june/0.jpg","bytes":10000},{"path":"june/1.jpg","bytes":10000}]}})");
}

TEST_CASE("a .torrent for a person: at most twenty files, and nothing that a terminal would obey") {
  const Folder folder;
  auto m = torrent(25);
  m.comment = "\x1b[2J";
  const auto d = describe(folder.with("x.torrent", as_text(wire::write_torrent(m))));
  REQUIRE(d.has_value());
  const auto lines = description_lines(*d, {.width = 60, .utf8 = true, .colour = false});
  REQUIRE(lines.size() == 5 + 3 + 1 + 20 + 1);
  CHECK(lines[0] == "name        photos");
  CHECK(lines[1] == "info-hash   " + to_hex(m.info_hash));
  CHECK(lines[2] == "size        244.1 KiB (250001 bytes)");
  CHECK(lines[3] == "pieces      16 x 16 KiB");
  CHECK(lines[4] == "comment     \uFFFD[2J");
  CHECK(lines[5] == "trackers    http://nas:6969/announce");
  CHECK(lines[6] == "            udp://nas:6969");
  CHECK(lines[8] == "web seeds   http://www/photos");
  CHECK(lines[9] == "files          9.8 KiB  june/0.jpg");
  CHECK(lines.back() == "            and 5 more");
  for (const auto& line : description_lines(*d, {.width = 20, .utf8 = true, .colour = false}))
    CHECK(columns(line) <= 20);
}

TEST_CASE("a magnet link: what it does not say is null") {
  const auto d = describe(std::string("magnet:?xt=urn:btih:") + hash +
                          "&dn=debian.iso&tr=http%3A%2F%2Fnas%3A6969%2Fannounce&ws=http%3A%2F%2Fw%2F");
  REQUIRE(d.has_value());
  CHECK(description_json(*d) ==
        R"({"v":1,"torrent":{"name":"debian.iso","infohash":"3f1c000000000000000000000000000000000001","bytes":null,)"
        R"("piece_bytes":null,"pieces":null,"private":null,"comment":null,"trackers":[["http://nas:6969/announce"]],)"
        R"("web_seeds":["http://w/"],"files":null}})");
  CHECK(description_lines(*d, {}).size() == 4);
  CHECK(describe("magnet:?dn=x").error().exit == Exit::usage);
}

TEST_CASE("a progress.json: what is verified, and what of it would survive a power cut") {
  const Folder folder;
  disk::Checkpoint c;
  c.info_hash = *digest_from_hex<20>(hash);
  c.name = "debian.iso";
  c.bytes_total = 3 * 16384 + 100;
  c.piece_bytes = 16384;
  c.verified = Bitfield(4);
  c.durable = Bitfield(4);
  c.verified.set(std::size_t{0});
  c.verified.set(std::size_t{3});
  c.durable.set(std::size_t{0});
  c.trackers = {{"http://nas:6969/announce"}};
  c.bytes_down = 17'000;
  const auto path = folder.with("debian.iso.progress.json", disk::to_json(c));
  const auto d = describe(path);
  REQUIRE(d.has_value());
  CHECK(
      description_json(*d) ==
      R"({"v":1,"torrent":{"name":"debian.iso","infohash":"3f1c000000000000000000000000000000000001","bytes":49252,)"
      R"("piece_bytes":16384,"pieces":4,"private":null,"comment":null,"trackers":[["http://nas:6969/announce"]],)"
      R"("web_seeds":[],"files":null},"progress":{"percent_verified":33.4,"percent_durable":33.2,"pieces_verified":2,)"
      R"("pieces_durable":1,"clean":false,"bytes_down":17000,"bytes_up":0}})");
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(60) << "9";
  CHECK(describe(path).error().exit == Exit::integrity);
}

TEST_CASE("what is neither, or not there") {
  const Folder folder;
  CHECK(describe(folder.path + "/none.torrent").error().exit == Exit::not_found);
  CHECK(describe(folder.with("page.torrent", "<html>")).error().exit == Exit::integrity);
  CHECK(describe(folder.with("settings.json", "{\"a\":1}")).error().exit == Exit::integrity);
  CHECK(describe(folder.with("empty.torrent", "")).error().exit == Exit::integrity);
}

TEST_CASE("what can be described without a tracker") {
  const Folder folder;
  const auto torrent = folder.with("x.torrent", "d"), plain = folder.with("debian.iso", "x");
  CHECK(is_describable("magnet:?xt=urn:btih:x", true));
  CHECK(is_describable(torrent, true));
  CHECK(is_describable("./no/such.torrent", false));
  CHECK(!is_describable("debian.iso", true));            // a NAME of the catalogue
  CHECK(!is_describable("no-such-name.torrent", true));  // one, too
  CHECK(!is_describable("debian.iso", false));
  CHECK(is_describable(plain, false));
}
