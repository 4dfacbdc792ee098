// HTTP/1.1 messages, parsed incrementally by llhttp and written as bytes. Used by both sides of the tracker protocol.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hh"

namespace swarm::wire {

struct HttpHeaders {
  std::vector<std::pair<std::string, std::string>> fields;
  /// Case-insensitive; the first of its name, or nothing.
  std::optional<std::string_view> find(std::string_view name) const;
  void set(std::string name, std::string value);
};

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  ///< path and query, percent-encoded as on the wire
  HttpHeaders headers;
  Buffer body;
  bool keep_alive = true;  ///< what the message asks for (version and Connection)

  std::string_view path() const;   ///< target up to '?'
  std::string_view query() const;  ///< behind '?', or empty
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  Buffer body;
  bool keep_alive = true;
};

/// An absolute http(s) or udp URL in parts. IPv6 hosts without brackets.
struct Url {
  std::string scheme;  ///< lower case
  std::string host;
  std::uint16_t port = 0;         ///< the scheme's default when absent (http 80, https 443); 0 for udp without one
  std::string target;             ///< path and query, at least "/"
  std::string authority() const;  ///< "host:port" with brackets for IPv6; port left out when it is the default
  std::string text() const;
};
std::optional<Url> parse_url(std::string_view text);

/// Appends the whole message; sets Content-Length (and Host from `host` when the request has none).
void append_http(Buffer& out, const HttpRequest& request, std::string_view host);
void append_http(Buffer& out, const HttpResponse& response, bool head_only = false);
/// The head of a response whose body ends with the connection; response.body is not looked at.
void append_endless_http(Buffer& out, const HttpResponse& response);

struct HttpLimits {
  std::size_t header_bytes_max = 16 * 1024;  ///< start line and all headers together
  std::size_t headers_max = 100;
  std::size_t body_bytes_max = 64 * 1024;  ///< asked once the headers are known, see body_limit
};

enum class HttpFault : std::uint8_t { none, malformed, header_too_large, body_too_large };

/// One side of one connection, message after message (pipelining included). Memory grows only with bytes received.
template <class Message>
class HttpReader {
 public:
  explicit HttpReader(HttpLimits limits = {});
  ~HttpReader();
  HttpReader(HttpReader&&) noexcept;
  HttpReader& operator=(HttpReader&&) noexcept;

  /// Feeds bytes. Complete messages queue up for next(). A fault sticks.
  HttpFault on_received(ByteView bytes);
  /// The stream ended (a response without a length ends there). malformed when in the middle of a message.
  HttpFault on_end();
  std::optional<Message> next();
  bool idle() const;  ///< between messages: nothing of the next one has arrived
  /// Raises the body limit for messages whose head satisfies `pred` (e.g. PUT of a torrent); called when headers are complete.
  void body_limit(std::size_t (*limit)(const Message& head, std::size_t ordinary));

  /// What is read answers a HEAD: whatever its head says of a length, no body follows (RFC 9112, 6.3).
  void expect_no_body();
  /// For one message with a body of any length: it is not kept and has no limit. Bytes behind the message are a surplus
  /// that makes idle() false.
  void stream();
  /// When streaming: the message whose head is complete, or nothing so far. Until the next call of a function that is
  /// not const.
  const Message* head() const;
  /// When streaming: what the last on_received() brought of the body, as views into the bytes that it was given.
  std::span<const ByteView> body_parts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};
extern template class HttpReader<HttpRequest>;
extern template class HttpReader<HttpResponse>;
using HttpRequestReader = HttpReader<HttpRequest>;
using HttpResponseReader = HttpReader<HttpResponse>;

std::string_view http_reason(int status);

}  // namespace swarm::wire
