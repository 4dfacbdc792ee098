#include "uv/udp_trackers.hh"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.hh"
#include "core/discovery/udp_announce.hh"
#include "uv/random_bytes.hh"
#include "uv/resolver.hh"
#include "uv/timer.hh"
#include "uv/udp.hh"
#include "wire/http.hh"

namespace swarm::uv {

namespace {

constexpr Duration addresses_good_for = 5min;
constexpr std::size_t hosts_max = 256;
constexpr Duration second_answer_within = 2s;

Error unreachable(std::string code, std::string message, std::string hint = {}) {
  return {Exit::unreachable, std::move(code), std::move(message), std::move(hint)};
}

template <class N>
void take_larger(std::optional<N>& into, const std::optional<N>& from) {
  if (from && (!into || *into < *from)) into = from;
}

/// What two families of one tracker said, as one reply. Counts are of swarms that overlap, hence not added.
void merge(wire::AnnounceReply& into, const wire::AnnounceReply& from) {
  if (into.warning.empty()) into.warning = from.warning;
  into.interval_s = std::max(into.interval_s, from.interval_s);
  into.min_interval_s = std::max(into.min_interval_s, from.min_interval_s);
  take_larger(into.complete, from.complete);
  take_larger(into.incomplete, from.incomplete);
  take_larger(into.downloaded, from.downloaded);
  for (const auto& peer : from.peers) {
    const auto same = [&](const wire::AnnouncedPeer& other) { return other.endpoint == peer.endpoint; };
    if (std::ranges::none_of(into.peers, same)) into.peers.push_back(peer);
  }
}

}  // namespace

//   announce ──► looking up ──► one machine a family ──► done
//       └── addresses known ──────────▲
struct UdpTrackers::Parts {
  using CallId = std::uint64_t;

  struct Host {
    std::vector<IpAddress> addresses;
    Instant good_until{};
  };

  struct Call {
    wire::Url url;
    wire::AnnounceRequest request;
    Done done;
    Duration budget{};
    std::optional<Instant> end_by;  ///< while its name is looked up, and for the second answer
    std::optional<Error> failed;    ///< told when the timer comes
    std::unique_ptr<Lookup> lookup;
    std::vector<core::UdpAnnouncement> machines;  ///< one or two
  };

  Loop& loop;
  Interface interface;
  Random random{random_u64()};
  core::UdpConnectionIds ids;
  std::map<std::string, Host> hosts;  ///< at most hosts_max
  std::map<CallId, Call> calls;
  CallId next_id = 1;
  std::unique_ptr<UdpSocket> socket;  ///< from the first announce on
  Timer timer;

  Parts(Loop& l, Interface i) : loop(l), interface(std::move(i)), timer(l, [this] { on_time(); }) {}

  void begin(CallId id, Call& call);
  std::optional<Error> need_socket();
  void keep(const std::string& host, std::vector<IpAddress> addresses);
  const std::vector<IpAddress>* find(const std::string& host);
  void start(Call& call, const std::vector<IpAddress>& addresses);
  bool send_due(Call& call);
  void on_datagram(ByteView bytes, const Endpoint& from);
  void on_time();
  bool settle(CallId id);
  void arm();
  void finish(CallId id, const Result<wire::AnnounceReply>& result);
};

void UdpTrackers::Parts::begin(CallId id, Call& call) {
  if (auto failed = need_socket()) {
    call.failed = std::move(failed);
  } else if (const auto* known = find(call.url.host)) {
    start(call, *known);
  } else {
    call.end_by = loop.now() + call.budget;
    call.lookup = std::make_unique<Lookup>(loop, call.url.host, [this, id](Result<std::vector<IpAddress>> found) {
      Call& c = calls.at(id);
      c.end_by.reset();
      if (!found) return finish(id, tl::unexpected(std::move(found.error())));
      std::erase_if(*found, [&](const IpAddress& a) { return interface && interface->is_v4() != a.is_v4(); });
      keep(c.url.host, *found);
      start(c, *found);
      arm();
    });
  }
  arm();
}

std::optional<Error> UdpTrackers::Parts::need_socket() {
  if (socket) return std::nullopt;
  auto fresh = std::make_unique<UdpSocket>(
      loop, [this](ByteView bytes, const Endpoint& from, const IpAddress&) { on_datagram(bytes, from); });
  if (auto bound = fresh->bind({interface.value_or(IpAddress{}), 0}); !bound) return std::move(bound.error());
  socket = std::move(fresh);
  return std::nullopt;
}

const std::vector<IpAddress>* UdpTrackers::Parts::find(const std::string& host) {
  const auto at = hosts.find(host);
  return at == hosts.end() || loop.now() >= at->second.good_until ? nullptr : &at->second.addresses;
}

void UdpTrackers::Parts::keep(const std::string& host, std::vector<IpAddress> addresses) {
  if (hosts.size() >= hosts_max && !hosts.contains(host)) {
    hosts.erase(std::ranges::min_element(hosts, {}, [](const auto& one) { return one.second.good_until; }));
  }
  hosts[host] = {std::move(addresses), loop.now() + addresses_good_for};
}

/// Both families, each by its first address. Where nothing leads the datagram cannot leave, and nobody waits for it.
void UdpTrackers::Parts::start(Call& call, const std::vector<IpAddress>& addresses) {
  for (const bool v4 : {true, false}) {
    const auto at = std::ranges::find(addresses, v4, &IpAddress::is_v4);
    if (at == addresses.end()) continue;
    call.machines.emplace_back(Endpoint{*at, call.url.port}, call.request, call.url.target, call.budget, ids, random,
                               loop.now());
    const auto first = call.machines.back().next_datagram(loop.now());
    if (first && !socket->send(call.machines.back().tracker(), *first)) call.machines.pop_back();
  }
  if (call.machines.empty()) {
    call.failed = unreachable("cannot_connect",
                              fmt::format("no address of {} can be reached from here", printable(call.url.host)));
  }
}

bool UdpTrackers::Parts::send_due(Call& call) {
  bool over = false;
  for (auto& machine : call.machines) {
    while (const auto datagram = machine.next_datagram(loop.now())) socket->send(machine.tracker(), *datagram);
    over = over || machine.result();
  }
  return over;
}

void UdpTrackers::Parts::on_datagram(ByteView bytes, const Endpoint& from) {
  for (auto& [id, call] : calls) {
    for (auto& machine : call.machines) {
      if (machine.tracker() != from || !machine.on_datagram(bytes, loop.now())) continue;
      if (send_due(call)) settle(id);
      return arm();
    }
  }
}

void UdpTrackers::Parts::on_time() {
  const Instant now = loop.now();
  std::vector<CallId> due;
  for (auto& [id, call] : calls) {
    const bool over = send_due(call);
    if (call.failed || over || (call.end_by && now >= *call.end_by)) due.push_back(id);
  }
  for (const CallId id : due) {
    const auto at = calls.find(id);
    if (at == calls.end()) continue;
    Call& call = at->second;
    if (call.failed) {
      finish(id, tl::unexpected(std::move(*call.failed)));
    } else if (call.lookup && call.machines.empty()) {
      finish(id, tl::unexpected(unreachable("no_such_host",
                                            fmt::format("cannot find host {} (timeout)", printable(call.url.host)))));
    } else {
      settle(id);
    }
  }
  arm();
}

/// Ends a call that has heard enough.
bool UdpTrackers::Parts::settle(CallId id) {
  Call& call = calls.at(id);
  std::optional<wire::AnnounceReply> reply, refusal;
  const Error* error = nullptr;
  bool waiting = false;
  for (const auto& machine : call.machines) {
    const auto& result = machine.result();
    if (!result) {
      waiting = true;
    } else if (!*result) {
      error = &result->error();
      // Rule 4.
      if (const auto at = hosts.find(call.url.host); at != hosts.end()) {
        auto& list = at->second.addresses;
        const auto bad = std::ranges::find(list, machine.tracker().address);
        if (bad != list.end()) std::rotate(bad, bad + 1, list.end());
      }
    } else if (!(*result)->failure.empty()) {
      refusal = **result;
    } else if (!reply) {
      reply = **result;
    } else {
      merge(*reply, **result);
    }
  }
  if (waiting && !reply) return false;
  if (waiting && !call.end_by) call.end_by = loop.now() + second_answer_within;
  if (waiting && loop.now() < *call.end_by) return false;
  if (reply || refusal) {
    finish(id, reply ? std::move(*reply) : std::move(*refusal));
  } else {
    finish(id, tl::unexpected(Error(*error)));
  }
  return true;
}

void UdpTrackers::Parts::arm() {
  std::optional<Instant> next;
  const auto take = [&](std::optional<Instant> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  for (const auto& [id, call] : calls) {
    if (call.failed) take(loop.now());
    take(call.end_by);
    for (const auto& machine : call.machines) take(machine.next_wake());
  }
  next ? timer.start(std::max(*next - loop.now(), Duration{})) : timer.stop();
}

void UdpTrackers::Parts::finish(CallId id, const Result<wire::AnnounceReply>& result) {
  const auto call = calls.extract(id);
  call.mapped().done(result);
}

UdpTrackers::UdpTrackers(Loop& loop, Interface interface)
    : parts_(std::make_unique<Parts>(loop, std::move(interface))) {}
UdpTrackers::~UdpTrackers() = default;

void UdpTrackers::announce(const std::string& url, wire::AnnounceRequest request, Done done) {
  const auto id = parts_->next_id++;
  auto& call = parts_->calls[id];
  const bool stops = request.event == wire::AnnounceEvent::stopped;
  call.budget = stops ? core::UdpAnnouncement::budget_stopped : core::UdpAnnouncement::budget_ordinary;
  call.request = std::move(request);
  call.done = std::move(done);
  auto parsed = wire::parse_url(url);
  if (parsed && parsed->scheme == "udp" && parsed->port != 0) {
    call.url = std::move(*parsed);
    return parts_->begin(id, call);
  }
  call.failed = {Exit::usage, "bad_url",
                 fmt::format("'{}' is no address of a UDP tracker (udp://HOST:PORT)", fit(printable(url), 200)), ""};
  parts_->arm();
}

void UdpTrackers::know(const std::string& host, std::vector<IpAddress> addresses) {
  parts_->keep(host, std::move(addresses));
}

std::size_t UdpTrackers::under_way() const { return parts_->calls.size(); }

}  // namespace swarm::uv
