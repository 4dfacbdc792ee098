#include "wire/bencode.hh"

#include <doctest/doctest.h>
#include <pthread.h>

#include <limits>

#include "base/random.hh"
#include "model/naive_bencode.hh"
#include "support/allocations.hh"
#include "support/cpu_time.hh"
#include "support/dies.hh"

using namespace swarm;
using namespace swarm::wire;
using namespace std::string_view_literals;
using Type = BencodeValue::Type;

namespace {

/// A document with the text that it looks into.
struct Parsed {
  std::string text;
  BencodeDocument document;

  explicit Parsed(std::string t, BencodeDocument::Limits limits = {}) : text(std::move(t)) {
    auto parsed = BencodeDocument::parse(as_bytes(text), limits);
    REQUIRE(parsed);
    document = *std::move(parsed);
  }
  BencodeValue root() const { return document.root(); }
};

BencodeFault fault_of(std::string_view text, BencodeDocument::Limits limits = {}) {
  const auto parsed = BencodeDocument::parse(as_bytes(text), limits);
  REQUIRE_FALSE(parsed);
  return parsed.error();
}

bool accepted(std::string_view text, BencodeDocument::Limits limits = {}) {
  return BencodeDocument::parse(as_bytes(text), limits).has_value();
}

std::string repeated(std::string_view part, std::size_t times) {
  std::string out;
  out.reserve(part.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += part;
  return out;
}

}  // namespace

TEST_CASE("bencode: integers") {
  struct Row {
    std::string text;
    std::int64_t value;
  };
  for (const auto& row : {Row{"i0e", 0}, Row{"i7e", 7}, Row{"i-7e", -7}, Row{"i10e", 10},
                          Row{"i9223372036854775807e", std::numeric_limits<std::int64_t>::max()},
                          Row{"i-9223372036854775808e", std::numeric_limits<std::int64_t>::min()}}) {
    CAPTURE(row.text);
    const Parsed p(row.text);
    CHECK(p.root().type() == Type::integer);
    CHECK(p.root().integer() == row.value);
    CHECK_FALSE(p.root().string());
    CHECK(as_text(p.root().raw()) == row.text);
  }
  for (const std::string odd : {"i07e", "i-0e", "i-07e", "i00e", "i0000000000000000000000000000000000007e"}) {
    CAPTURE(odd);
    CHECK(fault_of(odd).expected == "no leading zero");
    const Parsed p(odd, {.leading_zeros = true});
    CHECK(std::abs(*p.root().integer()) == (odd.find('7') != odd.npos ? 7 : 0));
  }
}

TEST_CASE("bencode: strings") {
  const Parsed p("4:spam");
  CHECK(p.root().type() == Type::string);
  CHECK(p.root().string() == "spam");
  CHECK_FALSE(p.root().integer());
  CHECK(Parsed("0:").root().string() == "");
  CHECK(Parsed(std::string("3:a\0b", 5)).root().string() == std::string_view("a\0b", 3));
  CHECK(Parsed("10:0123456789").root().string() == "0123456789");
}

TEST_CASE("bencode: lists and dictionaries are walked in the order of the input") {
  const Parsed p("d1:bl1:xi2elee1:ad1:k1:ve0:i3ee");
  const auto root = p.root();
  CHECK(root.type() == Type::dict);
  std::string keys;
  for (auto v = root.first(); v; v = v.next()) keys += std::string(v.key()) + ",";
  CHECK(keys == "b,a,,");
  const auto list = root.find("b");
  CHECK(as_text(list.raw()) == "l1:xi2elee");
  CHECK(list.offset() == 4);
  CHECK(list.first().string() == "x");
  CHECK(list.first().key().empty());
  CHECK(list.first().next().integer() == 2);
  const auto empty = list.first().next().next();
  CHECK(empty.type() == Type::list);
  CHECK_FALSE(empty.first());
  CHECK_FALSE(empty.next());
  CHECK(root.find("a").find("k").string() == "v");
  CHECK_FALSE(root.find("a").first().next());
  CHECK(root.find("").integer() == 3);
  CHECK_FALSE(root.next());
}

TEST_CASE("bencode: asking a value for what it is not gives none") {
  const BencodeValue none;
  CHECK_FALSE(none);
  CHECK(none.type() == Type::none);
  CHECK(none.raw().empty());
  CHECK(none.offset() == 0);
  CHECK(none.key().empty());
  CHECK_FALSE(none.integer());
  CHECK_FALSE(none.string());
  CHECK_FALSE(none.find("a"));
  CHECK_FALSE(none.first());
  CHECK_FALSE(none.next());
  CHECK_FALSE(BencodeDocument().root());
  const Parsed p("l1:ae");
  CHECK_FALSE(p.root().find("a"));
  CHECK_FALSE(p.root().find("missing").first());
  CHECK_FALSE(p.root().first().first());
}

TEST_CASE("bencode: lenient where the wild is") {
  CHECK(Parsed("d1:bi1e1:ai2ee").root().find("a").integer() == 2);  // unsorted
  CHECK(Parsed("d1:ai1e1:ai2ee").root().find("a").integer() == 1);  // the first of two
  CHECK_FALSE(accepted("i1ejunk"));
  const Parsed p("i1ejunk", {.trailing_bytes = true});
  CHECK(p.root().integer() == 1);
  CHECK(p.document.end() == 3);
}

TEST_CASE("bencode: what stops reading, and where") {
  struct Row {
    std::string text;
    std::size_t offset;
    std::string expected;
  };
  for (const auto& row : {Row{"", 0, "a value"},
                          Row{"e", 0, "a value"},
                          Row{"x", 0, "a value"},
                          Row{"-1:a", 0, "a value"},
                          Row{"<html>", 0, "a value"},
                          Row{"ie", 1, "a digit"},
                          Row{"i-e", 2, "a digit"},
                          Row{"i--1e", 2, "a digit"},
                          Row{"i+1e", 1, "a digit"},
                          Row{"i 1e", 1, "a digit"},
                          Row{"i", 1, "a digit"},
                          Row{"i1", 2, "'e'"},
                          Row{"i1.5e", 2, "'e'"},
                          Row{"i1 e", 2, "'e'"},
                          Row{"i07e", 1, "no leading zero"},
                          Row{"i-0e", 2, "no leading zero"},
                          Row{"i9223372036854775808e", 19, "an integer of 64 bits"},
                          Row{"i-9223372036854775809e", 20, "an integer of 64 bits"},
                          Row{"1", 1, "':'"},
                          Row{"1a", 1, "':'"},
                          Row{"01:a", 1, "':'"},
                          Row{"00:", 1, "':'"},
                          Row{"1:", 1, "a shorter string"},
                          Row{"5:spam", 1, "a shorter string"},
                          Row{"18446744073709551617:a", 2, "a shorter string"},
                          Row{"9223372036854775808:", 1, "a shorter string"},
                          Row{"99999999:123456", 1, "a shorter string"},
                          Row{"l", 1, "a value"},
                          Row{"li1e", 4, "a value"},
                          Row{"d", 1, "a key or 'e'"},
                          Row{"di1ei2ee", 1, "a key or 'e'"},
                          Row{"d1:a", 4, "a value"},
                          Row{"d1:ae", 4, "a value"},
                          Row{"d1:ai1e", 7, "a key or 'e'"},
                          Row{"d1:ai1eli1eee", 7, "a key or 'e'"},
                          Row{"i1ei2e", 3, "end of input"},
                          Row{"lee", 2, "end of input"}}) {
    CAPTURE(row.text);
    const auto fault = fault_of(row.text);
    CHECK(fault.expected == row.expected);
    CHECK(fault.offset == row.offset);
  }
}

TEST_CASE("bencode: every start of a document is a fault within it") {
  const std::string text = "d4:infod5:filesld6:lengthi-12e4:pathl1:a0:eeee3:key10:0123456789e";
  CHECK(accepted(text));
  for (std::size_t n = 0; n < text.size(); ++n) CHECK(fault_of(text.substr(0, n)).offset <= n);
}

TEST_CASE("bencode: depth ends at 100 without recursion") {
  CHECK(accepted(repeated("l", 100) + repeated("e", 100)));
  CHECK(fault_of(repeated("l", 101) + repeated("e", 101)).expected == "less depth");
  CHECK(accepted(repeated("d0:", 99) + "de" + repeated("e", 99)));
  CHECK(fault_of(repeated("d0:", 101) + repeated("e", 101)).expected == "less depth");
  const auto many = repeated("l", 10'000'000);
  BencodeFault fault;
  CHECK(test::bytes_allocated_by([&] { fault = fault_of(many); }) < 64 * 1024);
  CHECK(fault.offset == 100);
  CHECK(fault.expected == "less depth");
}

TEST_CASE("bencode: a stack of 256 KiB is enough") {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
  int results = 0;
  const auto run = [](void* out) -> void* {
    auto& n = *static_cast<int*>(out);
    n += accepted(repeated("l", 100) + repeated("e", 100)) ? 1 : 0;
    n += accepted(repeated("l", 10'000'000)) ? 0 : 2;
    n += accepted(repeated("d1:a", 5'000'000)) ? 0 : 4;
    return nullptr;
  };
  pthread_t thread;
  REQUIRE(pthread_create(&thread, &attributes, run, &results) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  CHECK(results == 7);
}

TEST_CASE("bencode: no memory for what has not come") {
  for (const std::string text :
       {"99999999:123456", "9223372036854775808:", "18446744073709551615:x", "l99999999:a", "d99999999:a"}) {
    CAPTURE(text);
    bool ok = true;
    CHECK(test::bytes_allocated_by([&] { ok = accepted(text); }) < 64 * 1024);
    CHECK_FALSE(ok);
  }
  const auto long_string = "10000000:" + repeated("x", 10'000'000);
  CHECK(test::bytes_allocated_by([&] { accepted(long_string); }) < 1024);  // a view, not a copy
}

TEST_CASE("bencode: tokens are bounded") {
  CHECK(accepted("li1ei2ei3ee", {.tokens_max = 4}));
  CHECK(fault_of("li1ei2ei3ee", {.tokens_max = 3}).expected == "fewer values");
  CHECK(fault_of("i1e", {.tokens_max = 0}).expected == "fewer values");
  CHECK(accepted("d1:ai1e1:bi2ee", {.tokens_max = 3}));  // keys are not values
  CHECK(fault_of("l" + repeated("0:", 4'000'000) + "e").expected == "fewer values");
}

TEST_CASE("bencode: time is linear") {
  const auto start = test::cpu_seconds();
  std::string many = "d";
  for (int i = 0; i < 1'000'000; ++i) many += "5:key" + std::to_string(10 + i % 90) + "i1e";
  many += "e";
  const Parsed p(std::move(many));
  CHECK_FALSE(p.root().find("missing"));
  CHECK_FALSE(accepted("i" + repeated("9", 10'000'000)));
  CHECK(accepted("i" + repeated("0", 10'000'000) + "e", {.leading_zeros = true}));
  CHECK_FALSE(accepted(repeated("1", 10'000'000)));
  CHECK(test::cpu_seconds() - start < 3 * test::slowdown);
}

TEST_CASE("bencode: a key has its bound") {
  const std::size_t most = (std::size_t{1} << 25) - 1;
  const auto text = "d" + std::to_string(most) + ":" + std::string(most, 'k') + "i1ee";
  const Parsed p(text);
  CHECK(p.root().first().key().size() == most);
  CHECK(fault_of("d" + std::to_string(most + 1) + ":" + std::string(most + 1, 'k') + "i1ee").expected ==
        "a shorter key");
}

TEST_CASE("bencode: the twin on a blackboard agrees about every short text") {
  // All texts of up to six of these characters: every way that the grammar can be held wrong.
  constexpr std::string_view alphabet = "ilde01:-";
  std::size_t agreed = 0;
  for (std::size_t length = 0; length <= 6; ++length) {
    std::size_t texts = 1;
    for (std::size_t i = 0; i < length; ++i) texts *= alphabet.size();
    for (std::size_t n = 0; n < texts; ++n) {
      std::string text(length, ' ');
      for (std::size_t i = 0, rest = n; i < length; ++i, rest /= alphabet.size())
        text[i] = alphabet[rest % alphabet.size()];
      for (const bool zeros : {false, true}) {
        std::string_view rest = text;
        const auto twin = test::NaiveBencode::cut(rest, zeros);
        const auto parsed = BencodeDocument::parse(as_bytes(text), {.leading_zeros = zeros});
        const bool same = twin && rest.empty() ? parsed && twin->same(parsed->root()) : !parsed;
        if (!same) FAIL_CHECK(text);
        agreed += parsed && same ? 1 : 0;
      }
    }
  }
  CHECK(agreed == 154);
}

TEST_CASE("bencode: what is written can be read, and is canonical") {
  BencodeWriter out;
  out.begin_dict();
  out.key("").integer(0);
  out.key("a").begin_list().integer(-5).string("x").begin_list().end().begin_dict().end().end();
  out.key("b").string(Buffer{0, 0xff});
  out.key("c").raw(as_bytes("li1ee"));
  out.key("\xff").integer(std::numeric_limits<std::int64_t>::min());
  const auto bytes = out.end().take();
  CHECK(as_text(bytes) ==
        "d0:i0e1:ali-5e1:xledee1:b2:\0\xff"
        "1:cli1ee1:\xff"
        "i-9223372036854775808ee"sv);
  CHECK(accepted(as_text(bytes)));

  out.integer(1);  // the writer starts afresh
  CHECK(as_text(out.take()) == "i1e");
  CHECK(out.take().empty());
}

TEST_CASE("bencode: writing nonsense is a bug") {
  using test::dies;
  CHECK_FALSE(dies([] { BencodeWriter().begin_dict().key("a").integer(1).key("b").integer(2).end().take(); }));
  CHECK(dies([] { BencodeWriter().begin_dict().key("b").integer(1).key("a"); }));
  CHECK(dies([] { BencodeWriter().begin_dict().key("a").integer(1).key("a"); }));
  CHECK(dies([] { BencodeWriter().begin_dict().integer(1); }));
  CHECK(dies([] { BencodeWriter().begin_dict().key("a").end(); }));
  CHECK(dies([] { BencodeWriter().begin_dict().key("a").key("b"); }));
  CHECK(dies([] { BencodeWriter().begin_list().key("a"); }));
  CHECK(dies([] { BencodeWriter().key("a"); }));
  CHECK(dies([] { BencodeWriter().end(); }));
  CHECK(dies([] { BencodeWriter().integer(1).integer(2); }));
  CHECK(dies([] { BencodeWriter().begin_list().take(); }));
}
