#include "core/tracker/nodes.hh"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/text.hh"
#include "core/tracker/client_name.hh"

namespace swarm::core {
namespace {

constexpr Duration idle_beat = 15s;  ///< of a node where nothing moves
constexpr Duration silence_shown_min = 3s;
constexpr Duration silence_max = 60s;
constexpr std::size_t name_columns_max = 64;
constexpr std::size_t addresses_max = 16;

bool moves(const wire::BeatTorrent& t) {
  return t.event != "stopped" && (!t.complete || t.rate_down > 0 || t.rate_up > 0);
}

}  // namespace

Nodes::Nodes(FactsOf facts, Notices& notices) : facts_(std::move(facts)), notices_(notices) {}

void Nodes::on_beat(const wire::Beat& beat, const Endpoint& peer, Duration interval, Instant now) {
  const bool is_new = !nodes_.contains(beat.node);
  if (is_new && (beat.leaving || nodes_.size() >= nodes_max)) return;
  auto& node = nodes_[beat.node];
  const auto gap = is_new ? Duration() : now - node.seen;
  node.seen = now;
  if (!is_new && beat.sequence < node.sequence) return;  // rule 2

  node.id = beat.node;
  node.name = fit(printable(beat.name), name_columns_max);
  if (node.name.empty()) node.name = peer.address.text();
  node.endpoint = peer;
  node.sequence = beat.sequence;
  node.every = std::min(idle_beat, std::max(gap, std::ranges::any_of(beat.torrents, moves) ? interval : idle_beat));
  const auto old_id = std::exchange(node.peer_id, beat.peer_id);
  node.addresses = beat.addresses;
  node.addresses.resize(std::min(addresses_max, node.addresses.size()));
  if (const auto old = ids_.find(old_id); old != ids_.end() && old->second == beat.node) ids_.erase(old);
  ids_[beat.peer_id] = beat.node;
  if (is_new) {
    const bool whole = !beat.torrents.empty() && std::ranges::all_of(beat.torrents, &wire::BeatTorrent::complete);
    notices_.add(NodeJoined{node.name, node.address(), whole ? "seeder" : "leecher", false});
  }
  for (const auto& t : beat.torrents) on_beat_torrent(node, t, now);
  if (beat.leaving) {
    drop(node, false);
    nodes_.erase(beat.node);
  }
}

void Nodes::on_beat_torrent(Node& node, const wire::BeatTorrent& t, Instant now) {
  const auto facts = facts_(t.info_hash);
  const bool is_new = !node.shares.contains(t.info_hash);
  if (t.event == "stopped") {
    if (!is_new) drop_share(node, node.shares.find(t.info_hash));
    return;
  }
  auto* share = share_of(node, t.info_hash);
  if (share == nullptr) return;
  auto& held = torrents_[t.info_hash];
  const auto agreed = held.copies.pieces() != 0 ? held.copies.pieces() : t.pieces;
  agree_on(held, t.info_hash, facts.pieces != 0 ? facts.pieces : agreed);

  share->pieces = t.pieces;
  share->left = t.left;
  share->rate_down = t.rate_down;
  share->rate_up = t.rate_up;
  share->peers = t.peers;
  // What it moved before it told of it for the first time may have been counted before a restart of ours.
  if (!is_new && t.bytes_down > share->bytes_down) bytes_down_ += t.bytes_down - share->bytes_down;
  if (!is_new && t.bytes_up > share->bytes_up) bytes_up_ += t.bytes_up - share->bytes_up;
  share->bytes_down = t.bytes_down;
  share->bytes_up = t.bytes_up;
  share->seen = now;
  if (is_new) note_new(node, facts.name, t.complete);
  for (const auto& check : t.checks) notices_.add(NodeChecked{node.name, node.address(), facts.name, check});
  if (!is_new && t.complete && !share->whole) notices_.add(NodeCompleted{node.name, node.address(), facts.name});
  set_whole(*share, held, t.complete);
  if (!t.complete && t.pieces != 0 && t.pieces == held.copies.pieces()) on_pieces(*share, held, t);
}

/// Rule 3, of a node that is not whole and agrees on the number of pieces.
void Nodes::on_pieces(Share& share, Held& held, const wire::BeatTorrent& t) {
  if (t.have) {
    auto have = Bitfield::from(*t.have, t.pieces);
    if (have && bitmap_fits(t.pieces)) set_have(share, held, std::move(have));
    return;
  }
  if (!share.have) return;
  for (const auto& run : t.gained) {
    const auto end = std::min<std::uint64_t>(t.pieces, std::uint64_t{run.first} + run.count);
    for (auto i = std::uint64_t{run.first}; i < end; ++i) {
      if ((*share.have)[i]) continue;
      share.have->set(i);
      held.copies.gain(static_cast<std::uint32_t>(i));
    }
  }
}

/// Sets the number of pieces of a torrent. What was said under another number is forgotten, and asked for again.
void Nodes::agree_on(Held& held, const InfoHash& torrent, std::uint32_t pieces) {
  if (held.copies.pieces() == pieces) return;
  Copies afresh(pieces);
  const auto move_over = [&](auto& nodes) {
    for (auto& [key, node] : nodes) {
      const auto share = node.shares.find(torrent);
      if (share == node.shares.end()) continue;
      set_have(share->second, held, std::nullopt);
      if (share->second.whole) afresh.add_whole();
    }
  };
  move_over(nodes_);
  move_over(plain_);
  held.copies = std::move(afresh);
}

void Nodes::on_announce(const wire::AnnounceRequest& request, const Endpoint& peer, Duration interval, Instant now) {
  if (as_text(request.peer_id.view()).starts_with("-SW")) return;
  const auto twin = plain_ids_.find({request.info_hash, request.peer_id});
  const auto endpoint = twin == plain_ids_.end() ? peer : twin->second;
  const auto found = plain_.find(endpoint);
  const bool is_new = found == plain_.end();
  if (request.event == wire::AnnounceEvent::stopped) {
    if (is_new) return;
    if (const auto share = found->second.shares.find(request.info_hash); share != found->second.shares.end()) {
      drop_share(found->second, share);
    }
    if (!found->second.shares.empty()) return;
    drop(found->second, false);
    plain_.erase(found);
    return;
  }
  if (is_new && !has_room_for_plain(endpoint.address)) return;

  const bool whole = request.left == 0u;
  auto& node = plain_[endpoint];
  node.seen = now;
  node.every = interval;
  if (is_new) {
    ++plain_at_[endpoint.address];
    node.plain = true;
    node.endpoint = endpoint;
    node.id = endpoint.text();
    node.name = client_name(request.peer_id);
    notices_.add(NodeJoined{node.name, node.address(), whole ? "seeder" : "leecher", true});
  }
  const bool is_new_share = !node.shares.contains(request.info_hash);
  auto* share = share_of(node, request.info_hash);
  if (share == nullptr) return;
  if (share->id != request.peer_id) {
    if (!is_new_share) plain_ids_.erase({request.info_hash, share->id});
    share->id = request.peer_id;
    plain_ids_[{request.info_hash, request.peer_id}] = endpoint;
  }
  share->left = request.left;
  share->seen = now;
  const auto file = facts_(request.info_hash).name;
  if (is_new_share) note_new(node, file, whole);
  if (!is_new_share && whole && !share->whole) notices_.add(NodeCompleted{node.name, node.address(), file});
  set_whole(*share, torrents_[request.info_hash], whole);
}

void Nodes::sweep(Instant now) {
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    if (now - it->second.seen < silence_max) {
      ++it;
      continue;
    }
    drop(it->second, true);
    it = nodes_.erase(it);
  }
  for (auto it = plain_.begin(); it != plain_.end();) {
    auto& node = it->second;
    for (auto share = node.shares.begin(); share != node.shares.end();) {
      const auto here = share++;
      if (now - here->second.seen >= 2 * node.every) drop_share(node, here);
    }
    if (!node.shares.empty()) {
      ++it;
      continue;
    }
    drop(node, true);
    it = plain_.erase(it);
  }
}

bool Nodes::wants_have(const std::string& node, const InfoHash& torrent) const {
  const auto found = nodes_.find(node);
  const auto held = torrents_.find(torrent);
  if (found == nodes_.end() || held == torrents_.end()) return false;
  const auto share = found->second.shares.find(torrent);
  if (share == found->second.shares.end() || share->second.whole || share->second.have) return false;
  const auto pieces = share->second.pieces;
  return pieces != 0 && pieces == held->second.copies.pieces() && bitmap_fits(pieces);
}

std::optional<Endpoint> Nodes::endpoint(const std::string& node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? std::nullopt : std::optional(found->second.endpoint);
}

const std::vector<IpAddress>* Nodes::addresses(const PeerId& id) const {
  const auto found = ids_.find(id);
  return found == ids_.end() ? nullptr : &nodes_.at(found->second).addresses;
}

double Nodes::copies(const InfoHash& torrent) const {
  const auto held = torrents_.find(torrent);
  return held == torrents_.end() ? 0 : held->second.copies.value();
}

std::uint32_t Nodes::pieces(const InfoHash& torrent) const {
  const auto held = torrents_.find(torrent);
  return held == torrents_.end() ? 0 : held->second.copies.pieces();
}

std::vector<InfoHash> Nodes::torrents() const {
  std::vector<InfoHash> out;
  for (const auto& [hash, held] : torrents_) out.push_back(hash);
  return out;
}

std::vector<wire::StatusNode> Nodes::view(std::size_t max, Instant now) const {
  std::vector<const Node*> nodes;
  for (const auto& [id, node] : nodes_) nodes.push_back(&node);
  for (const auto& [endpoint, node] : plain_) nodes.push_back(&node);
  std::ranges::sort(nodes, [](const Node* a, const Node* b) {
    return std::tuple(!a->is_seeder(), std::string_view(a->name), std::string_view(a->id)) <
           std::tuple(!b->is_seeder(), std::string_view(b->name), std::string_view(b->id));
  });
  nodes.resize(std::min(nodes.size(), max));
  std::vector<wire::StatusNode> out;
  for (const auto* node : nodes) out.push_back(status_of(*node, now));
  return out;
}

bool Nodes::Node::is_seeder() const {
  return !shares.empty() && std::ranges::all_of(shares, [](auto& share) { return share.second.whole; });
}

/// The node's share of this torrent, made where there is none; nullptr when it has too many.
Nodes::Share* Nodes::share_of(Node& node, const InfoHash& torrent) {
  const auto found = node.shares.find(torrent);
  if (found != node.shares.end()) return &found->second;
  if (node.shares.size() >= shares_max || shares_ >= all_shares_max) return nullptr;
  ++shares_;
  ++torrents_[torrent].shares;
  return &node.shares[torrent];
}

bool Nodes::has_room_for_plain(const IpAddress& address) const {
  if (plain_.size() >= plain_max || shares_ >= all_shares_max) return false;
  const auto found = plain_at_.find(address);
  return found == plain_at_.end() || found->second < plain_per_address_max;
}

void Nodes::note_new(const Node& node, const std::string& file, bool whole) {
  if (whole) notices_.add(NodeShares{node.name, node.address(), file});
  if (!whole) notices_.add(NodeGets{node.name, node.address(), file});
}

void Nodes::set_whole(Share& share, Held& held, bool whole) {
  if (whole) set_have(share, held, std::nullopt);
  if (whole && !share.whole) held.copies.add_whole();
  if (!whole && share.whole) held.copies.remove_whole();
  share.whole = whole;
}

void Nodes::set_have(Share& share, Held& held, std::optional<Bitfield> have) {
  if (have) held.copies.add(*have), bitmap_bytes_ += have->bytes().size();
  if (share.have) held.copies.remove(*share.have), bitmap_bytes_ -= share.have->bytes().size();
  share.have = std::move(have);
}

void Nodes::drop_share(Node& node, std::map<InfoHash, Share>::iterator found) {
  auto& [torrent, share] = *found;
  const auto held = torrents_.find(torrent);
  set_have(share, held->second, std::nullopt);
  if (share.whole) held->second.copies.remove_whole();
  if (--held->second.shares == 0) torrents_.erase(held);
  if (node.plain) plain_ids_.erase({torrent, share.id});
  node.shares.erase(found);
  --shares_;
}

/// Undoes all that the node was counted in; the caller erases it.
void Nodes::drop(Node& node, bool silent) {
  while (!node.shares.empty()) drop_share(node, node.shares.begin());
  if (const auto id = ids_.find(node.peer_id); id != ids_.end() && id->second == node.id) ids_.erase(id);
  if (const auto at = plain_at_.find(node.endpoint.address); node.plain && --at->second == 0) plain_at_.erase(at);
  notices_.add(NodeLeft{node.name, node.address(), silent});
}

wire::StatusNode Nodes::status_of(const Node& node, Instant now) const {
  wire::StatusNode out{node.id, node.name, node.role(), node.address(), {}, seconds(now - node.seen), node.plain};
  if (!node.plain && now - node.seen < std::max(silence_shown_min, 3 * node.every)) out.seen_s = 0;
  for (const auto& [torrent, share] : node.shares) out.files.push_back(status_of(torrent, share));
  return out;
}

wire::StatusNodeFile Nodes::status_of(const InfoHash& torrent, const Share& share) const {
  const auto facts = facts_(torrent);
  wire::StatusNodeFile out{torrent, facts.name, 0, 0, share.rate_down, share.rate_up, share.peers};
  const bool has_begun = share.pieces != 0 || share.id != PeerId();  // before, a node does not know how much is left
  if (share.whole) {
    out.percent = 100;
    out.bytes_done = facts.bytes;
  } else if (facts.bytes != 0 && share.left && has_begun) {
    out.bytes_done = facts.bytes - std::min(facts.bytes, *share.left);
    out.percent = 100.0 * static_cast<double>(out.bytes_done) / static_cast<double>(facts.bytes);
  } else if (share.have && share.have->size() != 0 && !share.have->all()) {
    const auto missing = static_cast<double>(share.have->size() - share.have->count());
    const auto had = static_cast<double>(share.have->count());
    out.percent = 100.0 * had / static_cast<double>(share.have->size());
    out.bytes_done = static_cast<std::uint64_t>(static_cast<double>(share.left.value_or(0)) * had / missing);
  }
  if (!share.whole) out.percent = std::min(out.percent, 99.99);
  return out;
}

}  // namespace swarm::core
