// HttpServer: HTTP/1.1 over TCP, one request at a time per connection, kept alive and pipelined; the reply may come
// later.
//
// Rules
// 1. A request is whole within 10 s of its first byte (the first one: of the connect), plus a second for every 32 KiB
//    of it that came; else 408. Rationale: slow senders hold nothing for long, and a large upload still gets the time
//    that it needs.
// 2. A connection without a request is closed after 30 s; so is one whose reply nobody takes. One that says nothing at
//    first is the system's for about a second, and ours from then on. Rationale: whoever asks once and goes is most of
//    a tracker's visitors; his request is there when we accept, so the loop need not watch for it (a third of the cost).
// 3. Bodies: 32 MiB for PUT /api/v1/files/*, 1 MiB for POST /api/v1/announce, 64 KiB otherwise; 413 and close beyond
//    that.
// 4. At most connections_max: then the longest idle one makes room, and when none is idle the new one is closed. At
//    most 256 MiB of unfinished requests in all: then whoever sends more of one is told 503.
// 5. While a reply is awaited, or more than 256 KiB of replies wait to be taken, the connection is not read.
// 6. A reply may go on without an end (HttpStream). What its reader sends is discarded; when more than 1 MiB waits for
//    him and there is more to say, or when nothing of it was taken for 30 s, the connection ends. stop() ends it, too.
// 7. A malformed request gets 400 (431 when its head is too large) and the connection ends.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/endpoint.hh"
#include "base/error.hh"
#include "base/instant.hh"
#include "uv/loop.hh"
#include "wire/http.hh"

namespace swarm::uv {

struct HttpServerLimits {
  Duration request_within = 10s;
  Duration idle_within = 30s;
  std::size_t connections_max = 8'000;
  std::size_t unfinished_bytes_max = 256u << 20;
};

class HttpServer;

/// A reply that goes on. Dropping it ends the connection. It must not outlive the server.
class HttpStream {
 public:
  HttpStream(HttpStream&& other) noexcept;
  HttpStream& operator=(HttpStream&& other) noexcept;
  ~HttpStream();
  /// False: the connection is gone, be it because of rule 6. Nothing can be written any more; on_gone is not called.
  bool write(Buffer bytes);

 private:
  friend class HttpReply;
  HttpStream(HttpServer* server, std::uint64_t connection) : server_(server), connection_(connection) {}
  HttpServer* server_;
  std::uint64_t connection_;
};

/// The right, and the duty, to answer one request. Dropped unanswered it answers 500. It must not outlive the server;
/// the connection may be gone, then the answer is, too.
class HttpReply {
 public:
  HttpReply(HttpReply&& other) noexcept;
  HttpReply& operator=(HttpReply&& other) noexcept;
  ~HttpReply();
  void send(wire::HttpResponse response);
  /// Sends the head; the body is what is written. `on_gone` is called once should the connection end by itself, and may
  /// drop the stream; never from inside stream() or write().
  HttpStream stream(const wire::HttpResponse& head, std::function<void()> on_gone);

 private:
  friend class HttpServer;
  HttpReply(HttpServer* server, std::uint64_t connection) : server_(server), connection_(connection) {}
  HttpServer* server_;
  std::uint64_t connection_;
};

class HttpServer {
 public:
  /// `from` is where the connection comes from, `local` where it came to. Called on the loop.
  using Handler =
      std::function<void(wire::HttpRequest& request, const Endpoint& from, const Endpoint& local, HttpReply reply)>;

  HttpServer(Loop& loop, Handler handler, HttpServerLimits limits = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// May be called several times. Port 0: any. The unspecified IPv6 address takes IPv4, too. Gives what it is bound to.
  Result<Endpoint> listen(const Endpoint& at);
  /// No new connections; idle ones are closed, the others after the reply they wait for; then `done` is called, on a
  /// later turn.
  void stop(std::function<void()> done);
  std::size_t connections() const;

 private:
  friend class HttpReply;
  friend class HttpStream;
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swarm::uv
