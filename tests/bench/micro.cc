// micro [NAME ...]: what single parts cost, in nanoseconds an operation; one line of JSON each.
//
// Each figure is the median of `rounds` rounds of at least `round_ns` of this thread's CPU time. They tell where to look, and which part a regression is in;
// what a person waits for is measured by bench.py.
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hh"
#include "base/sha1.hh"
#include "base/sha256.hh"
#include "base/text.hh"
#include "core/client.hh"
#include "core/peer/session.hh"
#include "core/torrent/picker.hh"
#include "core/tracker/directory.hh"
#include "core/tracker/server.hh"
#include "wire/handshake.hh"
#include "wire/http.hh"
#include "wire/peer_message.hh"
#include "wire/udp_tracker.hh"

using namespace swarm;

namespace {

constexpr int rounds = 5;
constexpr double round_ns = 60e6;

volatile std::uint64_t kept;  ///< what a part gives goes here, so that nobody leaves it out

double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Prints the time that one of `operations` takes when `run` does them all.
template <class Run>
void measure(std::string_view name, std::string_view unit, std::uint64_t operations, Run run) {
  std::vector<double> ns;
  for (int round = 0; round < rounds; ++round) {
    std::uint64_t done = 0;
    const double began = cpu_ns();
    double took = 0;
    do {
      run();
      done += operations;
      took = cpu_ns() - began;
    } while (took < round_ns);
    ns.push_back(took / static_cast<double>(done));
  }
  std::nth_element(ns.begin(), ns.begin() + rounds / 2, ns.end());
  std::printf("{\"name\":\"%.*s\",\"unit\":\"%.*s\",\"ns\":%.1f}\n", static_cast<int>(name.size()), name.data(),
              static_cast<int>(unit.size()), unit.data(), ns[rounds / 2]);
  std::fflush(stdout);
}

/// The beginning of every stream.
Buffer greeting() {
  wire::Handshake h;
  h.fast = h.extended = true;
  return to_buffer(wire::encode(h));
}

/// Reads a whole stream; gives how much it said.
std::uint64_t read_all(core::Session& session, ByteView bytes) {
  std::uint64_t events = 0;
  std::uint32_t offset = 0;
  const core::Received in{.bytes = bytes, .handle = 1};
  while (session.next(in, offset).index() != 0) ++events;
  return events;
}

void wire_blocks() {
  Buffer stream;
  constexpr std::uint32_t blocks = 16;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    wire::append_piece_header(stream, {PieceIndex{0}, i * wire::block_bytes, wire::block_bytes});
    stream.resize(stream.size() + wire::block_bytes);
  }
  core::Session session;
  session.set_pieces(1000);
  read_all(session, greeting());
  measure("wire: blocks", "block of 16 KiB", blocks, [&] { kept = read_all(session, stream); });
}

void wire_messages() {
  Buffer stream;
  constexpr std::uint32_t messages = 4096;
  for (std::uint32_t i = 0; i < messages; ++i) {
    if (i % 2 == 0) wire::append_message(stream, wire::Have{PieceIndex{i}});
    if (i % 2 == 1) wire::append_message(stream, wire::Request{{PieceIndex{i}, 0, wire::block_bytes}});
  }
  core::Session session;
  session.set_pieces(messages);
  read_all(session, greeting());
  measure("wire: have and request", "message", messages, [&] { kept = read_all(session, stream); });
}

/// Availability as 64 peers with a random half of 65,536 pieces make it.
void picker() {
  constexpr std::uint32_t pieces = 65'536;
  Random random(1);
  core::Picker picker(pieces, random);
  Bitfield some(pieces);
  for (int peer = 0; peer < 64; ++peer) {
    for (std::uint32_t i = 0; i < pieces; ++i) some.set(i, random.below(2) == 0);
    picker.on_bitfield(some);
  }
  for (std::uint32_t i = 0; i < pieces; ++i) picker.want(PieceIndex{i});
  constexpr std::uint32_t begun = 1000;
  std::vector<PieceIndex> picked;
  measure("picker: pick and put back", "piece of 65,536", begun, [&] {
    picked.clear();
    for (std::uint32_t i = 0; i < begun; ++i) {
      if (const auto piece = picker.pick(some)) picked.push_back(*piece);
    }
    for (const auto piece : picked) picker.put_back(piece);
    kept = picked.size();
  });
}

/// 64 peers announce every piece of a torrent to a client that has none of them and may not ask.
void have_flood() {
  constexpr std::uint32_t pieces = 16'384, peers = 64;
  core::ClientOptions options;
  options.peer_id.bytes.fill('c');
  options.node_id = "0123456789abcdef";
  core::AddTorrent add;
  add.info.info_hash.bytes.fill(1);
  add.info.name = "big.bin";
  add.info.pieces = pieces;
  add.info.piece_bytes = 1 << 20;
  add.info.bytes_total = std::uint64_t{pieces} << 20;
  const Instant now = Instant{} + 1h;
  measure("client: a flood of have", "message", std::uint64_t{pieces} * peers, [&] {
    core::Client client(options, 1);
    client.add(add, now);
    std::vector<ConnId> conns;
    wire::Handshake hello;
    hello.info_hash = add.info.info_hash;
    for (std::uint32_t i = 0; i < peers; ++i) {
      conns.push_back(client.on_accepted({IpAddress::v4(0x0a010001 + i), 5000}, now));
      hello.peer_id.bytes.fill(static_cast<std::uint8_t>(i + 1));
      client.on_received(conns.back(), {.bytes = wire::encode(hello), .handle = 1}, now);
    }
    client.actions().clear();
    Buffer bytes;
    for (std::uint32_t at = 0; at < pieces; at += 1024) {
      bytes.clear();
      for (std::uint32_t i = 0; i < 1024; ++i) wire::append_message(bytes, wire::Have{PieceIndex{at + i}});
      for (const ConnId conn : conns) client.on_received(conn, {.bytes = bytes, .handle = 1}, now);
      client.actions().clear();
    }
    kept = static_cast<std::uint64_t>(client.stats(TorrentId{0}, now).copies);
  });
}

struct Announcer {
  static constexpr std::size_t torrents = 10'000;
  static constexpr std::uint32_t peers = 500'000;
  Random random{1};
  std::vector<InfoHash> hashes = std::vector<InfoHash>(torrents);

  Announcer() {
    for (auto& hash : hashes) random.fill(hash.bytes);
  }
  /// One of `peers` peers, always in the same torrent.
  std::pair<const InfoHash&, Endpoint> next() {
    const auto peer = static_cast<std::uint32_t>(random.below(peers));
    return {hashes[peer % torrents], {IpAddress::v4(0x0a000000 + peer), 6881}};
  }
};

void directory() {
  Announcer announcer;
  core::Directory directory({}, announcer.random);
  const auto now = Instant{} + 1h;
  const auto announce = [&] {
    const auto [hash, peer] = announcer.next();
    directory.announce(hash, {peer, PeerId(), false, false}, false, 240s, now);
    const auto found = directory.peers_for(
        hash, {peer, PeerId(), false, false}, 50, [](const auto& p) { return p.endpoint; }, now);
    kept = found.size();
  };
  for (std::uint32_t i = 0; i < 2 * Announcer::peers; ++i) announce();
  measure("directory: announce, 50 peers back", "announce", 1000, [&] {
    for (int i = 0; i < 1000; ++i) announce();
  });
}

core::TrackerOptions tracker_options() {
  core::TrackerOptions options;
  options.version = "0.1.0";
  options.name = "bench";
  return options;
}

const Endpoint tracker_at = *Endpoint::from("192.168.1.1:6969");

void tracker_udp() {
  Announcer announcer;
  core::TrackerServer server(tracker_options(), {});
  const auto now = Instant{} + 1h;
  const Endpoint from{IpAddress::v4(0x0a000001), 5000};
  const auto connected = server.on_datagram(encode(wire::UdpConnect{1}), from, tracker_at, now);
  if (!connected) return;
  const auto id = load_u64(connected->data() + 8);
  wire::UdpAnnounce announce{id, 1, {}, {}};
  announce.request.num_want = 50;
  announce.request.left = 1;
  std::vector<Buffer> datagrams;
  for (int i = 0; i < 100'000; ++i) {
    announce.request.info_hash = announcer.next().first;
    announcer.random.fill(announce.request.peer_id.bytes);
    announce.request.port = static_cast<std::uint16_t>(1024 + announcer.random.below(64'000));
    datagrams.push_back(encode(announce));
  }
  std::size_t at = 0;
  const auto one = [&] {
    const auto reply = server.on_datagram(datagrams[at++ % datagrams.size()], from, tracker_at, now);
    kept = reply ? reply->size() : 0;
  };
  for (std::size_t i = 0; i < datagrams.size(); ++i) one();
  measure("tracker: announce over UDP", "announce", 1000, [&] {
    for (int i = 0; i < 1000; ++i) one();
  });
}

void tracker_http() {
  Announcer announcer;
  core::TrackerServer server(tracker_options(), {});
  const auto now = Instant{} + 1h;
  const Endpoint from{IpAddress::v4(0x0a000001), 5000};
  std::vector<Buffer> requests;
  for (int i = 0; i < 20'000; ++i) {
    wire::AnnounceRequest announce;
    announce.info_hash = announcer.next().first;
    announcer.random.fill(announce.peer_id.bytes);
    announce.port = static_cast<std::uint16_t>(1024 + announcer.random.below(64'000));
    announce.left = 1;
    announce.num_want = 50;
    requests.push_back(
        to_buffer("GET /announce?" + encode_query(announce) + " HTTP/1.1\r\nHost: 192.168.1.1:6969\r\n\r\n"));
  }
  std::size_t at = 0;
  const auto answer = [&](wire::HttpRequestReader& reader) {
    reader.on_received(requests[at++ % requests.size()]);
    const auto request = reader.next();
    if (!request) return;
    auto reply = server.on_request(*request, from, tracker_at, now);
    Buffer out;
    wire::append_http(out, reply.response);
    kept = out.size();
  };
  wire::HttpRequestReader reader;
  for (std::size_t i = 0; i < requests.size(); ++i) answer(reader);
  measure("tracker: announce over HTTP, kept alive", "announce", 1000, [&] {
    for (int i = 0; i < 1000; ++i) answer(reader);
  });
  measure("tracker: announce over HTTP, a connection each", "announce", 1000, [&] {
    for (int i = 0; i < 1000; ++i) {
      wire::HttpRequestReader one;
      answer(one);
    }
  });
}

void hashes() {
  Buffer bytes(1 << 20, 0x55);
  measure("sha1", "MiB", 1, [&] { kept = sha1(bytes).bytes[0]; });
  measure("sha256", "MiB", 1, [&] { kept = sha256(bytes).bytes[0]; });
}

struct Part {
  std::string_view name;
  void (*run)();
};
constexpr std::array parts{Part{"wire", [] { wire_blocks(), wire_messages(); }},
                           Part{"picker", picker},
                           Part{"have", have_flood},
                           Part{"directory", directory},
                           Part{"udp", tracker_udp},
                           Part{"http", tracker_http},
                           Part{"hash", hashes}};

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string_view> chosen(words + 1, words + count);
  for (const auto name : chosen) {
    if (std::ranges::find(parts, name, &Part::name) == parts.end()) {
      return std::fprintf(stderr, "micro: no part '%s'\n", std::string(name).c_str()), 2;
    }
  }
  for (const auto& part : parts) {
    if (chosen.empty() || std::ranges::find(chosen, part.name) != chosen.end()) part.run();
  }
}
