// Gate: who may change what the tracker keeps.
//
// Rules
// 1. With a token, a change (PUT, DELETE) needs "Authorization: Bearer TOKEN". The comparison takes as long for every
//    guess. Nothing else is asked then. Rationale: no page that a browser shows knows the token.
// 2. Without one, a change must call the tracker by a name that no stranger can point at it: an IP address, a name
//    without a dot, one below .local, .localhost, .internal or .home.arpa (which the public DNS never holds), the
//    machine's own names, or --url's host. Rationale: DNS rebinding gives a page of evil.example the tracker's address,
//    but the Host that the browser sends is still evil.example.
// 3. What a browser sends for a page of another origin ("Origin" is there and names another host than "Host") is refused
//    for everything but GET and HEAD. No answer ever allows other origins to read it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/digest.hh"
#include "wire/control.hh"
#include "wire/http.hh"

namespace swarm::core {

class Gate {
 public:
  /// An empty token: rule 2. `names` are of this machine and of --url.
  Gate(const std::string& token, std::vector<std::string> names);

  struct Refusal {
    int status = 403;  ///< or 401
    wire::ApiError error;
  };
  /// Of a request that is no GET or HEAD; `changes`: it would change the catalogue.
  std::optional<Refusal> judge(const wire::HttpRequest& request, bool changes) const;
  bool has_token() const { return token_.has_value(); }

 private:
  bool is_token(std::string_view text) const;
  bool is_own(const std::string& host) const;  ///< rule 2

  std::optional<Sha256Digest> token_;  ///< its digest: all guesses are as long as it
  std::vector<std::string> names_;     ///< lower case
};

}  // namespace swarm::core
