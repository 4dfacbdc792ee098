#include "sim/tracker.hh"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.hh"

namespace swarm::sim {

Tracker::Tracker(World& world, Host& host, std::uint16_t port)
    : world_(world), host_(host), local_{host.address, port} {
  start();
}

void Tracker::start() {
  SWARM_CHECK(!running());
  core::TrackerOptions options;
  options.version = "0.1.0";
  options.name = "tracker";
  std::array<std::uint8_t, 32> secret{};
  world_.random().fill(secret);
  server_ = std::make_unique<core::TrackerServer>(std::move(options), secret);
  for (const auto& [name, torrent] : state_) {
    const auto loaded = server_->load(name, torrent);
    SWARM_CHECK(loaded.has_value());  // it was taken before it was kept
  }
  ++incarnation_;
  wake_at_ = Instant::max();
  world_.note(Happened::tracker, host_.index, 1);
  wake();
}

void Tracker::crash() {
  server_.reset();
  ++incarnation_;
  world_.note(Happened::tracker, host_.index, 0);
}

wire::HttpResponse Tracker::on_request(const wire::HttpRequest& request, const Endpoint& from) {
  auto [response, change, follower] = server_->on_request(request, from, local_, world_.now());
  if (change) {
    if (auto* keep = std::get_if<core::KeepFile>(&change->save)) state_[keep->name] = std::move(keep->torrent);
    if (auto* drop = std::get_if<core::DropFile>(&change->save)) state_.erase(drop->name);
    server_->on_saved(true);
  }
  server_->take_notices();
  world_.note(Happened::tracker, host_.index, static_cast<std::uint64_t>(response.status), response.body.size());
  wake();
  return response;
}

void Tracker::wake() {
  const auto next = server_->next_wake();
  if (!next || *next >= wake_at_) return;
  wake_at_ = std::max(*next, world_.now());
  world_.at(wake_at_, [this, incarnation = incarnation_, at = wake_at_] {
    if (incarnation != incarnation_ || at != wake_at_) return;
    wake_at_ = Instant::max();
    server_->on_time(world_.now());
    server_->take_notices();
    wake();
  });
}

}  // namespace swarm::sim
