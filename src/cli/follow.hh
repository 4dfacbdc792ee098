// Follow: the tracker's events as they happen, for as long as anybody wants them (status --follow).
//
// Rules
// 1. GET /api/v1/events, read as server-sent events. When the stream ends or the tracker is away, it is asked again after what the
//    server wished for (`retry`), 1 s by default, doubled up to 15 s while it stays away; with Last-Event-ID, so that what happened
//    meanwhile comes too, as far as the tracker still knows it.
// 2. A first attempt that fails is an error: a mistyped host is not waited for. Later ones are told once and waited out.
// 3. The tracker's notices are told, one a line: joined, left, shares, gets, completed, piece checks that failed, files that came
//    and went. With WHAT, only those about that name. A tracker that lost count (a `snapshot` after a gap) is told in one line.
// 4. Reading stops while stdout takes nothing: Outlet waits, so the loop does, and the tracker drops us when we are too slow.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/tracker_finder.hh"
#include "cli/voice.hh"
#include "core/tracker/server.hh"
#include "uv/http_client.hh"
#include "uv/loop.hh"
#include "uv/timer.hh"
#include "wire/control.hh"
#include "wire/sse.hh"

namespace swarm::cli {

class Follow {
 public:
  /// `what` may be empty. `on_error` is called once, with what ends it.
  Follow(uv::Loop& loop, uv::HttpClient& http, Voice& voice, TrackerAddress address, std::string what,
         std::function<void(const Error&)> on_error);
  void begin() { ask(); }

 private:
  void ask();
  void on_bytes(ByteView bytes);
  void on_event(const wire::ServerEvent& event);
  void on_end(const Result<wire::HttpResponse>& reply);
  void tell(const core::TrackerNotice& notice);
  void again(const Error& why);

  uv::HttpClient& http_;
  Voice& voice_;
  TrackerAddress address_;
  std::string what_;
  std::function<void(const Error&)> on_error_;
  wire::EventReader reader_;
  std::string last_id_;
  bool began_ = false;  ///< a snapshot has come, at some time
  bool told_away_ = false;
  Duration wait_;
  uv::Timer again_;
};

/// What the tracker's own console was told; nothing for what a later version may tell. `files`: those of the same delta, which know
/// of a new file what the notice does not say.
std::optional<core::TrackerNotice> tracker_notice(const wire::StatusNotice& notice,
                                                  const std::vector<wire::StatusFile>& files);

}  // namespace swarm::cli
