// Any bytes as what HTTP trackers are asked and answer: queries, bencoded replies, scrapes.
#include "wire/announce.hh"

#include <algorithm>

#include "base/check.hh"
#include "base/text.hh"
#include "fuzz/target.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

bool check_query(std::string_view query) {
  const auto r = decode_announce_query(query);
  if (!r) {
    SWARM_CHECK(!r.error().empty());
    return false;
  }
  SWARM_CHECK(r->port != 0 && r->key.size() <= 256 && r->tracker_id.size() <= 256);
  const auto once = encode_query(*r);
  const auto again = decode_announce_query(once);
  SWARM_CHECK(again && encode_query(*again) == once);
  SWARM_CHECK(again->info_hash == r->info_hash && again->peer_id == r->peer_id && again->left == r->left);
  return true;
}

bool check_reply(ByteView body) {
  const auto r = decode_announce_reply(body);
  if (!r) return false;
  SWARM_CHECK(r->peers.size() <= 2000);
  for (const auto& peer : r->peers) SWARM_CHECK(peer.endpoint.port != 0 && !peer.endpoint.address.is_unspecified());
  for (const bool compact : {false, true}) {
    const auto once = encode_reply(*r, compact, false);
    const auto again = decode_announce_reply(once);
    SWARM_CHECK(again && again->failure == r->failure && again->peers.size() == r->peers.size());
    SWARM_CHECK(encode_reply(*again, compact, false) == once || compact);  // compact replies lose the ids
  }
  return true;
}

bool check_scrape(ByteView body) {
  const auto entries = decode_scrape(body);
  if (!entries) return false;
  const auto once = encode_scrape(*entries);
  const auto again = decode_scrape(once);
  SWARM_CHECK(again && encode_scrape(*again) == once);
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes{data, size};
  const auto query = as_text(bytes);
  const bool good_query = check_query(query);
  const auto hashes = decode_scrape_query(query, 74);
  SWARM_CHECK(hashes.size() <= 74);
  if (const auto url = scrape_url(query)) SWARM_CHECK(url->size() + 2 == query.size());  // "scrape" for "announce"
  const bool reply = check_reply(bytes);
  const bool scrape = check_scrape(bytes);
  test::accepted += good_query || !hashes.empty() || reply || scrape ? 1 : 0;
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  AnnounceRequest request;
  request.info_hash.bytes[3] = 0xff;
  request.peer_id = *PeerId::from(as_bytes("-SW0100-abcdefghijkl"));
  request.port = 6881;
  request.left = 1'000'000;
  request.event = AnnounceEvent::started;
  request.num_want = 50;
  request.key = "deadbeef";
  request.tracker_id = "t 1";
  AnnounceReply reply;
  reply.interval_s = 120;
  reply.complete = 1;
  reply.incomplete = 2;
  reply.warning = "careful";
  reply.tracker_id = "t 1";
  reply.external_ip = IpAddress::v4(0x01020304);
  reply.peers = {{*Endpoint::from("1.2.3.4:5"), request.peer_id}, {*Endpoint::from("[2001:db8::1]:6"), {}}};
  const auto hash = "info_hash=" + percent_encode(request.info_hash.view());
  return {encode_query(request),
          hash + "&" + hash,
          std::string(as_text(encode_reply(reply, true, false))),
          std::string(as_text(encode_reply(reply, false, false))),
          std::string(as_text(encode_failure("no"))),
          std::string(as_text(encode_scrape({{request.info_hash, 1, 2, 3}, {InfoHash(), 4, 5, 6}})))};
}
