// Any bytes as the JSON of the control plane: what is read is written, and read again as the same; what is not is told in
// one printable line.
#include "wire/control.hh"

#include "base/check.hh"
#include "base/text.hh"
#include "fuzz/target.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

/// Written once, read, written again: the same. (The first writing may round a number that came with more digits.)
template <class Read>
bool check(std::string_view json, Read read) {
  const auto value = read(json);
  if (!value) {
    SWARM_CHECK(!value.error().message.empty() && printable(value.error().message) == value.error().message);
    return false;
  }
  const auto once = to_json(*value);
  const auto again = read(once);
  SWARM_CHECK(again.has_value() && to_json(*again) == once);
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto json = as_text({data, size});
  bool good = check(json, hello_from_json);
  good |= check(json, beat_from_json);
  good |= check(json, beat_reply_from_json);
  good |= check(json, status_from_json);
  good |= check(json, files_from_json);
  if (const auto error = api_error_from_json(json)) {
    const auto once = to_json(*error);
    const auto again = api_error_from_json(once);
    SWARM_CHECK(again.has_value() && to_json(*again) == once);
    good = true;
  }
  test::accepted += good ? 1 : 0;
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  const Hello hello{"0.1.0", "nas", "http://nas:6969", true};
  BeatTorrent torrent;
  torrent.event = "started";
  torrent.left = 1'000'000;
  torrent.rate_down = 1.5e6;
  torrent.pieces = 12;
  torrent.have = Buffer{0xf0, 0x10};
  torrent.gained = {{0, 3}, {7, 1}};
  torrent.checks = {{0, 3, true, {}}, {7, 1, false, {*Endpoint::from("1.2.3.4:5")}}};
  Beat beat;
  beat.node = "0123456789abcdef";
  beat.name = "pi";
  beat.port = 6881;
  beat.addresses = {IpAddress::v4(0x0a000001)};
  beat.sequence = 9;
  beat.torrents = {torrent};
  BeatReply reply;
  reply.sequence = 9;
  reply.your_address = IpAddress::v4(0x0a000002);
  reply.torrents = {{InfoHash(), {*Endpoint::from("[::1]:6")}, true, 1, 2, 1.25}};
  Status status;
  status.tracker = hello;
  status.files = {{InfoHash(), "debian.iso", 661'651'456, 1262, 524'288, 1.32, 1, 1, "magnet:?x", "http://t", true}};
  status.nodes = {{"0123456789abcdef",
                   "pi",
                   "leecher",
                   "10.0.0.1:6881",
                   {{InfoHash(), "debian.iso", 62.4, 412'000'000, 1e6, 2e6, 2}},
                   0.4,
                   false}};
  return {to_json(hello),  to_json(beat),         to_json(reply),
          to_json(status), to_json(status.files), to_json(ApiError{"not_found", "no such file", "look again"})};
}
