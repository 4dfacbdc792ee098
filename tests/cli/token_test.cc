#include "cli/token.hh"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "uv/random_bytes.hh"

using namespace swarm;
using namespace swarm::cli;

namespace {

class TokenFile {
 public:
  explicit TokenFile(const std::string& content)
      : path_(std::filesystem::temp_directory_path() / ("swarm-token-" + std::to_string(uv::random_u64()))) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TokenFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TokenFile(const TokenFile&) = delete;
  TokenFile& operator=(const TokenFile&) = delete;
  Result<std::string> read() const { return read_token(options()); }
  Options options() const {
    Options o;
    o.token_file = path_.string();
    return o;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("a token is the first line of its file") {
  CHECK(read_token(Options()).value() == "");
  CHECK(TokenFile("0123456789abcdef").read().value() == "0123456789abcdef");
  CHECK(TokenFile("0123456789abcdef\n").read().value() == "0123456789abcdef");
  CHECK(TokenFile(" \t0123456789abcdef \r\nnotes\n").read().value() == "0123456789abcdef");
  CHECK(TokenFile(std::string(1024, 'x') + "\n").read().value().size() == 1024);
}

TEST_CASE("what is no token is refused with what would be one, and never shown") {
  for (const std::string& bad : {std::string(), std::string("\n0123456789"), std::string("short12"),
                                 std::string("with spaces within"), std::string(1025, 'x'), std::string(100'000, 'x'),
                                 std::string("nul\0nul\0nul", 11), std::string("größe-und-mehr")}) {
    CAPTURE(bad);
    const auto token = TokenFile(bad).read();
    REQUIRE_FALSE(token);
    CHECK(token.error().exit == Exit::usage);
    CHECK(token.error().hint.find("openssl rand") != std::string::npos);
    if (!bad.empty()) CHECK(token.error().message.find(bad) == std::string::npos);
  }
}

TEST_CASE("a file that is not there, and one that is a folder") {
  Options o;
  o.token_file = "/nonexistent/token";
  CHECK(read_token(o).error().exit == Exit::not_found);
  o.token_file = "/";
  CHECK(read_token(o).error().exit == Exit::disk);
}
