#include "wire/pex.hh"

#include <algorithm>
#include <string_view>

#include "wire/bencode.hh"

namespace swarm::wire {

namespace {

constexpr std::size_t values_max = 256;  // seven are needed, others have keys of their own

struct Compact {
  Buffer peers, flags;
};

void write_added(BencodeWriter& w, std::string_view peers_key, std::string_view flags_key, const Compact& c) {
  w.key(peers_key).string(c.peers).key(flags_key).string(c.flags);
}

/// f(endpoint, index) for each whole one with a port and an address.
template <class F>
void for_each_peer(const BencodeValue& value, std::size_t stride, F f) {
  auto bytes = as_bytes(value.string().value_or(""));
  for (std::size_t i = 0; bytes.size() >= stride; ++i, bytes = bytes.subspan(stride)) {
    const auto peer = *Endpoint::from_compact(bytes.first(stride));
    if (peer.port != 0 && !peer.address.is_unspecified() && !f(peer, i)) return;
  }
}

void read_added(std::vector<PexPeer>& to, const BencodeValue& peers, const BencodeValue& flags, std::size_t stride) {
  const auto bits = as_bytes(flags.string().value_or(""));
  for_each_peer(peers, stride, [&](const Endpoint& peer, std::size_t i) {
    const std::uint8_t peer_flags = i < bits.size() ? bits[i] : 0;
    if (std::ranges::find(to, peer, &PexPeer::endpoint) == to.end()) to.push_back({peer, peer_flags});
    return to.size() < pex_read_max;
  });
}

void read_dropped(std::vector<Endpoint>& to, const BencodeValue& peers, std::size_t stride) {
  for_each_peer(peers, stride, [&](const Endpoint& peer, std::size_t) {
    if (std::ranges::find(to, peer) == to.end()) to.push_back(peer);
    return to.size() < pex_read_max;
  });
}

}  // namespace

Buffer encode(const PexMessage& m) {
  Compact v4, v6;
  for (std::size_t i = 0; i < std::min(m.added.size(), pex_written_max); ++i) {
    const auto& [endpoint, flags] = m.added[i];
    auto& c = endpoint.address.is_v4() ? v4 : v6;
    endpoint.append_compact(c.peers);
    c.flags.push_back(flags);
  }
  Buffer dropped4, dropped6;
  for (std::size_t i = 0; i < std::min(m.dropped.size(), pex_written_max); ++i) {
    m.dropped[i].append_compact(m.dropped[i].address.is_v4() ? dropped4 : dropped6);
  }
  BencodeWriter w;
  w.begin_dict();
  // All keys, also when they are empty: readers are met that take the first two for granted.
  write_added(w, "added", "added.f", v4);
  write_added(w, "added6", "added6.f", v6);
  w.key("dropped").string(dropped4).key("dropped6").string(dropped6);
  return w.end().take();
}

std::optional<PexMessage> decode_pex(ByteView payload) {
  const auto document = BencodeDocument::parse(payload, {.tokens_max = values_max, .trailing_bytes = true});
  if (!document || document->root().type() != BencodeValue::Type::dict) return std::nullopt;
  const auto root = document->root();
  PexMessage m;
  read_added(m.added, root.find("added"), root.find("added.f"), 6);
  if (m.added.size() < pex_read_max) read_added(m.added, root.find("added6"), root.find("added6.f"), 18);
  read_dropped(m.dropped, root.find("dropped"), 6);
  if (m.dropped.size() < pex_read_max) read_dropped(m.dropped, root.find("dropped6"), 18);
  return m;
}

}  // namespace swarm::wire
