#include "wire/magnet.hh"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "base/random.hh"
#include "base/text.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

const std::string hash = "3f1c000000000000000000000000000000000001";
const std::string start = "magnet:?xt=urn:btih:" + hash;

Magnet parsed(const std::string& link) {
  CAPTURE(link);
  const auto m = parse_magnet(link);
  REQUIRE(m);
  CHECK(to_hex(m->info_hash) == hash);
  return *m;
}

std::string complaint(const std::string& link) {
  CAPTURE(link);
  const auto m = parse_magnet(link);
  REQUIRE_FALSE(m);
  CHECK(m.error().exit == Exit::usage);
  CHECK(m.error().code == "bad_magnet");
  CHECK(printable(m.error().message) == m.error().message);
  return m.error().message;
}

std::string files(const std::string& so) { return text(parsed(start + "&so=" + so)).substr(start.size()); }

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("magnet: hash, name and trackers") {
  const auto m = parsed(
      "magnet:?xt=urn:btih:3F1C000000000000000000000000000000000001&dn=debian%20iso&tr=http%3A%2F%2Fnas%3A6969%"
      "2Fannounce&tr.1=http://b/a&tr.22=udp://c:80&tr=http://b/a&tr=");
  CHECK(m.name == "debian iso");
  CHECK(m.trackers == Strings{"http://nas:6969/announce", "http://b/a", "udp://c:80"});
  CHECK(m.files.empty());
  CHECK(m.peers.empty());
  CHECK(parsed(start + "&dn=a+b%2Bc").name == "a b+c");
  CHECK(parsed(start + "&dn=100%").name == "100%");
}

TEST_CASE("magnet: base32 in either case") {
  parsed("magnet:?xt=urn:btih:H4OAAAAAAAAAAAAAAAAAAAAAAAAAAAAB");
  parsed("magnet:?xt=urn:btih:h4oaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
  // All 32 digits once: 0 … 31 in five bits each.
  const auto m = parse_magnet("magnet:?xt=urn:btih:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
  REQUIRE(m);
  CHECK(to_hex(m->info_hash) == "00443214c74254b635cf84653a56d7c675be77df");
  complaint("magnet:?xt=urn:btih:H4OAAAAAAAAAAAAAAAAAAAAAAAAAAAA1");  // no digit of it
  complaint("magnet:?xt=urn:btih:H4OAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

TEST_CASE("magnet: as links arrive from hands and pages") {
  CHECK(parsed("MAGNET:?XT=URN:BTIH:" + hash + "&DN=x").name == "x");
  CHECK(parsed(start + "&amp;dn=x&amp;tr=http://a/").trackers == Strings{"http://a/"});
  CHECK(parsed("magnet:?dn=x&&tr&=&=x&xt.1=urn%3Abtih%3A" + hash).name == "x");
  parsed(start + "&xt=urn:btih:" + hash);
  parsed(start + "&xt=urn:sha1:abc&xl=100&unknown=1");
}

TEST_CASE("magnet: peers") {
  const auto m = parsed(start +
                        "&x.pe=host.lan:6881&x.pe=1.2.3.4:5&x.pe=%5B2001:db8::1%5D:7&x.pe=[::1]:8&x.pe=host.lan"
                        "&x.pe=a:0&x.pe=:5&x.pe=a:65536&x.pe=1.2.3.4:5&x.pe=1.2.3.4:6");
  REQUIRE(m.peers.size() == 5);
  CHECK(m.peers[0].host == "host.lan");
  CHECK(m.peers[0].port == 6881);
  CHECK(m.peers[1].host == "1.2.3.4");
  CHECK(m.peers[2].host == "2001:db8::1");
  CHECK(m.peers[2].port == 7);
  CHECK(m.peers[3].host == "::1");
  CHECK(m.peers[4].port == 6);
  CHECK(text(m) == start + "&x.pe=host.lan:6881&x.pe=1.2.3.4:5&x.pe=[2001:db8::1]:7&x.pe=[::1]:8&x.pe=1.2.3.4:6");
}

TEST_CASE("magnet: web seeds and where the torrent itself is") {
  const auto m = parsed(start +
                        "&ws=http://a/x&ws=ftp://b/&ws=HTTPS://c/&xs=http%3A%2F%2Fd%2Fx.torrent&as=https://e/"
                        "&xs=urn:btpk:00&as=http://d/x.torrent");
  CHECK(m.web_seeds == Strings{"http://a/x", "HTTPS://c/"});
  CHECK(m.torrent_urls == Strings{"http://d/x.torrent", "https://e/"});
}

TEST_CASE("magnet: chosen files, sorted and joined (BEP 53)") {
  CHECK(parsed(start + "&so=0,2,4,6-8").files == std::vector<FileRange>{{0, 0}, {2, 2}, {4, 4}, {6, 8}});
  CHECK(files("0,2,4,6-8") == "&so=0,2,4,6-8");
  CHECK(files("8,6,7,0-1,1-2") == "&so=0-2,6-8");
  CHECK(files("5-5") == "&so=5");
  CHECK(files("0-10,3-4,12") == "&so=0-10,12");
  CHECK(files("3&so=4") == "&so=3-4");
  CHECK(files("4294967295,4294967294,0") == "&so=0,4294967294-4294967295");
  CHECK(files("0-4294967295,7") == "&so=0-4294967295");
  CHECK(files("").empty());
  for (const auto* bad : {"x", "1,", ",1", "1-", "-1", "3-2", "1--2", "4294967296", "1 2", "0x1", "+1", "1-2-3"}) {
    CAPTURE(bad);
    CHECK(complaint(start + "&so=" + bad).find("is no list of files") != std::string::npos);
  }
}

TEST_CASE("magnet: what is no link to a torrent is told in one line") {
  CHECK(complaint("http://x") == "'http://x' is no magnet link");
  CHECK(complaint("") == "'' is no magnet link");
  CHECK(complaint("magnet:?") == "'magnet:?' is no magnet link with an info-hash (xt=urn:btih:)");
  CHECK(complaint("magnet:?dn=x") == "'magnet:?dn=x' is no magnet link with an info-hash (xt=urn:btih:)");
  complaint("magnet:?xt=urn:sha1:00");
  CHECK(complaint("magnet:?xt=urn:btih:12") ==
        "the info-hash of 'magnet:?xt=urn:btih:12' is neither 40 hex digits nor 32 letters and digits of base32");
  complaint("magnet:?xt=urn:btih:" + hash.substr(1) + "g");
  complaint("magnet:?xt=urn:btih:" + hash + "0");
  complaint("magnet:?dn=\x1b[31m\xff");
  CHECK(complaint(start + "&xt=urn:btih:0000000000000000000000000000000000000000").find("two torrents") !=
        std::string::npos);
}

TEST_CASE("magnet: version 2 beside version 1 is passed over, alone it is named") {
  const std::string v2 = "xt=urn:btmh:1220" + std::string(64, 'a');
  parsed(start + "&" + v2);
  parsed("magnet:?" + v2 + "&xt=urn:btih:" + hash);
  CHECK(complaint("magnet:?" + v2).find("version 2 only (urn:btmh)") != std::string::npos);
}

TEST_CASE("magnet: written and read back") {
  CHECK(text(parsed(start)) == start);
  Metainfo info;
  info.info_hash = *digest_from_hex<20>(hash);
  info.name = "debian iso";
  const auto m = magnet_of(info, {{"http://nas:6969/announce", "udp://b:1"}, {"udp://b:1"}});
  CHECK(text(m) == start + "&dn=debian%20iso&tr=http%3A%2F%2Fnas%3A6969%2Fannounce&tr=udp%3A%2F%2Fb%3A1");
  info.name = "a&tr=x%26+b\n\xff";
  info.web_seeds = {"http://w/"};
  const auto back = parsed(text(magnet_of(info, {})));
  CHECK(back.name == info.name);
  CHECK(back.trackers.empty());
  CHECK(back.web_seeds == info.web_seeds);
}

TEST_CASE("magnet: of each list 100 are kept") {
  auto link = start;
  for (int i = 0; i < 300; ++i) {
    const auto n = std::to_string(i);
    link += "&tr=http://" + n + "/&ws=http://" + n + "/&xs=http://" + n + "/&x.pe=h" + n + ":1";
  }
  const auto m = parsed(link);
  CHECK(m.trackers.size() == 100);
  CHECK(m.web_seeds.size() == 100);
  CHECK(m.torrent_urls.size() == 100);
  CHECK(m.peers.size() == 100);
}

TEST_CASE("magnet: the ranges hold the same files as a set of them") {
  Random random(53);
  for (int run = 0; run < 500; ++run) {
    std::set<std::uint32_t> twin;
    std::string so;
    for (auto n = 1 + random.below(8); n > 0; --n) {
      const auto first = static_cast<std::uint32_t>(random.below(30));
      const auto last = first + static_cast<std::uint32_t>(random.below(4));
      if (!so.empty()) so += ',';
      so += first == last && random.below(2) == 0 ? std::to_string(first)
                                                  : std::to_string(first) + "-" + std::to_string(last);
      for (auto f = first; f <= last; ++f) twin.insert(f);
    }
    CAPTURE(so);
    const auto m = parsed(start + "&so=" + so);
    std::set<std::uint32_t> held;
    for (std::size_t i = 0; i < m.files.size(); ++i) {
      if (i > 0) REQUIRE(m.files[i].first > m.files[i - 1].last + 1);
      for (auto f = m.files[i].first; f <= m.files[i].last; ++f) held.insert(f);
    }
    REQUIRE(held == twin);
    REQUIRE(parsed(text(m)).files == m.files);
  }
}

TEST_CASE("magnet: mutated links are read, or told, and read back as the same") {
  Random random(9);
  const std::vector<std::string> seeds = {
      start +
          "&dn=a%20b&tr=http%3A%2F%2Fa%2F&tr.1=udp://b:1&x.pe=1.2.3.4:5&x.pe=[::1]:6&ws=http://w/&xs=http://x/"
          "&so=0,2-4",
      "magnet:?xt=urn:btih:H4OAAAAAAAAAAAAAAAAAAAAAAAAAAAAB&amp;xt=urn:btmh:1220aa&dn=%ff+%&x.pe=h%26:7"};
  int good = 0;
  for (int run = 0; run < 20'000; ++run) {
    auto link = seeds[random.below(seeds.size())];
    for (auto n = random.below(5); n > 0 && !link.empty(); --n) {
      const auto at = random.below(link.size());
      if (random.below(3) == 0)
        link.erase(at, 1 + random.below(6));
      else if (random.below(2) == 0)
        link[at] = static_cast<char>(random.below(256));
      else
        link.insert(at, link.substr(random.below(link.size()), random.below(30)));
    }
    const auto m = parse_magnet(link);
    if (!m) {
      REQUIRE(m.error().exit == Exit::usage);
      REQUIRE(printable(m.error().message) == m.error().message);
      continue;
    }
    ++good;
    const auto again = parse_magnet(text(*m));
    REQUIRE(again);
    REQUIRE(text(*again) == text(*m));
    REQUIRE(again->info_hash == m->info_hash);
    REQUIRE(again->name == m->name);
    REQUIRE(again->files == m->files);
    REQUIRE(again->peers.size() == m->peers.size());
  }
  CHECK(good > 5'000);
}
