// A peer played by a test: it speaks real bytes to a Client and hears what the Client would send it.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/client.hh"
#include "core/peer/session.hh"
#include "support/small_client.hh"
#include "wire/extended.hh"
#include "wire/handshake.hh"
#include "wire/peer_message.hh"

namespace swarm::core {

class PeerScript {
 public:
  PeerScript(Client& client, ConnId conn, bool fast = true) : client_(client), conn_(conn), fast_(fast) {}

  ConnId conn() const { return conn_; }

  void greet(const InfoHash& hash, std::string_view id, Instant now) {
    wire::Handshake h;
    h.info_hash = hash;
    h.peer_id = peer_id(id);
    h.fast = fast_;
    h.extended = true;
    say_raw(wire::encode(h), now);
  }
  void say(const wire::PeerMessage& m, Instant now) {
    Buffer out;
    wire::append_message(out, m);
    say_raw(out, now);
  }
  void say_block(const wire::BlockRef& b, Instant now) {
    Buffer out;
    wire::append_piece_header(out, b);
    out.resize(out.size() + b.length, 0x55);
    say_raw(out, now);
  }
  void say_raw(ByteView bytes, Instant now) {
    Received r;
    r.bytes = bytes;
    r.handle = 1;
    client_.on_received(conn_, r, now);
  }

  /// Everything the client wants to send now, decoded. Payload segments are kept in `payload`.
  std::vector<wire::PeerMessage> hear(Instant now) {
    std::vector<wire::PeerMessage> messages;
    for (;;) {
      Outgoing out;
      client_.next_outgoing(conn_, 1 << 20, now, out);
      if (out.total == 0) break;
      for (const auto& s : out.segments) {
        if (s.payload) {
          payload.push_back({s.piece, s.begin, s.length});
          virtual_run(s.length, messages);
        } else {
          kept_.push_back(Buffer(out.bytes.begin() + s.offset, out.bytes.begin() + s.offset + s.length));
          feed({kept_.back(), 0, 0}, messages);
        }
      }
    }
    return messages;
  }
  template <class M>
  std::vector<M> hear_all(Instant now) {
    std::vector<M> some;
    for (const auto& m : hear(now))
      if (const M* x = std::get_if<M>(&m)) some.push_back(*x);
    return some;
  }

  std::vector<wire::BlockRef> payload;
  bool opened = false, named = false;
  wire::PeerFault fault = wire::PeerFault::none;

 private:
  void virtual_run(std::uint32_t bytes, std::vector<wire::PeerMessage>& messages) { feed({{}, 0, bytes}, messages); }
  void feed(const Received& in, std::vector<wire::PeerMessage>& messages) {
    session_.set_pieces(100'000);
    std::uint32_t offset = 0;
    for (;;) {
      auto event = session_.next(in, offset);
      if (event.index() == 0) return;
      if (std::holds_alternative<Session::Opened>(event)) opened = true;
      if (std::holds_alternative<Session::Named>(event)) named = true;
      if (auto* m = std::get_if<wire::PeerMessage>(&event)) messages.push_back(*m);
      if (auto* f = std::get_if<wire::PeerFault>(&event)) {
        fault = *f;
        return;
      }
    }
  }

  Client& client_;
  ConnId conn_;
  bool fast_;
  Session session_;
  std::deque<Buffer> kept_;  ///< what messages refer to
};

}  // namespace swarm::core
