#include "cli/tracker_finder.hh"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/endpoint.hh"
#include "base/text.hh"
#include "core/discovery/announcer.hh"
#include "wire/http.hh"

namespace swarm::cli {

namespace {

tl::unexpected<Error> no_address(std::string_view text) {
  return fail(Exit::usage, "bad_tracker", fmt::format("-t: '{}' is no address of a tracker", printable(text)),
              "Use HOST, HOST:PORT, http(s)://HOST:PORT or udp://HOST:PORT");
}

bool is_loopback_host(const std::string& host) {
  const auto address = IpAddress::from(host);
  return address ? address->is_loopback() : host == "localhost";
}

FoundTracker judge(TrackerAddress address, const Result<wire::HttpResponse>& reply) {
  FoundTracker found{std::move(address), FoundTracker::Kind::silent, {}, {}};
  if (!reply && !found.address.udp()) {
    found.error = tracker_error(found.address, reply.error());
    return found;
  }
  auto hello = reply && reply->status == 200 ? wire::hello_from_json(as_text(reply->body))
                                             : Result<wire::Hello>(fail(Exit::other, "bad_message", "no hello"));
  if (hello) {
    found.kind = FoundTracker::Kind::swarm;
    found.hello = std::move(*hello);
    return found;
  }
  found.kind = FoundTracker::Kind::plain;
  found.error = {Exit::unreachable,
                 "plain_tracker",
                 fmt::format("{} is a plain BitTorrent tracker without a catalogue; give a magnet link or .torrent",
                             found.address.base),
                 {}};
  return found;
}

}  // namespace

Result<TrackerAddress> parse_tracker(std::string_view text) {
  TrackerAddress out;
  std::string scheme = "http", host, target = "/";
  std::uint16_t port = 0;
  if (text.find("://") != text.npos) {
    const auto url = wire::parse_url(text);
    if (!url || url->host.empty() || url->port == 0) return no_address(text);
    scheme = url->scheme, host = url->host, port = url->port, target = url->target;
  } else {
    const auto place = parse_host_port(text);
    if (!place || place->host.find_first_of("/?# @") != std::string::npos) return no_address(text);
    host = place->host;
    port = place->port == 0 ? tracker_port : place->port;
  }
  const auto bracketed = host.find(':') == host.npos ? host : fmt::format("[{}]", host);
  const auto root = wire::Url{scheme, host, port, "/"};
  out.base = fmt::format("{}://{}", scheme, root.authority());
  out.announce = target == "/" ? out.base + "/announce" : out.base + target;
  if (out.udp()) out.announce = text;  // its path, where it has one, is told to the tracker as it is (BEP 41)
  out.label = fmt::format("{}:{}", bracketed, port);
  out.typed = port == tracker_port ? bracketed : out.label;
  if (scheme != "http") out.typed = out.base;
  out.loopback = is_loopback_host(host);
  return out;
}

void find_trackers(uv::HttpClient& http, std::vector<TrackerAddress> addresses,
                   std::function<void(std::vector<FoundTracker>)> done) {
  struct Round {
    std::vector<std::optional<FoundTracker>> found;
    std::size_t left = 0;
    std::function<void(std::vector<FoundTracker>)> done;
  };
  auto round = std::make_shared<Round>();
  round->found.resize(addresses.size());
  round->left = addresses.size();
  round->done = std::move(done);
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    uv::HttpAsk ask;
    ask.url = addresses[i].base;  // of a UDP tracker: refused on a later turn, which is all that judge() needs
    ask.deadline = 6s;
    ask.request.target = "/api/v1/hello";
    http.ask(std::move(ask), [round, i, address = addresses[i]](const Result<wire::HttpResponse>& reply) {
      round->found[i] = judge(address, reply);
      if (--round->left != 0) return;
      std::vector<FoundTracker> all;
      for (auto& found : round->found) all.push_back(std::move(*found));
      round->done(std::move(all));
    });
  }
}

Error no_tracker_error(const std::string& command) {
  return {Exit::unreachable, "no_tracker", "no tracker",
          fmt::format("Start one with 'swarm tracker', or say where it is: {} -t HOST", printable(command))};
}

Error tracker_error(const TrackerAddress& address, const Error& from_http) {
  Error e = from_http;
  e.exit = Exit::unreachable;
  if (e.code == "connection_refused") {
    e.message = fmt::format("nothing listens on {} (connection refused)", address.label);
    e.hint = "Is 'swarm tracker' running there?";
  } else if (e.code == "no_such_host") {
    e.hint = fmt::format("Check the name, or give the address: -t 192.0.2.1:{}", tracker_port);
  } else if (e.code == "timeout") {
    e.message = fmt::format("{} does not answer (timeout)", address.label);
    e.hint = "Is the machine on, and its port open?";
  }
  return e;
}

Error api_error(const TrackerAddress& address, const wire::HttpResponse& reply) {
  const auto said = wire::api_error_from_json(as_text(reply.body));
  Error e{Exit::other, said ? said->code : "bad_reply",
          said ? printable(said->message)
               : fmt::format("{} answered {} {}", address.label, reply.status, wire::http_reason(reply.status)),
          said ? printable(said->hint) : std::string()};
  if (reply.status == 401 || reply.status == 403) e.exit = Exit::refused;
  if (reply.status == 404) e.exit = Exit::not_found;
  if (reply.status == 507) e.exit = Exit::disk;
  return e;
}

}  // namespace swarm::cli
