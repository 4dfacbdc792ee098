// Any bytes as an HTTP connection, from either side: however the stream is cut, the same messages come out of it, or a fault
// in the same place, and none is larger than its limits. (Which of two faults of one head is told may depend on the cut.)
#include "wire/http.hh"

#include <algorithm>

#include "base/check.hh"
#include "fuzz/target.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

constexpr HttpLimits limits{512, 10, 300};

template <class Message>
struct Outcome {
  std::vector<Message> messages;
  HttpFault fault = HttpFault::none;
};

template <class Message>
Outcome<Message> read(ByteView stream, std::size_t step) {
  HttpReader<Message> reader(limits);
  Outcome<Message> out;
  for (std::size_t at = 0; at < stream.size() && out.fault == HttpFault::none; at += step) {
    out.fault = reader.on_received(stream.subspan(at, std::min(step, stream.size() - at)));
    while (auto message = reader.next()) out.messages.push_back(std::move(*message));
  }
  if (out.fault == HttpFault::none) out.fault = reader.on_end();
  while (auto message = reader.next()) out.messages.push_back(std::move(*message));
  return out;
}

void check_same(const HttpRequest& a, const HttpRequest& b) {
  SWARM_CHECK(a.method == b.method && a.target == b.target);
  SWARM_CHECK(std::string(a.path()).size() + std::string(a.query()).size() <= a.target.size());
}

void check_same(const HttpResponse& a, const HttpResponse& b) { SWARM_CHECK(a.status == b.status); }

template <class Message>
bool check(ByteView stream) {
  const auto whole = read<Message>(stream, std::max<std::size_t>(stream.size(), 1));
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}}) {
    const auto cut = read<Message>(stream, step);
    SWARM_CHECK((cut.fault == HttpFault::none) == (whole.fault == HttpFault::none));
    SWARM_CHECK(cut.messages.size() == whole.messages.size());
    for (std::size_t i = 0; i < cut.messages.size(); ++i) {
      const auto& a = whole.messages[i];
      const auto& b = cut.messages[i];
      check_same(a, b);
      SWARM_CHECK(a.headers.fields == b.headers.fields && a.body == b.body && a.keep_alive == b.keep_alive);
    }
  }
  for (const Message& message : whole.messages) {
    SWARM_CHECK(message.body.size() <= limits.body_bytes_max && message.headers.fields.size() <= limits.headers_max);
    std::size_t bytes = 0;
    for (const auto& [name, value] : message.headers.fields) bytes += name.size() + value.size();
    SWARM_CHECK(bytes <= limits.header_bytes_max);
  }
  return !whole.messages.empty();
}

void check_url(std::string_view text) {
  const auto url = parse_url(text);
  if (!url) return;
  SWARM_CHECK(!url->host.empty() && url->target.starts_with('/'));
  SWARM_CHECK(url->target.find_first_of(" \r\n") == std::string::npos);
  const auto again = parse_url(url->text());
  SWARM_CHECK(again && again->text() == url->text());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView stream{data, size};
  const bool request = check<HttpRequest>(stream);
  const bool response = check<HttpResponse>(stream);
  const auto text = as_text(stream);
  check_url(text);
  check_url("http://" + std::string(text.substr(0, 200)));
  test::accepted += request || response || parse_url(text) ? 1 : 0;
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  return {"GET /announce?info_hash=%00a&port=1 HTTP/1.1\r\nHost: nas:6969\r\nAccept-Encoding: gzip\r\n\r\n",
          "GET / HTTP/1.0\r\n\r\n",
          "PUT /api/v1/files/x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nd4:infodeeee"
          "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
          "POST /api/v1/announce HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
          "chunked\r\n\r\n5\r\n{\"a\":\r\n2;x=y\r\n1}\r\n0\r\n"
          "Trailer: t\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nd1:xeHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
          "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
          "udp://[2001:db8::1]:80/announce?a=b",
          "http://tracker.example:6969/announce"};
}
