#include "core/tracker/directory.hh"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>

namespace swarm::core {
namespace {

constexpr std::uint32_t no_place = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t indexed_from = 16;  ///< peers: below, looking at each is as fast as an index and takes no memory
constexpr std::size_t looked_at_max = 2000;  ///< a reply
constexpr std::size_t singles_sampled = 16;
constexpr std::size_t sweeps = 30;  ///< for the whole table

std::uint32_t whole_seconds(Instant t) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count());
}

std::uint64_t mix(std::uint64_t h) {  // MurmurHash3's finaliser: every bit of the input moves every bit of the result
  h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
  h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
  return h ^ h >> 33;
}

/// What one person controls: an IPv4 address, or an IPv6 network.
std::uint64_t owner(const IpAddress& a) { return a.is_v4() ? load_u32(&a.bytes[12]) : load_u64(a.bytes.data()); }

/// Rule 3, of what no asker can use.
bool can_be_given(const Endpoint& peer) {
  const auto& a = peer.address;
  return peer.port != 0 && !a.is_unspecified() && !a.is_multicast() && !a.is_link_local();
}

/// Rule 3, of an address that can be given, but for the asker itself.
bool can_use(const Directory::Asker& asker, const IpAddress& a) {
  return asker.here || (!a.is_loopback() && (a.is_v4() || !asker.endpoint.address.is_v4()));
}

}  // namespace

/// Rule 7's tables.
class Directory::Crowds {
 public:
  Crowds(std::size_t peers_max, Random& random)
      : key_(random.next()),
        torrents_(std::size_t{1} << 16),
        first_(std::bit_ceil(std::clamp<std::size_t>(peers_max / 2, 1024, std::size_t{1} << 24))),
        second_(first_.size()) {}

  std::uint16_t owner_of_torrents(std::uint64_t owner) const { return static_cast<std::uint16_t>(mix(key_ ^ owner)); }
  std::uint32_t& torrents(std::uint16_t place) { return torrents_[place]; }

  /// Of one owner within one swarm, which is known by its place in memory.
  std::uint16_t peers(const void* swarm, std::uint64_t owner) const {
    const auto h = hash(swarm, owner);
    return std::min(first_[h & mask()], second_[h >> 32 & mask()]);
  }
  void add(const void* swarm, std::uint64_t owner, int change) {
    const auto h = hash(swarm, owner);
    for (auto* count : {&first_[h & mask()], &second_[h >> 32 & mask()]}) {
      *count = static_cast<std::uint16_t>(*count + change);
    }
  }

 private:
  std::uint64_t hash(const void* swarm, std::uint64_t owner) const {
    return mix(mix(key_ ^ owner) ^ reinterpret_cast<std::uintptr_t>(swarm));
  }
  std::uint64_t mask() const { return first_.size() - 1; }

  std::uint64_t key_;
  std::vector<std::uint32_t> torrents_;        ///< that began with an owner, by a hash of it
  std::vector<std::uint16_t> first_, second_;  ///< peers of an owner in a swarm
};

/// Seeds first, then leechers, each in no order.
struct Directory::Swarm {
  std::vector<Stored> peers;
  /// Places in `peers`, from indexed_from peers on.
  std::unique_ptr<std::unordered_map<Endpoint, std::uint32_t>> index;
  std::uint32_t seeds = 0;
  std::uint32_t downloaded = 0;
  std::uint32_t single_at = no_place;  ///< place in singles_
  std::uint32_t strangers = 0;         ///< peers of other owners than the first
  std::uint16_t first_owner = 0;       ///< Crowds::owner_of_torrents
  bool began_here = false;             ///< counted in Crowds::torrents
  bool kept = false;

  std::uint32_t find(const Endpoint& endpoint) const {
    if (index != nullptr) {
      const auto found = index->find(endpoint);
      return found == index->end() ? no_place : found->second;
    }
    const auto found = std::ranges::find(peers, endpoint, &Stored::endpoint);
    return found == peers.end() ? no_place : static_cast<std::uint32_t>(found - peers.begin());
  }
  void swap(std::uint32_t a, std::uint32_t b) {
    if (a == b) return;
    std::swap(peers[a], peers[b]);
    note_place(a), note_place(b);
  }
  void note_place(std::uint32_t at) {
    if (index != nullptr) (*index)[peers[at].endpoint] = at;
  }
  /// Moves a peer to the other side of the line between seeds and leechers; gives its new place.
  std::uint32_t set_seed(std::uint32_t at, bool seed) {
    if (peers[at].seed == seed) return at;
    peers[at].seed = seed;
    const auto to = seed ? seeds++ : --seeds;
    swap(at, to);
    return to;
  }
};

std::size_t Directory::KeyedHash::operator()(const InfoHash& hash) const noexcept {
  const auto* p = hash.bytes.data();
  return mix(mix(mix(key ^ load_u64(p)) ^ load_u64(p + 8)) ^ load_u32(p + 16));
}

Directory::Directory(Limits limits, Random& random)
    : limits_(limits),
      random_(random),
      swarms_(0, KeyedHash{random.next()}),
      crowds_(std::make_unique<Crowds>(limits.peers_max, random)) {}

Directory::~Directory() = default;

Directory::Entry* Directory::find(const InfoHash& torrent) const {
  if (last_ != nullptr && last_->first == torrent) return last_;
  const auto found = swarms_.find(torrent);
  if (found != swarms_.end()) last_ = const_cast<Entry*>(&*found);  // which its owner may change
  return found == swarms_.end() ? nullptr : last_;
}

bool Directory::announce(const InfoHash& torrent, const Peer& peer, bool completed, Duration lifetime, Instant now) {
  const auto expires_s = whole_seconds(now + lifetime);
  auto* found = find(torrent);
  if (found != nullptr) {
    auto& swarm = found->second;
    swarm.downloaded += completed ? 1 : 0;
    if (auto at = swarm.find(peer.endpoint); at != no_place) {
      at = swarm.set_seed(at, peer.seed);
      auto& stored = swarm.peers[at];
      const bool can_be_given = stored.can_be_given;  // its endpoint is the same
      static_cast<Peer&>(stored) = peer;
      stored.can_be_given = can_be_given;
      swarm.peers[at].expires_s = expires_s;
      return true;
    }
  }
  const auto from = owner(peer.endpoint.address);
  if (is_crowded(found, from)) return false;
  if (peers_ >= limits_.peers_max && !make_room()) return false;
  found = find(torrent);  // it may itself have made room
  if (found == nullptr) {
    if (swarms_.size() >= limits_.torrents_max && !make_room()) return false;
    found = &*swarms_.try_emplace(torrent).first;
    auto& swarm = found->second;
    swarm.downloaded = completed ? 1 : 0;
    swarm.first_owner = crowds_->owner_of_torrents(from);
    swarm.began_here = true;
    ++crowds_->torrents(swarm.first_owner);
  }
  Stored stored{peer, expires_s};
  stored.can_be_given = can_be_given(peer.endpoint);
  insert(*found, stored);
  settle(*found);
  return true;
}

void Directory::remove(const InfoHash& torrent, const Endpoint& peer) {
  auto* found = find(torrent);
  if (found == nullptr) return;
  const auto at = found->second.find(peer);
  if (at == no_place) return;
  erase(*found, at);
  settle(*found);
}

std::vector<wire::AnnouncedPeer> Directory::peers_for(const InfoHash& torrent, const Asker& asker, std::size_t want,
                                                      const Reach& reach, Instant now) {
  std::vector<wire::AnnouncedPeer> out;
  const auto* found = find(torrent);
  if (found == nullptr || want == 0) return out;
  const auto& swarm = found->second;
  const std::size_t first = asker.seed ? swarm.seeds : 0;
  const std::size_t count = swarm.peers.size() - first;
  if (count == 0) return out;

  // A random start and a random stride without a common divisor visit each peer once, in an order that needs no memory.
  std::size_t stride = 1 + random_.below(count);
  while (std::gcd(stride, count) != 1) ++stride;
  stride %= count;
  std::size_t at = random_.below(count);
  const auto now_s = whole_seconds(now);
  out.reserve(std::min(count, want));
  for (std::size_t i = 0; i < std::min(count, looked_at_max) && out.size() < want; ++i) {
    const auto& peer = swarm.peers[first + at];
    at += stride;
    if (at >= count) at -= count;
    if (peer.expires_s <= now_s) continue;
    if (peer.endpoint == asker.endpoint || (peer.id == asker.id && asker.id != PeerId())) continue;
    if (peer.here && !asker.here && peer.endpoint.port != 0) {
      const auto endpoint = reach(peer);
      if (can_be_given(endpoint) && can_use(asker, endpoint.address)) out.push_back({endpoint, peer.id});
    } else if (peer.can_be_given && can_use(asker, peer.endpoint.address)) {
      out.push_back({peer.endpoint, peer.id});
    }
  }
  return out;
}

Directory::Counts Directory::counts(const InfoHash& torrent) const {
  const auto* found = find(torrent);
  if (found == nullptr) return {};
  const auto& s = found->second;
  return {s.seeds, static_cast<std::uint32_t>(s.peers.size()) - s.seeds, s.downloaded};
}

void Directory::keep(const InfoHash& torrent, bool on) {
  const auto found = on ? swarms_.try_emplace(torrent).first : swarms_.find(torrent);
  if (found == swarms_.end()) return;
  found->second.kept = on;
  settle(*found);
}

void Directory::sweep(Instant now) {
  const auto now_s = whole_seconds(now);
  const auto buckets = swarms_.bucket_count();
  const auto count = std::min(buckets, std::max<std::size_t>(256, buckets / sweeps + 1));
  std::vector<Entry*> touched;
  for (std::size_t i = 0; i < count; ++i) {
    next_bucket_ = (next_bucket_ + 1) % buckets;
    for (auto it = swarms_.begin(next_bucket_); it != swarms_.end(next_bucket_); ++it) {
      auto& swarm = it->second;
      const auto before = swarm.peers.size();
      for (auto at = static_cast<std::uint32_t>(before); at-- > 0;) {
        if (swarm.peers[at].expires_s <= now_s) erase(*it, at);
      }
      if (swarm.peers.size() != before) touched.push_back(&*it);
    }
  }
  for (auto* entry : touched) settle(*entry);
}

/// Rule 7, for a newcomer to this swarm, or to a new one.
bool Directory::is_crowded(const Entry* swarm, std::uint64_t from) const {
  if (swarm != nullptr) return crowds_->peers(swarm, from) >= limits_.peers_per_address_max;
  return crowds_->torrents(crowds_->owner_of_torrents(from)) >= limits_.torrents_per_address_max;
}

/// Rule 5.
bool Directory::make_room() {
  if (singles_.empty()) return false;
  std::array<Entry*, singles_sampled> sample{};
  for (auto& entry : sample) entry = singles_[random_.below(singles_.size())];
  const auto owner_of = [](const Entry* entry) { return owner(entry->second.peers[0].endpoint.address); };
  const auto frequency = [&](const Entry* entry) { return std::ranges::count(sample, owner_of(entry), owner_of); };
  drop(**std::ranges::max_element(sample, {}, frequency));
  return true;
}

void Directory::insert(Entry& entry, const Stored& peer) {
  auto& swarm = entry.second;
  auto leecher = peer;
  leecher.seed = false;
  swarm.peers.push_back(leecher);
  ++peers_;
  const auto from = owner(peer.endpoint.address);
  crowds_->add(&entry, from, 1);
  swarm.strangers += crowds_->owner_of_torrents(from) != swarm.first_owner;
  if (swarm.index == nullptr && swarm.peers.size() >= indexed_from) {
    swarm.index = std::make_unique<std::unordered_map<Endpoint, std::uint32_t>>();
    for (std::uint32_t i = 0; i < swarm.peers.size(); ++i) swarm.note_place(i);
  }
  const auto at = static_cast<std::uint32_t>(swarm.peers.size() - 1);
  swarm.note_place(at);
  swarm.set_seed(at, peer.seed);
}

void Directory::erase(Entry& entry, std::uint32_t at) {
  auto& swarm = entry.second;
  at = swarm.set_seed(at, false);
  swarm.swap(at, static_cast<std::uint32_t>(swarm.peers.size() - 1));
  if (swarm.index != nullptr) swarm.index->erase(swarm.peers.back().endpoint);
  const auto from = owner(swarm.peers.back().endpoint.address);
  crowds_->add(&entry, from, -1);
  swarm.strangers -= crowds_->owner_of_torrents(from) != swarm.first_owner;
  swarm.peers.pop_back();
  --peers_;
  if (swarm.peers.size() < indexed_from / 2) swarm.index.reset();
}

/// After a change in the number of peers: forgets an empty swarm, and notes whether it is a single one.
void Directory::settle(Entry& entry) {
  auto& swarm = entry.second;
  if (swarm.peers.empty() && !swarm.kept) return drop(entry);
  if (swarm.peers.capacity() > 64 && swarm.peers.size() < swarm.peers.capacity() / 4) swarm.peers.shrink_to_fit();
  const bool one_owner = swarm.peers.size() == 1 || (swarm.strangers == 0 && !swarm.peers.empty());
  const bool single = one_owner && !swarm.kept;
  if (single == (swarm.single_at != no_place)) return;
  if (single) {
    swarm.single_at = static_cast<std::uint32_t>(singles_.size());
    singles_.push_back(&entry);
  } else {
    singles_.back()->second.single_at = swarm.single_at;
    singles_[swarm.single_at] = singles_.back();
    singles_.pop_back();
    swarm.single_at = no_place;
  }
}

/// Forgets a swarm with all its peers.
void Directory::drop(Entry& entry) {
  auto& swarm = entry.second;
  peers_ -= swarm.peers.size();
  for (const auto& peer : swarm.peers) crowds_->add(&entry, owner(peer.endpoint.address), -1);
  if (swarm.began_here) --crowds_->torrents(swarm.first_owner);
  swarm.peers.clear();
  swarm.kept = true;  // an empty kept swarm is no single one: this takes it out of singles_
  settle(entry);
  if (last_ == &entry) last_ = nullptr;
  swarms_.erase(InfoHash(entry.first));
}

}  // namespace swarm::core
