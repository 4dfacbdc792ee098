// What befalls the nodes of a run, by plan or by chance: crashes, power cuts, partitions, churn; and how they leave.
#include <algorithm>
#include <span>
#include <utility>

#include "sim/chance.hh"
#include "sim/scenario.hh"

namespace swarm::sim {

namespace {

constexpr Duration stop_takes_at_most = 5s;
constexpr Duration comes_back_within = 10s;  ///< after a crash; or a newcomer after somebody left
constexpr Duration settles_in = 10s;         ///< after somebody left for good, what was under way has arrived

}  // namespace

// ── by plan and by chance ───────────────────────────────────────────────────────────────────────────────────────────────────

void Scenario::plan_faults() {
  for (const Fault& fault : plan_.faults) {
    // Whom it would befall is not there.
    if (fault.kind == Fault::Kind::tracker ? tracker_ == nullptr : fault.node >= nodes_.size()) continue;
    switch (fault.kind) {
      case Fault::Kind::crash:
        crash(fault.node, fault.at, fault.lasts);
        break;
      case Fault::Kind::stop:
        stop(fault.node, fault.at, fault.lasts);
        break;
      case Fault::Kind::cut_power:
        cut_power(fault.node, fault.at, fault.lasts);
        break;
      case Fault::Kind::unplug:
        unplug(fault.node, fault.at, fault.lasts);
        break;
      case Fault::Kind::damage:
        crash(fault.node, fault.at, fault.lasts);
        damage(fault.node, fault.at + fault.lasts / 2);
        break;
      case Fault::Kind::tracker:
        crash_tracker(fault.at, fault.lasts);
        break;
    }
  }
  for (const Partition& partition : plan_.partitions) {
    at(partition.at, [this, &partition] { split(partition); });
    at(partition.at + partition.lasts, [this] {
      world_.note(Happened::fault, 0, 5);
      network_.heal();
    });
  }
  if (plan_.tracker_dies_at && tracker_) crash_tracker(*plan_.tracker_dies_at, std::nullopt);
  if (plan_.churn > 0)
    strike(plan_.churn, first_downloader(), plan_.downloaders, [this](std::uint32_t i) { replace(i); });
  if (plan_.crash > 0) {
    strike(plan_.crash, 0, first_liar(), [this](std::uint32_t i) {
      crash(i, world_.now().time_since_epoch(), Duration(1 + chance_.below(comes_back_within.count())));
    });
  }
}

/// Every now and then, one of these nodes: events of a Poisson process, until the faults end.
void Scenario::strike(double percent_a_minute, std::uint32_t first, std::uint32_t count,
                      std::function<void(std::uint32_t)> what) {
  const Duration mean = from_seconds(60 * 100 / (percent_a_minute * std::max(count, 1u)));
  const Duration when = world_.now().time_since_epoch() + exponential(chance_, mean);
  if (count == 0 || when > plan_.faults_end()) return;
  at(when, [this, percent_a_minute, first, count, what = std::move(what)] {
    what(first + static_cast<std::uint32_t>(chance_.below(count)));
    strike(percent_a_minute, first, count, what);
  });
}

/// Churn: it leaves for good; when it was not whole, a new machine takes its place, with nothing.
void Scenario::replace(std::uint32_t i) {
  Node& node = nodes_[i];
  if (!node.driver || node.leaves) return;
  node.leaves = true;
  const bool whole = node.ledger.whole_at.has_value();
  leave(i);
  if (whole) return;
  node.comes_back = true;
  at(world_.now().time_since_epoch() + stop_takes_at_most + 100ms + Duration(chance_.below(comes_back_within.count())),
     [this, i] {
       Node& again = nodes_[i];
       if (again.ledger.whole_at || again.driver) {  // it became whole while it was stopping
         again.comes_back = false;
         return;
       }
       again.bytes_lost = again.ledger.payload_received;
       again.bytes_had = again.bytes_done = 0;
       again.disk = Disk(plan_.disk);
       again.begins = world_.now().time_since_epoch();
       again.leaves = again.comes_back = false;
       start(i);
     });
}

void Scenario::split(const Partition& partition) {
  std::vector<std::uint32_t> others;
  std::vector<std::vector<std::uint32_t>> groups(std::min<std::size_t>(partition.parts, nodes_.size()));
  if (tracker_) groups[0].push_back(tracker_->host().index);
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) (is_seed(i) ? groups[0] : others).push_back(nodes_[i].host->index);
  chance_.shuffle(std::span(others));
  for (std::size_t k = 0; k < others.size(); ++k) groups[k % groups.size()].push_back(others[k]);
  world_.note(Happened::fault, 0, 4, groups.size());
  network_.partition(groups);
}

// ── one by one ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Scenario::crash(std::uint32_t i, Duration when, Duration down_for) {
  at(when, [this, i, down_for] {
    Node& node = nodes_[i];
    if (!node.driver) return;
    end(i);
    network_.crash(*node.host);
    node.disk.on_crash(world_.random(), world_.now());
    start_later(i, down_for);
  });
}

void Scenario::cut_power(std::uint32_t i, Duration when, Duration down_for) {
  at(when, [this, i, down_for] {
    Node& node = nodes_[i];
    if (!node.host->powered) return;
    end(i);
    network_.cut_power(*node.host);
    node.disk.on_power_cut(world_.random(), world_.now());
    checks_.on_power_cut(node.host->index, content_, node.disk);
    node.comes_back = true;
    at(world_.now().time_since_epoch() + down_for, [this, i] {
      network_.restore_power(*nodes_[i].host);
      start(i);
    });
  });
}

void Scenario::unplug(std::uint32_t i, Duration when, Duration down_for) {
  at(when, [this, i] {
    world_.note(Happened::fault, nodes_[i].host->index, 2);
    network_.set_link(*nodes_[i].host, false);
  });
  at(when + down_for, [this, i] {
    world_.note(Happened::fault, nodes_[i].host->index, 3);
    network_.set_link(*nodes_[i].host, true);
  });
}

void Scenario::crash_tracker(Duration when, std::optional<Duration> down_for) {
  at(when, [this] {
    if (tracker_->running()) tracker_->crash();
  });
  if (!down_for) return;
  at(when + *down_for, [this] {
    if (!tracker_->running()) tracker_->start();
  });
}

void Scenario::damage(std::uint32_t i, Duration when) {
  at(when, [this, i] {
    Node& node = nodes_[i];
    if (node.driver || node.disk.named(content_)) return;
    node.disk.damage(content_, static_cast<std::uint32_t>(world_.random().below(content_.blocks_in_all())));
  });
}

// ── leaving ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Scenario::stop(std::uint32_t i, Duration when, std::optional<Duration> down_for) {
  at(when, [this, i, down_for] {
    if (!nodes_[i].driver) return;
    nodes_[i].driver->stop();
    end_cleanly(i, down_for, world_.now());
  });
}

/// The process ends once everything is said and saved; here that is looked at now and then.
void Scenario::end_cleanly(std::uint32_t i, std::optional<Duration> down_for, Instant asked) {
  Node& node = nodes_[i];
  if (!node.driver->client().stopped()) {
    if (world_.now() - asked <= stop_takes_at_most) {
      at(world_.now().time_since_epoch() + 10ms, [this, i, down_for, asked, life = node.ledger.lives] {
        if (nodes_[i].driver && nodes_[i].ledger.lives == life) end_cleanly(i, down_for, asked);
      });
      return;
    }
    checks_.fail(Rule::contract, node.host->index, "a clean stop takes more than 5 s");
  }
  end(i);
  network_.crash(*node.host);
  node.disk.on_crash(world_.random(), world_.now());
  if (down_for) {
    start_later(i, *down_for);
  } else {
    lost_check_at_ = world_.now() + settles_in;
  }
}

/// For good.
void Scenario::leave(std::uint32_t i) {
  nodes_[i].leaves = true;
  if (!nodes_[i].driver) return;
  nodes_[i].driver->stop();
  end_cleanly(i, std::nullopt, world_.now());
}

/// Who is whole and came for no more leaves.
void Scenario::see_off() {
  for (std::uint32_t i = first_downloader(); i < first_liar(); ++i) {
    if (nodes_[i].ledger.whole_at && !nodes_[i].leaves) leave(i);
  }
}

/// The seeds leave when they have given, together, what they were to give; or each when it knows of enough other whole copies.
void Scenario::see_seeds_off() {
  if (plan_.seed_leaves_after == 0 && plan_.until_copies == 0) return;
  std::uint64_t sent = 0;
  for (std::uint32_t i = 0; i < plan_.seeds; ++i) sent += nodes_[i].ledger.payload_sent;
  const bool enough = plan_.seed_leaves_after > 0 &&
                      static_cast<double>(sent) >= plan_.seed_leaves_after * static_cast<double>(plan_.bytes_total);
  for (std::uint32_t i = 0; i < plan_.seeds; ++i) {
    Node& node = nodes_[i];
    if (node.leaves || !node.driver) continue;
    const bool copied = plan_.until_copies > 0 &&
                        node.driver->client().stats(TorrentId{0}, world_.now()).copies_elsewhere >= plan_.until_copies;
    if (enough || copied) leave(i);
  }
}

}  // namespace swarm::sim
