#include "sim/scenario.hh"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/check.hh"
#include "base/sha1.hh"
#include "base/text.hh"
#include "wire/metainfo.hh"

namespace swarm::sim {

namespace {

constexpr Duration audit_every = 1s;

IpAddress address_of(std::uint32_t number) { return IpAddress::v4(0x0a000001u + number); }

double percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

}  // namespace

Scenario::Scenario(Plan plan)
    : plan_(std::move(plan)), world_(plan_.random_seed), checks_(world_), network_(world_, plan_.network) {
  make_content();
  const std::uint32_t count = plan_.seeds + plan_.downloaders + plan_.liars;
  if (plan_.discovery != Plan::Discovery::peers) {
    Host& host = network_.add_host(address_of(count), {0, 0, plan_.line.delay});
    tracker_ = std::make_unique<Tracker>(world_, host, tracker_port);
    trackers_[{host.address, tracker_port}] = tracker_.get();
    wire::HttpRequest put;
    put.method = "PUT";
    put.target = "/api/v1/files/" + content_.info.name;
    put.body = torrent_;
    const auto response = tracker_->on_request(put, {address_of(0), 40'000});
    SWARM_CHECK(response.status / 100 == 2);
    if (plan_.discovery == Plan::Discovery::announces) content_.info.trackers = {{tracker_->url() + "/announce"}};
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    Node& node = nodes_.emplace_back();
    node.host = &network_.add_host(address_of(i), plan_.line);
    node.disk = Disk(plan_.disk);
    const bool whole = is_seed(i) || is_liar(i);
    if (whole) node.disk.fill(content_);
    if (!whole && plan_.join_within > Duration{}) {
      node.begins = Duration(world_.random().below(static_cast<std::uint64_t>(plan_.join_within.count())));
    }
    at(node.begins, [this, i] { start(i); });
  }
}

Scenario::~Scenario() = default;

/// A torrent of the right shape; its piece digests are never looked at, since tags are.
void Scenario::make_content() {
  wire::NewInfo info;
  info.name = "content.bin";
  info.piece_bytes = plan_.piece_bytes;
  info.files = {{.path = {info.name}, .length = plan_.bytes_total}};
  info.pieces.resize(static_cast<std::size_t>((plan_.bytes_total + plan_.piece_bytes - 1) / plan_.piece_bytes));
  wire::Metainfo metainfo;
  metainfo.info = wire::write_info(info);
  torrent_ = wire::write_torrent(metainfo);

  content_.info.info_hash = sha1(metainfo.info);
  content_.info.name = info.name;
  content_.info.bytes_total = plan_.bytes_total;
  content_.info.piece_bytes = plan_.piece_bytes;
  content_.info.pieces = static_cast<std::uint32_t>(info.pieces.size());
}

// ── lives ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Scenario::start(std::uint32_t i) {
  Node& node = nodes_[i];
  if (node.driver || !node.host->powered || node.leaves) return;
  const bool stranger = i >= first_liar() - plan_.strangers && !is_liar(i) && !is_seed(i);
  Driver::Options options;
  options.random_seed = world_.random().next();
  options.honest = !is_liar(i);
  if (is_liar(i)) {
    options.lies = plan_.lies;
  } else {
    options.canary = plan_.canary;
  }
  Random ids(options.random_seed);
  core::ClientOptions& c = options.client;
  ids.fill(c.peer_id.bytes);
  const std::string_view prefix = stranger ? "-XX0100-" : "-SW0100-";
  std::copy(prefix.begin(), prefix.end(), c.peer_id.bytes.begin());
  c.node_id = fmt::format("{:016x}", ids.next());
  c.node_name = fmt::format("node{}", i);
  c.agent = "swarm/0.1.0";
  c.port = port;
  c.addresses = {node.host->address};
  c.rate_up_max = plan_.limit_up;
  c.rate_down_max = plan_.limit_down;

  core::AddTorrent add;
  add.info = content_.info;
  add.resume = node.disk.find_progress(content_, world_.now());
  add.seed = node.disk.named(content_);
  if (plan_.discovery == Plan::Discovery::tracker) add.swarm_trackers = {tracker_->url()};
  if (plan_.discovery == Plan::Discovery::peers) {
    for (std::uint32_t other = 0; other < nodes_.size(); ++other) {
      if (other != i) add.peers.push_back(endpoint(other));
    }
  }
  world_.note(Happened::fault, node.host->index, 1);
  node.driver =
      std::make_unique<Driver>(world_, network_, *node.host, node.disk, checks_, node.ledger, trackers_, options);
  node.driver->add(content_, std::move(add));
}

void Scenario::end(std::uint32_t i) {
  Node& node = nodes_[i];
  if (!node.driver) return;
  if (!is_liar(i)) node.driver->audit();
  world_.note(Happened::fault, node.host->index, 0);
  node.driver.reset();
}

void Scenario::crash(std::uint32_t i, Duration when, Duration down_for) {
  at(when, [this, i, down_for] {
    Node& node = nodes_[i];
    if (!node.driver) return;
    end(i);
    network_.crash(*node.host);
    node.disk.on_crash(world_.random(), world_.now());
    at(world_.now().time_since_epoch() + down_for, [this, i] { start(i); });
  });
}

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
    if (world_.now() - asked <= 5s) {
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
  if (down_for) at(world_.now().time_since_epoch() + *down_for, [this, i] { start(i); });
}

/// Who is whole and came for no more leaves.
void Scenario::see_off() {
  for (std::uint32_t i = first_downloader(); i < first_liar(); ++i) {
    if (nodes_[i].ledger.whole_at && !std::exchange(nodes_[i].leaves, true)) stop(i, world_.now().time_since_epoch());
  }
}

void Scenario::cut_power(std::uint32_t i, Duration when, Duration down_for) {
  at(when, [this, i, down_for] {
    Node& node = nodes_[i];
    if (!node.host->powered) return;
    end(i);
    network_.cut_power(*node.host);
    node.disk.on_power_cut(world_.random(), world_.now());
    checks_.on_power_cut(node.host->index, content_, node.disk);
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

void Scenario::crash_tracker(Duration when, Duration down_for) {
  at(when, [this] {
    if (tracker_->running()) tracker_->crash();
  });
  at(when + down_for, [this] {
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

void Scenario::at(Duration when, std::function<void()> what) {
  plans_.push_back(std::move(what));
  world_.at(Instant(when), [run = &plans_.back()] { (*run)(); });
}

// ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

Report Scenario::run() {
  Instant audit_at = world_.now() + audit_every;
  const Instant end = Instant(plan_.limit);
  while (!all_whole() && world_.now() < end) {
    // In steps of a virtual millisecond: the end is noticed soon, and it is the same end whatever is looked at meanwhile.
    world_.run_until(world_.now() + 1ms);
    if (plan_.leave_when_whole) see_off();
    if (world_.stuck()) {
      checks_.fail(Rule::contract, 0, "time stands still: something goes round in a circle");
      break;
    }
    if (world_.now() >= audit_at) {
      audit_at += audit_every;
      audit();
    }
  }
  return report();
}

Report Scenario::run_until(Duration end) {
  while (world_.now() < Instant(end) && !world_.stuck()) {
    world_.run_until(std::min(world_.now() + audit_every, Instant(end)));
    audit();
  }
  if (world_.stuck()) checks_.fail(Rule::contract, 0, "time stands still: something goes round in a circle");
  return report();
}

bool Scenario::all_whole() const {
  for (std::uint32_t i = first_downloader(); i < first_liar(); ++i) {
    if (!nodes_[i].ledger.whole_at) return false;
  }
  return true;
}

void Scenario::audit() {
  if (!network_.balanced()) checks_.fail(Rule::counted, 0, "bytes were won or lost on the way");
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].driver && !is_liar(i)) nodes_[i].driver->audit();
  }
}

Report Scenario::report() {
  audit();
  Report r;
  r.downloaders = plan_.downloaders;
  std::vector<double> took;
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    const double copies = static_cast<double>(node.ledger.payload_sent) / static_cast<double>(plan_.bytes_total);
    if (is_seed(i)) r.seed_copies += copies;
    if (is_seed(i) || is_liar(i)) continue;
    r.payload_received += node.ledger.payload_received;
    if (!node.ledger.whole_at) continue;
    ++r.finished;
    took.push_back(seconds(node.ledger.whole_at->time_since_epoch() - node.begins));
  }
  std::sort(took.begin(), took.end());
  if (!took.empty()) r.first_seconds = took.front(), r.last_seconds = took.back();
  r.median_seconds = percentile(took, 0.5);
  r.bound_seconds = bound_seconds(plan_);
  r.ratio = r.bound_seconds > 0 ? r.last_seconds / r.bound_seconds : 0;
  const std::uint64_t needed = r.finished * plan_.bytes_total;
  r.payload_wasted = r.payload_received - std::min(needed, r.payload_received);
  r.event_hash = world_.event_hash();
  r.events = world_.events();
  r.virtual_seconds = seconds(world_.now().time_since_epoch());
  r.checks_asked = checks_.asked();
  r.violations = checks_.violations();
  return r;
}

std::string Report::text() const {
  std::string out = fmt::format(
      "{} of {} finished: first {:.3f} s, median {:.3f} s, last {:.3f} s = {:.3f} x the bound of {:.3f} s; the seeds "
      "sent {:.2f} copies, "
      "{} wasted; {} events, hash {:016x}",
      finished, downloaders, first_seconds, median_seconds, last_seconds, ratio, bound_seconds, seed_copies,
      size_text(payload_wasted), events, event_hash);
  for (const auto& violation : violations) out += "\n  " + violation;
  return out;
}

double bound_seconds(const Plan& plan) {
  const auto bytes = static_cast<double>(plan.bytes_total);
  const auto up = static_cast<double>(plan.line.up_rate), down = static_cast<double>(plan.line.down_rate);
  const double seeds = plan.seeds, nodes = plan.downloaders;
  const auto time = [bytes](double rate) { return rate > 0 ? bytes / rate : 0; };
  const double transfer = std::max({time(seeds * up), time(down), nodes * time((seeds + nodes) * up)});
  const double pieces = std::ceil(bytes / plan.piece_bytes);
  return transfer * (1 + std::ceil(std::log2(std::max(nodes, 1.0))) / pieces);
}

}  // namespace swarm::sim
