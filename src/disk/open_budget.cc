#include "disk/open_budget.hh"

#include <utility>

namespace swarm::disk {

std::size_t OpenBudget::held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

OpenBudget::Share::Share(std::shared_ptr<OpenBudget> budget, LetGo let_go) : budget_(std::move(budget)) {
  const std::lock_guard lock(budget_->mutex_);
  at_ = budget_->by_use_.insert(budget_->by_use_.end(), {std::move(let_go), 0});
}

OpenBudget::Share::~Share() {
  const std::lock_guard lock(budget_->mutex_);
  budget_->held_ -= at_->held;
  budget_->by_use_.erase(at_);
}

void OpenBudget::Share::holds(std::size_t descriptors) {
  OpenBudget& b = *budget_;
  const std::lock_guard lock(b.mutex_);
  b.held_ = b.held_ - at_->held + descriptors;
  at_->held = descriptors;
  b.by_use_.splice(b.by_use_.begin(), b.by_use_, at_);
  b.shrink(*at_, b.descriptors_max_);
}

void OpenBudget::Share::let_others_go() {
  const std::lock_guard lock(budget_->mutex_);
  budget_->shrink(*at_, 0);
}

void OpenBudget::shrink(const Member& but, std::size_t down_to) {
  for (auto member = by_use_.rbegin(); member != by_use_.rend() && held_ > down_to; ++member) {
    if (&*member == &but || member->held == 0) continue;
    const auto still = member->let_go();
    if (!still) continue;
    held_ = held_ - member->held + *still;
    member->held = *still;
  }
}

}  // namespace swarm::disk
