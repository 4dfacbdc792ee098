#include "core/tracker/gate.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/endpoint.hh"
#include "base/sha256.hh"
#include "base/text.hh"

namespace swarm::core {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// The host of a Host header, in lower case; nothing when it is none.
std::optional<std::string> host_of(std::string_view header) {
  if (header.find_first_of("/?#@") != header.npos) return std::nullopt;
  auto url = wire::parse_url("http://" + std::string(header));
  if (!url) return std::nullopt;
  auto host = lower(url->host);
  if (host.ends_with('.')) host.pop_back();
  return host;
}

}  // namespace

Gate::Gate(const std::string& token, std::vector<std::string> names) : names_(std::move(names)) {
  if (!token.empty()) token_ = sha256(as_bytes(token));
  for (auto& name : names_) name = lower(name);
}

std::optional<Gate::Refusal> Gate::judge(const wire::HttpRequest& request, bool changes) const {
  const auto host = request.headers.find("host");
  if (const auto origin = request.headers.find("origin")) {
    const auto scheme = origin->find("://");
    if (!host || scheme == origin->npos || lower(origin->substr(scheme + 3)) != lower(*host)) {
      return Refusal{403, {"other_origin", "pages of other origins may not change anything here", ""}};
    }
  }
  if (!changes) return std::nullopt;
  if (token_) {
    const auto given = request.headers.find("authorization");
    if (!given) {
      return Refusal{401, {"token_needed", "this tracker takes changes only with its token", "Use --token-file FILE"}};
    }
    const bool bearer = given->size() > 7 && lower(given->substr(0, 7)) == "bearer ";
    if (bearer && is_token(given->substr(7))) return std::nullopt;
    return Refusal{401,
                   {"token_wrong", "this is not the tracker's token", "Use --token-file with the file that it has"}};
  }
  const auto name = host ? host_of(*host) : std::string();  // none: HTTP/1.0, which no browser speaks
  if (name && (name->empty() || is_own(*name))) return std::nullopt;
  return Refusal{
      403,
      {"bad_host", fmt::format("'{}' is not a name of this tracker", printable(host ? host->substr(0, 255) : "")),
       "call it by its address, or start it with --url http://THAT_NAME:PORT or with --token-file"}};
}

bool Gate::is_token(std::string_view text) const {
  const auto guess = sha256(as_bytes(text));
  std::uint8_t different = 0;
  for (std::size_t i = 0; i < guess.bytes.size(); ++i) {
    different = static_cast<std::uint8_t>(different | (guess.bytes[i] ^ token_->bytes[i]));
  }
  return different == 0;
}

bool Gate::is_own(const std::string& host) const {
  if (IpAddress::from(host) || host.find('.') == host.npos) return true;
  if (std::ranges::find(names_, host) != names_.end()) return true;
  for (const std::string_view below : {".local", ".localhost", ".internal", ".home.arpa"}) {
    if (host.ends_with(below)) return true;
  }
  return false;
}

}  // namespace swarm::core
