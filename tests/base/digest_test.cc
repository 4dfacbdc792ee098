#include "base/digest.hh"

#include <doctest/doctest.h>

#include <unordered_set>

#include "base/random.hh"

using namespace swarm;

TEST_CASE("hex both ways") {
  CHECK(to_hex(Buffer{0x00, 0x1f, 0xab, 0xff}) == "001fabff");
  CHECK(to_hex(ByteView{}).empty());
  CHECK(from_hex("001FabFF") == Buffer{0x00, 0x1f, 0xab, 0xff});
  CHECK(from_hex("") == Buffer{});
  for (const std::string bad : {"0", "0g", "g0", " 0", "0x12", "12 ", "/0", ":0", "@0", "`0"})
    CHECK_FALSE(from_hex(bad));
}

TEST_CASE("a digest has exactly its size") {
  const std::string forty = "0123456789abcdef0123456789abcdef01234567";
  CHECK(to_hex(*digest_from_hex<20>(forty)) == forty);
  CHECK_FALSE(digest_from_hex<20>(forty.substr(2)));
  CHECK_FALSE(digest_from_hex<20>(forty + "00"));
  CHECK_FALSE(digest_from_hex<32>(forty));
  CHECK_FALSE(digest_from_hex<20>("x" + forty.substr(1)));
  CHECK_FALSE(Sha1Digest::from(Buffer(19)));
  CHECK(*Sha1Digest::from(Buffer(20)) == Sha1Digest{});
}

TEST_CASE("digests are ordered like their bytes and hash well") {
  Sha1Digest a;
  Sha1Digest b;
  b.bytes[19] = 1;
  CHECK(a < b);
  b.bytes[0] = 1;
  a.bytes[1] = 0xff;
  CHECK(a < b);

  Random random(1);
  std::unordered_set<std::size_t> hashes;
  for (int i = 0; i < 1000; ++i) {
    random.fill(a.bytes);
    hashes.insert(std::hash<Sha1Digest>{}(a));
  }
  CHECK(hashes.size() == 1000);
}
