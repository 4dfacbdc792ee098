// HttpClient: one request, one Result<HttpResponse>. Used for trackers, catalogues and .torrent URLs.
//
// Rules
// 1. Names are resolved once a request; each address is tried in turn until one connects (3 s each, all within the
//    deadline).
// 2. One idle connection per scheme and authority is kept (15 at most) and used again. When it turns out to be dead before a byte
//    of the reply came, the request is sent once more on a fresh one.
// 3. At most 5 redirects, of GET and HEAD only, from http to http and https, from https to https only, and never from a
//    public address to a private one. Rationale: a tracker on the Internet must not make us knock at the router's or the
//    cloud's inner doors, and what was asked for in secret stays so.
// 4. A reply is at most body_bytes_max long, and the deadline covers everything from the name to the last byte.
// 5. A reply that is streamed (HttpAsk::on_body) may be of any length. Then the deadline covers all up to its head, and
//    behind that no more than stall_within may pass without a byte, unless we are the ones who do not read.
// 6. At most 256 requests are under way; more fail at once.
// 7. https: tls.hh has the rules. The certificates of authorities are loaded on a worker when they are first needed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.hh"
#include "base/error.hh"
#include "base/instant.hh"
#include "uv/address.hh"
#include "uv/loop.hh"
#include "wire/http.hh"

namespace swarm::uv {

struct HttpAsk {
  std::string url;  ///< "http://nas:6969" with the target in `request`, or a whole URL when request.target is "/" alone
  wire::HttpRequest request;
  Duration deadline = 15s;
  std::size_t body_bytes_max = 1u << 20;  ///< of the reply
  Duration stall_within = 30s;            ///< only when it is streamed

  // Streaming: when on_body is set, it is given the body as it comes, on the loop, and `done` a reply without it. on_head
  // comes once before, with any status that is no redirect. Both may cancel the call and pause it.
  std::function<void(const wire::HttpResponse& head)> on_head = {};
  std::function<void(ByteView bytes)> on_body = {};  ///< `bytes` are valid during the call
};
constexpr std::size_t torrent_bytes_max = 64u << 20;  ///< body_bytes_max for a .torrent

class HttpClient {
 public:
  using Done = std::function<void(Result<wire::HttpResponse>)>;
  enum class CallId : std::uint64_t {};

  explicit HttpClient(Loop& loop, Interface interface = {});
  ~HttpClient();  ///< drops what is under way; no `done` is called any more
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// `done` is called exactly once, on a later turn of the loop, unless it is cancelled. Any status is a reply. Errors
  /// have Exit::unreachable ("connection_refused", "no_such_host", "timeout", "stalled", "bad_reply", those of TlsStream, …),
  /// Exit::usage ("bad_url") for what is no URL.
  CallId ask(HttpAsk ask, Done done);
  void cancel(CallId call);
  /// Back-pressure for a streamed reply: while it is not wanted, nothing is taken from the network. What had been taken
  /// when it was said still comes, at most 64 KiB.
  void read(CallId call, bool wanted);
  std::size_t under_way() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::uv
