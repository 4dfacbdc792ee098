#include "uv/web_seeds.hh"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/text.hh"

namespace swarm::uv {

namespace {

constexpr std::uint64_t skip_max = 1u << 20;
constexpr Duration look_again_after = 10ms;
constexpr std::size_t zeros_at_once = 64 * 1024;

Error unreachable(std::string code, std::string message) {
  return {Exit::unreachable, std::move(code), std::move(message), {}};
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "bytes 0-99/1234", or '*' for a length that the server does not know (RFC 9110, 14.4).
struct ContentRange {
  std::uint64_t first = 0, last = 0;
  std::optional<std::uint64_t> length;
};
std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const auto dash = text.find('-'), slash = text.find('/');
  if (dash == text.npos || slash == text.npos || dash > slash) return std::nullopt;
  const auto first = number_in(text.substr(0, dash)), last = number_in(text.substr(dash + 1, slash - dash - 1));
  const auto length = number_in(text.substr(slash + 1));
  if (!first || !last || (!length && text.substr(slash + 1) != "*")) return std::nullopt;
  return ContentRange{*first, *last, length};
}

}  // namespace

WebContent::WebContent(std::shared_ptr<const wire::Metainfo> metainfo, const std::vector<std::string>& more)
    : info(std::move(metainfo)), extents(info->files) {
  const auto take = [this](const std::string& url) {
    const auto parsed = wire::parse_url(url);
    if (!parsed || parsed->scheme == "udp") return;
    if (std::ranges::find(urls, url) == urls.end()) urls.push_back(url);
  };
  std::ranges::for_each(info->web_seeds, take);
  std::ranges::for_each(more, take);
}

std::string web_seed_url(const std::string& seed, const wire::Metainfo& info, FileIndex file) {
  if (!info.folder) return seed.ends_with('/') ? seed + percent_encode(as_bytes(info.name)) : seed;
  auto out = seed + (seed.ends_with('/') ? "" : "/") + percent_encode(as_bytes(info.name));
  for (const auto& element : info.files[number(file)].path) out += "/" + percent_encode(as_bytes(element));
  return out;
}

WebSeeds::WebSeeds(Loop& loop, HttpClient& http, Events events, Duration stalled_after)
    : loop_(loop), http_(http), events_(std::move(events)), stalled_after_(stalled_after) {}

WebSeeds::~WebSeeds() { close_all(); }

WebSeeds::Fetch* WebSeeds::find(ConnId conn) {
  const auto at = fetches_.find(number(conn));
  return at == fetches_.end() ? nullptr : &at->second;
}

/// This very fetch, and not a later one of the same name.
WebSeeds::Fetch* WebSeeds::find(ConnId conn, std::uint64_t serial) {
  Fetch* fetch = find(conn);
  return fetch != nullptr && fetch->serial == serial ? fetch : nullptr;
}

BlockAssembly* WebSeeds::assembly(ConnId conn) {
  Fetch* fetch = find(conn);
  return fetch != nullptr ? &fetch->block : nullptr;
}

void WebSeeds::detach_unfinished() {
  for (auto& [id, fetch] : fetches_) fetch.block.detach();
}

void WebSeeds::fetch(ConnId conn, const WebContent& content, std::uint32_t url, std::uint64_t offset,
                     std::uint64_t length) {
  close(conn);
  Fetch& fetch = fetches_[number(conn)];
  fetch.serial = ++fetches_begun_;
  fetch.content = &content;
  fetch.url = url;
  fetch.offset = offset;
  fetch.left = length;
  fetch.next = std::make_unique<Timer>(loop_, [this, conn] {
    go_on(conn);
    events_.turn();
  });
  fetch.next->start({});
}

void WebSeeds::close(ConnId conn) {
  const auto at = fetches_.find(number(conn));
  if (at == fetches_.end()) return;
  if (at->second.call) http_.cancel(*at->second.call);
  fetches_.erase(at);
}

void WebSeeds::close_all() {
  for (auto& [id, fetch] : fetches_) {
    if (fetch.call) http_.cancel(*fetch.call);
  }
  fetches_.clear();
}

void WebSeeds::read(bool wanted) {
  if (std::exchange(reading_, wanted) == wanted) return;
  for (auto& [id, fetch] : fetches_) {
    if (fetch.call) http_.read(*fetch.call, wanted && fetch.held.empty());
    if (wanted) fetch.next->start({});
  }
}

// ── what is next ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// Called whenever there may be something to do that is not the server's turn.
void WebSeeds::go_on(ConnId conn) {
  Fetch* fetch = find(conn);
  if (!reading_) return;
  if (!fetch->held.empty()) {
    const auto held = std::exchange(fetch->held, {});
    if (!give(conn, held)) return;
    fetch = find(conn);
    if (fetch->call) http_.read(*fetch->call, reading_);
  }
  if (fetch->error) return end(conn, tl::unexpected(std::move(*fetch->error)));
  if (fetch->call) return;
  while (fetch->part_left > 0) {  // padding: what is left of a file is asked for at once, or has come
    static const Buffer zeros(zeros_at_once);
    const auto some = ByteView(zeros).first(std::min<std::uint64_t>(fetch->part_left, zeros.size()));
    fetch->part_left -= some.size();
    if (!give(conn, some)) return;
    fetch = find(conn);
  }
  if (fetch->left == 0) return end(conn, {});
  fetch->part = fetch->content->extents.at(fetch->offset, fetch->left);
  fetch->part_left = fetch->part.length;
  fetch->offset += fetch->part.length;
  fetch->left -= fetch->part.length;
  fetch->part.pad ? fetch->next->start({}) : ask(conn, *fetch);
}

/// True when all of it was handed on and the fetch is still there. What finds no room is held.
bool WebSeeds::give(ConnId conn, ByteView bytes) {
  Fetch* fetch = find(conn);
  const auto serial = fetch->serial;
  while (!bytes.empty()) {
    const ByteSpan room = events_.room();
    if (room.empty()) {
      append(fetch->held, bytes);
      if (fetch->call) http_.read(*fetch->call, false);
      events_.on_no_room();
      if (reading_) fetch->next->start(look_again_after);  // a worker has made room meanwhile
      return false;
    }
    const auto part = bytes.first(std::min(bytes.size(), room.size()));
    std::memcpy(room.data(), part.data(), part.size());
    bytes = bytes.subspan(part.size());
    events_.on_bytes(conn, part.size());
    fetch = find(conn, serial);
    if (fetch == nullptr) return false;
  }
  return true;
}

void WebSeeds::end(ConnId conn, const Result<void>& how) {
  close(conn);
  events_.on_ended(conn, how);
}

void WebSeeds::fail(ConnId conn, Error error) {
  Fetch& fetch = *find(conn);
  if (fetch.call) http_.cancel(*std::exchange(fetch.call, std::nullopt));
  fetch.error = std::move(error);
  fetch.next->start({});
}

// ── one request ──────────────────────────────────────────────────────────────────────────────────────────────────────

std::string WebSeeds::url_of(const Fetch& fetch) {
  return web_seed_url(fetch.content->urls[fetch.url], *fetch.content->info, fetch.part.file);
}

void WebSeeds::ask(ConnId conn, Fetch& fetch) {
  fetch.skip = 0;
  fetch.cut_short = false;
  HttpAsk ask;
  ask.url = url_of(fetch);
  ask.deadline = stalled_after_;
  ask.stall_within = stalled_after_;
  ask.request.headers.set("Range",
                          fmt::format("bytes={}-{}", fetch.part.offset, fetch.part.offset + fetch.part.length - 1));
  ask.request.headers.set("Accept-Encoding", "identity");
  ask.on_head = [this, conn](const wire::HttpResponse& head) { on_head(conn, head); };
  ask.on_body = [this, conn](ByteView bytes) {
    on_body(conn, bytes);
    events_.turn();
  };
  fetch.call =
      http_.ask(std::move(ask), [this, conn](const Result<wire::HttpResponse>& reply) { on_reply(conn, reply); });
}

/// Rule 3.
void WebSeeds::on_head(ConnId conn, const wire::HttpResponse& head) {
  Fetch& fetch = *find(conn);
  const auto bad = [&](std::string code, const std::string& what) {
    fail(conn, unreachable(std::move(code), fmt::format("web seed {} {}", fit(printable(url_of(fetch)), 200), what)));
  };
  const std::uint64_t file_bytes = fetch.content->info->files[number(fetch.part.file)].length;
  const auto wrong_length = [&](std::uint64_t length) {
    bad("wrong_length", fmt::format("has {} bytes, the torrent's file has {}", length, file_bytes));
  };
  if (const auto encoding = head.headers.find("content-encoding"); encoding && *encoding != "identity") {
    return bad("bad_reply", fmt::format("is encoded as {}", fit(printable(*encoding), 40)));
  }
  if (head.status == 206) {
    const auto field = head.headers.find("content-range");
    const auto range = field ? parse_content_range(*field) : std::nullopt;
    if (!range) return bad("bad_reply", "does not say which range it sends");
    if (range->length && *range->length != file_bytes) return wrong_length(*range->length);
    if (range->first != fetch.part.offset || range->last != fetch.part.offset + fetch.part.length - 1) {
      return bad("bad_reply", fmt::format("sends the range {}-{}, asked for {}-{}", range->first, range->last,
                                          fetch.part.offset, fetch.part.offset + fetch.part.length - 1));
    }
    return;
  }
  if (head.status == 200) {
    const auto field = head.headers.find("content-length");
    const auto length = field ? number_in(*field) : std::nullopt;
    if (length && *length != file_bytes) return wrong_length(*length);
    if (fetch.part.offset > skip_max) return bad("no_ranges", "ignores ranges, and sends the whole file each time");
    fetch.skip = fetch.part.offset;
    fetch.cut_short = fetch.part.offset + fetch.part.length < file_bytes;
    return;
  }
  bad("http_status", fmt::format("answered {} {}", head.status, wire::http_reason(head.status)));
}

void WebSeeds::on_body(ConnId conn, ByteView bytes) {
  Fetch* fetch = find(conn);
  const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(fetch->skip, bytes.size()));
  fetch->skip -= skipped;
  bytes = bytes.subspan(skipped);
  if (bytes.size() > fetch->part_left && !fetch->cut_short) {
    return fail(conn, unreachable("bad_reply", fmt::format("web seed {} sends more than it was asked for",
                                                           fit(printable(url_of(*fetch)), 200))));
  }
  bytes = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), fetch->part_left)));
  fetch->part_left -= bytes.size();
  if (fetch->part_left == 0 && fetch->cut_short) {
    http_.cancel(*std::exchange(fetch->call, std::nullopt));
    fetch->next->start({});
  }
  if (fetch->held.empty()) {
    give(conn, bytes);
  } else {
    append(fetch->held, bytes);
  }
}

void WebSeeds::on_reply(ConnId conn, const Result<wire::HttpResponse>& reply) {
  Fetch& fetch = *find(conn);
  fetch.call.reset();
  if (!reply) {
    fail(conn, reply.error());
  } else if (fetch.part_left > 0) {
    fail(conn, unreachable("bad_reply", fmt::format("web seed {} sends {} bytes less than it was asked for",
                                                    fit(printable(url_of(fetch)), 200), fetch.part_left)));
  }
  fetch.next->start({});
}

}  // namespace swarm::uv
