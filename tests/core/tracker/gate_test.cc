#include "core/tracker/gate.hh"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace swarm;
using namespace swarm::core;

namespace {

wire::HttpRequest put(std::vector<std::pair<std::string, std::string>> headers) {
  wire::HttpRequest r;
  r.method = "PUT";
  r.headers.fields = std::move(headers);
  return r;
}

/// "" when it may pass, else the error's code.
std::string code(const Gate& gate, std::vector<std::pair<std::string, std::string>> headers, bool changes = true) {
  const auto refusal = gate.judge(put(std::move(headers)), changes);
  return refusal ? refusal->error.code : "";
}

}  // namespace

TEST_CASE("without a token, changes must call the tracker by a name that no stranger can point at it") {
  const Gate gate("", {"NAS.example.org", "swarm.example"});
  for (const auto* own : {"nas", "nas:6969", "localhost:6969", "127.0.0.1", "192.168.1.5:6969", "[::1]:6969",
                          "[2001:db8::1]", "nas.local", "NAS.Local:6969", "a.b.internal", "x.home.arpa", "x.localhost",
                          "nas.example.org:6969", "nas.example.org.", "swarm.example", "8.8.8.8"}) {
    CAPTURE(own);
    CHECK(code(gate, {{"Host", own}}) == "");
  }
  for (const auto* foreign :
       {"evil.example", "evil.example:6969", "nas.example.org.evil.example", "local.evil.example", "evil.local.example",
        "127.0.0.1.evil.example", "xnas.example.org", "127.0.0.1@evil.example", "nas/x.example", "", ":6969", "a b"}) {
    CAPTURE(foreign);
    CHECK(code(gate, {{"Host", foreign}}) == "bad_host");
  }
  CHECK(code(gate, {}) == "");  // HTTP/1.0, which no browser speaks
  CHECK(code(gate, {{"Host", "evil.example"}}, false) == "");
  CHECK_FALSE(gate.has_token());
}

TEST_CASE("with a token, changes need it and nothing else") {
  const Gate gate("secret-of-the-nas", {});
  CHECK(gate.has_token());
  CHECK(code(gate, {{"Host", "nas"}}) == "token_needed");
  CHECK(gate.judge(put({{"Host", "nas"}}), true)->status == 401);
  for (const auto* wrong :
       {"Bearer ", "Bearer", "", "Bearer secret-of-the-na", "Bearer secret-of-the-nas ", "Bearer secret-of-the-nasx",
        "Basic secret-of-the-nas", "secret-of-the-nas", "Bearer  secret-of-the-nas", "Bearer Secret-of-the-nas"}) {
    CAPTURE(wrong);
    CHECK(code(gate, {{"Host", "nas"}, {"Authorization", wrong}}) == "token_wrong");
  }
  CHECK(gate.judge(put({{"Authorization", "Bearer x"}}), true)->status == 401);
  for (const auto* host : {"nas", "tracker.example.org"}) {
    CHECK(code(gate, {{"Host", host}, {"authorization", "bearer secret-of-the-nas"}}) == "");
  }
  CHECK(code(gate, {{"Host", "nas"}}, false) == "");  // a heartbeat needs none
  // What an error says holds nothing of the secret.
  CHECK(gate.judge(put({{"Authorization", "Bearer x"}}), true)->error.message.find("secret") == std::string::npos);
}

TEST_CASE("a page of another origin may change nothing, nor send a heartbeat") {
  for (const auto* token : {"", "secret-of-the-nas"}) {
    const Gate gate(token, {});
    for (const bool changes : {true, false}) {
      CHECK(code(gate, {{"Host", "nas:6969"}, {"Origin", "http://evil.example"}}, changes) == "other_origin");
      CHECK(code(gate, {{"Host", "nas:6969"}, {"Origin", "null"}}, changes) == "other_origin");
      CHECK(code(gate, {{"Host", "nas:6969"}, {"Origin", "http://nas:80"}}, changes) == "other_origin");
      CHECK(code(gate, {{"Origin", "http://nas:6969"}}, changes) == "other_origin");
    }
    CHECK(code(gate, {{"Host", "nas:6969"}, {"Origin", "http://NAS:6969"}}, false) == "");
    CHECK(code(gate,
               {{"Host", "nas:6969"}, {"Origin", "http://nas:6969"}, {"Authorization", "Bearer secret-of-the-nas"}},
               true) == "");
  }
}
