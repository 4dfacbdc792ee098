// HttpClient: one request, one Result<HttpResponse>. Used for trackers, catalogues and .torrent URLs.
//
// Rules
// 1. Names are resolved once a request; each address is tried in turn until one connects (3 s each, all within the
//    deadline).
// 2. One idle connection per authority is kept (15 at most) and used again. When it turns out to be dead before a byte
//    of the reply came, the request is sent once more on a fresh one.
// 3. At most 5 redirects, of GET and HEAD only, to http only, and never from a public address to a private one.
//    Rationale: a tracker on the Internet must not make us knock at the router's or the cloud's inner doors.
// 4. A reply is at most body_bytes_max long, and the deadline covers everything from the name to the last byte.
// 5. At most 256 requests are under way; more fail at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

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
  /// have Exit::unreachable ("connection_refused", "no_such_host", "timeout", "bad_reply", …), Exit::usage ("bad_url")
  /// for what is no URL.
  CallId ask(HttpAsk ask, Done done);
  void cancel(CallId call);
  std::size_t under_way() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::uv
