#include "base/text.hh"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "base/random.hh"

using namespace swarm;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB, TiB = 1024 * GiB;

}  // namespace

TEST_CASE("sizes for people") {
  CHECK(size_text(0) == "0 B");
  CHECK(size_text(512) == "512 B");
  CHECK(size_text(1023) == "1023 B");
  CHECK(size_text(1024) == "1.0 KiB");
  CHECK(size_text(1536) == "1.5 KiB");
  CHECK(size_text(MiB - 1) == "1.0 MiB");  // never "1024.0 KiB"
  CHECK(size_text(631 * MiB) == "631.0 MiB");
  CHECK(size_text(TiB + TiB / 2) == "1.5 TiB");
  CHECK(size_text(std::numeric_limits<std::uint64_t>::max()) == "16.0 EiB");
}

TEST_CASE("rates for people") {
  CHECK(rate_text(41.8 * MiB) == "41.8 MiB/s");
  CHECK(rate_text(0.6) == "1 B/s");
  CHECK(rate_text(0.4) == "-");
  CHECK(rate_text(0) == "-");
  CHECK(rate_text(-5) == "-");
  CHECK(rate_text(std::numeric_limits<double>::infinity()) == "-");
  CHECK(rate_text(std::numeric_limits<double>::quiet_NaN()) == "-");
  CHECK(rate_text(1e300) == "-");
}

TEST_CASE("times left for people") {
  CHECK(eta_text(0) == "0:00");
  CHECK(eta_text(0.1) == "0:01");
  CHECK(eta_text(6) == "0:06");
  CHECK(eta_text(59.5) == "1:00");
  CHECK(eta_text(12 * 60 + 34) == "12:34");
  CHECK(eta_text(3 * 3600 + 12 * 60 + 4) == "3:12:04");
  CHECK(eta_text(24 * 3600 - 1) == "23:59:59");
  CHECK(eta_text(24 * 3600) == "1d 0h");
  CHECK(eta_text(5 * 86400 + 3 * 3600 + 1800) == "5d 3h");
  for (const double none :
       {-1.0, 1e18, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(eta_text(none) == "-");
  }
}

TEST_CASE("sizes from people") {
  struct Row {
    std::string text;
    std::uint64_t bytes;
  };
  for (const auto& row : {Row{"0", 0},
                          Row{"1", 1},
                          Row{"500", 500},
                          Row{"500B", 500},
                          Row{"500b", 500},
                          Row{"500 B", 500},
                          Row{"64K", 64 * KiB},
                          Row{"64k", 64 * KiB},
                          Row{"10M", 10 * MiB},
                          Row{"10MiB", 10 * MiB},
                          Row{"10mib", 10 * MiB},
                          Row{"10 MiB", 10 * MiB},
                          Row{"10MB", 10'000'000},
                          Row{"10mb", 10'000'000},
                          Row{"10kB", 10'000},
                          Row{"10KB", 10'000},
                          Row{"1.5G", 3 * GiB / 2},
                          Row{"1.5GB", 1'500'000'000},
                          Row{"0.1K", 102},
                          Row{"0.001kB", 1},
                          Row{"0.0009kB", 0},
                          Row{"2T", 2 * TiB},
                          Row{"1PB", 1'000'000'000'000'000},
                          Row{"15E", 15 * 1024 * 1024 * TiB},
                          Row{"007", 7},
                          Row{"18446744073709551615", std::numeric_limits<std::uint64_t>::max()},
                          Row{"15.9999999999999999999999999999E", std::numeric_limits<std::uint64_t>::max()}}) {
    CAPTURE(row.text);
    CHECK(parse_size(row.text) == row.bytes);
  }
  for (const std::string bad : {"",       " ",
                                "K",      "B",
                                "iB",     "10iB",
                                "10Q",    "10Ki",
                                "10KiBB", "10BB",
                                "10bit",  "-1",
                                "+1",     "-1K",
                                " 10",    "10 ",
                                "10  K",  "1.5",
                                "1.5B",   "1.K",
                                ".5K",    "1..5K",
                                "1.5.5K", "1,5K",
                                "1e3",    "0x10",
                                "10 000", "NaN",
                                "10M/s",  "18446744073709551616",
                                "16E",    "99999999999999999999K",
                                "1M5",    "10MM"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_size(bad));
  }
}

TEST_CASE("rates from people") {
  struct Row {
    std::string text;
    std::uint64_t bytes;
  };
  for (const auto& row :
       {Row{"10M", 10 * MiB}, Row{"10M/s", 10 * MiB}, Row{"10MB/s", 10'000'000}, Row{"10MB/S", 10'000'000},
        Row{"500", 500}, Row{"100Mbit", 12'500'000}, Row{"100mbit/s", 12'500'000}, Row{"1Gbit/s", 125'000'000},
        Row{"2.5Gbit", 312'500'000}, Row{"1 Gbit/s", 125'000'000}, Row{"80bit", 10}, Row{"7bit", 0}, Row{"8kbit", 1000},
        Row{"41.8 MiB/s", 43'830'476}}) {
    CAPTURE(row.text);
    CHECK(parse_rate(row.text) == row.bytes);
  }
  for (const std::string bad : {"", "/s", "bit", "10Q", "10M/h", "10M/s/s", "1.5bit", "-1Mbit", "100Mibit", "100Mb its",
                                "100Mbits", "99999999999999999999Gbit"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_rate(bad));
  }
}

TEST_CASE("durations from people") {
  struct Row {
    std::string text;
    Duration duration;
  };
  for (const auto& row :
       {Row{"0", 0s}, Row{"90", 90s}, Row{"90s", 90s}, Row{"15m", 15min}, Row{"2h", 2h}, Row{"1d", 24h},
        Row{"200ms", 200ms}, Row{"1h30m", 90min}, Row{"1d2h3m4s5ms", 26h + 3min + 4s + 5ms}, Row{"1s200ms", 1200ms},
        Row{"100us", 100us}, Row{"106751d", 24h * 106751}}) {
    CAPTURE(row.text);
    CHECK(parse_duration(row.text) == row.duration);
  }
  for (const std::string bad : {"", "s", "-1", "+1", "1x", "1 s", "1.5h", "1h30", "30m1h", "1h1h", "1hm", "h1", "5ms1s",
                                "1w", "106752d", "99999999999999999999", "9223372036854775808ms", "106751d24h"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("base64: the vectors of RFC 4648") {
  struct Row {
    std::string plain;
    std::string coded;
  };
  for (const auto& row : {Row{"", ""}, Row{"f", "Zg=="}, Row{"fo", "Zm8="}, Row{"foo", "Zm9v"}, Row{"foob", "Zm9vYg=="},
                          Row{"fooba", "Zm9vYmE="}, Row{"foobar", "Zm9vYmFy"}}) {
    CHECK(to_base64(as_bytes(row.plain)) == row.coded);
    CHECK(from_base64(row.coded) == to_buffer(std::string_view(row.plain)));
  }
  CHECK(from_base64("+/+/") == Buffer{0xfb, 0xff, 0xbf});
  for (const std::string bad :
       {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "Zm9v\n", "Zm 9", "Zm-_", "=Zg=", "Zg==Zg=="}) {
    CAPTURE(bad);
    CHECK_FALSE(from_base64(bad));
  }
  Random random(1);
  for (std::size_t n = 0; n < 100; ++n) {
    Buffer bytes(n);
    random.fill(bytes);
    REQUIRE(from_base64(to_base64(bytes)) == bytes);
  }
}

TEST_CASE("percent escapes (RFC 3986)") {
  CHECK(percent_encode(as_bytes("AZaz09-._~")) == "AZaz09-._~");
  CHECK(percent_encode(Buffer{0, ' ', '+', '/', '%', 0xff}) == "%00%20%2B%2F%25%FF");
  CHECK(percent_decode("a%2fb%2F+%00") == Buffer{'a', '/', 'b', '/', '+', 0});
  CHECK(percent_decode("") == Buffer{});
  for (const std::string bad : {"%", "%1", "a%", "%g0", "%0g", "%%30", "%-1"}) {
    CAPTURE(bad);
    CHECK_FALSE(percent_decode(bad));
  }
  Buffer all(256);
  for (std::size_t i = 0; i < 256; ++i) all[i] = static_cast<std::uint8_t>(i);
  CHECK(percent_decode(percent_encode(all)) == all);
}

TEST_CASE("UTF-8 is well formed or not") {
  for (const std::string good :
       {"", "plain", "ä", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\U00010000", "\U0010ffff", "日本語"}) {
    CAPTURE(good);
    CHECK(is_utf8(good));
  }
  for (const std::string bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                "\xed\xbf\xbf", "\xe2\x82", "\xe2(\xac", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                "\xf5\x80\x80\x80", "\xf0\x9f\x98", "\xff", "\xfe", "ok\xff"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_utf8(bad));
  }
}

TEST_CASE("what is printed cannot harm a terminal or deceive a reader") {
  CHECK(printable("debian-12.iso") == "debian-12.iso");
  CHECK(printable("日本語 é 👍") == "日本語 é 👍");
  CHECK(printable("\x1b[2J") == "\uFFFD[2J");
  CHECK(printable(std::string_view("a\0b", 3)) == "a\uFFFDb");
  CHECK(printable("a\nb\tc\x7f") == "a\uFFFDb\uFFFDc\uFFFD");
  CHECK(printable("\xc2\x9b"
                  "31m") == "\uFFFD31m");                      // C1: another ESC [
  CHECK(printable("exe\u202egpj.scr") == "exe\uFFFDgpj.scr");  // right-to-left override
  for (const std::string mark : {"\u200e", "\u200f", "\u061c", "\u202a", "\u202b", "\u202c", "\u202d", "\u2066",
                                 "\u2067", "\u2068", "\u2069", "\u2028", "\u2029", "\ufeff"}) {
    CHECK(printable(mark) == "\uFFFD");
  }
  CHECK(printable("a\xff\xc3z") == "a\uFFFD\uFFFDz");
  CHECK(printable("\xe2\x82") == "\uFFFD\uFFFD");

  Random random(1);
  for (int i = 0; i < 10'000;
       ++i) {  // whatever comes in, what goes out is UTF-8, and printing it again changes nothing
    std::string text(random.below(40), ' ');
    for (auto& c : text) c = static_cast<char>(random.below(3) == 0 ? random.below(128) : random.below(256));
    const auto once = printable(text);
    REQUIRE(is_utf8(once));
    REQUIRE(printable(once) == once);
    REQUIRE(columns(fit(once, i % 20)) <= static_cast<std::size_t>(i % 20));
  }
}

TEST_CASE("columns of wide, narrow and combining characters") {
  CHECK(columns("") == 0);
  CHECK(columns("abc") == 3);
  CHECK(columns("äöü") == 3);
  CHECK(columns("日本語") == 6);
  CHECK(columns("ｆｕｌｌ") == 8);
  CHECK(columns("한국") == 4);
  CHECK(columns("e\u0301") == 1);
  CHECK(columns("a\u200bb") == 2);
  CHECK(columns("👍") == 2);
  CHECK(columns("❤\ufe0f") == 1);
  CHECK(columns("עברית") == 5);
  CHECK(columns("नमस्ते") == 4);
  CHECK(columns("\uFFFD") == 1);
  CHECK(columns("\xff\xff") == 2);
  CHECK(columns("█▏…") == 3);
}

TEST_CASE("text is cut to a width") {
  CHECK(fit("abc", 3) == "abc");
  CHECK(fit("abcd", 3) == "ab…");
  CHECK(fit("abcd", 3, false) == "ab.");
  CHECK(fit("abcd", 1) == "…");
  CHECK(fit("abcd", 0).empty());
  CHECK(fit("", 0).empty());
  CHECK(fit("日本語", 6) == "日本語");
  CHECK(fit("日本語", 5) == "日本…");
  CHECK(fit("日本語", 4) == "日…");  // a wide character is not halved
  CHECK(fit("e\u0301e\u0301", 2) == "e\u0301e\u0301");
  CHECK(fit("e\u0301bcd", 2) == "e\u0301…");
  CHECK(fit("\u05d0\u05d1\u05d2", 2) == "\u05d0…");
}

TEST_CASE("edit distance") {
  struct Row {
    std::string a;
    std::string b;
    std::size_t distance;
  };
  for (const auto& row :
       {Row{"", "", 0}, Row{"", "abc", 3}, Row{"get", "get", 0}, Row{"gte", "get", 1}, Row{"gt", "get", 1},
        Row{"gett", "get", 1}, Row{"got", "get", 1}, Row{"--trakcer", "--tracker", 1}, Row{"kitten", "sitting", 3},
        Row{"abcd", "badc", 2}, Row{"ca", "abc", 3}, Row{"seed", "status", 5}}) {
    CAPTURE(row.a);
    CAPTURE(row.b);
    for (std::size_t limit = 0; limit < 6; ++limit) {
      CHECK(edit_distance(row.a, row.b, limit) == std::min(row.distance, limit + 1));
      CHECK(edit_distance(row.b, row.a, limit) == std::min(row.distance, limit + 1));
    }
  }
}

TEST_CASE("the nearest word") {
  const std::vector<std::string> commands = {"get", "seed", "share", "status", "tracker", "set"};
  CHECK(nearest("gte", commands) == "get");
  CHECK(nearest("trakcer", commands) == "tracker");
  CHECK(nearest("statsu", commands) == "status");
  CHECK(nearest("seed", commands) == "seed");
  CHECK(nearest("bet", commands) == "get");  // "set" is as near, and later
  CHECK(nearest("et", commands) == "get");
  CHECK_FALSE(nearest("xy", commands));  // within 2 of "set", but then every word of two letters would be
  CHECK_FALSE(nearest("zzzzzz", commands));
  CHECK_FALSE(nearest("", commands));
  CHECK_FALSE(nearest("get", {}));
}

TEST_CASE("split keeps empty parts") {
  using Parts = std::vector<std::string_view>;
  CHECK(split("a,b", ',') == Parts{"a", "b"});
  CHECK(split("", ',') == Parts{""});
  CHECK(split(",a,,", ',') == Parts{"", "a", "", ""});
}
