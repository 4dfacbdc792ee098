#include "uv/web_seeds.hh"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/text.hh"
#include "core/actions.hh"

namespace swarm::uv {

namespace {

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

WebSeeds::WebSeeds(Loop& loop, HttpClient& http, Events events, Patience patience)
    : loop_(loop), http_(http), events_(std::move(events)), patience_(patience) {}

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
                     std::uint64_t length, bool in_order) {
  if (find(conn) != nullptr) close(conn);
  Fetch& fetch = fetches_[number(conn)];
  fetch.serial = ++fetches_begun_;
  fetch.content = &content;
  fetch.url = url;
  fetch.in_order = in_order;
  fetch.offset = offset;
  fetch.left = length;
  fetch.next = std::make_unique<Timer>(loop_, [this, conn] {
    go_on(conn);
    events_.turn();
  });
  take_kept(conn, fetch);
  fetch.next->start({});
}

void WebSeeds::close(ConnId conn) {
  give_up(conn);
  const auto at = fetches_.find(number(conn));
  if (at == fetches_.end()) return;
  if (at->second.reply.call) http_.cancel(*at->second.reply.call);
  fetches_.erase(at);
}

void WebSeeds::close_all() {
  for (auto& [id, fetch] : fetches_) {
    if (fetch.reply.call) http_.cancel(*fetch.reply.call);
  }
  fetches_.clear();
  for (auto& [id, kept] : kept_) {
    if (kept.reply.call) http_.cancel(*kept.reply.call);
  }
  kept_.clear();
}

void WebSeeds::read(bool wanted) {
  if (std::exchange(reading_, wanted) == wanted) return;
  for (auto& [id, fetch] : fetches_) {
    settle_reading(fetch);
    if (wanted) fetch.next->start({});
  }
}

/// What is held goes first, and what stands behind the part is the next fetch's.
void WebSeeds::settle_reading(const Fetch& fetch) {
  if (!fetch.reply.call) return;
  const bool part_is_here = fetch.part_left == 0 && fetch.goes_on;
  http_.read(*fetch.reply.call, reading_ && fetch.reply.held.empty() && !part_is_here && !fetch.error);
}

// ── what is next ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// Called whenever there may be something to do that is not the server's turn.
void WebSeeds::go_on(ConnId conn) {
  Fetch* fetch = find(conn);
  if (!reading_) return;
  if (!fetch->reply.held.empty() && fetch->part_left > 0 && !fetch->error) {
    const auto held = std::exchange(fetch->reply.held, {});
    if (!take(conn, held)) return;
    fetch = find(conn);
    settle_reading(*fetch);
  }
  if (fetch->error) return end(conn, tl::unexpected(std::move(*fetch->error)));
  if (fetch->part_left > 0 && fetch->part.pad && !give_padding(conn)) return;
  fetch = find(conn);
  if (fetch->part_left > 0) return;
  if (fetch->left == 0 && (fetch->goes_on || !fetch->reply.call)) return end(conn, {});
  if (fetch->left > 0 && !fetch->reply.call) next_part(conn, *fetch);
}

void WebSeeds::next_part(ConnId conn, Fetch& fetch) {
  begin_part(fetch);
  fetch.part.pad ? fetch.next->start({}) : ask(conn, fetch);
}

void WebSeeds::begin_part(Fetch& fetch) {
  fetch.part = fetch.content->extents.at(fetch.offset, fetch.left);
  fetch.part_left = fetch.part.length;
  fetch.offset += fetch.part.length;
  fetch.left -= fetch.part.length;
  fetch.goes_on = false;
}

/// False when the fetch is gone or has to wait.
bool WebSeeds::give_padding(ConnId conn) {
  static const Buffer zeros(zeros_at_once);
  for (Fetch* fetch = find(conn); fetch->part_left > 0; fetch = find(conn)) {
    const auto some = ByteView(zeros).first(std::min<std::uint64_t>(fetch->part_left, zeros.size()));
    const auto given = give(conn, some);
    if (!given) return false;
    if (*given == some.size()) continue;
    if (reading_) find(conn)->next->start(look_again_after);
    return false;
  }
  return true;
}

/// Takes the next bytes of the reply. True when nothing of them is held and the fetch is still there.
bool WebSeeds::take(ConnId conn, ByteView bytes) {
  Fetch* fetch = find(conn);
  const auto serial = fetch->serial;
  const auto wanted_at = fetch->part.offset + fetch->part.length - fetch->part_left;
  const auto dropped = static_cast<std::size_t>(std::min<std::uint64_t>(wanted_at - fetch->reply.at, bytes.size()));
  fetch->reply.at += dropped;
  bytes_dropped_ += dropped;
  bytes = bytes.subspan(dropped);
  const auto mine = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), fetch->part_left)));
  const auto given = give(conn, mine);
  fetch = find(conn, serial);
  if (!given || fetch == nullptr) return false;
  fetch->reply.at += *given;
  bytes = bytes.subspan(*given);
  if (*given == mine.size() && !bytes.empty() && !fetch->goes_on) {
    fail(conn, unreachable("bad_reply",
                           fmt::format("{} sends more than it was asked for", fit(printable(url_of(*fetch)), 200))));
    return false;
  }
  append(fetch->reply.held, bytes);
  settle_reading(*fetch);
  if (*given < mine.size()) {
    if (reading_) fetch->next->start(look_again_after);  // a worker has made room meanwhile
    return false;
  }
  if (fetch->part_left == 0 && fetch->goes_on) fetch->next->start({});
  return bytes.empty();
}

/// Hands on what finds room, and says how much that was; nothing when the fetch is gone.
std::optional<std::size_t> WebSeeds::give(ConnId conn, ByteView bytes) {
  Fetch* fetch = find(conn);
  const auto serial = fetch->serial;
  std::size_t given = 0;
  while (given < bytes.size()) {
    const ByteSpan room = events_.room();
    if (room.empty()) {
      events_.on_no_room();
      break;
    }
    const auto part = bytes.subspan(given, std::min(bytes.size() - given, room.size()));
    std::memcpy(room.data(), part.data(), part.size());
    given += part.size();
    fetch->part_left -= part.size();
    events_.on_bytes(conn, part.size());
    fetch = find(conn, serial);
    if (fetch == nullptr) return std::nullopt;
  }
  return given;
}

void WebSeeds::end(ConnId conn, const Result<void>& how) {
  if (Fetch& fetch = *find(conn); fetch.goes_on) keep(conn, fetch);
  const auto fetch = fetches_.extract(number(conn));
  events_.on_ended(conn, how);
}

/// The fetch ends with this; what is left of the reply is given up.
void WebSeeds::fail(ConnId conn, Error error) {
  Fetch& fetch = *find(conn);
  if (fetch.reply.call) http_.cancel(*fetch.reply.call);
  fetch.reply = {};
  fetch.goes_on = false;
  fetch.error = std::move(error);
  fetch.next->start({});
}

// ── replies that are kept ────────────────────────────────────────────────────────────────────────────────────────────

void WebSeeds::keep(ConnId conn, Fetch& fetch) {
  give_up(conn);
  Kept& kept = kept_[number(conn)];
  kept.content = fetch.content;
  kept.url = fetch.url;
  kept.file = fetch.part.file;
  kept.reply = std::exchange(fetch.reply, {});
  kept.given_up = std::make_unique<Timer>(loop_, [this, conn] { give_up(conn); });
  kept.given_up->start(patience_.kept_within);
}

/// Begins a fetch with what was kept, when that can be read from it, and else gives that up.
void WebSeeds::take_kept(ConnId conn, Fetch& fetch) {
  const auto at = kept_.find(number(conn));
  if (at == kept_.end()) return;
  Kept& kept = at->second;
  const auto part = fetch.content->extents.at(fetch.offset, fetch.left);
  const bool same_file = kept.content == fetch.content && kept.url == fetch.url && kept.file == part.file && !part.pad;
  const bool enough = kept.reply.call || kept.reply.at + kept.reply.held.size() >= part.offset + part.length;
  if (!fetch.in_order || !same_file || kept.reply.at > part.offset || !enough) return give_up(conn);
  begin_part(fetch);
  fetch.reply = std::move(kept.reply);
  fetch.was_kept = true;
  kept_.erase(at);
  fetch.goes_on = part.offset + part.length < file_bytes(fetch);
  settle_reading(fetch);
}

void WebSeeds::give_up(ConnId conn) {
  const auto kept = kept_.extract(number(conn));
  if (kept && kept.mapped().reply.call) http_.cancel(*kept.mapped().reply.call);
}

// ── one request ──────────────────────────────────────────────────────────────────────────────────────────────────────

std::string WebSeeds::url_of(const Fetch& fetch) {
  return web_seed_url(fetch.content->urls[fetch.url], *fetch.content->info, fetch.part.file);
}

std::uint64_t WebSeeds::file_bytes(const Fetch& fetch) {
  return fetch.content->info->files[number(fetch.part.file)].length;
}

void WebSeeds::ask(ConnId conn, Fetch& fetch) {
  fetch.reply = {};
  fetch.goes_on = fetch.was_kept = false;
  HttpAsk ask;
  ask.url = url_of(fetch);
  ask.deadline = patience_.stalled_after;
  ask.stall_within = patience_.stalled_after;
  ask.request.headers.set("Range",
                          fmt::format("bytes={}-{}", fetch.part.offset, fetch.part.offset + fetch.part.length - 1));
  ask.request.headers.set("Accept-Encoding", "identity");
  ask.on_head = [this, conn](const wire::HttpResponse& head) { on_head(conn, head); };
  ask.on_body = [this, conn](ByteView bytes) {
    on_body(conn, bytes);
    events_.turn();
  };
  fetch.reply.call =
      http_.ask(std::move(ask), [this, conn](const Result<wire::HttpResponse>& reply) { on_reply(conn, reply); });
}

/// Rules 3 and 4.
void WebSeeds::on_head(ConnId conn, const wire::HttpResponse& head) {
  Fetch& fetch = *find(conn);
  const auto bad = [&](std::string code, const std::string& what) {
    fail(conn, unreachable(std::move(code), fmt::format("{} {}", fit(printable(url_of(fetch)), 200), what)));
  };
  const std::uint64_t whole = file_bytes(fetch);
  const auto wrong_length = [&](std::uint64_t length) {
    bad("wrong_length", fmt::format("has {} bytes, the torrent's file has {}", length, whole));
  };
  if (const auto encoding = head.headers.find("content-encoding"); encoding && *encoding != "identity") {
    return bad("bad_reply", fmt::format("is encoded as {}", fit(printable(*encoding), 40)));
  }
  if (head.status == 206) {
    const auto field = head.headers.find("content-range");
    const auto range = field ? parse_content_range(*field) : std::nullopt;
    if (!range) return bad("bad_reply", "does not say which range it sends");
    if (range->length && *range->length != whole) return wrong_length(*range->length);
    if (range->first != fetch.part.offset || range->last != fetch.part.offset + fetch.part.length - 1) {
      return bad("bad_reply", fmt::format("sends the range {}-{}, asked for {}-{}", range->first, range->last,
                                          fetch.part.offset, fetch.part.offset + fetch.part.length - 1));
    }
    fetch.reply.at = fetch.part.offset;
    return;
  }
  if (head.status != 200) {
    return bad("http_status", fmt::format("answered {} {}", head.status, wire::http_reason(head.status)));
  }
  const auto field = head.headers.find("content-length");
  const auto length = field ? number_in(*field) : std::nullopt;
  if (length && *length != whole) return wrong_length(*length);
  fetch.goes_on = fetch.part.offset + fetch.part.length < whole;
  if (fetch.part.length == whole || fetch.in_order) return;
  // The next fetch may begin further in front, so the reply is kept from its first byte on.
  fetch.goes_on = true;
  fetch.error = unreachable(std::string(core::ignores_ranges),
                            fmt::format("{} ignores ranges", fit(printable(url_of(fetch)), 200)));
  settle_reading(fetch);
  fetch.next->start({});
}

void WebSeeds::on_body(ConnId conn, ByteView bytes) {
  Fetch* fetch = find(conn);
  Reply& reply = fetch != nullptr ? fetch->reply : kept_.at(number(conn)).reply;
  const bool waits =
      fetch == nullptr || fetch->error || !reply.held.empty() || (fetch->part_left == 0 && fetch->goes_on);
  waits ? append(reply.held, bytes) : void(take(conn, bytes));
}

void WebSeeds::on_reply(ConnId conn, const Result<wire::HttpResponse>& reply) {
  Fetch* fetch = find(conn);
  if (fetch == nullptr) {  // what is held may still be enough for the next fetch
    Kept& kept = kept_.at(number(conn));
    kept.reply.call.reset();
    if (!reply || kept.reply.held.empty()) give_up(conn);
    return;
  }
  fetch->reply.call.reset();
  fetch->next->start({});
  if (fetch->error) return;
  const auto wanted_at = fetch->part.offset + fetch->part.length - fetch->part_left;
  const auto behind = wanted_at - fetch->reply.at + fetch->part_left;  // to the part's end, from where the reply stands
  if (behind <= fetch->reply.held.size()) return;
  if (fetch->was_kept) {  // rule 5
    fetch->part.offset = wanted_at;
    fetch->part.length = fetch->part_left;
    return ask(conn, *fetch);
  }
  if (!reply) return fail(conn, reply.error());
  fail(conn,
       unreachable("bad_reply", fmt::format("{} sends {} bytes less than it was asked for",
                                            fit(printable(url_of(*fetch)), 200), behind - fetch->reply.held.size())));
}

}  // namespace swarm::uv
