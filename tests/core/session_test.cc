#include "core/peer/session.hh"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/random.hh"
#include "wire/peer_message.hh"

using namespace swarm;
using namespace swarm::core;
using wire::PeerFault;

namespace {

Buffer handshake() {
  wire::Handshake h;
  h.info_hash.bytes.fill(7);
  h.peer_id.bytes.fill(9);
  h.fast = h.extended = true;
  const auto bytes = wire::encode(h);
  return Buffer(bytes.begin(), bytes.end());
}

/// What a stream says, one word an event, payload summed up per block.
std::string tell(const std::vector<Buffer>& parts, std::uint32_t pieces = 100) {
  Session session;
  session.set_pieces(pieces);
  std::string told;
  for (const Buffer& part : parts) {
    const Received in{part, 0, 0};
    std::uint32_t offset = 0;
    for (;;) {
      auto e = session.next(in, offset);
      if (e.index() == 0) break;
      if (std::holds_alternative<Session::Opened>(e)) told += "opened ";
      if (std::holds_alternative<Session::Named>(e)) told += "named ";
      if (std::holds_alternative<Session::KeepAlive>(e)) told += "alive ";
      if (auto* m = std::get_if<wire::PeerMessage>(&e)) {
        told += "m" + std::to_string(m->index());
        if (auto* b = std::get_if<wire::BitfieldBits>(m)) told += ":" + std::to_string(b->bytes.size());
        if (auto* h = std::get_if<wire::Have>(m)) told += ":" + std::to_string(number(h->piece));
        told += " ";
      }
      if (auto* p = std::get_if<Session::Payload>(&e)) {
        if (p->at + p->length == p->block.length)
          told += "block:" + std::to_string(number(p->block.piece)) + "+" + std::to_string(p->block.begin) + "+" +
                  std::to_string(p->block.length) + " ";
      }
      if (auto* f = std::get_if<PeerFault>(&e)) return told + "fault:" + std::string(text(*f));
    }
  }
  return told;
}

Buffer stream() {
  Buffer out = handshake();
  const Buffer bits(13, 0);
  wire::append_message(out, wire::BitfieldBits{bits});
  wire::append_keep_alive(out);
  wire::append_message(out, wire::Unchoke{});
  wire::append_message(out, wire::Have{PieceIndex{42}});
  wire::append_piece_header(out, {PieceIndex{3}, 16384, 1000});
  out.resize(out.size() + 1000, 0xee);
  wire::append_message(out, wire::Have{PieceIndex{43}});
  return out;
}

}  // namespace

TEST_CASE("a stream says the same however it is cut") {
  const Buffer all = stream();
  const std::string whole = tell({all});
  CHECK(whole == "opened named m5:13 alive m1 m4:42 block:3+16384+1000 m4:43 ");
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Buffer> parts;
    for (std::size_t i = 0; i < all.size();) {
      const std::size_t n = std::min<std::size_t>(all.size() - i, 1 + random.below(round < 100 ? 3 : 300));
      parts.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(i),
                         all.begin() + static_cast<std::ptrdiff_t>(i + n));
      i += n;
    }
    CHECK(tell(parts) == whole);
  }
}

TEST_CASE("a stream that cannot become a handshake ends at its first wrong byte") {
  CHECK(tell({Buffer{0x13, 'B', 'i', 'x'}}).starts_with("fault"));
  CHECK(tell({Buffer{'G'}}).starts_with("fault"));
  CHECK(tell({Buffer{0x13, 'B', 'i', 't'}}) == "");
}

TEST_CASE("lengths are judged by type before anything is gathered") {
  const auto frame = [](std::uint32_t length, std::uint8_t id) {
    Buffer b = handshake();
    b.resize(b.size() + 5);
    store_u32(b.data() + b.size() - 5, length);
    b.back() = id;
    return tell({b});
  };
  CHECK(frame(0xffffffff, 4).find("fault") != std::string::npos);
  CHECK(frame(0x10000000, 20).find("fault") != std::string::npos);
  CHECK(frame(0x10000000, 7).find("fault") != std::string::npos);
  CHECK(frame(9, 7).find("fault") != std::string::npos);   // a block of nothing
  CHECK(frame(15, 5).find("fault") != std::string::npos);  // a bitfield for 100 pieces has 13 bytes
  CHECK(frame(1, 99).find("fault") != std::string::npos);
}

TEST_CASE("a virtual run is payload, and only where payload is due") {
  Session session;
  session.set_pieces(100);
  Buffer head = handshake();
  wire::append_piece_header(head, {PieceIndex{3}, 0, 1000});
  std::uint32_t offset = 0;
  while (session.next({head, 0, 0}, offset).index() != 0) {
  }
  offset = 0;
  auto e = session.next({{}, 5, 600}, offset);
  REQUIRE(std::holds_alternative<Session::Payload>(e));
  CHECK(std::get<Session::Payload>(e).length == 600);
  offset = 0;
  e = session.next({{}, 6, 500}, offset);
  REQUIRE(std::holds_alternative<Session::Payload>(e));
  CHECK(std::get<Session::Payload>(e).at == 600);
  CHECK(std::get<Session::Payload>(e).length == 400);
  e = session.next({{}, 6, 500}, offset);
  CHECK(std::holds_alternative<PeerFault>(e));
}
