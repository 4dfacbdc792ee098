// The run and what came of it. What befalls its nodes: scenario_faults.cc.
#include "sim/scenario.hh"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.hh"
#include "base/sha1.hh"
#include "sim/chance.hh"
#include "wire/metainfo.hh"

namespace swarm::sim {

namespace {

constexpr Duration audit_every = 1s;

IpAddress address_of(std::uint32_t number) { return IpAddress::v4(0x0a000001u + number); }

Network::Options network_of(const Plan& plan) {
  Network::Options options = plan.network;
  if (plan.profile && plan.profile->header_bytes) options.header_bytes = *plan.profile->header_bytes;
  return options;
}

double percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

}  // namespace

Scenario::Scenario(Plan plan)
    : plan_(std::move(plan)),
      world_(plan_.random_seed),
      checks_(world_),
      network_(world_, network_of(plan_)),
      chance_(plan_.random_seed ^ 0x6a09e667f3bcc908) {
  make_content();
  if (plan_.discovery != Plan::Discovery::peers) make_tracker();
  make_nodes();
  plan_faults();
}

Scenario::~Scenario() = default;

void Scenario::make_tracker() {
  const std::uint32_t count = plan_.seeds + plan_.downloaders + plan_.liars;
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

/// The lines and the moments of their start come from one generator, so that a node's own life changes neither.
void Scenario::make_nodes() {
  Random lines(plan_.random_seed ^ 0xbb67ae8584caa73b);
  Duration joined{};
  std::vector<std::uint64_t> seeds_up;  // a liar sends right blocks, too
  std::vector<BoundNode> bound_nodes;
  const auto limited = [](std::uint64_t rate, std::uint64_t limit) {
    return limit == 0 ? rate : rate == 0 ? limit : std::min(rate, limit);
  };
  for (std::uint32_t i = 0; i < plan_.seeds + plan_.downloaders + plan_.liars; ++i) {
    Node& node = nodes_.emplace_back();
    const bool whole = is_seed(i) || is_liar(i);
    const std::uint32_t downloader = i - plan_.seeds;
    Line line = plan_.line;
    if (plan_.profile) {
      const Profile& profile = *plan_.profile;
      line = draw_line(is_seed(i) && profile.seeds ? *profile.seeds
                       : is_seed(i)                ? profile.kind_of(i, plan_.seeds)
                                                   : profile.kind_of(downloader, plan_.nodes()),
                       lines);
    }
    if (!whole && downloader >= plan_.downloaders - std::min(plan_.slow, plan_.downloaders)) {
      line.up_rate /= 10;
      line.down_rate /= 10;
    }
    node.host = &network_.add_host(address_of(i), line);
    node.disk = Disk(plan_.disk);
    if (whole) node.disk.fill(content_);
    if (!whole && plan_.have > 0) fill_some(node);
    if (!whole) {
      switch (plan_.join) {
        case Join::all:
          break;
        case Join::random:
          if (plan_.join_within > Duration{})
            node.begins = Duration(lines.below(static_cast<std::uint64_t>(plan_.join_within.count())));
          break;
        case Join::staggered:
          node.begins = plan_.join_within / plan_.downloaders * downloader;
          break;
        case Join::poisson:
          joined += exponential(lines, from_seconds(1 / plan_.join_rate));
          node.begins = joined;
          break;
      }
    }
    at(node.begins, [this, i] { start(i); });
    if (whole) seeds_up.push_back(limited(line.up_rate, plan_.limit_up));
    if (!whole) {
      bound_nodes.push_back({limited(line.up_rate, plan_.limit_up), limited(line.down_rate, plan_.limit_down),
                             !is_free_rider(i), content_.info.bytes_total - node.bytes_had});
    }
  }
  bound_ = find_bound(content_.info.bytes_total, content_.info.piece_bytes, seeds_up, bound_nodes,
                      plan_.join == Join::all && plan_.churn == 0);
}

/// What is there stands under a clean checkpoint, as after an earlier download that was stopped.
void Scenario::fill_some(Node& node) {
  Bitfield there(content_.info.pieces);
  std::vector<std::uint32_t> order(content_.info.pieces);
  for (std::uint32_t p = 0; p < order.size(); ++p) order[p] = p;
  chance_.shuffle(std::span(order));
  const auto count = static_cast<std::size_t>(plan_.have * static_cast<double>(order.size()) + 0.5);
  for (std::size_t k = 0; k < std::min(count, order.size()); ++k) {
    there.set(PieceIndex{order[k]});
    node.bytes_had += content_.piece_size(PieceIndex{order[k]});
  }
  node.disk.fill(content_, there);
}

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
  node.comes_back = false;
  const bool stranger = i >= first_liar() - plan_.strangers && !is_liar(i) && !is_seed(i);
  Driver::Options options;
  options.random_seed = world_.random().next();
  options.honest = !is_liar(i);
  options.gives = !is_free_rider(i);
  if (is_liar(i)) {
    options.lies = plan_.lies;
  } else {
    if (plan_.canary != Canary::wrong_byte || is_seed(i)) options.canary = plan_.canary;
  }
  Random ids(options.random_seed);
  core::ClientOptions& c = options.client;
  ids.fill(c.peer_id.bytes);
  const std::string_view prefix = stranger ? "-XX0100-" : "-SW0100-";
  std::copy(prefix.begin(), prefix.end(), c.peer_id.bytes.begin());
  c.node_id = fmt::format("{:016x}", ids.next());
  c.node_name = name(i);
  c.agent = "swarm/0.1.0";
  c.port = port;
  c.addresses = {node.host->address};
  c.rate_up_max = plan_.limit_up;
  c.rate_down_max = plan_.limit_down;
  c.peers_max = plan_.neighbours;
  c.policy = plan_.policy;

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

void Scenario::start_later(std::uint32_t i, Duration after) {
  nodes_[i].comes_back = true;
  at(world_.now().time_since_epoch() + after, [this, i] { start(i); });
}

void Scenario::end(std::uint32_t i) {
  Node& node = nodes_[i];
  if (!node.driver) return;
  look(i);
  if (!is_liar(i)) node.driver->audit();
  world_.note(Happened::fault, node.host->index, 0);
  node.driver.reset();
}

void Scenario::at(Duration when, std::function<void()> what) {
  plans_.push_back(std::move(what));
  world_.at(Instant(when), [run = &plans_.back()] { (*run)(); });
}

// ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

bool Scenario::step() {
  if (ending_ != Ending::running) return false;
  world_.run_until(world_.now() + 1ms);
  if (plan_.leave_when_whole) see_off();
  see_seeds_off();
  if (curve_.due(world_.now())) curve_.add(sample(), world_.now());
  if (world_.now() >= audit_at_) {
    audit_at_ = world_.now() + audit_every;
    audit();
  }
  ending_ = find_ending();
  return ending_ == Ending::running;
}

Ending Scenario::find_ending() {
  if (world_.stuck()) {
    checks_.fail(Rule::contract, 0, "time stands still: something goes round in a circle");
    return Ending::stuck;
  }
  if (all_whole()) return Ending::all_whole;
  if (world_.now() >= Instant(plan_.limit)) return Ending::time_up;
  if (lost_check_at_ && world_.now() >= *lost_check_at_) {
    lost_check_at_.reset();
    if (count_lost() > 0) return Ending::lost;
  }
  return Ending::running;
}

Report Scenario::run() {
  while (step()) {
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
    if (is_honest_downloader(i) && !nodes_[i].ledger.whole_at) return false;
  }
  return true;
}

/// Pieces that stand on no honest node which is there or will come back.
std::uint32_t Scenario::count_lost() {
  std::vector<std::uint32_t> candidates(content_.info.pieces);
  for (std::uint32_t p = 0; p < candidates.size(); ++p) candidates[p] = p;
  for (std::uint32_t i = 0; i < first_liar() && !candidates.empty(); ++i) {
    Node& node = nodes_[i];
    const bool there = node.driver != nullptr || (node.comes_back && !node.leaves);
    if (!there || is_free_rider(i)) continue;
    std::erase_if(candidates, [&](std::uint32_t p) { return node.disk.right(content_, PieceIndex{p}, world_.now()); });
  }
  return static_cast<std::uint32_t>(candidates.size());
}

void Scenario::audit() {
  if (!network_.balanced()) checks_.fail(Rule::counted, 0, "bytes were won or lost on the way");
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].driver && !is_liar(i)) nodes_[i].driver->audit();
  }
}

// ── looking on ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Scenario::look(std::uint32_t i) {
  Node& node = nodes_[i];
  if (node.driver) node.bytes_done = node.driver->client().stats(TorrentId{0}, world_.now()).bytes_done;
}

Curve::Sample Scenario::sample() {
  Curve::Sample out;
  out.seconds = seconds(world_.now().time_since_epoch());
  out.least = 1;
  std::uint32_t count = 0, whole = 0;
  for (std::uint32_t i = first_downloader(); i < first_liar(); ++i) {
    if (!is_honest_downloader(i)) continue;
    const Node& node = nodes_[i];
    look(i);
    const double done = node.ledger.whole_at
                            ? 1
                            : static_cast<double>(node.bytes_done) / static_cast<double>(content_.info.bytes_total);
    out.least = std::min(out.least, done);
    out.most = std::max(out.most, done);
    out.mean += done;
    whole += node.ledger.whole_at.has_value();
    ++count;
  }
  out.mean /= std::max(count, 1u);
  out.whole = static_cast<double>(whole) / std::max(count, 1u);
  return out;
}

std::optional<double> Scenario::seconds_to_whole(std::uint32_t i) const {
  const Node& node = nodes_[i];
  if (!node.ledger.whole_at) return std::nullopt;
  return seconds(node.ledger.whole_at->time_since_epoch() - node.begins);
}

std::string Scenario::name(std::uint32_t i) const {
  if (is_seed(i)) return fmt::format("seed{}", i + 1);
  if (is_liar(i)) return fmt::format("liar{}", i - first_liar() + 1);
  return fmt::format("node{}", i - first_downloader() + 1);
}

std::string Scenario::host_name(std::uint32_t host) const {
  if (tracker_ && tracker_->host().index == host) return "tracker";
  const std::uint32_t node = host - (tracker_ ? 1 : 0);  // the tracker's host is the first one
  return node < nodes_.size() ? name(node) : fmt::format("host{}", host);
}

wire::Status Scenario::status() {
  wire::Status out;
  std::vector<std::uint32_t> copies(content_.info.pieces);
  wire::StatusFile& file = out.files.emplace_back();
  file.info_hash = content_.info.info_hash;
  file.name = content_.info.name;
  file.bytes = content_.info.bytes_total;
  file.pieces = content_.info.pieces;
  file.piece_bytes = content_.info.piece_bytes;
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].driver) continue;
    const core::Client& client = nodes_[i].driver->client();
    const auto stats = client.stats(TorrentId{0}, world_.now());
    wire::StatusNode& node = out.nodes.emplace_back();
    node.name = name(i);
    node.role = stats.phase == core::Phase::whole ? "seeder" : "leecher";
    node.address = endpoint(i).text();
    const double share = static_cast<double>(stats.bytes_done) / static_cast<double>(stats.bytes_total);
    node.files.push_back(
        {file.info_hash, file.name, 100 * share, stats.bytes_done, stats.rate_down, stats.rate_up, stats.peers});
    ++(stats.phase == core::Phase::whole ? file.seeders : file.leechers);
    if (is_liar(i)) continue;
    const Bitfield& verified = client.verified(TorrentId{0});
    for (std::size_t p = verified.find(true); p < verified.size(); p = verified.find(true, p + 1)) ++copies[p];
  }
  const std::uint32_t least = *std::ranges::min_element(copies);
  const auto above = std::ranges::count_if(copies, [least](std::uint32_t n) { return n > least; });
  file.copies = least + static_cast<double>(above) / static_cast<double>(copies.size());
  return out;
}

Report Scenario::report() {
  audit();
  Report r;
  r.ending = ending_;
  r.liars = plan_.liars;
  std::vector<double> took, free_took;
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    if (is_seed(i))
      r.seed_copies += static_cast<double>(node.ledger.payload_sent) / static_cast<double>(plan_.bytes_total);
    if (!is_liar(i)) {
      r.lives += node.ledger.lives;
      r.pieces_wrong += node.ledger.pieces_wrong;
    }
    if (is_seed(i) || is_liar(i)) continue;
    const auto whole = seconds_to_whole(i);
    if (is_free_rider(i)) {
      ++r.free_riders;
      if (whole) free_took.push_back(*whole);
      continue;
    }
    ++r.downloaders;
    if (!whole) continue;
    ++r.finished;
    took.push_back(*whole);
    const std::uint64_t received = node.ledger.payload_received - node.bytes_lost;
    const std::uint64_t needed = content_.info.bytes_total - node.bytes_had;
    r.payload_received += received;
    r.payload_wasted += received - std::min(needed, received);
  }
  std::ranges::sort(took);
  std::ranges::sort(free_took);
  if (!took.empty()) r.first_seconds = took.front(), r.last_seconds = took.back();
  r.median_seconds = percentile(took, 0.5);
  r.free_riders_finished = static_cast<std::uint32_t>(free_took.size());
  r.free_riders_median_seconds = percentile(free_took, 0.5);
  r.bound = bound_;
  r.bound_seconds = bound_.seconds;
  r.ratio = r.bound_seconds > 0 ? r.last_seconds / r.bound_seconds : 0;
  if (!r.all_finished()) r.pieces_lost = count_lost();
  r.event_hash = world_.event_hash();
  r.events = world_.events();
  r.virtual_seconds = seconds(world_.now().time_since_epoch());
  r.checks_asked = checks_.asked();
  r.violations = checks_.violations();
  Curve curve = curve_;
  curve.end(sample());
  r.curve = curve.samples();
  return r;
}

}  // namespace swarm::sim
