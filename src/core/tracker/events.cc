#include "core/tracker/events.hh"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/text.hh"
#include "wire/magnet.hh"

namespace swarm::core {
namespace {

constexpr double clock_slack_s = 0.5;  ///< between two views of one silence

bool same(const wire::StatusNodeFile& a, const wire::StatusNodeFile& b) {
  return std::tie(a.info_hash, a.name, a.percent, a.bytes_done, a.rate_down, a.rate_up, a.peers) ==
         std::tie(b.info_hash, b.name, b.percent, b.bytes_done, b.rate_down, b.rate_up, b.peers);
}

/// `passed_s` lies between the two. A silence that only went on is no difference.
bool same(const wire::StatusNode& a, const wire::StatusNode& b, double passed_s) {
  const bool as_silent =
      (a.seen_s == 0) == (b.seen_s == 0) && (b.seen_s == 0 || std::abs(b.seen_s - a.seen_s - passed_s) < clock_slack_s);
  const auto equal = [](const auto& x, const auto& y) { return same(x, y); };
  return as_silent && std::tie(a.name, a.role, a.address, a.plain) == std::tie(b.name, b.role, b.address, b.plain) &&
         std::ranges::equal(a.files, b.files, equal);
}

bool same(const wire::StatusFile& a, const wire::StatusFile& b) {
  return std::tie(a.bytes, a.pieces, a.piece_bytes, a.copies, a.seeders, a.leechers, a.catalogued) ==
         std::tie(b.bytes, b.pieces, b.piece_bytes, b.copies, b.seeders, b.leechers, b.catalogued);
}

std::tuple<const InfoHash&, const std::string&> key_of(const wire::StatusFile& f) { return {f.info_hash, f.name}; }
const std::string& key_of(const wire::StatusNode& n) { return n.id; }

/// Pointers to what stands in `items`, in the order of their keys.
template <class Item>
std::vector<const Item*> by_key(const std::vector<Item>& items) {
  std::vector<const Item*> out;
  out.reserve(items.size());
  for (const auto& item : items) out.push_back(&item);
  std::ranges::sort(out, [](const Item* a, const Item* b) { return key_of(*a) < key_of(*b); });
  return out;
}

/// Walks both in step: came(new) for what is new or not the same, gone(old) for what is there no more.
template <class Item, class Same, class Came, class Gone>
void compare(const std::vector<Item>& before, const std::vector<Item>& after, Same is_same, Came came, Gone gone) {
  const auto was = by_key(before), is = by_key(after);
  std::size_t i = 0, j = 0;
  while (i < was.size() || j < is.size()) {
    if (j == is.size() || (i < was.size() && key_of(*was[i]) < key_of(*is[j]))) {
      gone(*was[i++]);
    } else if (i == was.size() || key_of(*is[j]) < key_of(*was[i])) {
      came(*is[j++]);
    } else {
      if (!is_same(*was[i], *is[j])) came(*is[j]);
      ++i, ++j;
    }
  }
}

wire::StatusNotice told(const TrackerNotice& notice) {
  wire::StatusNotice out;
  const auto node = [&out](const char* event, const auto& n) {
    out.event = event;
    out.node = n.name;
    out.address = n.address;
  };
  const auto share = [&](const char* event, const auto& n) {
    node(event, n);
    out.file = n.file;
  };
  if (const auto* joined = std::get_if<NodeJoined>(&notice)) {
    node("joined", *joined);
    out.role = joined->role;
    out.plain = joined->plain;
  }
  if (const auto* left = std::get_if<NodeLeft>(&notice)) {
    node("left", *left);
    out.silent = left->silent;
  }
  if (const auto* shares = std::get_if<NodeShares>(&notice)) share("shares", *shares);
  if (const auto* gets = std::get_if<NodeGets>(&notice)) share("gets", *gets);
  if (const auto* completed = std::get_if<NodeCompleted>(&notice)) share("completed", *completed);
  if (const auto* checked = std::get_if<NodeChecked>(&notice)) {
    share("piece", *checked);
    out.pieces = checked->pieces;
  }
  if (const auto* added = std::get_if<FileAdded>(&notice)) {
    out.event = "file_added";
    out.file = added->name;
    out.bytes = added->bytes;
  }
  if (const auto* removed = std::get_if<FileRemoved>(&notice)) {
    out.event = "file_removed";
    out.file = removed->name;
  }
  return out;
}

/// JSON has no line end inside, so that one data line is enough.
Buffer event(std::string_view name, const std::string& id, const std::string& json) {
  return to_buffer(fmt::format("id: {}\nevent: {}\ndata: {}\n\n", id, name, json));
}

}  // namespace

wire::StatusFile linked(wire::StatusFile file, const std::string& url) {
  wire::Magnet magnet{.info_hash = file.info_hash};
  if (file.catalogued) magnet.name = file.name;
  if (file.catalogued && !url.empty()) {
    magnet.trackers = {url + "/announce"};
    file.torrent_url = fmt::format("{}/t/{}.torrent", url, percent_encode(as_bytes(file.name)));
  }
  file.magnet = text(magnet);
  return file;
}

void Events::on_view(wire::Status view, Instant now) {
  auto delta = seen_ ? difference(view, now) : wire::StatusDelta();
  delta.notices.assign(notices_.begin(), notices_.end());
  notices_.clear();
  const bool changed = !(delta.nodes.empty() && delta.files.empty() && delta.nodes_gone.empty() &&
                         delta.files_gone.empty() && delta.notices.empty());
  if (!seen_ || !changed) {
    if (!seen_) view_ = std::move(view), seen_ = now;
    return;  // the old view stays: its ages go with its time
  }
  view_ = std::move(view);
  seen_ = now;
  ++number_;

  std::map<std::string, Buffer> by_url;
  for (auto& [id, follower] : followers_) {
    auto& bytes = by_url[follower.url];
    if (bytes.empty()) bytes = written(delta, number_, follower.url);
    tell(id, follower, bytes, now);
  }
  const auto bytes = by_url.empty() ? written(delta, number_, {}).size() : by_url.begin()->second.size();
  ring_.push_back({std::move(delta), bytes});
  ring_bytes_ += bytes;
  while (ring_.size() > deltas_max || ring_bytes_ > ring_bytes_max) {
    ring_bytes_ -= ring_.front().bytes;
    ring_.pop_front();
  }
}

void Events::on_notice(const TrackerNotice& notice) {
  const auto* checked = std::get_if<NodeChecked>(&notice);
  if (checked != nullptr && checked->pieces.ok) return;  // thousands a second, and the percentage says the same
  if (notices_.size() >= notices_max) notices_.pop_front();
  notices_.push_back(told(notice));
}

std::optional<FollowerId> Events::follow(std::string url, std::string_view last_event_id, Instant now) {
  if (followers_.size() >= followers_max) return std::nullopt;
  const FollowerId id{next_follower_++};
  auto& follower = followers_.emplace(id, Follower{std::move(url), now}).first->second;
  const auto last = number_of(last_event_id);
  if (last && *last <= number_ && number_ - *last <= ring_.size()) {
    Buffer missed = to_buffer(std::string_view(": welcome back\n\n"));
    for (auto n = *last + 1; n <= number_; ++n) {
      append(missed, written(ring_[ring_.size() - 1 - (number_ - n)].delta, n, follower.url));
    }
    tell(id, follower, std::move(missed), now);
  } else {
    tell(id, follower, snapshot(follower.url), now);
  }
  return id;
}

void Events::leave(FollowerId follower) {
  followers_.erase(follower);
  std::erase_if(waiting_, [follower](const ToFollower& t) { return t.follower == follower; });
}

void Events::on_time(Instant now) {
  for (auto& [id, follower] : followers_) {
    if (now - follower.told >= alive_every) tell(id, follower, to_buffer(std::string_view(":\n\n")), now);
  }
}

std::vector<ToFollower> Events::take() { return std::exchange(waiting_, {}); }

wire::StatusDelta Events::difference(const wire::Status& view, Instant now) const {
  wire::StatusDelta delta;
  const double passed_s = seconds(now - *seen_);
  compare(
      view_.nodes, view.nodes, [passed_s](const auto& a, const auto& b) { return same(a, b, passed_s); },
      [&delta](const auto& node) { delta.nodes.push_back(node); },
      [&delta](const auto& node) { delta.nodes_gone.push_back(node.id); });
  compare(
      view_.files, view.files, [](const auto& a, const auto& b) { return same(a, b); },
      [&delta](const auto& file) { delta.files.push_back(file); },
      [&delta](const auto& file) {
        delta.files_gone.push_back({file.info_hash, file.name});
      });
  return delta;
}

void Events::tell(FollowerId id, Follower& follower, Buffer bytes, Instant now) {
  follower.told = now;
  waiting_.push_back({id, std::move(bytes)});
}

Buffer Events::written(const wire::StatusDelta& delta, std::uint64_t number, const std::string& url) const {
  auto with_links = delta;
  for (auto& file : with_links.files) file = linked(std::move(file), url);
  return event("delta", fmt::format("{}.{}", start_, number), to_json(with_links));
}

Buffer Events::snapshot(const std::string& url) const {
  auto with_links = view_;
  with_links.tracker.url = url;
  for (auto& file : with_links.files) file = linked(std::move(file), url);
  return event("snapshot", fmt::format("{}.{}", start_, number_), to_json(with_links));
}

/// The number in an id that this process gave.
std::optional<std::uint64_t> Events::number_of(std::string_view id) const {
  if (!id.starts_with(start_) || id.size() <= start_.size() || id[start_.size()] != '.') return std::nullopt;
  const auto digits = id.substr(start_.size() + 1);
  std::uint64_t number = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (fault != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

}  // namespace swarm::core
