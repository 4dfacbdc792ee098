// Any bytes as bencode: the reader and its twin on a blackboard accept the same and find the same, and a value's slice
// is a document of its own.
#include "wire/bencode.hh"

#include "base/check.hh"
#include "fuzz/target.hh"
#include "model/naive_bencode.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

void check(ByteView input, bool zeros, bool trailing) {
  const auto parsed = BencodeDocument::parse(input, {.trailing_bytes = trailing, .leading_zeros = zeros});
  auto rest = as_text(input);
  const auto twin = test::NaiveBencode::cut(rest, zeros);
  const bool good = twin && (trailing || rest.empty());
  SWARM_CHECK(parsed.has_value() == good);
  if (!parsed) {
    SWARM_CHECK(parsed.error().offset <= input.size() && !parsed.error().expected.empty());
    return;
  }
  SWARM_CHECK(twin->same(parsed->root()));
  SWARM_CHECK(parsed->end() == input.size() - rest.size());
  SWARM_CHECK(parsed->root().raw().size() == parsed->end());
  if (const auto child = parsed->root().first()) {
    SWARM_CHECK(child.raw().data() == input.data() + child.offset());
    SWARM_CHECK(BencodeDocument::parse(child.raw(), {.leading_zeros = zeros}).has_value());
  }
  ++test::accepted;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const bool zeros : {false, true}) {
    for (const bool trailing : {false, true}) check({data, size}, zeros, trailing);
  }
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  return {"d1:bl1:xi2elee1:ad1:k1:ve0:i3ee",
          "i-9223372036854775808e",
          "12:twelve bytes",
          "d4:infod5:filesld6:lengthi12e4:pathl1:aeeeee",
          "llllllllllllllllleeeeeeeeeeeeeeeee",
          "d8:intervali1800e5:peers12:abcdefghijkle",
          std::string(100, 'l') + std::string(100, 'e')};
}
