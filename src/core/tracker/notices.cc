#include "core/tracker/notices.hh"

#include <algorithm>
#include <utility>

namespace swarm::core {
namespace {

bool is_good_check(const TrackerNotice& notice) {
  const auto* check = std::get_if<NodeChecked>(&notice);
  return check != nullptr && check->pieces.ok;
}

}  // namespace

void Notices::add(TrackerNotice notice) {
  if (join(notice)) return;
  if (waiting_.size() >= waiting_max) make_room();
  waiting_.push_back(std::move(notice));
}

std::vector<TrackerNotice> Notices::take() { return std::exchange(waiting_, {}); }

bool Notices::join(const TrackerNotice& notice) {
  if (waiting_.empty() || !is_good_check(notice) || !is_good_check(waiting_.back())) return false;
  auto& last = std::get<NodeChecked>(waiting_.back());
  const auto& next = std::get<NodeChecked>(notice);
  if (last.address != next.address || last.name != next.name || last.file != next.file) return false;
  if (last.pieces.first + last.pieces.count != next.pieces.first) return false;
  last.pieces.count += next.pieces.count;
  return true;
}

/// Rule 2, a tenth at a time, so that it costs little a notice.
void Notices::make_room() {
  std::size_t left = waiting_max / 10;
  std::erase_if(waiting_, [&left](const TrackerNotice& n) { return left > 0 && is_good_check(n) && left-- > 0; });
  const auto rest = static_cast<std::ptrdiff_t>(left == waiting_max / 10 ? left : 0);
  waiting_.erase(waiting_.begin(), waiting_.begin() + rest);
}

}  // namespace swarm::core
