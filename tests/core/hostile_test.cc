// Peers that say anything at all: whatever comes, the client stays up, closes or ignores, and keeps what it holds bounded.
#include <doctest/doctest.h>

#include <set>

#include "base/random.hh"
#include "peer_script.hh"

using namespace swarm;
using namespace swarm::core;
using wire::BlockRef;

namespace {

Instant at(double s) { return Instant{} + from_seconds(s); }

BlockRef any_block(Random& random) {
  const std::uint32_t edges[] = {0, 1, 16383, 16384, 32767, 32768, 65535, 0x7fffffff, 0xffffffff};
  const auto pick = [&] { return edges[random.below(std::size(edges))]; };
  return {PieceIndex{random.below(3) ? static_cast<std::uint32_t>(random.below(9)) : pick()}, pick(), pick()};
}

Buffer any_message(Random& random, Buffer& bits) {
  Buffer out;
  bits.assign(random.below(4), static_cast<std::uint8_t>(random.next()));
  const auto piece = [&] { return PieceIndex{static_cast<std::uint32_t>(random.below(10))}; };
  switch (random.below(20)) {
    case 0:
      wire::append_message(out, wire::Choke{});
      break;
    case 1:
      wire::append_message(out, wire::Unchoke{});
      break;
    case 2:
      wire::append_message(out, wire::Interested{});
      break;
    case 3:
      wire::append_message(out, wire::NotInterested{});
      break;
    case 4:
      wire::append_message(out, wire::Have{piece()});
      break;
    case 5:
      wire::append_message(out, wire::BitfieldBits{bits});
      break;
    case 6:
      wire::append_message(out, wire::HaveAll{});
      break;
    case 7:
      wire::append_message(out, wire::HaveNone{});
      break;
    case 8:
      wire::append_message(out, wire::Request{any_block(random)});
      break;
    case 9:
      wire::append_message(out, wire::Cancel{any_block(random)});
      break;
    case 10:
      wire::append_message(out, wire::Reject{any_block(random)});
      break;
    case 11:
      wire::append_message(out, wire::Suggest{piece()});
      break;
    case 12:
      wire::append_message(out, wire::AllowedFast{piece()});
      break;
    case 13:
      wire::append_message(out, wire::Extended{static_cast<std::uint8_t>(random.below(3)), bits});
      break;
    case 14:
      wire::append_keep_alive(out);
      break;
    case 15:
      wire::append_message(out, wire::Request{{piece(), 0, 16384}});
      break;
    case 16: {
      BlockRef b{piece(), static_cast<std::uint32_t>(random.below(3)) * 16384,
                 static_cast<std::uint32_t>(random.below(20'000))};
      wire::append_piece_header(out, b);
      out.resize(out.size() + b.length);
      break;
    }
    case 17: {  // rubbish, but not for long
      out.resize(1 + random.below(30));
      random.fill(out);
      break;
    }
    default: {
      BlockRef b{piece(), static_cast<std::uint32_t>(random.below(2)) * 16384, 16384};
      wire::append_piece_header(out, b);
      out.resize(out.size() + b.length);
      break;
    }
  }
  return out;
}

}  // namespace

TEST_CASE("100,000 messages of hostile peers do no harm, and the pieces still come from the honest driver only") {
  Random random(7);
  std::uint64_t closed = 0, messages = 0;
  for (std::uint64_t round = 0; messages < 100'000; ++round) {
    Client client(client_options(), round);
    AddTorrent add;
    add.info = small_torrent(8);
    add.resume.verified = Bitfield(8);
    add.resume.verified.set(std::size_t{0});
    add.resume.unchecked = {PieceIndex{1}};
    const TorrentId t = client.add(std::move(add), at(0));
    Instant now = at(1);
    std::vector<PeerScript> peers;
    for (int i = 0; i < 4; ++i) {
      const auto from = *Endpoint::from("10.0.0." + std::to_string(i + 1) + ":5000");
      peers.emplace_back(client, client.on_accepted(from, now), random.below(2) == 0);
      peers.back().greet(small_torrent(8).info_hash, "-XX0000-" + std::to_string(i) + "-hostile-yy", now);
    }
    Buffer bits;
    std::set<std::uint32_t> verified_before;
    for (int step = 0; step < 400; ++step, ++messages) {
      PeerScript& p = peers[random.below(peers.size())];
      p.say_raw(any_message(random, bits), now);
      if (random.below(4) == 0) {
        for (const auto& r : p.hear_all<wire::Request>(now))
          CHECK(number(r.block.piece) >= 2);  // never one that we have
        for (const BlockRef& b : p.payload) CHECK(client.verified(t)[b.piece]);
        p.payload.clear();
      }
      closed += client.actions().closes.size();
      client.actions().clear();
      now += 20ms;
      if (auto wake = client.next_wake(); wake && *wake <= now) client.on_time(now);
      if (random.below(10) == 0) {
        const PieceIndex piece{static_cast<std::uint32_t>(2 + random.below(6))};
        random.below(2) ? client.on_hash_failed(t, piece, now) : void();
      }
    }
    CHECK(client.verified(t).count() == 1);  // no message makes a piece verified
    client.stop(now);
    CHECK(client.actions().saves.size() == 1);
  }
  CHECK(closed > 100);
}

TEST_CASE("a storm of requests is bounded, and refused rather than queued without end") {
  Client client(client_options(), 1);
  AddTorrent add;
  add.info = small_torrent(8);
  add.resume.verified = Bitfield(8, true);
  add.seed = true;
  client.add(std::move(add), at(0));
  Instant now = at(1);
  PeerScript p(client, client.on_accepted(*Endpoint::from("10.0.0.1:5000"), now));
  p.greet(small_torrent(8).info_hash, "-SW0100-a-stormy-one", now);
  p.say(wire::HaveNone{}, now);
  p.say(wire::Interested{}, now);
  Buffer storm;
  for (int i = 0; i < 1000; ++i) wire::append_message(storm, wire::Request{{PieceIndex{0}, 0, 16384}});
  for (int i = 0; i < 1000; ++i) {
    p.say_raw(storm, now);
    now += 1ms;
    if (auto wake = client.next_wake(); wake && *wake <= now) client.on_time(now);
  }
  const auto& closes = client.actions().closes;
  CHECK(std::any_of(closes.begin(), closes.end(), [&](const Close& c) { return c.conn == p.conn(); }));
}
