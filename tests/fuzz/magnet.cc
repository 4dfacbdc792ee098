// Any text as a magnet link: it is read and written and read again as the same, or told in one printable line.
#include "wire/magnet.hh"

#include "base/check.hh"
#include "base/text.hh"
#include "fuzz/target.hh"

using namespace swarm;
using namespace swarm::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto m = parse_magnet(as_text({data, size}));
  if (!m) {
    const auto& e = m.error();
    SWARM_CHECK(e.exit == Exit::usage && e.code == "bad_magnet" && !e.message.empty());
    SWARM_CHECK(printable(e.message) == e.message);
    return 0;
  }
  for (std::size_t i = 0; i < m->files.size(); ++i) {
    SWARM_CHECK(m->files[i].first <= m->files[i].last);
    SWARM_CHECK(i == 0 || m->files[i].first > std::uint64_t{m->files[i - 1].last} + 1);
  }
  for (const auto& peer : m->peers) SWARM_CHECK(peer.port != 0 && !peer.host.empty());
  SWARM_CHECK(m->trackers.size() <= 100 && m->peers.size() <= 100);
  const auto link = text(*m);
  const auto again = parse_magnet(link);
  SWARM_CHECK(again.has_value() && text(*again) == link);
  SWARM_CHECK(again->info_hash == m->info_hash && again->name == m->name && again->trackers == m->trackers);
  SWARM_CHECK(again->web_seeds == m->web_seeds && again->torrent_urls == m->torrent_urls);
  SWARM_CHECK(again->files == m->files && again->peers.size() == m->peers.size());
  ++test::accepted;
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  const std::string start = "magnet:?xt=urn:btih:3f1c000000000000000000000000000000000001";
  return {start + "&dn=debian%20iso&tr=http%3A%2F%2Fnas%3A6969%2Fannounce&tr.1=udp://b:1&x.pe=1.2.3.4:5&x.pe=[::1]:6",
          start + "&ws=http://w/&xs=http://x/a.torrent&as=https://y/&so=0,2-4,7",
          "magnet:?xt=urn:btmh:1220aa&amp;xt=urn:btih:H4OAAAAAAAAAAAAAAAAAAAAAAAAAAAAB&dn=a+b%ff%"};
}
