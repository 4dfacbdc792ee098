#include <doctest/doctest.h>

#include <string>

#include "base/random.hh"
#include "base/sha1.hh"
#include "base/sha256.hh"

using namespace swarm;

namespace {

const std::string two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

template <class Hash>
auto of_million_a() {
  Hash hash;
  const std::string thousand(1000, 'a');
  for (int i = 0; i < 1000; ++i) hash.update(as_bytes(thousand));
  return hash.finish();
}

/// Cut anywhere, copied in the middle, used again: always the digest of the whole.
template <class Hash, class Whole>
void check_pieces(Whole whole) {
  Random random(1);
  Buffer bytes(1000);
  random.fill(bytes);
  const ByteView view = bytes;
  for (std::size_t cut = 0; cut <= 200; ++cut) {
    Hash hash;
    hash.update(view.first(cut));
    Hash copy = hash;
    hash.update(view.subspan(cut));
    REQUIRE(hash.finish() == whole(view));
    hash.update(view.first(3));
    REQUIRE(hash.finish() == whole(view.first(3)));
    REQUIRE(copy.finish() == whole(view.first(cut)));
  }
}

}  // namespace

TEST_CASE("SHA-1: the vectors of FIPS 180") {
  CHECK(to_hex(sha1({})) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  CHECK(to_hex(sha1(as_bytes("abc"))) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(to_hex(sha1(as_bytes(two_blocks))) == "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  CHECK(to_hex(of_million_a<Sha1>()) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST_CASE("SHA-256: the vectors of FIPS 180") {
  CHECK(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(sha256(as_bytes("abc"))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_hex(sha256(as_bytes(two_blocks))) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(to_hex(of_million_a<Sha256>()) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a hash may be fed in parts, copied and used again") {
  check_pieces<Sha1>(sha1);
  check_pieces<Sha256>(sha256);
}

TEST_CASE("SHA-1 of two at once is SHA-1 of each, however they are cut and wherever they lie") {
  Random random(2);
  Buffer bytes(5000);
  random.fill(bytes);
  const ByteView view = bytes;
  for (int round = 0; round < 2000; ++round) {
    Sha1 first, second, first_alone, second_alone;
    for (int part = 0; part < 4; ++part) {
      // Whole blocks half of the time, for that is where the two go side by side.
      const std::uint32_t unit = random.below(2) == 0 ? 64 : 1;
      const auto some = [&] {
        const std::size_t offset = random.below(200);
        return view.subspan(offset, random.below(unit == 64 ? 20 : 600) * unit);
      };
      const ByteView a = some(), b = some();
      update_both(first, a, second, b);
      first_alone.update(a);
      second_alone.update(b);
    }
    REQUIRE(first.finish() == first_alone.finish());
    REQUIRE(second.finish() == second_alone.finish());
  }
}
