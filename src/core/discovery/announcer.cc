#include "core/discovery/announcer.hh"

#include <algorithm>
#include <set>
#include <utility>

namespace swarm::core {

using wire::AnnounceEvent;

namespace {

constexpr Duration interval_min = 60s, interval_max = 1h, interval_default = 30min;
constexpr Duration min_interval_max = 24h;
constexpr Duration retry_first = 5s, retry_max = 30min;

}  // namespace

Announcer::Announcer(std::vector<std::vector<std::string>> tiers, Random& random, Instant now)
    : random_(random), changed_at_(now), again_at_(now), early_at_(now) {
  std::set<std::string> seen;
  for (auto& urls : tiers) {
    random_.shuffle(std::span(urls));
    std::vector<Tracker> tier;
    for (auto& url : urls) {
      if (seen.insert(url).second) tier.push_back({.url = std::move(url), .id = {}, .asked = {}});
    }
    if (!tier.empty()) tiers_.push_back(std::move(tier));
  }
}

std::optional<Announcer::Ask> Announcer::next_ask(Instant now) {
  if (stopping_since_) return next_stop();
  const auto due = due_at();
  if (!due || now < *due) return std::nullopt;
  under_way_ = true;
  const Tracker& tracker = at(cursor_);
  return ask(cursor_, !tracker.started ? AnnounceEvent::started
                      : completed_     ? AnnounceEvent::completed
                                       : AnnounceEvent::none);
}

void Announcer::on_reply(const std::string& url, const wire::AnnounceReply& reply, Instant now) {
  const auto place = find_asked(url);
  if (!place) return;
  Tracker& tracker = at(*place);
  const auto event = std::exchange(tracker.asked, std::nullopt);
  if (event == AnnounceEvent::stopped) {
    tracker.stopped = true;
    return;
  }
  under_way_ = false;
  changed_at_ = now;
  tracker.started = true;
  if (event == AnnounceEvent::completed) completed_ = false;
  if (!reply.tracker_id.empty()) tracker.id = reply.tracker_id;
  on_answered(*place, reply, now);
}

void Announcer::on_failure(const std::string& url, Instant now) {
  const auto place = find_asked(url);
  if (!place) return;
  Tracker& tracker = at(*place);
  if (std::exchange(tracker.asked, std::nullopt) == AnnounceEvent::stopped) {
    tracker.stopped = true;
    return;
  }
  under_way_ = false;
  changed_at_ = now;
  cursor_ = after(*place);
  if (cursor_.tier < tiers_.size()) return;

  cursor_ = {};
  working_ = false;
  const Duration wait = failures_ < 16 ? std::min<Duration>(retry_first * (1u << failures_), retry_max) : retry_max;
  ++failures_;
  again_at_ = now + from_seconds(seconds(wait) * (0.9 + 0.2 * random_.unit()));
}

void Announcer::completed(Instant now) {
  completed_ = true;
  changed_at_ = now;
}

void Announcer::stop(Instant now) {
  if (!stopping_since_) stopping_since_ = now;
}

void Announcer::want_peers(bool lacking, Instant) { lacking_ = lacking; }

bool Announcer::stopped() const {
  if (!stopping_since_) return false;
  for (const auto& tier : tiers_) {
    for (const auto& tracker : tier) {
      if (tracker.started && !tracker.stopped) return false;
    }
  }
  return true;
}

bool Announcer::any_working() const { return working_; }

std::vector<std::string> Announcer::take_swarm_trackers() { return std::exchange(swarm_trackers_, {}); }

std::optional<Instant> Announcer::next_wake() const {
  if (!stopping_since_) return due_at();
  for (const auto& tier : tiers_) {
    for (const auto& tracker : tier) {
      if (tracker.started && !tracker.stopped && !tracker.asked) return stopping_since_;
    }
  }
  return std::nullopt;
}

/// When the tracker under the cursor is to be asked. In the middle of a round, and for an event that somebody would hear: at once.
std::optional<Instant> Announcer::due_at() const {
  if (tiers_.empty() || under_way_) return std::nullopt;
  const bool middle = cursor_.tier > 0 || cursor_.index > 0;
  if (middle || (completed_ && working_)) return changed_at_;
  return lacking_ && working_ ? std::min(again_at_, early_at_) : again_at_;
}

Announcer::Ask Announcer::ask(Place place, AnnounceEvent event) {
  Tracker& tracker = at(place);
  tracker.asked = event;
  return {tracker.url, event, tracker.id};
}

std::optional<Announcer::Ask> Announcer::next_stop() {
  for (std::size_t t = 0; t < tiers_.size(); ++t) {
    for (std::size_t i = 0; i < tiers_[t].size(); ++i) {
      const Tracker& tracker = tiers_[t][i];
      if (tracker.started && !tracker.stopped && !tracker.asked) return ask({t, i}, AnnounceEvent::stopped);
    }
  }
  return std::nullopt;
}

/// Ends the round: the tracker moves to the front of its tier and says when the next round is.
void Announcer::on_answered(Place place, const wire::AnnounceReply& reply, Instant now) {
  const Duration asked_for =
      reply.interval_s == 0 ? interval_default : Duration(std::chrono::seconds(reply.interval_s));
  const Duration at_least = std::min<Duration>(std::chrono::seconds(reply.min_interval_s), min_interval_max);
  again_at_ = now + std::max(std::clamp(asked_for, interval_min, interval_max), at_least);
  early_at_ = now + std::max(interval_min, at_least);
  failures_ = 0;
  working_ = true;
  cursor_ = {};
  if (reply.swarm_tracker) {
    hand_over(place);
    return;
  }
  auto& tier = tiers_[place.tier];
  std::rotate(tier.begin(), tier.begin() + static_cast<std::ptrdiff_t>(place.index),
              tier.begin() + static_cast<std::ptrdiff_t>(place.index) + 1);
}

/// Rule 6. What is left is announced to as it would have been without this one: at once when nobody else has answered yet.
void Announcer::hand_over(Place place) {
  auto& tier = tiers_[place.tier];
  const std::string base = tracker_base(tier[place.index].url);
  if (std::find(swarm_trackers_.begin(), swarm_trackers_.end(), base) == swarm_trackers_.end()) {
    swarm_trackers_.push_back(base);
  }
  tier.erase(tier.begin() + static_cast<std::ptrdiff_t>(place.index));
  if (tier.empty()) tiers_.erase(tiers_.begin() + static_cast<std::ptrdiff_t>(place.tier));
  again_at_ = changed_at_;
  working_ = false;
}

std::optional<Announcer::Place> Announcer::find_asked(const std::string& url) const {
  for (std::size_t t = 0; t < tiers_.size(); ++t) {
    for (std::size_t i = 0; i < tiers_[t].size(); ++i) {
      if (tiers_[t][i].asked && tiers_[t][i].url == url) return Place{t, i};
    }
  }
  return std::nullopt;
}

Announcer::Place Announcer::after(Place place) const {
  if (place.index + 1 < tiers_[place.tier].size()) return {place.tier, place.index + 1};
  return {place.tier + 1, 0};
}

std::string tracker_base(const std::string& announce_url) {
  const auto scheme = announce_url.find("://");
  if (scheme == std::string::npos) return announce_url;
  return announce_url.substr(0, announce_url.find_first_of("/?#", scheme + 3));
}

}  // namespace swarm::core
