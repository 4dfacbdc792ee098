// A Client that knows only an info-hash, and peers that a test plays: how it learns what the torrent is, and goes on.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "base/sha1.hh"
#include "core/client.hh"
#include "peer_script.hh"
#include "wire/extended.hh"
#include "wire/ut_metadata.hh"

using namespace swarm;
using namespace swarm::core;

namespace {

Instant at(double s) { return Instant{} + from_seconds(s); }
constexpr std::uint8_t their_id = 7;

struct Scene {
  Scene() : client(client_options(), 3) {
    dictionary.resize(40'000);
    std::iota(dictionary.begin(), dictionary.end(), std::uint8_t{1});
    AddTorrent add;
    add.magnet = true;
    add.info.info_hash = small_torrent(4).info_hash;
    add.info.name = "a magnet";
    torrent = client.add(std::move(add), now);
  }
  PeerScript join(std::string_view id, std::string_view address, std::optional<std::int64_t> metadata_bytes,
                  bool has_all = true) {
    PeerScript p(client, client.on_accepted(*Endpoint::from(address), now), true);
    p.greet(small_torrent(4).info_hash, id, now);
    has_all ? p.say(wire::HaveAll{}, now) : p.say(wire::HaveNone{}, now);
    wire::ExtendedHandshake hello;
    hello.messages = {{std::string(wire::ut_metadata.name), their_id}};
    hello.metadata_bytes = metadata_bytes;
    const Buffer bytes = wire::encode(hello);
    p.say(wire::Extended{0, bytes}, now);
    return p;
  }
  /// The pieces of the dictionary that it asks this peer for.
  std::vector<std::uint32_t> asked(PeerScript& p) {
    std::vector<std::uint32_t> pieces;
    for (const auto& m : p.hear_all<wire::Extended>(now)) {
      if (m.id != their_id) continue;
      const auto said = wire::decode_metadata(m.payload);
      REQUIRE(said);
      if (const auto* r = std::get_if<wire::MetadataRequest>(&*said)) pieces.push_back(r->piece);
    }
    return pieces;
  }
  void give(PeerScript& p, std::uint32_t piece, const Buffer& from) {
    const auto total = static_cast<std::uint32_t>(from.size());
    const ByteView bytes = ByteView(from).subspan(std::size_t{piece} * wire::metadata_piece_bytes,
                                                  wire::metadata_piece_size(total, piece));
    const Buffer payload = wire::encode(wire::MetadataData{piece, total, bytes});
    p.say(wire::Extended{wire::ut_metadata.id, payload}, now);
  }
  void give_all(PeerScript& p, const Buffer& from) {
    for (auto pieces = asked(p); !pieces.empty(); pieces = asked(p))
      for (const std::uint32_t i : pieces) give(p, i, from);
  }
  std::shared_ptr<const Buffer> complete() {
    auto& made = client.actions().metadata;
    const auto info = made.empty() ? nullptr : made.front().info;
    made.clear();
    return info;
  }
  void set_info(Resume resume = {}, Bitfield wanted = {}, bool is_private = false) {
    SetInfo set;
    set.info = small_torrent(4);
    set.info.is_private = is_private;
    set.info.metadata = std::make_shared<const Buffer>(dictionary);
    set.resume = std::move(resume);
    set.wanted = std::move(wanted);
    client.set_info(torrent, std::move(set), now);
  }
  bool closed(const PeerScript& p) {
    const auto& c = client.actions().closes;
    return std::any_of(c.begin(), c.end(), [&](const Close& x) { return x.conn == p.conn(); });
  }

  Client client;
  TorrentId torrent{};
  Instant now = at(1);
  Buffer dictionary;
};

}  // namespace

TEST_CASE("the info dictionary comes from a peer, and the download goes on with the same connection") {
  Scene s;
  CHECK(s.client.stats(s.torrent, s.now).phase == Phase::metadata);
  auto p = s.join("-XX0000-somebody-els", "10.0.0.9:5000", 40'000);
  s.give_all(p, s.dictionary);
  const auto info = s.complete();
  REQUIRE(info);
  CHECK(*info == s.dictionary);
  CHECK(p.hear_all<wire::Interested>(s.now).empty());

  s.set_info();
  CHECK(s.client.stats(s.torrent, s.now).phase == Phase::downloading);
  CHECK(!s.closed(p));
  const auto said = p.hear(s.now);
  CHECK(
      std::any_of(said.begin(), said.end(), [](const auto& m) { return std::holds_alternative<wire::Interested>(m); }));
  p.say(wire::Unchoke{}, s.now);
  CHECK(p.hear_all<wire::Request>(s.now).size() == 8);
}

TEST_CASE("what peers have is kept until the number of pieces is known, and judged then") {
  Scene s;
  auto whole = s.join("-XX0000-somebody-els", "10.0.0.9:5000", std::nullopt);
  auto part = s.join("-XX0000-another-peer", "10.0.0.10:5000", std::nullopt);
  const Buffer bits{0x40};
  part.say(wire::BitfieldBits{bits}, s.now);
  part.say(wire::Have{PieceIndex{3}}, s.now);
  auto wrong = s.join("-XX0000-a-third-peer", "10.0.0.11:5000", std::nullopt);
  wrong.say(wire::Have{PieceIndex{4}}, s.now);
  auto longer = s.join("-XX0000-a-fourth-pee", "10.0.0.12:5000", std::nullopt);
  const Buffer two{0xff, 0xff};
  longer.say(wire::BitfieldBits{two}, s.now);
  s.client.actions().clear();
  s.set_info();
  CHECK(s.closed(wrong));
  CHECK(s.closed(longer));
  CHECK(!s.closed(whole));
  CHECK(!s.closed(part));
  part.say(wire::Unchoke{}, s.now);
  auto asked = part.hear_all<wire::Request>(s.now);
  CHECK(asked.size() == 4);  // the blocks of pieces 1 and 3
  for (const auto& r : asked) CHECK((number(r.block.piece) == 1 || number(r.block.piece) == 3));
  CHECK(s.client.stats(s.torrent, s.now).seeds == 1);
}

TEST_CASE("what stands on the disk already is told as HAVE, since the time for a bitfield is over") {
  Scene s;
  auto p = s.join("-XX0000-somebody-els", "10.0.0.9:5000", std::nullopt);
  (void)p.hear(s.now);
  Resume resume;
  resume.verified = Bitfield(4);
  resume.verified.set(2);
  s.set_info(std::move(resume));
  const auto haves = p.hear_all<wire::Have>(s.now);
  REQUIRE(haves.size() == 1);
  CHECK(haves[0].piece == PieceIndex{2});
}

TEST_CASE("a dictionary with the wrong hash from one peer bans that peer, and the next one brings the right one") {
  Scene s;
  auto liar = s.join("-XX0000-somebody-els", "10.0.0.9:5000", 40'000);
  Buffer lie = s.dictionary;
  lie[20'000] ^= 1;
  s.give_all(liar, lie);
  REQUIRE(s.complete());
  s.client.on_metadata_wrong(s.torrent, s.now);
  CHECK(s.closed(liar));
  s.client.actions().clear();
  auto honest = s.join("-XX0000-another-peer", "10.0.0.10:5000", 40'000);
  s.give_all(honest, s.dictionary);
  const auto info = s.complete();
  REQUIRE(info);
  CHECK(*info == s.dictionary);
  auto again = s.join("-XX0000-somebody-els", "10.0.0.9:5001", 40'000);  // the liar comes back
  CHECK(s.closed(again));
}

TEST_CASE("nobody is told that it is a seed while it knows nothing") {
  Scene s;
  auto p = s.join("-XX0000-somebody-els", "10.0.0.9:5000", 40'000);
  const auto said = p.hear(s.now);
  CHECK(std::none_of(said.begin(), said.end(), [](const auto& m) { return std::holds_alternative<wire::HaveAll>(m); }));
  for (const auto& m : said) {
    const auto* x = std::get_if<wire::Extended>(&m);
    if (x == nullptr || x->id != 0) continue;
    const auto hello = wire::decode_extended_handshake(x->payload);
    REQUIRE(hello);
    CHECK(!hello->metadata_bytes);
    CHECK(!hello->upload_only);
  }
}

TEST_CASE("who has the dictionary serves it, twice to each peer at most; a private torrent's is not given") {
  for (const bool is_private : {false, true}) {
    CAPTURE(is_private);
    Scene s;
    s.set_info({}, {}, is_private);
    auto p = s.join("-XX0000-somebody-els", "10.0.0.9:5000", std::nullopt);
    (void)p.hear(s.now);
    Buffer got;
    int rejects = 0;
    for (std::uint32_t i = 0; i < 9; ++i) {
      const Buffer payload = wire::encode(wire::MetadataRequest{i % 3});
      p.say(wire::Extended{wire::ut_metadata.id, payload}, s.now);
      for (const auto& m : p.hear_all<wire::Extended>(s.now)) {
        const auto said = wire::decode_metadata(m.payload);
        REQUIRE(said);
        if (const auto* data = std::get_if<wire::MetadataData>(&*said)) append(got, data->bytes);
        if (std::holds_alternative<wire::MetadataReject>(*said)) ++rejects;
      }
    }
    if (is_private) {
      CHECK(got.empty());
      CHECK(rejects == 9);
    } else {
      REQUIRE(got.size() == 80'000);
      CHECK(std::equal(s.dictionary.begin(), s.dictionary.end(), got.begin()));
      CHECK(rejects == 3);
    }
  }
}

TEST_CASE("chosen pieces: whole with them, a seed only with all") {
  Scene s;
  Bitfield wanted(4);
  wanted.set(1);
  s.set_info({}, wanted);
  auto p = s.join("-XX0000-somebody-els", "10.0.0.9:5000", std::nullopt);
  p.say(wire::Unchoke{}, s.now);
  const auto asked = p.hear_all<wire::Request>(s.now);
  REQUIRE(asked.size() == 2);
  for (const auto& r : asked) {
    CHECK(r.block.piece == PieceIndex{1});
    p.say_block(r.block, s.now);
  }
  s.client.on_stored(s.torrent, PieceIndex{1}, {}, s.now);
  auto stats = s.client.stats(s.torrent, s.now);
  CHECK(stats.phase == Phase::finishing);
  CHECK(stats.bytes_total == 32 * 1024);
  CHECK(stats.bytes_done == 32 * 1024);
  CHECK(stats.pieces == 1);
  s.client.on_finished(s.torrent, s.now);
  // It wants no more, says so, and never that it has everything.
  auto next = s.join("-XX0000-another-peer", "10.0.0.10:5000", std::nullopt, false);
  const auto said = next.hear(s.now);
  bool told = false;
  for (const auto& m : said) {
    CHECK(!std::holds_alternative<wire::HaveAll>(m));
    const auto* x = std::get_if<wire::Extended>(&m);
    if (x != nullptr && x->id == 0) told = wire::decode_extended_handshake(x->payload)->upload_only;
  }
  CHECK(told);
}

TEST_CASE("a peer that takes a piece back (BEP 54) is not asked for it any more") {
  Scene s;
  s.set_info();
  auto p = s.join("-XX0000-somebody-els", "10.0.0.9:5000", std::nullopt);
  const Buffer payload = wire::encode_dont_have(PieceIndex{2});
  p.say(wire::Extended{wire::lt_donthave.id, payload}, s.now);
  p.say(wire::Unchoke{}, s.now);
  const auto asked = p.hear_all<wire::Request>(s.now);
  CHECK(asked.size() == 6);
  for (const auto& r : asked) CHECK(r.block.piece != PieceIndex{2});
}
