#include "cli/follow.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.hh"
#include "cli/report.hh"

namespace swarm::cli {

namespace {

constexpr Duration wait_min = 1s, wait_max = 15s;

/// As the tracker's own console and log word it.
std::string line_of(const core::TrackerNotice& notice, Voice& voice) {
  const bool terminal = voice.terminal().out;
  if (!terminal) return event_logfmt(notice, voice.time());
  const auto look = voice.out_look();
  if (const auto* c = std::get_if<core::NodeChecked>(&notice)) return piece_line(check_of(*c), voice.clock(), look);
  return event_line(notice, voice.clock(), look);
}

}  // namespace

std::optional<core::TrackerNotice> tracker_notice(const wire::StatusNotice& n,
                                                  const std::vector<wire::StatusFile>& files) {
  if (n.event == "joined") return core::NodeJoined{n.node, n.address, n.role, n.plain};
  if (n.event == "left") return core::NodeLeft{n.node, n.address, n.silent};
  if (n.event == "shares") return core::NodeShares{n.node, n.address, n.file};
  if (n.event == "gets") return core::NodeGets{n.node, n.address, n.file};
  if (n.event == "completed") return core::NodeCompleted{n.node, n.address, n.file};
  if (n.event == "piece" && n.pieces) return core::NodeChecked{n.node, n.address, n.file, *n.pieces};
  if (n.event == "file_added") {
    const auto at = std::ranges::find(files, n.file, &wire::StatusFile::name);
    return at == files.end() ? core::FileAdded{n.file, n.bytes}
                             : core::FileAdded{n.file, n.bytes, at->pieces, at->piece_bytes};
  }
  if (n.event == "file_removed") return core::FileRemoved{n.file};
  return std::nullopt;
}

Follow::Follow(uv::Loop& loop, uv::HttpClient& http, Voice& voice, TrackerAddress address, std::string what,
               std::function<void(const Error&)> on_error)
    : http_(http),
      voice_(voice),
      address_(std::move(address)),
      what_(std::move(what)),
      on_error_(std::move(on_error)),
      wait_(wait_min),
      again_(loop, [this] { ask(); }) {}

void Follow::ask() {
  reader_ = wire::EventReader();
  uv::HttpAsk ask;
  ask.url = address_.base;
  ask.request.target = "/api/v1/events";
  ask.request.headers.set("Accept", "text/event-stream");
  if (!last_id_.empty()) ask.request.headers.set("Last-Event-ID", last_id_);
  ask.deadline = 6s;
  ask.stall_within = 60s;  // it sends a comment now and then when there is nothing to tell
  ask.on_body = [this](ByteView bytes) { on_bytes(bytes); };
  http_.ask(std::move(ask), [this](const Result<wire::HttpResponse>& reply) { on_end(reply); });
}

void Follow::on_bytes(ByteView bytes) {
  (void)reader_.on_received(bytes);  // what is too long ends with the stream, and what follows it comes again
  while (const auto event = reader_.next()) on_event(*event);
  if (!reader_.last_id().empty()) last_id_ = reader_.last_id();
  voice_.flush();
}

void Follow::on_event(const wire::ServerEvent& event) {
  wait_ = std::chrono::milliseconds(std::clamp<std::uint64_t>(reader_.retry_ms().value_or(1000), 100, 15'000));
  if (std::exchange(told_away_, false)) voice_.advise(fmt::format("{} answers again", address_.label));
  if (event.type == "snapshot") {
    const auto status = wire::status_from_json(event.data);
    if (!status) return;
    const auto now = fmt::format("{}, {}", counted(status->nodes.size(), "node", "nodes"),
                                 counted(status->files.size(), "file", "files"));
    voice_.advise(std::exchange(began_, true)
                      ? fmt::format("some events of {} were missed; there are {} now", address_.label, now)
                      : fmt::format("following {}: {}   (Ctrl-C ends it)", address_.label, now));
  }
  if (event.type != "delta") return;
  const auto delta = wire::delta_from_json(event.data);
  if (!delta) return;  // of a later version, perhaps; nothing here is worth ending for
  for (const auto& notice : delta->notices) {
    if (!what_.empty() && notice.file != what_) continue;
    if (const auto known = tracker_notice(notice, delta->files)) tell(*known);
  }
}

void Follow::tell(const core::TrackerNotice& notice) {
  voice_.event(event_json(notice, voice_.time()));
  voice_.result(line_of(notice, voice_));
}

void Follow::on_end(const Result<wire::HttpResponse>& reply) {
  if (!reply) return again(tracker_error(address_, reply.error()));
  if (reply->status == 200) return again({Exit::unreachable, "ended", address_.label + " ended the stream", {}});
  const bool refused = reply->status == 401 || reply->status == 403 || reply->status == 503;
  const auto error =
      refused ? api_error(address_, *reply)
              : Error{Exit::unreachable,
                      "no_events",
                      fmt::format("{} tells no events: it is no swarm tracker, or an older one", address_.base),
                      {}};
  if (refused && began_) return again(error);
  on_error_(error);
}

void Follow::again(const Error& why) {
  if (!began_) return on_error_(why);
  if (!std::exchange(told_away_, true)) voice_.warn(fmt::format("{}; trying again", why.message));
  again_.start(wait_);
  wait_ = std::min(2 * wait_, wait_max);
}

}  // namespace swarm::cli
