// Announces over UDP, against trackers that the test plays itself; and whole drivers that find each other by one.
#include "uv/udp_trackers.hh"

#include <algorithm>
#include <functional>

#include "nodes.hh"
#include "uv/udp.hh"
#include "wire/udp_tracker.hh"

using namespace swarm;
using namespace swarm::uv;

namespace {

/// A tracker that says what it is told to say.
struct Tracker {
  wire::AnnounceReply reply;
  std::string refusal;  ///< not empty: the answer to every announce
  bool silent = false;
  std::size_t connects = 0;
  std::vector<wire::UdpAnnounce> heard;
  UdpSocket socket;
  Endpoint at;

  Tracker(Loop& loop, const Endpoint& where)
      : socket(loop,
               [this](ByteView bytes, const Endpoint& from, const IpAddress& to) { on_datagram(bytes, from, to); }) {
    reply.interval_s = 1800;
    const auto bound = socket.bind(where);
    REQUIRE(bound);
    at = *bound;
  }
  void on_datagram(ByteView bytes, const Endpoint& from, const IpAddress& to) {
    const auto request = wire::decode_udp_request(bytes);
    REQUIRE(request);
    if (silent) return;
    if (const auto* connect = std::get_if<wire::UdpConnect>(&*request)) {
      ++connects;
      socket.send(from, encode(wire::UdpConnected{connect->transaction, 77}), to);
    } else if (const auto* announce = std::get_if<wire::UdpAnnounce>(&*request)) {
      CHECK(announce->connection_id == 77);
      heard.push_back(*announce);
      if (refusal.empty()) {
        const auto family = at.address.is_v4() ? wire::UdpFamily::v4 : wire::UdpFamily::v6;
        socket.send(from, encode(wire::UdpAnnounced{announce->transaction, reply}, family), to);
      } else {
        socket.send(from, encode(wire::UdpFailed{announce->transaction, refusal}), to);
      }
    }
  }
  std::string url(const std::string& host = "127.0.0.1") const {
    return "udp://" + host + ":" + std::to_string(at.port) + "/announce?k=1";
  }
};

wire::AnnouncedPeer peer(const char* address, std::uint16_t port) { return {{*IpAddress::from(address), port}, {}}; }

wire::AnnounceRequest request(std::uint8_t torrent = 1) {
  wire::AnnounceRequest r;
  r.info_hash.bytes.fill(torrent);
  r.port = 6881;
  r.left = 5;
  return r;
}

using Reply = Result<wire::AnnounceReply>;

Reply announce(Loop& loop, UdpTrackers& trackers, const std::string& url, wire::AnnounceRequest what = request()) {
  std::optional<Reply> reply;
  trackers.announce(url, std::move(what), [&](const Reply& r) { reply = r; });
  CHECK_FALSE(reply);  // never from inside announce()
  REQUIRE(run_until(loop, [&] { return reply.has_value(); }));
  return std::move(*reply);
}

/// A name with an address of each family, and whether this machine has both.
const std::vector<IpAddress> both_families{*IpAddress::from("::1"), *IpAddress::from("127.0.0.1")};
bool has_ipv6(Loop& loop) {
  UdpSocket probe(loop, [](ByteView, const Endpoint&, const IpAddress&) {});
  return probe.bind({both_families[0], 0}).has_value();
}

}  // namespace

TEST_CASE("udp trackers: an announce and its answer; the next ones need no greeting") {
  const auto loop = make_loop();
  Tracker tracker(*loop, loopback_any_port);
  tracker.reply.complete = 3;
  tracker.reply.peers = {peer("10.0.0.1", 1), peer("10.0.0.2", 2)};
  UdpTrackers trackers(*loop, IpAddress::v4(0x7f000001));
  auto what = request();
  what.event = wire::AnnounceEvent::started;
  const auto reply = announce(*loop, trackers, tracker.url(), what);
  REQUIRE(reply);
  CHECK(reply->interval_s == 1800);
  CHECK(reply->complete == 3);
  REQUIRE(reply->peers.size() == 2);
  CHECK(reply->peers[1].endpoint == Endpoint{*IpAddress::from("10.0.0.2"), 2});
  REQUIRE(tracker.heard.size() == 1);
  CHECK(tracker.heard[0].request.info_hash == what.info_hash);
  CHECK(tracker.heard[0].request.event == wire::AnnounceEvent::started);
  CHECK(tracker.heard[0].request.port == 6881);
  CHECK(tracker.heard[0].url_data == "/announce?k=1");

  // Many at once, each with its own answer.
  std::size_t answered = 0;
  for (std::uint8_t i = 0; i < 100; ++i) {
    trackers.announce(tracker.url(), request(i), [&](const Reply& r) { answered += r.has_value(); });
  }
  CHECK(trackers.under_way() == 100);
  CHECK(run_until(*loop, [&] { return trackers.under_way() == 0; }));
  CHECK(answered == 100);
  CHECK(tracker.heard.size() == 101);
  CHECK(tracker.connects == 1);
}

TEST_CASE("udp trackers: a refusal is a reply; what is no address and what is not found are errors") {
  const auto loop = make_loop();
  Tracker tracker(*loop, loopback_any_port);
  tracker.refusal = "not registered";
  UdpTrackers trackers(*loop);
  const auto refused = announce(*loop, trackers, tracker.url());
  REQUIRE(refused);
  CHECK(refused->failure == "not registered");
  for (const auto* bad : {"udp://127.0.0.1/announce", "http://127.0.0.1:1/", "nonsense"}) {
    CAPTURE(std::string(bad));
    const auto reply = announce(*loop, trackers, bad);
    REQUIRE_FALSE(reply);
    CHECK(reply.error().exit == Exit::usage);
    CHECK(reply.error().code == "bad_url");
  }
  const auto lost = announce(*loop, trackers, "udp://no-such-host.invalid:80/");
  REQUIRE_FALSE(lost);
  CHECK(lost.error().code == "no_such_host");
  // A socket that is bound to an IPv4 address reaches no IPv6 one, which is known at once.
  UdpTrackers four(*loop, IpAddress::v4(0x7f000001));
  const auto other = announce(*loop, four, "udp://[::1]:80/");
  REQUIRE_FALSE(other);
  CHECK(other.error().code == "cannot_connect");
}

TEST_CASE("udp trackers: silence ends a `stopped` within three seconds; answers from elsewhere are not taken") {
  const auto loop = make_loop();
  // It answers every connect at once and rightly, but from another port than the one that was asked.
  UdpSocket elsewhere(*loop, [](ByteView, const Endpoint&, const IpAddress&) {});
  REQUIRE(elsewhere.bind(loopback_any_port));
  std::size_t forged = 0;
  UdpSocket tracker(*loop, [&](ByteView bytes, const Endpoint& from, const IpAddress&) {
    const auto asked = wire::decode_udp_request(bytes);
    REQUIRE(asked);
    REQUIRE(std::holds_alternative<wire::UdpConnect>(*asked));  // it never gets as far as an announce
    elsewhere.send(from, encode(wire::UdpConnected{std::get<wire::UdpConnect>(*asked).transaction, 77}));
    ++forged;
  });
  const auto at = tracker.bind(loopback_any_port);
  REQUIRE(at);
  UdpTrackers trackers(*loop);
  auto what = request();
  what.event = wire::AnnounceEvent::stopped;
  const auto began = loop->now();
  const auto reply = announce(*loop, trackers, "udp://" + at->text(), what);
  CHECK(forged > 0);
  REQUIRE_FALSE(reply);
  CHECK(reply.error().exit == Exit::unreachable);
  CHECK(loop->now() - began < 4s);
  CHECK(loop->now() - began > 2s);
}

TEST_CASE("udp trackers: a host with both families is announced to by both; the peers are merged") {
  const auto loop = make_loop();
  if (!has_ipv6(*loop)) {
    MESSAGE("no IPv6 here; nothing to merge");
    return;
  }
  Tracker four(*loop, loopback_any_port);
  Tracker six(*loop, {*IpAddress::from("::1"), four.at.port});
  four.reply.peers = {peer("10.0.0.1", 1), peer("10.0.0.2", 2)};
  four.reply.complete = 7;
  six.reply.peers = {peer("fd00::1", 1)};
  six.reply.complete = 4;
  six.reply.interval_s = 2000;
  {
    UdpTrackers trackers(*loop);
    trackers.know("both.example", both_families);
    const auto reply = announce(*loop, trackers, four.url("both.example"));
    REQUIRE(reply);
    CHECK(reply->peers.size() == 3);
    CHECK(reply->complete == 7);
    CHECK(reply->interval_s == 2000);
    CHECK(four.heard.size() == 1);
    CHECK(six.heard.size() == 1);
  }
  {  // One of them refuses, or says nothing: the other one's word counts.
    UdpTrackers trackers(*loop);
    trackers.know("both.example", both_families);
    six.refusal = "go away";
    const auto reply = announce(*loop, trackers, four.url("both.example"));
    REQUIRE(reply);
    CHECK(reply->failure.empty());
    CHECK(reply->peers.size() == 2);
    six.silent = true;
    const auto began = loop->now();
    UdpTrackers fresh(*loop);
    fresh.know("both.example", both_families);
    const auto alone = announce(*loop, fresh, four.url("both.example"));
    REQUIRE(alone);
    CHECK(alone->peers.size() == 2);
    CHECK(loop->now() - began < 10s);
    // Whoever binds to one address announces from there.
    UdpTrackers one(*loop, both_families[1]);
    one.know("both.example", {both_families[1]});
    six.silent = false;
    const auto before = six.connects;
    CHECK(announce(*loop, one, four.url("both.example")));
    CHECK(six.connects == before);
  }
}

TEST_CASE("udp trackers: they may go away with announces under way") {
  const auto loop = make_loop();
  Tracker tracker(*loop, loopback_any_port);
  for (const int turns : {0, 1, 2, 3, 4}) {
    UdpTrackers trackers(*loop);
    for (int i = 0; i < 3; ++i) trackers.announce(tracker.url("localhost"), request(), [](const Reply&) {});
    for (int i = 0; i < turns && trackers.under_way() > 0; ++i) loop->run_once();
  }
  UdpTrackers trackers(*loop);
  CHECK(announce(*loop, trackers, tracker.url()));
}

TEST_CASE("drivers find each other by a UDP tracker, and say `stopped` when they leave") {
  const auto loop = make_loop();
  const TempFolder folder;
  const Content content(folder.path(), 1u << 20, 64 * 1024);
  Tracker tracker(*loop, loopback_any_port);
  const auto url = tracker.url();
  Node seed(*loop), get(*loop);
  tracker.reply.peers = {{{IpAddress::v4(0x7f000001), seed.driver.port()}, {}}};
  auto add_seed = content.seed();
  add_seed.trackers = {{url}};
  seed.driver.add_seed(std::move(add_seed));
  auto download = content.download(folder.path("got.bin"), seed.driver);
  download.peers.clear();
  download.trackers = {{url}};
  add(*loop, get.driver, std::move(download));
  REQUIRE(run_until(*loop, [&] { return get.told<core::Finished>() != nullptr; }));
  CHECK(read_all(folder.path("got.bin")) == content.bytes);
  const auto said = [&](const Node& node, wire::AnnounceEvent event) {
    return std::ranges::count_if(tracker.heard, [&](const wire::UdpAnnounce& a) {
      return a.request.event == event && a.request.port == node.driver.port() &&
             a.request.info_hash == content.info->info_hash;
    });
  };
  CHECK(run_until(*loop, [&] { return said(get, wire::AnnounceEvent::completed) == 1; }));
  CHECK(said(get, wire::AnnounceEvent::started) == 1);
  CHECK(said(seed, wire::AnnounceEvent::started) == 1);
  CHECK(stop(*loop, get.driver));
  CHECK(said(get, wire::AnnounceEvent::stopped) == 1);
  CHECK(said(seed, wire::AnnounceEvent::stopped) == 0);
  // A tracker that has gone silent holds nobody for long.
  tracker.silent = true;
  const auto began = loop->now();
  stop(*loop, seed.driver);
  CHECK(loop->now() - began < 4s);
}
