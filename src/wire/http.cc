#include "wire/http.hh"

#include <fmt/format.h>
#include <llhttp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <utility>

#include "base/endpoint.hh"

namespace swarm::wire {
namespace {

constexpr std::size_t head_bytes_usual = 512;  ///< of a response of ours

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

/// The first byte that is a space or a control character, or `end`. Eight at a time: a byte below 0x21 borrows into its
/// highest bit when 0x21 is taken from each.
const std::uint8_t* end_of_word(const std::uint8_t* at, const std::uint8_t* end) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  for (std::uint64_t eight = 0; end - at >= 8; at += 8) {
    std::memcpy(&eight, at, 8);
    if (((eight - 0x21 * ones) & ~eight & (0x80 * ones)) != 0) break;
  }
  return std::find_if(at, end, [](std::uint8_t byte) { return byte <= ' '; });
}

/// A header's name (RFC 9110, 5.6.2).
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

void put(Buffer& out, std::string_view text) { append(out, as_bytes(text)); }

/// What goes into a line of the head must not end that line: a name or a redirect may come from a stranger.
void put_line_part(Buffer& out, std::string_view text) {
  const auto begin = out.size();
  put(out, text);
  for (auto at = begin; at < out.size(); ++at) {
    if (out[at] < 0x20 || out[at] == 0x7f) out[at] = ' ';
  }
}

void put_number(Buffer& out, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  put(out, {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

void put_status_line(Buffer& out, int status) {
  put(out, "HTTP/1.1 ");
  put_number(out, static_cast<std::uint64_t>(status));
  put(out, " ");
  put(out, http_reason(status));
  put(out, "\r\n");
}

void put_length(Buffer& out, std::size_t bytes) {
  put(out, "Content-Length: ");
  put_number(out, bytes);
  put(out, "\r\n");
}

void put_header(Buffer& out, std::string_view name, std::string_view value) {
  put_line_part(out, name);
  put(out, ": ");
  put_line_part(out, value);
  put(out, "\r\n");
}

/// All that the message brings, but for what we set ourselves.
void put_headers(Buffer& out, const HttpHeaders& headers) {
  for (const auto& [name, value] : headers.fields) {
    if (!same_name(name, "content-length") && !same_name(name, "transfer-encoding")) put_header(out, name, value);
  }
}

std::uint16_t default_port(std::string_view scheme) {
  if (scheme == "http") return 80;
  return scheme == "https" ? 443 : 0;
}

/// A path and query that can stand in a request line: non-ASCII bytes percent-encoded, the fragment cut off. Nothing when it
/// holds spaces or control characters.
std::optional<std::string> clean_target(std::string_view text) {
  text = text.substr(0, text.find('#'));
  std::string out;
  if (!text.starts_with('/')) out = "/";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f) return std::nullopt;
    if (byte < 0x80) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

bool is_host(std::string_view host) {
  return !host.empty() && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

}  // namespace

std::optional<std::string_view> HttpHeaders::find(std::string_view name) const {
  for (const auto& [field, value] : fields) {
    if (same_name(field, name)) return value;
  }
  return std::nullopt;
}

void HttpHeaders::set(std::string name, std::string value) {
  for (auto& [field, old] : fields) {
    if (!same_name(field, name)) continue;
    old = std::move(value);
    return;
  }
  fields.emplace_back(std::move(name), std::move(value));
}

std::string_view HttpRequest::path() const { return std::string_view(target).substr(0, target.find('?')); }

std::string_view HttpRequest::query() const {
  const auto at = target.find('?');
  return at == std::string::npos ? std::string_view() : std::string_view(target).substr(at + 1);
}

std::string Url::authority() const {
  auto out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != 0 && port != default_port(scheme)) out += fmt::format(":{}", port);
  return out;
}

std::string Url::text() const { return scheme + "://" + authority() + target; }

std::optional<Url> parse_url(std::string_view text) {
  Url url;
  const auto colon = text.find("://");
  if (colon == text.npos) return std::nullopt;
  std::ranges::transform(text.substr(0, colon), std::back_inserter(url.scheme), lower);
  if (url.scheme != "http" && url.scheme != "https" && url.scheme != "udp") return std::nullopt;
  text.remove_prefix(colon + 3);

  const auto authority = text.substr(0, text.find_first_of("/?#"));
  auto target = clean_target(text.substr(authority.size()));
  if (!target) return std::nullopt;
  url.target = std::move(*target);

  auto rest = authority;
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == authority.npos) return std::nullopt;
    url.host = authority.substr(1, close - 1);
    if (url.host.find(':') == std::string::npos || !IpAddress::from(url.host)) return std::nullopt;
    rest.remove_prefix(close + 1);
  } else {
    rest = authority.substr(std::min(authority.find(':'), authority.size()));
    std::ranges::transform(authority.substr(0, authority.size() - rest.size()), std::back_inserter(url.host), lower);
    if (!is_host(url.host)) return std::nullopt;
  }

  url.port = default_port(url.scheme);
  if (rest.empty() || rest == ":") return url;
  const auto digits = rest.substr(1);
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
  if (rest[0] != ':' || fault != std::errc() || end != digits.data() + digits.size() || url.port == 0)
    return std::nullopt;
  return url;
}

void append_http(Buffer& out, const HttpRequest& request, std::string_view host) {
  put_line_part(out, request.method);
  put(out, " ");
  put_line_part(out, request.target);
  put(out, " HTTP/1.1\r\n");
  if (!request.headers.find("host")) put_header(out, "Host", host);
  put_headers(out, request.headers);
  if (!request.keep_alive && !request.headers.find("connection")) put(out, "Connection: close\r\n");
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    put_length(out, request.body.size());
  }
  put(out, "\r\n");
  append(out, request.body);
}

void append_endless_http(Buffer& out, const HttpResponse& response) {
  put_status_line(out, response.status);
  put_headers(out, response.headers);
  put(out, "Connection: close\r\n\r\n");
}

void append_http(Buffer& out, const HttpResponse& response, bool head_only) {
  out.reserve(out.size() + head_bytes_usual + response.body.size());
  put_status_line(out, response.status);
  put_headers(out, response.headers);
  if (!response.headers.find("connection")) {  // said in either case: HTTP/1.0 and 1.1 differ in what silence means
    put(out, response.keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
  }
  const bool bodiless = response.status / 100 == 1 || response.status == 204 || response.status == 304;
  if (!bodiless) put_length(out, response.body.size());
  put(out, "\r\n");
  if (!bodiless && !head_only) append(out, response.body);
}

//         first byte             end of headers              end of message
//   idle ────────────► head ────────────────────► body ─────────────────────► idle, or closed when nothing may follow
//
// llhttp is paused at the two ends, which tells where they lie in the input; so the head is counted to the byte.
template <class Message>
struct HttpReader<Message>::State {
  enum class Phase : std::uint8_t { idle, head, body, closed };
  static constexpr bool is_request = std::is_same_v<Message, HttpRequest>;

  explicit State(HttpLimits l) : limits(l), body_bytes_max(l.body_bytes_max) {
    static const llhttp_settings_t settings = callbacks();
    llhttp_init(&parser, is_request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    parser.data = this;
  }

  HttpFault on_received(ByteView bytes);
  HttpFault on_end();

  static llhttp_settings_t callbacks();
  static State& of(llhttp_t* p) { return *static_cast<State*>(p->data); }
  std::size_t run(ByteView bytes);
  bool resume();
  bool framed_until(const std::uint8_t* end);
  bool bounded() const;
  bool has_ready() const { return given != ready.size(); }
  bool keep_header();
  bool keep_body(ByteView bytes);
  void headers_complete();
  void message_complete();
  int stop(HttpFault why) {
    if (fault == HttpFault::none) fault = why;
    return HPE_USER;
  }

  llhttp_t parser{};
  HttpLimits limits;
  std::size_t body_bytes_max;  ///< of the message under way
  std::size_t (*limit)(const Message&, std::size_t) = nullptr;
  HttpFault fault = HttpFault::none;
  Phase phase = Phase::idle;
  std::size_t head_bytes = 0;           ///< of the message under way, with empty lines before it
  std::uint64_t body_bytes = 0;         ///< payload
  std::uint64_t body_raw_bytes = 0;     ///< as on the wire: chunk sizes, extensions and trailers too
  const std::uint8_t* frame = nullptr;  ///< within run(): what is not known as payload begins here
  std::uint8_t last = 0;                ///< byte that was not payload
  std::uint64_t chunk_left = 0;         ///< bytes of the chunk under way
  bool after_chunk = false;             ///< CR LF must come now
  bool bodiless = false;                ///< answers to HEAD
  bool streaming = false, surplus = false;
  std::vector<ByteView> parts;  ///< when streaming; bounded by the bytes of one on_received()
  Message message;
  std::string field, value;    ///< of the header under way
  std::vector<Message> ready;  ///< from `given` on; bounded by the bytes of one on_received()
  std::size_t given = 0;       ///< of `ready`, by next()
};

template <class Message>
HttpFault HttpReader<Message>::State::on_received(ByteView bytes) {
  parts.clear();
  while (!bytes.empty() && fault == HttpFault::none && phase != Phase::closed) {
    if (streaming && has_ready()) {
      surplus = true;
      return fault;
    }
    const bool head = phase != Phase::body;
    const auto taken =
        run(head ? bytes.first(std::min(bytes.size(), limits.header_bytes_max + 1 - head_bytes)) : bytes);
    (head ? head_bytes : body_raw_bytes) += taken;
    if (!bounded()) stop(HttpFault::header_too_large);
    bytes = bytes.subspan(taken);
    if (!resume()) continue;
    if (!head) {
      message_complete();
      continue;
    }
    phase = Phase::body;  // a message without a body ends here, whether or not another byte ever comes
    run(as_bytes(""));
    if (resume()) message_complete();
  }
  return fault;
}

template <class Message>
HttpFault HttpReader<Message>::State::on_end() {
  if (fault != HttpFault::none || phase == Phase::closed || phase == Phase::idle) return fault;
  const auto result = llhttp_finish(&parser);
  if (phase == Phase::body && (result == HPE_OK || result == HPE_PAUSED)) {
    message_complete();
    phase = Phase::closed;
  } else {
    stop(HttpFault::malformed);
  }
  return fault;
}

/// How many bytes were taken: all, or those up to a pause.
template <class Message>
std::size_t HttpReader<Message>::State::run(ByteView bytes) {
  frame = bytes.data();
  const auto text = as_text(bytes);
  const auto result = llhttp_execute(&parser, text.data(), text.size());
  if (result != HPE_OK && result != HPE_PAUSED) return stop(HttpFault::malformed), 0;
  const auto* end = result == HPE_OK ? text.data() + text.size() : llhttp_get_error_pos(&parser);
  if (!framed_until(reinterpret_cast<const std::uint8_t*>(end))) stop(HttpFault::malformed);
  return static_cast<std::size_t>(end - text.data());
}

/// After a pause that is no fault: goes on.
template <class Message>
bool HttpReader<Message>::State::resume() {
  if (fault != HttpFault::none || parser.error != HPE_PAUSED) return false;
  llhttp_resume(&parser);
  return true;
}

/// Checks the bytes from `frame` to `end`, which are not payload: CR and LF only together, no folded lines, CR LF behind each
/// chunk. Whatever the parser was built to tolerate, readers that disagree on where a line ends can be played against each
/// other (RFC 9112, 2.2, 5.2, 7.1).
template <class Message>
bool HttpReader<Message>::State::framed_until(const std::uint8_t* end) {
  for (; frame != end; ++frame) {
    if (last > ' ' && !after_chunk) {  // nearly all of it is such words
      const auto* word = std::exchange(frame, end_of_word(frame, end));
      if (frame != word) last = frame[-1];
      if (frame == end) break;
    }
    const auto byte = *frame;
    if ((last == '\r') != (byte == '\n')) return false;
    if (last == '\n' && (byte == ' ' || byte == '\t')) return false;
    if (after_chunk && byte != '\r') return false;
    after_chunk = false;
    last = byte;
  }
  return true;
}

/// The head within its limit, and what stands around a chunked body (sizes, extensions, trailers) in proportion to it.
template <class Message>
bool HttpReader<Message>::State::bounded() const {
  return head_bytes <= limits.header_bytes_max &&
         body_raw_bytes - body_bytes <= limits.header_bytes_max + 8 * body_bytes;
}

/// Keeps the header that is complete, but not a trailer.
template <class Message>
bool HttpReader<Message>::State::keep_header() {
  if (!is_token(field)) return stop(HttpFault::malformed), false;
  if (phase != Phase::body) {
    if (message.headers.fields.size() >= limits.headers_max) return stop(HttpFault::header_too_large), false;
    message.headers.fields.emplace_back(field, trimmed(value));
  }
  field.clear(), value.clear();
  return true;
}

template <class Message>
bool HttpReader<Message>::State::keep_body(ByteView bytes) {
  if (!framed_until(bytes.data())) return stop(HttpFault::malformed), false;
  if (streaming) {
    parts.push_back(bytes);
  } else {
    if (bytes.size() > body_bytes_max - message.body.size()) return stop(HttpFault::body_too_large), false;
    append(message.body, bytes);
  }
  body_bytes += bytes.size();
  frame = bytes.data() + bytes.size();
  if ((parser.flags & F_CHUNKED) != 0) {
    chunk_left -= bytes.size();
    after_chunk = chunk_left == 0;
  }
  return true;
}

template <class Message>
void HttpReader<Message>::State::headers_complete() {
  if (parser.http_major != 1 || parser.http_minor > 1) return void(stop(HttpFault::malformed));
  if (bodiless) parser.flags |= F_SKIPBODY;
  message.keep_alive = llhttp_should_keep_alive(&parser) != 0;
  if constexpr (is_request) {
    message.method = llhttp_method_name(static_cast<llhttp_method_t>(parser.method));
    parser.upgrade = 0;  // no other protocol is spoken here: an offer to change to one is not taken up (RFC 9110, 7.8)
    const auto hosts =
        std::ranges::count_if(message.headers.fields, [](auto& f) { return same_name(f.first, "host"); });
    if (hosts > 1) return void(stop(HttpFault::malformed));  // RFC 9112, 3.2
  } else {
    message.status = llhttp_get_status_code(&parser);
    if (message.status < 100 || message.status == 101) return void(stop(HttpFault::malformed));
  }
  body_bytes_max = limit != nullptr ? limit(message, limits.body_bytes_max) : limits.body_bytes_max;
  if (streaming || bodiless) return;
  if ((parser.flags & F_CONTENT_LENGTH) != 0 && parser.content_length > body_bytes_max) stop(HttpFault::body_too_large);
}

template <class Message>
void HttpReader<Message>::State::message_complete() {
  phase = message.keep_alive ? Phase::idle : Phase::closed;
  bool wanted = true;
  if constexpr (!is_request) {
    wanted = message.status >= 200;  // "100 Continue" and its like announce the response, they are not it
    if (!wanted) phase = Phase::idle;
  }
  if (wanted) ready.push_back(std::move(message));
  message = {};
  if constexpr (is_request) message.target.clear();
  field.clear(), value.clear();
  head_bytes = 0;
  body_bytes = body_raw_bytes = 0;
}

template <class Message>
llhttp_settings_t HttpReader<Message>::State::callbacks() {
  llhttp_settings_t s;
  llhttp_settings_init(&s);
  s.on_message_begin = [](llhttp_t* p) noexcept -> int {
    of(p).phase = Phase::head;
    if constexpr (is_request) of(p).message.target.clear();
    return HPE_OK;
  };
  if constexpr (is_request) {
    s.on_url = [](llhttp_t* p, const char* at, std::size_t length) noexcept -> int {
      of(p).message.target.append(at, length);
      return HPE_OK;
    };
  }
  s.on_header_field = [](llhttp_t* p, const char* at, std::size_t length) noexcept -> int {
    of(p).field.append(at, length);
    return HPE_OK;
  };
  s.on_header_value = [](llhttp_t* p, const char* at, std::size_t length) noexcept -> int {
    of(p).value.append(at, length);
    return HPE_OK;
  };
  s.on_header_value_complete = [](llhttp_t* p) noexcept -> int { return of(p).keep_header() ? HPE_OK : HPE_USER; };
  s.on_headers_complete = [](llhttp_t* p) noexcept -> int {
    of(p).headers_complete();
    return HPE_PAUSED;
  };
  s.on_chunk_header = [](llhttp_t* p) noexcept -> int {
    of(p).chunk_left = p->content_length;
    return HPE_OK;
  };
  s.on_body = [](llhttp_t* p, const char* at, std::size_t length) noexcept -> int {
    return of(p).keep_body(as_bytes({at, length})) ? HPE_OK : HPE_USER;
  };
  s.on_message_complete = [](llhttp_t*) noexcept -> int { return HPE_PAUSED; };
  return s;
}

template <class Message>
HttpReader<Message>::HttpReader(HttpLimits limits) : state_(std::make_unique<State>(limits)) {}
template <class Message>
HttpReader<Message>::~HttpReader() = default;
template <class Message>
HttpReader<Message>::HttpReader(HttpReader&&) noexcept = default;
template <class Message>
HttpReader<Message>& HttpReader<Message>::operator=(HttpReader&&) noexcept = default;

template <class Message>
HttpFault HttpReader<Message>::on_received(ByteView bytes) {
  return state_->on_received(bytes);
}

template <class Message>
HttpFault HttpReader<Message>::on_end() {
  return state_->on_end();
}

template <class Message>
std::optional<Message> HttpReader<Message>::next() {
  State& s = *state_;
  if (!s.has_ready()) return std::nullopt;
  std::optional<Message> message = std::move(s.ready[s.given++]);
  if (!s.has_ready()) s.ready.clear(), s.given = 0;
  return message;
}

template <class Message>
bool HttpReader<Message>::idle() const {
  return !state_->surplus && (state_->phase == State::Phase::idle || state_->phase == State::Phase::closed);
}

template <class Message>
void HttpReader<Message>::body_limit(std::size_t (*limit)(const Message& head, std::size_t ordinary)) {
  state_->limit = limit;
}

template <class Message>
void HttpReader<Message>::expect_no_body() {
  state_->bodiless = true;
}

template <class Message>
void HttpReader<Message>::stream() {
  state_->streaming = true;
}

template <class Message>
const Message* HttpReader<Message>::head() const {
  if (state_->has_ready()) return &state_->ready[state_->given];
  return state_->phase == State::Phase::body ? &state_->message : nullptr;
}

template <class Message>
std::span<const ByteView> HttpReader<Message>::body_parts() const {
  return state_->parts;
}

template class HttpReader<HttpRequest>;
template class HttpReader<HttpResponse>;

std::string_view http_reason(int status) {
  using Reason = std::pair<int, std::string_view>;
  static constexpr Reason reasons[] = {{200, "OK"},
                                       {201, "Created"},
                                       {204, "No Content"},
                                       {301, "Moved Permanently"},
                                       {302, "Found"},
                                       {303, "See Other"},
                                       {304, "Not Modified"},
                                       {307, "Temporary Redirect"},
                                       {308, "Permanent Redirect"},
                                       {400, "Bad Request"},
                                       {401, "Unauthorized"},
                                       {403, "Forbidden"},
                                       {404, "Not Found"},
                                       {405, "Method Not Allowed"},
                                       {408, "Request Timeout"},
                                       {409, "Conflict"},
                                       {411, "Length Required"},
                                       {413, "Content Too Large"},
                                       {415, "Unsupported Media Type"},
                                       {421, "Misdirected Request"},
                                       {429, "Too Many Requests"},
                                       {431, "Request Header Fields Too Large"},
                                       {500, "Internal Server Error"},
                                       {501, "Not Implemented"},
                                       {502, "Bad Gateway"},
                                       {503, "Service Unavailable"},
                                       {504, "Gateway Timeout"},
                                       {507, "Insufficient Storage"}};
  const auto* found = std::ranges::find(reasons, status, &Reason::first);
  return found == std::end(reasons) ? "Unknown" : found->second;
}

}  // namespace swarm::wire
