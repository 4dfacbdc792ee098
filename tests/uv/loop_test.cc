#include <arpa/inet.h>
#include <sys/resource.h>

#include <csignal>
#include <set>
#include <thread>
#include <vector>

#include "support.hh"
#include "uv/address.hh"
#include "uv/resolver.hh"
#include "uv/signals.hh"
#include "uv/workers.hh"

using namespace swarm;
using namespace swarm::uv;

TEST_CASE("the loop's time goes forward") {
  const auto loop = make_loop();
  const Instant before = loop->now();
  CHECK(loop->now() >= before);
}

TEST_CASE("a timer is never early, and may be started again from its own call") {
  const auto loop = make_loop();
  for (const Duration after :
       {Duration(0), Duration(1ns), Duration(300us), Duration(1ms), Duration(2500us), Duration(7ms)}) {
    bool rang = false;
    Timer timer(*loop, [&] { rang = true; });
    const Instant begun = loop->now();
    timer.start(after);
    CHECK(timer.running());
    REQUIRE(run_until(*loop, [&] { return rang; }));
    CHECK(loop->now() - begun >= after);
    CHECK_FALSE(timer.running());
  }
  int rings = 0;
  std::optional<Timer> timer;
  timer.emplace(*loop, [&] {
    if (++rings < 3) timer->start(1ms);
    if (rings == 3) timer.reset();  // it may go away in the middle of its own call
  });
  timer->start(1ms);
  CHECK(run_until(*loop, [&] { return rings == 3; }));
}

TEST_CASE("a repeating timer repeats until it is stopped") {
  const auto loop = make_loop();
  int rings = 0;
  Timer timer(*loop, [&] { ++rings; });
  timer.every(1ms);
  CHECK(run_until(*loop, [&] { return rings >= 5; }));
  timer.stop();
  CHECK_FALSE(timer.running());
}

TEST_CASE("a job runs on another thread and its result comes back on the loop") {
  const auto loop = make_loop();
  Workers workers(*loop);
  CHECK(Workers::threads() >= 2);
  std::thread::id worker;
  std::optional<int> result;
  bool nothing_done = false;
  workers.run(
      [&worker] {
        worker = std::this_thread::get_id();
        return 42;
      },
      [&](int made) { result = made; });
  workers.run([] {}, [&] { nothing_done = true; });
  CHECK(workers.under_way() == 2);
  REQUIRE(run_until(*loop, [&] { return workers.under_way() == 0; }));
  CHECK(result == 42);
  CHECK(nothing_done);
  CHECK(worker != std::this_thread::get_id());
}

TEST_CASE("a job and its result are moved, never copied") {
  const auto loop = make_loop();
  Workers workers(*loop);
  int got = 0;
  workers.run([given = std::make_unique<int>(7)]() mutable { return std::move(given); },
              [&](std::unique_ptr<int> back) { got = *back; });
  CHECK(run_until(*loop, [&] { return got == 7; }));
}

TEST_CASE("as many jobs at once as the pool has threads") {
  const auto loop = make_loop();
  Workers workers(*loop);
  std::atomic<std::size_t> here{0};
  std::size_t done = 0;
  // Each waits for all the others: with fewer threads this would never end.
  for (std::size_t i = 0; i < Workers::threads(); ++i) {
    workers.run(
        [&here] {
          ++here;
          while (here < Workers::threads()) std::this_thread::yield();
        },
        [&] { ++done; });
  }
  CHECK(run_until(*loop, [&] { return done == Workers::threads(); }));
}

TEST_CASE("workers that go away wait for what runs, drop what waits, and call nobody back") {
  const auto loop = make_loop();
  const auto owned = std::make_shared<int>(1);
  std::atomic<int> ran{0};
  std::atomic<bool> go{false};
  bool told = false;
  {
    Workers workers(*loop);
    for (int i = 0; i < 50; ++i) {
      workers.run(
          [&ran, &go, owned] {
            while (!go) std::this_thread::yield();
            ++ran;
          },
          [&told, owned] { told = true; });
    }
    go = true;
  }
  const int ran_then = ran;
  CHECK(owned.use_count() == 1);  // at once, not when the loop turns next
  while (loop->run_once()) {
  }
  CHECK(ran == ran_then);
  CHECK_FALSE(told);
}

TEST_CASE("signals are events; SIGPIPE is none") {
  const auto loop = make_loop();
  std::vector<int> heard;
  const Signals signals(*loop, [&](int number) { heard.push_back(number); });
  std::raise(SIGPIPE);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    std::raise(number);
    CHECK(run_until(*loop, [&] { return !heard.empty() && heard.back() == number; }));
  }
  CHECK(heard.size() == 4);
}

TEST_CASE("signals do not keep the loop running") {
  const auto loop = make_loop();
  const Signals signals(*loop, [](int) {});
  loop->run();
  CHECK(true);
}

TEST_CASE("random bytes do not repeat") {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random_u64());
  CHECK(seen.size() == 1000);
  Buffer large(5000);  // more than one request of the generator
  random_bytes(large);
  CHECK(std::count(large.begin() + 4000, large.end(), 0) < 100);
}

TEST_CASE("names are looked up; what is no name says so") {
  const auto loop = make_loop();
  std::optional<Result<std::vector<IpAddress>>> found;
  const auto ask = [&](const std::string& host) {
    found.reset();
    const Lookup lookup(*loop, host, [&](Result<std::vector<IpAddress>> answer) { found = std::move(answer); });
    REQUIRE(run_until(*loop, [&] { return found.has_value(); }));
  };
  ask("127.0.0.1");
  REQUIRE(*found);
  CHECK(found->value() == std::vector{IpAddress::v4(0x7f000001)});
  ask("::1");
  REQUIRE(*found);
  CHECK(found->value().front().is_loopback());
  ask("localhost");
  REQUIRE(*found);
  CHECK(found->value().front().is_loopback());
  ask("no-such-host.invalid");
  REQUIRE_FALSE(*found);
  CHECK(found->error().message.starts_with("cannot find host no-such-host.invalid"));
  CHECK(found->error().exit == Exit::unreachable);
  ask(std::string(1000, 'x'));
  CHECK_FALSE(*found);

  bool called = false;
  {
    const Lookup forgotten(*loop, "localhost", [&](const auto&) { called = true; });
  }
  while (loop->run_once()) {
  }
  CHECK_FALSE(called);
}

TEST_CASE("addresses keep their meaning on the way to a socket and back") {
  for (const auto* text : {"1.2.3.4:5", "[2001:db8::1]:6969", "[::1]:1", "127.0.0.1:65535"}) {
    const auto endpoint = *Endpoint::from(text);
    socklen_t length = 0;
    auto address = to_sockaddr(endpoint, family_of(endpoint.address), &length);
    CHECK(from_sockaddr(reinterpret_cast<sockaddr*>(&address)) == endpoint);
    address = to_sockaddr(endpoint, AF_INET6, &length);
    CHECK(from_sockaddr(reinterpret_cast<sockaddr*>(&address)) == endpoint);
  }
  for (const auto* text : {"10.1.2.3", "192.168.1.1", "172.16.0.1", "172.31.255.255", "100.64.0.1", "127.0.0.1",
                           "169.254.1.1", "::1", "fd7a:115c:a1e0::1", "fe80::1", "0.0.0.0"}) {
    CAPTURE(text);
    CHECK(is_private(*IpAddress::from(text)));
  }
  for (const auto* text : {"1.1.1.1", "172.32.0.1", "172.15.0.1", "100.128.0.1", "192.167.0.1", "2606:4700::1111"}) {
    CAPTURE(text);
    CHECK_FALSE(is_private(*IpAddress::from(text)));
  }
}

TEST_CASE("the addresses of an overlay") {
  for (const auto* text : {"100.64.0.0", "100.127.255.255", "100.101.102.103", "fd7a:115c:a1e0::1",
                           "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff"}) {
    CAPTURE(text);
    CHECK(is_overlay(*IpAddress::from(text)));
  }
  for (const auto* text : {"100.63.255.255", "100.128.0.0", "101.64.0.1", "10.64.0.1", "0.0.0.0", "fd7a:115c:a1e1::1",
                           "fd7a:115c::1", "fe7a:115c:a1e0::1", "::1", "::"}) {
    CAPTURE(text);
    CHECK_FALSE(is_overlay(*IpAddress::from(text)));
  }
  const auto own = own_addresses();
  const auto found = find_interface("tailscale");
  CHECK(found.has_value() == std::any_of(own.begin(), own.end(), is_overlay));
  if (!found) {
    CHECK(found.error().message == "no Tailscale address on this machine (100.64.0.0/10 or fd7a:115c:a1e0::/48)");
  }
}

TEST_CASE("an interface is an address, a name, or an error that lists what there is") {
  CHECK_FALSE(*find_interface(""));
  CHECK(find_interface("127.0.0.1")->value() == IpAddress::v4(0x7f000001));
  const auto lo = find_interface("lo");
  REQUIRE(lo);
  CHECK((*lo)->is_loopback());
  const auto none = find_interface("nosuch0");
  REQUIRE_FALSE(none);
  CHECK(none.error().exit == Exit::usage);
  CHECK(none.error().hint.find("lo") != std::string::npos);
  for (const auto& address : own_addresses()) CHECK_FALSE(address.is_loopback());
}
